// Walks the frames of a log: out of slab memory in one call, or out of the WAL files for those whose
// memory is released. Frames read from files are checked again before anyone sees them.
import { BATCH_CRC_FROM, CRC_AT } from '../records/batch.ts';
import { readU32, readU32le } from '../std/bytes.ts';
import type { FrameHeader, FrameVisitor } from './api.ts';
import { StorageError, storageErrorFrom } from './errors.ts';
import { FRAME_HEADER_BYTES, FrameFields, frameSize } from './frame-format.ts';
import { COLD } from './frame-table.ts';
import type { StoredLogCore } from './stored-log.ts';
import type { WalFile } from './wal-files.ts';

/** Longest piece of a WAL file read at once, and the largest hole worth reading across. */
const WINDOW_BYTES = 256 * 1024;
const HOLE_BYTES = 16 * 1024;

class HeaderView implements FrameHeader {
  seq = 0;
  epoch = 0;
  logTimeMs = 0;
  chain = 0;
  payloadCrc = 0;
}

/** Shows the frame whose header is at `at`. Answers what the visitor did. */
function show(
  log: StoredLogCore,
  seq: number,
  bytes: Uint8Array,
  at: number,
  header: HeaderView,
  visit: FrameVisitor,
): boolean {
  const { table } = log;
  const slot = table.slot(seq);
  header.seq = seq;
  header.epoch = table.epoch[slot]!;
  header.logTimeMs = table.logTimeMs[slot]!;
  header.chain = table.chain[slot]!;
  header.payloadCrc = readU32le(bytes, at + 48);
  const from = at + FRAME_HEADER_BYTES;
  const middle = from + table.batchLength[slot]!;
  const end = from + table.payloadLength[slot]!;
  const batch = middle > from ? bytes.subarray(from, middle) : undefined;
  return visit(header, bytes.subarray(middle, end), batch) !== false;
}

export function residentFrames(
  log: StoredLogCore,
  fromSeq: number,
  maxBytes: number,
  visit: FrameVisitor,
): number | 'cold' | 'gone' {
  const { table, host } = log;
  if (fromSeq < table.firstSeq) return 'gone';
  const header = new HeaderView();
  let left = maxBytes;
  let seq = fromSeq;
  while (seq <= table.endSeq && (left > 0 || seq === fromSeq)) {
    const slot = table.slot(seq);
    const id = table.chunk[slot]!;
    if (id === COLD) {
      if (seq > fromSeq) return seq;
      return log.isMemory ? 'gone' : 'cold';
    }
    left -= table.payloadLength[slot]!;
    const goOn = show(log, seq, host.slabs.get(id).bytes, table.at[slot]!, header, visit);
    seq += 1;
    if (!goOn) break;
  }
  return seq;
}

function readAsync(file: WalFile, into: Uint8Array, position: number): Promise<number> {
  return new Promise((resolve, reject) => {
    file.file.read(into, position, (error, count) => {
      if (error === undefined) resolve(count);
      else reject(storageErrorFrom(error, `reading ${file.path}`));
    });
  });
}

/** Bytes of the file from frame `seq` on that hold it and the frames close behind it. */
function windowEnd(log: StoredLogCore, file: WalFile, seq: number, maxBytes: number): number {
  const { table, host } = log;
  const start = table.lsn[table.slot(seq)]!;
  let end = start + frameSize(table.payloadLength[table.slot(seq)]!);
  const limit = start + Math.min(WINDOW_BYTES, Math.max(maxBytes, 1));
  for (let next = seq + 1; next <= table.endSeq; next += 1) {
    const slot = table.slot(next);
    const lsn = table.lsn[slot]!;
    const nextEnd = lsn + frameSize(table.payloadLength[slot]!);
    const isClose = table.chunk[slot] === COLD && lsn >= end && lsn - end <= HOLE_BYTES;
    if (!isClose || nextEnd > limit || host.walFiles.locate(lsn) !== file) break;
    end = nextEnd;
  }
  return end;
}

/** Checks a data frame read back from a file against what the table knows of it. */
export function isSoundFrame(
  log: StoredLogCore,
  seq: number,
  bytes: Uint8Array,
  at: number,
  fields: FrameFields,
): boolean {
  const { table, host } = log;
  const slot = table.slot(seq);
  const { codec } = host;
  const isOurs =
    codec.readHeader(bytes, at, fields) &&
    fields.logId === log.logId &&
    fields.seq === seq &&
    fields.chain === table.chain[slot] &&
    fields.payloadLength === table.payloadLength[slot];
  if (!isOurs) return false;
  const from = at + FRAME_HEADER_BYTES;
  const middle = from + table.batchLength[slot]!;
  const end = from + fields.payloadLength;
  if (end > bytes.length) return false;
  const batch = middle > from ? bytes.subarray(from, middle) : undefined;
  if (codec.payloadCrc(bytes.subarray(middle, end), batch) !== fields.payloadCrc) return false;
  if (batch === undefined) return true;
  return codec.crc32c(batch, BATCH_CRC_FROM, batch.length) === readU32(batch, CRC_AT);
}

function damagedFrame(log: StoredLogCore, seq: number): StorageError {
  return new StorageError('STORAGE_DAMAGED', `frame ${seq} of log ${log.logId} is damaged`, {
    logId: log.logId,
    seq,
  });
}

export async function framesFrom(
  log: StoredLogCore,
  fromSeq: number,
  maxBytes: number,
  visit: FrameVisitor,
): Promise<number | 'gone'> {
  const { table, host } = log;
  const header = new HeaderView();
  const fields = new FrameFields();
  let left = maxBytes;
  let seq = fromSeq;
  for (;;) {
    const resident = residentFrames(log, seq, left, (frame, events, batch) => {
      left -= events.length + (batch?.length ?? 0);
      return visit(frame, events, batch);
    });
    if (resident === 'gone') return seq > fromSeq ? seq : 'gone';
    if (resident !== 'cold') {
      // Only a walk that ended at a cold frame goes on; a stop, the limit and the end do not.
      const isMore = resident > seq && left > 0 && table.has(resident);
      if (!isMore || table.chunk[table.slot(resident)] !== COLD || log.isMemory) return resident;
      seq = resident;
      continue;
    }
    const lsn = table.lsn[table.slot(seq)]!;
    const file = host.walFiles.locate(lsn);
    if (file === undefined) throw damagedFrame(log, seq);
    const end = windowEnd(log, file, seq, left);
    const bytes = new Uint8Array(end - lsn);
    file.pins += 1;
    let count: number;
    try {
      count = await readAsync(file, bytes, file.positionOf(lsn));
    } finally {
      file.pins -= 1;
    }
    const before = seq;
    // The log may have been cut, trimmed or carried while the disk was read: believe the table.
    while (table.has(seq)) {
      const at = table.lsn[table.slot(seq)]! - lsn;
      if (at < 0 || at >= count) break;
      if (!isSoundFrame(log, seq, bytes, at, fields)) throw damagedFrame(log, seq);
      left -= fields.payloadLength;
      const goOn = show(log, seq, bytes, at, header, visit);
      seq += 1;
      if (!goOn || left <= 0) return seq;
    }
    if (seq > table.endSeq) return seq;
    if (seq === before && !table.has(seq)) return seq > fromSeq ? seq : 'gone';
  }
}
