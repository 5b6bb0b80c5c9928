// Where a log may start, as its behavior has said, until that is safe to do: a record goes only when the
// frames that made it needless are committed. One wish waits for its frame; what is wished meanwhile
// becomes the next one, so that a steady stream of wishes cannot put the first off for ever.

interface Wish {
  readonly offset: number;
  readonly seq: number;
}

export class LogStart {
  #first: Wish | undefined;
  #next: Wish | undefined;

  /** Records below `offset` are needless when the frame `seq` is committed. */
  want(offset: number, seq: number): void {
    const wish = { offset, seq };
    if (this.#first === undefined) this.#first = wish;
    else if (offset > (this.#next ?? this.#first).offset) this.#next = wish;
  }

  /** The offset that the log may start at now. Stays due until `moved`. */
  due(committedSeq: number): number | undefined {
    const first = this.#first;
    return first !== undefined && first.seq <= committedSeq ? first.offset : undefined;
  }

  moved(): void {
    this.#first = this.#next;
    this.#next = undefined;
  }
}
