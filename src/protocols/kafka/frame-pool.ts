// Memory of large request frames, used again: a produce of 64 KB needs no fresh 64 KB, which the garbage
// collector would have to follow. Only buffers that were given back are handed out, so that a frame which
// merely claims to be large gets no memory that others did not fill before. One pool per thread.

/** Frames between these sizes are pooled, in buffers of the next power of two. */
const POOLED_MIN = 16 * 1024;
const POOLED_MAX = 2 * 1024 * 1024;
/** Bytes that lie idle at most. */
const IDLE_BYTES_MAX = 16 * 1024 * 1024;

function classOf(size: number): number {
  return 32 - Math.clz32(size - 1);
}

export class FramePool {
  readonly #idle: Uint8Array[][] = [];
  #idleBytes = 0;

  get idleBytes(): number {
    return this.#idleBytes;
  }

  /** A buffer of at least `size` bytes with unknown content, or undefined. */
  take(size: number): Uint8Array | undefined {
    if (size < POOLED_MIN || size > POOLED_MAX) return undefined;
    const buffer = this.#idle[classOf(size)]?.pop();
    if (buffer !== undefined) this.#idleBytes -= buffer.length;
    return buffer;
  }

  /** The caller and everybody it lent a view to are done with the frame. */
  give(frame: Uint8Array): void {
    const { buffer } = frame;
    const size = buffer.byteLength;
    if (size < POOLED_MIN || size > POOLED_MAX || frame.byteOffset !== 0) return;
    if (this.#idleBytes + size > IDLE_BYTES_MAX || !(buffer instanceof ArrayBuffer)) return;
    // A buffer serves the class that it fills whole: one of 100 KB serves frames up to 64 KB.
    const index = classOf(size + 1) - 1;
    this.#idle[index] ??= [];
    this.#idle[index].push(new Uint8Array(buffer));
    this.#idleBytes += size;
  }
}
