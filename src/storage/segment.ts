// One segment file of a log: a 64-byte header, then committed v2 batches back to back, byte for byte as
// they came, or as a rewriting left them. Bytes are only ever added, so a range of it may be sent to a client
// without fear. The name carries base offset and generation; a generation is one life of the log's data on this
// node. That of a rewritten one also says how often, and up to which offset it stands for the files before it.
//
//   0 magic u32 | 4 version u32 | 8 log id u64 | 16 base offset u64 | 24 generation u32 | 28 revision u32
//  32 end offset u64 (both 0: not rewritten) | 40 flags u32 (what may have gone) | 60 CRC-32C of 0..59
import {
  BATCH_HEADER_BYTES,
  BATCH_MAGIC,
  BatchHeader,
  batchSize,
  forEachBatch,
  readBatchHeader,
} from '../records/batch.ts';
import { readU32le, readU64le, writeU32le, writeU64le } from '../std/bytes.ts';
import type { Crc32c } from '../std/crc32c.ts';
import type { StorageEnvironment, StoreCounters } from './api.ts';
import { errnoOf, StorageError, storageErrorFrom, unknownVersion } from './errors.ts';
import type { OpenFile, OpenFiles } from './open-files.ts';
import { firstUnsound } from './sound-batches.ts';
import { type SegmentName, SparseIndex } from './sparse-index.ts';

/** "CBSG". */
const SEGMENT_MAGIC = 0x47534243;
const SEGMENT_VERSION = 1;
export const SEGMENT_HEADER_BYTES = 64;
/** Longest access that runs on the loop. */
export const IO_BYTES = 64 * 1024;
const SCAN_BYTES = 16 * 1024;
const INDEX_BYTES_MAX = 1 << 20;

/** What a settling segment needs of its shard. */
export interface SegmentHost {
  readonly env: StorageEnvironment;
  readonly openFiles: OpenFiles;
  readonly counters: StoreCounters;
  /** Bytes of a segment are not what they should be; told once for each. */
  segmentDamaged(segment: Segment, position: number): void;
  /** The disk failed where nobody waits for an answer. */
  fail(error: Error): void;
  /** 64 KiB of scratch, used within one call. */
  readonly scratch: Uint8Array;
  /** The last stop was clean: what is in the folders is on the device. */
  readonly cleanStart: boolean;
}

export interface BatchPlace {
  readonly position: number;
  readonly size: number;
  readonly baseOffset: number;
  readonly nextOffset: number;
  readonly maxTimestampMs: number;
}

/** What the name of a segment file says. */
export interface SegmentFileName {
  readonly baseOffset: number;
  readonly generation: number;
  /** 0: as it settled. Of two files with the same offsets the one with the higher revision counts. */
  readonly revision: number;
  /** A rewritten one stands for every offset from its base up to here; else 0. */
  readonly endOffset: number;
  /** Rewritten, and whoever did it was done with it: not only with a part of it. */
  readonly isDone: boolean;
}

/** What the flags in the header of a segment say of its batches. */
export interface SegmentContents {
  /** They are those that settled: none has lost a record. */
  readonly isRaw: boolean;
  /** Tombstones may have gone from them: the first rewriting of what settled only tells them their time. */
  readonly isThinned: boolean;
}

export const AS_SETTLED: SegmentContents = { isRaw: true, isThinned: false };
const UNKNOWN: SegmentContents = { isRaw: false, isThinned: true };

type SegmentHeader = SegmentName & Omit<SegmentFileName, 'isDone'> & SegmentContents;

/** Of a rewritten one. */
export const RAW_FLAG = 1;
/** Of one that is not rewritten: its batches came with a catch-up, and were compacted by then. */
export const COMPACTED_FLAG = 2;
export const THINNED_FLAG = 4;
/** Of one that was rewritten more than once: no tombstone has gone from it all the same. */
export const UNTHINNED_FLAG = 8;

function flagsOf({ revision, isRaw, isThinned }: SegmentFileName & SegmentContents): number {
  if (isRaw) return revision > 0 ? RAW_FLAG : 0;
  const unthinned = revision > 1 ? UNTHINNED_FLAG : 0;
  return (revision > 0 ? 0 : COMPACTED_FLAG) | (isThinned ? THINNED_FLAG : unthinned);
}

function contentsOf(revision: number, flags: number): SegmentContents {
  const isRaw = revision > 0 ? (flags & RAW_FLAG) !== 0 : (flags & COMPACTED_FLAG) === 0;
  const isUnknown = revision > 1 && (flags & UNTHINNED_FLAG) === 0;
  return { isRaw, isThinned: !isRaw && (isUnknown || (flags & THINNED_FLAG) !== 0) };
}

