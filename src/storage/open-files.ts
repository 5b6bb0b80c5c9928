// The open segment files of a shard: at most so many, least recently used closed first. A file that is
// read by someone, or has bytes that were never synced, stays open: closing it could lose its error. Where no
// descriptor is free there are fewer: they are what the store can do without.
import type { Disk, DiskFile } from '../env/environment.ts';
import { isShortOfDescriptors } from './errors.ts';

/** Closed at once for others: what lacks one descriptor soon lacks the next. */
const GIVEN_BACK = 4;
/** Never given to others: what is open here can be closed for the next segment, so all of them can be read in turn. */
const KEPT = 4;

export class OpenFile {
  readonly file: DiskFile;
  pins = 0;

  constructor(file: DiskFile) {
    this.file = file;
  }
}

export class OpenFiles {
  readonly #disk: Disk;
  readonly #countMax: number;
  /** In order of use: a Map iterates in insertion order, so the first is the oldest. */
  readonly #files = new Map<string, OpenFile>();

  #isShort = false;
  /** Those with bytes that were not synced; their segments count. */
  dirtyCount = 0;

  constructor(disk: Disk, countMax: number) {
    this.#disk = disk;
    this.#countMax = countMax;
  }

  get count(): number {
    return this.#files.size;
  }

  /** The last file that was wanted could not be opened for want of a descriptor. */
  get isShort(): boolean {
    return this.#isShort;
  }

  /** As many have bytes to sync as may be open: until that is done none of them can be closed for another. */
  get isCrowded(): boolean {
    return this.dirtyCount >= this.#countMax;
  }

  /**
   * The file at `path`, opened if need be. Pin it to keep it beyond the next call. Throws DiskError; EMFILE or
   * ENFILE only when no other one can be closed for it.
   */
  get(path: string, mode: 'create' | 'write' = 'write'): OpenFile {
    let open = this.#files.get(path);
    if (open === undefined) {
      this.#close(this.#files.size - this.#countMax + 1);
      open = new OpenFile(this.#open(path, mode));
    } else this.#files.delete(path);
    this.#files.set(path, open);
    return open;
  }

  #open(path: string, mode: 'create' | 'write'): DiskFile {
    for (;;) {
      try {
        const file = this.#disk.open(path, { mode });
        this.#isShort = false;
        return file;
      } catch (error) {
        if (!isShortOfDescriptors(error)) throw error;
        if (this.#close(1) > 0) continue;
        this.#isShort = true;
        throw error;
      }
    }
  }

  /** Closes up to `countMax` that nobody needs, the one used longest ago first; answers how many. */
  #close(countMax: number): number {
    let count = 0;
    if (countMax <= 0) return count;
    for (const [path, open] of this.#files) {
      if (open.pins > 0) continue;
      open.file.close();
      this.#files.delete(path);
      count += 1;
      if (count === countMax) break;
    }
    return count;
  }

  /** One user of a pinned file less. */
  unpin(open: OpenFile): void {
    open.pins -= 1;
    this.#close(this.#files.size - this.#countMax);
  }

  /** Something else of the store finds no free descriptor; false: there is none to spare. */
  giveBack(): boolean {
    return this.#close(Math.min(GIVEN_BACK, this.#files.size - KEPT)) > 0;
  }

  /** Closes the file if it is open; readers that still have it see errors, so nobody may. */
  drop(path: string): void {
    const open = this.#files.get(path);
    if (open === undefined) return;
    open.file.close();
    this.#files.delete(path);
  }

  closeAll(): void {
    for (const open of this.#files.values()) open.file.close();
    this.#files.clear();
  }
}
