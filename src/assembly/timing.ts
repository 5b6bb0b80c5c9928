// The times of a node, in one place. On one machine a dead process is noticed in about a second: a node
// that misses heartbeats for `sessionTimeoutMs` (or whose
// links broke, for `disconnectedTimeoutMs`) is fenced, and a metadata leader is replaced in at most
// twice `electionTimeoutMs`.
import { CONTROLLER_DEFAULTS, type ControllerConfig } from '../cluster/controller/index.ts';
import type { RaftConfig } from '../raft/index.ts';

export interface Timing {
  readonly heartbeatMs: number;
  readonly raft: Partial<Omit<RaftConfig, 'self'>>;
  readonly controller: ControllerConfig;
  /** How long a stop waits for leaderships to move away. */
  readonly resignMs: number;
  readonly shutdownMs: number;
}

export const DEFAULT_TIMING: Timing = {
  heartbeatMs: 150,
  raft: { electionTimeoutMs: 400, heartbeatMs: 80 },
  controller: {
    ...CONTROLLER_DEFAULTS,
    sessionTimeoutMs: 1_000,
    disconnectedTimeoutMs: 400,
    retryMs: 500,
  },
  resignMs: 1_000,
  shutdownMs: 400,
};
