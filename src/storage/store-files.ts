// The small files that say whose folder this is and how it was left: `store.super`, written once and again when
// the first file of a new kind is about to be made, and `store.marks`, two 4 KiB slots written in place, so that
// a start needs no free byte. Big endian. And `scrub`, a number in text: when the last pass that found nothing ended.
//
// Superblock: 0 magic u32 | 4 CRC-32C of the rest u32 | 8 major u16 | 10 minor u16 | 12 compatible u32
// 16 read-only compatible u32 | 20 incompatible u32 | 24 node i32 | 28 shard i32 | 32 bytes of the cluster's name,
// varint | the name, UTF-8. A slot of the marks: 0 magic u32 | 4 CRC-32C of bytes 8..31 u32 | 8 sequence u64
// 16 starts u64 | 24 flags u32 | 28 zero.
import type { DiskFile } from '../env/environment.ts';
import {
  ByteReader,
  BytesError,
  ByteWriter,
  decodeUtf8,
  encodeUtf8,
  readU32,
  writeU32,
} from '../std/bytes.ts';
import type { Crc32c } from '../std/crc32c.ts';
import type { StorageEnvironment, StoreIdentity } from './api.ts';
import { StorageError, unknownVersion } from './errors.ts';
import { BLOCK_BYTES } from './frame-format.ts';

/** "CBSB". */
const SUPER_MAGIC = 0x43425342;
const FORMAT_MAJOR = 1;
const FORMAT_MINOR = 0;
/** Some segment stands for offsets of others, which only its name says: who does not know would serve both. */
export const REWRITTEN_SEGMENTS = 1;
/** Records are missing from the segments of a log that takes no gaps: who does not know would pass over those behind them. */
export const NEEDLESS_GONE = 2;
/** A bit that is set in a folder and not here forbids to open it. Unknown compatible ones are harmless, and stay. */
const KNOWN_INCOMPATIBLE = REWRITTEN_SEGMENTS | NEEDLESS_GONE;
const INCOMPATIBLE_NAMES = new Map([
  [REWRITTEN_SEGMENTS, 'rewritten-segments'],
  [NEEDLESS_GONE, 'needless-records-gone'],
]);
const KNOWN_READ_ONLY_COMPATIBLE = 0;
/** "CBMK". */
const MARKS_MAGIC = 0x43424d4b;
/** Of a slot; the rest of its block is zero. */
const MARKS_BYTES = 32;
const CLEAN = 1;
const FAILED_SYNC = 2;

export interface Superblock extends StoreIdentity {
  readonly major: number;
  readonly minor: number;
  readonly compatible: number;
  readonly readOnlyCompatible: number;
  readonly incompatible: number;
}

const NEW_FOLDER = {
  major: FORMAT_MAJOR,
  minor: FORMAT_MINOR,
  compatible: 0,
  readOnlyCompatible: 0,
  incompatible: 0,
};

export function encodeSuperblock(superblock: Superblock, crc32c: Crc32c): Uint8Array {
  const writer = new ByteWriter();
  writer.u32(SUPER_MAGIC);
  writer.u32(0);
  writer.u16(superblock.major);
  writer.u16(superblock.minor);
  writer.u32(superblock.compatible);
  writer.u32(superblock.readOnlyCompatible);
  writer.u32(superblock.incompatible);
  writer.i32(superblock.nodeId);
  writer.i32(superblock.shard);
  writer.text(superblock.clusterId);
  const bytes = writer.toBytes();
  writeU32(bytes, 4, crc32c(bytes, 8, bytes.length));
  return bytes;
}

/**
 * Throws `STORAGE_DAMAGED` for bytes that are no superblock, `STORAGE_NEWER_FORMAT` for one of another major version:
 * magic, sum and version keep their places in all of them.
 */
export function decodeSuperblock(bytes: Uint8Array, crc32c: Crc32c, file: string): Superblock {
  const isSound =
    bytes.length > 8 &&
    readU32(bytes, 0) === SUPER_MAGIC &&
    readU32(bytes, 4) === crc32c(bytes, 8, bytes.length);
  if (!isSound) throw new StorageError('STORAGE_DAMAGED', `${file} fails its check`);
  try {
    const reader = new ByteReader(bytes, 8);
    const major = reader.u16();
    const minor = reader.u16();
    if (major !== FORMAT_MAJOR)
      throw unknownVersion(file, `${major}.${minor}`, `${FORMAT_MAJOR}.x`);
    const compatible = reader.u32();
    const readOnlyCompatible = reader.u32();
    const incompatible = reader.u32();
    const nodeId = reader.i32();
    const shard = reader.i32();
    const clusterId = reader.text();
    return {
      major,
      minor,
      compatible,
      readOnlyCompatible,
      incompatible,
      nodeId,
      shard,
      clusterId,
    };
  } catch (error) {
    if (!(error instanceof BytesError)) throw error;
    throw new StorageError('STORAGE_DAMAGED', `${file} is too short`, {}, error);
  }
}

