// Log time as one leader has it: milliseconds since 1970, never less than in the last frame. In an epoch it runs with the
// monotonic clock: the wall clock of a new leader may be hours behind the log, and what is due must not wait for it; nor
// may a step of that clock make everything due at once.
import type { LogContext } from './role.ts';

export class LogClock {
  readonly #context: Pick<LogContext, 'stored' | 'nowMs' | 'wallMs'>;
  /** Log time and monotonic time when this epoch first asked. */
  #start: { readonly logMs: number; readonly nowMs: number } | undefined;

  constructor(context: Pick<LogContext, 'stored' | 'nowMs' | 'wallMs'>) {
    this.#context = context;
  }

  timeMs(): number {
    const { stored } = this.#context;
    const nowMs = this.#context.nowMs();
    if (this.#start === undefined) {
      const logMs = Math.max(stored.lastLogTimeMs, this.#context.wallMs());
      this.#start = { logMs, nowMs };
    }
    const { logMs, nowMs: startedMs } = this.#start;
    return Math.max(stored.lastLogTimeMs, Math.floor(logMs + nowMs - startedMs));
  }
}
