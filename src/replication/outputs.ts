// The queue between a core and its shell: two arrays that are swapped at each take, so that a core
// which runs for days allocates only for outputs that carry something new. Not thread-safe, not a
// channel.

export class OutputQueue<T> {
  #filling: T[] = [];
  #lent: T[] = [];

  get size(): number {
    return this.#filling.length;
  }

  push(output: T): void {
    this.#filling.push(output);
  }

  /**
   * What was pushed since the last take. The array is cleared and filled again after the next take.
   */
  take(): readonly T[] {
    const taken = this.#filling;
    this.#filling = this.#lent;
    this.#filling.length = 0;
    this.#lent = taken;
    return taken;
  }
}

/** Two copies of an output that is sent often: one may still be read while the other is filled. */
export class ReusedOutput<T extends object> {
  readonly #copies: readonly [T, T];
  #at = 0;
  #isQueued = false;

  constructor(make: () => T) {
    this.#copies = [make(), make()];
  }

  /** The copy to fill; queued at the first call after a take. */
  fill(queue: { push(output: T): void }): T {
    const copy = this.#copies[this.#at as 0 | 1];
    if (!this.#isQueued) {
      this.#isQueued = true;
      queue.push(copy);
    }
    return copy;
  }

  /** To be called at each take. */
  turn(): void {
    if (!this.#isQueued) return;
    this.#isQueued = false;
    this.#at = 1 - this.#at;
  }
}
