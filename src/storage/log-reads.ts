// Reads of a log by offset and by time: settled offsets from segments, the tail from slab memory, and
// what was released before it settled as a range of the WAL file that holds it.
import { baseOffset, maxTimestampMs } from '../records/batch.ts';
import { messageOf } from '../std/errors.ts';
import type { FileRead, MemoryRead, ReadResult, TimestampPlace } from './api.ts';
import { isShortOfDescriptors, StorageError } from './errors.ts';
import { FRAME_HEADER_BYTES } from './frame-format.ts';
import { COLD } from './frame-table.ts';
import type { Chunk } from './slab.ts';
import { isSoundRun } from './sound-batches.ts';
import type { StoredLogCore } from './stored-log.ts';

const EMPTY: ReadResult = { kind: 'empty' };
const DAMAGED: ReadResult = { kind: 'damaged' };
const NO_DESCRIPTORS: ReadResult = { kind: 'no-descriptors' };
const BATCH_HEAD_BYTES = 61;

export function readLog(
  log: StoredLogCore,
  offset: number,
  maxBytes: number,
  endOffset: number,
): ReadResult {
  const { startOffset, endOffset: logEnd } = log;
  if (offset < startOffset || offset > logEnd) {
    return { kind: 'out-of-range', startOffset, endOffset: logEnd };
  }
  const limit = Math.min(endOffset, logEnd);
  if (offset >= limit) return EMPTY;
  if (offset < log.settledOffset) {
    try {
      const read = log.segments.read(offset, maxBytes, limit);
      if (read !== undefined) return read;
    } catch (error) {
      if (isShortOfDescriptors(error)) return NO_DESCRIPTORS;
      const { logId } = log;
      log.host.env.log.error('a segment cannot be read', { logId, offset, why: messageOf(error) });
      return DAMAGED;
    }
  }
  return readTail(log, offset, maxBytes, limit);
}

function readTail(log: StoredLogCore, offset: number, maxBytes: number, limit: number): ReadResult {
  const { table } = log;
  const seq = table.seqOfOffset(offset, log.settledSeq + 1);
  if (seq > table.endSeq) return EMPTY;
  if (table.chunk[table.slot(seq)] === COLD) return readCold(log, seq, limit);
  return readMemory(log, seq, maxBytes, limit);
}

/** One batch, out of the WAL. */
function readCold(log: StoredLogCore, seq: number, limit: number): ReadResult {
  const { table, host } = log;
  const slot = table.slot(seq);
  const lsn = table.lsn[slot]!;
  const file = host.walFiles.locate(lsn);
  const head = coldBatchHead(log, seq);
  if (file === undefined || head === undefined) return DAMAGED;
  const base = baseOffset(head, 0);
  if (base >= limit) return EMPTY;
  const nextOffset = table.nextOffset[slot]!;
  file.pins += 1;
  let isReleased = false;
  const read: FileRead = {
    kind: 'file',
    file: file.file,
    position: file.positionOf(lsn) + FRAME_HEADER_BYTES,
    length: table.batchLength[slot]!,
    baseOffset: base,
    nextOffset,
    isSound: (bytes, count, error) => {
      const { crc32c } = host.env;
      const isSound =
        error === undefined && isSoundRun(bytes, count, { baseOffset: base, nextOffset }, crc32c);
      // Whoever needs the frame for good, to settle it, finds it damaged too and deals with the log.
      if (!isSound)
        host.env.log.error('a batch in the WAL cannot be read', { logId: log.logId, seq });
      return isSound;
    },
    release: () => {
      if (isReleased) return;
      isReleased = true;
      file.pins -= 1;
    },
  };
  return read;
}

/** The header of the batch of a frame that is not in memory; undefined if it cannot be read. */
function coldBatchHead(log: StoredLogCore, seq: number): Uint8Array | undefined {
  const { table, host } = log;
  const lsn = table.lsn[table.slot(seq)]!;
  const file = host.walFiles.locate(lsn);
  if (file === undefined) return undefined;
  const head = new Uint8Array(BATCH_HEAD_BYTES);
  try {
    const count = file.file.readSync(head, file.positionOf(lsn) + FRAME_HEADER_BYTES);
    return count === head.length ? head : undefined;
  } catch (error) {
    host.env.log.error('a WAL file cannot be read', { path: file.path, why: messageOf(error) });
    return undefined;
  }
}

