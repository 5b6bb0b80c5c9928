// What a log host is given: what it stands on, and whom it tells.
import type { AnyDurableBehavior } from '../../actors/durable/behavior.ts';
import type { System } from '../../actors/system.ts';
import type { Log } from '../../env/environment.ts';
import type { Faults, SafeSetProposal } from '../../replication/types.ts';
import type { ShardStore } from '../../storage/api.ts';
import type { CompactionFaults } from '../../storage/compaction/pass.ts';
import type { LeaderMove } from '../metadata/commands.ts';
import type { Keeping } from './assignment.ts';
import type { CompactionOptions } from './compactions.ts';
import type { Directory } from './directory.ts';

export interface LogHostConfig {
  readonly system: System;
  readonly node: number;
  readonly shardIncarnation: number;
  readonly store: ShardStore;
  readonly directory: Directory;
  readonly log: Log;
  /** Rules taken away by a simulation. */
  readonly faults: Faults | undefined;
  /** Where every leader has the same wall clock, time counts while nobody leads; else it must not. */
  readonly trustsWallClock?: boolean;
  behaviorOf(kind: string): AnyDurableBehavior | undefined;
  readonly compaction?: CompactionOptions | undefined;
  readonly compactionFaults?: CompactionFaults | undefined;
  /** Undefined for logs whose records do not go by age or size. Asked again when metadata says that a log has changed. */
  keepingOf?(logId: number): Keeping | undefined;
  /** Sends a safe-set proposal to the metadata leader; the answer comes back by `safeSetRejected` or metadata. */
  propose(proposal: SafeSetProposal): void;
  /** A leader here has held its appends until another replica had everything; a refusal comes back by `moveRefused`. */
  moveLeader?(move: LeaderMove): void;
  /** A leader here gave the log up in this epoch; asked again until the metadata has another. */
  resignLog(logId: number, epoch: number): void;
  /** What this node acknowledged of these logs is lost to it; told again until the metadata says so. */
  reportLoss?(logIds: readonly number[]): void;
  /** The store failed: this shard can go on no more. */
  onStoreFailure(error: Error): void;
}
