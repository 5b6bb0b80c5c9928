// The nouns of the Raft core: peers, entries, configurations, inputs and the Ready that answers
// them. Plain data only. Indexes and terms are safe integers; index 0 and term 0 mean "none".

/**
 * A voter or learner: a node in one incarnation of its data folder. A node that comes back with an
 * empty disk has another incarnation, so it is another peer and its old votes are not its own.
 */
export type PeerId = number;

/** "Nobody": no vote, no known leader. */
export const NO_PEER: PeerId = 0;

const TWO_32 = 4_294_967_296;

/** Joins a node id in [1, 2^21) and an incarnation in [0, 2^32) to a peer. Throws RangeError. */
export function peerOf(nodeId: number, incarnation: number): PeerId {
  const nodeOk = Number.isInteger(nodeId) && nodeId >= 1 && nodeId < 2 ** 21;
  const incarnationOk = Number.isInteger(incarnation) && incarnation >= 0 && incarnation < TWO_32;
  if (!nodeOk || !incarnationOk) throw new RangeError(`no peer ${nodeId}@${incarnation}`);
  return nodeId * TWO_32 + incarnation;
}

export function nodeOfPeer(peer: PeerId): number {
  return Math.floor(peer / TWO_32);
}

/**
 * `noop` opens a term, `command` is the user's, `config` is an encoded Configuration, `withheld` is a command as a
 * witness keeps it: index and term, without its bytes.
 */
export type EntryKind = 'noop' | 'command' | 'config' | 'withheld';

export interface Entry {
  readonly index: number;
  readonly term: number;
  readonly kind: EntryKind;
  readonly data: Uint8Array;
}

/**
 * Who counts. `outgoing` is empty except in a joint configuration, where every decision needs a
 * majority of `voters` and a majority of `outgoing`. `witnesses` are members of the other lists that keep terms,
 * votes and what entries there are, but not their bytes: they vote and never lead. All lists are sorted.
 */
export interface Configuration {
  readonly voters: readonly PeerId[];
  readonly outgoing: readonly PeerId[];
  readonly learners: readonly PeerId[];
  readonly witnesses: readonly PeerId[];
}

export const EMPTY_CONFIGURATION: Configuration = {
  voters: [],
  outgoing: [],
  learners: [],
  witnesses: [],
};

/** What must survive a crash besides entries. `commit` is a hint and alone never causes a write. */
export interface HardState {
  readonly term: number;
  readonly vote: PeerId;
  readonly commit: number;
}

export const INITIAL_HARD_STATE: HardState = { term: 0, vote: NO_PEER, commit: 0 };

/** A state machine image up to and including `index`. `checksum` is CRC-32C of `data`. */
export interface Snapshot {
  readonly index: number;
  readonly term: number;
  readonly configuration: Configuration;
  readonly checksum: number;
  readonly data: Uint8Array;
}

export type Role = 'follower' | 'pre-candidate' | 'candidate' | 'leader';

export interface RaftConfig {
  readonly self: PeerId;
  /**
   * This peer keeps no commands and has no state machine. It must say the same for as long as the peer exists, and
   * agree with what configurations call it: otherwise `step` throws.
   */
  readonly isWitness?: boolean;
  /** A follower campaigns after hearing no leader for [electionTimeoutMs, 2 x electionTimeoutMs). */
  readonly electionTimeoutMs: number;
  readonly heartbeatMs: number;
  /** Payload bytes of one append message; one larger entry still travels alone. */
  readonly appendBytesMax: number;
  /** Append messages (count, payload bytes) sent to one peer and not yet acknowledged. */
  readonly inFlightMax: number;
  readonly inFlightBytesMax: number;
  /** Bytes of own proposals not yet committed; beyond it proposals are refused as `busy`. */
  readonly uncommittedBytesMax: number;
  /** Bytes of committed entries given out in one Ready (at least one entry). */
  readonly applyBytesMax: number;
  readonly snapshotChunkBytes: number;
  /** Entries kept below a snapshot so that a slightly slow follower does not need the snapshot. */
  readonly trailingEntries: number;
  /** A peer may become a voter when it misses at most this many entries. */
  readonly promotionLagMax: number;
  /** Read requests waiting for the leader's first commit or for confirmation. */
  readonly pendingReadsMax: number;
  /** Rules to break, for tests that prove that they would notice. */
  readonly faults?: RaftFaults;
}

