// The Threads of a process that uses no workers: everything runs here, and asking for another thread
// is a mistake of the caller.
import type { ThreadBoot, Threads } from '../threads.ts';

export function createSingleThread(): Threads {
  const boot: ThreadBoot = { index: 0, incarnation: 1, data: undefined };
  const refuse = (): never => {
    throw new Error('this environment has one thread: use shards 0, or give it Threads');
  };
  return {
    boot,
    canHandOver: false,
    start: refuse,
    ready: refuse,
    post: refuse,
    onMessage: () => undefined,
    doorbell: refuse,
    onBell: () => undefined,
    handOver: refuse,
    onConnection: () => undefined,
  };
}
