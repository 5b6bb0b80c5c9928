// A map from offsets to 32-bit integers in two typed arrays: open addressing with linear probing, and
// removal that shifts back what follows (Knuth, TAOCP 3, 6.4, algorithm R), so no tombstones pile up.
// For what is sparse among the messages of a queue: leases, and counts of those that came back.

const EMPTY = -1;
/** Columns of 64 bytes at most lie in the heap. */
const CAPACITY_MIN = 8;
const SHIFT_MAX = 32 - Math.log2(CAPACITY_MIN);
/** No table is made smaller that has no more places. */
const KEPT = 64;
/** 2^32 divided by the golden ratio: neighbours land far apart. */
const SPREAD = 0x9e3779b1;

export class OffsetTable {
  size = 0;
  #keys = new Float64Array(CAPACITY_MIN).fill(EMPTY);
  #values = new Int32Array(CAPACITY_MIN);
  /** 32 - log2(capacity). */
  #shift = SHIFT_MAX;

  /** `absent` if the offset has no value. */
  get(offset: number, absent: number): number {
    const at = this.#find(offset);
    return this.#keys[at] === offset ? this.#values[at]! : absent;
  }

  has(offset: number): boolean {
    return this.#keys[this.#find(offset)] === offset;
  }

  set(offset: number, value: number): void {
    let at = this.#find(offset);
    if (this.#keys[at] !== offset) {
      if (this.size * 2 >= this.#keys.length) {
        this.#resize(this.#keys.length * 2);
        at = this.#find(offset);
      }
      this.#keys[at] = offset;
      this.size += 1;
    }
    this.#values[at] = value;
  }

  delete(offset: number): void {
    const keys = this.#keys;
    const mask = keys.length - 1;
    let hole = this.#find(offset);
    if (keys[hole] !== offset) return;
    this.size -= 1;
    for (let at = (hole + 1) & mask; keys[at] !== EMPTY; at = (at + 1) & mask) {
      const home = this.#home(keys[at]!);
      // May move back only if its home is not between the hole and its place.
      if (((at - home) & mask) < ((at - hole) & mask)) continue;
      keys[hole] = keys[at]!;
      this.#values[hole] = this.#values[at]!;
      hole = at;
    }
    keys[hole] = EMPTY;
    if (keys.length > KEPT && this.size * 16 < keys.length) this.#resize(keys.length / 4);
  }

  clear(): void {
    if (this.size === 0) return;
    this.size = 0;
    if (this.#keys.length <= KEPT) {
      this.#keys.fill(EMPTY);
      return;
    }
    this.#keys = new Float64Array(CAPACITY_MIN).fill(EMPTY);
    this.#values = new Int32Array(CAPACITY_MIN);
    this.#shift = SHIFT_MAX;
  }

  /** All offsets that have a value, ascending. */
  sortedOffsets(): Float64Array {
    const all = new Float64Array(this.size);
    let count = 0;
    for (const key of this.#keys) if (key !== EMPTY) all[count++] = key;
    return all.sort();
  }

  #home(offset: number): number {
    return Math.imul((offset | 0) ^ ((offset / 0x1_0000_0000) | 0), SPREAD) >>> this.#shift;
  }

  /** Where the offset is, or the empty place where it would go. */
  #find(offset: number): number {
    const keys = this.#keys;
    const mask = keys.length - 1;
    let at = this.#home(offset);
    while (keys[at] !== offset && keys[at] !== EMPTY) at = (at + 1) & mask;
    return at;
  }

  #resize(capacity: number): void {
    const wanted = Math.max(CAPACITY_MIN, capacity);
    const keys = this.#keys;
    const values = this.#values;
    this.#keys = new Float64Array(wanted).fill(EMPTY);
    this.#values = new Int32Array(wanted);
    this.#shift = 32 - Math.log2(wanted);
    for (let i = 0; i < keys.length; i += 1) {
      if (keys[i] === EMPTY) continue;
      const at = this.#find(keys[i]!);
      this.#keys[at] = keys[i]!;
      this.#values[at] = values[i]!;
    }
  }
}
