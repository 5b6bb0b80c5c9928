// Measures a disk the way the broker uses it: writes that are durable when they return (O_DSYNC over
// pre-written blocks, as the write-ahead log does), a sequential stream with a sync behind it, and
// reads beside the page cache where the system can. Uses one file, whose name is gone once it is open: it goes with
// the process, however that ends.
import fs from 'node:fs';
import { join } from 'node:path';

const BLOCK_BYTES = 4096;
const CHUNK_BYTES = 1 << 20;
const FILE_BYTES_MAX = 128 << 20;
const FILE_BYTES_MIN = 8 << 20;
/** A group of the write-ahead log under load: 64 messages of 1 KB and their headers. */
const GROUP_BYTES = 17 * BLOCK_BYTES;
export const GROUP_MESSAGES = 64;

export interface Latencies {
  readonly count: number;
  readonly p50Us: number;
  readonly p99Us: number;
  readonly maxUs: number;
}

export interface DiskFigures {
  readonly fileBytes: number;
  readonly sequentialWriteBytesPerS: number;
  readonly sequentialReadBytesPerS: number;
  readonly randomRead: Latencies;
  /** False: the system has no O_DIRECT here, so what was read may have been in memory. */
  readonly isReadFromDevice: boolean;
  /** One block, durable when the write returns. */
  readonly syncBlock: Latencies;
  /** 64 messages of 1 KB in one write, durable when it returns. */
  readonly syncGroup: Latencies;
  /** False: the system has no O_DSYNC, every write was followed by a sync. */
  readonly hasDsync: boolean;
}

/** @throws NodeJS.ErrnoException if the folder cannot be written or is too full. */
export function measureDisk(folder: string, freeBytes: number, seconds: number): DiskFigures {
  const wanted = Math.min(FILE_BYTES_MAX, Math.floor(freeBytes / 4 / CHUNK_BYTES) * CHUNK_BYTES);
  if (wanted < FILE_BYTES_MIN) {
    const message = `only ${freeBytes} bytes are free: too few to measure`;
    throw Object.assign(new Error(message), { code: 'ENOSPC' });
  }
  const path = join(folder, `callboard-doctor-${process.pid}.tmp`);
  const eachMs = (seconds * 1000) / 4;
  const { O_RDWR, O_CREAT, O_EXCL, O_DSYNC = 0 } = fs.constants;
  const hasDsync = process.platform === 'linux' && O_DSYNC !== 0;
  const open: number[] = [];
  try {
    const plain = fs.openSync(path, O_RDWR | O_CREAT | O_EXCL, 0o600);
    open.push(plain);
    const synced = fs.openSync(path, O_RDWR | (hasDsync ? O_DSYNC : 0));
    open.push(synced);
    const direct = openDirect(path);
    if (direct !== undefined) open.push(direct);
    // Windows keeps the name of an open file: there it goes at the end.
    if (process.platform !== 'win32') fs.rmSync(path);
    const sequentialWriteBytesPerS = writeSequentially(plain, wanted);
    const syncs = { fd: synced, hasDsync, fileBytes: wanted, limitMs: eachMs };
    const syncBlock = timeSyncs({ ...syncs, bytes: BLOCK_BYTES });
    const syncGroup = timeSyncs({ ...syncs, bytes: GROUP_BYTES });
    const reads = timeReads(plain, direct, wanted, eachMs);
    return {
      ...reads,
      fileBytes: wanted,
      sequentialWriteBytesPerS,
      syncBlock,
      syncGroup,
      hasDsync,
    };
  } finally {
    for (const fd of open) fs.closeSync(fd);
    fs.rmSync(path, { force: true });
  }
}

/** Bytes per second to the device: the sync at the end is counted. */
function writeSequentially(fd: number, bytes: number): number {
  const chunk = Buffer.alloc(CHUNK_BYTES);
  // Devices and file systems that compress or store holes must not get zeros.
  for (let at = 0; at < chunk.length; at += 4) chunk.writeUInt32LE((at * 2654435761) >>> 0, at);
  const from = performance.now();
  for (let at = 0; at < bytes; at += CHUNK_BYTES) {
    chunk.writeUInt32LE(at, 0);
    writeWhole(fd, chunk, at);
  }
  fs.fdatasyncSync(fd);
  return (bytes / (performance.now() - from)) * 1000;
}

