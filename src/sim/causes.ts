// Why something is hindered at present: each cause ends by itself, and the thing is free when the last one
// has. Faults overlap; one that ends must not undo another.

export class Causes {
  readonly #present = new Set<{ readonly strength: number }>();
  #max = 0;

  get isEmpty(): boolean {
    return this.#present.size === 0;
  }

  /** The greatest strength among the present causes, 0 without any. */
  get max(): number {
    return this.#max;
  }

  /** Adds a cause; the answer ends it, once. After a clear() it ends nothing. */
  add(strength = 1): () => void {
    const cause = { strength };
    this.#present.add(cause);
    this.#measure();
    return () => {
      if (this.#present.delete(cause)) this.#measure();
    };
  }

  clear(): void {
    this.#present.clear();
    this.#measure();
  }

  #measure(): void {
    this.#max = 0;
    for (const { strength } of this.#present) this.#max = Math.max(this.#max, strength);
  }
}
