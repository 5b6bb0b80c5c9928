// The header of a Kafka record batch, magic 2 (KIP-98; Kafka's "Record Batch" message format page).
// Works in place on bytes: reads, checks and stamps, never copies and never looks into the records.
//
//   0 base offset i64      8 length i32 (of what follows)   12 leader epoch i32
//  16 magic i8            17 crc u32                        21 attributes i16
//  23 last offset delta   27 base timestamp i64             35 max timestamp i64
//  43 producer id i64     51 producer epoch i16             53 base sequence i32
//  57 record count i32    61 records
//
// The CRC-32C covers byte 21 to the end, so base offset and leader epoch can be stamped without it.
import {
  joinI64Lossy,
  readI16,
  readI32,
  readI64Lossy,
  readU16,
  readU32,
  writeI64,
  writeU32,
} from '../std/bytes.ts';
import type { Crc32c } from '../std/crc32c.ts';

export const BATCH_HEADER_BYTES = 61;
/** Base offset and length: what is not counted by the length field. */
export const BATCH_PREFIX_BYTES = 12;
/** Where the CRC-32C starts to count. */
export const BATCH_CRC_FROM = 21;
export const BATCH_MAGIC = 2;

export const LENGTH_AT = 8;
const LEADER_EPOCH_AT = 12;
export const MAGIC_AT = 16;
export const CRC_AT = 17;
export const ATTRIBUTES_AT = 21;
export const LAST_OFFSET_DELTA_AT = 23;
export const BASE_TIMESTAMP_AT = 27;
export const MAX_TIMESTAMP_AT = 35;
export const PRODUCER_ID_AT = 43;
export const PRODUCER_EPOCH_AT = 51;
export const BASE_SEQUENCE_AT = 53;
export const RECORD_COUNT_AT = 57;

export const CODEC_MASK = 0x07;
const APPEND_TIME_BIT = 0x08;
export const TRANSACTIONAL_BIT = 0x10;
export const CONTROL_BIT = 0x20;
/** Compaction has seen its tombstones: the base timestamp is when they go (KIP-534). */
export const DELETE_HORIZON_BIT = 0x40;

/** Compression codecs by their number in the attributes. */
export const CODEC_NAMES = ['none', 'gzip', 'snappy', 'lz4', 'zstd'] as const;
export type CodecName = (typeof CODEC_NAMES)[number];

/** The smallest length field: a header without records. */
const LENGTH_MIN = BATCH_HEADER_BYTES - BATCH_PREFIX_BYTES;

/**
 * All header fields of one batch. One object is reused for many batches: `readBatchHeader` fills
 * it.
 */
export class BatchHeader {
  baseOffset = 0;
  /** The length field: bytes behind it. The whole batch is `size`. */
  length = 0;
  leaderEpoch = 0;
  magic = 0;
  crc = 0;
  attributes = 0;
  lastOffsetDelta = 0;
  baseTimestampMs = 0;
  maxTimestampMs = 0;
  producerId = 0;
  producerEpoch = 0;
  baseSequence = 0;
  recordCount = 0;

  /** Bytes of the whole batch. */
  get size(): number {
    return this.length + BATCH_PREFIX_BYTES;
  }

  get lastOffset(): number {
    return this.baseOffset + this.lastOffsetDelta;
  }
}

/**
 * Fills `into` with the header at `at` and returns it. The caller knows that 61 bytes are there;
 * 64-bit fields beyond the safe integers are rounded (`checkBatch` refuses such a batch).
 */
