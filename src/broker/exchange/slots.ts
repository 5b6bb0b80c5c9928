// Gives out small integers and takes them back, the last returned first.
export class Slots {
  #end = 0;
  readonly #free: number[] = [];

  /** All slots ever given are below. */
  get end(): number {
    return this.#end;
  }

  /** Slots given and not returned. */
  get count(): number {
    return this.#end - this.#free.length;
  }

  take(): number {
    const free = this.#free.pop();
    if (free !== undefined) return free;
    this.#end += 1;
    return this.#end - 1;
  }

  giveBack(slot: number): void {
    this.#free.push(slot);
  }
}
