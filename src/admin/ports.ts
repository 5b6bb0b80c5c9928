// What the admin room needs of the node it shows.

import type { ThreadLook as InspectedThread } from '../actors/inspect/looks.ts';
import type { MemberControl } from '../actors/threads/control.ts';
import type { RecordAccess } from '../broker/ports.ts';
import type { ClusterChanges, MetadataView, ReplicaStatus } from '../cluster/ports.ts';

/** One look at a thread. */
export interface ThreadLook extends InspectedThread {
  readonly role: 'main' | 'shard' | 'main and shard';
}

export interface AdminPorts {
  readonly version: string;
  readonly view: MetadataView;
  readonly records: RecordAccess;
  readonly changes: Pick<ClusterChanges, 'create' | 'configure' | 'putPolicy' | 'deletePolicy'>;
  /** What the replicas of all logs are doing, from every node that answers in time. */
  replicaStatus(): Promise<ReplicaStatus>;
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
