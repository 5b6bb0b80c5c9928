// A first-in first-out queue over a power-of-two ring that doubles when full. Never shrinks by
// itself:
// `clear` and `compact` give memory back. Slots are emptied when an item leaves, so nothing is kept
// alive.
import { assert } from './assert.ts';

const CAPACITY_MIN = 8;

export class RingQueue<T> {
  #slots: (T | undefined)[];
  #head = 0;
  #size = 0;

  /** `capacity` is a first guess, rounded up to a power of two. */
  constructor(capacity: number = CAPACITY_MIN) {
    this.#slots = new Array<T | undefined>(roundUp(capacity));
  }

  get size(): number {
    return this.#size;
  }

  get capacity(): number {
    return this.#slots.length;
  }

  push(item: T): void {
    if (this.#size === this.#slots.length) this.#resize(this.#slots.length * 2);
    this.#slots[(this.#head + this.#size) & (this.#slots.length - 1)] = item;
    this.#size += 1;
  }

  /** Puts an item in front of all others. */
  unshift(item: T): void {
    if (this.#size === this.#slots.length) this.#resize(this.#slots.length * 2);
    this.#head = (this.#head - 1) & (this.#slots.length - 1);
    this.#slots[this.#head] = item;
    this.#size += 1;
  }

  /** Removes the oldest item; undefined when empty. */
  shift(): T | undefined {
    if (this.#size === 0) return undefined;
    const item = this.#slots[this.#head];
    this.#slots[this.#head] = undefined;
    this.#head = (this.#head + 1) & (this.#slots.length - 1);
    this.#size -= 1;
    return item;
  }

  /** Removes the newest item; undefined when empty. */
  pop(): T | undefined {
    if (this.#size === 0) return undefined;
    this.#size -= 1;
    const slot = (this.#head + this.#size) & (this.#slots.length - 1);
    const item = this.#slots[slot];
    this.#slots[slot] = undefined;
    return item;
  }

  peek(): T | undefined {
    return this.#size === 0 ? undefined : this.#slots[this.#head];
  }

  /** The item at `index`, 0 the oldest. */
  at(index: number): T {
    assert(index >= 0 && index < this.#size, 'RingQueue.at: index out of range');
    return this.#slots[(this.#head + index) & (this.#slots.length - 1)] as T;
  }

  clear(): void {
    this.#slots = new Array<T | undefined>(CAPACITY_MIN);
    this.#head = 0;
    this.#size = 0;
  }

  /** Shrinks the ring to what the present items need. */
  compact(): void {
    const wanted = roundUp(this.#size);
    if (wanted < this.#slots.length) this.#resize(wanted);
  }

  *[Symbol.iterator](): Generator<T, void, undefined> {
    for (let i = 0; i < this.#size; i += 1) yield this.at(i);
  }

  #resize(capacity: number): void {
    const slots = new Array<T | undefined>(capacity);
    for (let i = 0; i < this.#size; i += 1) {
      slots[i] = this.#slots[(this.#head + i) & (this.#slots.length - 1)];
    }
    this.#slots = slots;
    this.#head = 0;
  }
}

function roundUp(count: number): number {
  let capacity = CAPACITY_MIN;
  while (capacity < count) capacity *= 2;
  return capacity;
}
