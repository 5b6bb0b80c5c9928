// `callboard cluster`: who the nodes are and what moves, and the changes of whoever runs them: a node that leaves, other
// replicas, even shares. A change is answered when it has begun; `--wait` stays until it is done.
import type { Command } from 'commander';
import type {
  ApiCluster,
  ApiClusterNode,
  ApiElect,
  ApiReplicas,
  ApiStatus,
} from '../admin/api-types.ts';
import type { AdminClient } from './client.ts';
import { defineAdding } from './cluster-add.ts';
import type { CliContext } from './context.ts';
import { CliFailure, EXIT, usageFailure } from './failure.ts';
import { nodeNumber } from './parse.ts';
import {
  addRemoteOptions,
  clientFor,
  printJson,
  printLines,
  type RemoteOptions,
} from './remote-options.ts';
import { table } from './text.ts';
import { replicaLines } from './topic.ts';

const LOOK_MS = 500;

interface WaitOptions extends RemoteOptions {
  readonly wait?: boolean;
  readonly cancel?: boolean;
}

export function define(program: Command, context: CliContext): void {
  const cluster = program
    .command('cluster')
    .description('nodes, replicas and settings of a cluster');
  addRemoteOptions(
    cluster.command('info').description('nodes, their shares, and what moves'),
  ).action(async (options: RemoteOptions) => print(options, await clientFor(options).cluster()));
  addRemoteOptions(
    cluster.command('health').description('what is wrong; exits 8 if anything is'),
  ).action(health);
  defineAdding(cluster, context);
  addRemoteOptions(
    cluster.command('drain <node>').description('move everything away from a node, leaders first'),
  )
    .option('--cancel', 'it stays after all')
    .option('--wait', 'until it has nothing left')
    .action(drain);
  addRemoteOptions(
    cluster
      .command('remove <node>')
      .description('take out, for good, a node that has nothing left'),
  ).action(async (text: string, options: RemoteOptions) => {
    print(options, await clientFor(options).removeNode(nodeNumber(text)));
  });
  addRemoteOptions(
    cluster.command('rebalance').description('make shares of replicas and leaders even'),
  )
    .option('--wait', 'until they are')
    .action(async (options: WaitOptions) => {
      const client = clientFor(options);
      const begun = await client.rebalance();
      const isDone = (now: ApiCluster) => !now.isRebalancing;
      print(options, options.wait === true ? await until(client, isDone) : begun);
    });
  addRemoteOptions(
    cluster
      .command('elect <destination>')
      .description('another leader for a log: its first replica, if that is in sync'),
  )
    .option('--partition <n>', 'which of its logs', '0')
    .option('--unclean', 'nobody leads it: whoever reaches furthest does, whatever is lost')
    .action(elect);
  addRemoteOptions(
    cluster
      .command('reassign <destination> [replicas]')
      .description('other replicas for a log, as 1,2,4: the first of them is to lead'),
  )
    .option('--partition <n>', 'which of its logs', '0')
    .option('--cancel', 'end the reassignment that goes on')
    .option('--wait', 'until it is over')
    .action(reassign);
  addRemoteOptions(
    cluster
      .command('set <name> [value]')
      .description('a setting of the cluster; without a value its default'),
  ).action(async (name: string, value: string | undefined, options: RemoteOptions) => {
    print(options, await clientFor(options).setSetting(name, value ?? null));
  });
}

async function drain(text: string, options: WaitOptions): Promise<void> {
  const node = nodeNumber(text);
  const client = clientFor(options);
  const begun = await client.drainNode(node, options.cancel === true);
  const isDone = ({ nodes }: ApiCluster) =>
    nodes.every(({ id, state }) => id !== node || state !== 'draining');
  print(options, options.wait === true ? await until(client, isDone) : begun);
}

async function reassign(
  destination: string,
  text: string | undefined,
  options: WaitOptions & { readonly partition: string },
): Promise<void> {
  if ((text === undefined) !== (options.cancel === true)) {
    throw usageFailure('name the nodes, or give --cancel');
  }
  if (!/^\d{1,7}$/.test(options.partition)) throw usageFailure('--partition is a number');
  const partition = Number(options.partition);
  const replicas = text === undefined ? null : text.split(',').map(nodeNumber);
  const client = clientFor(options);
  const begun = await client.reassign({ destination, partition, replicas });
  const isDone = ({ reassignments }: ApiCluster) =>
    reassignments.every((each) => each.destination !== destination || each.partition !== partition);
  print(options, options.wait === true ? await until(client, isDone) : begun);
}

const ELECTED_MS = 30_000;
/** A leader that could not hand over in that time has gone on. */
const AGAIN_MS = 2_500;

type Partition = ApiReplicas['partitions'][number];

