// What compaction leaves of batches: of each key the newest record, and a tombstone (a record without value) until
// its time has come, as Kafka has it (LogCleaner, MemoryRecords.filterTo). Offsets, times, headers, producers and
// codecs stay as they are; a batch keeps its base and its last offset whatever goes from between.
//
// A batch whose tombstones were looked at for the first time gets a horizon: bit 6 of its attributes, and the time
// after which they go in the place of the base timestamp, to which the records' times then relate (KIP-534).
import {
  ATTRIBUTES_AT,
  BASE_TIMESTAMP_AT,
  BATCH_HEADER_BYTES,
  BATCH_PREFIX_BYTES,
  type BatchHeader,
  CODEC_MASK,
  codecOf,
  DELETE_HORIZON_BIT,
  forEachBatch,
  hasDeleteHorizon,
  isAppendTime,
  isControl,
  LENGTH_AT,
  MAX_TIMESTAMP_AT,
  RECORD_COUNT_AT,
  sealBatch,
} from '../../records/batch.ts';
import { type Decompress, RecordReader } from '../../records/records.ts';
import { ByteWriter, writeI64, writeU16, writeU32 } from '../../std/bytes.ts';
import type { Crc32c } from '../../std/crc32c.ts';
import { varI53Size } from '../../std/varint.ts';
import type { KeyMap } from './key-map.ts';
import type { ProducerTable } from './producer-table.ts';

export interface CompactionTools {
  readonly crc32c: Crc32c;
  /** Throws where it cannot: such a batch stays as it is. */
  readonly unpack: Decompress;
  /** As a batch of this codec has it; undefined: not here. */
  pack(codec: string, bytes: Uint8Array): Uint8Array | undefined;
}

export interface FilterRules {
  /** Log time now. */
  readonly nowMs: number;
  readonly deleteRetentionMs: number;
  /** The map knows every record from where it begins up to here: what lies above stays as it is. */
  readonly mapEnd: number;
  /** False: something below could not be read, so a tombstone may have more to hide than is known. */
  readonly mayStamp: boolean;
  /** Mistakes that a simulation plants. */
  readonly tombstonesGoAtOnce?: boolean;
  readonly dropsNewest?: boolean;
}

export interface FilterStats {
  recordsIn: number;
  recordsOut: number;
  tombstonesGone: number;
  /** Batches that nobody here can unpack or pack again. */
  unreadable: number;
  /** Something is not as it was. */
  isChanged: boolean;
}

function noStats(): FilterStats {
  return { recordsIn: 0, recordsOut: 0, tombstonesGone: 0, unreadable: 0, isChanged: false };
}

/** The records of one batch that stay: of each four numbers, where it begins, its time delta, where its offset
 * delta begins, and where it ends. */
interface Kept {
  readonly spans: number[];
  count: number;
  maxTimestampMs: number;
  hasTombstone: boolean;
  /** One of its tombstones lies where this pass has not learned the keys. */
  hasUnlearned: boolean;
}

export class BatchFilter {
  readonly #map: KeyMap;
  readonly #rules: FilterRules;
  readonly #tools: CompactionTools;
  /** The last offset known of each producer: its batch stays, if need be without records. */
  readonly #producers: ProducerTable;
  readonly #reader = new RecordReader();
  readonly #body = new ByteWriter(4096);
  readonly stats: FilterStats = noStats();
  #mayStamp: boolean;

  constructor(map: KeyMap, rules: FilterRules, tools: CompactionTools, producers: ProducerTable) {
    this.#map = map;
    this.#rules = rules;
    this.#tools = tools;
    this.#producers = producers;
    this.#mayStamp = rules.mayStamp;
  }

