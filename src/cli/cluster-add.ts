// `callboard cluster add` and `token`: what is to be run for a node to join, and the secret that it needs. Both change
// nothing. The token is in the folder of the cluster, readable by its owner only, and in no metadata: links must be
// proved before there is metadata to read, and whoever reads a snapshot or the HTTP API must not learn it.
import fs from 'node:fs';
import { join, resolve } from 'node:path';
import type { Command } from 'commander';
import type { ApiCluster, ApiStatus } from '../admin/api-types.ts';
import { isLoopback } from '../std/loopback.ts';
import type { CliContext } from './context.ts';
import { DEFAULT_FOLDER } from './dev/folder.ts';
import { AMQP_PORT, BASE_PORT, HTTP_ABOVE, LINK_ABOVE, ROCKETMQ_PORT } from './dev/ports.ts';
import { commandText } from './dev/report.ts';
import { CliFailure, EXIT, usageFailure } from './failure.ts';
import { nodeNumber } from './parse.ts';
import {
  addRemoteOptions,
  clientFor,
  printJson,
  printLines,
  type RemoteOptions,
} from './remote-options.ts';
import { SERVER_FILE, TOKEN_VARIABLE } from './server-join.ts';
import { shellWord } from './text.ts';

/** Members that the new node is told of: one may be down when it asks. */
const MEMBERS_MAX = 3;

interface AddOptions extends RemoteOptions {
  readonly id?: number;
}

export function defineAdding(cluster: Command, context: CliContext): void {
  addRemoteOptions(
    cluster.command('add').description('print what to run for one more node; changes nothing'),
  )
    .option('--id <n>', 'its number (default: the next)', nodeNumber)
    .action((options: AddOptions) => add(options, context));
  cluster
    .command('token')
    .description('print the token that nodes join with')
    .option('--data <dir>', "folder of `callboard dev`, or of a node that joined (default: dev's)")
    .option('--json', 'machine-readable output')
    .action((options: RemoteOptions) => {
      const token = tokenIn(options.data ?? DEFAULT_FOLDER);
      if (token === undefined) throw noToken(options.data ?? DEFAULT_FOLDER);
      if (options.json === true) printJson({ token });
      else printLines([token]);
    });
}

async function add(options: AddOptions, context: CliContext): Promise<void> {
  const client = clientFor(options);
  const [cluster, status] = await Promise.all([client.cluster(), client.status()]);
  const plan = planOf(cluster, status, options.id);
  const command = commandText(context.binPath, process.cwd());
  const hasToken =
    tokenIn(options.data ?? DEFAULT_FOLDER) !== undefined && options.url === undefined;
  if (options.json === true) printJson(plan);
  else printLines(addLines(plan, command, hasToken ? options.data : undefined, hasToken));
}

export interface AddPlan {
  readonly clusterId: string;
  readonly id: number;
  /** HOST:PORT of links of live members. */
  readonly join: readonly string[];
  readonly dataFolder: string;
  /** Of `callboard server`, without the token. */
  readonly arguments: readonly string[];
}

/** @throws CliFailure (2, 5, 7). */
export function planOf(
  cluster: ApiCluster,
  status: ApiStatus,
  wanted: number | undefined,
): AddPlan {
  const { nodes, removedNodes, clusterId } = cluster;
  const known = nodes.find(({ id }) => id === wanted);
  if (known?.isLive === true) {
    throw new CliFailure(`node ${known.id} is a member already, and live`, {
      exitCode: EXIT.taken,
      code: 'NODE_JOIN_ID_TAKEN',
      hint: 'Leave --id out for the next number.',
    });
  }
  const id = wanted ?? Math.max(0, ...nodes.map((node) => node.id), ...removedNodes) + 1;
  const live = nodes.filter((node) => node.isLive && node.address !== '');
  const members = live.slice(0, MEMBERS_MAX).map(({ address }) => address);
  if (members.length === 0) {
    throw new CliFailure('no member is live: nobody could take a node in', {
      exitCode: EXIT.unreachable,
      code: 'CLI_NO_MEMBER',
    });
  }
  if (id > 2_097_151) throw usageFailure(`there is no node ${id}: numbers go to 2097151`);
  const dataFolder = `node-${id}`;
  return {
    clusterId,
    id,
    join: members,
    dataFolder,
    arguments: [
      ...['--join', members.join(','), '--id', String(id), '--data', dataFolder],
      ...portArguments(cluster, status, id),
    ],
  };
}

/** Where all nodes are on one machine, and ports are not the usual ones, the new one gets the next of each. */
function portArguments(cluster: ApiCluster, status: ApiStatus, id: number): string[] {
  const links = cluster.nodes.map(({ address }) => /^(.*):(\d+)$/.exec(address));
  const isOneMachine = links.every(
    (found) => found?.[1] !== undefined && isLoopback(found[1].replace(/^\[|\]$/g, '')),
  );
  if (!isOneMachine) return [];
  const next = (ports: readonly number[]): number => Math.max(...ports) + 1;
  const ports = [
    ['--kafka-port', next(status.nodes.map((node) => node.kafkaPort)), BASE_PORT],
    ['--amqp-port', next(status.nodes.map((node) => node.amqpPort)), AMQP_PORT],
    ['--rocketmq-port', next(status.nodes.map((node) => node.rocketmqPort)), ROCKETMQ_PORT],
    ['--http-port', next(status.nodes.map((node) => node.httpPort)), BASE_PORT + HTTP_ABOVE],
    ['--link-port', next(links.map((found) => Number(found?.[2]))), BASE_PORT + LINK_ABOVE],
  ] as const;
  return ports.flatMap(([name, port, usual]) =>
    port === usual + id - 1 ? [] : [name, String(port)],
  );
}

export function addLines(
  plan: AddPlan,
  command: string,
  tokenFolder: string | undefined,
  hasToken: boolean,
): string[] {
  const words = plan.arguments.map(shellWord).join(' ');
  const where = tokenFolder === undefined ? '' : ` --data ${shellWord(tokenFolder)}`;
  const token = hasToken ? `"$(${command} cluster token${where})"` : 'TOKEN';
  return [
    `node ${plan.id} of cluster ${plan.clusterId}:`,
    `  ${TOKEN_VARIABLE}=${token} ${command} server ${words}`,
    ...(hasToken
      ? ['on another machine with the token itself, and --host and --advertise for its address']
      : ['with the token of the cluster: `callboard cluster token` prints it where its folder is']),
    `it is started again with`,
    `  ${command} server --data ${shellWord(plan.dataFolder)}`,
    'and gets its share of what is there by itself after a while (rebalance.after.ms), or with',
    `  ${command} cluster rebalance --wait${where}`,
  ];
}

/** The token in a folder of `dev` or of a node that joined; undefined: there is none, or it may not be read. */
function tokenIn(folder: string): string | undefined {
  for (const name of ['cluster.json', SERVER_FILE]) {
    let found: { readonly token?: unknown };
    try {
      found = JSON.parse(fs.readFileSync(join(resolve(folder), name), 'utf8')) as typeof found;
    } catch {
      continue;
    }
    if (typeof found.token === 'string' && found.token !== '') return found.token;
  }
  return undefined;
}

function noToken(folder: string): CliFailure {
  return new CliFailure(`${folder} has no token that can be read`, {
    exitCode: EXIT.notFound,
    code: 'CLI_NO_TOKEN',
    hint: 'It is in the folder of `callboard dev`, of a node that joined, or in the configuration file of a node.',
  });
}
