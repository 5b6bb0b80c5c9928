// Receives that wait for messages: one line per priority, in the order in which they came. Whoever was
// served comes back at the end of its line, which makes the turns fair.
import { assert } from '../../std/assert.ts';
import type { Consumer } from './consumers.ts';

interface Line {
  readonly priority: number;
  /** Consumers of this priority, waiting or not. */
  attached: number;
  first: Consumer | undefined;
  last: Consumer | undefined;
  waiting: number;
  /** Consumers that have room and will ask again. */
  expected: number;
}

export class Waiting {
  /** Highest priority first; one for each priority that is attached. */
  readonly #lines: Line[] = [];
  count = 0;

  attach(priority: number): void {
    let at = 0;
    while (at < this.#lines.length && this.#lines[at]!.priority > priority) at += 1;
    if (this.#lines[at]?.priority !== priority) {
      const empty = { attached: 0, first: undefined, last: undefined, waiting: 0, expected: 0 };
      this.#lines.splice(at, 0, { priority, ...empty });
    }
    this.#lines[at]!.attached += 1;
  }

  /** It neither waits nor is expected any more. */
  detach(priority: number): void {
    const line = this.#line(priority);
    line.attached -= 1;
    if (line.attached === 0) this.#lines.splice(this.#lines.indexOf(line), 1);
  }

  /** Whose turn it is. Undefined while a higher priority than any that waits is expected back. */
  next(): Consumer | undefined {
    for (const line of this.#lines) {
      if (line.first !== undefined) return line.first;
      if (line.expected > 0) return undefined;
    }
    return undefined;
  }

  /** How many wait with that priority. */
  countOf(priority: number): number {
    return this.#line(priority).waiting;
  }

  /** Whether anybody has a lower priority, so that it matters who is expected back. */
  hasBelow(priority: number): boolean {
    return this.#lines[this.#lines.length - 1]!.priority < priority;
  }

  push(consumer: Consumer): void {
    const line = this.#line(consumer.options.priority);
    consumer.before = line.last;
    consumer.after = undefined;
    if (line.last === undefined) line.first = consumer;
    else line.last.after = consumer;
    line.last = consumer;
    line.waiting += 1;
    this.count += 1;
  }

  remove(consumer: Consumer): void {
    const line = this.#line(consumer.options.priority);
    if (consumer.before === undefined) line.first = consumer.after;
    else consumer.before.after = consumer.after;
    if (consumer.after === undefined) line.last = consumer.before;
    else consumer.after.before = consumer.before;
    consumer.before = undefined;
    consumer.after = undefined;
    line.waiting -= 1;
    this.count -= 1;
  }

  /** To the end of its line. */
  rotate(consumer: Consumer): void {
    if (consumer.after === undefined) return;
    this.remove(consumer);
    this.push(consumer);
  }

  setExpected(consumer: Consumer, isExpected: boolean): void {
    if (consumer.isExpected === isExpected) return;
    consumer.isExpected = isExpected;
    this.#line(consumer.options.priority).expected += isExpected ? 1 : -1;
  }

  #line(priority: number): Line {
    const found = this.#lines.find((line) => line.priority === priority);
    assert(found !== undefined, 'Waiting: nobody of that priority is attached');
    return found;
  }
}
