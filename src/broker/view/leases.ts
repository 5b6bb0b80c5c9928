// Which messages are out, with whom and until when: columns by lease, a free list, a table from offset to
// lease, and for each consumer a list of its leases in the order in which they were given. One engine for
// leases that end with their consumer and for leases that run out (`dueMs`).
import { DueHeap } from './due-heap.ts';
import { OffsetTable } from './offset-table.ts';

const NONE = -1;
/** Columns of 64 bytes at most lie in the heap, and cost a queue next to nothing. */
const CAPACITY_MIN = 8;
/** Leases whose memory is kept although nothing is out. */
const KEPT_MAX = 16_384;

export class Leases {
  count = 0;
  /** By lease. */
  offset = new Float64Array(CAPACITY_MIN);
  number = new Float64Array(CAPACITY_MIN);
  /** The consumer's slot. */
  holder = new Int32Array(CAPACITY_MIN);
  returns = new Int32Array(CAPACITY_MIN);
  redelivered = new Uint8Array(CAPACITY_MIN);
  /** Neighbours in the holder's list; `#after` also chains the free leases. */
  #before = new Int32Array(CAPACITY_MIN);
  #after = new Int32Array(CAPACITY_MIN);
  /** By consumer slot. */
  #first = new Int32Array(CAPACITY_MIN).fill(NONE);
  #last = new Int32Array(CAPACITY_MIN).fill(NONE);
  #held = new Int32Array(CAPACITY_MIN);
  #free = NONE;
  /** Leases ever made: those at and above were never used. */
  #used = 0;
  readonly #byOffset = new OffsetTable();
  readonly #due = new DueHeap();

  has(offset: number): boolean {
    return this.#byOffset.has(offset);
  }

  /** The lease of a message, or -1. */
  of(offset: number): number {
    return this.#byOffset.get(offset, NONE);
  }

  heldBy(holder: number): number {
    return holder < this.#held.length ? this.#held[holder]! : 0;
  }

  /** The newest lease of a consumer, or -1; `before` goes on to older ones. */
  newestOf(holder: number): number {
    return holder < this.#last.length ? this.#last[holder]! : NONE;
  }

  before(lease: number): number {
    return this.#before[lease]!;
  }

  get firstDueMs(): number | undefined {
    return this.#due.firstDueMs;
  }

  /** A lease that has run out by then, or -1. It stays until it is removed, but does not run out again. */
  takeExpired(nowMs: number): number {
    return this.#due.take(nowMs);
  }

  /** It runs out by itself. */
  isTimed(lease: number): boolean {
    return this.#due.has(lease);
  }

  setDue(lease: number, dueMs: number): void {
    this.#due.set(lease, dueMs);
  }

  /** `dueMs` 0: until it is settled or the holder is gone. */
  add(offset: number, number: number, holder: number, dueMs: number): number {
    const lease = this.#take();
    this.offset[lease] = offset;
    this.number[lease] = number;
    this.holder[lease] = holder;
    this.#link(lease, holder);
    this.#byOffset.set(offset, lease);
    if (dueMs > 0) this.#due.set(lease, dueMs);
    this.count += 1;
    return lease;
  }

  remove(lease: number): void {
    this.#byOffset.delete(this.offset[lease]!);
    this.#due.delete(lease);
    this.#unlink(lease, this.holder[lease]!);
    this.#after[lease] = this.#free;
    this.#free = lease;
    this.count -= 1;
    if (this.count === 0 && this.#used > KEPT_MAX) this.#startSmall();
  }

  /** All leased offsets below `end`, ascending. */
  sortedOffsets(end: number): Float64Array {
    const all = this.#byOffset.sortedOffsets();
    let count = all.length;
    while (count > 0 && all[count - 1]! >= end) count -= 1;
    return all.subarray(0, count);
  }

  #take(): number {
    const lease = this.#free;
    if (lease !== NONE) {
      this.#free = this.#after[lease]!;
      return lease;
    }
    if (this.#used === this.offset.length) this.#resize(this.#used * 2);
    this.#used += 1;
    return this.#used - 1;
  }

  /** Nothing is out: the memory of many leases is given back. */
  #startSmall(): void {
    this.#used = 0;
    this.#free = NONE;
    this.#due.clear();
    this.#resize(CAPACITY_MIN);
  }

  #link(lease: number, holder: number): void {
    if (holder >= this.#first.length) this.#growHolders(Math.max(holder + 1, holder * 2));
    const last = this.#last[holder]!;
    this.#before[lease] = last;
    this.#after[lease] = NONE;
    if (last === NONE) this.#first[holder] = lease;
    else this.#after[last] = lease;
    this.#last[holder] = lease;
    this.#held[holder]! += 1;
  }

  #unlink(lease: number, holder: number): void {
    const before = this.#before[lease]!;
    const after = this.#after[lease]!;
    if (before === NONE) this.#first[holder] = after;
    else this.#after[before] = after;
    if (after === NONE) this.#last[holder] = before;
    else this.#before[after] = before;
    this.#held[holder]! -= 1;
  }

  #resize(size: number): void {
    this.offset = moved(this.offset, new Float64Array(size));
    this.number = moved(this.number, new Float64Array(size));
    this.holder = moved(this.holder, new Int32Array(size));
    this.returns = moved(this.returns, new Int32Array(size));
    this.redelivered = moved(this.redelivered, new Uint8Array(size));
    this.#before = moved(this.#before, new Int32Array(size));
    this.#after = moved(this.#after, new Int32Array(size));
  }

  #growHolders(size: number): void {
    this.#first = moved(this.#first, new Int32Array(size).fill(NONE));
    this.#last = moved(this.#last, new Int32Array(size).fill(NONE));
    this.#held = moved(this.#held, new Int32Array(size));
  }
}

function moved<T extends Float64Array | Int32Array | Uint8Array>(from: T, into: T): T {
  into.set(from.length > into.length ? from.subarray(0, into.length) : from);
  return into;
}
