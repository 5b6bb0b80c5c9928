// A folder tree in memory that lies as disks do. What was written and not synced may be kept, lost or
// torn at 4 KiB blocks by a power cut; names that were not synced with their folder may revert; writes
// and syncs fail on request; bits rot; space and descriptors run out.
import type {
  Disk,
  DiskEntry,
  DiskError,
  DiskFile,
  OpenOptions,
} from '../../../src/env/environment.ts';
import { crc32c } from '../../../src/std/crc32c.ts';
import type { SeededRandom } from '../../../src/std/prng.ts';

const BLOCK = 4096;
const IO_MS = 0.1;

export function diskError(code: string, message: string): DiskError {
  return Object.assign(new Error(`${code}: ${message}`), { code });
}

/** Says what a cut keeps: `below(2)` and `below(3)`. */
type Dice = Pick<SeededRandom, 'below'>;

interface Change {
  readonly position: number;
  readonly bytes: Uint8Array;
  /** The write has not ended: a sync knows nothing of it. */
  isUnderWay?: boolean;
}

/** Contents as the system sees them, and as the device holds them. */
class Inode {
  bytes = new Uint8Array(0);
  durable = new Uint8Array(0);
  /** Written, not known to be on the device. */
  unsynced: Change[] = [];

  put(change: Change): void {
    this.bytes = put(this.bytes, change);
  }
}

/** Where both lie, `older` gets the bytes of `newer`. */
function overlay(older: Change, newer: Change): void {
  const from = Math.max(older.position, newer.position);
  const end = Math.min(older.position + older.bytes.length, newer.position + newer.bytes.length);
  if (from >= end) return;
  const bytes = newer.bytes.subarray(from - newer.position, end - newer.position);
  older.bytes.set(bytes, from - older.position);
}

/** Writes in place where it fits; the array is the caller's alone. */
function put(old: Uint8Array<ArrayBuffer>, { position, bytes }: Change): Uint8Array<ArrayBuffer> {
  const end = position + bytes.length;
  if (end <= old.length) {
    old.set(bytes, position);
    return old;
  }
  const grown = new Uint8Array(Math.max(old.length, end));
  grown.set(old);
  grown.set(bytes, position);
  return grown;
}

export class FaultDisk implements Disk {
  readonly root = '(faults)';
  readonly #later: (delayMs: number, fire: () => void) => void;
  #names = new Map<string, Inode>();
  #durableNames = new Map<string, Inode>();
  #folders = new Set<string>(['']);
  #locks = new Set<string>();
  /** The process is gone: what still runs of it reaches nothing. */
  #isDead = false;
  /** Bytes that files may grow by. */
  spaceBytes = Number.POSITIVE_INFINITY;
  /** Answers an errno to fail a call. */
  onCall: (call: 'write' | 'sync' | 'read' | 'open', path: string) => string | undefined = () =>
    undefined;
  /** A write or sync is about to end; the power may still fail first. */
  onEnd: () => void = () => undefined;
  /** How many bytes of a write that fails have been written before it failed; none unless a test says so. */
  tornBytes: (length: number) => number = () => 0;
  opens = 0;
  /** Files that are open, and how many may be, with what a call opens for a moment. */
  openCount = 0;
  openMax = Number.POSITIVE_INFINITY;

  constructor(later: (delayMs: number, fire: () => void) => void) {
    this.#later = (delayMs, fire) => {
      if (!this.#isDead) later(delayMs, fire);
    };
  }

  // ---- faults ---------------------------------------------------------------------------------

