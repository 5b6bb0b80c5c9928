// The pieces of work of a compaction, as pure functions of bytes: learn the keys of batches, leave out what is not the
// newest, and, of logs without keys, what nobody needs. They run beside the loop where a machine has threads for it, on it where not, and in virtual
// time in a simulation: always these.
import {
  BatchHeader,
  checkBatch,
  forEachBatch,
  isControl,
  readBatchHeader,
  STORED_BATCH,
} from '../../records/batch.ts';
import { RecordReader } from '../../records/records.ts';
import { ByteWriter } from '../../std/bytes.ts';
import { BatchFilter, type FilterRules, type FilterStats } from './filter.ts';
import type { CompactionTools } from './kept.ts';
import { KeyMap } from './key-map.ts';
import { NeededFilter } from './needed.ts';
import { ProducerTable } from './producer-table.ts';

export interface MapTask {
  readonly kind: 'map';
  /** Whole batches. */
  readonly bytes: Uint8Array;
  readonly table: SharedArrayBuffer;
  /** Batches that end at or below are known. */
  readonly fromOffset: number;
  readonly endOffset: number;
}

export interface MapAnswer {
  /** Every batch below is known now; less than the end of `bytes` if the table is full. */
  readonly mappedEnd: number;
  readonly isFull: boolean;
  /** Bytes are not what they were when they were written. */
  readonly isDamaged: boolean;
  /** Producer ids, each followed by its last offset in `bytes`. */
  readonly producers: readonly number[];
}

export interface FilterTask {
  readonly kind: 'filter';
  readonly bytes: Uint8Array;
  readonly table: SharedArrayBuffer;
  readonly rules: FilterRules;
  /** Of a ProducerTable. */
  readonly producers: SharedArrayBuffer;
}

export interface NeededTask {
  readonly kind: 'needed';
  readonly bytes: Uint8Array;
  /** As `NeededOffsets.runsIn` has them, of all offsets in `bytes`. */
  readonly runs: readonly number[];
}

export interface FilterAnswer {
  readonly isDamaged: boolean;
  readonly bytes: Uint8Array;
  readonly stats: FilterStats;
}

export type CompactionTask = MapTask | FilterTask | NeededTask;

/** Runs a task where it is. What it answers to a `map` is a MapAnswer, to the others a FilterAnswer. */
export function runCompactionTask(
  task: CompactionTask,
  tools: CompactionTools,
): MapAnswer | FilterAnswer {
  const isDamaged = !areSound(task.bytes, tools);
  const sound = isDamaged ? { ...task, bytes: NOTHING } : task;
  switch (sound.kind) {
    case 'map':
      return { ...learn(sound, tools), isDamaged };
    case 'filter':
      return { ...leaveOut(sound, tools), isDamaged };
    case 'needed':
      return { ...leaveNeeded(sound, tools), isDamaged };
  }
}

/** What has rotted must not get a new checksum. */
function areSound(bytes: Uint8Array, { crc32c }: CompactionTools): boolean {
  let isSound = true;
  const end = forEachBatch(bytes, 0, bytes.length, (at) => {
    isSound &&= checkBatch(bytes, at, bytes.length, crc32c, STORED_BATCH) === 'ok';
    return isSound;
  });
  return isSound && end === bytes.length;
}

/** Of a buffer that grows: most of what is looked at goes. */
const NEEDED_BYTES = 64 * 1024;
const NOTHING = new Uint8Array(0);

function learn(
  { bytes, table, fromOffset, endOffset }: MapTask,
  tools: CompactionTools,
): Omit<MapAnswer, 'isDamaged'> {
  const map = new KeyMap(table);
  const header = new BatchHeader();
  const reader = new RecordReader();
  const producers = new Map<number, number>();
  let mappedEnd = fromOffset;
  let isFull = false;
  forEachBatch(bytes, 0, bytes.length, (at, size) => {
    const { baseOffset, lastOffset, producerId, attributes } = readBatchHeader(bytes, at, header);
    if (baseOffset >= endOffset) return false;
    if (lastOffset < fromOffset) return true;
    if (!isControl(attributes)) {
      const opened = reader.open(bytes, at, at + size, tools.unpack);
      while (opened === 'ok' && !isFull && reader.next()) {
        const { keyAt, keySize, offset } = reader;
        if (keySize >= 0) isFull = !map.put(reader.bytes, keyAt, keyAt + keySize, offset);
      }
      // Some of its keys may be known: that its records are newer is true of them.
      if (isFull) return false;
    }
    if (producerId >= 0) producers.set(producerId, lastOffset);
    mappedEnd = lastOffset + 1;
    return true;
  });
  return { mappedEnd, isFull, producers: [...producers].flat() };
}

function leaveOut(
  { bytes, table, rules, producers }: FilterTask,
  tools: CompactionTools,
): Omit<FilterAnswer, 'isDamaged'> {
  const out = new ByteWriter(bytes.length);
  const filter = new BatchFilter(new KeyMap(table), rules, tools, new ProducerTable(producers));
  filter.run(bytes, out);
  return { bytes: out.finish(), stats: filter.stats };
}

function leaveNeeded(
  { bytes, runs }: NeededTask,
  tools: CompactionTools,
): Omit<FilterAnswer, 'isDamaged'> {
  const out = new ByteWriter(Math.min(bytes.length, NEEDED_BYTES));
  const filter = new NeededFilter(runs, tools);
  filter.run(bytes, out);
  return { bytes: out.finish(), stats: filter.stats };
}
