// The small files that say whose folder this is and how it was left: `store.super`, written once, and
// `store.marks`, two 4 KiB slots written in place, so that a start needs no free byte.
import type { DiskFile } from '../env/environment.ts';
import { ByteReader, BytesError, ByteWriter, readU32, writeU32 } from '../std/bytes.ts';
import type { Crc32c } from '../std/crc32c.ts';
import type { StorageEnvironment, StoreIdentity } from './api.ts';
import { StorageError } from './errors.ts';
import { BLOCK_BYTES } from './frame-format.ts';

/** "CBSB". */
const SUPER_MAGIC = 0x43425342;
const FORMAT_MAJOR = 1;
const FORMAT_MINOR = 0;
/** Features known here: a bit that is set in a folder and not here. Unknown compatible ones are harmless. */
const KNOWN_INCOMPATIBLE = 0;
const KNOWN_READ_ONLY_COMPATIBLE = 0;
/** "CBMK". */
const MARKS_MAGIC = 0x43424d4b;
const CLEAN = 1;
const FAILED_SYNC = 2;

export interface Superblock extends StoreIdentity {
  readonly major: number;
  readonly minor: number;
  readonly compatible: number;
  readonly readOnlyCompatible: number;
  readonly incompatible: number;
}

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

/** Throws `STORAGE_DAMAGED` for bytes that are no superblock. */
export function decodeSuperblock(bytes: Uint8Array, crc32c: Crc32c): Superblock {
  const isSound =
    bytes.length > 8 &&
    readU32(bytes, 0) === SUPER_MAGIC &&
    readU32(bytes, 4) === crc32c(bytes, 8, bytes.length);
  if (!isSound) throw new StorageError('STORAGE_DAMAGED', 'store.super fails its check');
  try {
    const reader = new ByteReader(bytes, 8);
    const major = reader.u16();
    const minor = reader.u16();
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
    throw new StorageError('STORAGE_DAMAGED', 'store.super is too short', {}, error);
  }
}

/** Whose store a folder is; undefined if it is none. Throws as `decodeSuperblock`. */
export function readSuperblock(
  env: Pick<StorageEnvironment, 'disk' | 'crc32c'>,
  directory: string,
): Superblock | undefined {
  const bytes = env.disk.readFile(`${directory}/store.super`);
  return bytes === undefined ? undefined : decodeSuperblock(bytes, env.crc32c);
}

/**
 * Makes the superblock of a new folder, or checks the one that is there.
 * Throws `STORAGE_NEWER_FORMAT`, `STORAGE_WRONG_IDENTITY`, `STORAGE_DAMAGED`, DiskError.
 */
export function checkSuperblock(
  env: StorageEnvironment,
  directory: string,
  identity: StoreIdentity,
): 'new' | 'known' {
  const path = `${directory}/store.super`;
  const bytes = env.disk.readFile(path);
  if (bytes === undefined) {
    const fresh: Superblock = {
      ...identity,
      major: FORMAT_MAJOR,
      minor: FORMAT_MINOR,
      compatible: 0,
      readOnlyCompatible: 0,
      incompatible: 0,
    };
    env.disk.replaceFile(path, encodeSuperblock(fresh, env.crc32c));
    return 'new';
  }
  const found = decodeSuperblock(bytes, env.crc32c);
  const unknown =
    (found.incompatible & ~KNOWN_INCOMPATIBLE) |
    (found.readOnlyCompatible & ~KNOWN_READ_ONLY_COMPATIBLE);
  if (found.major > FORMAT_MAJOR || unknown !== 0) {
    throw new StorageError(
      'STORAGE_NEWER_FORMAT',
      `${directory} was written by format ${found.major}.${found.minor}, this is ${FORMAT_MAJOR}.${FORMAT_MINOR}`,
      { directory, major: found.major, minor: found.minor, unknownFeatures: unknown },
    );
  }
  const isOurs =
    found.clusterId === identity.clusterId &&
    found.nodeId === identity.nodeId &&
    found.shard === identity.shard;
  if (isOurs) return 'known';
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

/** What one slot of `store.marks` says; undefined if it fails its check. */
export function decodeMarks(
  bytes: Uint8Array,
  crc32c: Crc32c,
): (MarkValues & { readonly sequence: number }) | undefined {
  const isSound =
    bytes.length >= 32 &&
    readU32(bytes, 0) === MARKS_MAGIC &&
    readU32(bytes, 4) === crc32c(bytes, 8, 32);
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
    const writer = new ByteWriter(BLOCK_BYTES);
    const sequence = this.#sequence + 1;
    writer.u32(MARKS_MAGIC);
    writer.u32(0);
    writer.u64(sequence);
    writer.u64(values.bootCount);
    writer.u32((values.isClean ? CLEAN : 0) | (values.failedSync ? FAILED_SYNC : 0));
    writer.reserve(BLOCK_BYTES - writer.size);
    const bytes = writer.finish();
    writeU32(bytes, 4, this.#crc32c(bytes, 8, 32));
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
