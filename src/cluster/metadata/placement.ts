// Where logs go. Replica j of log i lies on node (i + j) mod n of the sorted live nodes, i counted
// over the whole cluster; with racks the order of nodes alternates between racks, so that adjacent
// nodes, and with them the replicas of one log, differ in rack. Deterministic.
import { mix53 } from '../../std/hash.ts';
import type { LogRecord, NodeRecord } from './types.ts';

/** The shard of a node that owns a log: the same rule on every node, from the shard count alone. */
export function shardOf(logId: number, shardCount: number): number {
  return mix53(logId) % shardCount;
}

/** Live nodes in the order of placement. */
export function placementOrder(live: readonly NodeRecord[]): number[] {
  const isRacked = live.every((node) => node.rack !== undefined);
  if (!isRacked) return live.map((node) => node.id);
  const racks = new Map<string, number[]>();
  for (const node of live) racks.set(node.rack!, [...(racks.get(node.rack!) ?? []), node.id]);
  const columns = [...racks.keys()].sort().map((rack) => racks.get(rack)!);
  const order: number[] = [];
  for (let row = 0; order.length < live.length; row += 1) {
    for (const column of columns) if (row < column.length) order.push(column[row]!);
  }
  return order;
}

/** Replicas of the log that is the `index`-th to be placed in this cluster. */
export function placeReplicas(order: readonly number[], index: number, count: number): number[] {
  const replicas: number[] = [];
  for (let j = 0; j < count; j += 1) replicas.push(order[(index + j) % order.length]!);
  return replicas;
}

/** RF when nobody named one. */
export function defaultReplicationFactor(liveNodes: number): number {
  return Math.min(3, liveNodes);
}

/** Replicas of what goes with as many as there are: as the cluster's default says (-1: none is set). */
export function replicasByDefault(configured: number, liveNodes: number): number {
  const wanted = configured === -1 ? defaultReplicationFactor(liveNodes) : configured;
  return Math.min(liveNodes, wanted);
}

/** Queues and actors: a majority of three or more, else all. */
export function majorityRules(replicas: number): Pick<LogRecord, 'mode' | 'minInsync'> {
  if (replicas < 3) return { mode: 'all', minInsync: defaultMinInsync(replicas) };
  return { mode: 'quorum', minInsync: Math.floor(replicas / 2) + 1 };
}

/** Quorum queues: of two both, so that a minority never confirms. */
export function quorumRules(replicas: number): Pick<LogRecord, 'mode' | 'minInsync'> {
  return replicas < 3 ? { mode: 'all', minInsync: replicas } : majorityRules(replicas);
}

/** m when nobody named one, for `all`. */
export function defaultMinInsync(replicationFactor: number): number {
  return Math.max(1, Math.min(2, replicationFactor - 1));
}