interface SyncRun {
  readonly fd: number;
  readonly hasDsync: boolean;
  readonly fileBytes: number;
  readonly limitMs: number;
  readonly bytes: number;
}

function timeSyncs({ fd, hasDsync, fileBytes, limitMs, bytes }: SyncRun): Latencies {
  const block = Buffer.alloc(bytes, 0x5a);
  const slots = Math.floor(fileBytes / bytes);
  return timed(limitMs, (i) => {
    block.writeUInt32LE(i, 0);
    writeWhole(fd, block, (i % slots) * bytes);
    if (!hasDsync) fs.fdatasyncSync(fd);
  });
}

function writeWhole(fd: number, bytes: Buffer, position: number): void {
  for (let at = 0; at < bytes.length; ) {
    at += fs.writeSync(fd, bytes, at, bytes.length - at, position + at);
  }
}

type Reads = Pick<DiskFigures, 'sequentialReadBytesPerS' | 'randomRead' | 'isReadFromDevice'>;

function timeReads(
  plain: number,
  direct: number | undefined,
  fileBytes: number,
  limitMs: number,
): Reads {
  const aligned = direct === undefined ? undefined : alignedFor(direct);
  const fd = aligned === undefined ? plain : direct!;
  const room = aligned ?? Buffer.alloc(CHUNK_BYTES);
  let bytes = 0;
  const from = performance.now();
  for (let at = 0; at < fileBytes && performance.now() - from < limitMs; at += CHUNK_BYTES) {
    bytes += fs.readSync(fd, room, 0, CHUNK_BYTES, at);
  }
  const sequentialReadBytesPerS = (bytes / (performance.now() - from)) * 1000;
  const blocks = Math.floor(fileBytes / BLOCK_BYTES);
  let place = 1;
  const randomRead = timed(limitMs, () => {
    place = (Math.imul(place, 1664525) + 1013904223) >>> 0;
    fs.readSync(fd, room, 0, BLOCK_BYTES, (place % blocks) * BLOCK_BYTES);
  });
  return { sequentialReadBytesPerS, randomRead, isReadFromDevice: aligned !== undefined };
}

/** For reads past the page cache; undefined where the system or the file system has no such thing. */
function openDirect(path: string): number | undefined {
  const { O_RDONLY, O_DIRECT } = fs.constants;
  if (O_DIRECT === undefined) return undefined;
  try {
    return fs.openSync(path, O_RDONLY | O_DIRECT);
  } catch {
    return undefined;
  }
}

/** O_DIRECT wants memory at a block boundary, which only a trial can find from here. */
function alignedFor(direct: number): Buffer | undefined {
  const room = Buffer.alloc(CHUNK_BYTES + BLOCK_BYTES);
  for (let at = 0; at < BLOCK_BYTES; at += 16) {
    try {
      fs.readSync(direct, room, at, BLOCK_BYTES, 0);
      return room.subarray(at, at + CHUNK_BYTES);
    } catch {
      // EINVAL: not this boundary.
    }
  }
  return undefined;
}

/** Calls `work` until the time is up; at least 16 times. */
function timed(limitMs: number, work: (i: number) => void): Latencies {
  const took: number[] = [];
  const from = performance.now();
  let now = from;
  while (took.length < 16 || now - from < limitMs) {
    work(took.length);
    const after = performance.now();
    took.push(after - now);
    now = after;
  }
  return latenciesOf(took);
}

/** @param tookMs at least one. */
export function latenciesOf(tookMs: readonly number[]): Latencies {
  const sorted = [...tookMs].sort((a, b) => a - b);
  const at = (share: number) =>
    Math.round(sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))]! * 1000);
  return { count: sorted.length, p50Us: at(0.5), p99Us: at(0.99), maxUs: at(1) };
}
