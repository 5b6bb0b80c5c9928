// An Environment that moves only when a test says so: a virtual clock, seeded dice, a run queue that is
// stepped by hand, a log that remembers. No disk, no net, no threads unless a test puts them in: their
// use throws. Invariant: equal seeds and equal calls give equal runs.
import type {
  Cancel,
  Disk,
  Environment,
  Log,
  Net,
  Random,
  RunQueue,
  Timers,
} from '../../env/environment.ts';
import type { Threads } from '../../env/threads.ts';
import { crc32c } from '../../std/crc32c.ts';
import { Heap } from '../../std/heap.ts';
import { drawBytes, SeededRandom } from '../../std/prng.ts';
import { RingQueue } from '../../std/ring-queue.ts';

export interface LogLine {
  readonly level: 'debug' | 'info' | 'warn' | 'error';
  readonly message: string;
  readonly fields: Readonly<Record<string, unknown>>;
}

export interface ManualOptions {
  readonly net?: Net;
  readonly disk?: Disk;
  readonly threads?: Threads;
  /** Virtual wall clock at the start. */
  readonly wallMs?: number;
}

interface ManualTimer {
  readonly dueMs: number;
  fire: (() => void) | undefined;
}

export class ManualEnvironment implements Environment {
  readonly clock = { monotonicMs: () => this.nowMs, wallMs: () => this.#wallMs + this.nowMs };
  readonly random: Random;
  readonly timers: Timers = { at: (dueMs, fire) => this.#at(dueMs, fire) };
  readonly runQueue: RunQueue = { soon: (task) => this.#tasks.push(task) };
  readonly log: Log;
  readonly lines: LogLine[] = [];
  readonly net: Net;
  readonly disk: Disk;
  readonly threads: Threads;
  /** Virtual milliseconds since the start. */
  nowMs = 0;
  /** Called before every task. */
  onStep: (() => void) | undefined;
  readonly #wallMs: number;
  readonly #challenges: SeededRandom;
  readonly #tasks = new RingQueue<() => void>();
  readonly #timers = new Heap<ManualTimer>((a, b) => a.dueMs - b.dueMs);

  constructor(seed: number, options: ManualOptions = {}) {
    const random = new SeededRandom(seed);
    this.random = random;
    this.#challenges = random.fork('challenges');
    this.log = this.#makeLog({});
    this.#wallMs = options.wallMs ?? 1_700_000_000_000;
    this.net = options.net ?? refusing<Net>('net');
    this.disk = options.disk ?? refusing<Disk>('disk');
    this.threads = options.threads ?? refusing<Threads>('threads');
  }

  readonly buggify = (): boolean => false;
  readonly unguessable = (count: number): Uint8Array => drawBytes(this.#challenges, count);

  crc32c(bytes: Uint8Array, start: number, end: number, seed?: number): number {
    return crc32c(bytes, start, end, seed);
  }

  /** Tasks that wait in the run queue. */
  get pendingTasks(): number {
    return this.#tasks.size;
  }

  /** When the next timer is due, or undefined. */
  get nextTimerMs(): number | undefined {
    this.#dropCancelled();
    return this.#timers.peek()?.dueMs;
  }

  /** Runs the oldest task; false when there is none. */
  step(): boolean {
    const task = this.#tasks.shift();
    if (task !== undefined) this.onStep?.();
    task?.();
    return task !== undefined;
  }

  /** Runs tasks until none is left. @throws Error after `stepsMax` tasks: something never rests. */
  run(stepsMax = 1_000_000): number {
    let steps = 0;
    while (this.step()) {
      steps += 1;
      if (steps >= stepsMax) throw new Error(`still busy after ${stepsMax} tasks`);
    }
    return steps;
  }

  /** Lets promises settle, then runs, until neither tasks nor promises bring more. */
  async settle(): Promise<void> {
    for (let quiet = 0; quiet < 3; ) {
      for (let hop = 0; hop < 8; hop += 1) await Promise.resolve();
      quiet = this.run() === 0 ? quiet + 1 : 0;
    }
  }

  /** Drains, then moves time to the next due timer and fires it, up to `ms` from now. */
  advance(ms: number): void {
    const endMs = this.nowMs + ms;
    this.run();
    for (let due = this.nextTimerMs; due !== undefined && due <= endMs; due = this.nextTimerMs) {
      this.nowMs = Math.max(this.nowMs, due);
      this.#fireNext();
      this.run();
    }
    this.nowMs = endMs;
  }

  /** As `advance`, with promises settled before every move of time. */
  async advanceAsync(ms: number): Promise<void> {
    const endMs = this.nowMs + ms;
    await this.settle();
    for (let due = this.nextTimerMs; due !== undefined && due <= endMs; due = this.nextTimerMs) {
      this.nowMs = Math.max(this.nowMs, due);
      this.#fireNext();
      await this.settle();
    }
    this.nowMs = endMs;
  }

  /** Moves to the next timer and fires it; false when there is none. */
  triggerNextTimer(): boolean {
    const due = this.nextTimerMs;
    if (due === undefined) return false;
    this.nowMs = Math.max(this.nowMs, due);
    this.#fireNext();
    return true;
  }

  #fireNext(): void {
    const timer = this.#timers.pop();
    timer?.fire?.();
  }

  #at(dueMs: number, fire: () => void): Cancel {
    const timer: ManualTimer = { dueMs, fire };
    this.#timers.push(timer);
    return () => {
      timer.fire = undefined;
    };
  }

  #dropCancelled(): void {
    while (this.#timers.size > 0 && this.#timers.peek()!.fire === undefined) this.#timers.pop();
  }

  #makeLog(base: Readonly<Record<string, unknown>>): Log {
    const write =
      (level: LogLine['level']) =>
      (message: string, fields: Readonly<Record<string, unknown>> = {}): void => {
        this.lines.push({ level, message, fields: { ...base, ...fields } });
      };
    return {
      debug: write('debug'),
      info: write('info'),
      warn: write('warn'),
      error: write('error'),
      child: (fields) => this.#makeLog({ ...base, ...fields }),
    };
  }
}

export function manualEnvironment(seed: number, options?: ManualOptions): ManualEnvironment {
  return new ManualEnvironment(seed, options);
}

/** A part of the world that this environment does not have: touching it says so. */
function refusing<T extends object>(part: string): T {
  return new Proxy({} as T, {
    get(_target, property) {
      throw new Error(`the manual environment has no ${part} (asked for ${String(property)})`);
    },
  });
}
