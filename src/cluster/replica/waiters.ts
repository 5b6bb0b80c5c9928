// Readers that wait for a log to grow: each is told once when the committed offset passes the offset
// it waits for, or when this node stops leading the log. Bounded; the oldest is told early when full.
import type { RefId } from '../../actors/ref.ts';

interface Waiter {
  readonly offset: number;
  readonly token: number;
  readonly to: RefId;
}

const WAITERS_MAX = 10_000;

export class Waiters {
  #waiting: Waiter[] = [];
  readonly #tell: (to: RefId, token: number) => void;

  constructor(tell: (to: RefId, token: number) => void) {
    this.#tell = tell;
  }

  get count(): number {
    return this.#waiting.length;
  }

  add(offset: number, token: number, to: RefId): void {
    if (this.#waiting.length >= WAITERS_MAX) {
      const oldest = this.#waiting.shift();
      if (oldest !== undefined) this.#tell(oldest.to, oldest.token);
    }
    this.#waiting.push({ offset, token, to });
  }

  /** The committed offset is now `committedOffset`: records below it can be read. */
  advance(committedOffset: number): void {
    if (this.#waiting.length === 0) return;
    const stay: Waiter[] = [];
    for (const waiter of this.#waiting) {
      if (committedOffset > waiter.offset) this.#tell(waiter.to, waiter.token);
      else stay.push(waiter);
    }
    this.#waiting = stay;
  }

  tellAll(): void {
    const all = this.#waiting;
    this.#waiting = [];
    for (const waiter of all) this.#tell(waiter.to, waiter.token);
  }
}
