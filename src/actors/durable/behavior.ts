// What a durable actor is made of. Its state is replicated: every change is a frame on a log, and
// `apply` alone changes it. `local` belongs to the leader (waiters, sessions, timers) and starts empty
// after every move. The behavior is pure and synchronous: it reads no clock, no random, no
// configuration outside what it is handed, and its iteration orders are insertion or sorted order.
//
// The host (whoever joins the behavior to a log) appends the frame of a decision, applies it at once
// on the leader's tip, and lets each reply go when the tip it depends on is as safe as its level asks.

/**
 * How safe a frame must be before a reply that depends on it may leave. `accepted`: the leader has appended it.
 * `local`, `stored`: on the leader's disk, committed; or less where the log's destination has a weaker durability.
 */
export type ReplyLevel = 'none' | 'accepted' | 'local' | 'stored' | 'committed';

/** One frame as `apply` sees it. Views are lent for the call. */
export interface FrameView {
  readonly seq: number;
  readonly epoch: number;
  /** Log time in ms: never goes back within a log. */
  readonly logTimeMs: number;
  readonly events: Uint8Array;
  /** A whole v2 record batch with its final base offset, if the frame carries one. */
  readonly batch: Uint8Array | undefined;
  /** Next offset of the log before and after this frame. Equal when there is no batch. */
  readonly baseOffset: number;
  readonly nextOffset: number;
}

/** Where the log stands when a decision is made. */
export interface LogPosition {
  readonly logId: number;
  readonly epoch: number;
  readonly logTimeMs: number;
  /** Next offset after the tip (LEO) and after the committed prefix (HW). */
  readonly endOffset: number;
  readonly committedOffset: number;
  readonly startOffset: number;
  /** Seq of the frame at the tip and of the last committed one. A decision's frame becomes `endSeq` + 1. */
  readonly endSeq: number;
  readonly committedSeq: number;
}

export interface DurableReply {
  /** The token of the command that is answered; each token is answered once. */
  readonly token: number;
  readonly level: ReplyLevel;
  readonly body: Uint8Array;
}

export interface Decision {
  /** With `batch`, the frame to append. Absent both: no frame, only replies. */
  readonly events?: Uint8Array | undefined;
  /** A whole v2 batch; the host stamps base offset and epoch into it. It must be the caller's own bytes. */
  readonly batch?: Uint8Array | undefined;
  readonly replies?: readonly DurableReply[];
  /** False: nobody waits for the frame, so it may ride along with others for a moment. True if left out. */
  readonly isAwaited?: boolean;
  /** Of a tick: there may be more to do at once. */
  readonly isMoreDue?: boolean;
  /**
   * Nobody needs records below this offset any more, as far as the tip says, the frame of this decision
   * not counted. The host moves the log start there once that tip is committed.
   */
  readonly releaseBelow?: number | undefined;
  /** False: the move waits for a frame that is written anyway. True if left out: it gets one of its own. */
  readonly isReleaseDue?: boolean;
}

export interface DurableCommand {
  readonly token: number;
  /** Encoded by the requester's codec, decoded by the behavior. Lent for the call. */
  readonly body: Uint8Array;
}

/** Which offsets somebody may still ask for; those that the state does not know yet count among them. */
export interface NeededOffsets {
  countIn(from: number, to: number): number;
  /** Runs within [from, to): of each its first offset and the one behind its last, in order. */
  runsIn(from: number, to: number): readonly number[];
}

/** Why a decision about a batch is refused. */
export type BatchRefusal = 'too-large' | 'corrupt' | 'invalid' | 'unsupported' | 'throttled';

export interface DurableBehavior<State, Local> {
  readonly kind: string;
  /** Its records may go by age and size: the host keeps account of both for its logs. */
  readonly isRetained?: boolean;
  /** What changes the state is refused at once while fewer replicas are in sync than the log needs. */
  readonly needsInsync?: boolean;
  /** Its events are what its users store: they are refused while the disk is too full for batches. */
  readonly storesEvents?: boolean;
  /** The state before the first frame. */
  initial(): State;
  /** Leader's soft state at promotion, when the epoch-begin frame is committed. */
  promote(state: State, position: LogPosition): Local;
  /** Answers everything that waits, because this node no longer leads. Replies here need no level. */
  demote(local: Local): readonly DurableReply[];
  /** Commands in order. Returns the frame and replies; replies may also come from a later decision or tick. */
  decide(state: State, local: Local, command: DurableCommand, position: LogPosition): Decision;
  /**
   * May this batch be appended as it is? Only for logs that take batches straight from producers.
   * The batch has passed the structural checks (length, CRC, count).
   */
  admit?(
    state: State,
    local: Local,
    batch: Uint8Array,
    position: LogPosition,
  ): BatchRefusal | undefined;
  /**
   * More of the log is committed than when the behavior last looked: what waited for that may go on.
   * Asked about once per turn, however many frames were committed in it, and only of a leader.
   */
  committed?(state: State, local: Local, position: LogPosition): Decision;
  /** Total: never throws for a frame that was logged. A throw quarantines the log. */
  apply(state: State, frame: FrameView): void;
  /**
   * Log time has gone on by `skewMs` more (less, if negative) than is known to have passed since the frame before:
   * the clock of a new leader is another one. A behavior that has this sees it, like a frame, in the same place of
   * the log on every replica.
   */
  skewed?(state: State, skewMs: number): void;
  /** Log time at which `tick` wants to run next, or undefined. */
  nextDueMs(state: State, local: Local): number | undefined;
  tick(state: State, local: Local, position: LogPosition): Decision;
  /**
   * Of a log whose records go one by one: which are still needed, lent until the next frame is applied. What a state
   * does not need no later one does, so that the host may let it go when that state is committed and stored.
   */
  needed?(state: State): NeededOffsets;
  /** Canonical bytes: equal states give equal bytes. */
  snapshot(state: State): Uint8Array;
  restore(bytes: Uint8Array): State;
}

/** The behavior of a log kind with its type parameters hidden, as hosts hold it. */
// biome-ignore lint/suspicious/noExplicitAny: the host pairs each behavior with its own state and local.
export type AnyDurableBehavior = DurableBehavior<any, any>;
