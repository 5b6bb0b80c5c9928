// What one connection sends: responses of a turn are encoded one after another into a slab and written
// once, in the flush phase. Records that stay where they are (file ranges, large tails) go between the
// pieces of the slab, in order, and are released when the socket has taken them.
//
// Invariant: a slab is not written to again before the socket is done with it, and every slice handed in
// is released exactly once, also when the connection ends first.

import type { FetchSlice } from '../../broker/ports.ts';
import type { Connection } from '../../env/environment.ts';
import { WireWriter } from './codec/index.ts';

/** Records of one partition that are sent beside the slab. */
export interface SentRecords {
  readonly slices: readonly FetchSlice[];
  readonly release: () => void;
}

const SLAB_BYTES = 64 * 1024;
/** A slab that grew beyond this is not kept. */
const KEPT_SLAB_BYTES_MAX = 1024 * 1024;
const KEPT_SLABS_MAX = 32;

/** Slabs that no connection uses now; one pool serves a thread. */
export class SlabPool {
  readonly #free: WireWriter[] = [];

  take(): WireWriter {
    return this.#free.pop() ?? new WireWriter(SLAB_BYTES);
  }

  give(writer: WireWriter): void {
    writer.reset();
    if (writer.bytes.length <= KEPT_SLAB_BYTES_MAX && this.#free.length < KEPT_SLABS_MAX) {
      this.#free.push(writer);
    }
  }
}

export class Output {
  readonly #connection: Connection;
  readonly #pool: SlabPool;
  readonly #onTaken: () => void;
  #writer: WireWriter | undefined;
  #isClosed = false;
  /** Slabs that the socket has not taken yet. */
  slabsInFlight = 0;
  /** Calls of the socket's write since the start. */
  writes = 0;

  /** `onTaken` is called when the socket has taken a slab. */
  constructor(connection: Connection, pool: SlabPool, onTaken: () => void) {
    this.#connection = connection;
    this.#pool = pool;
    this.#onTaken = onTaken;
  }

  get hasPending(): boolean {
    return this.#writer !== undefined && this.#writer.size > 0;
  }

  /**
   * Lets `encode` append a frame. If it throws, nothing of the frame is sent and the error goes on.
   */
  append(encode: (writer: WireWriter) => void): void {
    this.#writer ??= this.#pool.take();
    const writer = this.#writer;
    const { size, cutBytes } = writer;
    const cutCount = writer.cuts.length;
    try {
      encode(writer);
    } catch (error) {
      writer.size = size;
      writer.cutBytes = cutBytes;
      for (const cut of writer.cuts.splice(cutCount)) (cut.records.ref as SentRecords).release();
      throw error;
    }
  }

  /** One write of what was appended since the last flush; a few if records lie between. */
  flush(): void {
    const writer = this.#writer;
    if (writer === undefined || writer.size === 0 || this.#isClosed) return;
    this.#writer = undefined;
    this.slabsInFlight += 1;
    const segments = writer.segments();
    let waiting = segments.length;
    const done = (): void => {
      waiting -= 1;
      if (waiting > 0) return;
      this.slabsInFlight -= 1;
      this.#pool.give(writer);
      this.#onTaken();
    };
    for (const segment of segments) {
      if (segment instanceof Uint8Array) {
        this.writes += 1;
        this.#connection.write(segment, done);
      } else {
        this.#sendRecords(segment.ref as SentRecords, done);
      }
    }
  }

  /** Gives back what was appended and never flushed. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    const writer = this.#writer;
    if (writer === undefined) return;
    this.#writer = undefined;
    for (const cut of writer.cuts) (cut.records.ref as SentRecords).release();
    this.#pool.give(writer);
  }

  #sendRecords(records: SentRecords, done: () => void): void {
    let waiting = records.slices.length;
    const sliceDone = (): void => {
      waiting -= 1;
      if (waiting > 0) return;
      records.release();
      done();
    };
    for (const slice of records.slices) {
      this.writes += 1;
      if (slice.kind === 'memory') this.#connection.write(slice.bytes, sliceDone);
      else this.#connection.sendFile(slice.file, slice.position, slice.length, sliceDone);
    }
  }
}
