// Runs two or more threads that share memory through every order of their atomic operations, with their real
// code. A thread is a function that is started again for every step: what its atomic operations answered before
// comes from its log, the next one is done for real, and the one after that ends the run. Between two atomic
// operations a thread works alone on memory that the protocol gives to it, so nothing else need be interleaved.
// Two ways to the same state are walked once: a state is the shared words and the logs. Atomics.wait is two steps:
// the comparison that may put the thread to sleep, and its waking, by a notify or, with a limit, at any time.
//
// Not for code that reads shared memory without Atomics while another thread may write it.

/** What threads may do besides. */
export interface Bells {
  /** Blocks the thread until `word` is not 0, and sets it to 0: a bell. */
  waitFor(word: number): void;
  /** Sets a word to 1: rings. */
  ring(word: number): void;
}

export interface Model<World> {
  /** Everything anew: memory and what the threads keep. Threads must be functions of `world` alone. */
  make(): World;
  /** What atomic operations and bells reach now: with the logs, what a state is known by. */
  words(world: World): readonly number[];
  threads(world: World): readonly (() => void)[];
  /** Looks at the end of every run: all threads have ended or wait for ever. `logs`: what their operations answered. */
  atEnd(world: World, isBlocked: readonly boolean[], logs: readonly (readonly number[])[]): void;
}

/** Thrown to end the run of a thread. No errors: those would gather a stack thousands of times. */
const PAUSED = { is: 'paused' } as const;
const BLOCKED = { is: 'blocked' } as const;

type Operation = () => number;

/** The atomic operations of the thread that runs now. */
class Recorder {
  readonly log: number[];
  #at = 0;
  #mayDo: number;

  constructor(log: number[], steps: number) {
    this.log = log;
    this.#mayDo = log.length + steps;
  }

  /** `canDo`: whether the thread would not have to wait now. */
  perform(operation: Operation, canDo = () => true): number {
    if (this.#at < this.log.length) {
      this.#at += 1;
      return this.log[this.#at - 1]!;
    }
    if (!canDo()) throw BLOCKED;
    if (this.#at >= this.#mayDo) throw PAUSED;
    const answer = operation();
    this.log.push(answer);
    this.#at += 1;
    return answer;
  }
}

const WAIT_RESULTS = ['not-equal', 'ok', 'timed-out'] as const;
const ASLEEP = 3;

const NAMES = ['load', 'store', 'exchange', 'compareExchange', 'add', 'sub', 'or', 'and'] as const;

export class Interleavings<World> {
  readonly #model: Model<World>;
  readonly #seen = new Set<string>();
  #recorder: Recorder | undefined;
  #thread = 0;
  /** Threads in Atomics.wait, and the word that they wait for. */
  readonly #asleep = new Map<number, { readonly words: Int32Array; readonly index: number }>();
  states = 0;
  ends = 0;

  constructor(model: Model<World>) {
    this.#model = model;
  }

  /** Walks all of them; throws what a thread or the check at the end throws, with the schedule. */
  run(): this {
    const atomics = Atomics as unknown as Record<string, (...args: never[]) => unknown>;
    const originals = [...NAMES, 'wait', 'notify'].map((name) => [name, atomics[name]!] as const);
    for (const name of NAMES) {
      const original = atomics[name] as (...args: never[]) => number;
      atomics[name] = (...args) => {
        const recorder = this.#recorder;
        return recorder === undefined
          ? original(...args)
          : recorder.perform(() => original(...args));
      };
    }
    atomics.wait = (words, index, value, limit) => this.#wait(words, index, value, limit);
    atomics.notify = (words, index) => this.#notify(words, index);
    try {
      this.#explore([]);
    } finally {
      for (const [name, original] of originals) atomics[name] = original;
    }
    return this;
  }

  #wait(words: Int32Array, index: number, value: number, limitMs = Number.POSITIVE_INFINITY) {
    const recorder = this.#recorder!;
    const thread = this.#thread;
    const answer = recorder.perform(() => {
      if (words[index] !== value) return 0;
      this.#asleep.set(thread, { words, index });
      return ASLEEP;
    });
    if (answer !== ASLEEP) return WAIT_RESULTS[answer];
    const wake = () => (this.#asleep.delete(thread) ? 2 : 1);
    const isWoken = () => limitMs !== Number.POSITIVE_INFINITY || !this.#asleep.has(thread);
    return WAIT_RESULTS[recorder.perform(wake, isWoken)];
  }

  #notify(words: Int32Array, index: number): number {
    return this.#recorder!.perform(() => {
      let count = 0;
      for (const [thread, at] of this.#asleep) {
        if (at.index !== index || at.words.buffer !== words.buffer) continue;
        this.#asleep.delete(thread);
        count += 1;
      }
      return count;
    });
  }

  #explore(schedule: readonly number[]): void {
    const { world, logs, status } = this.#replay(schedule);
    const key = `${this.#model.words(world).join()}|${logs.map((log) => log.join()).join('|')}`;
    if (this.#seen.has(key)) return;
    this.#seen.add(key);
    this.states += 1;
    const ready = status.flatMap((each, thread) => (each === 'paused' ? [thread] : []));
    if (ready.length === 0) {
      this.ends += 1;
      try {
        this.#model.atEnd(
          world,
          status.map((each) => each === 'blocked'),
          logs,
        );
      } catch (error) {
        throw new Error(`after ${schedule.join('')}: ${(error as Error).message}`, {
          cause: error,
        });
      }
      return;
    }
    for (const thread of ready) this.#explore([...schedule, thread]);
  }

  /** Does a whole schedule from the beginning. */
  #replay(schedule: readonly number[]) {
    const world = this.#model.make();
    this.#asleep.clear();
    const logs = this.#model.threads(world).map((): number[] => []);
    for (const thread of schedule) this.#step(world, thread, logs[thread]!, 1);
    // What each would do next: a step that does nothing shows whether it can.
    const status = logs.map((log, thread) => this.#peek(world, thread, log));
    return { world, logs, status };
  }

  #step(
    world: World,
    thread: number,
    log: number[],
    steps: number,
  ): 'paused' | 'blocked' | 'ended' {
    this.#recorder = new Recorder(log, steps);
    this.#thread = thread;
    try {
      this.#model.threads(world)[thread]!();
      return 'ended';
    } catch (error) {
      if (error === PAUSED || error === BLOCKED)
        return (error as typeof PAUSED | typeof BLOCKED).is;
      throw error;
    } finally {
      this.#recorder = undefined;
    }
  }

  #peek(world: World, thread: number, log: number[]): 'paused' | 'blocked' | 'ended' {
    return this.#step(world, thread, log, 0);
  }

  /** The bells of a world over some of its words. */
  bells(words: Int32Array): Bells {
    return {
      waitFor: (word) => {
        const take = () => {
          words[word] = 0;
          return 1;
        };
        this.#recorder!.perform(take, () => words[word] !== 0);
      },
      ring: (word) => {
        this.#recorder!.perform(() => {
          words[word] = 1;
          return 1;
        });
      },
    };
  }
}
