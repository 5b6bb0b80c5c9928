// How old the records of one replica are, whoever leads or follows, and with it what may be compacted now.
import type { CompactionRules } from './compactions.ts';
import type { LogContext } from './role.ts';

export class LogAge {
  readonly #context: Pick<LogContext, 'machine' | 'stored' | 'frameClock' | 'wallMs'>;

  constructor(context: Pick<LogContext, 'machine' | 'stored' | 'frameClock' | 'wallMs'>) {
    this.#context = context;
  }

  /**
   * What may be compacted now: records below `endOffset` are old enough. `nowMs` is log time without its leaps, so that
   * a leader whose clock is ahead makes no deletion old; the same for every replica, or less.
   */
  compactable({ minLagMs }: CompactionRules): {
    readonly endOffset: number;
    readonly nowMs: number;
  } {
    const { extents, leaptMs } = this.#context.machine;
    const logMs = this.#logMs();
    const endOffset = minLagMs === 0 ? Number.POSITIVE_INFINITY : extents.endAt(logMs - minLagMs);
    return { endOffset, nowMs: logMs - leaptMs };
  }

  /** How long ago the batch at `offset` was appended, at most. */
  ageMs(offset: number): number {
    const logMs = this.#logMs();
    return logMs - (this.#context.machine.extents.sinceMs(offset) ?? logMs);
  }

  /** Log time now, or an earlier one. */
  #logMs(): number {
    const { frameClock, stored, wallMs } = this.#context;
    // Where all leaders have one clock nobody counts.
    return frameClock?.logMs() ?? Math.max(stored.lastLogTimeMs, wallMs());
  }
}
