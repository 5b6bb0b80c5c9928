// Builds one record batch: records are appended straight into their final bytes, the header is
// filled in at the end. One builder is reused for many batches. Compression is a function that the
// caller has.
//
// A record: varint size | attributes i8 (0) | varlong time delta | varint offset delta | varint key
// size (-1 null), key | varint value size (-1 null), value | varint header count | each: varint
// name size, name in UTF-8, varint value size (-1 null), value.
import { assert } from '../std/assert.ts';
import type { BufferPool } from '../std/buffer-pool.ts';
import { ByteWriter, copyRange, utf8Size, writeI64, writeU16, writeU32 } from '../std/bytes.ts';
import type { Crc32c } from '../std/crc32c.ts';
import { varI53Size, writeVarI53 } from '../std/varint.ts';
import {
  ATTRIBUTES_AT,
  BASE_SEQUENCE_AT,
  BASE_TIMESTAMP_AT,
  BATCH_HEADER_BYTES,
  BATCH_MAGIC,
  BATCH_PREFIX_BYTES,
  CODEC_NAMES,
  CONTROL_BIT,
  type CodecName,
  LAST_OFFSET_DELTA_AT,
  LENGTH_AT,
  MAGIC_AT,
  MAX_TIMESTAMP_AT,
  PRODUCER_EPOCH_AT,
  PRODUCER_ID_AT,
  RECORD_COUNT_AT,
  sealBatch,
  stampBatch,
  TRANSACTIONAL_BIT,
} from './batch.ts';

export interface RecordHeader {
  readonly name: string;
  readonly value: Uint8Array | null;
}

/** Squeezes the records of one batch. `codec` must name what `compress` does. */
export interface Compression {
  readonly codec: CodecName;
  compress(bytes: Uint8Array): Uint8Array;
}

/** Header fields that the records do not decide. */
export interface BatchFields {
  /** Default 0; the leader stamps it. */
  readonly baseOffset?: number;
  /** Default -1: not stamped yet. */
  readonly leaderEpoch?: number;
  /** Default -1: not an idempotent producer. */
  readonly producerId?: number;
  readonly producerEpoch?: number;
  readonly baseSequence?: number;
  readonly isTransactional?: boolean;
  readonly isControl?: boolean;
  readonly compression?: Compression;
}

const NO_HEADERS: readonly RecordHeader[] = [];
const NO_FIELDS: BatchFields = {};

function sizedSize(size: number): number {
  return varI53Size(size) + Math.max(0, size);
}

function headersSize(headers: readonly RecordHeader[]): number {
  let size = varI53Size(headers.length);
  for (const header of headers) {
    size += sizedSize(utf8Size(header.name)) + sizedSize(header.value?.length ?? -1);
  }
  return size;
}

/** Bytes of a record's key, value and headers. */
export function recordBodySize(
  key: Uint8Array | null,
  value: Uint8Array | null,
  headers: readonly RecordHeader[] = NO_HEADERS,
): number {
  return sizedSize(key?.length ?? -1) + sizedSize(value?.length ?? -1) + headersSize(headers);
}

export class BatchBuilder {
  readonly #writer: ByteWriter;
  readonly #headRoom: number;
  #count = 0;
  #baseTimestampMs = 0;
  #maxTimestampMs = -1;

  /**
   * `headRoom`: bytes that stay free in front of the batch, for whoever sends it inside something else. `pool`: where
   * the memory of a large batch comes from.
   */
  constructor(capacity = 1024, headRoom = 0, pool?: BufferPool) {
    this.#headRoom = headRoom;
    this.#writer = new ByteWriter(Math.max(capacity, headRoom + BATCH_HEADER_BYTES), pool);
    this.reset();
  }

  /** Records appended since the last reset. */
  get count(): number {
    return this.#count;
  }

  /** Bytes that the batch has so far, before compression. */
  get size(): number {
    return this.#writer.size - this.#headRoom;
  }

  /** Starts over, keeping the memory. */
  reset(): void {
    this.#writer.reset();
    this.#begin();
  }

  /** Starts over; memory of the pool goes back there. */
  release(): void {
    this.#writer.release();
    this.#begin();
  }

  /** So many bytes are likely to be appended. */
  expect(count: number): void {
    this.#writer.expect(count);
  }

