// A process's view of its device: the Disk of an Environment. Completions are events of the process, so
// none arrives after its death. Calls from a dead process throw.
import type { Disk, DiskEntry, DiskError, DiskFile, OpenOptions } from '../../env/environment.ts';
import { SimSystemError } from '../sim-error.ts';
import { completeWrite, type Device, type InFlightWrite } from './device.ts';
import { Inode } from './inode.ts';
import { PAGE_BYTES } from './pages.ts';
import { Folder, split } from './tree.ts';

const SMALL_ACCESS_BYTES = 65_536;
const SMALL_FILE_BYTES = 1_048_576;

/** What a view needs of its process: a clock, a place for completions, and to know that it lives. */
export interface DiskHost {
  readonly nowNs: () => number;
  /** Throws if the process is dead. */
  readonly guard: (call: string) => void;
  /** Runs `fire` in the process at that time, unless it died before. */
  readonly complete: (atNs: number, fire: () => void) => void;
  /** Locks held on the node, by path. */
  readonly locks: Map<string, object>;
  /** The owner of this process's locks. */
  readonly owner: object;
}

export class SimDisk implements Disk {
  readonly root: string;
  readonly #device: Device;
  readonly #host: DiskHost;

  constructor(root: string, device: Device, host: DiskHost) {
    this.root = root;
    this.#device = device;
    this.#host = host;
  }

  open(path: string, options: OpenOptions): DiskFile {
    this.#host.guard('disk.open');
    let found = this.#device.tree.lookup(path);
    if (found instanceof Folder) throw new SimSystemError('EISDIR', path);
    if (found === undefined) {
      if (options.mode !== 'create') throw new SimSystemError('ENOENT', path);
      found = this.#create(path);
    }
    return new SimFile(path, found, options, this.#device, this.#host);
  }

  exists(path: string): boolean {
    this.#host.guard('disk.exists');
    return this.#device.tree.lookup(path) !== undefined;
  }

  fileSize(path: string): number | undefined {
    this.#host.guard('disk.fileSize');
    const found = this.#device.tree.lookup(path);
    return found instanceof Inode ? found.cached.size : undefined;
  }

  list(path: string): readonly DiskEntry[] {
    this.#host.guard('disk.list');
    const { entries } = this.#device.tree.folder(path);
    return [...entries.keys()]
      .sort()
      .map((name) => ({ name, isDirectory: entries.get(name) instanceof Folder }));
  }

  makeDirectory(path: string): void {
    this.#host.guard('disk.makeDirectory');
    if (this.#device.tree.lookup(path) === undefined) this.#needSpace();
    this.#device.tree.makeFolders(path);
  }

  rename(from: string, to: string): void {
    this.#host.guard('disk.rename');
    this.#device.tree.rename(from, to);
  }

  remove(path: string): void {
    this.#host.guard('disk.remove');
    this.#device.tree.remove(path);
  }

  removeTree(path: string): Promise<void> {
    this.#host.guard('disk.removeTree');
    return new Promise((resolve) => {
      const atNs = this.#device.completionNs(this.#host.nowNs(), 'write', 0);
      this.#host.complete(atNs, () => {
        this.#device.tree.removeTree(path);
        resolve();
      });
    });
  }

  syncDirectory(path: string): void {
    this.#host.guard('disk.syncDirectory');
    this.#device.tree.sync(this.#device.tree.folder(path));
  }

  readFile(path: string): Uint8Array | undefined {
    this.#host.guard('disk.readFile');
    const found = this.#device.tree.lookup(path);
    if (found === undefined) return undefined;
    if (found instanceof Folder) throw new SimSystemError('EISDIR', path);
    if (found.cached.size > SMALL_FILE_BYTES) throw new SimSystemError('EFBIG', path);
    const bytes = new Uint8Array(found.cached.size);
    found.cached.read(bytes, 0);
    return bytes;
  }

