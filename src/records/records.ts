// The records inside a batch: read one by one as views without copying, or all as plain objects,
// and the convenient form of building a batch. Nothing here throws for bad bytes: faults are
// values.
import { assert } from '../std/assert.ts';
import { BytesError, readUtf8 } from '../std/bytes.ts';
import type { Crc32c } from '../std/crc32c.ts';
import { type Cursor, readVarI32, readVarI53 } from '../std/varint.ts';
import {
  BATCH_HEADER_BYTES,
  BatchHeader,
  type CodecName,
  codecOf,
  isAppendTime,
  readBatchHeader,
  wholeBatchSize,
} from './batch.ts';
import { BatchBuilder, type BatchFields, type RecordHeader } from './batch-builder.ts';

/** Unpacks what a producer squeezed. May throw for bad input; bounds its own output. */
export type Decompress = (codec: CodecName, bytes: Uint8Array) => Uint8Array;

/**
 * Why records cannot be read: `truncated` the batch is not whole; `unsupported-codec` compressed
 * and nobody here can unpack it; `bad-compression` unpacking failed; `corrupt` the records are not
 * what the header and their own sizes say.
 */
export type RecordsFault = 'truncated' | 'unsupported-codec' | 'bad-compression' | 'corrupt';

/** One record as a plain object. `key`, `value` and header values are views into the batch. */
export interface Record {
  readonly offset: number;
  readonly timestampMs: number;
  readonly key: Uint8Array | null;
  readonly value: Uint8Array | null;
  readonly headers: readonly RecordHeader[];
}

export interface RecordInput {
  readonly timestampMs: number;
  readonly key: Uint8Array | null;
  readonly value: Uint8Array | null;
  readonly headers?: readonly RecordHeader[];
}

/**
 * Walks over the records of one batch. Fields describe the record that the last `next` found.
 *
 * @example
 * const reader = new RecordReader();
 * if (reader.open(bytes, at, end) === 'ok') {
 *   while (reader.next()) use(reader.offset, reader.value());
 *   if (reader.fault !== undefined) refuse(reader.fault);
 * }
 */
export class RecordReader {
  readonly header = new BatchHeader();
  fault: RecordsFault | undefined = undefined;
  /** Where keys and values lie: the batch, or what was unpacked from it. */
  bytes: Uint8Array = new Uint8Array(0);
  /** Where the record begins, and where its offset delta does, behind its time delta. */
  recordAt = 0;
  timeDelta = 0;
  offsetDeltaAt = 0;
  offset = 0;
  timestampMs = 0;
  keyAt = 0;
  /** -1 for null. */
  keySize = -1;
  valueAt = 0;
  /** -1 for null. */
  valueSize = -1;
  headerCount = 0;
  /** Headers as they are encoded, one behind the other: [headersAt, headersEnd) of `bytes`. */
  headersAt = 0;
  headersEnd = 0;
  #left = 0;
  readonly #cursor: Cursor = { at: 0, end: 0 };

  /** Points at the batch at `at` of bytes[at, end). */
  open(bytes: Uint8Array, at: number, end: number, decompress?: Decompress): 'ok' | RecordsFault {
    this.#left = 0;
    this.fault = undefined;
    const size = wholeBatchSize(bytes, at, end);
    if (size === 0) return this.#fail('truncated');
    const header = readBatchHeader(bytes, at, this.header);
    const codec = codecOf(header.attributes);
    const start = at + BATCH_HEADER_BYTES;
    if (codec === 'none') {
      this.bytes = bytes;
      this.#cursor.at = start;
      this.#cursor.end = at + size;
    } else {
      if (codec === undefined || decompress === undefined) return this.#fail('unsupported-codec');
      try {
        this.bytes = decompress(codec, bytes.subarray(start, at + size));
      } catch {
        // Whatever the codec says about it, to us it is one thing: the bytes cannot be unpacked.
        return this.#fail('bad-compression');
      }
      this.#cursor.at = 0;
      this.#cursor.end = this.bytes.length;
    }
    this.#left = header.recordCount;
    return 'ok';
  }

