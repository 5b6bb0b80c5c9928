// What the admin room needs of the node it shows.

import type { ThreadLook as InspectedThread } from '../actors/inspect/looks.ts';
import type { MemberControl } from '../actors/threads/control.ts';
import type { QueueStats, RecordAccess } from '../broker/ports.ts';
import type {
  AccessService,
  ClusterChanges,
  ClusterOperations,
  MetadataView,
  NodeRole,
  PolicyService,
  ReplicaStatus,
} from '../cluster/ports.ts';
import type { ApiCluster } from './api-types.ts';

/** One look at a thread. */
export interface ThreadLook extends InspectedThread {
  readonly role: 'main' | 'shard' | 'main and shard';
}

/** A node and its share of all logs there are. */
export interface ClusterNode {
  readonly id: number;
  readonly role: NodeRole;
  readonly rack: string | undefined;
  /** Where its links are dialled, HOST:PORT. */
  readonly address: string;
  readonly isLive: boolean;
  /** It is being emptied, or is empty. */
  readonly isLeaving: boolean;
  readonly leaderCount: number;
  /** Logs that it is to lead: of which it is the first replica. */
  readonly preferredCount: number;
  readonly replicaCount: number;
  readonly outOfSyncCount: number;
}

export interface ClusterFacts {
  readonly nodes: readonly ClusterNode[];
  /** Taken out for good. */
  readonly removed: readonly number[];
  /** Logs whose replicas change. */
  readonly reassignments: ApiCluster['reassignments'];
  readonly settings: readonly (readonly [name: string, value: number])[];
  readonly profile: string;
  readonly isRebalancing: boolean;
}

export interface AdminPorts {
  readonly version: string;
  readonly view: MetadataView;
  readonly records: RecordAccess;
  readonly changes: Pick<ClusterChanges, 'create' | 'configure'> & PolicyService & AccessService;
  /** 4 bytes, others each time. */
  salt(): Uint8Array;
  /** What the replicas of all logs are doing, from every node that answers in time. */
  replicaStatus(): Promise<ReplicaStatus>;
  /** What the leader of a queue says, if it answers in time. */
  queueCounts(logId: number): Promise<QueueStats | undefined>;
  readonly cluster: ClusterOperations;
  clusterFacts(): ClusterFacts;
  uptimeMs(): number;
  wallMs(): number;
  /** Counters of this node by name, for `GET /api/counters`. */
  counters(): Readonly<Record<string, number>>;
  /** Of this node's data folder. Short: nothing is published to logs that it leads. */
  disk(): { readonly freeBytes: number; readonly isShort: boolean };
  /** The actors of one node, or of all that are live; empty if there is no such live node. */
  actors(node: number | undefined): Promise<readonly ThreadLook[]>;
  /** Control of a thread of this node, 0 the main one; undefined if it has no such thread. */
  control(thread: number): MemberControl | undefined;
  sleep(delayMs: number): Promise<void>;
}
