// A bell for a thread that does nothing but compute: it blocks in Atomics.wait, which wakes faster than
// any event loop, and hears nothing else meanwhile (no socket, no timer, no promise). A thread with IO
// of its own has a bell over a message port instead.
// Invariant: a ring that nobody waited for is heard by the next wait; several are heard as one.
import type { Doorbell } from '../../env/threads.ts';

const RUNG = 1;

/** The bell whose one word is all of `memory`. */
export function bellOf(memory: SharedArrayBuffer): WaitBell {
  return new WaitBell(new Int32Array(memory));
}

export class WaitBell implements Doorbell {
  readonly #words: Int32Array;
  readonly #index: number;

  /** `words` in shared memory, where one word at `index`, 0 in the beginning, is for this. */
  constructor(words: Int32Array, index = 0) {
    this.#words = words;
    this.#index = index;
  }

  ring(): void {
    // A bell that was rung and not heard needs no second knock: who goes to sleep looks at it first.
    if (Atomics.exchange(this.#words, this.#index, RUNG) !== RUNG) {
      Atomics.notify(this.#words, this.#index);
    }
  }

  /**
   * Blocks the thread until the bell rings. False if it did not within `timeoutMs` (or somewhat longer).
   * One thread waits for a bell.
   *
   * @throws TypeError where a thread may not block (never on Node's threads).
   */
  wait(timeoutMs = Number.POSITIVE_INFINITY): boolean {
    while (!this.#heard()) {
      // Woken for nothing by a ring that was heard before its knock came: sleep again.
      const how = Atomics.wait(this.#words, this.#index, 0, timeoutMs);
      if (how === 'timed-out') return this.#heard();
    }
    return true;
  }

  #heard(): boolean {
    return Atomics.exchange(this.#words, this.#index, 0) === RUNG;
  }
}