  /** Writes what stays of whole batches. */
  run(bytes: Uint8Array, out: ByteWriter): void {
    forEachBatch(bytes, 0, bytes.length, (at, size) => this.#one(bytes, at, size, out));
  }

  #one(bytes: Uint8Array, at: number, size: number, out: ByteWriter): void {
    const reader = this.#reader;
    const opened = reader.open(bytes, at, at + size, this.#tools.unpack);
    const { header } = reader;
    this.stats.recordsIn += Math.max(0, header.recordCount);
    const asItIs = (): void => {
      out.raw(bytes.subarray(at, at + size));
      this.stats.recordsOut += Math.max(0, header.recordCount);
    };
    if (isControl(header.attributes) || header.lastOffset >= this.#rules.mapEnd) {
      asItIs();
      return;
    }
    const kept = opened === 'ok' ? this.#keep(reader) : undefined;
    if (kept === undefined) {
      this.stats.unreadable += 1;
      this.#mayStamp = false;
      asItIs();
      return;
    }
    // What was below a tombstone of an earlier pass may not have been readable then: nobody looks for its key again.
    const isLearned = kept.hasTombstone && !kept.hasUnlearned;
    const isStamped = isLearned && this.#mayStamp && !hasDeleteHorizon(header.attributes);
    if (kept.count === header.recordCount && !isStamped && this.#staysEmpty(header, kept)) {
      asItIs();
      return;
    }
    this.stats.isChanged = true;
    if (kept.count === 0 && !this.#isLastOfProducer(header)) return;
    const whole = bytes.subarray(at, at + size);
    if (!this.#write(whole, header, kept, isStamped, out)) {
      this.stats.unreadable += 1;
      this.#mayStamp = false;
      asItIs();
      return;
    }
    this.stats.recordsOut += kept.count;
  }

  /** Without records already: it stays as long as its producer has no later one. */
  #staysEmpty(header: BatchHeader, kept: Kept): boolean {
    return kept.count > 0 || this.#isLastOfProducer(header);
  }

  #isLastOfProducer({ producerId, lastOffset }: BatchHeader): boolean {
    return producerId >= 0 && this.#producers.lastOffset(producerId) <= lastOffset;
  }

  /** Undefined: these are no records. */
  #keep(reader: RecordReader): Kept | undefined {
    const { header } = reader;
    const kept: Kept = {
      spans: [],
      count: 0,
      maxTimestampMs: -1,
      hasTombstone: false,
      hasUnlearned: false,
    };
    const { nowMs, tombstonesGoAtOnce, dropsNewest } = this.#rules;
    const isOver =
      tombstonesGoAtOnce === true ||
      (hasDeleteHorizon(header.attributes) && header.baseTimestampMs <= nowMs);
    let gone = 0;
    while (reader.next()) {
      const { keyAt, keySize, valueSize, offset } = reader;
      const newest = keySize < 0 ? offset + 1 : this.#map.get(reader.bytes, keyAt, keyAt + keySize);
      const isTombstone = valueSize < 0;
      if (offset < newest || (dropsNewest === true && offset === newest)) continue;
      if (isTombstone && isOver && this.#mayStamp) {
        gone += 1;
        continue;
      }
      kept.count += 1;
      kept.spans.push(reader.recordAt, reader.timeDelta, reader.offsetDeltaAt, reader.headersEnd);
      kept.maxTimestampMs = Math.max(kept.maxTimestampMs, reader.timestampMs);
      kept.hasTombstone ||= isTombstone;
      kept.hasUnlearned ||= isTombstone && offset !== newest;
    }
    if (reader.fault !== undefined) return undefined;
    this.stats.tombstonesGone += gone;
    return kept;
  }

  #write(
    batch: Uint8Array,
    header: BatchHeader,
    kept: Kept,
    isStamped: boolean,
    out: ByteWriter,
  ): boolean {
    const { attributes, baseTimestampMs } = header;
    const isEmpty = kept.count === 0;
    const base = isStamped
      ? this.#rules.nowMs + this.#rules.deleteRetentionMs
      : isEmpty
        ? header.maxTimestampMs
        : baseTimestampMs;
    const codec = codecOf(attributes)!;
    const plain = this.#records(kept, baseTimestampMs - base);
    const isPacked = codec !== 'none' && !isEmpty;
    const body = isPacked ? this.#tools.pack(codec, plain) : plain;
    if (body === undefined) return false;
    const from = out.reserve(BATCH_HEADER_BYTES + body.length);
    const { bytes } = out;
    bytes.set(batch.subarray(0, BATCH_HEADER_BYTES), from);
    bytes.set(body, from + BATCH_HEADER_BYTES);
    const bits = isStamped
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
  #records({ spans }: Kept, shiftMs: number): Uint8Array {
    const { bytes } = this.#reader;
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
