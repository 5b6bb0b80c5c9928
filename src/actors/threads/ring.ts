// A byte ring in shared memory from one thread to one other: single producer, single consumer, no
// locks. Control words lie on lines of their own so that the two sides do not fight over a cache line;
// indices run freely modulo 2^32. The producer writes records, then shows them all at once by storing
// the tail: a producer that dies half way leaves nothing visible.
//
//   bytes 0 tail   128 head   256 sleeping   384 wants room   512 size   1024.. records
//   a record: 0 length u32 (with these 8 bytes)   4 tag u16   6 kind u8 (8 is a skip marker)   7 flags u8
//   8.. its content, little-endian words, padded to 8
//
// Invariants: tail - head never exceeds the size; a record is contiguous and starts at a multiple of
// 8; the end of the buffer that is too short for a record holds a skip marker.
import { assert } from '../../std/assert.ts';
import { KIND_SKIP, KIND_TELL, paddedSize } from '../record.ts';

/** Distance between control words: two lines of 64 bytes, as neighbouring lines are fetched in pairs. */
export const CONTROL_LINE_BYTES = 128;
export const RING_DATA_AT = 1024;
const RING_BYTES_MIN = 4096;
const HEAD_BYTES = 8;
const WORDS_PER_LINE = CONTROL_LINE_BYTES / 4;
const TAIL = 0;
const HEAD = WORDS_PER_LINE;
/** 1 while the consumer waits for its bell. */
const SLEEPING = 2 * WORDS_PER_LINE;
/** 1 while the producer waits for room and wants a bell when there is some. */
const WANTS_ROOM = 3 * WORDS_PER_LINE;
const SIZE = 4 * WORDS_PER_LINE;

/** Makes a ring of `bytes` (a power of two, 4096 at least). `startIndex` lets tests begin near the wrap. */
export function createRing(bytes: number, startIndex = 0): SharedArrayBuffer {
  assert(bytes >= RING_BYTES_MIN && (bytes & (bytes - 1)) === 0, 'ring size is a power of two');
  const buffer = new SharedArrayBuffer(RING_DATA_AT + bytes);
  const control = new Int32Array(buffer, 0, RING_DATA_AT / 4);
  control[TAIL] = startIndex & ~7;
  control[HEAD] = startIndex & ~7;
  control[SIZE] = bytes;
  return buffer;
}

export class RingWriter {
  /** The records' memory and a view of it, for writing at the offset that `reserve` answers. */
  readonly bytes: Uint8Array;
  readonly view: DataView;
  readonly size: number;
  readonly #control: Int32Array;
  readonly #mask: number;
  #tail: number;
  #shownTail: number;
  #head: number;
  #reserved = 0;

  constructor(buffer: SharedArrayBuffer) {
    this.#control = new Int32Array(buffer, 0, RING_DATA_AT / 4);
    this.size = this.#control[SIZE]!;
    this.#mask = this.size - 1;
    this.bytes = new Uint8Array(buffer, RING_DATA_AT, this.size);
    this.view = new DataView(buffer, RING_DATA_AT, this.size);
    this.#tail = Atomics.load(this.#control, TAIL) >>> 0;
    this.#shownTail = this.#tail;
    this.#head = Atomics.load(this.#control, HEAD) >>> 0;
  }

