// What a thread does when it is asked outside its messages: profiles, snapshots, facts, and what its service
// answers. Runs on the thread that is asked. Answers are envelopes, because codes of errors do not survive
// comlink. Invariant: one profile and one snapshot at a time, and both end with the session that began them.
import { createRequire } from 'node:module';
import type { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { messageOf } from '../../std/errors.ts';
import type { ControlService, ThreadControlCode, ThreadFacts } from '../threads.ts';

/** An answer as it crosses. */
export type Answer<T> =
  | { readonly ok: T }
  | { readonly code: ThreadControlCode; readonly message: string };

/** One caller. `end` is called when it is gone, whatever it still waits for. */
export interface ControlSession {
  call(name: string, argument: unknown): Promise<Answer<unknown>>;
  facts(): Promise<Answer<ThreadFacts>>;
  cpuProfile(durationMs: number): Promise<Answer<string>>;
  /** The next piece of the snapshot, which begins with the first; undefined at its end. */
  heapPiece(): Promise<Answer<Uint8Array | undefined>>;
  end(): void;
}

const PROFILE_MS_MAX = 600_000;
/** As much of a snapshot as crosses in one message. */
const PIECE_BYTES = 256 * 1024;

type Inspector = typeof import('node:inspector');
type V8 = typeof import('node:v8');

/** Built-in modules that most threads never need: loaded with the first call. */
function builtIn<T>(name: string): T {
  return createRequire(import.meta.url)(name) as T;
}

/** From Node 20.18 and 22.8 on, of this thread's own loop. */
function loopCount(): { readonly loopCount?: number } {
  const { uvMetricsInfo } = performance.nodeTiming as {
    readonly uvMetricsInfo?: { readonly loopCount: number };
  };
  return uvMetricsInfo === undefined ? {} : { loopCount: uvMetricsInfo.loopCount };
}

function refused(code: ThreadControlCode, message: string): Answer<never> {
  return { code, message };
}

function failed(error: unknown): Answer<never> {
  return refused('THREAD_CONTROL_FAILED', messageOf(error));
}

export class ControlTarget {
  readonly #counters: object;
  #service: ControlService = {};
  #isProfiling = false;
  #isSnapshotting = false;

  /** `counters`: plain numbers, read when somebody asks. */
  constructor(counters: object) {
    this.#counters = counters;
  }

  serve(service: ControlService): void {
    this.#service = service;
  }

  open(): ControlSession {
    const ended = new AbortController();
    let pieces: AsyncGenerator<Uint8Array, void, undefined> | undefined;
    return {
      call: (name, argument) => this.#call(name, argument),
      facts: async () => ({ ok: this.#facts() }),
      cpuProfile: (durationMs) => this.#cpuProfile(durationMs, ended.signal),
      heapPiece: async () => {
        if (pieces === undefined) {
          if (this.#isSnapshotting) {
            return refused('THREAD_CONTROL_BUSY', 'a heap snapshot is being taken already');
          }
          pieces = this.#heapPieces(ended.signal);
        }
        try {
          const { done, value } = await pieces.next();
          return { ok: done === true ? undefined : value };
        } catch (error) {
          return failed(error);
        }
      },
      end: () => ended.abort(),
    };
  }

  async #call(name: string, argument: unknown): Promise<Answer<unknown>> {
    const answer = Object.hasOwn(this.#service, name) ? this.#service[name] : undefined;
    if (answer === undefined) return refused('THREAD_CONTROL_UNKNOWN', `nothing answers ${name}`);
    try {
      return { ok: await answer(argument) };
    } catch (error) {
      return failed(error);
    }
  }

  #facts(): ThreadFacts {
    const heap = builtIn<V8>('node:v8').getHeapStatistics();
    return {
      heapUsedBytes: heap.used_heap_size,
      heapLimitBytes: heap.heap_size_limit,
      externalBytes: heap.external_memory,
      ...loopCount(),
      counters: { ...this.#counters },
    };
  }

  async #cpuProfile(durationMs: number, ended: AbortSignal): Promise<Answer<string>> {
    if (!Number.isInteger(durationMs) || durationMs < 1 || durationMs > PROFILE_MS_MAX) {
      const message = `a profile takes 1 to ${PROFILE_MS_MAX} ms, not ${durationMs}`;
      return refused('THREAD_CONTROL_FAILED', message);
    }
    if (this.#isProfiling) {
      return refused('THREAD_CONTROL_BUSY', 'a profile is being taken already');
    }
    this.#isProfiling = true;
    const { Session } = builtIn<Inspector>('node:inspector');
    const session = new Session();
    try {
      session.connect();
      const post = (method: string): Promise<object | undefined> =>
        new Promise((resolve, reject) => {
          session.post(method, (error, answer?: object) => {
            if (error === null) resolve(answer);
            else reject(error);
          });
        });
      await post('Profiler.enable');
      await post('Profiler.start');
      await sleep(durationMs, undefined, { signal: ended });
      const { profile } = (await post('Profiler.stop')) as { readonly profile: object };
      return { ok: JSON.stringify(profile) };
    } catch (error) {
      return failed(error);
    } finally {
      // Also ends a profile that nobody waits for any more.
      session.disconnect();
      this.#isProfiling = false;
    }
  }

  async *#heapPieces(ended: AbortSignal): AsyncGenerator<Uint8Array, void, undefined> {
    this.#isSnapshotting = true;
    let snapshot: Readable | undefined;
    let isOver = false;
    const end = (): void => {
      if (isOver) return;
      isOver = true;
      snapshot?.destroy();
      this.#isSnapshotting = false;
    };
    try {
      if (ended.aborted) return;
      ended.addEventListener('abort', end, { once: true });
      snapshot = builtIn<V8>('node:v8').getHeapSnapshot();
      // V8 writes all of it at once, and the stream gives what it has: cut here.
      for await (const chunk of snapshot) {
        const bytes = chunk as Buffer;
        for (let at = 0; at < bytes.length; at += PIECE_BYTES) {
          // In memory of its own, so that it can be given away.
          yield new Uint8Array(bytes.subarray(at, at + PIECE_BYTES));
        }
      }
    } finally {
      ended.removeEventListener('abort', end);
      end();
    }
  }
}