  replaceFile(path: string, bytes: Uint8Array): void {
    this.#host.guard('disk.replaceFile');
    this.#needSpace();
    if (this.#device.takes('write-error', path)) throw new SimSystemError('EIO', path);
    if (this.#device.takes('sync-error', path)) throw new SimSystemError('EIO', path);
    const fresh = new Inode(this.#device.newInodeId());
    fresh.writeThrough(bytes, 0);
    this.#device.tree.link(path, fresh);
    this.#device.tree.sync(this.#device.tree.folder(split(path).slice(0, -1).join('/')));
  }

  freeBytes(): number {
    this.#host.guard('disk.freeBytes');
    return this.#device.freeBytes();
  }

  lock(path: string, text: string): { release(): void } | undefined {
    this.#host.guard('disk.lock');
    if (this.#host.locks.has(path)) return undefined;
    const { locks, owner } = this.#host;
    locks.set(path, owner);
    const inode = this.#device.tree.lookup(path) ?? this.#create(path);
    if (inode instanceof Folder) throw new SimSystemError('EISDIR', path);
    inode.change({ kind: 'truncate', size: 0 });
    inode.change({ kind: 'write', position: 0, bytes: new TextEncoder().encode(text) });
    return {
      release: () => {
        if (locks.get(path) === owner) locks.delete(path);
      },
    };
  }

  lockedBy(path: string): string | undefined {
    this.#host.guard('disk.lockedBy');
    return this.#host.locks.has(path) ? 'a process of this host' : undefined;
  }

  releaseOwnLock(path: string): void {
    this.#host.guard('disk.releaseOwnLock');
    const { locks, owner } = this.#host;
    if (locks.get(path) === owner) locks.delete(path);
  }

  #create(path: string): Inode {
    this.#needSpace();
    const made = new Inode(this.#device.newInodeId());
    this.#device.tree.link(path, made);
    return made;
  }

  #needSpace(): void {
    if (this.#device.freeBytes() < PAGE_BYTES) throw new SimSystemError('ENOSPC', 'device is full');
  }
}

export class SimFile implements DiskFile {
  readonly path: string;
  readonly fd = -1;
  readonly #inode: Inode;
  readonly #options: OpenOptions;
  readonly #device: Device;
  readonly #host: DiskHost;
  #isClosed = false;

  constructor(path: string, inode: Inode, options: OpenOptions, device: Device, host: DiskHost) {
    this.path = path;
    this.#inode = inode;
    this.#options = options;
    this.#device = device;
    this.#host = host;
  }

  write(bytes: Uint8Array, position: number, done: (error: DiskError | undefined) => void): void {
    this.#check('write');
    const write: InFlightWrite = {
      inode: this.#inode,
      change: { kind: 'write', position, bytes },
      isDsync: this.#options.dsync === true,
    };
    const nowNs = this.#host.nowNs();
    let atNs = this.#device.completionNs(nowNs, 'write', bytes.length);
    if (write.isDsync) atNs += this.#device.completionNs(nowNs, 'sync', 0) - nowNs;
    this.#device.begin(write);
    this.#host.complete(atNs, () => {
      this.#device.finish(write);
      done(this.#tryWrite(write));
    });
  }

  read(
    into: Uint8Array,
    position: number,
    done: (error: DiskError | undefined, count: number) => void,
  ): void {
    this.#check('read');
    const atNs = this.#device.completionNs(this.#host.nowNs(), 'read', into.length);
    this.#host.complete(atNs, () => done(undefined, this.#inode.cached.read(into, position)));
  }

  writeSync(bytes: Uint8Array, position: number): void {
    this.#check('writeSync');
    if (bytes.length > SMALL_ACCESS_BYTES) throw new SimSystemError('EINVAL', this.path);
    const error = this.#tryWrite({
      inode: this.#inode,
      change: { kind: 'write', position, bytes },
      isDsync: this.#options.dsync === true,
    });
    if (error !== undefined) throw error;
  }

  readSync(into: Uint8Array, position: number): number {
    this.#check('readSync');
    if (into.length > SMALL_ACCESS_BYTES) throw new SimSystemError('EINVAL', this.path);
    return this.#inode.cached.read(into, position);
  }

  sync(done: (error: DiskError | undefined) => void): void {
    this.#check('sync');
    const covered = this.#inode.pendingMark();
    const atNs = this.#device.completionNs(this.#host.nowNs(), 'sync', 0);
    this.#host.complete(atNs, () => {
      const failed = this.#device.takes('sync-error', this.path);
      if (failed) this.#inode.forgetThrough(covered);
      else this.#inode.syncThrough(covered);
      done(failed ? new SimSystemError('EIO', this.path) : undefined);
    });
  }

  size(): number {
    this.#check('size');
    return this.#inode.cached.size;
  }

  truncate(size: number): void {
    this.#check('truncate');
    this.#inode.change({ kind: 'truncate', size });
  }

  close(): void {
    this.#host.guard('file.close');
    this.#isClosed = true;
  }

  /** What sendFile reads, at the moment it reads it. */
  peek(into: Uint8Array, position: number): number {
    return this.#inode.cached.read(into, position);
  }

  #tryWrite(write: InFlightWrite): SimSystemError | undefined {
    if (write.change.kind !== 'write') return undefined;
    if (this.#device.takes('write-error', this.path)) {
      this.#device.tearFailed(write, false);
      return new SimSystemError('EIO', this.path);
    }
    try {
      this.#device.reserve(this.#inode, write.change.position, write.change.bytes.length);
    } catch (error) {
      if (!(error instanceof SimSystemError)) throw error;
      this.#device.tearFailed(write, true);
      return error;
    }
    completeWrite(this.#device, this.path, write);
    return undefined;
  }

  #check(call: string): void {
    this.#host.guard(`file.${call}`);
    if (this.#isClosed) throw new SimSystemError('EBADF', `${call} of ${this.path} after close`);
    if (this.#options.mode === 'read' && (call === 'write' || call === 'writeSync')) {
      throw new SimSystemError('EBADF', `${this.path} was opened for reading`);
    }
  }
}
