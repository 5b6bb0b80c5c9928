// A slab: shared memory for payloads that are too large for a ring. One thread owns it and alone hands out
// runs of units; any thread that was told of a run reads it in place, and may retain and release it. A run
// is free when nobody holds it any more, which the owner sees when it looks for room: a release is one
// atomic operation and no message.
//
//   bytes 0 wants room   4 bytes of data   128.. one count of holders per unit (that of a run is at its
//   first unit)   then the data, from a multiple of 128
//
// Invariant: the bytes of a run stay as they are until its count is 0; only a holder raises a count.
import { assert } from '../../std/assert.ts';

/** Unit of allocation. Memory of a shared buffer costs nothing before it is touched. */
export const SLAB_UNIT_BYTES = 64 * 1024;
const LINE_BYTES = 128;
/** 1 while the owner waits for a run and wants a bell when one is released. */
const WANTS_ROOM = 0;
const DATA_BYTES = 1;
const COUNTS = LINE_BYTES / 4;

function dataAt(units: number): number {
  return Math.ceil((LINE_BYTES + units * 4) / LINE_BYTES) * LINE_BYTES;
}

function unitsOf(bytes: number): number {
  return Math.max(1, Math.ceil(bytes / SLAB_UNIT_BYTES));
}

/** Makes a slab for `bytes` of payloads, rounded up to whole units of 64 KiB. */
export function createSlab(bytes: number): SharedArrayBuffer {
  const units = unitsOf(bytes);
  const buffer = new SharedArrayBuffer(dataAt(units) + units * SLAB_UNIT_BYTES);
  new Int32Array(buffer, 0, COUNTS)[DATA_BYTES] = units * SLAB_UNIT_BYTES;
  return buffer;
}

interface Parts {
  readonly control: Int32Array;
  readonly bytes: Uint8Array;
}

function partsOf(buffer: SharedArrayBuffer): Parts {
  const size = new Int32Array(buffer, 0, COUNTS)[DATA_BYTES]!;
  const units = size / SLAB_UNIT_BYTES;
  assert(
    units >= 1 && buffer.byteLength === dataAt(units) + size,
    'this memory was not made by createSlab',
  );
  return {
    control: new Int32Array(buffer, 0, COUNTS + units),
    bytes: new Uint8Array(buffer, dataAt(units), size),
  };
}

/** The owner's side. One per slab. */
export class SlabPool {
  readonly buffer: SharedArrayBuffer;
  /** The data: a run that `take` answered lies at its position. */
  readonly bytes: Uint8Array;
  readonly #control: Int32Array;
  /** Units of the run that begins at a unit; 0 where none does. */
  readonly #runUnits: Int32Array;
  /** For whom a run was taken, at its first unit. */
  readonly #readers: Int32Array;

  constructor(buffer: SharedArrayBuffer) {
    const { control, bytes } = partsOf(buffer);
    this.buffer = buffer;
    this.bytes = bytes;
    this.#control = control;
    this.#runUnits = new Int32Array(bytes.length / SLAB_UNIT_BYTES);
    this.#readers = new Int32Array(this.#runUnits.length);
  }

  /** Bytes of the units that somebody holds. */
  get usedBytes(): number {
    let units = 0;
    for (let unit = 0; unit < this.#runUnits.length; unit += 1) {
      if (this.#isHeld(unit)) units += this.#runUnits[unit]!;
    }
    return units * SLAB_UNIT_BYTES;
  }

  /**
   * Position of a run of `bytes`, held once, or -1 when no run is long enough. Whoever is told of the
   * position gets that hold with it and releases it. Lowest first: that memory is warm.
   *
   * @param reader who will read it, for `reclaim`: any number
   * @param limit the run ends at or before this position
   */
  take(bytes: number, reader = 0, limit = this.bytes.length): number {
    const units = unitsOf(bytes);
    const end = Math.floor(limit / SLAB_UNIT_BYTES);
    let first = 0;
    for (let unit = 0; unit < end && unit - first < units; ) {
      if (this.#isHeld(unit)) {
        unit += this.#runUnits[unit]!;
        first = unit;
      } else unit += 1;
    }
    if (first + units > end) return -1;
    // Runs that were released inside of the new one are forgotten.
    this.#runUnits.fill(0, first, first + units);
    this.#runUnits[first] = units;
    this.#readers[first] = reader;
    Atomics.store(this.#control, COUNTS + first, 1);
    return first * SLAB_UNIT_BYTES;
  }

  /** Takes back a run that nobody was told of. */
  give(position: number): void {
    const unit = position / SLAB_UNIT_BYTES;
    assert(this.#isHeld(unit), 'SlabPool: only what was taken is given back');
    Atomics.store(this.#control, COUNTS + unit, 0);
  }

  /** Takes back what was taken for `reader`, whoever holds it: it must have ended. Answers the runs. */
  reclaim(reader: number): number {
    let runs = 0;
    for (let unit = 0; unit < this.#runUnits.length; unit += 1) {
      if (this.#readers[unit] !== reader || !this.#isHeld(unit)) continue;
      Atomics.store(this.#control, COUNTS + unit, 0);
      runs += 1;
    }
    return runs;
  }

  /**
   * Asks for a bell when a run is released. Look for room once more afterwards, and only then sleep:
   * what was released in between rings no bell.
   */
  wantRoom(): void {
    Atomics.store(this.#control, WANTS_ROOM, 1);
  }

  /** True from `wantRoom` until a run was released. */
  get isWanting(): boolean {
    return Atomics.load(this.#control, WANTS_ROOM) === 1;
  }

  #isHeld(unit: number): boolean {
    return this.#runUnits[unit]! > 0 && Atomics.load(this.#control, COUNTS + unit) !== 0;
  }
}

/** A reader's side: any number of them, on any thread. */
export class SlabReader {
  readonly bytes: Uint8Array;
  readonly #control: Int32Array;

  constructor(buffer: SharedArrayBuffer) {
    const { control, bytes } = partsOf(buffer);
    this.#control = control;
    this.bytes = bytes;
  }

  /** Holds a run once more. Only who holds it already may: for itself, or for a thread that it will tell. */
  retain(position: number): void {
    const before = Atomics.add(this.#control, this.#countOf(position), 1);
    if (before > 0) return;
    Atomics.sub(this.#control, this.#countOf(position), 1);
    throw new RangeError('only a run that is held can be retained');
  }

  /**
   * Gives one hold back: the bytes must not be read any more. True if the owner waits for room and this
   * was the last hold: ring its bell.
   */
  release(position: number): boolean {
    const before = Atomics.sub(this.#control, this.#countOf(position), 1);
    if (before <= 0) {
      Atomics.add(this.#control, this.#countOf(position), 1);
      throw new RangeError('released more often than it was held');
    }
    // The owner asks before it looks at the counts again, and we the other way round: one sees.
    if (before > 1 || Atomics.load(this.#control, WANTS_ROOM) === 0) return false;
    return Atomics.exchange(this.#control, WANTS_ROOM, 0) === 1;
  }

  #countOf(position: number): number {
    const unit = position / SLAB_UNIT_BYTES;
    if (!Number.isInteger(unit) || unit < 0 || position >= this.bytes.length) {
      throw new RangeError('no run begins there');
    }
    return COUNTS + unit;
  }
}
