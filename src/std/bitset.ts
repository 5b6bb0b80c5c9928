// A set of small integers as bits in a Uint32Array. Reading past the end answers "not in the set";
// setting past the end grows the array by doubling.

/** Number of one bits of a 32-bit word. */
export function popCount32(word: number): number {
  word -= (word >>> 1) & 0x55555555;
  word = (word & 0x33333333) + ((word >>> 2) & 0x33333333);
  return Math.imul((word + (word >>> 4)) & 0x0f0f0f0f, 0x01010101) >>> 24;
}

export class BitSet {
  #words: Uint32Array;

  /** `bits` is a first guess. */
  constructor(bits = 32) {
    this.#words = new Uint32Array(Math.max(1, Math.ceil(bits / 32)));
  }

  /**
   * The bits, 32 to a word, bit i of the set at bit i % 32 of word i / 32. Valid until the next
   * growth.
   */
  get words(): Uint32Array {
    return this.#words;
  }

  has(bit: number): boolean {
    const word = this.#words[bit >>> 5];
    return word !== undefined && (word & (1 << (bit & 31))) !== 0;
  }

  set(bit: number): void {
    const index = bit >>> 5;
    if (index >= this.#words.length) this.#grow(index + 1);
    this.#words[index]! |= 1 << (bit & 31);
  }

  delete(bit: number): void {
    const index = bit >>> 5;
    if (index < this.#words.length) this.#words[index]! &= ~(1 << (bit & 31));
  }

  /** Sets every bit in [from, to). */
  setRange(from: number, to: number): void {
    if (to > from) this.set(to - 1);
    for (let bit = from; bit < to; ) {
      if ((bit & 31) === 0 && to - bit >= 32) {
        this.#words[bit >>> 5] = 0xffffffff;
        bit += 32;
      } else {
        this.#words[bit >>> 5]! |= 1 << (bit & 31);
        bit += 1;
      }
    }
  }

  /** The first member at or after `from`, or -1. */
  nextSet(from: number): number {
    let index = from >>> 5;
    if (index >= this.#words.length) return -1;
    let word = this.#words[index]! & (0xffffffff << (from & 31));
    while (word === 0) {
      index += 1;
      if (index >= this.#words.length) return -1;
      word = this.#words[index]!;
    }
    return index * 32 + (31 - Math.clz32(word & -word));
  }

  /** The first integer at or after `from` that is not in the set. */
  nextClear(from: number): number {
    let index = from >>> 5;
    if (index >= this.#words.length) return from;
    let word = ~this.#words[index]! & (0xffffffff << (from & 31));
    while (word === 0) {
      index += 1;
      if (index >= this.#words.length) return index * 32;
      word = ~this.#words[index]!;
    }
    return index * 32 + (31 - Math.clz32(word & -word));
  }

  /** Number of members. */
  count(): number {
    let total = 0;
    for (const word of this.#words) total += popCount32(word);
    return total;
  }

  clear(): void {
    this.#words.fill(0);
  }

  /** Subtracts 32 * `count` from every member; members that would become negative leave. */
  dropWords(count: number): void {
    if (count >= this.#words.length) {
      this.#words.fill(0);
      return;
    }
    this.#words.copyWithin(0, count);
    this.#words.fill(0, this.#words.length - count);
  }

  #grow(wordsMin: number): void {
    const words = new Uint32Array(Math.max(wordsMin, this.#words.length * 2));
    words.set(this.#words);
    this.#words = words;
  }
}
