// A map from two small integers to one: the edges of a trie, by node and word. Open addressing with
// linear probing; no object per entry.
import { mix32 } from '../../std/hash.ts';

const SLOTS_MIN = 16;

function hashPair(a: number, b: number): number {
  return mix32(Math.imul(a, 0x9e3779b1) ^ b);
}

/** None of the numbers is negative. */
export class PairMap {
  #size = 0;
  /** By slot: the pair and its value, or -1 as the first of a free slot. */
  #first = new Int32Array(SLOTS_MIN).fill(-1);
  #second = new Int32Array(SLOTS_MIN);
  #values = new Int32Array(SLOTS_MIN);
  #mask = SLOTS_MIN - 1;

  /** The value, or -1. */
  get(a: number, b: number): number {
    const slot = this.#slotOf(a, b);
    return this.#first[slot] === -1 ? -1 : this.#values[slot]!;
  }

  set(a: number, b: number, value: number): void {
    let slot = this.#slotOf(a, b);
    if (this.#first[slot] === -1) {
      if ((this.#size + 1) * 2 > this.#mask) {
        this.#rebuild((this.#mask + 1) * 2);
        slot = this.#slotOf(a, b);
      }
      this.#first[slot] = a;
      this.#second[slot] = b;
      this.#size += 1;
    }
    this.#values[slot] = value;
  }

  delete(a: number, b: number): void {
    const mask = this.#mask;
    let hole = this.#slotOf(a, b);
    if (this.#first[hole] === -1) return;
    this.#size -= 1;
    for (let slot = (hole + 1) & mask; this.#first[slot] !== -1; slot = (slot + 1) & mask) {
      const home = hashPair(this.#first[slot]!, this.#second[slot]!) & mask;
      if (((slot - home) & mask) < ((slot - hole) & mask)) continue;
      this.#first[hole] = this.#first[slot]!;
      this.#second[hole] = this.#second[slot]!;
      this.#values[hole] = this.#values[slot]!;
      hole = slot;
    }
    this.#first[hole] = -1;
  }

  #slotOf(a: number, b: number): number {
    let slot = hashPair(a, b) & this.#mask;
    while (this.#first[slot] !== -1 && (this.#first[slot] !== a || this.#second[slot] !== b)) {
      slot = (slot + 1) & this.#mask;
    }
    return slot;
  }

  #rebuild(slots: number): void {
    const [first, second, values] = [this.#first, this.#second, this.#values];
    this.#mask = slots - 1;
    this.#first = new Int32Array(slots).fill(-1);
    this.#second = new Int32Array(slots);
    this.#values = new Int32Array(slots);
    for (let old = 0; old < first.length; old += 1) {
      if (first[old] === -1) continue;
      const slot = this.#slotOf(first[old]!, second[old]!);
      this.#first[slot] = first[old]!;
      this.#second[slot] = second[old]!;
      this.#values[slot] = values[old]!;
    }
  }
}
