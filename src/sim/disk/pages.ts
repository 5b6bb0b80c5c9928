// A file's bytes as 4 KiB pages, copied only when written: the cached and the durable image of a file, and
// the images of older moments, share every page they agree on. Pages of zeros cost nothing.
export const PAGE_BYTES = 4_096;

const ZERO_PAGE = new Uint8Array(PAGE_BYTES);

export class Pages {
  /** Absent pages below the size read as zeros (a hole). */
  readonly #pages: Map<number, Uint8Array>;
  /** Pages that nobody else refers to and that may be changed in place. */
  readonly #owned = new Set<number>();
  #size: number;

  private constructor(pages: Map<number, Uint8Array>, size: number) {
    this.#pages = pages;
    this.#size = size;
  }

  static empty(): Pages {
    return new Pages(new Map(), 0);
  }

  get size(): number {
    return this.#size;
  }

  /** Pages that take space on the device. */
  get allocated(): number {
    return this.#pages.size;
  }

  /** An image of this moment. Afterwards neither side changes the other. */
  clone(): Pages {
    this.#owned.clear();
    return new Pages(new Map(this.#pages), this.#size);
  }

  /** How many pages a write would newly allocate. */
  wouldAllocate(position: number, length: number): number {
    let count = 0;
    for (let page = pageOf(position); page * PAGE_BYTES < position + length; page += 1) {
      if (!this.#pages.has(page)) count += 1;
    }
    return count;
  }

  /** Copies what exists of [position, position + into.length) and answers how many bytes that was. */
  read(into: Uint8Array, position: number): number {
    const count = Math.max(0, Math.min(into.length, this.#size - position));
    let done = 0;
    while (done < count) {
      const at = position + done;
      const inPage = at % PAGE_BYTES;
      const take = Math.min(PAGE_BYTES - inPage, count - done);
      const page = this.#pages.get(pageOf(at)) ?? ZERO_PAGE;
      into.set(page.subarray(inPage, inPage + take), done);
      done += take;
    }
    return count;
  }

  write(bytes: Uint8Array, position: number): void {
    let done = 0;
    while (done < bytes.length) {
      const at = position + done;
      const inPage = at % PAGE_BYTES;
      const take = Math.min(PAGE_BYTES - inPage, bytes.length - done);
      this.#writePage(pageOf(at), inPage, bytes.subarray(done, done + take));
      done += take;
    }
    this.#size = Math.max(this.#size, position + bytes.length);
  }

  /** Cuts or extends with a hole. Bytes beyond the new size are gone, also when it grows again. */
  truncate(size: number): void {
    if (size < this.#size) {
      const last = Math.ceil(size / PAGE_BYTES);
      for (const page of [...this.#pages.keys()]) {
        if (page < last) continue;
        this.#pages.delete(page);
        this.#owned.delete(page);
      }
      const inPage = size % PAGE_BYTES;
      if (inPage !== 0 && this.#pages.has(pageOf(size))) {
        this.#writePage(pageOf(size), inPage, ZERO_PAGE.subarray(inPage));
      }
    }
    this.#size = size;
  }

  /** Flips one bit of an allocated page, in place of nothing else. Returns false for a hole. */
  flipBit(position: number, bit: number): boolean {
    const page = this.#pages.get(pageOf(position));
    if (page === undefined || position >= this.#size) return false;
    const changed = page.slice();
    const at = position % PAGE_BYTES;
    changed[at] = changed[at]! ^ (1 << bit);
    this.#pages.set(pageOf(position), changed);
    this.#owned.add(pageOf(position));
    return true;
  }

  /** Takes the pages of [position, position + length) from another image, sharing them with it. */
  adopt(other: Pages, position: number, length: number): void {
    for (let page = pageOf(position); page * PAGE_BYTES < position + length; page += 1) {
      const bytes = other.#pages.get(page);
      if (bytes === undefined) continue;
      this.#pages.set(page, bytes);
      this.#owned.delete(page);
      other.#owned.delete(page);
    }
    this.#size = Math.max(this.#size, position + length);
  }

  /** Indices of the pages that take space, ascending. */
  allocatedPages(): readonly number[] {
    return [...this.#pages.keys()].sort((a, b) => a - b);
  }

  #writePage(page: number, inPage: number, bytes: Uint8Array): void {
    if (bytes.length === PAGE_BYTES && isZero(bytes)) {
      this.#pages.set(page, ZERO_PAGE);
      this.#owned.delete(page);
      return;
    }
    if (this.#owned.has(page)) {
      this.#pages.get(page)!.set(bytes, inPage);
      return;
    }
    const fresh = new Uint8Array(PAGE_BYTES);
    const old = this.#pages.get(page);
    if (old !== undefined && bytes.length < PAGE_BYTES) fresh.set(old);
    fresh.set(bytes, inPage);
    this.#pages.set(page, fresh);
    this.#owned.add(page);
  }
}

function pageOf(position: number): number {
  return Math.floor(position / PAGE_BYTES);
}

function isZero(bytes: Uint8Array): boolean {
  for (let i = 0; i < bytes.length; i += 1) if (bytes[i] !== 0) return false;
  return true;
}
