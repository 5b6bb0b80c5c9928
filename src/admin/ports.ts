// What the admin room needs of the node it shows.

import type { RecordAccess } from '../broker/ports.ts';
import type { MetadataView, ReplicaStatus } from '../cluster/ports.ts';

export interface AdminPorts {
  readonly version: string;
  readonly view: MetadataView;
  readonly records: RecordAccess;
  /** What the replicas of all logs are doing, from every node that answers in time. */
  replicaStatus(): Promise<ReplicaStatus>;
  uptimeMs(): number;
  /** Counters of this node by name, for `GET /api/counters`. */
  counters(): Readonly<Record<string, number>>;
}
