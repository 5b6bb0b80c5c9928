// A record index that was opened: its directory in memory, its blocks read as lookups need them, each checked
// before it is believed. Answers offsets whose entry has the hash that is looked for: whoever reads the records there
// sees whether they are meant.
import type { DiskFile } from '../../env/environment.ts';
import type { Crc32c } from '../../std/crc32c.ts';
import { errnoOf } from '../errors.ts';
import {
  blockPlace,
  DIRECTORY_BYTES_MAX,
  decodeDirectory,
  decodeIndexHeader,
  ENTRY_BYTES,
  entryHash,
  entryOffset,
  INDEX_HEADER_BYTES,
  mayBeWithin,
  type PlacedRun,
  type RecordIndexName,
} from './format.ts';

/** Entries with this hash at [fromOffset, endOffset) whose records may be of that time. */
export interface IndexQuery {
  readonly hash: number;
  readonly fromOffset: number;
  readonly endOffset: number;
  readonly sinceMs: number;
  readonly untilMs: number;
  readonly isNewestFirst: boolean;
  readonly max: number;
  /** Asked between blocks: no more are read. */
  isOver(): boolean;
}

export interface IndexMatches {
  /** In the order asked for, each once. */
  readonly offsets: readonly number[];
  /** Everything before it, in the order asked for, was looked at: below it, or at it and above. */
  readonly edge: number;
}

export class RecordIndex {
  readonly unread: number;
  readonly #runs: readonly PlacedRun[];
  readonly #crc32c: Crc32c;
  /** In memory. */
  readonly size: number;

  private constructor(
    runs: readonly PlacedRun[],
    { unread, size }: { readonly unread: number; readonly size: number },
    crc32c: Crc32c,
  ) {
    this.#runs = runs;
    this.unread = unread;
    this.size = size;
    this.#crc32c = crc32c;
  }

  /** Undefined if the file is not exactly the index of that segment. */
  static async open(
    file: DiskFile,
    name: RecordIndexName,
    crc32c: Crc32c,
  ): Promise<RecordIndex | undefined> {
    const head = await readAt(file, 0, INDEX_HEADER_BYTES);
    const header = head && decodeIndexHeader(head, crc32c);
    if (header === undefined || !isSame(header.name, name)) return undefined;
    const { directoryAt, directoryBytes: size, runs: count, unread } = header;
    if (size > DIRECTORY_BYTES_MAX) return undefined;
    const bytes = await readAt(file, directoryAt, size);
    if (bytes === undefined || crc32c(bytes, 0, size) !== header.directorySum) return undefined;
    const runs = decodeDirectory(bytes, count);
    return runs && new RecordIndex(runs, { unread, size }, crc32c);
  }

  /** `damaged`: a block is not what was written. Rejects with DiskError. */
  async find(file: DiskFile, query: IndexQuery): Promise<IndexMatches | 'damaged'> {
    const walk = new Walk(query);
    const runs = query.isNewestFirst ? [...this.#runs].reverse() : this.#runs;
    for (const run of runs) {
      const isMissed =
        run.lastOffset < query.fromOffset ||
        run.firstOffset >= query.endOffset ||
        run.maxTimeMs < query.sinceMs ||
        run.minTimeMs > query.untilMs;
      if (isMissed) continue;
      for (let block = walk.firstBlock(run); block >= 0; block = walk.blockAfter(run, block)) {
        if (walk.isOver) return walk;
        const { position, length } = blockPlace(run, block);
        const bytes = await readAt(file, position, length);
        const sum = bytes && this.#crc32c(bytes, 0, length);
        if (bytes === undefined || sum !== run.blockSums[block]) return 'damaged';
        if (!walk.take(run, bytes)) break;
      }
      if (walk.isFull) return walk;
      walk.passed(run);
    }
    return walk.whole();
  }
}

/** One lookup: which blocks it wants, and what it has found in them. */
class Walk implements IndexMatches {
  readonly offsets: number[] = [];
  edge: number;
  readonly #query: IndexQuery;
  isFull = false;

  constructor(query: IndexQuery) {
    this.#query = query;
    this.edge = query.isNewestFirst ? query.endOffset : query.fromOffset;
  }