  /**
   * Positions in `bytes` of all records of the batch that is open, into `into` from `from` on, which has
   * room for as many as its header says. For `nextAt`. False for bytes that are no records.
   */
  positions(into: Int32Array, from: number): boolean {
    const cursor: Cursor = { at: this.#cursor.at, end: this.#cursor.end };
    try {
      for (let i = 0; i < this.header.recordCount; i += 1) {
        into[from + i] = cursor.at;
        const size = readVarI32(this.bytes, cursor);
        if (size < 1 || size > cursor.end - cursor.at) return false;
        cursor.at += size;
      }
    } catch (error) {
      if (!(error instanceof BytesError)) throw error;
      return false;
    }
    return true;
  }

  /** Moves to the record at one of its `positions`, in any order. False as in `next`. */
  nextAt(position: number): boolean {
    this.#cursor.at = position;
    this.#left = 1;
    return this.next();
  }

  /** Moves to the next record. False at the end, or with `fault` set where the bytes are wrong. */
  next(): boolean {
    const cursor = this.#cursor;
    if (this.fault !== undefined) return false;
    if (this.#left <= 0) {
      if (cursor.at !== cursor.end) this.#fail('corrupt');
      return false;
    }
    try {
      if (!this.#parse(cursor)) return false;
    } catch (error) {
      if (!(error instanceof BytesError)) throw error;
      this.#fail('corrupt');
      return false;
    }
    this.#left -= 1;
    return true;
  }

  key(): Uint8Array | null {
    return this.keySize < 0 ? null : this.bytes.subarray(this.keyAt, this.keyAt + this.keySize);
  }

  value(): Uint8Array | null {
    return this.valueSize < 0
      ? null
      : this.bytes.subarray(this.valueAt, this.valueAt + this.valueSize);
  }

  /** The headers of this record. Throws {@link BytesError} if a name is not UTF-8. */
  headers(): RecordHeader[] {
    const cursor: Cursor = { at: this.headersAt, end: this.headersEnd };
    const headers: RecordHeader[] = [];
    for (let i = 0; i < this.headerCount; i += 1) {
      const nameSize = readVarI32(this.bytes, cursor);
      const name = readUtf8(this.bytes, cursor.at, cursor.at + nameSize);
      cursor.at += nameSize;
      const size = readVarI32(this.bytes, cursor);
      const value = size < 0 ? null : this.bytes.subarray(cursor.at, cursor.at + size);
      cursor.at += Math.max(0, size);
      headers.push({ name, value });
    }
    return headers;
  }

  #parse(cursor: Cursor): boolean {
    const bytes = this.bytes;
    this.recordAt = cursor.at;
    const size = readVarI32(bytes, cursor);
    if (size < 1 || size > cursor.end - cursor.at) return this.#corrupt();
    const end = cursor.at + size;
    this.headersEnd = end;
    cursor.at += 1;
    const timeDelta = readVarI53(bytes, cursor);
    this.timeDelta = timeDelta;
    this.offsetDeltaAt = cursor.at;
    const offsetDelta = readVarI32(bytes, cursor);
    this.keySize = readVarI32(bytes, cursor);
    this.keyAt = cursor.at;
    if (!skip(cursor, this.keySize, end)) return this.#corrupt();
    this.valueSize = readVarI32(bytes, cursor);
    this.valueAt = cursor.at;
    if (!skip(cursor, this.valueSize, end)) return this.#corrupt();
    this.headerCount = readVarI32(bytes, cursor);
    this.headersAt = cursor.at;
    // A header takes two bytes at least, which also bounds the loop below.
    if (this.headerCount < 0 || this.headerCount > (end - cursor.at) / 2) return this.#corrupt();
    for (let i = 0; i < this.headerCount; i += 1) {
      const nameSize = readVarI32(bytes, cursor);
      if (nameSize < 0 || !skip(cursor, nameSize, end)) return this.#corrupt();
      if (!skip(cursor, readVarI32(bytes, cursor), end)) return this.#corrupt();
    }
    if (cursor.at !== end) return this.#corrupt();
    const header = this.header;
    if (offsetDelta < 0 || offsetDelta > header.lastOffsetDelta) return this.#corrupt();
    this.offset = header.baseOffset + offsetDelta;
    this.timestampMs = isAppendTime(header.attributes)
      ? header.maxTimestampMs
      : header.baseTimestampMs + timeDelta;
    return true;
  }

  #corrupt(): false {
    this.#fail('corrupt');
    return false;
  }

  #fail(fault: RecordsFault): RecordsFault {
    this.fault = fault;
    return fault;
  }
}

/**
 * Moves over a field of `size` bytes (negative: null, nothing there). False if it leaves the
 * record.
 */
function skip(cursor: Cursor, size: number, end: number): boolean {
  if (size < -1 || size > end - cursor.at) return false;
  if (size > 0) cursor.at += size;
  return true;
}

export type RecordsResult =
  | { readonly kind: 'ok'; readonly records: readonly Record[] }
  | { readonly kind: 'fault'; readonly fault: RecordsFault };

/**
 * All records of the batch at `at` as plain objects; their bytes are views. Never throws for bad
 * bytes.
 */
export function decodeRecords(
  bytes: Uint8Array,
  at: number,
  end: number,
  decompress?: Decompress,
): RecordsResult {
  const reader = new RecordReader();
  const opened = reader.open(bytes, at, end, decompress);
  if (opened !== 'ok') return { kind: 'fault', fault: opened };
  const records: Record[] = [];
  while (reader.next()) {
    const headers = headersOf(reader);
    if (headers === undefined) return { kind: 'fault', fault: 'corrupt' };
    records.push({
      offset: reader.offset,
      timestampMs: reader.timestampMs,
      key: reader.key(),
      value: reader.value(),
      headers,
    });
  }
  if (reader.fault !== undefined) return { kind: 'fault', fault: reader.fault };
  return { kind: 'ok', records };
}

function headersOf(reader: RecordReader): RecordHeader[] | undefined {
  try {
    return reader.headers();
  } catch (error) {
    if (error instanceof BytesError) return undefined;
    throw error;
  }
}

/**
 * A new array with one batch of `records` (at least one).
 *
 * @example
 * encodeBatch([{ timestampMs: 0, key: null, value: encodeUtf8('hello') }], crc32c);
 */
export function encodeBatch(
  records: readonly RecordInput[],
  crc32c: Crc32c,
  fields: BatchFields = {},
): Uint8Array {
  assert(records.length > 0, 'encodeBatch: a batch has at least one record');
  const builder = new BatchBuilder();
  for (const record of records) {
    builder.append(record.timestampMs, record.key, record.value, record.headers);
  }
  return builder.finish(crc32c, fields);
}
