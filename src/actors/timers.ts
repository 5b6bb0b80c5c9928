// All deadlines of one thread in one indexed heap: actor timers, ask timeouts, back-offs and the
// runtime's own. The environment holds a single timer, for the earliest. Invariant: deadlines fire in
// order of (due, creation), never early, and never after they were cancelled.
import type { Cancel, Clock, Timers } from '../env/environment.ts';
import { assert } from '../std/assert.ts';

/** A deadline that can be cancelled in O(log n); keep it to cancel it. */
export interface Deadline {
  readonly dueMs: number;
  readonly sequence: number;
  readonly fire: () => void;
  /** Position in the heap, -1 when fired or cancelled. */
  position: number;
}

export class Deadlines {
  readonly #clock: Clock;
  readonly #timers: Timers;
  readonly #heap: Deadline[] = [];
  #sequence = 0;
  #armedDueMs = Number.POSITIVE_INFINITY;
  #disarm: Cancel | undefined;
  #isClosed = false;

  constructor(clock: Clock, timers: Timers) {
    this.#clock = clock;
    this.#timers = timers;
  }

  get count(): number {
    return this.#heap.length;
  }

  /** The earliest deadline, or undefined. */
  get nextDueMs(): number | undefined {
    return this.#heap[0]?.dueMs;
  }

  after(delayMs: number, fire: () => void): Deadline {
    return this.at(this.#clock.monotonicMs() + Math.max(0, delayMs), fire);
  }

  at(dueMs: number, fire: () => void): Deadline {
    assert(!Number.isNaN(dueMs), 'a deadline is a number');
    const deadline: Deadline = { dueMs, sequence: this.#sequence, fire, position: -1 };
    this.#sequence += 1;
    if (this.#isClosed) return deadline;
    this.#place(deadline, this.#heap.length);
    this.#rise(deadline);
    this.#arm();
    return deadline;
  }

  /**
   * Takes a deadline back. The environment's timer is left as it is: waking once for nothing is
   * cheaper than setting a timer for every ask that was answered in time.
   */
  cancel(deadline: Deadline): void {
    const at = deadline.position;
    if (at < 0) return;
    deadline.position = -1;
    const last = this.#heap.pop()!;
    if (last === deadline) return;
    this.#place(last, at);
    this.#rise(last);
    this.#sink(last);
  }

  /** Drops every deadline and the environment's timer; what is set from now on never fires. */
  close(): void {
    this.#isClosed = true;
    for (const each of this.#heap) each.position = -1;
    this.#heap.length = 0;
    this.#disarm?.();
    this.#disarm = undefined;
    this.#armedDueMs = Number.POSITIVE_INFINITY;
  }

  #arm(): void {
    const first = this.#heap[0];
    if (first === undefined || first.dueMs >= this.#armedDueMs) return;
    this.#disarm?.();
    this.#armedDueMs = first.dueMs;
    this.#disarm = this.#timers.at(first.dueMs, () => this.#fire());
  }

  #fire(): void {
    this.#armedDueMs = Number.POSITIVE_INFINITY;
    this.#disarm = undefined;
    const nowMs = this.#clock.monotonicMs();
    // What a firing deadline sets anew has a later sequence; a zero delay must not hold the loop.
    const limit = this.#sequence;
    for (;;) {
      const first = this.#heap[0];
      if (first === undefined || first.dueMs > nowMs || first.sequence >= limit) break;
      this.cancel(first);
      first.fire();
    }
    this.#arm();
  }

  #place(deadline: Deadline, at: number): void {
    this.#heap[at] = deadline;
    deadline.position = at;
  }

  #rise(deadline: Deadline): void {
    let at = deadline.position;
    while (at > 0) {
      const parentAt = (at - 1) >> 1;
      const parent = this.#heap[parentAt]!;
      if (!isBefore(deadline, parent)) break;
      this.#place(parent, at);
      at = parentAt;
    }
    this.#place(deadline, at);
  }

  #sink(deadline: Deadline): void {
    let at = deadline.position;
    for (;;) {
      let childAt = 2 * at + 1;
      if (childAt >= this.#heap.length) break;
      let child = this.#heap[childAt]!;
      const right = this.#heap[childAt + 1];
      if (right !== undefined && isBefore(right, child)) {
        childAt += 1;
        child = right;
      }
      if (!isBefore(child, deadline)) break;
      this.#place(child, at);
      at = childAt;
    }
    this.#place(deadline, at);
  }
}

function isBefore(a: Deadline, b: Deadline): boolean {
  return a.dueMs < b.dueMs || (a.dueMs === b.dueMs && a.sequence < b.sequence);
}
