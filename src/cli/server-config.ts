// The configuration of one node process, as JSON from a file or from the launcher. Unknown and missing
// fields are errors: a setting that is silently ignored is worse than none.
import { availableParallelism } from 'node:os';
import { resolve } from 'node:path';
import type { JoinAddress, NodeAddress, NodeConfig } from '../assembly/node-config.ts';
import { NODE_ID_MAX, PROFILE_NAMES, SETTING_BOUNDS } from '../assembly/node-config.ts';
import { usageFailure } from './failure.ts';

/** The environment variable in which `dev` hands over the configuration. */
export const CONFIG_VARIABLE = 'CALLBOARD_NODE_CONFIG';

type Fields = Readonly<Record<string, unknown>>;
type Check = (value: unknown) => boolean;

const isText: Check = (value) => typeof value === 'string' && value !== '';
const isPort: Check = (value) => Number.isInteger(value) && inRange(value, 1, 65_535);
const isId: Check = (value) => Number.isInteger(value) && inRange(value, 1, NODE_ID_MAX);

function isWhole(least: number, most: number): Check {
  return (value) => Number.isInteger(value) && inRange(value, least, most);
}

function inRange(value: unknown, min: number, max: number): boolean {
  return (value as number) >= min && (value as number) <= max;
}

const ADDRESS_FIELDS: Readonly<Record<string, Check>> = {
  id: isId,
  host: isText,
  linkPort: isPort,
  kafkaPort: isPort,
  amqpPort: isPort,
  rocketmqPort: isPort,
  httpPort: isPort,
  role: (value) => value === 'disk' || value === 'ram',
};
const OPTIONAL_ADDRESS: ReadonlySet<string> = new Set(['role']);

/** HOST:PORT, an IPv6 address in brackets; undefined: it is none. */
export function joinAddress(text: string): JoinAddress | undefined {
  const found = /^(?:\[([^\]]+)\]|([^:]+)):(\d{1,5})$/.exec(text);
  const port = Number(found?.[3]);
  const host = found?.[1] ?? found?.[2];
  return host === undefined || !isPort(port) ? undefined : { host, port };
}

function joinText({ host, port }: JoinAddress): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}

const isJoin: Check = (value) =>
  Array.isArray(value) &&
  value.length > 0 &&
  value.every((each) => typeof each === 'string' && joinAddress(each) !== undefined);

const CONFIG_FIELDS: Readonly<Record<string, Check>> = {
  clusterId: (value) => isText(value) && Buffer.byteLength(value as string) <= 40,
  nodeId: isId,
  nodes: (value) => Array.isArray(value) && value.length > 0,
  join: isJoin,
  dataRoot: isText,
  memory: (value) => typeof value === 'boolean',
  host: isText,
  ...Object.fromEntries(
    Object.entries(SETTING_BOUNDS).map(([name, [least, most]]) => [name, isWhole(least, most)]),
  ),
  rack: (value) => isText(value) && Buffer.byteLength(value as string) <= 255,
  token: (value) => isText(value) && Buffer.byteLength(value as string) <= 64,
  isFounding: (value) => typeof value === 'boolean',
  profile: (value) => PROFILE_NAMES.includes(value as string),
};
/** Those that the node takes as they are. */
const SETTINGS = [
  'queueReplicas',
  'diskFreeMinBytes',
  'compactionBytesPerSecond',
  'scrubIntervalMs',
  'scrubBytesPerSecond',
  'profile',
] as const;
const OPTIONAL: ReadonlySet<string> = new Set([
  ...['clusterId', 'join', 'dataRoot', 'memory', 'shards', 'host', 'isFounding', 'rack'],
  ...SETTINGS,
]);

/** Shards of a server that has the machine for itself. */
export function serverShards(cores = availableParallelism()): number {
  return Math.max(1, Math.min(8, cores - 1));
}

/** Shards of each of `nodes` nodes that share a developer's machine. */
export function devShards(nodes: number, cores = availableParallelism()): number {
  return Math.max(1, Math.min(4, Math.floor(cores / nodes / 2)));
}

/**
 * @throws CliFailure (2) naming the first field that is wrong.
 */
export function parseNodeConfig(text: string, source: string): NodeConfig {
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch (error) {
    throw usageFailure(`${source} is not JSON: ${(error as Error).message}`);
  }
  const config = checked(parsed, CONFIG_FIELDS, OPTIONAL, source);
  const nodes = (config['nodes'] as readonly unknown[]).map((node, i) =>
    checked(node, ADDRESS_FIELDS, OPTIONAL_ADDRESS, `${source}: nodes[${i}]`),
  ) as unknown as readonly NodeAddress[];
  const nodeId = config['nodeId'] as number;
  if (!nodes.some((node) => node.id === nodeId)) {
    throw usageFailure(`${source}: nodes has no entry for nodeId ${nodeId}`);
  }
  if (new Set(nodes.map((node) => node.id)).size !== nodes.length) {
    throw usageFailure(`${source}: two nodes have the same id`);
  }
  const join = config['join'] as readonly string[] | undefined;
  const clusterId = config['clusterId'] as string | undefined;
  if ((clusterId === undefined || join !== undefined) && nodes.length > 1) {
    throw usageFailure(
      `${source}: a node that joins lists itself alone in nodes, and is told who the others are`,
    );
  }
  const dataRoot = config['dataRoot'] as string | undefined;
  if ((config['memory'] === true) === (dataRoot !== undefined)) {
    throw usageFailure(`${source} needs either dataRoot or "memory": true`);
  }
  const settings = SETTINGS.filter((name) => config[name] !== undefined).map(
    (name) => [name, config[name] as number | string] as const,
  );
  return {
    clusterId: clusterId ?? '',
    nodeId,
    nodes: [...nodes].sort((a, b) => a.id - b.id),
    dataRoot: dataRoot === undefined ? undefined : resolve(dataRoot),
    shards: (config['shards'] as number | undefined) ?? serverShards(),
    host: (config['host'] as string | undefined) ?? 'localhost',
    token: config['token'] as string,
    ...(join === undefined ? {} : { join: join.map((each) => joinAddress(each)!) }),
    ...(config['rack'] === undefined ? {} : { rack: config['rack'] as string }),
    isFounding: config['isFounding'] === true,
    ...Object.fromEntries(settings),
  };
}

function checked(
  value: unknown,
  fields: Readonly<Record<string, Check>>,
  optional: ReadonlySet<string>,
  source: string,
): Fields {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw usageFailure(`${source} is not an object`);
  }
  const found = value as Fields;
  for (const name of Object.keys(found)) {
    if (!Object.hasOwn(fields, name)) {
      throw usageFailure(
        `${source}: unknown field ${JSON.stringify(name)}`,
        `Known are ${Object.keys(fields).join(', ')}.`,
      );
    }
  }
  for (const [name, isGood] of Object.entries(fields)) {
    if (found[name] === undefined && optional.has(name)) continue;
    if (!isGood(found[name])) {
      throw usageFailure(`${source}: ${name} is missing or wrong: ${JSON.stringify(found[name])}`);
    }
  }
  return found;
}

/** The JSON that `parseNodeConfig` reads back. */
export function nodeConfigText(config: NodeConfig): string {
  const { clusterId, join, ...rest } = config;
  return JSON.stringify({
    ...rest,
    ...(clusterId === '' ? {} : { clusterId }),
    ...(join === undefined ? {} : { join: join.map(joinText) }),
    memory: config.dataRoot === undefined,
  });
}
