// Frames of a link, little-endian: payload length u32, CRC-32C of the payload u32, kind u32, payload.
// The payloads of `records` frames, laid end to end, are one stream of padded records (record.ts). Small
// records share frames; a large one has frames of its own, and runs through several only if one cannot
// hold it. Pure: bytes in, records out.
import type { BufferPool } from '../../std/buffer-pool.ts';
import { readU32le, writeU32le } from '../../std/byte-ops.ts';
import type { Crc32c } from '../../std/crc32c.ts';
import { paddedSize, RECORD_HEADER_BYTES } from '../record.ts';

export const FRAME_HEADER_BYTES = 12;
const FRAME_PAYLOAD_MAX = 1024 * 1024;
/** A record from this size on has a frame of its own, so that its memory can be given back alone. */
export const LARGE_RECORD_BYTES = 16 * 1024;
/** Small records fill frames up to here. */
const SHARED_PAYLOAD_MAX = 64 * 1024;
/** A record's payload may have 64 MiB. */
export const RECORD_BYTES_MAX = 64 * 1024 * 1024 + RECORD_HEADER_BYTES;

export const FRAME_RECORDS = 1;
/** Payload: bytes and records (u32 each) that the receiver has handled since the last one. */
export const FRAME_CREDIT = 2;
/** Nothing but a sign of life; the receiver gives credit for it at once. */
export const FRAME_PING = 3;

/** What the peer sent is not a link: the connection is closed with this reason. */
export class FrameError extends Error {}

/** Cuts received bytes into checked frames. Payloads are pooled memory, owned by whoever gets them. */
export class FrameReader {
  readonly #crc32c: Crc32c;
  readonly #pool: BufferPool;
  readonly #onFrame: (kind: number, payload: Uint8Array) => void;
  readonly #header = new Uint8Array(FRAME_HEADER_BYTES);
  #headerFill = 0;
  #payload: Uint8Array | undefined;
  #payloadFill = 0;

  constructor(
    crc32c: Crc32c,
    pool: BufferPool,
    onFrame: (kind: number, payload: Uint8Array) => void,
  ) {
    this.#crc32c = crc32c;
    this.#pool = pool;
    this.#onFrame = onFrame;
  }

