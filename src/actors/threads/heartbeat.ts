// A word in which a thread shows that it moves, and the judge that looks at it from outside. The watched
// thread has no timer for this and asks no clock: it changes the word when it does something, and says
// in its lowest bit whether it works or rests. Standstill is a word that says "works" and does not change.
// Invariant: whoever rests, or has moved between two looks, is never judged to stand still.
import { assert } from '../../std/assert.ts';

/** The bit that says that the thread works; the rest counts, modulo 2^31. */
const WORKS = 1;

/** The watched thread's side: the only writer of its word. */
export class Heartbeat {
  readonly #words: Int32Array;
  readonly #index: number;
  #value: number;

  /** `words` in shared memory, where one word at `index` is for this. */
  constructor(words: Int32Array, index = 0) {
    this.#words = words;
    this.#index = index;
    this.#value = Atomics.load(words, index);
  }

  /** A step was done: the thread works, and moves. */
  beat(): void {
    this.#show((this.#value + 2) | WORKS);
  }

  /** The thread will sleep, for as long as it likes. */
  rest(): void {
    this.#show((this.#value + 2) & ~WORKS);
  }

  #show(value: number): void {
    this.#value = value | 0;
    Atomics.store(this.#words, this.#index, this.#value);
  }
}

/** The watcher's side: looks now and then. How often, and so how long a standstill lasts, is the caller's. */
export class HeartbeatWatch {
  readonly #words: Int32Array;
  readonly #index: number;
  readonly #looksMax: number;
  #seen: number;
  #looks = 0;

  /** `looks`: so many in a row must find the thread working at the same step. */
  constructor(words: Int32Array, index: number, looks: number) {
    assert(looks >= 1, 'at least one look');
    this.#words = words;
    this.#index = index;
    this.#looksMax = looks;
    this.#seen = Atomics.load(words, index);
  }

  /** Looks so far that found it working at the step where it is now. */
  get looksInRow(): number {
    return this.#looks;
  }

  /** The thread says that it rests. */
  get isResting(): boolean {
    return (Atomics.load(this.#words, this.#index) & WORKS) === 0;
  }

  /**
   * One look. True if the thread stands still; the looks begin anew then.
   *
   * @param isWorking what the caller knows better than the word, as the load of an event loop; the
   * default is what the thread says.
   */
  look(isWorking?: boolean): boolean {
    const value = Atomics.load(this.#words, this.#index);
    const hasMoved = value !== this.#seen;
    this.#seen = value;
    if (hasMoved || !(isWorking ?? (value & WORKS) !== 0)) {
      this.#looks = 0;
      return false;
    }
    this.#looks += 1;
    if (this.#looks < this.#looksMax) return false;
    this.#looks = 0;
    return true;
  }
}
