// The disk of one store where descriptors may run out: what finds none free gets one of a segment that nobody
// needs open, and then, if the store cannot go on without it, one of a few that are held for that. So the WAL,
// settling, checkpoints and whatever only looks at a folder go on when connections, or other programs, have used up the rest.
import type { Disk, DiskEntry, DiskFile, OpenOptions } from '../env/environment.ts';
import { isShortOfDescriptors } from './errors.ts';

/** What descriptors are held for, and how many: nobody else of the store takes them. */
const HELD = {
  /** The next file and the one after it; checkpoints free them again. */
  wal: 2,
  /** One at a time still settles, and is read. */
  segment: 1,
  checkpoint: 1,
  /** Given back within the call: folders that are listed or synced, small files. */
  brief: 1,
};

type Purpose = keyof typeof HELD;

export interface SavingDiskOptions {
  /** A file that is there and stays, opened to hold descriptors. */
  readonly heldPath: string;
  /** What a file is that is opened to be written; undefined: the store can do without it. */
  purposeOf(path: string): Exclude<Purpose, 'brief'> | undefined;
}

export class SavingDisk implements Disk {
  readonly root: string;
  readonly #disk: Disk;
  readonly #options: SavingDiskOptions;
  readonly #held: { readonly [P in Purpose]: DiskFile[] } = {
    brief: [],
    checkpoint: [],
    segment: [],
    wal: [],
  };
  #isHolding = false;
  #isShort = false;
  /** Closes what can be opened again; false: there is nothing. */
  giveBack: () => boolean = () => false;

  constructor(disk: Disk, options: SavingDiskOptions) {
    this.root = disk.root;
    this.#disk = disk;
    this.#options = options;
  }

  /** From now on descriptors are held, as far as there are any. */
  hold(): void {
    this.#isHolding = true;
    this.#isShort = true;
    this.#refill();
  }

  release(): void {
    this.#isHolding = false;
    for (const files of Object.values(this.#held)) for (const file of files.splice(0)) file.close();
  }

  #refill(): void {
    if (!this.#isShort || !this.#isHolding) return;
    try {
      for (const [purpose, files] of Object.entries(this.#held)) {
        while (files.length < HELD[purpose as Purpose]) {
          files.push(this.#disk.open(this.#options.heldPath, { mode: 'read' }));
        }
      }
      this.#isShort = false;
    } catch {
      // Tried again by whatever comes next: holding fewer harms nobody yet.
    }
  }

  #attempt<T>(call: () => T, purpose: Purpose | undefined): T {
    for (;;) {
      try {
        return call();
      } catch (error) {
        if (!isShortOfDescriptors(error)) throw error;
        if (this.giveBack()) continue;
        const held = purpose === undefined ? undefined : this.#held[purpose].pop();
        if (held === undefined) throw error;
        this.#isShort = true;
        held.close();
      }
    }
  }

  #briefly<T>(call: () => T): T {
    try {
      return this.#attempt(call, 'brief');
    } finally {
      this.#refill();
    }
  }

  open(path: string, options: OpenOptions): DiskFile {
    // What is only read is closed in the same call.
    const purpose = options.mode === 'read' ? 'brief' : this.#options.purposeOf(path);
    const file = this.#attempt(() => this.#disk.open(path, options), purpose);
    if (!this.#isShort) return file;
    this.#refill();
    if (!this.#isShort) return file;
    // It may have one of those that are held: it goes back there before anybody else can take it.
    const close = file.close.bind(file);
    file.close = () => {
      close();
      this.#refill();
    };
    return file;
  }

  list(path: string): readonly DiskEntry[] {
    return this.#briefly(() => this.#disk.list(path));
  }

  syncDirectory(path: string): void {
    this.#briefly(() => this.#disk.syncDirectory(path));
  }

  readFile(path: string): Uint8Array | undefined {
    return this.#briefly(() => this.#disk.readFile(path));
  }

  replaceFile(path: string, bytes: Uint8Array): void {
    this.#briefly(() => this.#disk.replaceFile(path, bytes));
  }

  lock(path: string, text: string): { release(): void } | undefined {
    return this.#briefly(() => this.#disk.lock(path, text));
  }

  // ---- what takes no descriptor ---------------------------------------------------------------

  exists(path: string): boolean {
    return this.#disk.exists(path);
  }

  fileSize(path: string): number | undefined {
    return this.#disk.fileSize(path);
  }

  makeDirectory(path: string): void {
    this.#disk.makeDirectory(path);
  }

  rename(from: string, to: string): void {
    this.#disk.rename(from, to);
  }

  remove(path: string): void {
    this.#disk.remove(path);
  }

  removeTree(path: string): Promise<void> {
    return this.#disk.removeTree(path);
  }

  freeBytes(): number {
    return this.#disk.freeBytes();
  }

  lockedBy(path: string): string | undefined {
    return this.#disk.lockedBy(path);
  }

  releaseOwnLock(path: string): void {
    this.#disk.releaseOwnLock(path);
  }
}