function readMemory(log: StoredLogCore, from: number, maxBytes: number, limit: number): ReadResult {
  const { table, host } = log;
  const slices: Uint8Array[] = [];
  const chunks: Chunk[] = [];
  let length = 0;
  let firstOffset = -1;
  let nextOffset = 0;
  for (let seq = from; seq <= table.endSeq; seq += 1) {
    const slot = table.slot(seq);
    const size = table.batchLength[slot]!;
    if (size === 0) continue;
    const id = table.chunk[slot]!;
    if (id === COLD || (slices.length > 0 && length + size > maxBytes)) break;
    const chunk = host.slabs.get(id);
    const at = table.at[slot]! + FRAME_HEADER_BYTES;
    const base = baseOffset(chunk.bytes, at);
    if (base >= limit) break;
    if (firstOffset < 0) firstOffset = base;
    slices.push(chunk.bytes.subarray(at, at + size));
    if (chunks[chunks.length - 1] !== chunk) {
      chunk.holds += 1;
      chunks.push(chunk);
    }
    length += size;
    nextOffset = table.nextOffset[slot]!;
  }
  if (slices.length === 0) return EMPTY;
  const read: MemoryRead = {
    kind: 'memory',
    slices,
    length,
    baseOffset: firstOffset,
    nextOffset,
    release: () => {
      for (const chunk of chunks.splice(0)) host.slabs.release(chunk);
    },
  };
  return read;
}

function unreadable({ logId }: StoredLogCore, seq: number): StorageError {
  return new StorageError('STORAGE_DAMAGED', `frame ${seq} of log ${logId} cannot be read`, {
    logId,
    seq,
  });
}

/**
 * Calls `visit` with each batch of the tail that is not in a segment and ends above the log start, until it
 * answers false. Throws `STORAGE_DAMAGED` for one whose time cannot be read.
 */
function eachTailBatch(
  log: StoredLogCore,
  visit: (base: number, timestampMs: number) => boolean,
): void {
  const { table, host } = log;
  const from = Math.max(log.settledSeq + 1, table.firstSeq);
  for (let seq = from; seq <= table.endSeq; seq += 1) {
    const slot = table.slot(seq);
    if (table.batchLength[slot] === 0) continue;
    if (table.nextOffset[slot]! <= log.startOffset) continue;
    const id = table.chunk[slot]!;
    const isCold = id === COLD;
    const bytes = isCold ? coldBatchHead(log, seq) : host.slabs.get(id).bytes;
    if (bytes === undefined) throw unreadable(log, seq);
    const at = isCold ? 0 : table.at[slot]! + FRAME_HEADER_BYTES;
    if (!visit(baseOffset(bytes, at), maxTimestampMs(bytes, at))) return;
  }
}

/** What is damaged or of a newer version is not passed over where the batch may be in it: a later one is no answer. */
export function offsetForTimestamp(log: StoredLogCore, timeMs: number): TimestampPlace | undefined {
  if (log.settledOffset > log.startOffset) {
    const found = log.segments.findTime(timeMs, log.startOffset);
    if (found !== undefined) return found;
  }
  let found: TimestampPlace | undefined;
  eachTailBatch(log, (base, timestampMs) => {
    if (timestampMs < timeMs) return true;
    found = { baseOffset: base, maxTimestampMs: timestampMs };
    return false;
  });
  return found;
}

export function maxTimestamp(log: StoredLogCore): TimestampPlace | undefined {
  let found =
    log.settledOffset > log.startOffset ? log.segments.maxTimestamp(log.startOffset) : undefined;
  eachTailBatch(log, (base, timestampMs) => {
    if (found === undefined || timestampMs > found.maxTimestampMs) {
      found = { baseOffset: base, maxTimestampMs: timestampMs };
    }
    return true;
  });
  return found;
}