export function encodeSegmentHeader(
  name: SegmentName & SegmentFileName & SegmentContents,
  crc32c: Crc32c,
): Uint8Array {
  const bytes = new Uint8Array(SEGMENT_HEADER_BYTES);
  writeU32le(bytes, 0, SEGMENT_MAGIC);
  writeU32le(bytes, 4, SEGMENT_VERSION);
  writeU64le(bytes, 8, name.logId);
  writeU64le(bytes, 16, name.baseOffset);
  writeU32le(bytes, 24, name.generation);
  writeU32le(bytes, 28, name.revision);
  writeU64le(bytes, 32, name.endOffset);
  writeU32le(bytes, 40, flagsOf(name));
  writeU32le(bytes, 60, crc32c(bytes, 0, 60));
  return bytes;
}

/** Whose segment it is; undefined if the header fails its check. Throws `STORAGE_NEWER_FORMAT`. */
export function decodeSegmentHeader(
  bytes: Uint8Array,
  crc32c: Crc32c,
  file: string,
): SegmentHeader | undefined {
  const isSound =
    bytes.length >= SEGMENT_HEADER_BYTES &&
    readU32le(bytes, 0) === SEGMENT_MAGIC &&
    crc32c(bytes, 0, 60) === readU32le(bytes, 60);
  if (!isSound) return undefined;
  const version = readU32le(bytes, 4);
  if (version !== SEGMENT_VERSION) throw unknownVersion(file, version, SEGMENT_VERSION);
  const revision = readU32le(bytes, 28);
  return {
    logId: readU64le(bytes, 8),
    baseOffset: readU64le(bytes, 16),
    generation: readU32le(bytes, 24),
    revision,
    endOffset: readU64le(bytes, 32),
    ...contentsOf(revision, readU32le(bytes, 40)),
  };
}

export class Segment implements SegmentName, SegmentFileName {
  readonly logId: number;
  readonly baseOffset: number;
  readonly generation: number;
  readonly revision: number;
  readonly endOffset: number;
  readonly isDone: boolean;
  readonly path: string;
  readonly #host: SegmentHost;
  /** Bytes that count, header included. */
  length: number;
  /** Bytes known to be on the device. */
  syncedLength: number;
  /** Readers that need the file to stay. */
  pins = 0;
  /** Remove the file when the last reader goes. */
  isDoomed = false;
  /** Nothing is read from it any more. */
  isDamaged = false;
  readonly #header = new BatchHeader();
  #index: SparseIndex | undefined;
  #dirty: OpenFile | undefined;
  #isTailDropped = false;
  #contents: SegmentContents | undefined;

  constructor(
    host: SegmentHost,
    folder: string,
    name: SegmentName & SegmentFileName,
    length: number,
  ) {
    this.#host = host;
    this.logId = name.logId;
    this.baseOffset = name.baseOffset;
    this.generation = name.generation;
    this.revision = name.revision;
    this.endOffset = name.endOffset;
    this.isDone = name.isDone;
    this.path = `${folder}/${segmentFileName(name)}.seg`;
    this.length = length;
    this.syncedLength = length;
  }

  /** Makes the file with its header. Throws DiskError. */
  create(contents: SegmentContents): void {
    this.#contents = contents;
    this.dropIndex();
    const open = this.#host.openFiles.get(this.path, 'create');
    if (open.file.size() > 0) open.file.truncate(0);
    open.file.writeSync(this.header(), 0);
    this.length = SEGMENT_HEADER_BYTES;
    this.syncedLength = 0;
    this.#index = new SparseIndex(this.length, this.baseOffset);
    this.#markDirty(open);
  }

  /** It will be a file that somebody else writes, after `header`: `countAll` counts what is in it. */
  prepare(contents: SegmentContents): void {
    this.#contents = contents;
    this.length = SEGMENT_HEADER_BYTES;
    this.#index = new SparseIndex(this.length, this.baseOffset);
  }

