// The slot table of one thread: who answers to an id. 1..255 are well known, the lower half above them
// belongs to local spawns, the upper half is split among the threads that spawn here from outside (the
// spawner picks the slot, so that it has a ref at once). Invariant: a freed slot waits behind at least
// 1,024 others before it is used again, so that its 20-bit generation cannot wrap within seconds.
import { RingQueue } from '../std/ring-queue.ts';
import type { Cell } from './cell.ts';
import { ANY_GENERATION, SLOT_GENERATION_MASK, WELL_KNOWN_SLOT_MAX } from './ref.ts';

const LOCAL_SLOT_MAX = 0x7f_ffff;
const REMOTE_SLOT = 0x80_0000;
const REMOTE_INDEX_BITS = 15;
const REMOTE_INDEX_MASK = (1 << REMOTE_INDEX_BITS) - 1;
const FREE_SLOTS_MIN = 1024;

/** True for slots that a spawner elsewhere picks. */
export function isRemoteSlot(slot: number): boolean {
  return slot >= REMOTE_SLOT;
}

export class Slots {
  readonly #local: (Cell | undefined)[] = [];
  readonly #remote = new Map<number, Cell>();
  readonly #generations: number[] = [];
  readonly #free = new RingQueue<number>();
  #next = WELL_KNOWN_SLOT_MAX + 1;

  /** A slot for a local spawn, or undefined when 8 million actors live here. */
  take(): number | undefined {
    if (this.#free.size > FREE_SLOTS_MIN || this.#next > LOCAL_SLOT_MAX) return this.#free.shift();
    this.#next += 1;
    return this.#next - 1;
  }

  /** The generation of the next actor in this slot: 1..2^20-1. */
  nextGeneration(slot: number): number {
    const generation = ((this.#generations[slot] ?? 0) % SLOT_GENERATION_MASK) + 1;
    this.#generations[slot] = generation;
    return generation;
  }

  put(slot: number, cell: Cell): void {
    if (isRemoteSlot(slot)) this.#remote.set(slot, cell);
    else {
      // Filled upwards so that the array stays dense.
      while (this.#local.length < slot) this.#local.push(undefined);
      this.#local[slot] = cell;
    }
  }

  get(slot: number, generation: number): Cell | undefined {
    const cell = isRemoteSlot(slot) ? this.#remote.get(slot) : this.#local[slot];
    if (cell === undefined) return undefined;
    return generation === ANY_GENERATION || generation === cell.id.generation ? cell : undefined;
  }

  release(slot: number, cell: Cell): void {
    if (isRemoteSlot(slot)) {
      if (this.#remote.get(slot) === cell) this.#remote.delete(slot);
    } else if (this.#local[slot] === cell) {
      this.#local[slot] = undefined;
      if (slot > WELL_KNOWN_SLOT_MAX) this.#free.push(slot);
    }
  }

  *cells(): Generator<Cell, void, undefined> {
    for (const cell of this.#local) if (cell !== undefined) yield cell;
    yield* this.#remote.values();
  }
}

/** Numbers the actors that one thread spawns on another. */
export class RemoteSlots {
  #count = 0;

  /** The next (slot, slot generation) for a spawn from `spawner`. */
  next(spawner: number): { slot: number; generation: number } {
    const index = this.#count & REMOTE_INDEX_MASK;
    const generation =
      (Math.floor(this.#count / (REMOTE_INDEX_MASK + 1)) % SLOT_GENERATION_MASK) + 1;
    this.#count += 1;
    return { slot: REMOTE_SLOT + spawner * (REMOTE_INDEX_MASK + 1) + index, generation };
  }
}
