// One line for each thing that goes wrong again and again: links dial for ever, and strangers knock as they like.
// What was said is said again after a minute, with how often it happened meanwhile. Bounded: who makes up new
// reasons pushes out the oldest.

/** For a line of the log: how often it happened without one. */
export function again(silent: number): { readonly silent?: number } {
  return silent === 0 ? {} : { silent };
}

const SAID_AGAIN_MS = 60_000;
const KEPT_MAX = 256;

interface Said {
  atMs: number;
  silent: number;
}

export class Refusals {
  readonly #said = new Map<string, Said>();
  readonly #nowMs: () => number;

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
  }

  /** Calls `say` with how often the same happened since the last time, or keeps count. */
  tell(what: string, say: (silent: number) => void): void {
    const nowMs = this.#nowMs();
    const before = this.#said.get(what);
    if (before !== undefined && nowMs - before.atMs < SAID_AGAIN_MS) {
      before.silent += 1;
      return;
    }
    this.#said.delete(what);
    if (this.#said.size >= KEPT_MAX) {
      for (const oldest of this.#said.keys()) {
        this.#said.delete(oldest);
        break;
      }
    }
    this.#said.set(what, { atMs: nowMs, silent: 0 });
    say(before?.silent ?? 0);
  }

  /** All is well again: the next time is news. */
  forget(what: string): void {
    this.#said.delete(what);
  }
}
