// Gives the system back what a start has used: garbage, and the young generation that grew while modules were
// loaded. V8 shrinks its heap in a full collection that finds little allocated in the seconds before it, and a
// thread that idles from its start on never comes to one. So it gets one; a thread that is busy by then keeps
// what it uses. Only for threads that are this software's own: an embedding program's heap is its own business.
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

/** V8 looks back 5 s; the start itself must not be seen. */
const AFTER_START_MS = 6_000;

/** Collects the garbage of this thread's start, once, `afterMs` from now. Stops the thread for about 10 ms. */
export function collectStartGarbage(afterMs = AFTER_START_MS): void {
  const timer = setTimeout(() => {
    // The function exists only in contexts that are made with the flag. It is the process's, and stays:
    // another thread may be about to use it.
    setFlagsFromString('--expose-gc');
    (runInNewContext('gc') as () => void)();
  }, afterMs);
  timer.unref();
}
