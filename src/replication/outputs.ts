// The queue between a core and its shell: the list that is taken is not written to again. Most takes find nothing or one
// output, and of many thousands of logs each has a queue, so an empty one has no memory. Not thread-safe, not a channel.
import { added, noItems } from '../std/short-list.ts';

export class OutputQueue<T> {
  #filling: T[] = noItems();

  get size(): number {
    return this.#filling.length;
  }

  push(output: T): void {
    this.#filling = added(this.#filling, output);
  }

  /** What was pushed since the last take. */
  take(): readonly T[] {
    const taken = this.#filling;
    this.#filling = noItems();
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
