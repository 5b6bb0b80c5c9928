// Readers that wait for a log to grow: each is told once when the committed offset passes the offset
// it waits for, or when this node stops leading the log, or following its leader. Bounded in number and age: the oldest are told
// early, which costs a living reader one look and frees what a vanished one left behind.
import type { RefId } from '../../actors/ref.ts';

interface Waiter {
  readonly offset: number;
  readonly token: number;
  readonly to: RefId;
  readonly sinceMs: number;
}

const WAITERS_MAX = 10_000;
const AGE_MAX_MS = 300_000;

export class Waiters {
  #waiting: Waiter[] = [];
  readonly #tell: (to: RefId, token: number) => void;
  readonly #nowMs: () => number;

  constructor(tell: (to: RefId, token: number) => void, nowMs: () => number) {
    this.#tell = tell;
    this.#nowMs = nowMs;
  }

  get count(): number {
    return this.#waiting.length;
  }

  add(offset: number, token: number, to: RefId): void {
    const sinceMs = this.#nowMs();
    for (let oldest = this.#waiting[0]; oldest !== undefined; oldest = this.#waiting[0]) {
      const isOld = sinceMs - oldest.sinceMs >= AGE_MAX_MS;
      if (!isOld && this.#waiting.length < WAITERS_MAX) break;
      this.#waiting.shift();
      this.#tell(oldest.to, oldest.token);
    }
    this.#waiting.push({ offset, token, to, sinceMs });
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
