// What compaction leaves of batches: of each key the newest record, and a tombstone (a record without value) until
// its time has come, as Kafka has it (LogCleaner, MemoryRecords.filterTo). Offsets, times, headers, producers and
// codecs stay as they are; a batch keeps its base and its last offset whatever goes from between.
//
// A batch whose tombstones were looked at for the first time gets a horizon: bit 6 of its attributes, and the time
// after which they go in the place of the base timestamp, to which the records' times then relate (KIP-534).
import {
  type BatchHeader,
  forEachBatch,
  hasDeleteHorizon,
  isControl,
} from '../../records/batch.ts';
import { RecordReader } from '../../records/records.ts';
import type { ByteWriter } from '../../std/bytes.ts';
import { type CompactionTools, Kept, KeptWriter } from './kept.ts';
import type { KeyMap } from './key-map.ts';
import type { ProducerTable } from './producer-table.ts';

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

export function noStats(): FilterStats {
  return { recordsIn: 0, recordsOut: 0, tombstonesGone: 0, unreadable: 0, isChanged: false };
}

export class BatchFilter {
  readonly #map: KeyMap;
  readonly #rules: FilterRules;
  readonly #tools: CompactionTools;
  /** The last offset known of each producer: its batch stays, if need be without records. */
  readonly #producers: ProducerTable;
  readonly #reader = new RecordReader();
  readonly #writer: KeptWriter;
  readonly stats: FilterStats = noStats();
  #mayStamp: boolean;

  constructor(map: KeyMap, rules: FilterRules, tools: CompactionTools, producers: ProducerTable) {
    this.#map = map;
    this.#rules = rules;
    this.#tools = tools;
    this.#writer = new KeptWriter(tools);
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
    const kept = new Kept();
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
      kept.add(reader);
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
    const { nowMs, deleteRetentionMs } = this.#rules;
    const horizonMs = isStamped ? nowMs + deleteRetentionMs : undefined;
    return this.#writer.write(batch, this.#reader, kept, header, horizonMs, out);
  }
}
