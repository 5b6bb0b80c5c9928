// How long nothing was heard: the longest time between two events, of which the second came after a
// moment that is marked. What is still silent at the end is no gap: nothing may be left to hear.

export class Silence {
  #lastMs;
  #markMs;
  #longestMs = 0;

  mark(nowMs) {
    this.#markMs = nowMs;
    this.#longestMs = 0;
  }

  heard(nowMs) {
    if (this.#markMs !== undefined && this.#lastMs !== undefined) {
      // A silence that began before the mark counts from the mark on.
      const sinceMs = Math.max(this.#lastMs, this.#markMs);
      this.#longestMs = Math.max(this.#longestMs, nowMs - sinceMs);
    }
    this.#lastMs = nowMs;
  }

  get longestMs() {
    return this.#longestMs;
  }
}
