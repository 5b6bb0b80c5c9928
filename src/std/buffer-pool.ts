// Memory of large messages, used again: bytes that pass through need no fresh array each time, which the
// garbage collector would have to follow (what lies outside its heap counts, and starts whole collections).
// Arrays have the size of a power of two, so that one which was given back serves the next of its kind.

/** Arrays between these sizes are pooled. */
export const POOLED_MIN = 16 * 1024;
const POOLED_MAX = 2 * 1024 * 1024;
/** Bytes that lie idle at most, if nobody says otherwise. */
const IDLE_BYTES_MAX = 16 * 1024 * 1024;
const POISON = 0xdd;

function classOf(size: number): number {
  return 32 - Math.clz32(size - 1);
}

/** The size of an array for `size` bytes that can be pooled later; `size` itself where none is. */
export function pooledSize(size: number): number {
  return size < POOLED_MIN || size > POOLED_MAX ? size : 2 ** classOf(size);
}

/** One per thread and purpose. */
export class BufferPool {
  /** Pooled arrays that were made because none lay idle. */
  made = 0;
  readonly #idleBytesMax: number;
  readonly #isPoisoned: boolean;
  readonly #idle: Uint8Array[][] = [];
  #idleBytes = 0;

  /** `isPoisoned`: what is given back is filled, so that whoever still reads it shows. */
  constructor(idleBytesMax = IDLE_BYTES_MAX, isPoisoned = false) {
    this.#idleBytesMax = idleBytesMax;
    this.#isPoisoned = isPoisoned;
  }

  get idleBytes(): number {
    return this.#idleBytes;
  }

  /** At least `size` bytes with unknown content, if somebody gave them back before. */
  takeIdle(size: number): Uint8Array | undefined {
    if (size < POOLED_MIN || size > POOLED_MAX) return undefined;
    const bytes = this.#idle[classOf(size)]?.pop();
    if (bytes !== undefined) this.#idleBytes -= bytes.length;
    return bytes;
  }

  /** At least `size` bytes with unknown content. */
  take(size: number): Uint8Array {
    const idle = this.takeIdle(size);
    if (idle !== undefined) return idle;
    if (size >= POOLED_MIN && size <= POOLED_MAX) this.made += 1;
    return new Uint8Array(pooledSize(size));
  }

  /** The caller and everybody it lent a view to are done with the array behind `bytes`. */
  give(bytes: Uint8Array): void {
    if (this.#isPoisoned) bytes.fill(POISON);
    const { buffer } = bytes;
    const size = buffer.byteLength;
    if (size < POOLED_MIN || size > POOLED_MAX || bytes.byteOffset !== 0) return;
    if (this.#idleBytes + size > this.#idleBytesMax || !(buffer instanceof ArrayBuffer)) return;
    // An array serves the class that it fills whole: one of 100 KB serves up to 64 KiB.
    const index = classOf(size + 1) - 1;
    this.#idle[index] ??= [];
    this.#idle[index].push(bytes.length === size ? bytes : new Uint8Array(buffer));
    this.#idleBytes += size;
  }
}