  /** @throws FrameError for a frame that is too long, broken or of no known kind. */
  push(view: Uint8Array): void {
    let at = 0;
    while (at < view.length) {
      if (this.#payload === undefined) {
        const count = Math.min(FRAME_HEADER_BYTES - this.#headerFill, view.length - at);
        this.#header.set(view.subarray(at, at + count), this.#headerFill);
        this.#headerFill += count;
        at += count;
        if (this.#headerFill < FRAME_HEADER_BYTES) return;
        this.#begin();
      }
      const payload = this.#payload!;
      const count = Math.min(payload.length - this.#payloadFill, view.length - at);
      payload.set(view.subarray(at, at + count), this.#payloadFill);
      this.#payloadFill += count;
      at += count;
      if (this.#payloadFill === payload.length) this.#end(payload);
    }
  }

  #begin(): void {
    const length = readU32le(this.#header, 0);
    const kind = readU32le(this.#header, 8);
    if (kind < FRAME_RECORDS || kind > FRAME_PING) throw new FrameError(`frame kind ${kind}`);
    if (length === 0 || length > FRAME_PAYLOAD_MAX)
      throw new FrameError(`frame of ${length} bytes`);
    const memory = this.#pool.take(length);
    this.#payload = memory.length === length ? memory : memory.subarray(0, length);
    this.#payloadFill = 0;
  }

  #end(payload: Uint8Array): void {
    if (this.#crc32c(payload, 0, payload.length) !== readU32le(this.#header, 4)) {
      throw new FrameError('frame with a wrong checksum');
    }
    this.#payload = undefined;
    this.#headerFill = 0;
    this.#onFrame(readU32le(this.#header, 8), payload);
  }
}

/** One whole record: its header is at `at`, its payload behind it. */
export interface ArrivedRecord {
  readonly bytes: Uint8Array;
  readonly at: number;
  readonly length: number;
  /** Nothing else lies in the memory of `bytes`: whoever is done with the record may give it back. */
  readonly isAlone: boolean;
}

/** Puts the stream of records together again. */
export class RecordAssembler {
  readonly #pool: BufferPool;
  #partial: Uint8Array | undefined;
  #fill = 0;
  #length = 0;

  constructor(pool: BufferPool) {
    this.#pool = pool;
  }

  /** @throws FrameError for a length that no record has. */
  push(payload: Uint8Array, onRecord: (record: ArrivedRecord) => void): void {
    let at = 0;
    if (this.#partial !== undefined) {
      at = Math.min(this.#partial.length - this.#fill, payload.length);
      this.#partial.set(payload.subarray(0, at), this.#fill);
      this.#fill += at;
      if (at === payload.length) this.#pool.give(payload);
      if (this.#fill < this.#partial.length) return;
      onRecord({ bytes: this.#partial, at: 0, length: this.#length, isAlone: true });
      this.#partial = undefined;
    }
    while (at < payload.length) {
      if (payload.length - at < RECORD_HEADER_BYTES)
        throw new FrameError('record cut in its header');
      const length = readU32le(payload, at);
      if (length < RECORD_HEADER_BYTES || length > RECORD_BYTES_MAX) {
        throw new FrameError(`record of ${length} bytes`);
      }
      const padded = paddedSize(length);
      if (padded > payload.length - at) {
        if (at !== 0 || payload.length !== FRAME_PAYLOAD_MAX) {
          throw new FrameError('a record that runs on must begin a full frame');
        }
        this.#partial = this.#pool.take(padded).subarray(0, padded);
        this.#partial.set(payload);
        this.#pool.give(payload);
        this.#fill = payload.length;
        this.#length = length;
        return;
      }
      onRecord({ bytes: payload, at, length, isAlone: at === 0 && padded === payload.length });
      at += padded;
    }
  }
}

export function creditFrame(crc32c: Crc32c, bytes: number, records: number): Uint8Array {
  return smallFrame(crc32c, FRAME_CREDIT, bytes, records);
}

export const PING_BYTES = FRAME_HEADER_BYTES + 8;

export function pingFrame(crc32c: Crc32c): Uint8Array {
  return smallFrame(crc32c, FRAME_PING, 0, 0);
}

function smallFrame(crc32c: Crc32c, kind: number, first: number, second: number): Uint8Array {
  const frame = new Uint8Array(PING_BYTES);
  writeU32le(frame, 0, PING_BYTES - FRAME_HEADER_BYTES);
  writeU32le(frame, 8, kind);
  writeU32le(frame, FRAME_HEADER_BYTES, first);
  writeU32le(frame, FRAME_HEADER_BYTES + 4, second);
  writeU32le(frame, 4, crc32c(frame, FRAME_HEADER_BYTES, frame.length));
  return frame;
}

/** What a writer begins with, and up to which size small records make it grow rather than part. */
const WRITER_BYTES = 64 * 1024;
const WRITER_GROWS_TO = 256 * 1024;

/** Lays records into frames, in pooled arrays that are written to the socket once per turn. */
export class FrameWriter {
  bytes: Uint8Array;
  view: DataView;
  /** Bytes laid into `bytes`. */
  length = 0;
  #frameAt = -1;
  /** Arrays that are full, and what of them counts. */
  readonly #full: Uint8Array[] = [];
  #fullBytes = 0;
  readonly #crc32c: Crc32c;
  readonly #pool: BufferPool;

  constructor(crc32c: Crc32c, pool: BufferPool) {
    this.#crc32c = crc32c;
    this.#pool = pool;
    this.bytes = pool.take(WRITER_BYTES);
    this.view = viewOf(this.bytes);
  }

  /** Bytes of all arrays. */
  get totalBytes(): number {
    return this.#fullBytes + this.length;
  }

  /** Where a record of `length` (less than a large one) is written, inside `bytes`. */
  reserve(length: number): number {
    const padded = paddedSize(length);
    const used = this.#frameAt < 0 ? 0 : this.length - this.#frameAt - FRAME_HEADER_BYTES;
    if (this.#frameAt >= 0 && used + padded > SHARED_PAYLOAD_MAX) this.closeFrame();
    this.#room(FRAME_HEADER_BYTES + padded);
    if (this.#frameAt < 0) this.#openFrame();
    const at = this.length;
    // The padding goes out too: it must not carry what lay here before.
    this.bytes.fill(0, at + length, at + padded);
    this.length = at + padded;
    return at;
  }

  /** Takes back what `reserve` gave last: its record could not be encoded. */
  drop(at: number): void {
    this.length = at;
    if (at === this.#frameAt + FRAME_HEADER_BYTES) {
      this.length = this.#frameAt;
      this.#frameAt = -1;
    }
  }

  /** Where a large record is written in one piece; `largeWritten` then cuts it into its frames. */
  reserveLarge(length: number): number {
    this.closeFrame();
    const padded = paddedSize(length);
    const headers = Math.ceil(padded / FRAME_PAYLOAD_MAX) * FRAME_HEADER_BYTES;
    if (this.length + headers + padded > this.bytes.length) this.#next(headers + padded);
    const at = this.length + headers;
    this.bytes.fill(0, at + length, at + padded);
    return at;
  }

  /** The record of `length` bytes at `at` is complete: its parts move up to make room for headers. */
  largeWritten(at: number, length: number): void {
    const end = at + paddedSize(length);
    for (let from = at; from < end; ) {
      const to = Math.min(end, from + FRAME_PAYLOAD_MAX);
      this.#openFrame();
      if (this.length !== from) this.bytes.copyWithin(this.length, from, to);
      this.length += to - from;
      this.closeFrame();
      from = to;
    }
  }

  closeFrame(): void {
    const at = this.#frameAt;
    if (at < 0) return;
    this.#frameAt = -1;
    const payloadAt = at + FRAME_HEADER_BYTES;
    writeU32le(this.bytes, at, this.length - payloadAt);
    writeU32le(this.bytes, at + 4, this.#crc32c(this.bytes, payloadAt, this.length));
  }

  /** Closes the frame and passes on what there is, in order; the pool gets back what `written` ends. */
  flush(write: (bytes: Uint8Array, written: () => void) => void): void {
    this.closeFrame();
    if (this.length > 0) this.#full.push(this.bytes.subarray(0, this.length));
    else this.#pool.give(this.bytes);
    for (const bytes of this.#full) write(bytes, () => this.#pool.give(bytes));
  }

  /** Nothing of it is written any more. */
  discard(): void {
    for (const bytes of this.#full) this.#pool.give(bytes);
    this.#pool.give(this.bytes);
  }

  #openFrame(): void {
    this.#frameAt = this.length;
    writeU32le(this.bytes, this.length + 8, FRAME_RECORDS);
    this.length += FRAME_HEADER_BYTES;
  }

  #room(bytes: number): void {
    const needed = this.length + bytes;
    if (needed <= this.bytes.length) return;
    if (needed > WRITER_GROWS_TO) {
      this.closeFrame();
      this.#next(bytes);
      return;
    }
    const grown = this.#pool.take(needed);
    grown.set(this.bytes.subarray(0, this.length));
    this.#pool.give(this.bytes);
    this.bytes = grown;
    this.view = viewOf(grown);
  }

  /** Goes on in another array with room for `bytes`. */
  #next(bytes: number): void {
    if (this.length > 0) {
      this.#full.push(this.bytes.subarray(0, this.length));
      this.#fullBytes += this.length;
    } else this.#pool.give(this.bytes);
    this.bytes = this.#pool.take(Math.max(WRITER_BYTES, bytes));
    this.view = viewOf(this.bytes);
    this.length = 0;
  }
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
}
