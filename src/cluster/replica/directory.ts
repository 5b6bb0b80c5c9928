// What a log host must know of the metadata, as an interface: which logs live on this shard, who leads
// them, and where the same log lives on other nodes. Implemented over the metadata image of the thread.
import type { LogDurability } from '../../storage/api.ts';
import type { Assignment } from './assignment.ts';
import type { LagSettings } from './lag.ts';
import type { LogMove } from './peer-protocol.ts';

export interface HostedLogSpec {
  readonly logId: number;
  readonly kind: string;
  readonly durability: LogDurability;
  readonly name: string;
  /** The cluster's own, such as the positions of groups: few bytes that let others go on, taken on a full disk too. */
  readonly isInternal?: boolean;
}

export interface Directory {
  /** True once metadata holds the registration of this very process: before that nothing is hosted. */
  readonly isRegistered: boolean;
  /** Incarnation of this node's data, as registered; 0 before. */
  readonly incarnation: number;
  /** Ids of the logs with a replica on this node that belong to this shard, in order. */
  logsOfShard(): readonly number[];
  assignment(logId: number): Assignment | undefined;
  spec(logId: number): HostedLogSpec | undefined;
  /** The thread that owns the log on that node; undefined while the node is unknown. */
  threadOf(node: number, logId: number): number | undefined;
  /** Index of the last entry of the metadata that is known here. */
  readonly version: number;
  /** The kind of a log that exists and has no replica on this node (any more): its data here may go. */
  leftKind(logId: number): string | undefined;
  /** Bytes a second that a shard of that node copies at most, of a replica that comes to it; 0: no limit. */
  copyRate(logId: number, node: number): number;
  lagSettings(): LagSettings;
  /** The log was deleted by a committed command: its data may go. */
  isDeleted(logId: number): boolean;
  onLogsChanged(handle: (change: LogsChange) => void): () => void;
}

export interface LogsChange {
  /** Logs of this shard whose record, or whose nodes' state, changed. */
  readonly changed: readonly number[];
  /** Changed too, and not hosted on this node, perhaps not any more. */
  readonly elsewhere: readonly number[];
  /** Gone for ever. */
  readonly deleted: readonly number[];
  /** The whole image was replaced: deletions may have been missed. */
  readonly isReplaced: boolean;
  /** Logs of this shard whose leaders are asked to hand over; left out: none. */
  readonly wanted?: readonly LogMove[];
}
