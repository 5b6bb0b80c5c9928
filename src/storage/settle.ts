// Moves committed batches from the tail of a log to its segments. Only frames that are committed and
// durable here settle, so a segment never has to be cut; batches below the log start are skipped, so a
// message that was consumed in time never touches a segment.
import { errnoOf, StorageError, storageErrorFrom } from './errors.ts';
import { FRAME_HEADER_BYTES, FrameFields, frameSize } from './frame-format.ts';
import { COLD } from './frame-table.ts';
import { isSoundFrame } from './log-frames.ts';
import { IO_BYTES } from './segment.ts';
import type { StoredLogCore } from './stored-log.ts';

/** `more`: the limit of the call was reached; `blocked`: no space, or the log waits for something. */
export type SettleResult = 'done' | 'more' | 'blocked';

/** The last frame that may settle now. */
function settleTarget(log: StoredLogCore): number {
  return Math.min(log.committedSeq, log.durableSeq);
}

export function settleLog(log: StoredLogCore, bytesMax: number): SettleResult {
  const target = settleTarget(log);
  if (log.settledSeq >= target) return 'done';
  if (log.isSettleFrozen || log.isDeleted || log.host.isStopped) return 'blocked';
  try {
    return settleFrames(log, target, bytesMax);
  } catch (error) {
    log.loadedSegments?.dropStaged();
    return settleFailed(log, error);
  }
}

function settleFailed(log: StoredLogCore, error: unknown): SettleResult {
  const { host, logId } = log;
  const errno = errnoOf(error);
  if (errno === 'ENOSPC' || errno === 'EDQUOT') {
    // The bytes are in the WAL: nothing is lost, the tail stays where it is.
    if (!host.isSettleShort) host.env.log.warn('no space to settle', { logId });
    host.isSettleShort = true;
  } else if (errno === 'STORAGE_DAMAGED') {
    if (!log.needsRepair) host.env.log.error('a log is quarantined', { logId, why: String(error) });
    log.needsRepair = true;
  } else host.fail(storageErrorFrom(error, `settling log ${logId}`));
  return 'blocked';
}

function settleFrames(log: StoredLogCore, target: number, bytesMax: number): SettleResult {
  const { table, host } = log;
  let bytes = 0;
  for (let seq = log.settledSeq + 1; seq <= target; seq += 1) {
    const slot = table.slot(seq);
    const size = table.batchLength[slot]!;
    if (size === 0 || table.nextOffset[slot]! <= log.startOffset) continue;
    const { segments } = log;
    if (!segments.fits(size)) {
      host.counters.settledBytes += segments.flush();
      markSettled(log, seq - 1);
      if (bytes >= bytesMax) return 'more';
    }
    segments.stage(batchOf(log, seq));
    host.counters.settledBatches += 1;
    bytes += size;
  }
  const loaded = log.loadedSegments;
  if (loaded !== undefined) host.counters.settledBytes += loaded.flush();
  host.isSettleShort = false;
  markSettled(log, target);
  return 'done';
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