export function readBatchHeader(
  bytes: Uint8Array,
  at: number,
  into: BatchHeader = new BatchHeader(),
): BatchHeader {
  into.baseOffset = readI64Lossy(bytes, at);
  into.length = readI32(bytes, at + LENGTH_AT);
  into.leaderEpoch = readI32(bytes, at + LEADER_EPOCH_AT);
  into.magic = bytes[at + MAGIC_AT]!;
  into.crc = readU32(bytes, at + CRC_AT);
  into.attributes = readU16(bytes, at + ATTRIBUTES_AT);
  into.lastOffsetDelta = readI32(bytes, at + LAST_OFFSET_DELTA_AT);
  into.baseTimestampMs = readI64Lossy(bytes, at + BASE_TIMESTAMP_AT);
  into.maxTimestampMs = readI64Lossy(bytes, at + MAX_TIMESTAMP_AT);
  into.producerId = readI64Lossy(bytes, at + PRODUCER_ID_AT);
  into.producerEpoch = readI16(bytes, at + PRODUCER_EPOCH_AT);
  into.baseSequence = readI32(bytes, at + BASE_SEQUENCE_AT);
  into.recordCount = readI32(bytes, at + RECORD_COUNT_AT);
  return into;
}

/** Bytes of the whole batch at `at`, by its length field. 12 bytes must be there. */
export function batchSize(bytes: Uint8Array, at: number): number {
  return readI32(bytes, at + LENGTH_AT) + BATCH_PREFIX_BYTES;
}

export function baseOffset(bytes: Uint8Array, at: number): number {
  return readI64Lossy(bytes, at);
}

export function lastOffset(bytes: Uint8Array, at: number): number {
  return readI64Lossy(bytes, at) + readI32(bytes, at + LAST_OFFSET_DELTA_AT);
}

export function maxTimestampMs(bytes: Uint8Array, at: number): number {
  return readI64Lossy(bytes, at + MAX_TIMESTAMP_AT);
}

export function recordCount(bytes: Uint8Array, at: number): number {
  return readI32(bytes, at + RECORD_COUNT_AT);
}

/** The codec named by `attributes`, or undefined for a number that Kafka has not given out. */
export function codecOf(attributes: number): CodecName | undefined {
  return CODEC_NAMES[attributes & CODEC_MASK];
}

export function isControl(attributes: number): boolean {
  return (attributes & CONTROL_BIT) !== 0;
}

export function isTransactional(attributes: number): boolean {
  return (attributes & TRANSACTIONAL_BIT) !== 0;
}

export function hasDeleteHorizon(attributes: number): boolean {
  return (attributes & DELETE_HORIZON_BIT) !== 0;
}

export function isAppendTime(attributes: number): boolean {
  return (attributes & APPEND_TIME_BIT) !== 0;
}

/**
 * What `checkBatch` found, the first that applies:
 * `truncated` the range ends inside the batch; `bad-magic` not format 2; `bad-length` the length
 * field is smaller than a header; `bad-crc`; `bad-attributes` an unknown codec or bits; `bad-value`
 * a time, producer id or sequence that cannot be; `bad-count` record count and last offset delta
 * disagree, or only compaction leaves such a batch;
 * `control` a control batch where none is allowed.
 */
export type BatchFault =
  | 'truncated'
  | 'bad-magic'
  | 'bad-length'
  | 'bad-crc'
  | 'bad-attributes'
  | 'bad-value'
  | 'bad-count'
  | 'control';

export interface BatchRules {
  /** Control batches are fine (they are in a log, never from a client). */
  readonly allowControl: boolean;
  /**
   * Fewer records than offsets are fine (compaction leaves such batches, clients may not send
   * them).
   */
  readonly allowGaps: boolean;
}

const CLIENT_BATCH: BatchRules = { allowControl: false, allowGaps: false };
export const STORED_BATCH: BatchRules = { allowControl: true, allowGaps: true };

/**
 * Checks the batch at `at` of bytes[at, end). Bytes behind the batch are not looked at. Never
 * throws. Does not look into the records: a wrong record inside a right CRC is its producer's
 * doing.
 */
