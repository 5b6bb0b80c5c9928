// `callboard find NAME`: the messages with a key, a tag or a message id, whichever protocol published them. Asks on
// until everything was looked through or enough is found.
import type { Command } from 'commander';
import type { ApiFindQuery, ApiMessage } from '../admin/api-types.ts';
import { CliFailure, EXIT, usageFailure } from './failure.ts';
import { integerIn } from './parse.ts';
import {
  addRemoteOptions,
  clientFor,
  printJson,
  printLines,
  type RemoteOptions,
} from './remote-options.ts';
import { parseDurationMs } from './text.ts';

/** Clients may say any time: later than this there are no dates. */
const DATE_MAX_MS = 8.64e15;
/** Of one answer. */
const ANSWER_MAX = 1_000;

interface FindOptions extends RemoteOptions {
  readonly key?: string;
  readonly tag?: string;
  readonly id?: string;
  readonly since?: number;
  readonly until?: number;
  readonly oldestFirst?: boolean;
  readonly partition?: number;
  readonly limit: number;
}

export function define(program: Command): void {
  const command = program
    .command('find <name>')
    .description('print the messages with a key, a tag or a message id, the newest first');
  addRemoteOptions(command)
    .option(
      '--key <key>',
      'key of the record (Kafka), routing key (AMQP), key or message group (RocketMQ)',
    )
    .option('--tag <tag>', "RocketMQ's tag, or header TAGS")
    .option('--id <id>', 'message id of RocketMQ or AMQP')
    .option('--since <time>', 'an ISO time, ms since 1970, or a while ago, as 10m', timeMs)
    .option('--until <time>', 'the same', timeMs)
    .option('--oldest-first', 'in the order they came')
    .option('--partition <n>', 'only this one', integerIn(0, 2 ** 31 - 1))
    .option('--limit <n>', 'stop after so many', integerIn(1, Number.MAX_SAFE_INTEGER), 64)
    .action(async (name: string, options: FindOptions) => {
      await find(name, options);
    });
}

/** A parser for commander. */
function timeMs(text: string): number {
  const agoMs = parseDurationMs(text);
  if (agoMs !== undefined) return Date.now() - agoMs;
  const ms = /^\d{1,16}$/.test(text) ? Number(text) : Date.parse(text);
  if (!(ms >= 0 && ms <= Number.MAX_SAFE_INTEGER)) {
    throw usageFailure(
      `${JSON.stringify(text)} is no time: as 2026-01-31T12:00Z, or 10m for a while ago`,
    );
  }
  return ms;
}

function lookupOf({ key, tag, id }: FindOptions): Pick<ApiFindQuery, 'key' | 'tag' | 'id'> {
  const given = Object.entries({ key, tag, id }).filter(([, value]) => value !== undefined);
  if (given.length !== 1) throw usageFailure('find needs one of --key, --tag and --id');
  return Object.fromEntries(given);
}

async function find(name: string, options: FindOptions): Promise<void> {
  const lookup = lookupOf(options);
  const client = clientFor(options);
  const { since, until, oldestFirst, json: isJson = false } = options;
  let { partition } = options;
  let from: string | undefined;
  let left = options.limit;
  let unread = 0;
  for (;;) {
    const query: ApiFindQuery = {
      ...lookup,
      ...(since === undefined ? {} : { since }),
      ...(until === undefined ? {} : { until }),
      ...(partition === undefined ? {} : { partition }),
      ...(from === undefined ? {} : { from }),
      order: oldestFirst === true ? 'oldest' : 'newest',
      max: Math.min(left, ANSWER_MAX),
    };
    const { messages, next, isComplete, unreadBatches = 0 } = await client.messages(name, query);
    for (const message of messages) {
      if (isJson) printJson(message);
      else printLines([lineOf(message)]);
    }
    left -= messages.length;
    unread += unreadBatches;
    if (isComplete === true || left <= 0) break;
    partition = undefined;
    from = next.map((one) => `${one.partition}:${one.offset}`).join(',');
  }
  if (unread > 0) {
    throw new CliFailure(
      `${unread} ${unread === 1 ? 'batch was' : 'batches were'} not looked into`,
      {
        exitCode: EXIT.partial,
        code: 'FIND_PARTIAL',
        hint: 'The nodes cannot unpack them; a Kafka client can.',
      },
    );
  }
  if (left === options.limit) {
    const [[kind, value] = []] = Object.entries(lookup);
    throw new CliFailure(`no message of ${name} has the ${kind} ${JSON.stringify(value)}`, {
      exitCode: EXIT.notFound,
      code: 'FIND_NOTHING',
    });
  }
}

/** Place, time, key and value, with tabs between. */
export function lineOf({ partition, offset, timestampMs, ...message }: ApiMessage): string {
  const key = message.key ?? message.keyBase64 ?? '';
  const time =
    timestampMs < 0 || timestampMs > DATE_MAX_MS ? '' : new Date(timestampMs).toISOString();
  return [`${partition}:${offset}`, time, key, message.value ?? message.valueBase64 ?? ''].join(
    '\t',
  );
}
