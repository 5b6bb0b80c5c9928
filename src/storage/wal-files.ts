// The files of one write-ahead log: pre-written, then recycled for ever. A 4 KiB header says at which
// LSN a file begins; the byte of LSN n lies at 4096 + n - firstLsn. Files are used one after another and
// freed in the same order. A file that is being pre-written is never waited for: if the current one is
// full before, a fresh one is used as it is.
import type { DiskError, DiskFile } from '../env/environment.ts';
import { readU32le, readU64le, writeU32le, writeU64le } from '../std/bytes.ts';
import type { Crc32c } from '../std/crc32c.ts';
import { messageOf } from '../std/errors.ts';
import type { StorageEnvironment, StoreCounters } from './api.ts';
import { errnoOf, StorageError, unknownVersion } from './errors.ts';
import { alignUp, BLOCK_BYTES } from './frame-format.ts';

/** "CBWL". */
const FILE_MAGIC = 0x4c574243;
const FILE_VERSION = 1;
const PREWRITE_STEP_BYTES = 1 << 20;
/** As many as one checkpoint may free at once when a snapshot lets go of old files. */
const SPARES_MAX = 4;
/** A file filled faster than this makes the next one twice as large. */
const QUICK_FILL_MS = 10_000;
/** After a failure the next file is not tried again for so long. */
const PREPARE_RETRY_MS = 1000;
/** Left for checkpoints and segments when a file is made. */
const SPACE_MARGIN_BYTES = 1 << 20;

export interface WalFileHeader {
  readonly firstLsn: number;
  readonly salt: number;
  /** Bytes that the file may grow to: it need not be pre-written. */
  readonly size: number;
}

export class WalFile {
  readonly path: string;
  readonly file: DiskFile;
  readonly size: number;
  firstLsn = 0;
  /** Readers that need the bytes to stay. */
  pins = 0;
  takenAtMs = 0;

  constructor(path: string, file: DiskFile, size: number) {
    this.path = path;
    this.file = file;
    this.size = size;
  }

  positionOf(lsn: number): number {
    return BLOCK_BYTES + lsn - this.firstLsn;
  }
}

export function encodeWalFileHeader(header: WalFileHeader, crc32c: Crc32c): Uint8Array {
  const bytes = new Uint8Array(BLOCK_BYTES);
  writeU32le(bytes, 0, FILE_MAGIC);
  writeU32le(bytes, 4, FILE_VERSION);
  writeU64le(bytes, 8, header.firstLsn);
  writeU32le(bytes, 16, header.salt);
  writeU32le(bytes, 20, header.size);
  writeU32le(bytes, 60, crc32c(bytes, 0, 60));
  return bytes;
}

/** Throws `STORAGE_NEWER_FORMAT` for a sound header of another version. */
export function decodeWalFileHeader(
  bytes: Uint8Array,
  crc32c: Crc32c,
  file: string,
): WalFileHeader | 'blank' | 'damaged' {
  if (bytes.subarray(0, BLOCK_BYTES).every((byte) => byte === 0)) return 'blank';
  if (bytes.length < BLOCK_BYTES || readU32le(bytes, 0) !== FILE_MAGIC) return 'damaged';
  if (crc32c(bytes, 0, 60) !== readU32le(bytes, 60)) return 'damaged';
  const version = readU32le(bytes, 4);
  if (version !== FILE_VERSION) throw unknownVersion(file, version, FILE_VERSION);
  const salt = readU32le(bytes, 16);
  return { firstLsn: readU64le(bytes, 8), salt, size: readU32le(bytes, 20) };
}

export interface WalFilesOptions {
  readonly directory: string;
  readonly fileBytesMin: number;
  readonly fileBytesMax: number;
}

type Placed = (error: Error | undefined, file: WalFile | undefined) => void;

export class WalFiles {
  readonly #env: StorageEnvironment;
  readonly #options: WalFilesOptions;
  readonly #counters: StoreCounters;
  /** Files in use, by LSN; the last one is written. */
  readonly live: WalFile[] = [];
  readonly #spares: WalFile[] = [];
  #nextId = 1;
  #preparing: DiskFile | undefined;
  /** When a file may be prepared again after a failure, or 0 if the last one was made. */
  #retryPrepareMs = 0;
  #isClosed = false;
  /** A file was prepared, or could not be: how far batches may go is another now. */
  onPrepared: () => void = () => undefined;
  salt = 0;

  constructor(env: StorageEnvironment, options: WalFilesOptions, counters: StoreCounters) {
    this.#env = env;
    this.#options = options;
    this.#counters = counters;
  }

