// One number per frame for a contiguous run of seqs (the chain of a frame, say), in a ring that grows
// by doubling. Not a cache: a seq outside the run has no value. Invariant: the run is
// [firstSeq, endSeq], and a push continues it or starts a new one.
import { assert } from '../std/assert.ts';

const CAPACITY_MIN = 8;

export class SeqRing {
  #values = new Float64Array(CAPACITY_MIN);
  #firstSeq = 1;
  #count = 0;
  readonly #countMax: number;

  /** Beyond `countMax` values the oldest is dropped at each push. */
  constructor(countMax = Number.MAX_SAFE_INTEGER) {
    this.#countMax = countMax;
  }

  /** Lowest seq with a value; endSeq + 1 if there is none. */
  get firstSeq(): number {
    return this.#firstSeq;
  }

  get endSeq(): number {
    return this.#firstSeq + this.#count - 1;
  }

  /** Appends the value of `seq`, the one after `endSeq` unless the ring is empty. */
  push(seq: number, value: number): void {
    if (this.#count === 0) this.#firstSeq = seq;
    assert(seq === this.#firstSeq + this.#count, 'SeqRing: seqs must be contiguous');
    if (this.#count === this.#countMax) this.dropThrough(this.#firstSeq);
    if (this.#count === this.#values.length) this.#grow();
    this.#values[slot(seq, this.#values.length)] = value;
    this.#count += 1;
  }

  /** The value of `seq`, or -1. */
  at(seq: number): number {
    if (seq < this.#firstSeq || seq >= this.#firstSeq + this.#count) return -1;
    return this.#values[slot(seq, this.#values.length)]!;
  }

  /** Forgets the values up to `seq`. */
  dropThrough(seq: number): void {
    if (seq < this.#firstSeq) return;
    const dropped = Math.min(this.#count, seq - this.#firstSeq + 1);
    this.#firstSeq += dropped;
    this.#count -= dropped;
  }

  /** Forgets the values above `seq`. */
  truncateAfter(seq: number): void {
    if (seq >= this.endSeq) return;
    this.#count = Math.max(0, seq - this.#firstSeq + 1);
  }

  clear(): void {
    this.#count = 0;
  }

  #grow(): void {
    const grown = new Float64Array(this.#values.length * 2);
    for (let i = 0; i < this.#count; i += 1) {
      const seq = this.#firstSeq + i;
      grown[slot(seq, grown.length)] = this.#values[slot(seq, this.#values.length)]!;
    }
    this.#values = grown;
  }
}

// Seqs go beyond 32 bits, where a bit mask would be wrong.
function slot(seq: number, capacity: number): number {
  return seq % capacity;
}
