// Notices that the own log device stands still while frames wait for it. In `all` mode nobody else
// could throw such a leader out, so it has to resign by itself. Measures on ticks only.

export class StallWatch {
  readonly #stallMaxMs: number;
  #stalledSinceMs = -1;
  #durableAtTickSeq = 0;

  constructor(stallMaxMs: number) {
    this.#stallMaxMs = stallMaxMs;
  }

  /** True if nothing became durable for too long; the time slept by the leader does not count. */
  tick(nowMs: number, sleptMs: number, durableSeq: number, endSeq: number): boolean {
    const isWaiting = durableSeq < endSeq;
    if (!isWaiting || this.#stalledSinceMs < 0 || durableSeq > this.#durableAtTickSeq) {
      this.#stalledSinceMs = isWaiting ? nowMs : -1;
    } else this.#stalledSinceMs += sleptMs;
    this.#durableAtTickSeq = durableSeq;
    return isWaiting && nowMs - this.#stalledSinceMs > this.#stallMaxMs;
  }
}
