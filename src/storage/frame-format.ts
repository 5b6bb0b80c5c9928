// The 64 bytes in front of every frame of the write-ahead log, and the sums in them. Little endian.
//
//   0 magic u32 | 4 version u8 | 5 type u8 | 6 flags u16 | 8 LSN u64 | 16 log id u64 | 24 seq u64
//  32 log time u64 | 40 epoch i32 | 44 payload length u32 | 48 payload CRC u32 | 52 chain u32
//  56 salt u32 | 60 CRC-32C of bytes 0..59
//
// A data frame's payload is the record batch (if flag HAS_BATCH; its length is in itself), then the
// events. Frames start at multiples of 8 and lie in groups; a group starts with a frame of type `group`:
// seq = durable LSN when it was issued, payload length = rest of the group with its padding, chain =
// number of frames, payload CRC = the salt before it if flag NEW_SALT. Groups start at multiples of 4 KiB,
// so a block that holds acknowledged bytes is never written again. The LSN is the global byte position.
import { BATCH_CRC_FROM, batchSize } from '../records/batch.ts';
import { readU32le, readU64le, writeU16le, writeU32le, writeU64le } from '../std/bytes.ts';
import type { Crc32c } from '../std/crc32c.ts';

export const FRAME_HEADER_BYTES = 64;
export const BLOCK_BYTES = 4096;
/** "CBWF". */
const FRAME_MAGIC = 0x46574243;
export const FRAME_VERSION = 1;
/** The CRC-32C of any bytes with their own sum behind them, little endian: so of every sound header. */
export const SOUND_HEADER_SUM = 0x48674bc7;

export const TYPE_GROUP = 1;
export const TYPE_DATA = 2;
/** Frames above `seq` are cut. */
export const TYPE_TRUNCATE = 3;
/** The state after `seq`; the payload is a snapshot record, or empty with flag IN_FILE. */
export const TYPE_STATE = 4;
export const TYPE_DELETE = 5;
/** Payload: pairs of u64 (log id, committed seq). */
export const TYPE_COMMITS = 6;
/** A finished catch-up: payload as for a state, but without the state itself with flag IN_FILE. */
export const TYPE_INSTALL = 7;

export const HAS_BATCH = 1;
export const CARRIED = 2;
export const SEAL = 4;
export const NEW_SALT = 8;
export const IN_FILE = 16;

/** All fields of one header; one object is reused for many frames. */
export class FrameFields {
  type = 0;
  flags = 0;
  lsn = 0;
  logId = 0;
  seq = 0;
  logTimeMs = 0;
  epoch = 0;
  payloadLength = 0;
  payloadCrc = 0;
  chain = 0;
  salt = 0;
}

export function alignUp(value: number, to: number): number {
  return Math.ceil(value / to) * to;
}

/** Bytes that a frame takes in its group. */
export function frameSize(payloadLength: number): number {
  return (FRAME_HEADER_BYTES + payloadLength + 7) & ~7;
}

/** Writes, reads and sums headers with the checksum of one environment. */
export class FrameCodec {
  readonly crc32c: Crc32c;
  readonly #scratch = new Uint8Array(28);

  constructor(crc32c: Crc32c) {
    this.crc32c = crc32c;
  }

  writeHeader(bytes: Uint8Array, at: number, fields: FrameFields): void {
    writeU32le(bytes, at, FRAME_MAGIC);
    bytes[at + 4] = FRAME_VERSION;
    bytes[at + 5] = fields.type;
    writeU16le(bytes, at + 6, fields.flags);
    writeU64le(bytes, at + 8, fields.lsn);
    writeU64le(bytes, at + 16, fields.logId);
    writeU64le(bytes, at + 24, fields.seq);
    writeU64le(bytes, at + 32, fields.logTimeMs);
    writeU32le(bytes, at + 40, fields.epoch);
    writeU32le(bytes, at + 44, fields.payloadLength);
    writeU32le(bytes, at + 48, fields.payloadCrc);
    writeU32le(bytes, at + 52, fields.chain);
    writeU32le(bytes, at + 56, fields.salt);
    writeU32le(bytes, at + 60, this.crc32c(bytes, at, at + 60));
  }

  /** Fills `into` and answers true if 64 sound header bytes are at `at`. `view` is of the same bytes. */
  readHeader(bytes: Uint8Array, at: number, into: FrameFields, view = viewOf(bytes)): boolean {
    if (at + FRAME_HEADER_BYTES > bytes.length) return false;
    if (view.getUint32(at, true) !== FRAME_MAGIC || bytes[at + 4] !== FRAME_VERSION) return false;
    if (this.crc32c(bytes, at, at + FRAME_HEADER_BYTES) !== SOUND_HEADER_SUM) return false;
    readFields(view, at, into);
    return true;
  }

  /**
   * The version of a sound header at `at` that has the LSN it should have, if it is another than `readHeader` knows.
   * Magic, version, LSN and sum keep their places in all of them.
   */
  unknownVersionAt(bytes: Uint8Array, at: number, lsn: number): number | undefined {
    if (at + FRAME_HEADER_BYTES > bytes.length) return undefined;
    const version = bytes[at + 4]!;
    const isOther =
      readU32le(bytes, at) === FRAME_MAGIC &&
      version !== FRAME_VERSION &&
      readU64le(bytes, at + 8) === lsn &&
      this.crc32c(bytes, at, at + 60) === readU32le(bytes, at + 60);
    return isOther ? version : undefined;
  }

  /** The events are summed whole; of the batch only what its own CRC leaves out, and that CRC. */
  payloadCrc(events: Uint8Array, batch: Uint8Array | undefined): number {
    const ofEvents = events.length === 0 ? 0 : this.crc32c(events, 0, events.length);
    return batch === undefined ? ofEvents : this.crc32c(batch, 0, BATCH_CRC_FROM, ofEvents);
  }

  /** The chain after a frame. Equal chains at equal seqs mean equal histories. */
  chain(before: number, seq: number, epoch: number, logTimeMs: number, payload: number): number {
    const scratch = this.#scratch;
    writeU32le(scratch, 0, before);
    writeU64le(scratch, 4, seq);
    writeU32le(scratch, 12, epoch);
    writeU64le(scratch, 16, logTimeMs);
    writeU32le(scratch, 24, payload);
    return this.crc32c(scratch, 0, 28);
  }
}

export function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
}

function u64Of(view: DataView, at: number): number {
  return view.getUint32(at + 4, true) * 0x1_0000_0000 + view.getUint32(at, true);
}

/** Fills `into` with a header that is known to be sound. A view reads a field at once, where bytes take four to eight. */
export function readFields(view: DataView, at: number, into: FrameFields): void {
  into.type = view.getUint8(at + 5);
  into.flags = view.getUint16(at + 6, true);
  into.lsn = u64Of(view, at + 8);
  into.logId = u64Of(view, at + 16);
  into.seq = u64Of(view, at + 24);
  into.logTimeMs = u64Of(view, at + 32);
  into.epoch = view.getInt32(at + 40, true);
  into.payloadLength = view.getUint32(at + 44, true);
  into.payloadCrc = view.getUint32(at + 48, true);
  into.chain = view.getUint32(at + 52, true);
  into.salt = view.getUint32(at + 56, true);
}

/** Length of the batch at the front of a data frame's payload. */
export function batchLengthOf(bytes: Uint8Array, at: number, flags: number): number {
  return (flags & HAS_BATCH) === 0 ? 0 : batchSize(bytes, at);
}
