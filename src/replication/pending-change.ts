// The one change of the safe set that a leader has asked for and not seen decided. Answers may be
// lost, so it is repeated; every attempt is the same compare-and-set, so at most one of them can
// win. Invariant: it ends only when no attempt can win any more: the partition epoch moved on, or
// each attempt was refused.
import type { SafeSet } from './safe-set.ts';
import type { NodeId, SafeSetProposal } from './types.ts';

export class PendingChange {
  readonly set: SafeSet;
  readonly #logId: number;
  readonly #epoch: number;
  readonly #partitionEpoch: number;
  readonly #isr: readonly NodeId[];
  readonly #undecided = new Set<number>();
  readonly #withdrawals = new Set<number>();
  #sentMs = 0;

  constructor(
    set: SafeSet,
    isr: readonly NodeId[],
    base: { logId: number; epoch: number; partitionEpoch: number },
  ) {
    this.set = set;
    this.#isr = isr;
    this.#logId = base.logId;
    this.#epoch = base.epoch;
    this.#partitionEpoch = base.partitionEpoch;
  }

  /** A first or further attempt, to be sent once. */
  attempt(attempt: number, nowMs: number): SafeSetProposal {
    return this.#propose(attempt, nowMs, this.set, this.#isr);
  }

  /**
   * An attempt that asks for the set as it is. It can be accepted whatever became of the members of
   * the change, and then takes the partition epoch from all lost attempts.
   */
  withdrawal(
    attempt: number,
    nowMs: number,
    current: SafeSet,
    isr: readonly NodeId[],
  ): SafeSetProposal {
    this.#withdrawals.add(attempt);
    return this.#propose(attempt, nowMs, current, isr);
  }

  isWithdrawal(attempt: number): boolean {
    return this.#withdrawals.has(attempt);
  }

  isOverdue(nowMs: number, retryMs: number): boolean {
    return nowMs - this.#sentMs >= retryMs;
  }

  /** False for an answer to an earlier change. */
  isUndecided(attempt: number): boolean {
    return this.#undecided.has(attempt);
  }

  /** True when the refusal of this attempt was the last one that could have come out otherwise. */
  refused(attempt: number): boolean {
    this.#undecided.delete(attempt);
    this.#withdrawals.delete(attempt);
    return this.#undecided.size === 0;
  }

  #propose(attempt: number, nowMs: number, set: SafeSet, isr: readonly NodeId[]): SafeSetProposal {
    this.#undecided.add(attempt);
    this.#sentMs = nowMs;
    return {
      logId: this.#logId,
      epoch: this.#epoch,
      expectedPartitionEpoch: this.#partitionEpoch,
      attempt,
      newSet: set.replicaIds(),
      isr,
    };
  }
}
