// A folder tree in memory, for nodes started without a data folder. Everything is gone with the
// process, so durable and not durable are the same here. Callbacks still come in a later turn.
import type { Disk, DiskEntry, DiskError, DiskFile, OpenOptions } from '../environment.ts';
import { diskError } from './disk-file.ts';

const FIRST_CAPACITY = 4096;
/** What freeBytes answers: memory is limited by the process, not by this folder. */
const CLAIMED_FREE_BYTES = 2 ** 40;

interface Content {
  bytes: Uint8Array;
  size: number;
}

function grow(content: Content, size: number): void {
  if (size > content.bytes.length) {
    let capacity = Math.max(FIRST_CAPACITY, content.bytes.length);
    while (capacity < size) capacity *= 2;
    const larger = new Uint8Array(capacity);
    larger.set(content.bytes.subarray(0, content.size));
    content.bytes = larger;
  }
  content.size = Math.max(content.size, size);
}

class MemoryFile implements DiskFile {
  readonly path: string;
  readonly fd = -1;
  readonly #content: Content;
  readonly #isWritable: boolean;
  #isClosed = false;

  constructor(path: string, content: Content, isWritable: boolean) {
    this.path = path;
    this.#content = content;
    this.#isWritable = isWritable;
  }

  #attempt<T>(action: () => T): { readonly error?: DiskError; readonly value?: T } {
    try {
      return { value: action() };
    } catch (error) {
      return { error: error as DiskError };
    }
  }

  write(bytes: Uint8Array, position: number, done: (error: DiskError | undefined) => void): void {
    const { error } = this.#attempt(() => this.writeSync(bytes, position));
    setImmediate(() => done(error));
  }

  read(
    into: Uint8Array,
    position: number,
    done: (error: DiskError | undefined, count: number) => void,
  ): void {
    const { error, value } = this.#attempt(() => this.readSync(into, position));
    setImmediate(() => done(error, value ?? 0));
  }

  writeSync(bytes: Uint8Array, position: number): void {
    this.#assertOpen();
    if (!this.#isWritable) throw diskError('EBADF', `${this.path} is open for reading`);
    grow(this.#content, position + bytes.length);
    this.#content.bytes.set(bytes, position);
  }

  readSync(into: Uint8Array, position: number): number {
    this.#assertOpen();
    const end = Math.min(this.#content.size, position + into.length);
    if (end <= position) return 0;
    into.set(this.#content.bytes.subarray(position, end));
    return end - position;
  }

  sync(done: (error: DiskError | undefined) => void): void {
    const { error } = this.#attempt(() => this.#assertOpen());
    setImmediate(() => done(error));
  }

  size(): number {
    this.#assertOpen();
    return this.#content.size;
  }

  truncate(size: number): void {
    this.#assertOpen();
    grow(this.#content, size);
    this.#content.bytes.fill(0, size, this.#content.size);
    this.#content.size = size;
  }

  close(): void {
    this.#isClosed = true;
  }

  #assertOpen(): void {
    if (this.#isClosed) throw diskError('EBADF', `${this.path} is closed`);
  }
}

/** An empty tree in memory. */
export function createMemoryDisk(): Disk {
  return new MemoryDisk();
}

class MemoryDisk implements Disk {
  readonly root = '(memory)';
  readonly #files = new Map<string, Content>();
  readonly #folders = new Set<string>(['']);
  readonly #locks = new Map<string, string>();

  #normal(path: string): string {
    if (path === '' || path === '.') return '';
    for (const name of path.split('/')) {
      if (name === '' || name === '.' || name === '..' || /[\0\\]/.test(name)) {
        throw diskError('EINVAL', `not a path below the data folder: ${JSON.stringify(path)}`);
      }
    }
    return path;
  }

  #requireParent(path: string): void {
    const parent = path.slice(0, Math.max(0, path.lastIndexOf('/')));
    if (!this.#folders.has(parent)) throw diskError('ENOENT', `no folder ${parent}`);
  }

  #require(path: string): Content {
    const content = this.#files.get(path);
    if (content === undefined) throw diskError('ENOENT', `no file ${path}`);
    return content;
  }

  open(path: string, options: OpenOptions): DiskFile {
    const at = this.#normal(path);
    if (this.#folders.has(at)) throw diskError('EISDIR', `${path} is a folder`);
    if (options.mode === 'create' && !this.#files.has(at)) {
      this.#requireParent(at);
      this.#files.set(at, { bytes: new Uint8Array(0), size: 0 });
    }
    return new MemoryFile(path, this.#require(at), options.mode !== 'read');
  }

  exists(path: string): boolean {
    const at = this.#normal(path);
    return this.#files.has(at) || this.#folders.has(at);
  }

  fileSize(path: string): number | undefined {
    return this.#files.get(this.#normal(path))?.size;
  }

  list(path: string): readonly DiskEntry[] {
    const at = this.#normal(path);
    if (!this.#folders.has(at)) throw diskError('ENOENT', `no folder ${path}`);
    const prefix = at === '' ? '' : `${at}/`;
    const entries: DiskEntry[] = [];
    const add = (name: string, isDirectory: boolean): void => {
      const rest = name.slice(prefix.length);
      if (name !== '' && name.startsWith(prefix) && rest !== '' && !rest.includes('/')) {
        entries.push({ name: rest, isDirectory });
      }
    };
    for (const name of this.#files.keys()) add(name, false);
    for (const name of this.#folders) add(name, true);
    return entries.sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  makeDirectory(path: string): void {
    let at = '';
    for (const name of this.#normal(path).split('/')) {
      at = at === '' ? name : `${at}/${name}`;
      if (this.#files.has(at)) throw diskError('EEXIST', `${at} is a file`);
      this.#folders.add(at);
    }
  }

  rename(from: string, to: string): void {
    const source = this.#normal(from);
    const target = this.#normal(to);
    this.#requireParent(target);
    if (source === target) return;
    if (!this.#folders.has(source)) {
      this.#files.set(target, this.#require(source));
      this.#files.delete(source);
      return;
    }
    const moved = (name: string): string => target + name.slice(source.length);
    const isInside = (name: string): boolean => name === source || name.startsWith(`${source}/`);
    for (const name of [...this.#folders].filter(isInside)) {
      this.#folders.delete(name);
      this.#folders.add(moved(name));
    }
    for (const [name, content] of [...this.#files].filter(([name]) => isInside(name))) {
      this.#files.delete(name);
      this.#files.set(moved(name), content);
    }
  }

  remove(path: string): void {
    const at = this.#normal(path);
    this.#require(at);
    this.#files.delete(at);
  }

  async removeTree(path: string): Promise<void> {
    const at = this.#normal(path);
    if (at === '') throw diskError('EINVAL', 'the data folder itself stays');
    const isInside = (name: string): boolean => name === at || name.startsWith(`${at}/`);
    for (const name of [...this.#files.keys()].filter(isInside)) this.#files.delete(name);
    for (const name of [...this.#folders].filter(isInside)) this.#folders.delete(name);
  }

  syncDirectory(path: string): void {
    if (!this.#folders.has(this.#normal(path))) throw diskError('ENOENT', `no folder ${path}`);
  }

  readFile(path: string): Uint8Array | undefined {
    const content = this.#files.get(this.#normal(path));
    return content?.bytes.slice(0, content.size);
  }

  replaceFile(path: string, bytes: Uint8Array): void {
    const at = this.#normal(path);
    this.#requireParent(at);
    this.#files.set(at, { bytes: bytes.slice(), size: bytes.length });
  }

  freeBytes(): number {
    return CLAIMED_FREE_BYTES;
  }

  lock(path: string, text: string): { release(): void } | undefined {
    const at = this.#normal(path);
    if (this.#locks.has(at)) return undefined;
    this.#locks.set(at, text);
    return { release: () => void this.#locks.delete(at) };
  }

  lockedBy(path: string): string | undefined {
    return this.#locks.get(this.#normal(path));
  }

  releaseOwnLock(path: string): void {
    this.#locks.delete(this.#normal(path));
  }
}
