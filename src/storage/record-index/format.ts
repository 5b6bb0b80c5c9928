// The record index of one sealed segment: which offsets have a key, a tag or a message id. Derived from the batches
// and believed only where everything matches, block by block, so a lookup reads and checks no more than it needs.
//
// A header; runs; a directory. A run is a table of entries sorted by (hash, offset), of neighbouring batches: runs
// follow each other in the order of offsets, and bound what the making of an index holds in memory. The directory
// has the sum of each block of entries, and the entry that it begins with.
import {
  readI64le,
  readU32le,
  readU64le,
  writeI64le,
  writeU32le,
  writeU64le,
} from '../../std/bytes.ts';
import type { Crc32c } from '../../std/crc32c.ts';
import type { SegmentName } from '../sparse-index.ts';

/** "CBRX". */
const MAGIC = 0x58524243;
const VERSION = 1;
export const INDEX_HEADER_BYTES = 68;
export const ENTRY_BYTES = 16;
const BLOCK_ENTRIES = 256;
const BLOCK_BYTES = ENTRY_BYTES * BLOCK_ENTRIES;
const RUN_BYTES = 48;
const BLOCK_LINE_BYTES = 16;
/** Of one run: 2 MiB. */
export const RUN_ENTRIES_MAX = 1 << 17;
/** What a lookup keeps of one index: enough for sixteen million entries. */
export const DIRECTORY_BYTES_MAX = 1 << 20;
/** Times of a run are seconds from its earliest one; this many or more. */
const SECONDS_MAX = 0xffff_ffff;

/** Whose index it is. Another length of the segment is another segment. */
export interface RecordIndexName extends SegmentName {
  readonly revision: number;
  /** Bytes of the segment file. */
  readonly segmentBytes: number;
}

/** What is in batches: entries in the order of their offsets. */
export interface IndexColumns {
  readonly hashes: Uint32Array;
  readonly offsets: Float64Array;
  readonly timesMs: Float64Array;
}

export interface IndexRun {
  readonly firstOffset: number;
  readonly lastOffset: number;
  readonly minTimeMs: number;
  readonly maxTimeMs: number;
  readonly entries: number;
  /** Of each block: its first entry, and the CRC-32C of its bytes. */
  readonly blockHashes: Uint32Array;
  readonly blockOffsets: Float64Array;
  readonly blockSums: Uint32Array;
}

export interface PlacedRun extends IndexRun {
  /** Of its first entry in the file. */
  readonly position: number;
}

export interface IndexHeader {
  readonly name: RecordIndexName;
  readonly directoryAt: number;
  readonly directoryBytes: number;
  readonly directorySum: number;
  readonly runs: number;
  /** Batches whose records nobody here could read: what is in them is not found. */
  readonly unread: number;
}

/** Sorts entries (at least one, at most RUN_ENTRIES_MAX) and lays them out. */
export function encodeRun(
  { hashes, offsets, timesMs }: IndexColumns,
  crc32c: Crc32c,
): { readonly run: IndexRun; readonly bytes: Uint8Array } {
  const count = hashes.length;
  // A hash and a place among the entries are 49 bits: numbers sort without a comparison function.
  const order = new Float64Array(count);
  let minTimeMs = Number.POSITIVE_INFINITY;
  let maxTimeMs = Number.NEGATIVE_INFINITY;
  for (let i = 0; i < count; i += 1) {
    order[i] = hashes[i]! * RUN_ENTRIES_MAX + i;
    minTimeMs = Math.min(minTimeMs, timesMs[i]!);
    maxTimeMs = Math.max(maxTimeMs, timesMs[i]!);
  }
  order.sort();
  const bytes = new Uint8Array(count * ENTRY_BYTES);
  const blocks = Math.ceil(count / BLOCK_ENTRIES);
  const blockHashes = new Uint32Array(blocks);
  const blockOffsets = new Float64Array(blocks);
  const blockSums = new Uint32Array(blocks);
  for (let i = 0; i < count; i += 1) {
    const from = order[i]! % RUN_ENTRIES_MAX;
    const at = i * ENTRY_BYTES;
    const seconds = Math.floor((timesMs[from]! - minTimeMs) / 1000);
    writeU32le(bytes, at, hashes[from]!);
    writeU32le(bytes, at + 4, Math.min(SECONDS_MAX, seconds));
    writeU64le(bytes, at + 8, offsets[from]!);
    if (i % BLOCK_ENTRIES !== 0) continue;
    blockHashes[i / BLOCK_ENTRIES] = hashes[from]!;
    blockOffsets[i / BLOCK_ENTRIES] = offsets[from]!;
  }
  for (let i = 0; i < blocks; i += 1) {
    const end = Math.min(bytes.length, (i + 1) * BLOCK_BYTES);
    blockSums[i] = crc32c(bytes, i * BLOCK_BYTES, end);
  }
  const firstOffset = offsets[0]!;
  const lastOffset = offsets[count - 1]!;
  const blocksOf = { blockHashes, blockOffsets, blockSums };
  return {
    run: { firstOffset, lastOffset, minTimeMs, maxTimeMs, entries: count, ...blocksOf },
    bytes,
  };
}

/** Where in the file a block of a run lies. */
export function blockPlace(
  { position, entries }: PlacedRun,
  block: number,
): { readonly position: number; readonly length: number } {
  const count = Math.min(BLOCK_ENTRIES, entries - block * BLOCK_ENTRIES);
  return { position: position + block * BLOCK_BYTES, length: count * ENTRY_BYTES };
}

