// When a replica lags: by time and, where the cluster says so, by records. Frames are counted by the core, records by
// whoever knows where they are.
import type { LagLimits } from '../../replication/types.ts';
import type { LogContext } from './role.ts';

export interface LagSettings {
  /** `replica.lag.time.max.ms`. */
  readonly timeMaxMs: number;
  /** `replica.lag.max.messages`; 0: however many. */
  readonly recordsMax: number;
}

export function lagOf({ stored, lagSettings }: LogContext): LagLimits {
  return {
    timeMaxMs: () => lagSettings().timeMaxMs,
    recordsMax: () => lagSettings().recordsMax,
    // Of what is no longer there as a frame, all that the log has is behind.
    recordsBehind: (seq) => stored.endOffset - (stored.offsetAt(seq) ?? stored.startOffset),
  };
}
