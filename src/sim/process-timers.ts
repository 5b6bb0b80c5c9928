// The timers and the run queue of one simulated process. Only the earliest timer has an event in the
// world's queue, so timers of one process keep their order of (due, creation) whatever the ties say.
import type { Cancel } from '../env/environment.ts';
import { Heap } from '../std/heap.ts';

const SWEEP_AT = 256;

interface Timer {
  readonly dueMs: number;
  fire: (() => void) | undefined;
}

/** What timers need of their process. */
export interface TimerHost {
  readonly monotonicMs: () => number;
  /** Asks for a wake-up when the local clock shows `dueMs`; replaces the one asked for before. */
  readonly wakeAt: (dueMs: number) => void;
}

export class ProcessTimers {
  readonly #host: TimerHost;
  readonly #heap = new Heap<Timer>((a, b) => a.dueMs - b.dueMs);
  #live = 0;
  #wakeMs = Number.POSITIVE_INFINITY;

  constructor(host: TimerHost) {
    this.#host = host;
  }

  /** Timers that are set. */
  get live(): number {
    return this.#live;
  }

  at(dueMs: number, fire: () => void): Cancel {
    const timer: Timer = { dueMs, fire };
    this.#heap.push(timer);
    this.#live += 1;
    this.#arm();
    return () => {
      if (timer.fire === undefined) return;
      timer.fire = undefined;
      this.#live -= 1;
      if (this.#heap.size > SWEEP_AT && this.#heap.size > 2 * this.#live) {
        this.#heap.retain((kept) => kept.fire !== undefined);
      }
    };
  }

  /** The wake-up came: runs at most one timer, so that each is an event of its own. */
  wake(): void {
    this.#wakeMs = Number.POSITIVE_INFINITY;
    const timer = this.#next();
    if (timer === undefined) return;
    if (timer.dueMs > this.#host.monotonicMs()) {
      this.#arm();
      return;
    }
    this.#heap.pop();
    const { fire } = timer;
    timer.fire = undefined;
    this.#live -= 1;
    this.#arm();
    fire!();
  }

  /** The clock changed its speed: what was asked for is wrong. */
  rearm(): void {
    this.#wakeMs = Number.POSITIVE_INFINITY;
    this.#arm();
  }

  #next(): Timer | undefined {
    let timer = this.#heap.peek();
    while (timer !== undefined && timer.fire === undefined) {
      this.#heap.pop();
      timer = this.#heap.peek();
    }
    return timer;
  }

  #arm(): void {
    const timer = this.#next();
    if (
      timer === undefined ||
      timer.dueMs >= this.#wakeMs ||
      timer.dueMs === Number.POSITIVE_INFINITY
    ) {
      return;
    }
    this.#wakeMs = timer.dueMs;
    this.#host.wakeAt(timer.dueMs);
  }
}
