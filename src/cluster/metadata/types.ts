// The nouns of the metadata image: nodes, destinations and their logs. Records are immutable and
// replaced whole, so views may share them. Everything here is in the snapshot.
import type { QueueRules } from './routing-types.ts';

/** A replica that holds what the set promises, named with the data it promised it with. */
export interface SafeMember {
  readonly node: number;
  readonly incarnation: number;
}

/** `actor`: of an application; which one its vhost says. */
export type LogKind = 'partition' | 'group' | 'queue' | 'actor';

/** `all`: a frame commits on the whole safe set. `quorum`: on `minInsync` members of it. */
export type LogMode = 'all' | 'quorum';

/**
 * When a message counts as taken by a log: `sync` when it is committed, `replicated` when as many replicas have
 * received it, `async` when the leader has appended it. What is committed is on disk in all three. `memory`: as
 * `sync`, of one replica that has no disk. In the order of the snapshot.
 */
export const DURABILITIES = ['sync', 'replicated', 'async', 'memory'] as const;

export type Durability = (typeof DURABILITIES)[number];

export const NO_NODE = -1;

export interface LogRecord {
  /** From a counter, never reused. An id below the counter without a record was deleted. */
  readonly logId: number;
  readonly kind: LogKind;
  readonly vhost: string;
  readonly destination: string;
  readonly partition: number;
  /** Everybody who hosts the log: the assigned replicas in order of preference, then those that are to leave. */
  readonly replicas: readonly number[];
  /** Of a reassignment that goes on: assigned replicas that came with it. Sorted. */
  readonly adding: readonly number[];
  /** Of the same: replicas that leave when all that are assigned hold everything. Sorted. */
  readonly removing: readonly number[];
  /** Of the same: a leader that is among them hands over, and is not replaced by the last change of the set. */
  readonly handsOver: boolean;
  /** Index of the command that assigned a replica last; 0: none since the log was made. */
  readonly assignedAt: number;
  /** Node id, or NO_NODE while the log is offline. */
  readonly leader: number;
  /** Grows with every grant and with every loss of a leader. */
  readonly epoch: number;
  /** The grant: only this life of this shard may write in `epoch`. 0 while there is no leader. */
  readonly leaderIncarnation: number;
  readonly leaderShardIncarnation: number;
  /** The epoch began with a replica outside the safe set: what was committed may be gone. */
  readonly isUncleanEpoch: boolean;
  /** In order of node id. */
  readonly safeSet: readonly SafeMember[];
  /** Safe members that are live and caught up, as the leader last said; in order of node id. */
  readonly isr: readonly number[];
  /** Grows with every change of the record: what compare-and-set compares. */
  readonly partitionEpoch: number;
  readonly mode: LogMode;
  /** m: acks=all is refused when the shown ISR is below it. */
  readonly minInsync: number;
  readonly durability: Durability;
  readonly isUncleanAllowed: boolean;
}

export interface DestinationRecord {
  readonly name: string;
  readonly vhost: string;
  /** 16 bytes, chosen by the proposer. */
  readonly topicId: Uint8Array;
  readonly kind: LogKind;
  readonly isInternal: boolean;
  readonly replicationFactor: number;
  /** Sorted by key. */
  readonly config: readonly (readonly [string, string])[];
  /** Indexed by partition number. A queue has one. */
  readonly logIds: readonly number[];
  /** Of a destination of kind `queue`. */
  readonly queue: QueueRules | undefined;
  /** Name of the policy that it has. */
  readonly policy: string | undefined;
}

export interface Endpoint {
  /** 'kafka', 'http', 'link'. */
  readonly listener: string;
  readonly host: string;
  readonly port: number;
}

/** A kind of durable actors, as a node brings it. */
export interface ActorKind {
  readonly name: string;
  /** A higher one takes the place of a lower one when no node is live that brings that. */
  readonly version: number;
  /** Of all that two replicas of a log must agree on. */
  readonly hash: number;
}

/**
 * `disk`: votes on metadata, and stores. `ram`: does not vote, and has everything in memory: each start is a new
 * incarnation with nothing. `witness`: votes, and stores neither metadata nor logs. In the order of the snapshot.
 */
export const NODE_ROLES = ['disk', 'ram', 'witness'] as const;

export type NodeRole = (typeof NODE_ROLES)[number];

export interface NodeRecord {
  readonly id: number;
  /** For as long as the number is this node's. */
  readonly role: NodeRole;
  /** Of the node's data; see `register-node`. */
  readonly incarnation: number;
  readonly bootCounter: number;
  readonly osBootId: string;
  readonly pid: number;
  readonly rack: string | undefined;
  /** In order of listener. */
  readonly endpoints: readonly Endpoint[];
  /** Thread of shard 0: 0 when the main thread is the one shard, else 1. */
  readonly firstShardThread: number;
  /** By shard number; at least one (the main thread). */
  readonly shardIncarnations: readonly number[];
  /** In order of name. */
  readonly kinds: readonly ActorKind[];
  readonly isFenced: boolean;
  /** Live, but asked to lead nothing: it is about to stop. */
  readonly isDraining: boolean;
  /** Gets no replicas any more, and those that it has go elsewhere; over restarts, until it is told otherwise. */
  readonly isLeaving: boolean;
}

export interface ClusterDefaults {
  readonly partitions: number;
  /** -1: min(3, live nodes). */
  readonly replicationFactor: number;
}

/** A node that was taken out of the cluster, and the last name of its data. */
export interface RemovedNode {
  readonly id: number;
  readonly incarnation: number;
}

export function isLive(node: NodeRecord | undefined): node is NodeRecord {
  return node !== undefined && !node.isFenced;
}
