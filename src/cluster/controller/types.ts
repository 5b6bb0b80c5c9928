// What goes into the controller and what comes out. The shell of the Raft leader feeds it and
// proposes what it says; nothing here is replicated, all of it is rebuilt after a change of leader.
import type { MetadataCommand } from '../metadata/index.ts';
import type { LeaderPlan } from './leaders.ts';

export interface ControllerConfig {
  /**
   * A node that is not heard for so long is fenced. Also the pause of a new controller. Steps must come at least
   * twice in that time: a longer pause between two counts as a standstill of the controller's own thread.
   */
  readonly sessionTimeoutMs: number;
  /** A node whose links are all gone is fenced after this silence already. */
  readonly disconnectedTimeoutMs: number;
  /** Preferred leaders are looked for this often, and at most so many move at once. */
  readonly preferredIntervalMs: number;
  readonly preferredBatch: number;
  /** How long survivors are asked for their ends before the longest is elected uncleanly. */
  readonly surveyMs: number;
  /** A rule taken away by a simulation: dead members of `quorum` sets are taken out, whoever leads. */
  readonly shrinksQuorums?: boolean;
  /** A proposal without an effect is made again after this long. */
  readonly retryMs: number;
}

export const CONTROLLER_DEFAULTS: ControllerConfig = {
  sessionTimeoutMs: 3000,
  disconnectedTimeoutMs: 1000,
  preferredIntervalMs: 5000,
  preferredBatch: 50,
  surveyMs: 1000,
  retryMs: 2000,
};

/** How far a replica of an offline log reaches. */
export interface Survivor {
  readonly logId: number;
  readonly node: number;
  readonly lastEpoch: number;
  readonly endSeq: number;
}

export type ControllerInput =
  /**
   * `isReady`: this node leads the metadata group and has committed and applied its own no-op.
   * Anything else (follower, deposed, leader that is not ready): false.
   */
  | { readonly kind: 'leadership'; readonly isReady: boolean }
  /** The node lives, in this incarnation. */
  | {
      readonly kind: 'heartbeat';
      readonly node: number;
      readonly incarnation: number;
    }
  /** No link to the node is up and a connection was refused or reset. */
  | { readonly kind: 'disconnected'; readonly node: number }
  /** The node is about to stop, and has some time for others to take over what it leads. */
  | { readonly kind: 'prepare-stop'; readonly node: number; readonly incarnation: number }
  /** An answer to `survey`. */
  | ({ readonly kind: 'survivor' } & Survivor)
  /** The proposal with this key was applied, refused or lost. */
  | { readonly kind: 'resolved'; readonly key: string }
  /** The metadata image has changed, or time has passed. */
  | { readonly kind: 'tick' };

export type ControllerOutput =
  /** At most one proposal per key is open. */
  | { readonly kind: 'propose'; readonly key: string; readonly command: MetadataCommand }
  /** The leaders named hand these logs over; what fails is planned again, or not, later. */
  | { readonly kind: 'plan-moves'; readonly plans: readonly LeaderPlan[] }
  /** Ask these live replicas of an offline log for their (last epoch, end). */
  | { readonly kind: 'survey'; readonly logId: number; readonly nodes: readonly number[] };
