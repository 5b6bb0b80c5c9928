// What a queue has given out to one consumer and is not delivered yet: runs of messages in the order of
// their leases, taken from the front one by one.
import { Runs } from '../view/runs.ts';

/** Rows in front of the first that are kept before the others move up. */
const STALE_ROWS_MAX = 64;

export class GivenOut {
  readonly #runs = new Runs();
  #row = 0;
  /** Messages of the first row that are taken. */
  #taken = 0;
  #total = 0;

  /** Messages. */
  get total(): number {
    return this.#total;
  }

  // Of the first message.
  get offset(): number {
    return this.#runs.offset[this.#row]! + this.#taken;
  }

  get lease(): number {
    return this.#runs.number[this.#row]! + this.#taken;
  }

  get returns(): number {
    return this.#runs.returns[this.#row]!;
  }

  get isRedelivered(): boolean {
    return this.#runs.redelivered[this.#row] === 1;
  }

  /** Adds what has leases above `seen`: the rest was given before. Answers the highest lease number. */
  add(runs: Runs, seen: number): number {
    let highest = seen;
    for (let row = 0; row < runs.size; row += 1) {
      const number = runs.number[row]!;
      const count = runs.count[row]!;
      const skipped = Math.min(count, Math.max(0, seen + 1 - number));
      if (skipped === count) continue;
      const left = count - skipped;
      const offset = runs.offset[row]! + skipped;
      this.#runs.push(offset, left, number + skipped, runs.returns[row], runs.redelivered[row]);
      this.#total += left;
      highest = Math.max(highest, number + count - 1);
    }
    return highest;
  }

  /** The first one is delivered. */
  next(): void {
    this.#taken += 1;
    this.#total -= 1;
    if (this.#taken < this.#runs.count[this.#row]!) return;
    this.#taken = 0;
    this.#row += 1;
    if (this.#total === 0) this.clear();
    else if (this.#row > STALE_ROWS_MAX && this.#row * 2 > this.#runs.size) this.#moveUp();
  }

  clear(): void {
    this.#runs.clear();
    this.#row = 0;
    this.#taken = 0;
    this.#total = 0;
  }

  #moveUp(): void {
    const runs = this.#runs;
    const { size } = runs;
    const from = this.#row;
    runs.clear();
    for (let row = from; row < size; row += 1) {
      const { offset, count, number, returns, redelivered } = runs;
      runs.push(offset[row]!, count[row]!, number[row]!, returns[row]!, redelivered[row]!);
    }
    this.#row = 0;
  }
}
