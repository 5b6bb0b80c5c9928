// `callboard actors`: what runs on the threads of a cluster, as a tree, with rates over a moment.
import type { Command } from 'commander';
import type { ApiActor, ApiThread } from '../admin/api-types.ts';
import { usageFailure } from './failure.ts';
import { nodeNumber } from './parse.ts';
import {
  addRemoteOptions,
  clientFor,
  printJson,
  printLines,
  type RemoteOptions,
} from './remote-options.ts';
import { parseDurationMs, table } from './text.ts';
import { defineThreadControl } from './thread-control.ts';
import { defineTop } from './top/command.ts';

const SAMPLE_MS_MAX = 10_000;

interface ActorsOptions extends RemoteOptions {
  readonly node?: number;
  readonly sample: number;
}

export function define(program: Command): void {
  const command = program.command('actors').description('show the tree of actors and their rates');
  addRemoteOptions(command)
    .option('--node <id>', 'of this node only, as 1 or n1', nodeNumber)
    .option('--sample <time>', 'over how long rates are taken; 0s: no rates', sampleMs, 1_000)
    .action(async (options: ActorsOptions) => {
      const answer = await clientFor(options).actors(options.node, options.sample);
      if (options.json === true) printJson(answer);
      else printLines(answer.threads.flatMap(threadLines));
    });
  defineThreadControl(command);
  defineTop(command);
}

function sampleMs(text: string): number {
  const ms = parseDurationMs(text);
  if (ms === undefined || ms > SAMPLE_MS_MAX) {
    throw usageFailure(`--sample ${text} is not a time of at most 10s`);
  }
  return ms;
}

function threadLines(thread: ApiThread): string[] {
  const { node, thread: number, role, isAnswering, turns, actors, omitted } = thread;
  const title = `node ${node}, thread ${number} (${role})`;
  if (!isAnswering) return [`${title} does not answer`];
  const left = Object.entries(omitted).map(([name, count]) => `${count} more of ${name}`);
  return [
    `${title}, ${turns} turns`,
    ...table(
      [
        ['ACTOR', 'CLASS', 'HANDLED', '/S', 'WAITING', 'RESTARTS', ''],
        ...actors.flatMap((actor) => rows(actor, '')),
      ],
      '  ',
    ),
    ...left.map((text) => `  ${text}`),
  ];
}

function rows(actor: ApiActor, indent: string): string[][] {
  const { name, handled, perSecond, depth, restarts, children } = actor;
  const row = [
    indent + name,
    actor.class,
    String(handled),
    String(perSecond['handled'] ?? ''),
    String(depth),
    String(restarts),
    saidOf(actor),
  ];
  return [row, ...children.flatMap((child) => rows(child, `${indent}  `))];
}

/** `published 12 (3/s), routed 12 (3/s), copies 24 (6/s)`. */
function saidOf({ state, counts, facts, perSecond }: ApiActor): string {
  const rateOf = (name: string): string =>
    perSecond[name] === undefined ? '' : ` (${perSecond[name]}/s)`;
  return [
    ...(state === 'running' ? [] : [state]),
    ...Object.entries(facts).map(([name, value]) => `${name} ${value}`),
    ...Object.entries(counts).map(([name, count]) => `${name} ${count}${rateOf(name)}`),
  ].join(', ');
}
