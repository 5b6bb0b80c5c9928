// The checkpoint of a shard: where every log stands, so that the WAL below can be recycled. Two slots take
// turns, each written in place in one write and summed: a torn or damaged one leaves the other.
//
// File, big endian: magic u32 | version u32 | sequence u64 | replay LSN u64 | captured LSN u64 | entries u32
// body bytes u32 | body CRC u32 | CRC-32C of the 44 bytes before | entries (112 bytes each).
import type { Disk } from '../env/environment.ts';
import { ByteReader, ByteWriter, readU32, writeU32 } from '../std/bytes.ts';
import type { Crc32c } from '../std/crc32c.ts';
import { unknownVersion } from './errors.ts';
import type { Anchor } from './frame-table.ts';
import { IO_BYTES } from './segment.ts';
import type { SettledMark } from './segment-set.ts';

/** "CBCP". */
const CHECKPOINT_MAGIC = 0x43424350;
const CHECKPOINT_VERSION = 1;
const HEADER_BYTES = 48;
const ENTRY_BYTES = 112;
const NEEDS_REPAIR = 1;

export interface CheckpointEntry {
  readonly logId: number;
  readonly needsRepair: boolean;
  /** Known to be committed and durable here. */
  readonly committedSeq: number;
  readonly startOffset: number;
  readonly mark: SettledMark;
  /** The frame before the first one that the WAL still holds for this log. */
  readonly anchor: Anchor;
}

export interface Checkpoint {
  readonly sequence: number;
  /** Nothing below is needed. */
  readonly replayLsn: number;
  /** Everything below was applied when the entries were taken. */
  readonly capturedLsn: number;
  readonly entries: readonly CheckpointEntry[];
}

export function encodeCheckpoint(checkpoint: Checkpoint, crc32c: Crc32c): Uint8Array {
  const { entries } = checkpoint;
  const writer = new ByteWriter(HEADER_BYTES + entries.length * ENTRY_BYTES);
  writer.u32(CHECKPOINT_MAGIC);
  writer.u32(CHECKPOINT_VERSION);
  writer.u64(checkpoint.sequence);
  writer.u64(checkpoint.replayLsn);
  writer.u64(checkpoint.capturedLsn);
  writer.u32(entries.length);
  writer.u32(entries.length * ENTRY_BYTES);
  writer.u32(0);
  writer.u32(0);
  for (const entry of entries) encodeEntry(writer, entry);
  const bytes = writer.finish();
  writeU32(bytes, 40, crc32c(bytes, HEADER_BYTES, bytes.length));
  writeU32(bytes, 44, crc32c(bytes, 0, 44));
  return bytes;
}

function encodeEntry(writer: ByteWriter, entry: CheckpointEntry): void {
  const { mark, anchor } = entry;
  writer.u64(entry.logId);
  writer.u32(entry.needsRepair ? NEEDS_REPAIR : 0);
  writer.u64(entry.committedSeq);
  writer.u64(entry.startOffset);
  writer.u64(mark.settledSeq);
  writer.u64(mark.settledOffset);
  writer.u32(mark.generationMin);
  writer.u32(mark.generation);
  writer.u64(mark.segmentBase);
  writer.u64(mark.segmentLength);
  writer.u64(anchor.seq);
  writer.i32(anchor.epoch);
  writer.u64(anchor.epochFirstSeq);
  writer.u32(anchor.chain);
  writer.u64(anchor.nextOffset);
  writer.u64(anchor.logTimeMs);
  writer.u32(0);
}

/** Undefined if the bytes fail their check. Throws `STORAGE_NEWER_FORMAT` for a sound header of another version. */
export function decodeCheckpoint(
  bytes: Uint8Array,
  crc32c: Crc32c,
  file: string,
): Checkpoint | undefined {
  if (bytes.length < HEADER_BYTES || readU32(bytes, 0) !== CHECKPOINT_MAGIC) return undefined;
  if (readU32(bytes, 44) !== crc32c(bytes, 0, 44)) return undefined;
  const version = readU32(bytes, 4);
  if (version !== CHECKPOINT_VERSION) throw unknownVersion(file, version, CHECKPOINT_VERSION);
  const reader = new ByteReader(bytes, 8);
  const sequence = reader.u64();
  const replayLsn = reader.u64();
  const capturedLsn = reader.u64();
  const count = reader.u32();
  const end = HEADER_BYTES + reader.u32();
  if (end > bytes.length || end !== HEADER_BYTES + count * ENTRY_BYTES) return undefined;
  if (readU32(bytes, 40) !== crc32c(bytes, HEADER_BYTES, end)) return undefined;
  reader.reset(bytes, HEADER_BYTES, end);
  const entries: CheckpointEntry[] = [];
  for (let i = 0; i < count; i += 1) entries.push(decodeEntry(reader));
  return { sequence, replayLsn, capturedLsn, entries };
}

function decodeEntry(reader: ByteReader): CheckpointEntry {
  const logId = reader.u64();
  const needsRepair = (reader.u32() & NEEDS_REPAIR) !== 0;
  const committedSeq = reader.u64();
  const startOffset = reader.u64();
  const mark: SettledMark = {
    settledSeq: reader.u64(),
    settledOffset: reader.u64(),
    generationMin: reader.u32(),
    generation: reader.u32(),
    segmentBase: reader.u64(),
    segmentLength: reader.u64(),
  };
  const anchor: Anchor = {
    seq: reader.u64(),
    epoch: reader.i32(),
    epochFirstSeq: reader.u64(),
    chain: reader.u32(),
    nextOffset: reader.u64(),
    logTimeMs: reader.u64(),
  };
  reader.skip(4);
  return { logId, needsRepair, committedSeq, startOffset, mark, anchor };
}

export function checkpointPath(directory: string, sequence: number): string {
  return `${directory}/ckpt.${sequence % 2 === 0 ? 'a' : 'b'}`;
}

export function isCheckpointPath(path: string): boolean {
  return /\/ckpt\.[ab]$/.test(path);
}

/**
 * The newer of the two sound slots (undefined if there is none), and from where on the WAL must stay so that the
 * older one can stand in for it. Throws `STORAGE_NEWER_FORMAT`, DiskError.
 */
export function readCheckpoint(
  disk: Disk,
  directory: string,
  crc32c: Crc32c,
): {
  readonly newest: Checkpoint | undefined;
  readonly keptLsn: number;
  readonly damagedSlots: readonly string[];
} {
  let newest: Checkpoint | undefined;
  let keptLsn = Number.POSITIVE_INFINITY;
  const damagedSlots: string[] = [];
  for (const slot of [0, 1]) {
    const path = checkpointPath(directory, slot);
    const size = disk.fileSize(path);
    if (size === undefined || size === 0) continue;
    const bytes = new Uint8Array(size);
    const file = disk.open(path, { mode: 'read' });
    try {
      for (let at = 0; at < size; at += IO_BYTES) {
        file.readSync(bytes.subarray(at, at + IO_BYTES), at);
      }
    } finally {
      file.close();
    }
    const found = decodeCheckpoint(bytes, crc32c, path);
    if (found === undefined) {
      damagedSlots.push(path);
      continue;
    }
    keptLsn = Math.min(keptLsn, found.replayLsn);
    if (newest === undefined || found.sequence > newest.sequence) newest = found;
  }
  return { newest, keptLsn: newest === undefined ? 0 : keptLsn, damagedSlots };
}