  /** Its first bytes. */
  header(): Uint8Array {
    return encodeSegmentHeader({ ...this.#name(), ...this.contents }, this.#host.env.crc32c);
  }

  #name(): SegmentName & SegmentFileName {
    const { logId, baseOffset, generation, revision, endOffset, isDone } = this;
    return { logId, baseOffset, generation, revision, endOffset, isDone };
  }

  /**
   * What its header says, which is believed of a damaged one too as long as it is sound itself; else the worst. Throws
   * DiskError, `STORAGE_NEWER_FORMAT`.
   */
  get contents(): SegmentContents {
    this.#contents ??= this.#readContents();
    return this.#contents;
  }

  #readContents(): SegmentContents {
    try {
      const header = this.#readHeader();
      const isOurs =
        header?.logId === this.logId &&
        header.baseOffset === this.baseOffset &&
        header.generation === this.generation &&
        header.revision === this.revision;
      return isOurs ? { isRaw: header.isRaw, isThinned: header.isThinned } : UNKNOWN;
    } catch (error) {
      if (errnoOf(error) !== 'STORAGE_DAMAGED') throw error;
      return UNKNOWN;
    }
  }

  /** The file has its name, and all of it is on the device. */
  isWhole(): void {
    this.syncedLength = this.length;
  }

  #markDirty(open: OpenFile): void {
    if (this.#dirty !== undefined) return;
    this.#dirty = open;
    open.pins += 1;
    this.#host.openFiles.dirtyCount += 1;
  }

  get isDirty(): boolean {
    return this.#dirty !== undefined;
  }

  get hasBatches(): boolean {
    return this.length > SEGMENT_HEADER_BYTES;
  }

  get nextOffset(): number {
    return this.index().nextOffset;
  }

  /** Writes whole batches at the end, in small pieces on the loop, and counts them. Throws DiskError. */
  append(bytes: Uint8Array): void {
    const open = this.#host.openFiles.get(this.path);
    this.#markDirty(open);
    for (let at = 0; at < bytes.length; at += IO_BYTES) {
      open.file.writeSync(bytes.subarray(at, at + IO_BYTES), this.length + at);
    }
    this.countAll(bytes);
  }

  /**
   * Begins to write whole batches at the end without counting them; `countAll` then adds them. The file
   * stays until `done`, which comes in a later turn, and nothing else is written here before. Throws DiskError.
   */
  write(bytes: Uint8Array, done: (error: Error | undefined) => void): void {
    const open = this.pin();
    open.file.write(bytes, this.length, (error) => {
      // Marked now: a sync that ended meanwhile knew nothing of these bytes.
      if (error === undefined && !this.isDoomed) this.#markDirty(open);
      this.unpin(open);
      done(error);
    });
  }

  /** Counts the batches written at the end; answers how many there are. */
  countAll(bytes: Uint8Array): number {
    const index = this.index();
    const header = this.#header;
    let count = 0;
    forEachBatch(bytes, 0, bytes.length, (at) => {
      const { size, baseOffset, lastOffsetDelta, maxTimestampMs } = readBatchHeader(
        bytes,
        at,
        header,
      );
      index.add(this.length, size, baseOffset, baseOffset + lastOffsetDelta + 1, maxTimestampMs);
      this.length += size;
      count += 1;
    });
    return count;
  }

  /** Syncs what is written now. `done` hears the error; success moves `syncedLength`. */
  sync(done: (error: Error | undefined) => void): void {
    const open = this.#dirty;
    if (open === undefined) {
      done(undefined);
      return;
    }
    const { length } = this;
    open.file.sync((error) => {
      if (error === undefined) {
        this.syncedLength = Math.max(this.syncedLength, length);
        if (this.length === length && this.#dirty === open) {
          this.#dirty = undefined;
          this.#host.openFiles.dirtyCount -= 1;
          this.#host.openFiles.unpin(open);
        }
      }
      done(error);
    });
  }

  /** The file to read from, pinned until `unpin`. Throws DiskError. */
  pin(): OpenFile {
    const open = this.#host.openFiles.get(this.path);
    open.pins += 1;
    this.pins += 1;
    return open;
  }

  unpin(open: OpenFile): void {
    this.#host.openFiles.unpin(open);
    this.pins -= 1;
    if (this.isDoomed && this.pins === 0) this.#remove();
  }

  /** Removes the file now, or when its last reader goes. Where that fails, so does the store. */
  doom(): void {
    this.forgive();
    this.isDoomed = true;
    if (this.pins === 0) this.#remove();
  }

  #remove(): void {
    const { openFiles, env } = this.#host;
    openFiles.drop(this.path);
    openFiles.drop(recordIndexPath(this.path));
    if (this.#dirty !== undefined) openFiles.dirtyCount -= 1;
    this.#dirty = undefined;
    try {
      for (const path of [this.path, indexPath(this.path), recordIndexPath(this.path)]) {
        if (env.disk.exists(path)) env.disk.remove(path);
      }
    } catch (error) {
      // Whoever read here last has nothing to do with it, and the next start would take the file for one that is wanted.
      this.#host.fail(storageErrorFrom(error, `removing ${this.path}`));
    }
  }

