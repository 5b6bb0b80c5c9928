// Hands beside the loop: a piscina pool of one thread, which is loaded and started with the first task and ends when
// it has had nothing to do for a while, so that a node that never compacts has neither the thread nor the package.
import type { Piscina } from 'piscina';
import type { Crew } from '../environment.ts';

/** Work comes in pieces with pauses between them, which a thread outlives. */
const IDLE_MS = 5_000;
const CLOSE_MS = 1_000;

export interface CrewTask {
  readonly work: string;
  readonly input: unknown;
}

/** `entry`: the module of the threads, whose `run` takes a CrewTask. */
export function createNodeCrew(entry: URL): Crew {
  let pool: Promise<Piscina> | undefined;
  let started: Piscina | undefined;
  let isClosed = false;
  const start = async (): Promise<Piscina> => {
    const { Piscina: Pool } = await import('piscina');
    started = new Pool({
      filename: entry.href,
      name: 'run',
      minThreads: 0,
      maxThreads: 1,
      idleTimeout: IDLE_MS,
      closeTimeout: CLOSE_MS,
    });
    // A thread that fails between tasks is replaced with the next one; a task tells of its own failure.
    started.on('error', () => undefined);
    return started;
  };
  return {
    async run(work, input) {
      if (isClosed) throw new Error('the crew is closed');
      pool ??= start();
      const threads = await pool;
      if (isClosed) throw new Error('the crew is closed');
      const task: CrewTask = { work, input };
      return threads.run(task);
    },
    get threads() {
      return started?.threads.length ?? 0;
    },
    async close() {
      isClosed = true;
      const threads = await pool;
      await threads?.destroy();
    },
  };
}
