// A set of 64-bit hashes: open addressing over two columns of 32 bits, doubled when it is half full.

const START_SLOTS = 1 << 16;

export class Visited {
  count = 0;
  #high = new Uint32Array(START_SLOTS);
  #low = new Uint32Array(START_SLOTS);

  /** Adds what has that name, a row of whole numbers; false if it was there. */
  add(name: readonly number[]): boolean {
    let high = 0x9e3779b9;
    let low = 0x85ebca6b;
    for (const word of name) {
      high = Math.imul(high ^ word, 0xcc9e2d51);
      high = ((high << 13) | (high >>> 19)) ^ (high >>> 7);
      low = Math.imul(low + word, 0x1b873593) ^ (low >>> 15);
      low = Math.imul((low << 17) | (low >>> 15), 0xc2b2ae35);
    }
    high = mixed(high ^ name.length) >>> 0;
    // 0 and 0 together mean that a slot is empty.
    low = (mixed(low + name.length) | 1) >>> 0;
    if (!this.#put(high, low)) return false;
    this.count += 1;
    if (this.count * 2 > this.#high.length) this.#grow();
    return true;
  }

  #put(high: number, low: number): boolean {
    const mask = this.#high.length - 1;
    let slot = (high ^ (low >>> 1)) & mask;
    while (this.#low[slot] !== 0) {
      if (this.#low[slot] === low && this.#high[slot] === high) return false;
      slot = (slot + 1) & mask;
    }
    this.#high[slot] = high;
    this.#low[slot] = low;
    return true;
  }

  #grow(): void {
    const [high, low] = [this.#high, this.#low];
    this.#high = new Uint32Array(high.length * 2);
    this.#low = new Uint32Array(low.length * 2);
    for (let i = 0; i < low.length; i += 1) if (low[i] !== 0) this.#put(high[i]!, low[i]!);
  }
}

function mixed(word: number): number {
  let x = word;
  x = Math.imul(x ^ (x >>> 16), 0x85ebca6b);
  x = Math.imul(x ^ (x >>> 13), 0xc2b2ae35);
  return x ^ (x >>> 16);
}
