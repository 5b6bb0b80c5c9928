// When this process saw the last frame of a log come, by its monotonic clock. A new leader knows by it how much time
// has passed at least since that frame, whatever the wall clocks of the nodes say. It never says more than passed:
// what it missed counts as seen when it is asked.
import type { AnyDurableBehavior } from '../../actors/durable/behavior.ts';
import type { StoredLog } from '../../storage/api.ts';

export class FrameClock {
  readonly #stored: Pick<StoredLog, 'lastLogTimeMs' | 'endSeq'>;
  readonly #nowMs: () => number;
  #logMs: number;
  /** Two frames may have one log time: the begin of an epoch has that of the frame before, if its clock is behind. */
  #seq: number;
  #seenMs: number;

  constructor(stored: Pick<StoredLog, 'lastLogTimeMs' | 'endSeq'>, nowMs: () => number) {
    this.#stored = stored;
    this.#nowMs = nowMs;
    this.#logMs = stored.lastLogTimeMs;
    this.#seq = stored.endSeq;
    this.#seenMs = nowMs();
  }

  /** The log may have another last frame. */
  look(): void {
    const { lastLogTimeMs, endSeq } = this.#stored;
    if (lastLogTimeMs === this.#logMs && endSeq === this.#seq) return;
    this.#logMs = lastLogTimeMs;
    this.#seq = endSeq;
    this.#seenMs = this.#nowMs();
  }

  /** Log time now, or an earlier one: that of the last frame, and what has passed since it was seen here. */
  logMs(): number {
    this.look();
    return this.#logMs + Math.floor(this.#nowMs() - this.#seenMs);
  }

  /** By how much `logTimeMs` is ahead of the last frame and what has passed since; negative: behind. */
  skewMs(logTimeMs: number): number {
    this.look();
    if (this.#stored.endSeq === 0) return 0;
    return logTimeMs - (this.#logMs + Math.floor(this.#nowMs() - this.#seenMs));
  }
}

/** For a log whose behavior counts time, or whose records go by it, where leaders may have different clocks. */
export function frameClockOf(
  stored: StoredLog,
  behavior: AnyDurableBehavior,
  port: { readonly trustsWallClock: boolean; nowMs(): number },
): FrameClock | undefined {
  const countsTime = behavior.skewed !== undefined || behavior.isRetained === true;
  if (!countsTime || port.trustsWallClock) return undefined;
  return new FrameClock(stored, () => port.nowMs());
}
