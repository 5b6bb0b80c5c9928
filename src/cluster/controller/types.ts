// What the controller is told about time. Nothing of the controller is replicated; all of it is
// rebuilt when the leadership of the metadata group moves.

export interface ControllerConfig {
  /** A node that is not heard for so long is fenced. Also the pause of a new controller. */
  readonly fencingTimeoutMs: number;
  /** A node whose links are all gone is fenced after this silence already. */
  readonly disconnectedTimeoutMs?: number;
  /** Preferred leaders are looked for this often, and at most so many logs move at once. */
  readonly preferredIntervalMs?: number;
  readonly preferredBatch?: number;
  /** How long survivors are asked for their ends before the longest is elected uncleanly. */
  readonly surveyMs?: number;
  /** A proposal without an outcome is made again after this long. */
  readonly retryMs?: number;
}

export const CONTROLLER_DEFAULTS: Required<ControllerConfig> = {
  fencingTimeoutMs: 3000,
  disconnectedTimeoutMs: 1000,
  preferredIntervalMs: 5000,
  preferredBatch: 50,
  surveyMs: 1000,
  retryMs: 2000,
};

/** How far a replica of an offline log reaches: the answer to a survey. */
export interface Survivor {
  readonly logId: number;
  readonly node: number;
  readonly lastEpoch: number;
  readonly endSeq: number;
}

/** Ask these live replicas of an offline log for their (last epoch, end). */
export interface SurveyRequest {
  readonly logId: number;
  readonly nodes: readonly number[];
}
