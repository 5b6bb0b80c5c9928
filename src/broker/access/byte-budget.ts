// Bytes that lie in the memory of one shard for those who read streams. Whoever finds no room waits until much
// of it is free again. One taker is always let in, however much it takes: nobody waits for ever.

export class ByteBudget {
  readonly #bytesMax: number;
  /** There is room again for those who wait. */
  readonly #room: () => void;
  #used = 0;
  #isWanted = false;

  constructor(bytesMax: number, room: () => void) {
    this.#bytesMax = bytesMax;
    this.#room = room;
  }

  get used(): number {
    return this.#used;
  }

  get isOver(): boolean {
    return this.#used > this.#bytesMax;
  }

  /** False: there is no room now, `room` is called when there is. */
  take(bytes: number): boolean {
    if (this.#used > 0 && this.#used + bytes > this.#bytesMax) {
      this.#isWanted = true;
      return false;
    }
    this.#used += bytes;
    return true;
  }

  /** What was taken turned out to be more or less, or is given back. */
  change(bytes: number): void {
    this.#used += bytes;
    if (!this.#isWanted || this.#used > this.#bytesMax / 2) return;
    this.#isWanted = false;
    this.#room();
  }
}
