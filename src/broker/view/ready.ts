// Which message is next: those that came back, lowest offset first, so that each is where it was; then
// what was never taken, by a cursor over the log. Nothing is kept for a message that only waits: ten
// million of them cost as much as none.
import type { Leases } from './leases.ts';
import { OffsetBits } from './offset-bits.ts';
import type { QueueState } from './queue-state.ts';

export class Ready {
  /** Every message below was taken in this epoch, or is acknowledged. */
  cursor: number;
  /** What was taken and came back. All below the cursor. */
  readonly returned = new OffsetBits();
  /** No returned message is below. */
  #lowest = 0;
  /** Messages below that are leased stay where they are: the cursor comes by a second time. */
  #leasedBelow = 0;
  // The run that was taken last.
  offset = 0;
  count = 0;
  cameBack = false;

  constructor(cursor: number) {
    this.cursor = cursor;
  }

  putBack(offset: number): void {
    // The cursor has yet to come by.
    if (offset >= this.cursor) return;
    if (this.returned.count === 0 || offset < this.#lowest) this.#lowest = offset;
    this.returned.add(offset);
  }

  /** It is settled: nobody gets it any more. */
  drop(offset: number): void {
    if (this.returned.count > 0) this.returned.delete(offset);
  }

  /** Everything that is neither leased nor acknowledged is ready again from the floor on. */
  startOver(floor: number): void {
    this.#leasedBelow = Math.max(this.#leasedBelow, this.cursor);
    this.cursor = floor;
    this.returned.clear();
  }

  /** Whether `take` would find something below `limit`. */
  hasBelow(state: QueueState, leases: Leases, limit: number): boolean {
    return this.returned.count > 0 || this.#next(state, leases, limit) < limit;
  }

  /**
   * Takes a run of at most `max` neighbours below `limit` into `offset` and `count`; false if there is
   * nothing.
   */
  take(state: QueueState, leases: Leases, max: number, limit: number): boolean {
    if (this.returned.count > 0) {
      this.#takeReturned(max);
      return true;
    }
    const from = this.#next(state, leases, limit);
    if (from >= limit) return false;
    let end = Math.min(from + max, limit);
    // One by one where the cursor has been before.
    if (from < this.#leasedBelow) end = from + 1;
    const settled = state.acknowledged.nextSet(from, end);
    if (settled >= 0) end = settled;
    this.cameBack = false;
    this.offset = from;
    this.count = end - from;
    this.cursor = end;
    return true;
  }

  #takeReturned(max: number): void {
    const from = this.returned.nextSet(this.#lowest, this.cursor);
    let end = from + 1;
    while (end - from < max && this.returned.has(end)) end += 1;
    this.returned.deleteRange(from, end);
    this.#lowest = end;
    this.cameBack = true;
    this.offset = from;
    this.count = end - from;
  }

  /** Moves the cursor to the first message at or above it that nobody has; may answer `limit` or more. */
  #next(state: QueueState, leases: Leases, limit: number): number {
    let at = Math.max(this.cursor, state.floor);
    for (;;) {
      at = state.acknowledged.nextClear(at);
      if (at >= limit || at >= this.#leasedBelow || !leases.has(at)) break;
      at += 1;
    }
    this.cursor = Math.max(this.cursor, at);
    return at;
  }
}
