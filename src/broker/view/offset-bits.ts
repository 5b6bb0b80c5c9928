// A set of offsets that is dense where it is not empty: one bit each, in containers of 65,536 offsets
// (the idea of Roaring bitmaps; Chambi et al., "Better bitmap performance with Roaring bitmaps"). A
// container without members takes no memory, and neither does a full one. A container is never walked
// offset by offset: searches go by words of 32.
import { BitSet, popCount32 } from '../../std/bitset.ts';

/** Offsets of one container. */
export const CONTAINER_OFFSETS = 65_536;
/** Ranges shorter than this are counted bit by bit, longer ones by counting the container twice. */
const SHORT_RANGE = 256;

/** `bits` is undefined in a full container. */
interface Container {
  bits: BitSet | undefined;
  count: number;
}

export class OffsetBits {
  /** Members. */
  count = 0;
  readonly #containers = new Map<number, Container>();
  /** Bits that are all clear, so that a set which keeps filling and emptying allocates nothing. */
  #spare: BitSet | undefined;

  has(offset: number): boolean {
    const container = this.#containers.get(indexOf(offset));
    return container !== undefined && (container.bits?.has(offset & 0xffff) ?? true);
  }

  /** Answers whether the offset is new. */
  add(offset: number): boolean {
    const index = indexOf(offset);
    const container = this.#containers.get(index) ?? this.#make(index);
    const { bits } = container;
    const low = offset & 0xffff;
    if (bits === undefined || bits.has(low)) return false;
    bits.set(low);
    this.#grew(container, 1);
    return true;
  }

  /** Adds every offset in [from, to); answers how many are new. */
  addRange(from: number, to: number): number {
    const before = this.count;
    for (let at = from; at < to; ) {
      const index = indexOf(at);
      const end = Math.min(to, (index + 1) * CONTAINER_OFFSETS);
      this.#fill(index, at - index * CONTAINER_OFFSETS, end - index * CONTAINER_OFFSETS);
      at = end;
    }
    return this.count - before;
  }

