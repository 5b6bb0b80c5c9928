// What peers say to each other. Plain objects; message-codec.ts gives them bytes. Every message
// names both peers with their incarnations and the term that authorises it, responses included.
import type { Configuration, Entry, PeerId } from './types.ts';

interface Envelope {
  readonly from: PeerId;
  readonly to: PeerId;
  readonly term: number;
}

/**
 * `isPreVote`: would you vote for me? `term` is then the term it would campaign in, and nobody
 * changes state. `isTransfer`: the leader asked for this election, so its lease does not refuse it.
 */
export interface VoteRequest extends Envelope {
  readonly kind: 'vote-request';
  readonly isPreVote: boolean;
  readonly isTransfer: boolean;
  readonly lastIndex: number;
  readonly lastTerm: number;
}

/** Grants carry the term asked for; refusals the term of the voter. */
export interface VoteResponse extends Envelope {
  readonly kind: 'vote-response';
  readonly isPreVote: boolean;
  readonly isGranted: boolean;
}

export interface AppendRequest extends Envelope {
  readonly kind: 'append-request';
  readonly prevIndex: number;
  readonly prevTerm: number;
  readonly commit: number;
  readonly entries: readonly Entry[];
}

/**
 * Accepted: `index` is the last index known to match the request. Rejected: `index` repeats the
 * request's prevIndex, (hintIndex, hintTerm) is the follower's best candidate for a match.
 */
export interface AppendResponse extends Envelope {
  readonly kind: 'append-response';
  readonly isRejected: boolean;
  readonly index: number;
  readonly hintIndex: number;
  readonly hintTerm: number;
}

/** `readSeq` numbers read confirmations; the response returns it. */
export interface Heartbeat extends Envelope {
  readonly kind: 'heartbeat';
  readonly commit: number;
  readonly readSeq: number;
}

export interface HeartbeatResponse extends Envelope {
  readonly kind: 'heartbeat-response';
  readonly readSeq: number;
}

export interface SnapshotChunk extends Envelope {
  readonly kind: 'snapshot-chunk';
  readonly snapshotIndex: number;
  readonly snapshotTerm: number;
  readonly configuration: Configuration;
  readonly checksum: number;
  readonly totalBytes: number;
  readonly offset: number;
  readonly data: Uint8Array;
}

/** To a witness, in place of a snapshot: what is committed up to `snapshotIndex`, without its image. */
export interface WitnessSnapshot extends Envelope {
  readonly kind: 'witness-snapshot';
  readonly snapshotIndex: number;
  readonly snapshotTerm: number;
  readonly configuration: Configuration;
}

/** `offset`: bytes of the named snapshot that the follower holds, so where to go on. */
export interface SnapshotResponse extends Envelope {
  readonly kind: 'snapshot-response';
  readonly snapshotIndex: number;
  readonly snapshotTerm: number;
  readonly offset: number;
}

/** The leader hands over: campaign at once, without a pre-vote. */
export interface TimeoutNow extends Envelope {
  readonly kind: 'timeout-now';
}

export type RaftMessage =
  | VoteRequest
  | VoteResponse
  | AppendRequest
  | AppendResponse
  | Heartbeat
  | HeartbeatResponse
  | SnapshotChunk
  | SnapshotResponse
  | WitnessSnapshot
  | TimeoutNow;