export function walFolder(directory: string): string {
  return `${directory}/wal`;
}

export function superblockPath(directory: string): string {
  return `${directory}/store.super`;
}

/** Whose store a folder is; undefined if it is none. Throws as `decodeSuperblock`. */
export function readSuperblock(
  env: Pick<StorageEnvironment, 'disk' | 'crc32c'>,
  directory: string,
): Superblock | undefined {
  const file = superblockPath(directory);
  const bytes = env.disk.readFile(file);
  return bytes === undefined ? undefined : decodeSuperblock(bytes, env.crc32c, file);
}

/** The superblock of a folder that is open. */
export class StoreSuper {
  readonly #env: StorageEnvironment;
  readonly #path: string;
  #value: Superblock;

  /**
   * Makes the superblock of a new folder, or checks the one that is there.
   * Throws `STORAGE_NEWER_FORMAT`, `STORAGE_WRONG_IDENTITY`, `STORAGE_DAMAGED`, DiskError.
   */
  constructor(env: StorageEnvironment, directory: string, identity: StoreIdentity) {
    this.#env = env;
    this.#path = superblockPath(directory);
    const found = readSuperblock(env, directory);
    if (found === undefined) {
      this.#value = { ...identity, ...NEW_FOLDER };
      this.#write(this.#value);
      return;
    }
    assertFeaturesKnown(found, this.#path);
    assertOurs(found, directory, identity);
    this.#value = found;
  }

  /**
   * Durable when it returns, so that what comes next is never met by a build that does not know the feature. What
   * is in the superblock and unknown here stays. Throws DiskError.
   */
  need(incompatible: number): void {
    if (this.has(incompatible)) return;
    const next = { ...this.#value, incompatible: this.#value.incompatible | incompatible };
    this.#write(next);
    this.#value = next;
  }

  has(incompatible: number): boolean {
    return (this.#value.incompatible & incompatible) === incompatible;
  }

  #write(value: Superblock): void {
    this.#env.disk.replaceFile(this.#path, encodeSuperblock(value, this.#env.crc32c));
  }
}

/** By name; a bit that is not known here is its number. */
export function featureNames({
  compatible,
  readOnlyCompatible,
  incompatible,
}: Superblock): string[] {
  const bits = (word: number): number[] =>
    Array.from({ length: 32 }, (_, bit) => (1 << bit) >>> 0).filter((bit) => (word & bit) !== 0);
  return [
    ...bits(incompatible).map((bit) => INCOMPATIBLE_NAMES.get(bit) ?? `incompatible:${hex(bit)}`),
    ...bits(readOnlyCompatible).map((bit) => `read-only-compatible:${hex(bit)}`),
    ...bits(compatible).map((bit) => `compatible:${hex(bit)}`),
  ];
}

/** Throws `STORAGE_NEWER_FORMAT`. */
export function assertFeaturesKnown(found: Superblock, file: string): void {
  const incompatible = (found.incompatible & ~KNOWN_INCOMPATIBLE) >>> 0;
  const readOnlyCompatible = (found.readOnlyCompatible & ~KNOWN_READ_ONLY_COMPATIBLE) >>> 0;
  if (incompatible === 0 && readOnlyCompatible === 0) return;
  throw new StorageError(
    'STORAGE_NEWER_FORMAT',
    `${file} was written by a newer version: it has features unknown here ` +
      `(incompatible ${hex(incompatible)}, read-only compatible ${hex(readOnlyCompatible)}; ` +
      `known: ${hex(KNOWN_INCOMPATIBLE)}, ${hex(KNOWN_READ_ONLY_COMPATIBLE)})`,
    { file, unknownIncompatible: incompatible, unknownReadOnlyCompatible: readOnlyCompatible },
  );
}

function hex(bits: number): string {
  return `0x${bits.toString(16)}`;
}

function assertOurs(found: Superblock, directory: string, identity: StoreIdentity): void {
  const isOurs =
    found.clusterId === identity.clusterId &&
    found.nodeId === identity.nodeId &&
    found.shard === identity.shard;
  if (isOurs) return;
  const { clusterId, nodeId, shard } = found;
  throw new StorageError(
    'STORAGE_WRONG_IDENTITY',
    `${directory} belongs to shard ${shard} of node ${nodeId} of cluster ${clusterId}`,
    { directory, found: { clusterId, nodeId, shard }, wanted: { ...identity } },
  );
}

export interface MarkValues {
  readonly bootCount: number;
  readonly isClean: boolean;
  readonly failedSync: boolean;
}

interface MarkSlot extends MarkValues {
  /** The slot with the higher one counts. */
  readonly sequence: number;
}

export function encodeMarks(marks: MarkSlot, crc32c: Crc32c): Uint8Array {
  const writer = new ByteWriter(BLOCK_BYTES);
  writer.u32(MARKS_MAGIC);
  writer.u32(0);
  writer.u64(marks.sequence);
  writer.u64(marks.bootCount);
  writer.u32((marks.isClean ? CLEAN : 0) | (marks.failedSync ? FAILED_SYNC : 0));
  writer.reserve(BLOCK_BYTES - writer.size);
  const bytes = writer.finish();
  writeU32(bytes, 4, crc32c(bytes, 8, MARKS_BYTES));
  return bytes;
}

/** What one slot of `store.marks` says; undefined if it fails its check. */
export function decodeMarks(bytes: Uint8Array, crc32c: Crc32c): MarkSlot | undefined {
  const isSound =
    bytes.length >= MARKS_BYTES &&
    readU32(bytes, 0) === MARKS_MAGIC &&
    readU32(bytes, 4) === crc32c(bytes, 8, MARKS_BYTES);
  if (!isSound) return undefined;
  const reader = new ByteReader(bytes, 8);
  const sequence = reader.u64();
  const bootCount = reader.u64();
  const flags = reader.u32();
  const isClean = (flags & CLEAN) !== 0;
  return { sequence, bootCount, isClean, failedSync: (flags & FAILED_SYNC) !== 0 };
}

/** The marks of a folder, open for the life of the store. */
export class StoreMarks {
  readonly #file: DiskFile;
  readonly #crc32c: Crc32c;
  #sequence = 0;
  /** How the folder was left; undefined if it is new. */
  readonly found: MarkValues | undefined;

  constructor(env: StorageEnvironment, directory: string) {
    this.#crc32c = env.crc32c;
    this.#file = env.disk.open(`${directory}/store.marks`, { mode: 'create', dsync: true });
    let found: MarkValues | undefined;
    for (const slot of [0, 1]) {
      const bytes = new Uint8Array(BLOCK_BYTES);
      this.#file.readSync(bytes, slot * BLOCK_BYTES);
      const marks = decodeMarks(bytes, env.crc32c);
      if (marks === undefined || marks.sequence <= this.#sequence) continue;
      const { sequence, ...values } = marks;
      this.#sequence = sequence;
      found = values;
    }
    this.found = found;
  }

  /** Durable when it returns. Throws DiskError. */
  write(values: MarkValues): void {
    const sequence = this.#sequence + 1;
    const bytes = encodeMarks({ sequence, ...values }, this.#crc32c);
    const at = (sequence % 2) * BLOCK_BYTES;
    if (sequence > 1) this.#file.writeSync(bytes, at);
    else {
      // Both slots have their blocks from the start: the next start may find no byte free.
      const both = new Uint8Array(2 * BLOCK_BYTES);
      both.set(bytes, at);
      this.#file.writeSync(both, 0);
    }
    // What failed is written into the same slot again: the other one is sound.
    this.#sequence = sequence;
  }

  close(): void {
    this.#file.close();
  }
}

/** `endMs`: ms since 1970; 0: damage is known. */
export function encodeScrub(endMs: number): Uint8Array {
  return encodeUtf8(`${Math.floor(endMs)}\n`);
}

/** Undefined if it is no time. Throws RangeError for what is no text. */
export function decodeScrub(bytes: Uint8Array): number | undefined {
  const text = decodeUtf8(bytes).trim();
  const endMs = /^\d+$/.test(text) ? Number(text) : Number.NaN;
  return Number.isSafeInteger(endMs) ? endMs : undefined;
}
