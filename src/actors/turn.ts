// The turn of one thread, with one order, real and simulated: poll what other threads sent, drain the
// actors, then the phases durable (storage starts its groups), flush (connections write once) and
// publish (rings show their tails, at most one bell per peer). Budgets are counts, never clock reads.
// Invariant: at most one task is waiting in the environment's run queue, whatever is told.

import type { Cancel, RunQueue } from '../env/environment.ts';
import { RingQueue } from '../std/ring-queue.ts';

export type Phase = 'durable' | 'flush' | 'publish';
const PHASES: readonly Phase[] = ['durable', 'flush', 'publish'];

/** What waits in a thread's run queue. Answers how many messages it handled, at most `budget`. */
export interface Runnable {
  run(budget: number): number;
}

export interface TurnLimits {
  /** User messages of one actor in one go: 16 to 64 was the plateau in measurements. */
  readonly messagesPerCell: number;
  /** Messages of one drain before IO gets its chance again. */
  readonly messagesPerDrain: number;
}

/** Hears of every drain: when it began, by its own clock, and when it ended. */
export interface DrainWatch {
  drainBegins(): number;
  /** `only`: who ran, if it was one actor with at most one message. */
  drainEnded(startMs: number, only: Runnable | undefined): void;
}

export class Turn {
  /** Turns run since the start: read by whoever suspects this thread of standing still. */
  count = 0;
  /** Messages handled since the start. */
  messages = 0;
  /** The last drain used up its budget: who lets messages in from elsewhere should let in fewer. */
  isBehind = false;
  readonly #runQueue: RunQueue;
  readonly #watch: DrainWatch | undefined;
  #limits: TurnLimits;
  readonly #ready = new RingQueue<Runnable>(64);
  readonly #polls: (() => void)[] = [];
  readonly #phases: Record<Phase, (() => void)[]> = { durable: [], flush: [], publish: [] };
  readonly #task = () => this.#run();
  #idle: (() => void) | undefined;
  #isRequested = false;
  #isRunning = false;
  #isClosed = false;

  constructor(runQueue: RunQueue, limits: TurnLimits, watch?: DrainWatch) {
    this.#runQueue = runQueue;
    this.#limits = limits;
    this.#watch = watch;
  }

  get limits(): TurnLimits {
    return this.#limits;
  }

  /** From the next drain on; what is left out stays. */
  setLimits(limits: Partial<TurnLimits>): void {
    this.#limits = { ...this.#limits, ...limits };
  }

  /** Cells with something to do. */
  get readyCount(): number {
    return this.#ready.size;
  }

  /** True from a request until its turn has begun. */
  get isRequested(): boolean {
    return this.#isRequested;
  }

  /** Registers a hook; hooks of one phase run in the order of registration, every turn. */
  onPhase(phase: Phase, hook: () => void): Cancel {
    return addTo(this.#phases[phase], hook);
  }

  /** Registers a source of messages that is looked at when a turn begins. */
  onPoll(poll: () => void): Cancel {
    return addTo(this.#polls, poll);
  }

  /** Registers what a turn ends with when nothing waits: it may block the thread, and then requests a turn. */
  onIdle(hook: () => void): void {
    this.#idle = hook;
  }

  /** Asks for a turn. IO callbacks outside an actor tell, which requests one; calling often is free. */
  request(): void {
    if (this.#isRequested || this.#isClosed) return;
    this.#isRequested = true;
    if (!this.#isRunning) this.#runQueue.soon(this.#task);
  }

  /**
   * Takes a turn at once, for an event that has ended the sleep of this thread: nothing else is there to share it, and
   * the end of the loop's round is microseconds away. Otherwise as `request`.
   */
  now(): void {
    if (this.#isRequested || this.#isRunning || this.#isClosed) this.request();
    else this.#run();
  }

  /** Puts a cell into the run queue of this thread. */
  enqueue(cell: Runnable): void {
    this.#ready.push(cell);
    if (!this.#isRequested) this.request();
  }

  /** Ends the turns of this thread: nothing runs any more. */
  close(): void {
    this.#isClosed = true;
    this.#ready.clear();
  }

  #run(): void {
    if (this.#isClosed) return;
    this.#isRequested = false;
    this.#isRunning = true;
    this.count += 1;
    try {
      for (const poll of this.#polls) poll();
      this.#drain();
      for (const phase of PHASES) for (const hook of this.#phases[phase]) hook();
      if (!this.#isRequested && this.#ready.size === 0 && !this.#isClosed) this.#idle?.();
    } finally {
      // A throw here is a broken runtime and ends the thread, but a thread that is kept alive by its
      // embedder must still be able to go on.
      this.#isRunning = false;
      if (this.#ready.size > 0) this.#isRequested = true;
      if (this.#isRequested && !this.#isClosed) this.#runQueue.soon(this.#task);
    }
  }

  #drain(): void {
    const first = this.#ready.peek();
    if (first === undefined) {
      this.isBehind = false;
      return;
    }
    const startMs = this.#watch?.drainBegins() ?? 0;
    const { messagesPerDrain, messagesPerCell } = this.#limits;
    let left = messagesPerDrain;
    while (left > 0) {
      const cell = this.#ready.shift();
      if (cell === undefined) break;
      const handled = cell.run(Math.min(left, messagesPerCell));
      this.messages += handled;
      // A run without messages costs one too, so that no loop of signals can hold the thread.
      left -= Math.max(1, handled);
    }
    this.#watch?.drainEnded(startMs, left === messagesPerDrain - 1 ? first : undefined);
    this.isBehind = this.#ready.size > 0;
  }
}

function addTo(list: (() => void)[], hook: () => void): Cancel {
  list.push(hook);
  return () => {
    const at = list.indexOf(hook);
    if (at >= 0) list.splice(at, 1);
  };
}
