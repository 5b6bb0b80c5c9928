// The vocabulary of the replication room: identities, inputs and outputs of the leader and the
// follower core. Not a wire format: the shell that owns the links encodes these. Main convention:
// frames of a log are numbered from 1, `endSeq` is the last appended seq and `durableSeq` the last
// one this replica's own log device has made durable; 0 means none. Offsets are what clients see
// and never appear here.

/** A node of the cluster, as in metadata. */
export type NodeId = number;

/**
 * A replica by the data it holds. `incarnation` is kept over a lossless restart and replaced by a higher
 * one when the node may have lost what it acknowledged, so an old acknowledgement never counts for an
 * empty disk.
 */
export interface ReplicaId {
  readonly node: NodeId;
  readonly incarnation: number;
}

/** Who is running: both change with every restart of the process or of the owning shard. */
export interface WriterId {
  readonly nodeIncarnation: number;
  readonly shardIncarnation: number;
}

/** The right to write one epoch of one log. Valid only for the writer that it names. */
export interface Grant extends WriterId {
  readonly epoch: number;
  /** The set had been empty and a survivor was chosen: replicas above its end start over. */
  readonly unclean: boolean;
}

/** `all`: a frame needs the whole safe set. `quorum`: it needs `minInsync` members of it. */
export type CommitMode = 'all' | 'quorum';

/** Epoch and the seq of its first frame. */
export interface EpochStart {
  readonly epoch: number;
  readonly firstSeq: number;
}

/** Epoch and the seq of the last frame that a replica holds of it. */
export interface EpochEnd {
  readonly epoch: number;
  readonly lastSeq: number;
}

/** A place in the log with the checksum over everything up to it. */
export interface LogPosition {
  readonly seq: number;
  readonly chain: number;
}

/**
 * What a replica knows of its own log; passed from recovery to a core, and between the two cores.
 */
export interface ReplicaLog {
  readonly endSeq: number;
  /** Chain of the frame at `endSeq`; 0 for an empty log. */
  readonly endChain: number;
  readonly durableSeq: number;
  /** Highest seq known to be committed; never above the true one. */
  readonly committedSeq: number;
  /**
   * Lowest seq still readable as a frame (endSeq + 1 if none): older ones are in snapshot +
   * segments.
   */
  readonly firstFrameSeq: number;
  /** Ascending, back to the snapshot. */
  readonly epochs: readonly EpochStart[];
}

/** Rules taken away, for tests that prove that each one is needed. Absent in production. */
export interface Faults {
  /** A change under way does not hold commits back. */
  readonly commitUnderOldSetOnly?: boolean;
  /** New members need not hold the committed seq and the epoch-begin. */
  readonly noHoldRule?: boolean;
  /** A replica that is to leave deletes what it has before the set has changed. Obeyed by the shells. */
  readonly leaveBeforeChange?: boolean;
  /** Whoever greets is heard, however old its knowledge of who is assigned. */
  readonly hearOldReplicas?: boolean;
  /** A new leader asks nobody what it may lack. */
  readonly noRecoveryRead?: boolean;
  /** A restarted writer goes on in its old epoch. */
  readonly sameEpochAfterRestart?: boolean;
  /**
   * The cut is the start of the newest common epoch, and nobody compares it with the committed seq.
   */
  readonly truncateBelowCommitted?: boolean;
  readonly ackBeforeDurable?: boolean;
  /**
   * An answer leaves when the leader has the frame: of destinations of any durability, and of `replicated` ones.
   * One in sixteen leaves although the leader has not: of `async` ones, and of those in memory. Obeyed by the shells.
   */
  readonly answerAtOnce?: boolean;
  readonly answerUnreceived?: boolean;
  readonly answerUnstored?: boolean;
  readonly answerUnkept?: boolean;
  /** Who wants the commit is answered as who wants the leader alone. Obeyed by the shells. */
  readonly allTransient?: boolean;
  /**
   * The committed seq moves over frames of older epochs: a leader counts frames below its
   * epoch-begin, a follower takes the leader's committed seq before it has cut what the leader does
   * not have.
   */
  readonly hwFromStaleEpoch?: boolean;
  /** A log starts where its leader has just said, before that is committed. Obeyed by the shells. */
  readonly startBeforeCommit?: boolean;
  /** A replica gives readers all that it has. Obeyed by the shells. */
  readonly readToEnd?: boolean;
  /** A planned move does not wait until its target holds the end of the log, nor hold what is appended meanwhile. */
  readonly moveWithoutEnd?: boolean;
}

