// Shared memory for payloads that are too large for a ring: a thread owns one pool, its peers read from
// it. The owner alone allocates and frees; a reader copies out and gives credit back by a record, so no
// word in here is contended. Invariant: bytes that are lent stay as they are until their credit.
import { assert } from '../../std/assert.ts';

/** Unit of allocation. Memory of a shared buffer costs nothing before it is touched. */
export const SLAB_UNIT_BYTES = 64 * 1024;

export class SlabPool {
  readonly buffer: SharedArrayBuffer;
  readonly bytes: Uint8Array;
  readonly #isUsed: Uint8Array;
  #usedUnits = 0;

  constructor(buffer: SharedArrayBuffer) {
    assert(buffer.byteLength % SLAB_UNIT_BYTES === 0, 'a slab is whole units');
    this.buffer = buffer;
    this.bytes = new Uint8Array(buffer);
    this.#isUsed = new Uint8Array(buffer.byteLength / SLAB_UNIT_BYTES);
  }

  get usedBytes(): number {
    return this.#usedUnits * SLAB_UNIT_BYTES;
  }

  /** Position of a run of `bytes`, or -1 when no run is long enough. Lowest first: it is warm. */
  take(bytes: number): number {
    const units = Math.max(1, Math.ceil(bytes / SLAB_UNIT_BYTES));
    let run = 0;
    for (let unit = 0; unit < this.#isUsed.length; unit += 1) {
      run = this.#isUsed[unit] === 0 ? run + 1 : 0;
      if (run < units) continue;
      const first = unit - units + 1;
      this.#isUsed.fill(1, first, unit + 1);
      this.#usedUnits += units;
      return first * SLAB_UNIT_BYTES;
    }
    return -1;
  }

  give(position: number, bytes: number): void {
    const first = position / SLAB_UNIT_BYTES;
    const units = Math.max(1, Math.ceil(bytes / SLAB_UNIT_BYTES));
    assert(
      Number.isInteger(first) && this.#isUsed[first] === 1,
      'SlabPool: only what was taken is given back',
    );
    this.#isUsed.fill(0, first, first + units);
    this.#usedUnits -= units;
  }
}
