// Virtual time for storage tests: timers and disk completions are events of one queue, in order of time.
// Nothing here sleeps; a test drives promises by running events until they resolve.
import type { Cancel, Disk, Log } from '../../../src/env/environment.ts';
import { crc32c } from '../../../src/std/crc32c.ts';
import { SeededRandom } from '../../../src/std/prng.ts';
import type { StorageEnvironment } from '../../../src/storage/api.ts';
import { FaultDisk } from './fault-disk.ts';

interface Event {
  readonly dueMs: number;
  readonly order: number;
  readonly fire: () => void;
  isCancelled: boolean;
}

export interface LogLine {
  readonly level: string;
  readonly message: string;
  readonly fields: Readonly<Record<string, unknown>> | undefined;
}

export class World {
  nowMs = 1000;
  #life = 0;
  #order = 0;
  #events: Event[] = [];
  readonly lines: LogLine[] = [];

  at(dueMs: number, fire: () => void): Cancel {
    const event = {
      dueMs: Math.max(dueMs, this.nowMs),
      order: this.#order,
      fire,
      isCancelled: false,
    };
    this.#order += 1;
    this.#events.push(event);
    return () => {
      event.isCancelled = true;
    };
  }

  get pending(): number {
    return this.#events.filter((event) => !event.isCancelled).length;
  }

  /** Runs the next event; false if there is none (or none before `untilMs`). */
  step(untilMs = Number.POSITIVE_INFINITY): boolean {
    let best: Event | undefined;
    for (const event of this.#events) {
      if (event.isCancelled || event.dueMs > untilMs) continue;
      if (
        best === undefined ||
        event.dueMs < best.dueMs ||
        (event.dueMs === best.dueMs && event.order < best.order)
      ) {
        best = event;
      }
    }
    this.#events = this.#events.filter((event) => !event.isCancelled && event !== best);
    if (best === undefined) return false;
    this.nowMs = Math.max(this.nowMs, best.dueMs);
    best.fire();
    return true;
  }

  /** Forgets everything that was to happen: the process is gone. */
  clear(): void {
    this.#life += 1;
    this.#events = [];
  }

  /** Lets time pass, running what is due and the promises in between. */
  async advance(ms: number): Promise<void> {
    const untilMs = this.nowMs + ms;
    do await tick();
    while (this.step(untilMs));
    this.nowMs = untilMs;
  }

  /** Runs events until the promise is settled. */
  async drive<T>(promise: Promise<T>): Promise<T> {
    let isSettled = false;
    const settled = (): void => {
      isSettled = true;
    };
    promise.then(settled, settled);
    for (;;) {
      await tick();
      if (isSettled) return promise;
      if (!this.step()) throw new Error('nothing left to happen, and the promise is not settled');
    }
  }

  /** The environment of one process: after `clear` nothing of it happens any more. */
  env(disk: Disk, seed = 1): StorageEnvironment {
    const life = this.#life;
    const note =
      (level: string) => (message: string, fields?: Readonly<Record<string, unknown>>) => {
        this.lines.push({ level, message, fields });
      };
    const log: Log = {
      debug: note('debug'),
      info: note('info'),
      warn: note('warn'),
      error: note('error'),
      child: () => log,
    };
    return {
      clock: { monotonicMs: () => this.nowMs, wallMs: () => this.nowMs },
      timers: {
        at: (dueMs, fire) => (life === this.#life ? this.at(dueMs, fire) : () => undefined),
      },
      random: new SeededRandom(seed),
      disk,
      log,
      crc32c,
    };
  }

  newDisk(): FaultDisk {
    return new FaultDisk((delayMs, fire) => this.at(this.nowMs + delayMs, fire));
  }
}

function tick(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
