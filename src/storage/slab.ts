// The memory of a shard: chunks in which frames are encoded, and from which they are written, sent and
// settled without another copy. A chunk goes back to the free list when nobody holds it: each frame, each
// group in flight and each reader is one hold. Last freed, first taken. Not shared memory: no other thread
// looks into it, and V8 copies to and from shared memory word by word, three times slower.
import { assert } from '../std/assert.ts';

const CHUNK_BYTES = 1 << 20;
/** Free chunks kept for the next load. */
const FREE_CHUNKS_KEPT = 4;

export class Chunk {
  readonly id: number;
  readonly bytes: Uint8Array;
  /** Bytes used from the front. */
  used = 0;
  holds = 0;

  constructor(id: number, size: number) {
    this.id = id;
    this.bytes = new Uint8Array(size);
  }
}

export class SlabPool {
  readonly #bytesMax: number;
  readonly #chunks: (Chunk | undefined)[] = [];
  readonly #freeIds: number[] = [];
  readonly #free: Chunk[] = [];
  usedBytes = 0;
  /** Most that was used since the last `trim`. */
  #peakBytes = 0;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  /**
   * A chunk of at least `sizeMin` bytes with one hold for the caller, or undefined at the limit.
   * `isForced` passes the limit: for what must be written so that memory can become free.
   */
  take(sizeMin: number, isForced = false): Chunk | undefined {
    const size = Math.max(CHUNK_BYTES, Math.ceil(sizeMin / 4096) * 4096);
    const isFirst = this.usedBytes === 0;
    if (!isForced && !isFirst && this.usedBytes + size > this.#bytesMax) return undefined;
    let chunk = size === CHUNK_BYTES ? this.#free.pop() : undefined;
    if (chunk === undefined) {
      const id = this.#freeIds.pop() ?? this.#chunks.length;
      chunk = new Chunk(id, size);
      this.#chunks[id] = chunk;
    }
    chunk.used = 0;
    chunk.holds = 1;
    this.usedBytes += size;
    this.#peakBytes = Math.max(this.#peakBytes, this.usedBytes);
    return chunk;
  }

  get(id: number): Chunk {
    const chunk = this.#chunks[id];
    assert(chunk !== undefined && chunk.holds > 0, 'SlabPool: a chunk in use must be held');
    return chunk;
  }

  release(chunk: Chunk): void {
    assert(chunk.holds > 0, 'SlabPool: released more often than held');
    chunk.holds -= 1;
    if (chunk.holds > 0) return;
    this.usedBytes -= chunk.bytes.length;
    if (chunk.bytes.length === CHUNK_BYTES) this.#free.push(chunk);
    else this.#forget(chunk);
  }

  /**
   * Called now and then: gives back what is free. Under load that is what was not needed since the last call: fresh
   * chunks cost page faults, and collections.
   */
  trim(isIdle: boolean): void {
    const spare = isIdle ? 0 : (this.#peakBytes - this.usedBytes) / CHUNK_BYTES;
    while (this.#free.length > Math.max(FREE_CHUNKS_KEPT, spare)) this.#forget(this.#free.pop()!);
    this.#peakBytes = this.usedBytes;
  }

  #forget(chunk: Chunk): void {
    this.#chunks[chunk.id] = undefined;
    this.#freeIds.push(chunk.id);
  }

  /** At half of the limit tails start to settle early. */
  get isHalfFull(): boolean {
    return this.usedBytes * 2 > this.#bytesMax;
  }

  get hasRoom(): boolean {
    return this.usedBytes + CHUNK_BYTES <= this.#bytesMax;
  }
}