  /** Drops what lies behind the counted end. Until the file is synced, a power cut may bring it back. */
  dropTail(): void {
    const { file } = this.#host.openFiles.get(this.path);
    if (file.size() <= this.length) return;
    file.truncate(this.length);
    this.#isTailDropped = true;
  }

  /** Zeros up to the counted end, behind which the file must not end. Throws DiskError. */
  fillUp(): void {
    const open = this.#host.openFiles.get(this.path);
    open.file.truncate(this.length);
    this.#markDirty(open);
  }

  /** A run that was killed may have dropped what lay behind the end, and did not sync it. */
  distrustTail(): void {
    this.#isTailDropped = true;
  }

  /** No batches come any more. The file must end where they do, whatever happens: its size says how long it is. */
  finish(): void {
    this.dropTail();
    if (this.#isTailDropped) this.#markDirty(this.#host.openFiles.get(this.path));
  }

  /** Writes the index beside the segment: done when no more batches come. */
  saveIndex(): void {
    const bytes = this.index().encode(this, this.#host.env.crc32c);
    if (bytes.length > INDEX_BYTES_MAX) return;
    const file = this.#host.env.disk.open(indexPath(this.path), { mode: 'create' });
    try {
      file.truncate(0);
      for (let at = 0; at < bytes.length; at += IO_BYTES) {
        file.writeSync(bytes.subarray(at, at + IO_BYTES), at);
      }
    } finally {
      file.close();
    }
  }

  /** The index: kept, read from its file, or rebuilt from the batches. Throws `STORAGE_DAMAGED`, `STORAGE_NEWER_FORMAT`. */
  index(): SparseIndex {
    if (this.#index !== undefined) return this.#index;
    const header = this.#readHeader();
    this.#index = this.#loadIndex() ?? this.#rebuildIndex(header);
    return this.#index;
  }

  /** Of an earlier life of the file, which may have been longer. True: there was one. Throws DiskError. */
  dropIndex(): boolean {
    const { disk } = this.#host.env;
    const path = indexPath(this.path);
    if (!disk.exists(path)) return false;
    disk.remove(path);
    return true;
  }

  /** Its index file speaks of batches behind its end. It is written when no more come: they were there. Throws DiskError. */
  get isCut(): boolean {
    return (this.#readIndex()?.coveredBytes ?? 0) > this.length;
  }

  #loadIndex(): SparseIndex | undefined {
    const found = this.#readIndex();
    if (found === undefined || found.coveredBytes === this.length) return found;
    if (found.coveredBytes > this.length) throw this.#damaged(this.length);
    return undefined;
  }

  #readIndex(): SparseIndex | undefined {
    const { disk, crc32c, log } = this.#host.env;
    const path = indexPath(this.path);
    const size = disk.fileSize(path);
    if (size === undefined || size > INDEX_BYTES_MAX) return undefined;
    try {
      const bytes = disk.readFile(path);
      return bytes === undefined ? undefined : SparseIndex.decode(bytes, this, crc32c);
    } catch (error) {
      if (errnoOf(error) !== 'EIO') throw error;
      // It is derived: made anew where it is needed.
      log.warn('a segment index cannot be read', { path, error: String(error) });
      return undefined;
    }
  }

  #rebuildIndex(header: SegmentHeader | undefined): SparseIndex {
    if (header?.logId !== this.logId || header.baseOffset !== this.baseOffset)
      throw this.#damaged(0);
    const index = new SparseIndex(SEGMENT_HEADER_BYTES, this.baseOffset);
    this.scan(SEGMENT_HEADER_BYTES, this.baseOffset, (place) => {
      const { position, size, baseOffset, nextOffset, maxTimestampMs } = place;
      index.add(position, size, baseOffset, nextOffset, maxTimestampMs);
    });
    return index;
  }

  /** Undefined if it fails its check: that matters only where the index has to be made from the batches. */
  #readHeader(): SegmentHeader | undefined {
    const bytes = new Uint8Array(SEGMENT_HEADER_BYTES);
    const { file } = this.#host.openFiles.get(this.path);
    if (this.#readSync(file, bytes, 0) < bytes.length) return undefined;
    return decodeSegmentHeader(bytes, this.#host.env.crc32c, this.path);
  }

  /** At that byte at the latest. */
  foundDamaged(position: number): void {
    if (this.isDamaged || this.isDoomed) return;
    this.isDamaged = true;
    this.#host.segmentDamaged(this, position);
  }

  /**
   * For who keeps it pinned and read `count` bytes of whole batches at `position`, the last of which may be cut off: are
   * they what was appended? Where they are not it is damaged from here on.
   */
  isSound(bytes: Uint8Array, count: number, error: Error | undefined, position: number): boolean {
    // What a disk says of anything but a sector says nothing of the bytes.
    if (error !== undefined && errnoOf(error) !== 'EIO') return false;
    const found =
      error !== undefined || count < bytes.length
        ? undefined
        : firstUnsound(bytes, count, this.baseOffset, this.#host.env.crc32c);
    const isSound = found !== undefined && !found.isDamaged && found.at > 0;
    if (!isSound) this.foundDamaged(position);
    return isSound;
  }

  /** Throws `STORAGE_DAMAGED` for one that is known to be. */
  assertSound(): void {
    if (this.isDamaged) throw this.#damaged(0);
  }

  /** Another has its batches, or nobody wants them any more. */
  forgive(): void {
    if (!this.isDamaged) return;
    this.isDamaged = false;
    this.#host.counters.damagedSegments -= 1;
  }

  #damaged(position: number): StorageError {
    this.foundDamaged(position);
    return new StorageError('STORAGE_DAMAGED', `${this.path} is damaged at byte ${position}`, {
      path: this.path,
      position,
    });
  }

  /** A sector that cannot be read is damaged. */
  #readSync(file: OpenFile['file'], into: Uint8Array, position: number): number {
    try {
      return file.readSync(into, position);
    } catch (error) {
      if (errnoOf(error) !== 'EIO') throw error;
      throw this.#damaged(position);
    }
  }

  /**
   * Visits batch headers from `position` (the start of a batch) until the end, or until `visit` answers false.
   * Throws `STORAGE_DAMAGED` if something is not a batch that continues the ones before.
   */
  scan(position: number, nextOffset: number, visit: (place: BatchPlace) => unknown): void {
    if (this.isDamaged) throw this.#damaged(position);
    const { file } = this.#host.openFiles.get(this.path);
    const block = this.#host.scratch.subarray(0, SCAN_BYTES);
    const header = new BatchHeader();
    let from = position;
    let filled = 0;
    let at = position;
    while (at < this.length) {
      if (at + BATCH_HEADER_BYTES > from + filled) {
        from = at;
        filled = this.#readSync(
          file,
          block.subarray(0, Math.min(SCAN_BYTES, this.length - at)),
          at,
        );
        if (filled < BATCH_HEADER_BYTES) throw this.#damaged(at);
      }
      readBatchHeader(block, at - from, header);
      const size = batchSize(block, at - from);
      const isSound =
        header.magic === BATCH_MAGIC &&
        size >= BATCH_HEADER_BYTES &&
        at + size <= this.length &&
        header.baseOffset >= nextOffset &&
        header.lastOffsetDelta >= 0;
      if (!isSound) throw this.#damaged(at);
      nextOffset = header.baseOffset + header.lastOffsetDelta + 1;
      const goOn = visit({
        position: at,
        size,
        baseOffset: header.baseOffset,
        nextOffset,
        maxTimestampMs: header.maxTimestampMs,
      });
      if (goOn === false) return;
      at += size;
    }
  }
}

function segmentFileName(name: SegmentFileName): string {
  const plain = `${digits(name.baseOffset)}-${name.generation}`;
  if (name.revision === 0) return plain;
  return `${plain}-${name.revision}-${digits(name.endOffset)}${name.isDone ? '' : '-part'}`;
}

function digits(offset: number): string {
  return String(offset).padStart(16, '0');
}

export function indexPath(segmentPath: string): string {
  return segmentPath.replace(/\.seg$/, '.idx');
}

export function recordIndexPath(segmentPath: string): string {
  return segmentPath.replace(/\.seg$/, '.rix');
}

/** What a segment file's name says, or undefined for other files. */
export function parseSegmentFileName(file: string): SegmentFileName | undefined {
  const match = /^(\d{16})-(\d+)(?:-(\d+)-(\d{16})(-part)?)?\.seg$/.exec(file);
  if (match === null) return undefined;
  return {
    baseOffset: Number(match[1]),
    generation: Number(match[2]),
    revision: Number(match[3] ?? 0),
    endOffset: Number(match[4] ?? 0),
    isDone: match[3] !== undefined && match[5] === undefined,
  };
}