export function checkBatch(
  bytes: Uint8Array,
  at: number,
  end: number,
  crc32c: Crc32c,
  rules: BatchRules = CLIENT_BATCH,
): 'ok' | BatchFault {
  const there = end - at;
  if (there > MAGIC_AT && bytes[at + MAGIC_AT] !== BATCH_MAGIC) return 'bad-magic';
  if (there < BATCH_HEADER_BYTES) return 'truncated';
  const length = readI32(bytes, at + LENGTH_AT);
  if (length < LENGTH_MIN) return 'bad-length';
  const size = length + BATCH_PREFIX_BYTES;
  if (size > there) return 'truncated';
  const crc = crc32c(bytes, at + BATCH_CRC_FROM, at + size);
  if (crc !== readU32(bytes, at + CRC_AT)) return 'bad-crc';
  return checkFields(bytes, at, rules);
}

function checkFields(bytes: Uint8Array, at: number, rules: BatchRules): 'ok' | BatchFault {
  const attributes = readU16(bytes, at + ATTRIBUTES_AT);
  if (attributes > 0x7f || (attributes & CODEC_MASK) >= CODEC_NAMES.length) return 'bad-attributes';
  for (const field of [BASE_TIMESTAMP_AT, MAX_TIMESTAMP_AT, PRODUCER_ID_AT]) {
    const value = joinI64Lossy(readI32(bytes, at + field), readI32(bytes, at + field + 4));
    if (!Number.isSafeInteger(value) || (field !== BASE_TIMESTAMP_AT && value < -1)) {
      return 'bad-value';
    }
  }
  const hasProducer = readI32(bytes, at + PRODUCER_ID_AT) >= 0;
  if (hasProducer && !isControl(attributes)) {
    if (readI32(bytes, at + BASE_SEQUENCE_AT) < 0) return 'bad-value';
    if (readI16(bytes, at + PRODUCER_EPOCH_AT) < 0) return 'bad-value';
  }
  const offsets = readI32(bytes, at + LAST_OFFSET_DELTA_AT) + 1;
  const count = readI32(bytes, at + RECORD_COUNT_AT);
  if (offsets < 1 || count < 0 || count > offsets) return 'bad-count';
  if (!rules.allowGaps && (count !== offsets || hasDeleteHorizon(attributes))) return 'bad-count';
  if (!rules.allowControl && isControl(attributes)) return 'control';
  return 'ok';
}

/** Writes what the leader decides, in place. The CRC does not cover either field. */
export function stampBatch(
  bytes: Uint8Array,
  at: number,
  offset: number,
  leaderEpoch: number,
): void {
  writeI64(bytes, at, offset);
  writeU32(bytes, at + LEADER_EPOCH_AT, leaderEpoch);
}

/** Computes and writes the CRC of the whole batch at `at`. */
export function sealBatch(bytes: Uint8Array, at: number, crc32c: Crc32c): void {
  const end = at + batchSize(bytes, at);
  writeU32(bytes, at + CRC_AT, crc32c(bytes, at + BATCH_CRC_FROM, end));
}

/**
 * Size of the batch at `at` if all of it lies before `end`, else 0. Looks at the length field only.
 */
export function wholeBatchSize(bytes: Uint8Array, at: number, end: number): number {
  if (end - at < BATCH_HEADER_BYTES) return 0;
  const length = readI32(bytes, at + LENGTH_AT);
  if (length < LENGTH_MIN || length > end - at - BATCH_PREFIX_BYTES) return 0;
  return length + BATCH_PREFIX_BYTES;
}

/**
 * Calls `visit` for each whole batch of bytes[start, end) in order, until it answers false.
 * Returns the position behind the last batch visited: `end` if the range was batches only.
 *
 * @example
 * const stop = forEachBatch(view, 0, view.length, (at, size) => { seen += size; });
 */
export function forEachBatch(
  bytes: Uint8Array,
  start: number,
  end: number,
  visit: (at: number, size: number) => unknown,
): number {
  let at = start;
  for (;;) {
    const size = wholeBatchSize(bytes, at, end);
    if (size === 0) return at;
    const goOn = visit(at, size);
    at += size;
    if (goOn === false) return at;
  }
}
