// What one connection sends: all frames of a turn are appended to one slab, which is written once. A slab is not
// touched again before the socket is done with it; then it serves another connection.
import type { Connection } from '../../env/environment.ts';
import { BufferPool } from '../../std/buffer-pool.ts';
import { ByteWriter } from '../../std/bytes.ts';

const SLAB_BYTES = 32 * 1024;
const KEPT_SLABS_MAX = 128;
/** Of the memory into which slabs grow in large turns. */
const KEPT_BYTES_MAX = 8 * 1024 * 1024;

/** Slabs that no connection uses now; one pool serves a thread. */
export class SlabPool {
  readonly memory = new BufferPool(KEPT_BYTES_MAX);
  readonly #free: ByteWriter[] = [];

  take(): ByteWriter {
    return this.#free.pop() ?? new ByteWriter(SLAB_BYTES, this.memory);
  }

  give(slab: ByteWriter): void {
    slab.release();
    if (this.#free.length < KEPT_SLABS_MAX) this.#free.push(slab);
  }
}

export class Output {
  readonly #connection: Connection;
  readonly #pool: SlabPool;
  readonly #onTaken: () => void;
  #slab: ByteWriter | undefined;
  #inFlightBytes = 0;
  #isClosed = false;
  /** Bytes handed to the socket, and calls of its write, since the start. */
  sentBytes = 0;
  writes = 0;

  /** `onTaken` is called when the socket has taken a slab. */
  constructor(connection: Connection, pool: SlabPool, onTaken: () => void) {
    this.#connection = connection;
    this.#pool = pool;
    this.#onTaken = onTaken;
  }

  /** Appended or written, and not taken by the socket. */
  get unsentBytes(): number {
    return this.#inFlightBytes + (this.#slab?.size ?? 0);
  }

  /** Where the next frame goes, valid until the next flush. */
  get writer(): ByteWriter {
    this.#slab ??= this.#pool.take();
    return this.#slab;
  }

  /** One write of all that was appended since the last one. */
  flush(): void {
    const slab = this.#slab;
    if (slab === undefined || slab.size === 0 || this.#isClosed) return;
    this.#slab = undefined;
    const { size } = slab;
    this.#inFlightBytes += size;
    this.sentBytes += size;
    this.writes += 1;
    this.#connection.write(slab.finish(), () => {
      this.#inFlightBytes -= size;
      this.#pool.give(slab);
      this.#onTaken();
    });
  }

  /** Nothing is written any more. */
  close(): void {
    this.#isClosed = true;
    if (this.#slab !== undefined) this.#pool.give(this.#slab);
    this.#slab = undefined;
  }
}
