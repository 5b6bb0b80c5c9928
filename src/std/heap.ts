// A binary min-heap that is stable: of two items that compare equal, the one pushed first leaves
// first. So timers of one instant fire in the order in which they were set.

/** Negative if `a` leaves before `b`, positive if after, 0 if the order of pushing decides. */
export type Compare<T> = (a: T, b: T) => number;

export class Heap<T> {
  readonly #compare: Compare<T>;
  readonly #items: T[] = [];
  readonly #sequences: number[] = [];
  #nextSequence = 0;

  constructor(compare: Compare<T>) {
    this.#compare = compare;
  }

  get size(): number {
    return this.#items.length;
  }

  /** The item that leaves next, or undefined. */
  peek(): T | undefined {
    return this.#items[0];
  }

  push(item: T): void {
    this.#items.push(item);
    this.#sequences.push(this.#nextSequence);
    this.#nextSequence += 1;
    this.#rise(this.#items.length - 1);
  }

  pop(): T | undefined {
    const first = this.#items[0];
    const last = this.#items.pop();
    const lastSequence = this.#sequences.pop();
    if (this.#items.length > 0) {
      this.#items[0] = last as T;
      this.#sequences[0] = lastSequence as number;
      this.#sink(0);
    }
    return first;
  }

  /** Keeps the items for which `keep` is true, in their order. O(n log n): for rare clean-ups. */
  retain(keep: (item: T) => boolean): void {
    const order = this.#items.map((item, i) => ({ item, sequence: this.#sequences[i]! }));
    this.clear();
    for (const { item, sequence } of order) {
      if (!keep(item)) continue;
      this.#items.push(item);
      this.#sequences.push(sequence);
      this.#rise(this.#items.length - 1);
    }
  }

  clear(): void {
    this.#items.length = 0;
    this.#sequences.length = 0;
  }

  #isBefore(i: number, j: number): boolean {
    const order = this.#compare(this.#items[i]!, this.#items[j]!);
    return order < 0 || (order === 0 && this.#sequences[i]! < this.#sequences[j]!);
  }

  #swap(i: number, j: number): void {
    const item = this.#items[i]!;
    this.#items[i] = this.#items[j]!;
    this.#items[j] = item;
    const sequence = this.#sequences[i]!;
    this.#sequences[i] = this.#sequences[j]!;
    this.#sequences[j] = sequence;
  }

  #rise(i: number): void {
    while (i > 0) {
      const parent = (i - 1) >> 1;
      if (!this.#isBefore(i, parent)) return;
      this.#swap(i, parent);
      i = parent;
    }
  }

  #sink(i: number): void {
    for (;;) {
      let child = 2 * i + 1;
      if (child >= this.#items.length) return;
      if (child + 1 < this.#items.length && this.#isBefore(child + 1, child)) child += 1;
      if (!this.#isBefore(child, i)) return;
      this.#swap(i, child);
      i = child;
    }
  }
}