// ---- Messages between the two cores, by way of the shells ------------------------------------

/** From leader to follower: obey this epoch from now on and say what you hold. */
export interface Fence {
  readonly epoch: number;
  readonly leader: NodeId;
  readonly unclean: boolean;
}

/** From follower to leader, on each new link and each new epoch. Also the answer to a fence. */
export interface Hello {
  readonly from: ReplicaId;
  /** The epoch that the follower has promised to obey. */
  readonly epoch: number;
  /** Counts the hellos of this follower object; the answer repeats it. */
  readonly helloNo: number;
  readonly committedSeq: number;
  readonly endSeq: number;
  readonly durableSeq: number;
  /** Lowest seq that a new leader could fetch here as a frame. */
  readonly firstFrameSeq: number;
  /** How much the replica knows of who is assigned, as {@link LeaderConfig.assignedAt}; absent: all of it. */
  readonly assignedAt?: number;
  /** All epochs it knows, ascending, back to its snapshot. Empty for an empty log. */
  readonly tail: readonly EpochEnd[];
}

interface HelloAnswerBase {
  readonly epoch: number;
  readonly helloNo: number;
  readonly committedSeq: number;
}

export type HelloAnswer =
  /** Keep frames up to `cutSeq`, then take frames from `cutSeq + 1`. */
  | (HelloAnswerBase & { readonly kind: 'frames'; readonly cutSeq: number })
  /** The frames behind the cut are gone here: segments, then a snapshot, then frames. */
  | (HelloAnswerBase & { readonly kind: 'snapshot'; readonly cutSeq: number })
  /** After an unclean election only: discard the log and copy everything. */
  | (HelloAnswerBase & { readonly kind: 'discard' })
  /** The cut lies below what the follower knows to be committed. */
  | (HelloAnswerBase & { readonly kind: 'refused'; readonly cutSeq: number });

// ---- Leader ------------------------------------------------------------------------------------

export interface LeaderLimits {
  /** A follower that has not been caught up for this long leaves the shown ISR. Default 10,000. */
  readonly lagTimeMaxMs: number;
  /** Own frames that stay undurable for this long make the leader resign. Default 1,000. */
  readonly ownStallMaxMs: number;
  /** An unanswered proposal is sent again after this. Default 2,000. */
  readonly proposalRetryMs: number;
  /** A planned move may hold appends for this long. Default 2,000. */
  readonly moveHoldMaxMs: number;
  /** Commits may wait so long for a replica that keeps up, a little late, and is to join the set. Default 1,000. */
  readonly joinHoldMaxMs: number;
}

/** When a follower lags, asked at each tick. */
export interface LagLimits {
  /** In the place of `lagTimeMaxMs`. */
  timeMaxMs(): number;
  /** So many records behind the end a follower lags at once; 0: however many. */
  recordsMax(): number;
  /** Records from behind that frame to the end. */
  recordsBehind(seq: number): number;
}

