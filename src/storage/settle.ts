// Moves committed batches from the tail of a log to its segments, one write at a time for each log and
// beside the loop. Only frames that are committed and durable here settle, so a segment never has to be
// cut; batches below the log start are skipped, so a message that was consumed in time never touches a
// segment. What is written is a copy, and counts when the write has ended: until then the frames stay where
// they are, reads find them there, and bytes behind the counted end of a segment mean nothing.
import { baseOffset } from '../records/batch.ts';
import { errnoOf, isShortOfDescriptors, StorageError, storageErrorFrom } from './errors.ts';
import { FRAME_HEADER_BYTES, FrameFields, frameSize } from './frame-format.ts';
import { COLD } from './frame-table.ts';
import { isSoundFrame } from './log-frames.ts';
import { IO_BYTES, type Segment } from './segment.ts';
import type { StoredLogCore } from './stored-log.ts';

/** `blocked`: no space, or the log waits for something; `busy`: the write before has not ended. */
export type SettleStart = 'done' | 'started' | 'busy' | 'blocked';
/** `part`: more could have settled; `void`: what was written does not count, because the log has become another meanwhile. */
export type SettleEnd = 'settled' | 'part' | 'blocked' | 'void';

/** A write to a segment that has not ended. */
export class SettleFlight {
  /** The log was reset or deleted, or starts behind it: the end of the write changes nothing. */
  isVoid = false;
  /** Of the log, behind what is being written. */
  readonly endOffset: number;
  readonly waiters: ((end: SettleEnd) => void)[] = [];

  constructor(endOffset: number) {
    this.endOffset = endOffset;
  }
}

/** The last frame that may settle now. */
export function settleTarget(log: StoredLogCore): number {
  return Math.min(log.committedSeq, log.durableSeq);
}

/** Begins to settle up to `bytesMax` (or one batch). `done` comes in a later turn, and only if it started. */
export function beginSettle(
  log: StoredLogCore,
  bytesMax: number,
  done: (end: SettleEnd) => void,
): SettleStart {
  const target = settleTarget(log);
  if (log.settledSeq >= target) return 'done';
  if (log.settleFlight !== undefined) return 'busy';
  if (log.isSettleFrozen || log.isDeleted || log.host.isStopped) return 'blocked';
  try {
    return settleFrames(log, target, bytesMax, done);
  } catch (error) {
    settleFailed(log, error);
    return 'blocked';
  }
}

/** Resolves when no write of the log's batches is under way. */
export function settleIdle(log: StoredLogCore): Promise<unknown> {
  const flight = log.settleFlight;
  if (flight === undefined) return Promise.resolve();
  return new Promise((resolve) => flight.waiters.push(resolve));
}

function settleFailed(log: StoredLogCore, error: unknown): void {
  const { host, logId } = log;
  const errno = errnoOf(error);
  if (errno === 'ENOSPC' || errno === 'EDQUOT') {
    // The bytes are in the WAL: nothing is lost, the tail stays where it is.
    if (!host.isSettleShort) host.env.log.warn('no space to settle', { logId });
    host.isSettleShort = true;
  } else if (errno === 'STORAGE_DAMAGED' && log.damagedSegments > 0) {
    // The batches go to another segment when it is tried again.
    host.env.log.warn('a damaged segment takes no more', { logId });
  } else if (isShortOfDescriptors(error)) {
    // All that the shard may have open has bytes to sync: a checkpoint does that, and they can be closed.
    host.wantSync();
  } else if (errno === 'STORAGE_DAMAGED') {
    if (!log.needsRepair) host.env.log.error('a log is quarantined', { logId, why: String(error) });
    log.needsRepair = true;
  } else host.fail(storageErrorFrom(error, `settling log ${logId}`));
}

/** What is committed and below the log start need not be written: it has settled. Answers where the rest begins. */
export function passNeedless(log: StoredLogCore): number {
  const target = settleTarget(log);
  let first = log.settledSeq + 1;
  while (first <= target && isSkipped(log, first)) first += 1;
  // The end of a write that is under way counts from where the log had settled.
  if (log.settleFlight === undefined && !log.isSettleFrozen) markSettled(log, first - 1);
  return first;
}

function isSkipped(log: StoredLogCore, seq: number): boolean {
  const slot = log.table.slot(seq);
  return log.table.batchLength[slot] === 0 || log.table.nextOffset[slot]! <= log.startOffset;
}

/** Frames whose batches go into one segment with one write. */
interface Run {
  readonly segment: Segment;
  readonly lastSeq: number;
  readonly isPart: boolean;
  readonly bytes: number;
}

