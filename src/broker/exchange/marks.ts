// A set of small integers that is emptied in no time: a column of stamps, where a member has the present
// one. For the work of one message.

/** Stamps stay small integers. */
const STAMP_MAX = 0x3fff_ffff;

export class Marks {
  #stamps = new Int32Array(64);
  #stamp = 0;

  /** Makes room for members below `size`. */
  reserve(size: number): void {
    if (size <= this.#stamps.length) return;
    const grown = new Int32Array(Math.max(size, this.#stamps.length * 2));
    grown.set(this.#stamps);
    this.#stamps = grown;
  }

  clear(): void {
    if (this.#stamp === STAMP_MAX) {
      this.#stamps.fill(0);
      this.#stamp = 0;
    }
    this.#stamp += 1;
  }

  has(member: number): boolean {
    return this.#stamps[member] === this.#stamp;
  }

  /** True if it was no member before. */
  add(member: number): boolean {
    if (this.#stamps[member] === this.#stamp) return false;
    this.#stamps[member] = this.#stamp;
    return true;
  }
}