  #begin(): void {
    this.#writer.reserve(this.#headRoom + BATCH_HEADER_BYTES);
    this.#count = 0;
    this.#maxTimestampMs = -1;
  }

  /**
   * Appends one record; the bytes are copied. The first record's time is the base of the others.
   */
  append(
    timestampMs: number,
    key: Uint8Array | null,
    value: Uint8Array | null,
    headers: readonly RecordHeader[] = NO_HEADERS,
  ): void {
    if (this.#count === 0) this.#baseTimestampMs = timestampMs;
    if (timestampMs > this.#maxTimestampMs) this.#maxTimestampMs = timestampMs;
    const timeDelta = timestampMs - this.#baseTimestampMs;
    const size =
      1 + varI53Size(timeDelta) + varI53Size(this.#count) + recordBodySize(key, value, headers);
    const writer = this.#writer;
    let at = writer.reserve(varI53Size(size) + size);
    const end = writer.size;
    const out = writer.bytes;
    at = writeVarI53(out, at, size);
    out[at] = 0;
    at = writeVarI53(out, at + 1, timeDelta);
    at = writeVarI53(out, at, this.#count);
    writer.size = at;
    this.#sized(key);
    this.#sized(value);
    writer.varI53(headers.length);
    for (const header of headers) {
      writer.varI53(utf8Size(header.name));
      writer.utf8(header.name);
      this.#sized(header.value);
    }
    assert(writer.size === end, 'BatchBuilder: a record is not as large as computed');
    this.#count += 1;
  }

  /**
   * Appends one record whose key, value and headers are encoded already, as in a record (see above): they
   * are [start, end) of `body`, and are copied.
   */
  appendEncoded(timestampMs: number, body: Uint8Array, start: number, end: number): void {
    if (this.#count === 0) this.#baseTimestampMs = timestampMs;
    if (timestampMs > this.#maxTimestampMs) this.#maxTimestampMs = timestampMs;
    const timeDelta = timestampMs - this.#baseTimestampMs;
    const size = 1 + varI53Size(timeDelta) + varI53Size(this.#count) + end - start;
    const writer = this.#writer;
    let at = writer.reserve(varI53Size(size) + size);
    const out = writer.bytes;
    at = writeVarI53(out, at, size);
    out[at] = 0;
    at = writeVarI53(out, at + 1, timeDelta);
    at = writeVarI53(out, at, this.#count);
    copyRange(body, start, end, out, at);
    this.#count += 1;
  }

  /** The bytes of {@link finish} with what is in front of them, lent as long: the batch starts at `headRoom`. */
  get framed(): Uint8Array {
    return this.#writer.finish();
  }

  /**
   * Fills in the header and lends the whole batch, valid until the next `append` or `reset`
   * (a compressed batch is a new array). At least one record must have been appended.
   */
  finish(crc32c: Crc32c, fields: BatchFields = NO_FIELDS): Uint8Array {
    assert(this.#count > 0, 'BatchBuilder: a batch has at least one record');
    const batch = this.#body(fields.compression);
    const codec =
      fields.compression === undefined ? 0 : CODEC_NAMES.indexOf(fields.compression.codec);
    const attributes =
      codec |
      (fields.isTransactional === true ? TRANSACTIONAL_BIT : 0) |
      (fields.isControl === true ? CONTROL_BIT : 0);
    stampBatch(batch, 0, fields.baseOffset ?? 0, fields.leaderEpoch ?? -1);
    writeU32(batch, LENGTH_AT, batch.length - BATCH_PREFIX_BYTES);
    batch[MAGIC_AT] = BATCH_MAGIC;
    writeU16(batch, ATTRIBUTES_AT, attributes);
    writeU32(batch, LAST_OFFSET_DELTA_AT, this.#count - 1);
    writeI64(batch, BASE_TIMESTAMP_AT, this.#baseTimestampMs);
    writeI64(batch, MAX_TIMESTAMP_AT, this.#maxTimestampMs);
    writeI64(batch, PRODUCER_ID_AT, fields.producerId ?? -1);
    writeU16(batch, PRODUCER_EPOCH_AT, fields.producerEpoch ?? -1);
    writeU32(batch, BASE_SEQUENCE_AT, fields.baseSequence ?? -1);
    writeU32(batch, RECORD_COUNT_AT, this.#count);
    sealBatch(batch, 0, crc32c);
    return batch;
  }

  #body(compression: Compression | undefined): Uint8Array {
    const plain = this.#writer.finish().subarray(this.#headRoom);
    if (compression === undefined) return plain;
    const squeezed = compression.compress(plain.subarray(BATCH_HEADER_BYTES));
    const batch = new Uint8Array(BATCH_HEADER_BYTES + squeezed.length);
    batch.set(squeezed, BATCH_HEADER_BYTES);
    return batch;
  }

  #sized(bytes: Uint8Array | null): void {
    if (bytes === null) {
      this.#writer.varI53(-1);
      return;
    }
    this.#writer.varI53(bytes.length);
    this.#writer.raw(bytes);
  }
}