  /** Takes over a file found at open; `isLive` files come in LSN order. */
  adopt(file: WalFile, isLive: boolean): void {
    const id = Number.parseInt(file.path.slice(file.path.lastIndexOf('/') + 1), 10);
    if (id >= this.#nextId) this.#nextId = id + 1;
    // Half made by a run that ended: as a spare it would be too small, and no other would be prepared.
    if (!isLive && file.size < this.#options.fileBytesMin) {
      this.#remove(file);
      return;
    }
    file.takenAtMs = this.#env.clock.monotonicMs();
    (isLive ? this.live : this.#spares).push(file);
  }

  get current(): WalFile | undefined {
    return this.live[this.live.length - 1];
  }

  get hasSpare(): boolean {
    return this.#spares.length > 0;
  }

  get bytes(): number {
    let sum = 0;
    for (const file of this.live) sum += file.size;
    for (const file of this.#spares) sum += file.size;
    return sum;
  }

  /** The file that takes `length` bytes at `lsn`; answers at once unless a new file has to begin. */
  place(lsn: number, length: number, done: Placed): void {
    const current = this.current;
    if (current !== undefined && current.positionOf(lsn) + length <= current.size) {
      if (current.positionOf(lsn) + length > current.size / 2) this.prepare();
      done(undefined, current);
      return;
    }
    let next: WalFile;
    try {
      next = this.#takeSpare(BLOCK_BYTES + length) ?? this.#create(BLOCK_BYTES + length);
    } catch (error) {
      done(error as Error, undefined);
      return;
    }
    if (current?.firstLsn === lsn) this.#blank(current, () => this.#begin(next, lsn, done), done);
    else this.#begin(next, lsn, done);
  }

  /** A file that begins at the same LSN and took nothing: two of them must never be found. */
  #blank(file: WalFile, next: () => void, done: Placed): void {
    file.file.write(new Uint8Array(BLOCK_BYTES), 0, (error) => {
      if (error !== undefined) {
        done(error, undefined);
        return;
      }
      this.live.pop();
      this.#remove(file);
      next();
    });
  }

  #begin(next: WalFile, lsn: number, done: Placed): void {
    next.firstLsn = lsn;
    next.takenAtMs = this.#env.clock.monotonicMs();
    const header = encodeWalFileHeader(
      { firstLsn: lsn, salt: this.salt, size: next.size },
      this.#env.crc32c,
    );
    next.file.write(header, 0, (error) => {
      if (error !== undefined) {
        this.#remove(next);
        done(error, undefined);
      } else {
        this.live.push(next);
        done(undefined, next);
      }
    });
  }

  #takeSpare(sizeMin: number): WalFile | undefined {
    // The one freed last: its pages are most likely still in the cache.
    for (let i = this.#spares.length - 1; i >= 0; i -= 1) {
      if (this.#spares[i]!.size >= sizeMin) return this.#spares.splice(i, 1)[0];
    }
    return undefined;
  }

  #wantedSize(sizeMin: number): number {
    const { fileBytesMin, fileBytesMax } = this.#options;
    const current = this.current;
    let size = current?.size ?? fileBytesMin;
    const isQuick =
      current !== undefined &&
      this.#env.clock.monotonicMs() - current.takenAtMs < QUICK_FILL_MS &&
      this.live.length > 0;
    if (isQuick) size *= 2;
    return Math.max(Math.min(size, fileBytesMax), alignUp(sizeMin, BLOCK_BYTES));
  }

