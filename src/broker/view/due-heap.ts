// Which of many numbered slots is due first: a binary heap of slot numbers in typed arrays that knows
// where each slot stands, so that a time can be changed or taken back without a search. Slots of one
// time leave in the order of their numbers.

const NOWHERE = -1;
/** Columns of 64 bytes at most lie in the heap. */
const CAPACITY_MIN = 8;

export class DueHeap {
  size = 0;
  #heap = new Int32Array(CAPACITY_MIN);
  /** By slot: place in the heap, or -1. */
  #place = new Int32Array(CAPACITY_MIN).fill(NOWHERE);
  #dueMs = new Float64Array(CAPACITY_MIN);

  /** When the first slot is due, or undefined. */
  get firstDueMs(): number | undefined {
    return this.size === 0 ? undefined : this.#dueMs[this.#heap[0]!]!;
  }

  /** Removes and answers the first slot that is due by then, or -1. */
  take(nowMs: number): number {
    if (this.size === 0) return -1;
    const slot = this.#heap[0]!;
    if (this.#dueMs[slot]! > nowMs) return -1;
    this.delete(slot);
    return slot;
  }

  has(slot: number): boolean {
    return slot < this.#place.length && this.#place[slot] !== NOWHERE;
  }

  set(slot: number, dueMs: number): void {
    this.#require(slot);
    let at = this.#place[slot]!;
    if (at === NOWHERE) {
      at = this.size;
      this.size += 1;
      this.#put(at, slot);
    }
    this.#dueMs[slot] = dueMs;
    this.#rise(at);
    this.#sink(this.#place[slot]!);
  }

  delete(slot: number): void {
    if (!this.has(slot)) return;
    const at = this.#place[slot]!;
    this.#place[slot] = NOWHERE;
    this.size -= 1;
    if (at === this.size) return;
    const last = this.#heap[this.size]!;
    this.#put(at, last);
    this.#rise(at);
    this.#sink(this.#place[last]!);
  }

  /** Forgets everything, and gives the memory back. */
  clear(): void {
    this.size = 0;
    this.#heap = new Int32Array(CAPACITY_MIN);
    this.#place = new Int32Array(CAPACITY_MIN).fill(NOWHERE);
    this.#dueMs = new Float64Array(CAPACITY_MIN);
  }

  #put(at: number, slot: number): void {
    this.#heap[at] = slot;
    this.#place[slot] = at;
  }

  #isBefore(a: number, b: number): boolean {
    const order = this.#dueMs[a]! - this.#dueMs[b]!;
    return order < 0 || (order === 0 && a < b);
  }

  #rise(from: number): void {
    const slot = this.#heap[from]!;
    let at = from;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      const above = this.#heap[parent]!;
      if (!this.#isBefore(slot, above)) break;
      this.#put(at, above);
      at = parent;
    }
    this.#put(at, slot);
  }

  #sink(from: number): void {
    const slot = this.#heap[from]!;
    let at = from;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= this.size) break;
      const isRightFirst =
        child + 1 < this.size && this.#isBefore(this.#heap[child + 1]!, this.#heap[child]!);
      if (isRightFirst) child += 1;
      const below = this.#heap[child]!;
      if (!this.#isBefore(below, slot)) break;
      this.#put(at, below);
      at = child;
    }
    this.#put(at, slot);
  }

  #require(slot: number): void {
    const capacity = this.#place.length;
    if (slot < capacity) return;
    const wanted = Math.max(capacity * 2, slot + 1);
    this.#heap = grown(this.#heap, new Int32Array(wanted));
    this.#place = grown(this.#place, new Int32Array(wanted).fill(NOWHERE));
    this.#dueMs = grown(this.#dueMs, new Float64Array(wanted));
  }
}

function grown<T extends Int32Array | Float64Array>(from: T, into: T): T {
  into.set(from);
  return into;
}
