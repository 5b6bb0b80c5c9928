// All timers of one thread in one ordered heap over a single setTimeout, so that firing order is
// (due, creation) as in the simulator and not the order of Node's per-duration lists.
// Invariant: outside a batch, a setTimeout is armed for the earliest timer that is not cancelled.
import { Heap } from '../../std/heap.ts';
import type { Cancel, Clock, Timers } from '../environment.ts';

/** setTimeout fires at once for anything longer; longer waits are cut into pieces of this length. */
export const LONGEST_TIMEOUT_MS = 2 ** 31 - 1;

/** Cancelled entries stay in the heap until they surface; beyond this many, and half, it is rebuilt. */
const COMPACT_AT = 64;

interface Entry {
  readonly dueMs: number;
  readonly sequence: number;
  fire: (() => void) | undefined;
}

export class NodeTimers implements Timers {
  readonly #clock: Clock;
  readonly #heap = new Heap<Entry>((a, b) => a.dueMs - b.dueMs);
  #cancelledCount = 0;
  #nextSequence = 0;
  #armed: NodeJS.Timeout | undefined;
  #armedForMs = Number.POSITIVE_INFINITY;
  #isFiring = false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Timers waiting to fire; cancelled ones are not counted. */
  get pendingCount(): number {
    return this.#heap.size - this.#cancelledCount;
  }

  /** Entries in memory, cancelled ones included. */
  get heldCount(): number {
    return this.#heap.size;
  }

  at(dueMs: number, fire: () => void): Cancel {
    const entry: Entry = { dueMs, sequence: this.#nextSequence, fire };
    this.#nextSequence += 1;
    this.#heap.push(entry);
    if (!this.#isFiring) this.#arm();
    return () => this.#cancel(entry);
  }

  #cancel(entry: Entry): void {
    if (entry.fire === undefined) return;
    entry.fire = undefined;
    this.#cancelledCount += 1;
    if (this.#isFiring) return;
    if (this.#cancelledCount >= COMPACT_AT && this.#cancelledCount * 2 > this.#heap.size) {
      this.#heap.retain((kept) => kept.fire !== undefined);
      this.#cancelledCount = 0;
    }
    this.#arm();
  }

  #arm(): void {
    let top = this.#heap.peek();
    while (top !== undefined && top.fire === undefined) {
      this.#heap.pop();
      this.#cancelledCount -= 1;
      top = this.#heap.peek();
    }
    const dueMs = top === undefined ? Number.POSITIVE_INFINITY : top.dueMs;
    if (dueMs === this.#armedForMs) return;
    if (this.#armed !== undefined) clearTimeout(this.#armed);
    this.#armed = undefined;
    this.#armedForMs = dueMs;
    if (top === undefined) return;
    const waitMs = Math.max(1, Math.ceil(dueMs - this.#clock.monotonicMs()));
    this.#armed = setTimeout(() => this.#fireDue(), Math.min(LONGEST_TIMEOUT_MS, waitMs));
  }

  #fireDue(): void {
    this.#armed = undefined;
    this.#armedForMs = Number.POSITIVE_INFINITY;
    const nowMs = this.#clock.monotonicMs();
    // A timer made by a firing timer waits for the next batch: otherwise "at now" would never end.
    const before = this.#nextSequence;
    const later: Entry[] = [];
    this.#isFiring = true;
    try {
      for (
        let top = this.#heap.peek();
        top !== undefined && top.dueMs <= nowMs;
        top = this.#heap.peek()
      ) {
        this.#heap.pop();
        const fire = top.fire;
        if (fire === undefined) this.#cancelledCount -= 1;
        else if (top.sequence >= before) later.push(top);
        else {
          top.fire = undefined;
          fire();
        }
      }
    } finally {
      for (const entry of later) this.#heap.push(entry);
      this.#isFiring = false;
      this.#arm();
    }
  }
}
