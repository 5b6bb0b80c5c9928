// The real folder tree. Every path is relative to the root and cannot leave it, whatever a name
// contains. Errors are Node's own, which carry the errno name as `code`.
import fs from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import type { Disk, DiskEntry, DiskFile, OpenOptions } from '../environment.ts';
import { diskError, openNodeFile } from './disk-file.ts';
import { lockedBy, releaseOwnLock, takeLock } from './lock.ts';

const SMALL_FILE_BYTES_MAX = 1 << 20;

/**
 * The tree below `root`, which is made if missing.
 *
 * @throws DiskError if the root cannot be made (EACCES, EROFS, ENOTDIR ...).
 */
export function createNodeDisk(root: string): Disk {
  return new NodeDisk(resolve(root));
}

function codeOf(error: unknown): string | undefined {
  return (error as NodeJS.ErrnoException).code;
}

class NodeDisk implements Disk {
  readonly root: string;

  constructor(root: string) {
    this.root = root;
    fs.mkdirSync(root, { recursive: true, mode: 0o750 });
  }

  /** The absolute path; throws EINVAL for anything that is not a plain path below the root. */
  #at(path: string): string {
    if (path === '' || path === '.') return this.root;
    for (const name of path.split('/')) {
      if (name === '' || name === '.' || name === '..' || /[\0\\]/.test(name)) {
        throw diskError('EINVAL', `not a path below the data folder: ${JSON.stringify(path)}`);
      }
    }
    return join(this.root, path);
  }

  open(path: string, options: OpenOptions): DiskFile {
    return openNodeFile(this.#at(path), path, options);
  }

  exists(path: string): boolean {
    return fs.existsSync(this.#at(path));
  }

  fileSize(path: string): number | undefined {
    return fs.statSync(this.#at(path), { throwIfNoEntry: false })?.size;
  }

  list(path: string): readonly DiskEntry[] {
    return fs
      .readdirSync(this.#at(path), { withFileTypes: true })
      .map((entry) => ({ name: entry.name, isDirectory: entry.isDirectory() }))
      .sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  makeDirectory(path: string): void {
    fs.mkdirSync(this.#at(path), { recursive: true, mode: 0o750 });
  }

  rename(from: string, to: string): void {
    fs.renameSync(this.#at(from), this.#at(to));
  }

  remove(path: string): void {
    fs.unlinkSync(this.#at(path));
  }

  async removeTree(path: string): Promise<void> {
    const absolute = this.#at(path);
    if (absolute === this.root) throw diskError('EINVAL', 'the data folder itself stays');
    await fs.promises.rm(absolute, { recursive: true, force: true });
  }

  syncDirectory(path: string): void {
    // Windows cannot open folders, and makes names durable with the file.
    if (process.platform === 'win32') return;
    const fd = fs.openSync(this.#at(path), fs.constants.O_RDONLY);
    try {
      fs.fsyncSync(fd);
    } finally {
      fs.closeSync(fd);
    }
  }

  readFile(path: string): Uint8Array | undefined {
    const absolute = this.#at(path);
    let fd: number;
    try {
      fd = fs.openSync(absolute, fs.constants.O_RDONLY);
    } catch (error) {
      if (codeOf(error) === 'ENOENT') return undefined;
      throw error;
    }
    try {
      const size = fs.fstatSync(fd).size;
      if (size > SMALL_FILE_BYTES_MAX) {
        throw diskError('EFBIG', `${path} has ${size} bytes; whole reads end at 1 MiB`);
      }
      return new Uint8Array(fs.readFileSync(fd));
    } finally {
      fs.closeSync(fd);
    }
  }

  replaceFile(path: string, bytes: Uint8Array): void {
    const target = this.#at(path);
    const temporary = `${target}.tmp`;
    const fd = fs.openSync(temporary, 'w', 0o640);
    try {
      fs.writeFileSync(fd, bytes);
      fs.fsyncSync(fd);
    } finally {
      fs.closeSync(fd);
    }
    fs.renameSync(temporary, target);
    const folder = dirname(target).slice(this.root.length + 1);
    this.syncDirectory(folder.replaceAll('\\', '/'));
  }

  freeBytes(): number {
    const { bavail, bsize } = fs.statfsSync(this.root);
    return bavail * bsize;
  }

  lock(path: string, text: string): { release(): void } | undefined {
    return takeLock(this.#at(path), text);
  }

  lockedBy(path: string): string | undefined {
    return lockedBy(this.#at(path));
  }

  releaseOwnLock(path: string): void {
    releaseOwnLock(this.#at(path));
  }
}
