// What stays of one batch, written as a batch with gaps: offsets, times, headers, producer and codec as they were, its
// base and its last offset too, whatever goes from between.
import {
  ATTRIBUTES_AT,
  BASE_TIMESTAMP_AT,
  BATCH_HEADER_BYTES,
  BATCH_PREFIX_BYTES,
  type BatchHeader,
  CODEC_MASK,
  codecOf,
  DELETE_HORIZON_BIT,
  isAppendTime,
  LENGTH_AT,
  MAX_TIMESTAMP_AT,
  RECORD_COUNT_AT,
  sealBatch,
} from '../../records/batch.ts';
import type { Decompress, RecordReader } from '../../records/records.ts';
import { ByteWriter, writeI64, writeU16, writeU32 } from '../../std/bytes.ts';
import type { Crc32c } from '../../std/crc32c.ts';
import { varI53Size } from '../../std/varint.ts';

export interface CompactionTools {
  readonly crc32c: Crc32c;
  /** Throws where it cannot: such a batch stays as it is. */
  readonly unpack: Decompress;
  /** As a batch of this codec has it; undefined: not here. */
  pack(codec: string, bytes: Uint8Array): Uint8Array | undefined;
}

/** The records of one batch that stay. */
export class Kept {
  /** Of each four numbers: where it begins, its time delta, where its offset delta begins, and where it ends. */
  readonly spans: number[] = [];
  count = 0;
  maxTimestampMs = -1;
  #minTimeDelta = 0;
  #maxTimeDelta = 0;
  hasTombstone = false;
  /** One of its tombstones lies where a pass has not learned the keys. */
  hasUnlearned = false;

  /** The record that the reader is on. */
  add(reader: RecordReader): void {
    this.count += 1;
    this.spans.push(reader.recordAt, reader.timeDelta, reader.offsetDeltaAt, reader.headersEnd);
    this.maxTimestampMs = Math.max(this.maxTimestampMs, reader.timestampMs);
    this.#minTimeDelta = Math.min(this.#minTimeDelta, reader.timeDelta);
    this.#maxTimeDelta = Math.max(this.#maxTimeDelta, reader.timeDelta);
    this.hasTombstone ||= reader.valueSize < 0;
  }

  /**
   * Are its times numbers that can be written, also as they relate to a base that is so much earlier? Its client says
   * them as differences, which nobody has added up.
   */
  areTimesSafe(baseTimestampMs: number, shiftMs: number): boolean {
    return [this.#minTimeDelta, this.#maxTimeDelta].every(
      (delta) =>
        Number.isSafeInteger(baseTimestampMs + delta) && Number.isSafeInteger(shiftMs + delta),
    );
  }
}

export class KeptWriter {
  readonly #tools: CompactionTools;
  readonly #body = new ByteWriter(4096);

  constructor(tools: CompactionTools) {
    this.#tools = tools;
  }

  /**
   * @param horizonMs the time after which its tombstones go; undefined: it keeps the one that it has, if any
   * @returns false: nobody here can pack it or write its times, and nothing was written
   */
  write(
    batch: Uint8Array,
    reader: RecordReader,
    kept: Kept,
    header: BatchHeader,
    horizonMs: number | undefined,
    out: ByteWriter,
  ): boolean {
    const { attributes, baseTimestampMs } = header;
    const isEmpty = kept.count === 0;
    const base = horizonMs ?? (isEmpty ? header.maxTimestampMs : baseTimestampMs);
    const codec = codecOf(attributes)!;
    const shiftMs = baseTimestampMs - base;
    if (!kept.areTimesSafe(baseTimestampMs, shiftMs)) return false;
    const plain = this.#records(reader.bytes, kept, shiftMs);
    const isPacked = codec !== 'none' && !isEmpty;
    const body = isPacked ? this.#tools.pack(codec, plain) : plain;
    if (body === undefined) return false;
    const from = out.reserve(BATCH_HEADER_BYTES + body.length);
    const { bytes } = out;
    bytes.set(batch.subarray(0, BATCH_HEADER_BYTES), from);
    bytes.set(body, from + BATCH_HEADER_BYTES);
    const bits =
      horizonMs !== undefined
        ? attributes | DELETE_HORIZON_BIT
        : isEmpty
          ? attributes & ~DELETE_HORIZON_BIT & ~CODEC_MASK
          : attributes;
    writeU32(bytes, from + LENGTH_AT, BATCH_HEADER_BYTES - BATCH_PREFIX_BYTES + body.length);
    writeU16(bytes, from + ATTRIBUTES_AT, bits);
    writeI64(bytes, from + BASE_TIMESTAMP_AT, base);
    if (!isEmpty && !isAppendTime(attributes)) {
      writeI64(bytes, from + MAX_TIMESTAMP_AT, kept.maxTimestampMs);
    }
    writeU32(bytes, from + RECORD_COUNT_AT, kept.count);
    sealBatch(bytes, from, this.#tools.crc32c);
    return true;
  }

  /** The records that stay, their time deltas moved by `shiftMs`. */
  #records(bytes: Uint8Array, { spans }: Kept, shiftMs: number): Uint8Array {
    const body = this.#body;
    body.reset();
    for (let i = 0; i < spans.length; i += 4) {
      const end = spans[i + 3]!;
      if (shiftMs === 0) {
        body.raw(bytes.subarray(spans[i]!, end));
        continue;
      }
      const timeDelta = spans[i + 1]! + shiftMs;
      const restAt = spans[i + 2]!;
      body.varI53(1 + varI53Size(timeDelta) + end - restAt);
      // Its attributes, of which Kafka has given out none.
      body.u8(0);
      body.varI53(timeDelta);
      body.raw(bytes.subarray(restAt, end));
    }
    return body.finish();
  }
}