  /** Bytes that the consumer has not taken yet, shown or not. */
  get usedBytes(): number {
    this.#head = Atomics.load(this.#control, HEAD) >>> 0;
    return (this.#tail - this.#head) >>> 0;
  }

  /**
   * Writes a whole record; it is seen after the next `publish`. False when there is no room.
   *
   * @param tag 0 to 65,535: for the reader
   * @throws RangeError for more than half of the ring, which could find no room for ever.
   */
  write(content: Uint8Array, tag = 0): boolean {
    const length = HEAD_BYTES + content.length;
    if (length > this.size >>> 1) {
      throw new RangeError(`${content.length} bytes are more than a record of this ring may have`);
    }
    const at = this.reserve(length);
    if (at < 0) return false;
    this.view.setUint32(at, length, true);
    this.view.setUint16(at + 4, tag, true);
    this.view.setUint16(at + 6, KIND_TELL, true);
    this.bytes.set(content, at + HEAD_BYTES);
    this.commit();
    return true;
  }

  /**
   * Where a record of `bytes`, its head included (padded inside), may be written in place, or -1 when there
   * is no room. For who encodes into the ring: the caller writes the head too.
   */
  reserve(bytes: number): number {
    const needed = paddedSize(bytes);
    const at = this.#tail & this.#mask;
    const toEnd = this.size - at;
    const skipped = toEnd < needed ? toEnd : 0;
    if (!this.#hasRoom(skipped + needed)) return -1;
    this.#reserved = skipped + needed;
    if (skipped === 0) return at;
    this.view.setUint32(at, skipped, true);
    this.view.setUint8(at + 6, KIND_SKIP);
    return 0;
  }

  /** Takes the reserved record into the ring; it is seen after the next `publish`. */
  commit(): void {
    this.#tail = (this.#tail + this.#reserved) >>> 0;
    this.#reserved = 0;
  }

  /** Shows everything committed. True if there was something, and the consumer sleeps: ring its bell. */
  publish(): boolean {
    if (this.#tail === this.#shownTail) return false;
    this.#shownTail = this.#tail;
    Atomics.store(this.#control, TAIL, this.#tail | 0);
    if (Atomics.load(this.#control, SLEEPING) === 0) return false;
    return Atomics.compareExchange(this.#control, SLEEPING, 1, 0) === 1;
  }

  get isPublished(): boolean {
    return this.#tail === this.#shownTail;
  }

  /** Asks for a bell when the consumer has made room. Look for room once more before you sleep. */
  wantRoom(): void {
    Atomics.store(this.#control, WANTS_ROOM, 1);
  }

  /** Calls `visit` with the offset of every record that was never taken: the consumer is dead. */
  eachUntaken(visit: (at: number) => void): void {
    let index = Atomics.load(this.#control, HEAD) >>> 0;
    while (index !== this.#tail) {
      const at = index & this.#mask;
      const length = this.view.getUint32(at, true);
      if (this.view.getUint8(at + 6) !== KIND_SKIP) visit(at);
      index = (index + paddedSize(length)) >>> 0;
    }
  }

  #hasRoom(needed: number): boolean {
    if (this.size - ((this.#tail - this.#head) >>> 0) >= needed) return true;
    this.#head = Atomics.load(this.#control, HEAD) >>> 0;
    return this.size - ((this.#tail - this.#head) >>> 0) >= needed;
  }
}

/** Records taken out of a ring in one piece: private memory that the receiver may keep. */
export interface Chunk {
  readonly bytes: Uint8Array;
  readonly count: number;
}

/** Calls `visit` for every record of a chunk, with its content as a view. */
export function eachRecord(
  { bytes, count }: Chunk,
  visit: (content: Uint8Array, tag: number) => void,
): void {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  for (let i = 0, at = 0; i < count; i += 1) {
    const length = view.getUint32(at, true);
    visit(bytes.subarray(at + HEAD_BYTES, at + length), view.getUint16(at + 4, true));
    at += paddedSize(length);
  }
}

export class RingReader {
  readonly #control: Int32Array;
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #size: number;
  #head: number;
  #isSleeping = false;

  constructor(buffer: SharedArrayBuffer) {
    this.#control = new Int32Array(buffer, 0, RING_DATA_AT / 4);
    this.#size = this.#control[SIZE]!;
    this.#bytes = new Uint8Array(buffer, RING_DATA_AT, this.#size);
    this.#view = new DataView(buffer, RING_DATA_AT, this.#size);
    this.#head = Atomics.load(this.#control, HEAD) >>> 0;
  }

  get isEmpty(): boolean {
    return Atomics.load(this.#control, TAIL) >>> 0 === this.#head;
  }

  /**
   * Copies up to `recordsMax` records out and gives their room back; undefined when there is none. A
   * chunk ends at the end of the buffer, so a full ring takes two calls.
   *
   * @throws RangeError when the memory is not a chain of records.
   */
  take(recordsMax: number): Chunk | undefined {
    const tail = Atomics.load(this.#control, TAIL) >>> 0;
    const used = (tail - this.#head) >>> 0;
    if (used === 0) return undefined;
    const start = this.#head & (this.#size - 1);
    const limit = Math.min(used, this.#size - start);
    let count = 0;
    let length = 0;
    let skipped = 0;
    while (length < limit && count < recordsMax) {
      const bytes = paddedSize(this.#view.getUint32(start + length, true));
      if (bytes < 8 || bytes > limit - length) throw new RangeError('the ring is corrupt');
      if (this.#view.getUint8(start + length + 6) === KIND_SKIP) {
        skipped = bytes;
        break;
      }
      length += bytes;
      count += 1;
    }
    // slice copies into private memory, whatever the source is.
    const bytes = this.#bytes.slice(start, start + length);
    this.#head = (this.#head + length + skipped) >>> 0;
    Atomics.store(this.#control, HEAD, this.#head | 0);
    return { bytes, count };
  }

  /** True if the producer waits for room: it wants a bell now. Asked after taking. */
  takeRoomWish(): boolean {
    if (Atomics.load(this.#control, WANTS_ROOM) === 0) return false;
    return Atomics.exchange(this.#control, WANTS_ROOM, 0) === 1;
  }

  /**
   * Goes to sleep unless something arrived: false means stay awake and take it. After true, wait for the
   * bell and call `wake`.
   */
  sleep(): boolean {
    this.#isSleeping = true;
    Atomics.store(this.#control, SLEEPING, 1);
    // The producer stores its tail before it reads the flag, and we the other way round: one sees.
    if (this.isEmpty) return true;
    this.wake();
    return false;
  }

  wake(): void {
    if (!this.#isSleeping) return;
    this.#isSleeping = false;
    Atomics.store(this.#control, SLEEPING, 0);
  }
}
