// What the admin room needs of the node it shows.

import type { RecordAccess } from '../broker/ports.ts';
import type { LogStatus, MetadataView } from '../cluster/ports.ts';

export interface AdminPorts {
  readonly version: string;
  readonly view: MetadataView;
  readonly records: RecordAccess;
  /** What the leaders of all logs say of them, from every node that answers in time. */
  leaderStatus(): Promise<ReadonlyMap<number, LogStatus>>;
  uptimeMs(): number;
  /** Counters of this node by name, for `GET /api/counters`. */
  counters(): Readonly<Record<string, number>>;
}