function settleFrames(
  log: StoredLogCore,
  target: number,
  bytesMax: number,
  done: (end: SettleEnd) => void,
): SettleStart {
  const first = passNeedless(log);
  if (first > target) return 'done';
  const run = runFrom(log, first, target, bytesMax);
  // Read now, if it must be: when the write has ended nobody could be told that it cannot.
  run.segment.index();
  const memory = log.host.buffers.take(run.bytes);
  let at = 0;
  for (let seq = first; seq <= run.lastSeq; seq += 1) {
    if (isSkipped(log, seq)) continue;
    const batch = batchOf(log, seq);
    memory.set(batch, at);
    at += batch.length;
  }
  const flight = new SettleFlight(log.table.offsetAt(run.lastSeq)!);
  const written = memory.subarray(0, at);
  run.segment.write(written, (error) => {
    const end = flightEnded(log, flight, run, written, error);
    log.host.buffers.give(memory);
    done(end);
    for (const waiter of flight.waiters) waiter(end);
  });
  log.settleFlight = flight;
  return 'started';
}

function runFrom(log: StoredLogCore, first: number, target: number, bytesMax: number): Run {
  const { table } = log;
  let bytes = table.batchLength[table.slot(first)]!;
  const timeMs = table.logTimeAt(first)!;
  const segment = log.segments.segmentFor(bytes, timeMs, () => baseOffset(batchOf(log, first), 0));
  const limit = Math.min(bytesMax, log.segments.roomIn(segment));
  let lastSeq = first;
  for (let seq = first + 1; seq <= target; seq += 1) {
    const size = isSkipped(log, seq) ? 0 : table.batchLength[table.slot(seq)]!;
    if (size > 0 && bytes + size > limit) break;
    bytes += size;
    lastSeq = seq;
  }
  return { segment, lastSeq, isPart: lastSeq < target, bytes };
}

function flightEnded(
  log: StoredLogCore,
  flight: SettleFlight,
  { segment, lastSeq, isPart }: Run,
  written: Uint8Array,
  error: Error | undefined,
): SettleEnd {
  const { host } = log;
  log.settleFlight = undefined;
  if (host.isStopped || flight.isVoid || log.isDeleted || log.isSettleFrozen) return 'void';
  if (error !== undefined) {
    settleFailed(log, error);
    // What kept the segments was the batch that is not there now; what comes next must not follow a gap.
    if (log.startOffset >= log.settledOffset) log.segments.removeAll();
    return 'blocked';
  }
  host.isSettleShort = false;
  host.counters.settledBytes += written.length;
  host.counters.settledBatches += segment.countAll(written);
  markSettled(log, lastSeq);
  return isPart ? 'part' : 'settled';
}

function batchOf(log: StoredLogCore, seq: number): Uint8Array {
  const { table, host } = log;
  const slot = table.slot(seq);
  const id = table.chunk[slot]!;
  const size = table.batchLength[slot]!;
  if (id !== COLD) {
    const from = table.at[slot]! + FRAME_HEADER_BYTES;
    return host.slabs.get(id).bytes.subarray(from, from + size);
  }
  return readColdFrame(log, seq).subarray(FRAME_HEADER_BYTES, FRAME_HEADER_BYTES + size);
}

/** A whole frame out of the WAL, checked. Throws `STORAGE_DAMAGED` or DiskError. */
export function readColdFrame(log: StoredLogCore, seq: number): Uint8Array {
  const { table, host } = log;
  const slot = table.slot(seq);
  const lsn = table.lsn[slot]!;
  const file = host.walFiles.locate(lsn);
  const bytes = new Uint8Array(FRAME_HEADER_BYTES + table.payloadLength[slot]!);
  if (file !== undefined) {
    const position = file.positionOf(lsn);
    for (let at = 0; at < bytes.length; at += IO_BYTES) {
      file.file.readSync(bytes.subarray(at, at + IO_BYTES), position + at);
    }
    if (isSoundFrame(log, seq, bytes, 0, new FrameFields())) return bytes;
  }
  throw new StorageError('STORAGE_DAMAGED', `frame ${seq} of log ${log.logId} is damaged`, {
    logId: log.logId,
    seq,
  });
}

function markSettled(log: StoredLogCore, seq: number): void {
  const { table } = log;
  if (seq <= log.settledSeq) return;
  for (let at = log.settledSeq + 1; at <= seq; at += 1) {
    log.tailBytes -= frameSize(table.payloadLength[table.slot(at)]!);
    log.makeCold(at);
  }
  if (log.tailBytes < 0) log.tailBytes = 0;
  log.settledSeq = seq;
  log.settledOffset = table.offsetAt(seq)!;
  log.isMarkDirty = true;
  if (log.isMemory) log.trimTo(seq);
}