export interface LeaderConfig {
  readonly logId: number;
  readonly self: ReplicaId;
  /** This process and shard. A grant for another writer is refused: phase `resigned` at once. */
  readonly writer: WriterId;
  readonly grant: Grant;
  /** Assigned replicas; the leader's own node may be one that is to leave. */
  readonly replicas: readonly NodeId[];
  /** Of these, replicas that copy the log and count for nothing. Default none. */
  readonly observers?: readonly NodeId[];
  /**
   * When a replica was assigned last, on a clock that all nodes have in common (an index of the metadata). Who knows
   * less may still be about to delete what it has, and is not heard unless the set counts it. Default 0.
   */
  readonly assignedAt?: number | undefined;
  readonly safeSet: readonly ReplicaId[];
  readonly isr: readonly NodeId[];
  readonly partitionEpoch: number;
  readonly mode: CommitMode;
  /** m of `all`; m and k of `quorum` (majority of the replication factor). */
  readonly minInsync: number;
  readonly log: ReplicaLog;
  /** Registered, unfenced replicas with their current incarnation. */
  readonly live: readonly ReplicaId[];
  readonly nowMs: number;
  readonly limits?: Partial<LeaderLimits> | undefined;
  /** Absent: by `limits` alone, however many records that are. */
  readonly lag?: LagLimits | undefined;
  readonly faults?: Faults | undefined;
}

/**
 * `recovering`: hears members and fetches what it lacks. `starting`: epoch-begin is not committed;
 * only reads below the known committed seq. `active`: may decide, deliver, answer "latest".
 * `resigned`: for good; the shell drops tip state and makes a follower from `log()`.
 */
export type LeaderPhase = 'recovering' | 'starting' | 'active' | 'resigned';

export type ResignReason =
  | 'grant-for-another-writer'
  | 'epoch-already-written'
  | 'not-in-safe-set'
  | 'superseded'
  | 'own-disk-stalled'
  | 'removed-from-safe-set'
  /** Recovery: what it lacks is no longer kept as frames by the member that has it. */
  | 'too-far-behind'
  | 'diverged'
  | 'asked';

export type AlarmReason =
  /** A cut would remove frames that the follower knows to be committed. */
  | 'cut-below-committed'
  /** Equal (epoch, seq), other bytes. */
  | 'chain-mismatch'
  /** A replica returned with less than it had acknowledged, under the same incarnation. */
  | 'acknowledged-frames-lost';

/**
 * `tail` frames are waited for; `catch-up` frames have their own credit and must not delay the
 * tail.
 */
export type StreamClass = 'tail' | 'catch-up';

export type LeaderOutput =
  /** Sent as `Fence` to the node; repeated on request of the core until it says hello. */
  | { readonly kind: 'fence'; readonly node: NodeId; readonly fence: Fence }
  /** Recovery: log the cut of the own log, then call `selfTruncated`. */
  | { readonly kind: 'truncate-self'; readonly toSeq: number }
  /**
   * Recovery: copy frames `fromSeq..throughSeq` of that node, call `appended` for each. A frame
   * that does not continue the log, or comes when the core is not `recovering` or not settled, is
   * dropped: the core may have asked another node meanwhile.
   */
  | {
      readonly kind: 'fetch-missing';
      readonly node: NodeId;
      readonly fromSeq: number;
      readonly throughSeq: number;
    }
  /** Append the event epoch-begin as frame `seq`, then call `appended`. */
  | { readonly kind: 'append-epoch-begin'; readonly seq: number; readonly epoch: number }
  | { readonly kind: 'phase'; readonly phase: LeaderPhase }
  /** At most one per drain, the newest. Reused object: read it before the drain after next. */
  | { readonly kind: 'committed'; readonly seq: number }
  | { readonly kind: 'hello-answer'; readonly node: NodeId; readonly answer: HelloAnswer }
  /** Stream to the node from `fromSeq` in this class until the next `stream` or `stop-stream`. */
  | {
      readonly kind: 'stream';
      readonly node: NodeId;
      readonly fromSeq: number;
      readonly streamClass: StreamClass;
    }
  | { readonly kind: 'stop-stream'; readonly node: NodeId }
  | { readonly kind: 'propose-safe-set'; readonly proposal: SafeSetProposal }
  /** The number of shown ISR members passed `minInsync`, up or down. */
  | { readonly kind: 'can-accept-all'; readonly can: boolean }
  /**
   * Appends are held (`canAppend()` is false), the target has every frame, and all are committed: ask the metadata,
   * once, for an epoch of the target, in the place of this one at this partition epoch.
   */
  | { readonly kind: 'move-ready'; readonly target: NodeId; readonly partitionEpoch: number }
  /** Appends go on. With `isInDoubt` the epoch may still end: what was asked was not answered in time. */
  | { readonly kind: 'move-failed'; readonly target: NodeId }
  | { readonly kind: 'resigned'; readonly reason: ResignReason }
  | {
      readonly kind: 'alarm';
      readonly reason: AlarmReason;
      readonly node: NodeId;
      readonly seq: number;
    };