  /** Not before it has come any further: whoever goes on from here again and again comes to an end. */
  get isOver(): boolean {
    const { isNewestFirst, fromOffset, endOffset } = this.#query;
    const isMoved = this.edge !== (isNewestFirst ? endOffset : fromOffset);
    return this.isFull || (isMoved && this.#query.isOver());
  }

  /** All of a run was looked at. What its last record has may go on in the next one. */
  passed({ firstOffset, lastOffset }: PlacedRun): void {
    const { isNewestFirst, fromOffset, endOffset } = this.#query;
    if (isNewestFirst) this.edge = Math.max(fromOffset, Math.min(this.edge, firstOffset + 1));
    else this.edge = Math.min(endOffset, Math.max(this.edge, lastOffset));
  }

  /** All of it was looked at. */
  whole(): IndexMatches {
    const { isNewestFirst, fromOffset, endOffset } = this.#query;
    return { offsets: this.offsets, edge: isNewestFirst ? fromOffset : endOffset };
  }

  /** The last block that begins at or before what is looked for first, or -1. */
  firstBlock(run: PlacedRun): number {
    const { hash, fromOffset, endOffset, isNewestFirst } = this.#query;
    const offset = isNewestFirst ? endOffset - 1 : fromOffset;
    const { blockHashes, blockOffsets } = run;
    let low = 0;
    let high = blockHashes.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (compare(blockHashes[middle]!, blockOffsets[middle]!, hash, offset) <= 0) low = middle + 1;
      else high = middle;
    }
    return isNewestFirst ? low - 1 : Math.max(0, low - 1);
  }

  /** The next one that may have more, or -1. */
  blockAfter(run: PlacedRun, block: number): number {
    const { hash, endOffset, isNewestFirst } = this.#query;
    if (isNewestFirst) return block - 1;
    const next = block + 1;
    if (next >= run.blockHashes.length) return -1;
    const isBehind = compare(run.blockHashes[next]!, run.blockOffsets[next]!, hash, endOffset) >= 0;
    return isBehind ? -1 : next;
  }

  /** False: what comes behind these entries is not looked for, or enough was found. */
  take(run: PlacedRun, block: Uint8Array): boolean {
    const { hash, fromOffset, endOffset, isNewestFirst } = this.#query;
    const count = block.length / ENTRY_BYTES;
    for (let i = 0; i < count; i += 1) {
      const index = isNewestFirst ? count - 1 - i : i;
      const each = entryHash(block, index);
      const offset = entryOffset(block, index);
      if (compare(each, offset, hash, fromOffset) < 0) {
        if (isNewestFirst) return false;
        continue;
      }
      if (compare(each, offset, hash, endOffset) >= 0) {
        if (!isNewestFirst) return false;
        continue;
      }
      this.edge = isNewestFirst ? offset : offset + 1;
      // A record may have it twice, also at the end of one run and the begin of the next.
      if (this.offsets[this.offsets.length - 1] === offset) continue;
      if (!mayBeWithin(run, block, index, this.#query)) continue;
      this.offsets.push(offset);
      if (this.offsets.length < this.#query.max) continue;
      this.isFull = true;
      return false;
    }
    return true;
  }
}

function compare(hash: number, offset: number, toHash: number, toOffset: number): number {
  return hash === toHash ? offset - toOffset : hash - toHash;
}

function isSame(a: RecordIndexName, b: RecordIndexName): boolean {
  return (
    a.logId === b.logId &&
    a.baseOffset === b.baseOffset &&
    a.generation === b.generation &&
    a.revision === b.revision &&
    a.segmentBytes === b.segmentBytes
  );
}

/** Undefined if there are not so many bytes, or a sector of them cannot be read: what is derived is made anew. */
function readAt(file: DiskFile, position: number, length: number): Promise<Uint8Array | undefined> {
  const bytes = new Uint8Array(length);
  return new Promise((resolve, reject) => {
    file.read(bytes, position, (error, count) => {
      if (error !== undefined && errnoOf(error) !== 'EIO') reject(error);
      else resolve(error === undefined && count === length ? bytes : undefined);
    });
  });
}
