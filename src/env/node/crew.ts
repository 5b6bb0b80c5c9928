// Hands beside the loop: a piscina pool of one thread, which is loaded and started with the first task and ends when
// it has had nothing to do for a while, so that a node that never compacts has neither the thread nor the package.
// Every task is answered: piscina leaves those that wait for a thread waiting when the thread ends, also when it could
// not begin, so such a pool is given up with what waits in it, and the next task gets another.
import type { Piscina } from 'piscina';
import type { Crew } from '../environment.ts';
import { isNativeWanted, variablesOf } from './native-wish.ts';

/** Work comes in pieces with pauses between them, which a thread outlives. */
const IDLE_MS = 5_000;

export interface CrewTask {
  readonly work: string;
  readonly input: unknown;
}

/** Loads the package of the pool. */
export type LoadPool = () => Promise<Pick<typeof import('piscina'), 'Piscina'>>;

/** A pool, and who waits for it. */
class Hands {
  readonly pool: Piscina;
  readonly #open = new Set<(reason: Error) => void>();
  #fault: Error | undefined;

  constructor(pool: Piscina, onEmpty: () => void) {
    this.pool = pool;
    // Comes when a thread fails without a task: mostly because it cannot load its module.
    pool.on('error', (error: Error) => {
      this.#fault = error;
    });
    pool.on('workerDestroy', () => {
      // What the thread had begun is answered first, and a task that comes at once begins another thread.
      setImmediate(() => {
        if (pool.threads.length > 0 || this.#open.size === 0) return;
        onEmpty();
        this.fail(this.#fault ?? new Error('the thread of the crew ended'));
      });
    });
  }

  run(task: CrewTask): Promise<unknown> {
    return new Promise((resolve, reject) => {
      this.#open.add(reject);
      const isOver = () => this.#open.delete(reject);
      this.pool.run(task).finally(isOver).then(resolve, reject);
    });
  }

  fail(reason: Error): void {
    for (const reject of this.#open) reject(reason);
    this.#open.clear();
  }
}

export interface NodeCrewOptions {
  /** As of the Environment that gets it. */
  readonly isNativeEnabled?: boolean | undefined;
  readonly load?: LoadPool;
}

/** `entry`: the module of the threads, whose `run` takes a CrewTask. */
export function createNodeCrew(entry: URL, options: NodeCrewOptions = {}): Crew {
  const { load = () => import('piscina') } = options;
  let opening: Promise<Hands> | undefined;
  let hands: Hands | undefined;
  let isClosed = false;
  const open = async (): Promise<Hands> => {
    const { Piscina: Pool } = await load();
    const variables = variablesOf(isNativeWanted(options.isNativeEnabled));
    const pool = new Pool({
      filename: entry.href,
      name: 'run',
      minThreads: 0,
      maxThreads: 1,
      idleTimeout: IDLE_MS,
      ...(variables === undefined ? {} : { env: variables }),
    });
    const opened = new Hands(pool, () => {
      if (hands === opened) {
        hands = undefined;
        opening = undefined;
      }
      // Rejects what waits in it, which has its answer by then.
      void pool.destroy();
    });
    hands = opened;
    return opened;
  };
  return {
    async run(work, input) {
      if (isClosed) throw new Error('the crew is closed');
      opening ??= open();
      const mine = opening;
      let ready: Hands;
      try {
        ready = await mine;
      } catch (error) {
        // The package may be readable again (no descriptor was free, say).
        if (opening === mine) opening = undefined;
        throw error;
      }
      if (isClosed) throw new Error('the crew is closed');
      return ready.run({ work, input });
    },
    get threads() {
      return hands?.pool.threads.length ?? 0;
    },
    async close() {
      isClosed = true;
      const ready = await opening?.catch(() => undefined);
      await ready?.pool.destroy();
    },
  };
}
