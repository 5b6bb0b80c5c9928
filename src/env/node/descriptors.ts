// What the thread's listeners know of file descriptors. libuv keeps one in reserve: where accept(2) finds none, it
// accepts with that, closes the connection at once, and says nothing; only where even that is gone does a server
// hear of it, for each try. Either way the listener goes on, and serves again when descriptors are free. Here it is
// told, once a minute at most, because clients see only connections that end.
import fs from 'node:fs';
import type { Log } from '../environment.ts';

const TELL_EVERY_MS = 60_000;
/** Numbers are given from the lowest free one on: one so close to the limit says that nearly all are taken. */
const NEARLY = 8;
const USED_UP: ReadonlySet<unknown> = new Set(['EMFILE', 'ENFILE', 'ENOBUFS', 'ENOMEM']);

/** Descriptors that this process may have; undefined where the system does not say. Node has no getrlimit; Linux says it as text. */
export function descriptorsMax(): number | undefined {
  try {
    const found = /^Max open files\s+(\d+)/m.exec(fs.readFileSync('/proc/self/limits', 'utf8'));
    return found === null ? undefined : Number(found[1]);
  } catch {
    return undefined;
  }
}

export class DescriptorWatch {
  readonly #log: Log;
  readonly #max: number | undefined;
  #toldMs = Number.NEGATIVE_INFINITY;

  constructor(log: Log) {
    this.#log = log;
    this.#max = descriptorsMax();
  }

  /** @param fd of a connection that was accepted; -1 where it is not known. */
  accepted(fd: number): void {
    if (this.#max !== undefined && fd >= this.#max - NEARLY) this.#tell();
  }

  /** A server that listens has failed to accept. */
  failed(at: { readonly host: string; readonly port: number }, error: unknown): void {
    const { host, port } = at;
    const { code } = error as { readonly code?: unknown };
    if (USED_UP.has(code)) this.#tell(code);
    else this.#log.error('a listener failed', { host, port, error });
  }

  #tell(code?: unknown): void {
    const nowMs = performance.now();
    if (nowMs - this.#toldMs < TELL_EVERY_MS) return;
    this.#toldMs = nowMs;
    this.#log.warn('descriptors are used up: connections are refused until others close', {
      descriptorsMax: this.#max,
      ...(code === undefined ? {} : { code }),
    });
  }
}
