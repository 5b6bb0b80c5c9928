// What metadata says of one log to the replica of it that is hosted here: who leads, who counts, what is kept.
import type { LeaderConfig, ReplicaId } from '../../replication/types.ts';
import type { Durability } from '../metadata/types.ts';
import type { CompactionRules } from './compactions.ts';
import type { RetentionLimits } from './extents.ts';

/** What metadata says about this log, as far as this replica is concerned. */
export interface Assignment {
  readonly epoch: number;
  readonly leader: number;
  readonly unclean: boolean;
  /** Present when this very process and shard may lead `epoch`. */
  readonly lead: Omit<LeaderConfig, 'log' | 'nowMs' | 'logId' | 'self'> | undefined;
  readonly live: readonly ReplicaId[];
  readonly durability: Durability;
  /** What the safe set says of this replica: one of several, the only one of it that there is, or none of it. */
  readonly standing: 'safe' | 'alone' | 'outside';
}

/** How long records of a log are kept, and in what pieces they lie on disk. */
export interface Keeping {
  readonly limits: RetentionLimits;
  /** Present: of each key the newest record stays, and the others go. */
  readonly compaction?: CompactionRules | undefined;
  readonly segmentBytes: number;
  /** Log time between the first and the last batch of a segment. */
  readonly segmentMs: number;
}
