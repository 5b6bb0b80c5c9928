// A folder that is looked at and never changed: what is written goes to a scratch disk and hides what lies
// below. So a store can be recovered exactly as a start would do it, and the folder stays as it was left.
import type { Disk, DiskEntry, DiskError, DiskFile, OpenOptions } from '../env/environment.ts';

const COPY_BYTES = 1 << 20;

export class OverlayDisk implements Disk {
  readonly root: string;
  readonly #base: Disk;
  readonly #scratch: Disk;
  /** Files and whole folders of the base that were removed here. */
  readonly #gone = new Set<string>();

  /** @param scratch empty; it takes everything that is written. */
  constructor(base: Disk, scratch: Disk) {
    this.root = base.root;
    this.#base = base;
    this.#scratch = scratch;
  }

  open(path: string, options: OpenOptions): DiskFile {
    if (options.mode === 'read' || this.exists(path)) {
      return new OverlayFile(path, {
        isCopied: () => this.#scratch.exists(path),
        copyUp: () => this.#copyUp(path),
        // What was removed here is nowhere: the scratch disk says so.
        openBase: () =>
          (this.#isBelow(path) ? this.#base : this.#scratch).open(path, { mode: 'read' }),
        openScratch: () => this.#scratch.open(path, { mode: 'write' }),
      });
    }
    this.#makeParent(path);
    return this.#scratch.open(path, options);
  }

  exists(path: string): boolean {
    return this.#scratch.exists(path) || this.#isBelow(path);
  }

  fileSize(path: string): number | undefined {
    if (this.#scratch.exists(path)) return this.#scratch.fileSize(path);
    return this.#isBelow(path) ? this.#base.fileSize(path) : undefined;
  }

  list(path: string): readonly DiskEntry[] {
    const found = new Map<string, DiskEntry>();
    if (this.#isBelow(path)) {
      for (const entry of this.#base.list(path)) {
        if (this.#isBelow(path === '' ? entry.name : `${path}/${entry.name}`))
          found.set(entry.name, entry);
      }
    }
    // Asked too if nobody has the folder: for the error.
    if (this.#scratch.exists(path) || !this.#isBelow(path)) {
      for (const entry of this.#scratch.list(path)) found.set(entry.name, entry);
    }
    return [...found.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  makeDirectory(path: string): void {
    this.#scratch.makeDirectory(path);
  }

  rename(from: string, to: string): void {
    if (!this.#scratch.exists(from)) this.#copyUp(from);
    this.#makeParent(to);
    this.#scratch.rename(from, to);
    this.#gone.add(from);
  }

  remove(path: string): void {
    if (this.#scratch.exists(path)) this.#scratch.remove(path);
    this.#gone.add(path);
  }

  async removeTree(path: string): Promise<void> {
    if (this.#scratch.exists(path)) await this.#scratch.removeTree(path);
    this.#gone.add(path);
  }

  syncDirectory(): void {
    // What is never on a disk needs no sync.
  }

  readFile(path: string): Uint8Array | undefined {
    if (this.#scratch.exists(path)) return this.#scratch.readFile(path);
    return this.#isBelow(path) ? this.#base.readFile(path) : undefined;
  }

  replaceFile(path: string, bytes: Uint8Array): void {
    this.#makeParent(path);
    this.#scratch.replaceFile(path, bytes);
  }

  freeBytes(): number {
    return this.#scratch.freeBytes();
  }

  lock(): { release(): void } | undefined {
    // Nothing is written, so nobody must be kept away; who asks has made sure that nobody writes.
    return { release: () => undefined };
  }

  lockedBy(): string | undefined {
    return undefined;
  }

  releaseOwnLock(): void {
    // There is none.
  }

  /** The base has it, and nothing here has removed it. */
  #isBelow(path: string): boolean {
    for (let at = path.length; at > 0; at = path.lastIndexOf('/', at - 1)) {
      if (this.#gone.has(path.slice(0, at))) return false;
    }
    return this.#base.exists(path);
  }

  #makeParent(path: string): void {
    const at = path.lastIndexOf('/');
    if (at > 0) this.#scratch.makeDirectory(path.slice(0, at));
  }

  #copyUp(path: string): void {
    const from = this.#base.open(path, { mode: 'read' });
    this.#makeParent(path);
    const to = this.#scratch.open(path, { mode: 'create' });
    try {
      const piece = new Uint8Array(COPY_BYTES);
      for (let at = 0; ; ) {
        const count = from.readSync(piece, at);
        if (count === 0) break;
        to.writeSync(piece.subarray(0, count), at);
        at += count;
      }
    } finally {
      from.close();
      to.close();
    }
  }
}

interface Layers {
  isCopied(): boolean;
  copyUp(): void;
  openBase(): DiskFile;
  openScratch(): DiskFile;
}

/** A file of the base until the first write to its path, then its copy. */
class OverlayFile implements DiskFile {
  readonly path: string;
  /** The bytes may be in two places: nothing reads them past this object. */
  readonly fd = -1;
  readonly #layers: Layers;
  #base: DiskFile | undefined;
  #copy: DiskFile | undefined;

  constructor(path: string, layers: Layers) {
    this.path = path;
    this.#layers = layers;
    this.#reading();
  }

  write(bytes: Uint8Array, position: number, done: (error: DiskError | undefined) => void): void {
    this.#writing().write(bytes, position, done);
  }

  read(
    into: Uint8Array,
    position: number,
    done: (error: DiskError | undefined, count: number) => void,
  ): void {
    this.#reading().read(into, position, done);
  }

  writeSync(bytes: Uint8Array, position: number): void {
    this.#writing().writeSync(bytes, position);
  }

  readSync(into: Uint8Array, position: number): number {
    return this.#reading().readSync(into, position);
  }

  sync(done: (error: DiskError | undefined) => void): void {
    this.#writing().sync(done);
  }

  size(): number {
    return this.#reading().size();
  }

  truncate(size: number): void {
    this.#writing().truncate(size);
  }

  close(): void {
    this.#base?.close();
    this.#copy?.close();
  }

  #reading(): DiskFile {
    if (this.#copy === undefined && !this.#layers.isCopied()) {
      this.#base ??= this.#layers.openBase();
      return this.#base;
    }
    this.#copy ??= this.#layers.openScratch();
    return this.#copy;
  }

  #writing(): DiskFile {
    if (!this.#layers.isCopied()) this.#layers.copyUp();
    return this.#reading();
  }
}