/**
 * Compare-and-set for the controller: accepted only if leader, epoch and partition epoch are
 * current and every member that is new is registered live in that incarnation. `newSet` equal to
 * the stored one is legal (a change of `isr`, or the withdrawal of an unanswered attempt) and takes
 * a partition epoch like any other. The shell sends each attempt once; the core repeats.
 */
export interface SafeSetProposal {
  readonly logId: number;
  readonly epoch: number;
  readonly expectedPartitionEpoch: number;
  /** Never the same for two epochs of a log. */
  readonly attempt: number;
  readonly newSet: readonly ReplicaId[];
  readonly isr: readonly NodeId[];
}

/** The set as the metadata has it after some partition epoch. */
export interface SafeSetState {
  readonly partitionEpoch: number;
  readonly safeSet: readonly ReplicaId[];
  readonly isr: readonly NodeId[];
}

/** Levels of a reply. `local`: durable here. `committed`: never lost. */
export type ReplyLevel = 'none' | 'local' | 'committed';

/** Where the stream to one follower stands. */
export interface FollowerProgress {
  readonly node: NodeId;
  /** Incarnation that said hello, or -1. */
  readonly incarnation: number;
  readonly isStreaming: boolean;
  readonly streamClass: StreamClass;
  /** Next frame to send. */
  readonly nextSeq: number;
  /** Durable there, and equal to ours. */
  readonly matchSeq: number;
  readonly isInSync: boolean;
}

/** What the shell may call on a leader. All calls are synchronous; outputs wait in `take()`. */
export interface Leader {
  readonly logId: number;
  readonly epoch: number;
  readonly phase: LeaderPhase;
  readonly committedSeq: number;
  readonly endSeq: number;
  readonly durableSeq: number;
  /** 0 until the epoch-begin is appended. */
  readonly epochBeginSeq: number;
  readonly resignReason: ResignReason | undefined;
  /** No self-truncation is under way: `log()` may be handed to a follower core. */
  readonly isSettled: boolean;

