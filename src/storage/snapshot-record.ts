// How the state of a durable actor is written: with all that is needed to go on behind it, in a WAL frame
// or, if it is large, in a view file that a WAL frame points to. An install frame carries the same record.
//
// Record, big endian: version u8 | epoch i32 | first seq of the epoch u64 | chain u32 | log time u64 | end offset
// u64 | start offset u64 | generation u32 | lowest generation u32 | state. View file: magic u32 | CRC-32C of
// the rest u32 | seq u64 | record.
import { ByteReader, ByteWriter, readU32, readU64, writeU32 } from '../std/bytes.ts';
import type { Crc32c } from '../std/crc32c.ts';
import { unknownVersion } from './errors.ts';

const RECORD_VERSION = 1;
const RECORD_HEADER_BYTES = 49;
/** Larger records go to view files. */
export const STATE_IN_WAL_BYTES_MAX = 16 * 1024;
/** "CBVW". */
const VIEW_MAGIC = 0x43425657;
const VIEW_HEADER_BYTES = 16;

export interface SnapshotRecord {
  readonly epoch: number;
  readonly epochFirstSeq: number;
  readonly chain: number;
  readonly logTimeMs: number;
  readonly endOffset: number;
  readonly startOffset: number;
  /** Segment generations that count after an install; 0 in records of states. */
  readonly generation: number;
  readonly generationMin: number;
  readonly state: Uint8Array;
}

export function encodeRecord(record: SnapshotRecord): Uint8Array {
  const writer = new ByteWriter(RECORD_HEADER_BYTES + record.state.length);
  writer.u8(RECORD_VERSION);
  writer.i32(record.epoch);
  writer.u64(record.epochFirstSeq);
  writer.u32(record.chain);
  writer.u64(record.logTimeMs);
  writer.u64(record.endOffset);
  writer.u64(record.startOffset);
  writer.u32(record.generation);
  writer.u32(record.generationMin);
  writer.raw(record.state);
  return writer.finish();
}

/** Throws `STORAGE_NEWER_FORMAT` for a record of another version; `what` names it. */
export function assertRecordVersion(bytes: Uint8Array, what: string): void {
  const version = bytes[0] ?? 0;
  if (version !== RECORD_VERSION) throw unknownVersion(what, version, RECORD_VERSION);
}

/** The state is a view of `bytes`. Throws `STORAGE_NEWER_FORMAT`, BytesError. */
export function decodeRecord(bytes: Uint8Array, what: string): SnapshotRecord {
  const reader = new ByteReader(bytes);
  assertRecordVersion(bytes, what);
  reader.skip(1);
  return {
    epoch: reader.i32(),
    epochFirstSeq: reader.u64(),
    chain: reader.u32(),
    logTimeMs: reader.u64(),
    endOffset: reader.u64(),
    startOffset: reader.u64(),
    generation: reader.u32(),
    generationMin: reader.u32(),
    state: reader.view(reader.remaining),
  };
}

export function encodeViewFile(seq: number, record: Uint8Array, crc32c: Crc32c): Uint8Array {
  const writer = new ByteWriter(VIEW_HEADER_BYTES + record.length);
  writer.u32(VIEW_MAGIC);
  writer.u32(0);
  writer.u64(seq);
  writer.raw(record);
  const bytes = writer.finish();
  writeU32(bytes, 4, crc32c(bytes, 8, bytes.length));
  return bytes;
}

/** The record in a view file, or undefined if the file is not a sound one for `seq` (undefined: for any). */
export function decodeViewFile(
  bytes: Uint8Array,
  seq: number | undefined,
  crc32c: Crc32c,
): Uint8Array | undefined {
  if (bytes.length < VIEW_HEADER_BYTES || readU32(bytes, 0) !== VIEW_MAGIC) return undefined;
  if (readU32(bytes, 4) !== crc32c(bytes, 8, bytes.length)) return undefined;
  return seq === undefined || seqOfViewFile(bytes) === seq
    ? bytes.subarray(VIEW_HEADER_BYTES)
    : undefined;
}

/** Of a file that passes its check: the state in it is that after this seq. */
export function seqOfViewFile(bytes: Uint8Array): number {
  return readU64(bytes, 8);
}

export function viewFileName(seq: number): string {
  return `state-${seq}.view`;
}
