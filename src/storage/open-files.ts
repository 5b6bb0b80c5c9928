// The open segment files of a shard: at most so many, least recently used closed first. A file that is
// read by someone, or has bytes that were never synced, stays open: closing it could lose its error.
import type { Disk, DiskFile } from '../env/environment.ts';

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

  constructor(disk: Disk, countMax: number) {
    this.#disk = disk;
    this.#countMax = countMax;
  }

  get count(): number {
    return this.#files.size;
  }

  /** The file at `path`, opened if need be. Pin it to keep it beyond the next call. Throws DiskError. */
  get(path: string, mode: 'create' | 'write' = 'write'): OpenFile {
    let open = this.#files.get(path);
    if (open === undefined) {
      this.#makeRoom();
      open = new OpenFile(this.#disk.open(path, { mode }));
    } else this.#files.delete(path);
    this.#files.set(path, open);
    return open;
  }

  #makeRoom(): void {
    if (this.#files.size < this.#countMax) return;
    for (const [path, open] of this.#files) {
      if (open.pins > 0) continue;
      open.file.close();
      this.#files.delete(path);
      if (this.#files.size < this.#countMax) return;
    }
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
