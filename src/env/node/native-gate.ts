// When a worker may be ended from outside: not while it loads native code. A library whose isolate is terminated in the
// middle of its start aborts the whole process. One shared word for each worker: whoever comes first has it.
import { workerData } from 'node:worker_threads';

const FREE = 0;
const LOADING = 1;
const ENDING = 2;

/** The word, as it travels in the boot data. */
export type NativeGate = Int32Array;

export function createNativeGate(): NativeGate {
  return new Int32Array(new SharedArrayBuffer(4));
}

/** Starter: true if the worker may be ended now; it loads nothing any more then. */
export function mayEnd(gate: NativeGate): boolean {
  return Atomics.compareExchange(gate, 0, FREE, ENDING) !== LOADING;
}

/** Starter, when its process ends: waits until the worker may be ended, or `timeoutMs` are over. */
export function awaitMayEnd(gate: NativeGate, timeoutMs: number): void {
  for (let leftMs = timeoutMs; leftMs > 0 && !mayEnd(gate); leftMs -= 1) {
    Atomics.wait(gate, 0, LOADING, 1);
  }
}

/**
 * Loads native code, on any thread.
 *
 * @throws Error if this thread is being ended.
 */
export function loadGuarded<T>(load: () => T): T {
  const { nativeGate: gate } = (workerData ?? {}) as { readonly nativeGate?: NativeGate };
  if (gate === undefined) return load();
  if (Atomics.compareExchange(gate, 0, FREE, LOADING) !== FREE) {
    throw new Error('native code is not loaded: the thread is being ended');
  }
  try {
    return load();
  } finally {
    Atomics.store(gate, 0, FREE);
  }
}