  /**
   * A frame is in the own log, not yet durable. Its epoch is the grant's, except for frames fetched
   * during recovery, which keep theirs. Seqs are contiguous.
   */
  appended(seq: number, epoch: number, chain: number): void;
  /** The own log is durable up to this seq. */
  localDurable(seq: number): void;
  /**
   * The cut asked by `truncate-self` is in the log, and no notice of a frame above it will come any
   * more; the position is that of the last frame kept.
   */
  selfTruncated(position: LogPosition): void;
  hello(hello: Hello): void;
  /** `chain` of the frame at `durableSeq`, or -1 if the follower does not know it. */
  ack(node: NodeId, incarnation: number, epoch: number, durableSeq: number, chain: number): void;
  /**
   * The follower has every frame up to `seq`, in memory at least, as it has them from this leader. It counts for no
   * commit, and only while the link lives.
   */
  received(node: NodeId, incarnation: number, epoch: number, seq: number): void;
  /** As many members as a commit needs have received every frame up to here. */
  readonly receivedSeq: number;
  /** Answers have left that promise what is received up to `seq`: who joins the safe set must have received it too. */
  answered(seq: number): void;
  /** The link to the node is gone: its stream ends, its acknowledgements stand. */
  followerLost(node: NodeId): void;
  liveChanged(live: readonly ReplicaId[]): void;
  /** New assignment (reassignment); the set follows when the newcomers have caught up. */
  replicasChanged(
    replicas: readonly NodeId[],
    assignedAt?: number,
    observers?: readonly NodeId[],
  ): void;
  /** The metadata shows this set: acceptance of a proposal, or removal of a lossy member. */
  safeSetChanged(state: SafeSetState): void;
  /** The controller refused that attempt; `current` is what it has. */
  safeSetRejected(attempt: number, current: SafeSetState): void;
  /** Metadata (or a peer) knows this epoch of the log. */
  superseded(epoch: number): void;
  /** Frames below are gone from the log device; who needs them gets a snapshot. */
  framesReleasedBelow(firstFrameSeq: number): void;
  /** At least once a second: longer gaps are not held against anybody (the leader itself slept). */
  tick(nowMs: number): void;
  /**
   * Another in-sync replica is to lead: appends are held until it holds everything (`move-ready`), and at most for
   * `moveHoldMaxMs` from `nowMs` until the metadata shows the next epoch (`superseded`) or `move-failed`. Nothing is begun
   * and nothing is said where that cannot be now, or has just failed. A quiet log may not have been ticked for long.
   */
  planMove(target: NodeId, nowMs: number): void;
  /** The metadata has looked at the move of `move-ready` with this partition epoch, and changed nothing. */
  moveRefused(partitionEpoch: number): void;
  resign(): void;

  /** May a new frame be decided: active, and no planned move holds appends. */
  canAppend(): boolean;
  /**
   * A move that was asked for may still happen: the shell answers nobody before the commit, as the next leader has
   * no more than that for sure.
   */
  readonly isInDoubt: boolean;
  /** Admission of acks=all: shown ISR >= minInsync. */
  canAcceptAll(): boolean;
  hasReached(seq: number, level: ReplyLevel): boolean;
  /** The metadata knows who is in sync, and nothing is asked for: until then ticks are needed. */
  readonly isMembershipTold: boolean;
  /** No other replica has the log, or is to have it. */
  readonly isAlone: boolean;
  /** The shown ISR, leader first. */
  isr(): readonly NodeId[];
  progress(node: NodeId): FollowerProgress | undefined;
  /** The shell has put frames up to `throughSeq` on the link. */
  sent(node: NodeId, throughSeq: number): void;
  /**
   * Committed seq that the node has not been told on this link, or -1. Asked at each link flush.
   */
  committedToSend(node: NodeId): number;
  committedSent(node: NodeId, seq: number): void;
  /** What a follower core continues from. Only while `isSettled`, also after resigning. */
  log(): ReplicaLog;
  /** Outputs since the last call, in order. The array is reused by the call after next. */
  take(): readonly LeaderOutput[];
}

// ---- Follower ----------------------------------------------------------------------------------

export interface FollowerConfig {
  readonly logId: number;
  readonly self: ReplicaId;
  readonly log: ReplicaLog;
  /**
   * Highest epoch of the log in metadata at least as new as this process's and shard's
   * registration. That condition is what makes a promise survive a restart without being written
   * down.
   */
  readonly promisedEpoch: number;
  readonly faults?: Faults;
}

/** `idle`: no leader known. `catching-up`: segments or snapshot are being copied. */
export type FollowerPhase =
  | 'idle'
  | 'greeting'
  | 'truncating'
  | 'following'
  | 'catching-up'
  | 'quarantined';

