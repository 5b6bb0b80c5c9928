// Memory for what does not fit into one chunk of received bytes: frames that are cut, bodies that come in pieces.
// Buffers are powers of two and used again. One pool serves a thread.

/** The smallest buffer: a publish with the longest exchange and routing key, before its header has come. */
const CLASS_MIN = 10;
/** 4 MiB: larger ones go back to the garbage collector. */
const CLASS_MAX = 22;
/** Bytes that lie idle at most. */
const IDLE_BYTES_MAX = 8 * 1024 * 1024;

function classOf(size: number): number {
  return Math.max(CLASS_MIN, 32 - Math.clz32(size - 1));
}

/** The size of the buffer that `take` gives. */
export function bufferBytes(size: number): number {
  const sizeClass = classOf(size);
  return sizeClass > CLASS_MAX ? size : 2 ** sizeClass;
}

export class BufferPool {
  readonly #idle: Uint8Array[][] = [];
  #idleBytes = 0;

  get idleBytes(): number {
    return this.#idleBytes;
  }

  /** A buffer of at least `size` bytes, content unknown. */
  take(size: number): Uint8Array {
    return this.takeIdle(size) ?? new Uint8Array(bufferBytes(size));
  }

  /**
   * The same, if one lies idle. For what a peer only claims to need: it gets memory that others have filled before,
   * and no other.
   */
  takeIdle(size: number): Uint8Array | undefined {
    const buffer = this.#idle[classOf(size)]?.pop();
    if (buffer !== undefined) this.#idleBytes -= buffer.length;
    return buffer;
  }

  /** Gives a buffer back that `take` gave. Nobody may use it any more. */
  give(buffer: Uint8Array): void {
    const sizeClass = classOf(buffer.length);
    if (sizeClass > CLASS_MAX || this.#idleBytes + buffer.length > IDLE_BYTES_MAX) return;
    this.#idle[sizeClass] ??= [];
    this.#idle[sizeClass].push(buffer);
    this.#idleBytes += buffer.length;
  }
}