export function entryHash(block: Uint8Array, index: number): number {
  return readU32le(block, index * ENTRY_BYTES);
}

export function entryOffset(block: Uint8Array, index: number): number {
  return readU64le(block, index * ENTRY_BYTES + 8);
}

/** May the record of an entry be of that time? */
export function mayBeWithin(
  { minTimeMs }: IndexRun,
  block: Uint8Array,
  index: number,
  { sinceMs, untilMs }: { readonly sinceMs: number; readonly untilMs: number },
): boolean {
  const seconds = readU32le(block, index * ENTRY_BYTES + 4);
  const fromMs = minTimeMs + 1000 * seconds;
  return fromMs <= untilMs && (seconds === SECONDS_MAX || fromMs + 1000 > sinceMs);
}

export function directorySize(runs: readonly IndexRun[]): number {
  let size = 0;
  for (const { blockSums } of runs) size += RUN_BYTES + blockSums.length * BLOCK_LINE_BYTES;
  return size;
}

export function encodeDirectory(runs: readonly PlacedRun[]): Uint8Array {
  const bytes = new Uint8Array(directorySize(runs));
  let at = 0;
  for (const run of runs) {
    const { blockHashes, blockOffsets, blockSums } = run;
    writeU64le(bytes, at, run.firstOffset);
    writeU64le(bytes, at + 8, run.lastOffset);
    writeI64le(bytes, at + 16, run.minTimeMs);
    writeI64le(bytes, at + 24, run.maxTimeMs);
    writeU64le(bytes, at + 32, run.position);
    writeU32le(bytes, at + 40, run.entries);
    writeU32le(bytes, at + 44, blockSums.length);
    at += RUN_BYTES;
    for (let i = 0; i < blockSums.length; i += 1) {
      writeU32le(bytes, at, blockHashes[i]!);
      writeU32le(bytes, at + 4, blockSums[i]!);
      writeU64le(bytes, at + 8, blockOffsets[i]!);
      at += BLOCK_LINE_BYTES;
    }
  }
  return bytes;
}

/** Of bytes whose sum is right; undefined if they are no directory all the same. */
export function decodeDirectory(bytes: Uint8Array, count: number): PlacedRun[] | undefined {
  const runs: PlacedRun[] = [];
  let at = 0;
  for (let i = 0; i < count; i += 1) {
    if (at + RUN_BYTES > bytes.length) return undefined;
    const entries = readU32le(bytes, at + 40);
    const blocks = readU32le(bytes, at + 44);
    const end = at + RUN_BYTES + blocks * BLOCK_LINE_BYTES;
    if (blocks !== Math.ceil(entries / BLOCK_ENTRIES) || end > bytes.length) return undefined;
    const blockHashes = new Uint32Array(blocks);
    const blockOffsets = new Float64Array(blocks);
    const blockSums = new Uint32Array(blocks);
    for (let block = 0; block < blocks; block += 1) {
      const line = at + RUN_BYTES + block * BLOCK_LINE_BYTES;
      blockHashes[block] = readU32le(bytes, line);
      blockSums[block] = readU32le(bytes, line + 4);
      blockOffsets[block] = readU64le(bytes, line + 8);
    }
    runs.push({
      firstOffset: readU64le(bytes, at),
      lastOffset: readU64le(bytes, at + 8),
      minTimeMs: readI64le(bytes, at + 16),
      maxTimeMs: readI64le(bytes, at + 24),
      position: readU64le(bytes, at + 32),
      entries,
      ...{ blockHashes, blockOffsets, blockSums },
    });
    at = end;
  }
  return at === bytes.length ? runs : undefined;
}

export function encodeIndexHeader(header: IndexHeader, crc32c: Crc32c): Uint8Array {
  const bytes = new Uint8Array(INDEX_HEADER_BYTES);
  const { name } = header;
  writeU32le(bytes, 0, MAGIC);
  writeU32le(bytes, 4, VERSION);
  writeU64le(bytes, 8, name.logId);
  writeU64le(bytes, 16, name.baseOffset);
  writeU32le(bytes, 24, name.generation);
  writeU32le(bytes, 28, name.revision);
  writeU64le(bytes, 32, name.segmentBytes);
  writeU64le(bytes, 40, header.directoryAt);
  writeU32le(bytes, 48, header.directoryBytes);
  writeU32le(bytes, 52, header.runs);
  writeU32le(bytes, 56, header.unread);
  writeU32le(bytes, 60, header.directorySum);
  writeU32le(bytes, 64, crc32c(bytes, 0, 64));
  return bytes;
}

/** Undefined if it fails its check, or is of another version: it is made anew then. */
export function decodeIndexHeader(bytes: Uint8Array, crc32c: Crc32c): IndexHeader | undefined {
  const isSound =
    bytes.length >= INDEX_HEADER_BYTES &&
    readU32le(bytes, 0) === MAGIC &&
    readU32le(bytes, 4) === VERSION &&
    readU32le(bytes, 64) === crc32c(bytes, 0, 64);
  if (!isSound) return undefined;
  return {
    name: {
      logId: readU64le(bytes, 8),
      baseOffset: readU64le(bytes, 16),
      generation: readU32le(bytes, 24),
      revision: readU32le(bytes, 28),
      segmentBytes: readU64le(bytes, 32),
    },
    directoryAt: readU64le(bytes, 40),
    directoryBytes: readU32le(bytes, 48),
    runs: readU32le(bytes, 52),
    unread: readU32le(bytes, 56),
    directorySum: readU32le(bytes, 60),
  };
}
