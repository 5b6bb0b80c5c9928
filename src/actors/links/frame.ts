// Frames of a link, little-endian: payload length u32, CRC-32C of the payload u32, kind u32, payload.
// The payloads of `records` frames, laid end to end, are one stream of padded records (record.ts): a
// large record runs through several frames, a small one never does. Pure: bytes in, records out.
import { readU32le, writeU32le } from '../../std/byte-ops.ts';
import type { Crc32c } from '../../std/crc32c.ts';
import { paddedSize, RECORD_HEADER_BYTES } from '../record.ts';

export const FRAME_HEADER_BYTES = 12;
export const FRAME_PAYLOAD_MAX = 64 * 1024;
/** A record's payload may have 64 MiB. */
export const RECORD_BYTES_MAX = 64 * 1024 * 1024 + RECORD_HEADER_BYTES;

export const FRAME_RECORDS = 1;
/** Payload: bytes and records (u32 each) that the receiver has handled since the last one. */
export const FRAME_CREDIT = 2;

/** What the peer sent is not a link: the connection is closed with this reason. */
export class FrameError extends Error {}

/** Cuts received bytes into checked frames. Payloads are private memory of whoever gets them. */
export class FrameReader {
  readonly #crc32c: Crc32c;
  readonly #onFrame: (kind: number, payload: Uint8Array) => void;
  readonly #header = new Uint8Array(FRAME_HEADER_BYTES);
  #headerFill = 0;
  #payload: Uint8Array | undefined;
  #payloadFill = 0;

  constructor(crc32c: Crc32c, onFrame: (kind: number, payload: Uint8Array) => void) {
    this.#crc32c = crc32c;
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
    if (kind !== FRAME_RECORDS && kind !== FRAME_CREDIT) throw new FrameError(`frame kind ${kind}`);
    if (length === 0 || length > FRAME_PAYLOAD_MAX)
      throw new FrameError(`frame of ${length} bytes`);
    this.#payload = new Uint8Array(length);
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
}

/** Puts the stream of records together again. */
export class RecordAssembler {
  #partial: Uint8Array | undefined;
  #fill = 0;
  #length = 0;

  /** @throws FrameError for a length that no record has. */
  push(payload: Uint8Array, onRecord: (record: ArrivedRecord) => void): void {
    let at = 0;
    if (this.#partial !== undefined) {
      at = Math.min(this.#partial.length - this.#fill, payload.length);
      this.#partial.set(payload.subarray(0, at), this.#fill);
      this.#fill += at;
      if (this.#fill < this.#partial.length) return;
      onRecord({ bytes: this.#partial, at: 0, length: this.#length });
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
        this.#partial = new Uint8Array(padded);
        this.#partial.set(payload);
        this.#fill = payload.length;
        this.#length = length;
        return;
      }
      onRecord({ bytes: payload, at, length });
      at += padded;
    }
  }
}

/** Lays records into frames in one growing buffer: what is written to the socket once per turn. */
export class FrameWriter {
  bytes: Uint8Array;
  view: DataView;
  length = 0;
  #frameAt = -1;
  readonly #crc32c: Crc32c;

  constructor(crc32c: Crc32c, bytes: Uint8Array) {
    this.#crc32c = crc32c;
    this.bytes = bytes;
    this.view = new DataView(bytes.buffer);
  }

  /** Where a record of `length` (at most a frame) is written, inside `bytes`. */
  reserve(length: number): number {
    const padded = paddedSize(length);
    const used = this.#frameAt < 0 ? 0 : this.length - this.#frameAt - FRAME_HEADER_BYTES;
    if (this.#frameAt >= 0 && used + padded > FRAME_PAYLOAD_MAX) this.closeFrame();
    this.#room(FRAME_HEADER_BYTES + padded);
    if (this.#frameAt < 0) this.#openFrame(FRAME_RECORDS);
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

  /** A record of any size, split over full frames. */
  large(record: Uint8Array): void {
    if (this.#frameAt >= 0) this.closeFrame();
    const padded = paddedSize(record.length);
    for (let from = 0; from < padded; from += FRAME_PAYLOAD_MAX) {
      const count = Math.min(FRAME_PAYLOAD_MAX, padded - from);
      this.#room(FRAME_HEADER_BYTES + count);
      this.#openFrame(FRAME_RECORDS);
      const part = record.subarray(from, Math.min(record.length, from + count));
      this.bytes.set(part, this.length);
      this.bytes.fill(0, this.length + part.length, this.length + count);
      this.length += count;
      this.closeFrame();
    }
  }

  credit(bytes: number, records: number): void {
    if (this.#frameAt >= 0) this.closeFrame();
    this.#room(FRAME_HEADER_BYTES + 8);
    this.#openFrame(FRAME_CREDIT);
    writeU32le(this.bytes, this.length, bytes);
    writeU32le(this.bytes, this.length + 4, records);
    this.length += 8;
    this.closeFrame();
  }

  closeFrame(): void {
    const at = this.#frameAt;
    if (at < 0) return;
    this.#frameAt = -1;
    const payloadAt = at + FRAME_HEADER_BYTES;
    writeU32le(this.bytes, at, this.length - payloadAt);
    writeU32le(this.bytes, at + 4, this.#crc32c(this.bytes, payloadAt, this.length));
  }

  #openFrame(kind: number): void {
    this.#frameAt = this.length;
    writeU32le(this.bytes, this.length + 8, kind);
    this.length += FRAME_HEADER_BYTES;
  }

  #room(bytes: number): void {
    const needed = this.length + bytes;
    if (needed <= this.bytes.length) return;
    const grown = new Uint8Array(Math.max(needed, this.bytes.length * 2));
    grown.set(this.bytes.subarray(0, this.length));
    this.bytes = grown;
    this.view = new DataView(grown.buffer);
  }
}
