// `callboard topic`: topics are made with settings, and their settings are changed.
import type { Command } from 'commander';
import type { ApiReplica, ApiReplicas, ApiTopic } from '../admin/api-types.ts';
import { usageFailure } from './failure.ts';
import { integerIn, repeated } from './parse.ts';
import {
  addRemoteOptions,
  clientFor,
  printJson,
  printLines,
  type RemoteOptions,
} from './remote-options.ts';
import { table } from './text.ts';

interface CreateOptions extends RemoteOptions {
  readonly partitions?: number;
  readonly replicas?: number;
  readonly config?: readonly string[];
}

const COUNT = integerIn(1, 10_000);

export function define(program: Command): void {
  const topic = program
    .command('topic')
    .description('make topics, for clients of all protocols, and change their settings');
  addRemoteOptions(
    topic.command('create').description('make a topic').argument('<name>', 'of the topic'),
  )
    .option('--partitions <n>', "default: the cluster's", COUNT)
    .option('--replicas <n>', "of each partition; default: the cluster's", COUNT)
    .option(
      '--config <name=value>',
      'a setting, such as callboard.durability=async (repeatable)',
      repeated,
    )
    .action(create);
  addRemoteOptions(
    topic
      .command('set')
      .description('change settings of a topic; NAME= is back to the default')
      .argument('<name>', 'of the topic')
      .argument('<settings...>', 'as NAME=VALUE'),
  ).action(set);
  addRemoteOptions(
    topic.command('show').description('show a topic').argument('<name>', 'of the topic'),
  ).action(async (name: string, options: RemoteOptions) =>
    show(await clientFor(options).topic(name), options),
  );
  addRemoteOptions(
    topic
      .command('replicas')
      .description('who has the logs of a topic, stream or queue, and how far: ISR, HW, LEO, lag')
      .argument('<name>', 'of the topic, stream or queue'),
  ).action(async (name: string, options: RemoteOptions) => {
    const replicas = await clientFor(options).replicas(name);
    if (options.json === true) printJson(replicas);
    else printLines(replicaLines(replicas));
  });
}

/** A row for each replica; what was lost, and from where on a history is another one, in sentences below. */
export function replicaLines({ name, partitions }: ApiReplicas): string[] {
  const numberOf = (value: number | null) => (value === null ? '-' : String(value));
  const rows = partitions.flatMap(({ partition, epoch, inSync, outOfSync, replicas }) =>
    replicas.map(({ node, state, startOffset, highWatermark, endOffset, lag }, at) => [
      at === 0 ? `${name}-${partition}` : '',
      at === 0 ? String(epoch) : '',
      at === 0 ? inSync.join(',') || '-' : '',
      at === 0 ? outOfSync.join(',') || '-' : '',
      String(node),
      state,
      ...[startOffset, highWatermark, endOffset, lag].map(numberOf),
    ]),
  );
  const head = ['LOG', 'EPOCH', 'ISR', 'OSR', 'NODE', 'STATE', 'START', 'HW', 'LEO', 'LAG'];
  return [...table([head, ...rows]), ...partitions.flatMap((each) => lossLines(name, each))];
}

function lossLines(name: string, partition: ApiReplicas['partitions'][number]): string[] {
  const log = `${name}-${partition.partition}`;
  const { uncleanFrom, leader } = partition;
  const begun =
    uncleanFrom === null
      ? []
      : [
          `${log}: node ${leader} was elected at the price of loss: another history from ${uncleanFrom} on`,
        ];
  const lostBy = ({ node, lost }: ApiReplica) => {
    if (lost === null) return [];
    const { from, committedTo, to } = lost;
    const sure = Math.max(0, committedTo - from);
    return [
      `${log}: node ${node} had ${to - from} records from ${from} on that are lost, ${sure} of them committed for sure`,
    ];
  };
  return [...begun, ...partition.replicas.flatMap(lostBy)];
}

function show(topic: ApiTopic, options: RemoteOptions): void {
  if (options.json === true) {
    printJson(topic);
    return;
  }
  const { name, partitions, replicationFactor, durability, policy, config } = topic;
  const settings = Object.entries(config).map(([key, value]) => `${key}=${value}`);
  const head = ['NAME', 'PARTITIONS', 'REPLICAS', 'DURABILITY', 'POLICY', 'SETTINGS'];
  const counts = [name, String(partitions), String(replicationFactor)];
  printLines(table([head, [...counts, durability, policy ?? '-', settings.join(' ') || '-']]));
}

async function create(name: string, options: CreateOptions): Promise<void> {
  const config = Object.fromEntries((options.config ?? []).map(settingIn));
  const topic = await clientFor(options).createTopic(name, {
    ...(options.partitions === undefined ? {} : { partitions: options.partitions }),
    ...(options.replicas === undefined ? {} : { replicationFactor: options.replicas }),
    config,
  });
  show(topic, options);
}

async function set(
  name: string,
  settings: readonly string[],
  options: RemoteOptions,
): Promise<void> {
  const entries = settings.map(settingIn).map(([key, value]) => [key, value === '' ? null : value]);
  show(await clientFor(options).configureTopic(name, Object.fromEntries(entries)), options);
}

function settingIn(text: string): [string, string] {
  const at = text.indexOf('=');
  if (at < 1) throw usageFailure(`${JSON.stringify(text)} is not NAME=VALUE`);
  return [text.slice(0, at), text.slice(at + 1)];
}
