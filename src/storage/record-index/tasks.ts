// The pieces of work behind a search, as pure functions of bytes: what can be found in batches, one run of an index,
// and which records of batches are looked for. They run beside the loop where a machine has threads for it.
import { forEachBatch, isControl } from '../../records/batch.ts';
import {
  eachLookup,
  isFoundBy,
  LOOKUP_KINDS,
  type Lookup,
  lookupHash,
} from '../../records/lookups.ts';
import { type Decompress, RecordReader } from '../../records/records.ts';
import type { Crc32c } from '../../std/crc32c.ts';
import { firstUnsound } from '../sound-batches.ts';
import { encodeRun, type IndexColumns, type IndexRun } from './format.ts';

export interface RecordTools {
  readonly crc32c: Crc32c;
  /** Throws where it cannot: the records of such a batch are not found. */
  readonly unpack: Decompress;
}

/** `bytes` are whole batches. */
export interface CollectTask {
  readonly kind: 'collect';
  readonly bytes: Uint8Array;
}

export interface CollectAnswer {
  /** Bytes are not what they were when they were written. */
  readonly isDamaged: boolean;
  readonly unread: number;
  /** There are more entries than are held at once: these are not all. */
  readonly isCut: boolean;
  readonly columns: IndexColumns;
}

export interface RunTask {
  readonly kind: 'run';
  readonly columns: IndexColumns;
}

export interface RunAnswer {
  readonly run: IndexRun;
  readonly bytes: Uint8Array;
}

/** Records at [fromOffset, endOffset), of times from `sinceMs` to `untilMs`. */
export interface MatchTask {
  readonly kind: 'match';
  readonly bytes: Uint8Array;
  readonly lookup: Lookup;
  readonly fromOffset: number;
  readonly endOffset: number;
  readonly sinceMs: number;
  readonly untilMs: number;
  /** Which of them are wanted, if they are more than `max`: one more than these is answered. */
  readonly max: number;
  readonly isNewestFirst: boolean;
}

export interface MatchAnswer {
  readonly isDamaged: boolean;
  readonly unread: number;
  /** In their order. */
  readonly offsets: readonly number[];
}

export type RecordTask = CollectTask | RunTask | MatchTask;
export type RecordAnswer<T extends RecordTask = RecordTask> = T extends CollectTask
  ? CollectAnswer
  : T extends RunTask
    ? RunAnswer
    : MatchAnswer;

export function runRecordTask(task: RecordTask, tools: RecordTools): RecordAnswer {
  switch (task.kind) {
    case 'collect':
      return collect(task, tools);
    case 'run':
      return encodeRun(task.columns, tools.crc32c);
    case 'match':
      return match(task, tools);
  }
}

/** Calls `visit` at each record. What rots after it was checked here is found by who reads it. */
function eachRecord(
  bytes: Uint8Array,
  { crc32c, unpack }: RecordTools,
  visit: (reader: RecordReader) => void,
): { readonly isDamaged: boolean; readonly unread: number } {
  const { at: end, isDamaged } = firstUnsound(bytes, bytes.length, 0, crc32c);
  if (isDamaged || end !== bytes.length) return { isDamaged: true, unread: 0 };
  const reader = new RecordReader();
  let unread = 0;
  forEachBatch(bytes, 0, end, (at, size) => {
    const opened = reader.open(bytes, at, at + size, unpack);
    if (isControl(reader.header.attributes)) return;
    if (opened !== 'ok') {
      unread += 1;
      return;
    }
    while (reader.next()) visit(reader);
    if (reader.fault !== undefined) unread += 1;
  });
  return { isDamaged: false, unread };
}

/** Entries of one piece: what is packed may hold very many. */
const ENTRIES_MAX = 1 << 20;

function collect({ bytes }: CollectTask, tools: RecordTools): CollectAnswer {
  const scratch = new Int32Array(4);
  let count = 0;
  let isCut = false;
  let hashes = new Uint32Array(1024);
  let offsets = new Float64Array(1024);
  let timesMs = new Float64Array(1024);
  const found = eachRecord(bytes, tools, (reader) => {
    eachLookup(reader, (kind, start, end) => {
      isCut ||= count === ENTRIES_MAX;
      if (isCut) return false;
      if (count === hashes.length) {
        hashes = grown(hashes, new Uint32Array(2 * count));
        offsets = grown(offsets, new Float64Array(2 * count));
        timesMs = grown(timesMs, new Float64Array(2 * count));
      }
      hashes[count] = lookupHash(kind, reader.bytes, start, end, scratch);
      offsets[count] = reader.offset;
      timesMs[count] = safeTimeMs(reader.timestampMs);
      count += 1;
      return true;
    });
  });
  const columns = {
    hashes: hashes.slice(0, count),
    offsets: offsets.slice(0, count),
    timesMs: timesMs.slice(0, count),
  };
  return { ...found, isCut, columns };
}

/** Clients say times as differences, which may add up to what cannot be written: those are found by the nearest time that can. */
function safeTimeMs(timeMs: number): number {
  return Math.max(-Number.MAX_SAFE_INTEGER, Math.min(Number.MAX_SAFE_INTEGER, timeMs));
}

function grown<T extends Uint32Array | Float64Array>(from: T, into: T): T {
  into.set(from);
  return into;
}

function match(
  { bytes, lookup, fromOffset, endOffset, sinceMs, untilMs, max, isNewestFirst }: MatchTask,
  tools: RecordTools,
): MatchAnswer {
  const offsets: number[] = [];
  const found = eachRecord(bytes, tools, (reader) => {
    const { offset, timestampMs } = reader;
    if (offset < fromOffset || offset >= endOffset) return;
    if (timestampMs < sinceMs || timestampMs > untilMs) return;
    const isFull = !isNewestFirst && offsets.length > max;
    if (isFull || !isFoundBy(reader, lookup)) return;
    offsets.push(offset);
    if (offsets.length > 2 * max + 1) offsets.splice(0, offsets.length - max - 1);
  });
  return { ...found, offsets };
}

/** The hash that entries of what is looked for have. */
export function hashOf({ kind, value }: Lookup): number {
  return lookupHash(LOOKUP_KINDS.indexOf(kind), value, 0, value.length, new Int32Array(4));
}