/** Known mistakes, each of which some implementation has made. Never set outside tests and simulations. */
export interface RaftFaults {
  /** The term is written, the vote is not: after a restart there is another one in the same term. */
  readonly forgetVote?: boolean;
  /** Votes and acknowledgements leave before they are durable. */
  readonly ackBeforeDurable?: boolean;
  /** The leader counts its own entries before they are durable. */
  readonly countUnwritten?: boolean;
  /** Entries of older terms are committed by counting (Raft 5.4.2). */
  readonly commitOlderTerms?: boolean;
  /** A vote does not ask whose log is longer. */
  readonly voteForBehind?: boolean;
  /** A voter that hears a leader votes for others. */
  readonly noLease?: boolean;
  /** What the leader of an older term says is obeyed. */
  readonly trustOldTerms?: boolean;
  /** Any membership is reached in one step, without a joint configuration. */
  readonly noJoint?: boolean;
  /** A snapshot names the founders, whoever is a member. */
  readonly snapshotForgetsMembers?: boolean;
  /** A read is answered without asking whether this peer still leads. */
  readonly readUnconfirmed?: boolean;
  /** A new leader reads and changes members before it has committed anything. */
  readonly readyAtOnce?: boolean;
  /** A witness stands for election. */
  readonly witnessLeads?: boolean;
}

/** Defaults for a metadata group on a local network. */
export const RAFT_DEFAULTS: Omit<RaftConfig, 'self' | 'isWitness' | 'faults'> = {
  electionTimeoutMs: 500,
  heartbeatMs: 100,
  appendBytesMax: 256 * 1024,
  inFlightMax: 64,
  inFlightBytesMax: 4 * 1024 * 1024,
  uncommittedBytesMax: 8 * 1024 * 1024,
  applyBytesMax: 1024 * 1024,
  snapshotChunkBytes: 128 * 1024,
  trailingEntries: 200,
  promotionLagMax: 100,
  pendingReadsMax: 4096,
};

/** What recovery found. `configuration` is the bootstrap one: used only while nothing newer is known. */
export interface RaftInitial {
  readonly hardState: HardState;
  readonly configuration: Configuration;
  readonly snapshot?: Snapshot;
  /** Contiguous. Entries at or below the snapshot are ignored. */
  readonly entries: readonly Entry[];
}

/** The two draws of Environment's Random that the core needs. */
export interface RaftRandom {
  below(n: number): number;
}

export type RefusalReason =
  /** Ask the leader named in the status. */
  | 'not-leader'
  /** Uncommitted bytes or pending reads are at their limit. */
  | 'busy'
  /** A leadership transfer is under way. */
  | 'transferring'
  /** Nothing of the leader's own term is committed yet. */
  | 'not-ready'
  /** Another membership change is in flight. */
  | 'change-in-flight'
  /** A new voter is not a learner that has caught up. */
  | 'lagging'
  /**
   * The wanted configuration is malformed: nobody votes, half or more of the voters are witnesses, or a member
   * becomes a witness or stops being one. Or the target of a transfer may not lead.
   */
  | 'invalid'
  /** Leadership was lost before the outcome was known. */
  | 'leadership-lost';

export interface Refusal {
  readonly requestId: number;
  readonly reason: RefusalReason;
}

/** Where a proposal landed: it happened if and only if this (index, term) commits. */
export interface Accepted {
  readonly requestId: number;
  readonly index: number;
  readonly term: number;
}

/** The request may be answered from state applied up to `index`. */
export interface ReadState {
  readonly requestId: number;
  readonly index: number;
}

/**
 * One durable step. In storage order: cut everything at or above `truncateFrom`, append `entries`,
 * write `hardState`, then `snapshot` (all or nothing if it can be one record). With
 * `snapshot.replacesLog` the whole log is replaced. Writes complete in the order given;
 * completion is reported as `persisted` with this `attempt`. A failed write is never reported
 * and never retried: the core must be dropped.
 */
export interface Write {
  readonly attempt: number;
  readonly truncateFrom: number | undefined;
  readonly entries: readonly Entry[];
  readonly hardState: HardState | undefined;
  readonly snapshot: SnapshotWrite | undefined;
}

export interface SnapshotWrite {
  readonly snapshot: Snapshot;
  /** The snapshot came from a leader: the stored log is void. Else entries above `keepFrom` stay. */
  readonly replacesLog: boolean;
  /** Entries below this index are no longer needed once the snapshot is durable. */
  readonly keepFrom: number;
}

export interface SoftState {
  readonly role: Role;
  readonly leader: PeerId;
  readonly term: number;
}

export interface RaftStatus extends SoftState {
  readonly commit: number;
  readonly applied: number;
  readonly lastIndex: number;
  readonly durableIndex: number;
  /** The newest term that is on the disk, and the vote in it; 0: none. */
  readonly durableTerm: number;
  readonly durableVote: PeerId;
  readonly snapshotIndex: number;
  /** The newest in the log: the one that counts. */
  readonly configuration: Configuration;
  /** The newest that is known to be committed. */
  readonly committedConfiguration: Configuration;
  /** The leader has committed an entry of its own term. */
  readonly isReady: boolean;
  /** When the leader was last heard, by the clock of `step`; a learner knows of it for longer than it is there. */
  readonly leaderHeardMs: number;
  /** By peer, leader only. */
  readonly progress: ReadonlyMap<PeerId, PeerStatus>;
}

export interface PeerStatus {
  readonly match: number;
  readonly next: number;
  readonly state: 'probe' | 'replicate' | 'snapshot';
  readonly lastHeardMs: number;
}
