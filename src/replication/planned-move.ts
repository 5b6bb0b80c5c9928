// The one planned move of a leader: appends are held until the target holds everything, and everything is committed;
// then the metadata may be asked for the next epoch, once. When nobody has said in time what became of that, the epoch
// is in doubt: it may end at any moment, until the set is given a partition epoch that the question does not name.
// A target that did not come up is left alone for some time: each try is a time in which nothing is appended.
// Invariant: what is ready is committed and durable at the target, up to the end of the log.
import type { Membership } from './membership.ts';
import type { OutputQueue } from './outputs.ts';
import type { Peer } from './peer.ts';
import type { Faults, LeaderOutput } from './types.ts';

/** After the time that a move had, if its target had not everything by then or was lost. */
const LEFT_ALONE_MS = 5_000;

interface Move {
  readonly target: Peer;
  readonly deadlineMs: number;
  /** That the question names; -1: it is not asked yet. */
  askedAt: number;
}

export class PlannedMove {
  readonly #members: Membership;
  readonly #outputs: OutputQueue<LeaderOutput>;
  readonly #faults: Faults | undefined;
  #move: Move | undefined;
  #doubtedAt = -1;
  #late: Peer | undefined;
  #lateUntilMs = Number.NEGATIVE_INFINITY;

  constructor(members: Membership, outputs: OutputQueue<LeaderOutput>, faults?: Faults) {
    this.#members = members;
    this.#outputs = outputs;
    this.#faults = faults;
  }

  /** Nothing may be appended. */
  get isHolding(): boolean {
    return this.#move !== undefined && this.#faults?.moveWithoutEnd !== true;
  }

  /** The metadata is asked, by the partition epoch that the set has: it must keep that. */
  get isAsked(): boolean {
    return this.isHolding && this.#move!.askedAt >= 0;
  }

  /** The move may still happen, though nobody waits for it any more. */
  get isInDoubt(): boolean {
    return this.#doubtedAt >= 0;
  }

  get isGoingOn(): boolean {
    return this.#move !== undefined || this.isInDoubt;
  }

  /** False: it cannot be begun now. The same target again changes nothing. */
  begin(target: Peer, nowMs: number, holdMaxMs: number): boolean {
    const move = this.#move;
    if (move?.target === target) return true;
    if (this.isInDoubt || (move !== undefined && move.askedAt >= 0)) return false;
    // One that was lost counts as in sync for a while.
    const isThere = target.isStreaming || this.#faults?.moveWithoutEnd === true;
    if (!target.isInSync || !isThere) return false;
    if (target === this.#late && nowMs < this.#lateUntilMs) return false;
    if (move !== undefined) this.#fail();
    this.#move = { target, deadlineMs: nowMs + holdMaxMs, askedAt: -1 };
    // Whoever could join a little later can do so under the next leader.
    this.#members.stopWaiting();
    return true;
  }

  /**
   * Asks when the target holds everything and all of it is committed. While the set is about to change the metadata
   * would take the question for one that is out of date.
   */
  consider(endSeq: number, committedSeq: number): void {
    const move = this.#move;
    if (move === undefined || move.askedAt >= 0) return;
    if (!move.target.isInSync) {
      this.#failLate();
      return;
    }
    if (this.#members.isAsking) return;
    const isThere = move.target.matchSeq >= endSeq && committedSeq >= endSeq;
    if (!isThere && this.#faults?.moveWithoutEnd !== true) return;
    const { partitionEpoch } = this.#members;
    move.askedAt = partitionEpoch;
    this.#outputs.push({ kind: 'move-ready', target: move.target.node, partitionEpoch });
  }

  /** The metadata answered that the question has changed nothing, and nothing of it is left. */
  refused(partitionEpoch: number): void {
    if (this.#move?.askedAt === partitionEpoch) this.#fail();
    if (this.#doubtedAt === partitionEpoch) this.#doubtedAt = -1;
  }

  /** The set has this partition epoch in the same epoch of the log: what named an older one has no effect any more. */
  adopted(partitionEpoch: number): void {
    const askedAt = this.#move?.askedAt ?? -1;
    if (askedAt >= 0 && askedAt < partitionEpoch) this.#fail();
    if (this.#doubtedAt < partitionEpoch) this.#doubtedAt = -1;
  }

  /** The peer does not follow any more. What was asked is asked. */
  lost(peer: Peer): void {
    if (this.#move?.target === peer && this.#move.askedAt < 0) this.#failLate();
  }

  /** Doubt ends by asking for the set as it is: the answer is another partition epoch, or another epoch. */
  tick(nowMs: number): void {
    const move = this.#move;
    if (move !== undefined && nowMs >= move.deadlineMs) {
      this.#doubtedAt = move.askedAt;
      if (move.askedAt < 0) this.#failLate();
      else this.#fail();
    }
    if (this.isInDoubt) this.#members.reaffirm();
  }

  close(): void {
    this.#move = undefined;
    this.#doubtedAt = -1;
  }

  #failLate(): void {
    const { target, deadlineMs } = this.#move!;
    this.#late = target;
    this.#lateUntilMs = deadlineMs + LEFT_ALONE_MS;
    this.#fail();
  }

  #fail(): void {
    const target = this.#move!.target.node;
    this.#move = undefined;
    this.#outputs.push({ kind: 'move-failed', target });
  }
}
