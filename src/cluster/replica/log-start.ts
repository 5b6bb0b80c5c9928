// Where a log may start, as its behavior has said, until that is safe to do: a record goes only when the
// frames that made it needless are committed. A move that is safe rides with the next frame that is written
// anyway; one that is due has a frame of its own if none comes first. One wish waits for its frame; what is
// wished meanwhile becomes the next one, so that a steady stream of wishes cannot put the first off for ever.

class Wish {
  offset = -1;
  seq = 0;
  isDue = false;

  isSafe(committedSeq: number): boolean {
    return this.offset >= 0 && this.seq <= committedSeq;
  }

  clear(): void {
    this.offset = -1;
    this.isDue = false;
  }
}

export class LogStart {
  #first = new Wish();
  #next = new Wish();

  /** Records below `offset` are needless when the frame `seq` is committed. Due: not only by riding. */
  want(offset: number, seq: number, isDue: boolean): void {
    const last = this.#next.offset >= 0 ? this.#next : this.#first;
    if (offset > last.offset) {
      const wish = this.#first.offset < 0 ? this.#first : this.#next;
      wish.offset = offset;
      wish.seq = seq;
      wish.isDue ||= isDue;
    } else if (isDue && last.offset >= 0) last.isDue = true;
  }

  /** The offset that a frame may say now, or -1. Stays until `moved`. */
  safe(committedSeq: number): number {
    if (this.#next.isSafe(committedSeq)) return this.#next.offset;
    return this.#first.isSafe(committedSeq) ? this.#first.offset : -1;
  }

  /** The same, or -1 as long as it may wait for a frame that is written anyway. */
  due(committedSeq: number): number {
    const isDue =
      (this.#first.isDue && this.#first.isSafe(committedSeq)) ||
      (this.#next.isDue && this.#next.isSafe(committedSeq));
    return isDue ? this.safe(committedSeq) : -1;
  }

  /** The log starts at `offset` now, which was safe. */
  moved(offset: number): void {
    const isFirstAlone = this.#next.offset > offset;
    this.#first.clear();
    if (isFirstAlone) [this.#first, this.#next] = [this.#next, this.#first];
    else this.#next.clear();
  }
}