  #newPath(): string {
    const id = this.#nextId;
    this.#nextId += 1;
    return `${this.#options.directory}/${String(id).padStart(8, '0')}.wal`;
  }

  /** LSN from which on batches take room that is kept: half of the last file that there can be now. */
  batchLimit(freeBytes: number): number {
    const { current } = this;
    const canMake = this.#retryPrepareMs === 0 && this.#isRoomy(freeBytes);
    if (current === undefined || this.#preparing !== undefined || canMake) {
      return Number.POSITIVE_INFINITY;
    }
    let limit = current.firstLsn + current.size / 2;
    for (const spare of this.#spares) limit += spare.size - BLOCK_BYTES;
    return limit;
  }

  #isRoomy(freeBytes: number): boolean {
    return freeBytes >= this.#wantedSize(0) + SPACE_MARGIN_BYTES;
  }

  /** The last file could not be prepared, and now there seems to be room: nothing else may come to try again. */
  prepareAgain(freeBytes: number): void {
    if (this.#retryPrepareMs > 0 && this.#isRoomy(freeBytes)) this.prepare();
  }

  /** LSN from which on only the last eighth is left of the file that is written. */
  get lastEighthLsn(): number {
    const { current } = this;
    return current === undefined ? 0 : current.firstLsn + (current.size * 7) / 8;
  }

  /** A file nobody wrote zeros to: slower, but never waited for. */
  #create(sizeMin: number): WalFile {
    const size = this.#wantedSize(sizeMin);
    this.#requireSpace(size);
    const path = this.#newPath();
    const file = new WalFile(path, this.#opened(path, 'create'), size);
    this.#counters.walFilesMade += 1;
    return file;
  }

  /** Open for groups, and its name is durable. */
  #opened(path: string, mode: 'create' | 'write'): DiskFile {
    const file = this.#env.disk.open(path, { mode, dsync: true });
    try {
      this.#env.disk.syncDirectory(this.#options.directory);
    } catch (error) {
      file.close();
      throw error;
    }
    return file;
  }

  #requireSpace(size: number): void {
    const free = this.#env.disk.freeBytes();
    if (free >= size + SPACE_MARGIN_BYTES) return;
    throw new StorageError('STORAGE_FULL', `no room for a WAL file of ${size} bytes`, {
      size,
      free,
    });
  }

  /** Begins to pre-write the next file unless there is one, or one is being written. */
  prepare(done: (error: Error | undefined) => void = () => undefined): void {
    if (this.#isClosed || this.#preparing !== undefined || this.#spares.length > 0) return;
    if (this.#env.clock.monotonicMs() < this.#retryPrepareMs) return;
    const size = this.#wantedSize(0);
    const path = this.#newPath();
    try {
      this.#requireSpace(size);
      const file = this.#env.disk.open(path, { mode: 'create' });
      this.#preparing = file;
      const zeros = new Uint8Array(Math.min(PREWRITE_STEP_BYTES, size));
      this.#prewrite(file, zeros, 0, size, (error) => this.#prepared(path, size, error, done));
    } catch (error) {
      this.#notPrepared(path, error);
      done(error as Error);
    }
  }

  #prewrite(
    file: DiskFile,
    zeros: Uint8Array,
    from: number,
    size: number,
    done: (error: DiskError | undefined) => void,
  ): void {
    if (this.#isClosed) return;
    if (from >= size) {
      file.sync(done);
      return;
    }
    const step = from + zeros.length > size ? zeros.subarray(0, size - from) : zeros;
    file.write(step, from, (error) => {
      if (error !== undefined) done(error);
      else this.#prewrite(file, zeros, from + step.length, size, done);
    });
  }

  #prepared(
    path: string,
    size: number,
    error: DiskError | undefined,
    done: (error: Error | undefined) => void,
  ): void {
    if (this.#isClosed) return;
    this.#preparing?.close();
    this.#preparing = undefined;
    if (error !== undefined) {
      this.#notPrepared(path, error);
      done(error);
      return;
    }
    try {
      const file = new WalFile(path, this.#opened(path, 'write'), size);
      this.#counters.walFilesMade += 1;
      this.#retryPrepareMs = 0;
      this.#spares.push(file);
      this.onPrepared();
      done(undefined);
    } catch (failed) {
      this.#notPrepared(path, failed);
      done(failed as Error);
    }
  }

  /** A spare that cannot be made is no failure: the log goes on without one. */
  #notPrepared(path: string, error: unknown): void {
    // Told once for each time that it begins to fail; while it does, it is tried now and then.
    if (this.#retryPrepareMs === 0) {
      this.#env.log.warn('the next WAL file cannot be prepared', { path, error: messageOf(error) });
    }
    this.#retryPrepareMs = this.#env.clock.monotonicMs() + PREPARE_RETRY_MS;
    try {
      if (this.#env.disk.exists(path)) this.#env.disk.remove(path);
    } catch (failed) {
      this.#env.log.warn('a half-made WAL file stays', { path, error: messageOf(failed) });
    }
    this.onPrepared();
  }

  locate(lsn: number): WalFile | undefined {
    const { live } = this;
    for (let i = live.length - 1; i >= 0; i -= 1) {
      if (live[i]!.firstLsn <= lsn) return live[i];
    }
    return undefined;
  }

  /** Frees the files that lie wholly below `lsn`, oldest first, up to one that is being read. */
  releaseBelow(lsn: number): void {
    while (this.live.length > 1 && this.live[1]!.firstLsn <= lsn && this.live[0]!.pins === 0) {
      const file = this.live.shift()!;
      const isLargeEnough = file.size * 2 >= this.live[this.live.length - 1]!.size;
      if (isLargeEnough && this.#spares.length < SPARES_MAX) {
        this.#counters.walFilesRecycled += 1;
        this.#spares.push(file);
      } else this.#remove(file);
    }
  }

  #remove(file: WalFile): void {
    file.file.close();
    try {
      this.#env.disk.remove(file.path);
    } catch (error) {
      const errno = errnoOf(error);
      this.#env.log.warn('a WAL file cannot be removed', { path: file.path, errno });
    }
  }

  close(): void {
    this.#isClosed = true;
    this.#preparing?.close();
    for (const file of this.live) file.file.close();
    for (const file of this.#spares) file.file.close();
  }
}
