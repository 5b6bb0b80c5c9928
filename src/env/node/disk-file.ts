// One open file of the real disk. Writes and reads are positional and whole: short counts are
// continued here. A close with operations in flight waits for them, because a descriptor number is
// given to the next open at once and a late write would land in the wrong file.
import fs from 'node:fs';
import type { DiskError, DiskFile, OpenOptions } from '../environment.ts';

/** Where Node offers O_DSYNC and the system means it; elsewhere every write is followed by a sync. */
const HAS_DSYNC = process.platform === 'linux' && fs.constants.O_DSYNC !== undefined;

/** Longest single call: Node refuses lengths of 2^31 and more. */
const CALL_BYTES_MAX = 1 << 30;

export function diskError(code: string, message: string): DiskError {
  return Object.assign(new Error(`${code}: ${message}`), { code });
}

function asDiskError(error: NodeJS.ErrnoException): DiskError {
  return error.code === undefined
    ? Object.assign(error, { code: 'EIO' })
    : (error as NodeJS.ErrnoException & { code: string });
}

function openFlags(options: OpenOptions): number {
  const { O_RDONLY, O_RDWR, O_CREAT, O_DSYNC } = fs.constants;
  const access = options.mode === 'read' ? O_RDONLY : O_RDWR;
  return (
    access |
    (options.mode === 'create' ? O_CREAT : 0) |
    (options.dsync === true && HAS_DSYNC ? O_DSYNC : 0)
  );
}

/** Opens `absolutePath`; throws DiskError. */
export function openNodeFile(
  absolutePath: string,
  path: string,
  options: OpenOptions,
): NodeDiskFile {
  const fd = fs.openSync(absolutePath, openFlags(options), 0o640);
  return new NodeDiskFile(fd, path, options.dsync === true && !HAS_DSYNC);
}

class NodeDiskFile implements DiskFile {
  readonly path: string;
  readonly #syncsEachWrite: boolean;
  #fd: number;
  #inFlightCount = 0;
  #isClosing = false;

  constructor(fd: number, path: string, syncsEachWrite: boolean) {
    this.#fd = fd;
    this.path = path;
    this.#syncsEachWrite = syncsEachWrite;
  }

  /** -1 once closed. */
  get fd(): number {
    return this.#isClosing ? -1 : this.#fd;
  }

  write(bytes: Uint8Array, position: number, done: (error: DiskError | undefined) => void): void {
    if (!this.#begin(done)) return;
    if (this.#syncsEachWrite) {
      this.#writeFrom(bytes, 0, position, (error) => {
        if (error !== undefined) this.#finish(done, error);
        else fs.fdatasync(this.#fd, (failed) => this.#finish(done, failed));
      });
    } else this.#writeFrom(bytes, 0, position, (error) => this.#finish(done, error));
  }

  #writeFrom(
    bytes: Uint8Array,
    from: number,
    position: number,
    done: (error: NodeJS.ErrnoException | undefined) => void,
  ): void {
    const length = Math.min(bytes.length - from, CALL_BYTES_MAX);
    fs.write(this.#fd, bytes, from, length, position + from, (error, count) => {
      if (error !== null) done(error);
      else if (from + count >= bytes.length) done(undefined);
      else if (count === 0) done(diskError('EIO', `${this.path}: a write moved nothing`));
      else this.#writeFrom(bytes, from + count, position, done);
    });
  }

  read(
    into: Uint8Array,
    position: number,
    done: (error: DiskError | undefined, count: number) => void,
  ): void {
    if (!this.#begin((error) => done(error, 0))) return;
    this.#readFrom(into, 0, position, done);
  }

  #readFrom(
    into: Uint8Array,
    from: number,
    position: number,
    done: (error: DiskError | undefined, count: number) => void,
  ): void {
    const length = Math.min(into.length - from, CALL_BYTES_MAX);
    fs.read(this.#fd, into, from, length, position + from, (error, count) => {
      const total = from + count;
      if (error === null && count > 0 && total < into.length) {
        this.#readFrom(into, total, position, done);
      } else {
        this.#release();
        done(error === null ? undefined : asDiskError(error), error === null ? total : from);
      }
    });
  }

  writeSync(bytes: Uint8Array, position: number): void {
    this.#assertOpen();
    for (let at = 0; at < bytes.length; ) {
      const count = fs.writeSync(this.#fd, bytes, at, bytes.length - at, position + at);
      if (count === 0) throw diskError('EIO', `${this.path}: a write moved nothing`);
      at += count;
    }
    if (this.#syncsEachWrite) fs.fdatasyncSync(this.#fd);
  }

  readSync(into: Uint8Array, position: number): number {
    this.#assertOpen();
    let at = 0;
    while (at < into.length) {
      const count = fs.readSync(this.#fd, into, at, into.length - at, position + at);
      if (count === 0) break;
      at += count;
    }
    return at;
  }

  sync(done: (error: DiskError | undefined) => void): void {
    if (!this.#begin(done)) return;
    fs.fdatasync(this.#fd, (error) => this.#finish(done, error));
  }

  size(): number {
    this.#assertOpen();
    return fs.fstatSync(this.#fd).size;
  }

  truncate(size: number): void {
    this.#assertOpen();
    fs.ftruncateSync(this.#fd, size);
  }

  close(): void {
    if (this.#isClosing) return;
    this.#isClosing = true;
    if (this.#inFlightCount === 0) this.#closeNow();
  }

  #closeNow(): void {
    fs.closeSync(this.#fd);
    this.#fd = -1;
  }

  #assertOpen(): void {
    if (this.#isClosing) throw diskError('EBADF', `${this.path} is closed`);
  }

  /** Counts an operation in, or fails it in a later turn if the file is closed. */
  #begin(done: (error: DiskError | undefined) => void): boolean {
    if (this.#isClosing) {
      setImmediate(() => done(diskError('EBADF', `${this.path} is closed`)));
      return false;
    }
    this.#inFlightCount += 1;
    return true;
  }

  #release(): void {
    this.#inFlightCount -= 1;
    if (this.#isClosing && this.#inFlightCount === 0) this.#closeNow();
  }

  #finish(
    done: (error: DiskError | undefined) => void,
    error: NodeJS.ErrnoException | null | undefined,
  ): void {
    this.#release();
    done(error === null || error === undefined ? undefined : asDiskError(error));
  }
}
