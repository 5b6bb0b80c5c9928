// What a leader knows about one replica, itself included. Plain state, no rules: those are in the
// leader core and in safe-set.ts. Invariant: `matchSeq` is durable there and equal to our log, as
// said by `incarnation`; it counts for no other incarnation.
import type { FollowerProgress, Hello, NodeId, ReplicaId, StreamClass } from './types.ts';

export class Peer implements FollowerProgress {
  readonly node: NodeId;
  readonly isSelf: boolean;
  /** Incarnation that is registered and unfenced, or -1. */
  liveIncarnation = -1;
  /** Incarnation in the current safe set, or -1. */
  memberIncarnation = -1;
  /** Incarnation that said the last hello, or -1. */
  incarnation = -1;
  isAssigned = false;
  /** It copies the log and counts for nothing: it never joins a set. */
  isObserver = false;
  isLinked = false;
  isStreaming = false;
  /** The follower cuts its log first; its acknowledgement of the cut starts the stream. */
  awaitsCut = false;
  isInSync = false;
  streamClass: StreamClass = 'tail';
  matchSeq = 0;
  /** The last frame that it has, durable or not: as long as the link lives. */
  receivedSeq = 0;
  nextSeq = 1;
  /** The stream is catch-up until the follower holds this. */
  catchUpEndSeq = 0;
  toldCommittedSeq = 0;
  /** Last moment at which it held all that there was. */
  caughtUpMs = Number.NEGATIVE_INFINITY;
  /** It had more records to come than it may, at the last tick. */
  isFar = false;
  /** Since when it could join, if it only held at some moment what is committed by then; or Infinity. */
  lateSinceMs = Number.POSITIVE_INFINITY;
  /** Last hello, kept while it may be needed for recovery or waits for its answer. */
  hello: Hello | undefined;

  constructor(node: NodeId, isSelf: boolean) {
    this.node = node;
    this.isSelf = isSelf;
  }

  /** Durable seq that counts for the member of that incarnation. */
  matchOf(incarnation: number): number {
    return this.incarnation === incarnation ? this.matchSeq : 0;
  }

  /** The last frame that the member of that incarnation has in memory at least. */
  receivedOf(incarnation: number): number {
    return this.incarnation === incarnation ? Math.max(this.matchSeq, this.receivedSeq) : 0;
  }

  /** Registered live in the incarnation that talks to us. */
  get isLive(): boolean {
    return this.incarnation >= 0 && this.incarnation === this.liveIncarnation;
  }

  replicaId(): ReplicaId {
    return { node: this.node, incarnation: this.incarnation };
  }

  /** It is a replica no more: whatever it says next, it begins anew. */
  forget(): void {
    this.unlink();
    this.incarnation = -1;
    this.matchSeq = 0;
    this.toldCommittedSeq = 0;
    this.isFar = false;
    this.caughtUpMs = Number.NEGATIVE_INFINITY;
    this.lateSinceMs = Number.POSITIVE_INFINITY;
  }

  unlink(): void {
    this.isLinked = false;
    this.isStreaming = false;
    this.awaitsCut = false;
    this.receivedSeq = 0;
    this.hello = undefined;
  }
}