  #fill(index: number, low: number, high: number): void {
    const container = this.#containers.get(index) ?? this.#make(index);
    const { bits } = container;
    if (bits === undefined) return;
    if (high - low === CONTAINER_OFFSETS) {
      this.#grew(container, CONTAINER_OFFSETS - container.count);
    } else if (high - low < SHORT_RANGE) {
      let added = 0;
      for (let bit = low; bit < high; bit += 1) {
        if (bits.has(bit)) continue;
        bits.set(bit);
        added += 1;
      }
      this.#grew(container, added);
    } else {
      bits.setRange(low, high);
      this.#grew(container, bits.count() - container.count);
    }
  }

  /** Answers whether the offset was a member. */
  delete(offset: number): boolean {
    const index = indexOf(offset);
    const container = this.#containers.get(index);
    const low = offset & 0xffff;
    if (container === undefined || !(container.bits?.has(low) ?? true)) return false;
    this.#bitsOf(container).delete(low);
    this.#shrank(index, container, 1);
    return true;
  }

  /** Removes every offset in [from, to). */
  deleteRange(from: number, to: number): void {
    for (let at = from; at < to && this.count > 0; ) {
      const index = indexOf(at);
      const end = Math.min(to, (index + 1) * CONTAINER_OFFSETS);
      const container = this.#containers.get(index);
      if (container !== undefined) {
        this.#erase(index, container, at - index * CONTAINER_OFFSETS, end - at);
      }
      at = end;
    }
  }

  #erase(index: number, container: Container, low: number, size: number): void {
    if (size === CONTAINER_OFFSETS) {
      this.count -= container.count;
      this.#containers.delete(index);
      return;
    }
    const { words } = this.#bitsOf(container);
    let removed = 0;
    for (let bit = low; bit < low + size; ) {
      const at = bit >>> 5;
      const stop = Math.min(low + size, (at + 1) * 32);
      // Bits [bit, stop) of one word.
      const mask = (stop - bit === 32 ? -1 : (1 << (stop - bit)) - 1) << (bit & 31);
      removed += popCount32(words[at]! & mask);
      words[at]! &= ~mask;
      bit = stop;
    }
    this.#shrank(index, container, removed);
  }

  /** Members in [from, to). */
  countIn(from: number, to: number): number {
    let sum = 0;
    for (let at = from; at < to && this.count > 0; ) {
      const index = indexOf(at);
      const base = index * CONTAINER_OFFSETS;
      const end = Math.min(to, base + CONTAINER_OFFSETS);
      const container = this.#containers.get(index);
      if (container !== undefined) {
        const isAll = end - at === CONTAINER_OFFSETS;
        if (container.bits === undefined) sum += end - at;
        else sum += isAll ? container.count : countBits(container.bits, at - base, end - base);
      }
      at = end;
    }
    return sum;
  }

  /** The first member in [from, to), or -1. */
  nextSet(from: number, to: number): number {
    if (this.count === 0) return -1;
    for (let at = from; at < to; ) {
      const index = indexOf(at);
      const base = index * CONTAINER_OFFSETS;
      const container = this.#containers.get(index);
      if (container !== undefined) {
        const found = container.bits === undefined ? at - base : container.bits.nextSet(at - base);
        if (found >= 0) return base + found < to ? base + found : -1;
      }
      at = base + CONTAINER_OFFSETS;
    }
    return -1;
  }

  /** The first offset at or above `from` that is no member. */
  nextClear(from: number): number {
    for (let at = from; ; ) {
      const index = indexOf(at);
      const base = index * CONTAINER_OFFSETS;
      const container = this.#containers.get(index);
      if (container === undefined) return at;
      if (container.bits !== undefined) {
        const found = container.bits.nextClear(at - base);
        if (found < CONTAINER_OFFSETS) return base + found;
      }
      at = base + CONTAINER_OFFSETS;
    }
  }

  clear(): void {
    this.#containers.clear();
    this.count = 0;
  }

  /** Indices of the containers with members, ascending. A container holds offsets from index * 65,536 on. */
  indices(): number[] {
    return [...this.#containers.keys()].sort((a, b) => a - b);
  }

  /** Bits and number of members of one container; no bits if it is full. Lent. */
  container(index: number): { readonly bits: BitSet | undefined; readonly count: number } {
    return this.#containers.get(index) ?? { bits: undefined, count: 0 };
  }

  #make(index: number): Container {
    const container = { bits: this.#spare ?? new BitSet(CONTAINER_OFFSETS), count: 0 };
    this.#spare = undefined;
    this.#containers.set(index, container);
    return container;
  }

  #bitsOf(container: Container): BitSet {
    if (container.bits === undefined) {
      container.bits = new BitSet(CONTAINER_OFFSETS);
      container.bits.setRange(0, CONTAINER_OFFSETS);
    }
    return container.bits;
  }

  #grew(container: Container, added: number): void {
    container.count += added;
    this.count += added;
    if (container.count === CONTAINER_OFFSETS) container.bits = undefined;
  }

  #shrank(index: number, container: Container, removed: number): void {
    container.count -= removed;
    this.count -= removed;
    if (container.count > 0) return;
    this.#containers.delete(index);
    this.#spare = container.bits;
  }
}

/** Of bits [low, high). */
function countBits({ words }: BitSet, low: number, high: number): number {
  let sum = 0;
  for (let bit = low; bit < high; ) {
    const at = bit >>> 5;
    const stop = Math.min(high, (at + 1) * 32);
    const mask = (stop - bit === 32 ? -1 : (1 << (stop - bit)) - 1) << (bit & 31);
    sum += popCount32((words[at] ?? 0) & mask);
    bit = stop;
  }
  return sum;
}

function indexOf(offset: number): number {
  return Math.floor(offset / CONTAINER_OFFSETS);
}
