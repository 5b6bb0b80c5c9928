// Paces a copy: what was copied takes the time that it should have taken. One for each copy that goes on; a node copies
// one log at a time, so its rate is that of the node.
const SECOND_MS = 1_000;

export class CopyPace {
  #freeMs = 0;

  /** So many bytes were copied at `nowMs`, at `rate` bytes a second; 0: there is no limit. */
  copied(bytes: number, rate: number, nowMs: number): void {
    if (rate > 0) this.#freeMs = Math.max(this.#freeMs, nowMs) + (bytes * SECOND_MS) / rate;
  }

  /** How long to wait before more. */
  waitMs(nowMs: number): number {
    return Math.max(0, this.#freeMs - nowMs);
  }
}
