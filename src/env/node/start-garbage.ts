// Gives the system back what a start has used: garbage, and the young generation that grew while modules were
// loaded. V8 shrinks its heap in a full collection that finds little allocated since the collection before it, and a
// thread that idles from its start on never comes to one. So it gets both; a thread that is busy in between keeps
// what it uses. Only for threads that are this software's own: an embedding program's heap is its own business.
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

/** The start itself must not be seen; V8 looks back 5 s at most. */
const AFTER_START_MS = 1_000;
const BETWEEN_MS = 6_000;

type Collect = (options: { readonly type: 'minor' | 'major' }) => void;

/** Collects the garbage of this thread's start, once. Stops the thread for about a millisecond, and later for ten. */
export function collectStartGarbage(afterMs = AFTER_START_MS, betweenMs = BETWEEN_MS): void {
  const first = setTimeout(() => {
    // The function exists only in contexts that are made with the flag. It is the process's, and stays:
    // another thread may be about to use it.
    setFlagsFromString('--expose-gc');
    const collect = runInNewContext('gc') as Collect;
    collect({ type: 'minor' });
    setTimeout(() => collect({ type: 'major' }), betweenMs).unref();
  }, afterMs);
  first.unref();
}