/** Waits for the leader that is wanted, and says who has what then. */
async function elect(
  destination: string,
  options: RemoteOptions & { readonly partition: string; readonly unclean?: boolean },
): Promise<void> {
  if (!/^\d{1,7}$/.test(options.partition)) throw usageFailure('--partition is a number');
  const wish = {
    destination,
    partition: Number(options.partition),
    unclean: options.unclean === true,
  };
  const client = clientFor(options);
  await client.elect(wish);
  const isWanted = ({ leader, assigned, endOffset }: Partition) =>
    endOffset !== null && leader !== null && (wish.unclean || leader === assigned[0]);
  for (let waitedMs = LOOK_MS; ; waitedMs += LOOK_MS) {
    const { name, partitions } = await client.replicas(destination);
    const log = partitions.filter((each) => each.partition === wish.partition);
    const isDone = log.some(isWanted);
    if (isDone || waitedMs > ELECTED_MS) {
      if (options.json === true) printJson({ name, partitions: log });
      else printLines(replicaLines({ name, partitions: log }));
      if (!isDone) throw lateElection(destination, wish.partition);
      return;
    }
    await new Promise<void>((resolve) => setTimeout(resolve, LOOK_MS));
    if (!wish.unclean && waitedMs % AGAIN_MS === 0) await again(client, wish);
  }
}

/** It may lead by now. */
async function again(client: AdminClient, wish: ApiElect): Promise<void> {
  try {
    await client.elect(wish);
  } catch (error) {
    if (!(error instanceof CliFailure) || error.code !== 'CLUSTER_ELECTION_NOT_NEEDED') throw error;
  }
}

function lateElection(destination: string, partition: number): CliFailure {
  return new CliFailure(`${destination}-${partition} is not led as wanted yet`, {
    exitCode: EXIT.unreachable,
    code: 'CLI_LATE',
    hint: 'Its leader holds what comes for two seconds at most: try again when there is less to do.',
  });
}

async function until(
  client: AdminClient,
  isDone: (now: ApiCluster) => boolean,
): Promise<ApiCluster> {
  for (;;) {
    const now = await client.cluster();
    if (isDone(now)) return now;
    await new Promise<void>((resolve) => setTimeout(resolve, LOOK_MS));
  }
}

function print(options: RemoteOptions, cluster: ApiCluster): void {
  if (options.json === true) printJson(cluster);
  else printLines(infoLines(cluster));
}

export function infoLines(cluster: ApiCluster): string[] {
  const row = (node: ApiClusterNode) => [
    String(node.id),
    node.role,
    node.isController ? `${node.state}, controller` : node.state,
    node.rack ?? '-',
    node.address,
    `${node.leaderCount}/${node.preferredCount}`,
    `${node.replicaCount - node.outOfSyncCount}/${node.replicaCount}`,
  ];
  const moves = cluster.reassignments.map((each) => [
    `${each.destination}-${each.partition}`,
    each.replicas.join(','),
    each.adding.join(',') || '-',
    each.removing.join(',') || '-',
  ]);
  const settings = Object.entries(cluster.settings).map(([name, value]) => `${name}=${value}`);
  return [
    `cluster ${cluster.clusterId}${cluster.isRebalancing ? ', making shares even' : ''}`,
    ...table([
      ['NODE', 'ROLE', 'STATE', 'RACK', 'LINK', 'LEADS/FIRST', 'IN SYNC'],
      ...cluster.nodes.map(row),
    ]),
    ...(moves.length === 0 ? [] : table([['MOVES', 'REPLICAS', 'NEW', 'LEAVE'], ...moves])),
    ...(cluster.removedNodes.length === 0 ? [] : [`removed: ${cluster.removedNodes.join(', ')}`]),
    [`profile=${cluster.profile}`, ...settings].join(' '),
  ];
}

async function health(options: RemoteOptions): Promise<void> {
  const client = clientFor(options);
  const [status, cluster] = await Promise.all([client.status(), client.cluster()]);
  const problems = problemsOf(status, cluster);
  if (options.json === true) printJson({ health: status.health, problems });
  else printLines(problems.length === 0 ? ['healthy'] : problems);
  if (problems.length > 0) process.exitCode = EXIT.unhealthy;
}

export function problemsOf(status: ApiStatus, cluster: ApiCluster): string[] {
  const { leaderlessCount, underReplicatedCount, controllerId, isDiskShort, nodeId } = status;
  const dead = cluster.nodes.filter(({ isLive }) => !isLive).map(({ id }) => id);
  return [
    ...(controllerId < 0 ? ['there is no metadata leader: nothing can be changed'] : []),
    ...(leaderlessCount > 0 ? [`${leaderlessCount} logs have no leader`] : []),
    ...(underReplicatedCount > 0 ? [`${underReplicatedCount} logs lack an in-sync replica`] : []),
    ...dead.map((id) => `node ${id} is dead`),
    ...(isDiskShort ? [`the disk of node ${nodeId} is too full for publishes`] : []),
  ];
}