  /** What a machine finds after its power failed now. The old disk must not be used any more. */
  powerCut(random: Dice, later: (delayMs: number, fire: () => void) => void): FaultDisk {
    this.#isDead = true;
    const next = new FaultDisk(later);
    next.#folders = new Set(this.#folders);
    const paths = new Set([...this.#names.keys(), ...this.#durableNames.keys()]);
    const survivors = new Map<Inode, Inode>();
    for (const path of [...paths].sort()) {
      const now = this.#names.get(path);
      const before = this.#durableNames.get(path);
      const inode = now === before || random.below(2) === 0 ? now : before;
      if (inode === undefined) continue;
      let survivor = survivors.get(inode);
      if (survivor === undefined) {
        survivor = new Inode();
        survivor.durable = afterCut(inode, random);
        survivor.bytes = survivor.durable.slice();
        survivors.set(inode, survivor);
      }
      next.#names.set(path, survivor);
      next.#durableNames.set(path, survivor);
    }
    return next;
  }

  /** What a new process finds after this one was killed: everything written, synced or not. */
  kill(later: (delayMs: number, fire: () => void) => void): FaultDisk {
    this.#isDead = true;
    const next = new FaultDisk(later);
    next.#folders = new Set(this.#folders);
    next.#names = new Map(this.#names);
    next.#durableNames = new Map(this.#durableNames);
    // The system ends the writes that it has begun.
    for (const inode of [...this.#names.values(), ...this.#durableNames.values()]) {
      for (const change of inode.unsynced) change.isUnderWay = false;
    }
    return next;
  }

  flipBit(path: string, position: number, mask = 1): void {
    const inode = this.#require(path);
    for (const bytes of [inode.bytes, inode.durable]) {
      if (position < bytes.length) bytes[position]! ^= mask;
    }
  }

  contents(path: string): Uint8Array {
    return this.#require(path).bytes;
  }

  overwrite(path: string, position: number, bytes: Uint8Array): void {
    const inode = this.#require(path);
    inode.bytes = put(inode.bytes, { position, bytes });
    inode.durable = put(inode.durable, { position, bytes });
  }

  paths(): string[] {
    return [...this.#names.keys()].sort();
  }

  // ---- Disk -----------------------------------------------------------------------------------

  #require(path: string): Inode {
    const inode = this.#names.get(path);
    if (inode === undefined) throw diskError('ENOENT', path);
    return inode;
  }

  #check(call: 'write' | 'sync' | 'read' | 'open', path: string): void {
    if (this.#isDead) throw diskError('EIO', 'the process is gone');
    const errno = this.onCall(call, path);
    if (errno !== undefined) throw diskError(errno, `${call} ${path}`);
  }

  #requireDescriptor(path: string): void {
    if (this.openCount >= this.openMax) throw diskError('EMFILE', `open ${path}`);
  }

  open(path: string, options: OpenOptions): DiskFile {
    this.#check('open', path);
    this.#requireDescriptor(path);
    if (options.mode === 'create' && !this.#names.has(path)) {
      if (!this.#folders.has(parentOf(path))) throw diskError('ENOENT', `folder of ${path}`);
      this.#names.set(path, new Inode());
    }
    this.opens += 1;
    this.openCount += 1;
    return this.#fileOf(path, this.#require(path), options.dsync === true);
  }

  #grow(inode: Inode, end: number): void {
    const more = Math.max(0, end - inode.bytes.length);
    if (more > this.spaceBytes) throw diskError('ENOSPC', 'no space left');
    this.spaceBytes -= more;
  }

  #fileOf(path: string, inode: Inode, isDsync: boolean): DiskFile {
    let isClosed = false;
    const keep = (change: Change): void => {
      inode.put(change);
      inode.unsynced.push(change);
    };
    /** The first bytes of a write that fails: in the file, and on the device where each write is synced. */
    const tear = ({ position, bytes }: Change): void => {
      const room = inode.bytes.length + this.spaceBytes - position;
      const length = Math.min(this.tornBytes(bytes.length), Math.max(0, room));
      if (length === 0) return;
      const part = { position, bytes: bytes.slice(0, length) };
      this.#grow(inode, position + length);
      keep(part);
      if (isDsync) harden([part]);
    };
    const begin = (change: Change): void => {
      if (isClosed) throw diskError('EBADF', path);
      try {
        this.#check('write', path);
        this.#grow(inode, change.position + change.bytes.length);
      } catch (error) {
        if (!this.#isDead) tear(change);
        throw error;
      }
      keep(change);
    };
    const harden = (changes: readonly Change[]): void => {
      for (const change of changes) {
        inode.durable = put(inode.durable, change);
        // What was written before, and is still to come, must not come back over it.
        for (const older of inode.unsynced) {
          if (older === change) break;
          overlay(older, change);
        }
      }
      inode.unsynced = inode.unsynced.filter((change) => !changes.includes(change));
    };
    const attempt = (action: () => void): DiskError | undefined => {
      try {
        action();
        return undefined;
      } catch (error) {
        return error as DiskError;
      }
    };
    return {
      path,
      fd: -1,
      write: (bytes, position, done) => {
        const change: Change = { position, bytes: bytes.slice(), isUnderWay: true };
        const sum = crc32c(bytes);
        const error = attempt(() => begin(change));
        this.#later(IO_MS, () => {
          this.onEnd();
          if (this.#isDead) return;
          change.isUnderWay = false;
          if (crc32c(bytes) !== sum) throw new Error(`bytes changed on their way to ${path}`);
          if (error === undefined && isDsync) harden([change]);
          done(error);
        });
      },
      read: (into, position, done) => {
        let count = 0;
        const error = attempt(() => {
          this.#check('read', path);
          count = copyOut(inode.bytes, into, position);
        });
        this.#later(IO_MS, () => done(error, count));
      },
      writeSync: (bytes, position) => {
        const change = { position, bytes: bytes.slice() };
        begin(change);
        if (isDsync) harden([change]);
      },
      readSync: (into, position) => {
        if (isClosed) throw diskError('EBADF', path);
        this.#check('read', path);
        return copyOut(inode.bytes, into, position);
      },
      sync: (done) => {
        const changes = inode.unsynced.filter(({ isUnderWay }) => isUnderWay !== true);
        const error = attempt(() => this.#check('sync', path));
        this.#later(IO_MS, () => {
          this.onEnd();
          if (this.#isDead) return;
          if (error === undefined) {
            harden(changes);
            const { length } = inode.bytes;
            if (inode.durable.length > length) inode.durable = inode.durable.slice(0, length);
          }
          done(error);
        });
      },
      size: () => inode.bytes.length,
      truncate: (size) => {
        this.#check('write', path);
        const cut = new Uint8Array(size);
        cut.set(inode.bytes.subarray(0, size));
        inode.bytes = cut;
        inode.unsynced = inode.unsynced.filter(({ position }) => position < size);
      },
      close: () => {
        if (!isClosed) this.openCount -= 1;
        isClosed = true;
      },
    };
  }

  exists(path: string): boolean {
    return this.#names.has(path) || this.#folders.has(path);
  }

  fileSize(path: string): number | undefined {
    return this.#names.get(path)?.bytes.length;
  }

  list(path: string): readonly DiskEntry[] {
    this.#requireDescriptor(path);
    if (!this.#folders.has(path)) throw diskError('ENOENT', path);
    const entries: DiskEntry[] = [];
    for (const name of this.#names.keys()) {
      if (parentOf(name) === path) entries.push({ name: lastName(name), isDirectory: false });
    }
    for (const name of this.#folders) {
      if (name !== '' && parentOf(name) === path) {
        entries.push({ name: lastName(name), isDirectory: true });
      }
    }
    return entries.sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  makeDirectory(path: string): void {
    this.#check('open', path);
    for (let at = path; at !== ''; at = parentOf(at)) this.#folders.add(at);
  }

  rename(from: string, to: string): void {
    this.#check('open', to);
    this.#names.set(to, this.#require(from));
    this.#names.delete(from);
  }

  remove(path: string): void {
    this.#check('open', path);
    this.#require(path);
    this.#names.delete(path);
  }

  removeTree(path: string): Promise<void> {
    if (this.#isDead) return Promise.resolve();
    for (const name of [...this.#names.keys()]) {
      if (name.startsWith(`${path}/`)) this.#names.delete(name);
    }
    for (const name of [...this.#folders]) {
      if (name === path || name.startsWith(`${path}/`)) this.#folders.delete(name);
    }
    return Promise.resolve();
  }

  syncDirectory(path: string): void {
    this.#check('sync', path);
    this.#requireDescriptor(path);
    for (const name of [...this.#names.keys(), ...this.#durableNames.keys()]) {
      if (parentOf(name) !== path) continue;
      const inode = this.#names.get(name);
      if (inode === undefined) this.#durableNames.delete(name);
      else this.#durableNames.set(name, inode);
    }
  }

  readFile(path: string): Uint8Array | undefined {
    this.#requireDescriptor(path);
    return this.#names.get(path)?.bytes.slice();
  }

  replaceFile(path: string, bytes: Uint8Array): void {
    this.#check('write', path);
    this.#requireDescriptor(path);
    const inode = new Inode();
    this.#grow(inode, bytes.length);
    inode.bytes = bytes.slice();
    inode.durable = bytes.slice();
    this.#names.set(path, inode);
    this.#durableNames.set(path, inode);
  }

  freeBytes(): number {
    return Math.min(this.spaceBytes, 2 ** 40);
  }

  lock(path: string): { release(): void } | undefined {
    if (this.#locks.has(path)) return undefined;
    this.#locks.add(path);
    return {
      release: () => {
        this.#locks.delete(path);
      },
    };
  }

  lockedBy(path: string): string | undefined {
    return this.#locks.has(path) ? 'somebody' : undefined;
  }

  releaseOwnLock(path: string): void {
    this.#locks.delete(path);
  }
}

function afterCut(inode: Inode, random: Dice): Uint8Array<ArrayBuffer> {
  let bytes: Uint8Array<ArrayBuffer> = inode.durable.slice();
  for (const change of inode.unsynced) {
    const fate = random.below(3);
    if (fate === 0) continue;
    if (fate === 1) {
      bytes = put(bytes, change);
      continue;
    }
    // Torn: every block for itself.
    const end = change.position + change.bytes.length;
    for (let at = change.position; at < end; ) {
      const stop = Math.min(end, (Math.floor(at / BLOCK) + 1) * BLOCK);
      if (random.below(2) === 0) {
        const from = at - change.position;
        bytes = put(bytes, {
          position: at,
          bytes: change.bytes.subarray(from, from + stop - at),
        });
      }
      at = stop;
    }
  }
  return bytes;
}

function copyOut(from: Uint8Array, into: Uint8Array, position: number): number {
  const part = from.subarray(position, position + into.length);
  into.set(part);
  return part.length;
}

function parentOf(path: string): string {
  return path.slice(0, Math.max(0, path.lastIndexOf('/')));
}

function lastName(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1);
}