/** What to do with a received frame. Only `append` puts it into the log. */
export type FrameVerdict =
  | 'append'
  /** Already held. */
  | 'duplicate'
  /** A frame is missing before it; a hello is on its way out. */
  | 'gap'
  /** Of an epoch or a stream that does not count any more. */
  | 'stale'
  /** Its chain does not continue ours: alarm raised, log quarantined. */
  | 'diverged';

/** What the leader offers to copy; only committed seqs are offered. */
export interface SnapshotOffer {
  readonly epoch: number;
  readonly seq: number;
}

/** A snapshot after its atomic installation: state, offset-epoch table and position in one step. */
export interface InstalledSnapshot {
  readonly seq: number;
  readonly chain: number;
  /** Epochs up to `seq`, ascending. */
  readonly epochs: readonly EpochStart[];
}

export type FollowerOutput =
  | { readonly kind: 'send-hello'; readonly to: NodeId; readonly hello: Hello }
  /** Log the cut (before any later frame), then call `truncated`. */
  | { readonly kind: 'truncate'; readonly toSeq: number }
  /** Newest only, reused object. Send to the leader with the next flush of the link. */
  | {
      readonly kind: 'send-ack';
      readonly to: NodeId;
      readonly epoch: number;
      readonly durableSeq: number;
      readonly chain: number;
    }
  /** Newest only, reused object. Frames up to here may be applied; never undone. */
  | { readonly kind: 'apply'; readonly throughSeq: number }
  /** Copy segments (pinned at the leader, adopted but not counted), then call `segmentsCopied`. */
  | { readonly kind: 'copy-segments'; readonly from: NodeId; readonly epoch: number }
  /** Get the newest committed snapshot of the leader, then call `snapshotOffered`. */
  | { readonly kind: 'fetch-snapshot'; readonly from: NodeId; readonly epoch: number }
  /** Replace state, position and both epoch tables in one step, then call `snapshotInstalled`. */
  | { readonly kind: 'install-snapshot'; readonly seq: number }
  /** Unclean election: throw the whole log away, then call `discarded`. */
  | { readonly kind: 'discard-log' }
  | { readonly kind: 'phase'; readonly phase: FollowerPhase }
  | { readonly kind: 'alarm'; readonly reason: AlarmReason; readonly seq: number };

/** What the shell may call on a follower. All calls are synchronous; outputs wait in `take()`. */
export interface Follower {
  readonly logId: number;
  readonly phase: FollowerPhase;
  readonly promisedEpoch: number;
  readonly leader: NodeId | undefined;
  /** No cut and no installation is under way: `log()` may be handed to a leader core. */
  readonly isSettled: boolean;
  readonly endSeq: number;
  readonly durableSeq: number;
  readonly committedSeq: number;

  /**
   * A grant seen in metadata or a `Fence` from a leader. Lower epochs than promised are ignored.
   */
  follow(fence: Fence): void;
  /** The link to the leader is up (again). */
  linkReady(): void;
  linkLost(): void;
  helloAnswered(answer: HelloAnswer): void;
  /** The cut is in the log, and no `durable` notice of a frame above it will come any more. */
  truncated(position: LogPosition): void;
  /** Header of a frame received on the stream of `leaderEpoch`. */
  frame(
    leaderEpoch: number,
    seq: number,
    epoch: number,
    chain: number,
    previousChain: number,
  ): FrameVerdict;
  /** The own log is durable up to this seq. */
  durable(seq: number): void;
  leaderCommitted(leaderEpoch: number, seq: number): void;
  segmentsCopied(epoch: number): void;
  snapshotOffered(offer: SnapshotOffer): void;
  snapshotInstalled(snapshot: InstalledSnapshot): void;
  discarded(): void;
  framesReleasedBelow(firstFrameSeq: number): void;
  /** What a leader core continues from. */
  log(): ReplicaLog;
  /** Outputs since the last call, in order. The array is reused by the call after next. */
  take(): readonly FollowerOutput[];
}
