// Threads as the simulator has them: one. A node under simulation runs with `shards: 0`; asking for a
// worker is refused loudly, because a second thread would not be deterministic.
import type { Threads } from '../env/threads.ts';

export function singleThread(guard: (call: string) => void): Threads {
  const refuse = (call: string): never => {
    throw new Error(`threads.${call}: a simulated process has one thread; set shards to 0`);
  };
  return {
    get control() {
      return refuse('control');
    },
    boot: { index: 0, incarnation: 1, data: undefined },
    canHandOver: false,
    start: () => refuse('start'),
    ready: () => refuse('ready'),
    post: () => refuse('post'),
    doorbell: () => refuse('doorbell'),
    handOver: () => refuse('handOver'),
    serveControl: () => guard('threads.serveControl'),
    // Handlers may be set: nothing will ever call them.
    onMessage: () => guard('threads.onMessage'),
    onBell: () => guard('threads.onBell'),
    onConnection: () => guard('threads.onConnection'),
  };
}
