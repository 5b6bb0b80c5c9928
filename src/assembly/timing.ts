// The times of a node, in one place. A node that misses heartbeats for `sessionTimeoutMs` (or whose
// links broke, for `disconnectedTimeoutMs`) is fenced. A metadata leader whose link ended is replaced at
// once, one that only falls silent in at most twice `electionTimeoutMs`. Heartbeats are few, so that an
// idle node sleeps: each is a wake-up of both sides.
import { CONTROLLER_DEFAULTS, type ControllerConfig } from '../cluster/controller/index.ts';
import type { RaftConfig } from '../raft/index.ts';

export interface Timing {
  readonly heartbeatMs: number;
  readonly raft: Partial<Omit<RaftConfig, 'self'>>;
  readonly controller: ControllerConfig;
  /** How long a stop waits for leaderships to move away. */
  readonly resignMs: number;
  /** How long a stop of the metadata leader waits for another to lead. Nobody may be left that could. */
  readonly handOverMs: number;
  readonly shutdownMs: number;
  /** How long a node that is to join asks members that cannot be reached, or cannot take it in yet. */
  readonly joinMs: number;
}

export const DEFAULT_TIMING: Timing = {
  heartbeatMs: 300,
  raft: { electionTimeoutMs: 750, heartbeatMs: 250 },
  controller: {
    ...CONTROLLER_DEFAULTS,
    sessionTimeoutMs: 1_000,
    disconnectedTimeoutMs: 400,
    retryMs: 500,
  },
  resignMs: 1_000,
  handOverMs: 300,
  shutdownMs: 400,
  joinMs: 15_000,
};
