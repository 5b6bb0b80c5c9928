// Looks for records of one log by key, tag or message id, in the order of their offsets or against it. Sealed
// segments are looked up in their record index, which is made if need be; what lies behind them is read through, piece
// by piece. Answers offsets: of a segment those whose entry has the hash, so whoever reads
// the records there compares them.
import type { Lookup } from '../../records/lookups.ts';
import { concatBytes } from '../../std/bytes.ts';
import type { SealedSegment, SegmentLookup, StoredLog } from '../api.ts';
import { PIECE_BYTES, readAt } from '../compaction/pieces.ts';
import { StorageError } from '../errors.ts';
import type { RecordIndex } from './index-file.ts';
import { hashOf } from './tasks.ts';
import type { RecordRun } from './work.ts';

export interface RecordQuery {
  readonly lookup: Lookup;
  /** Records at [fromOffset, endOffset), which is not above what is committed. */
  readonly fromOffset: number;
  readonly endOffset: number;
  /** Their time, in ms, both ends included. */
  readonly sinceMs: number;
  readonly untilMs: number;
  readonly isNewestFirst: boolean;
  readonly max: number;
}

export interface SearchResult {
  /** In the order asked for. */
  readonly offsets: readonly number[];
  /** Where to go on: everything below it was looked at; newest first: everything from it on. */
  readonly edge: number;
  readonly isComplete: boolean;
  /** Batches on the way that nobody here can unpack. */
  readonly unread: number;
}

export interface SearchPort {
  readonly run: RecordRun;
  paced(bytes: number): Promise<void>;
  /** The time of the search is over: it ends where it is. */
  isOver(): boolean;
  /** As `RecordIndexes.open`; undefined also when the time is over before there is one. */
  index(
    log: StoredLog,
    lent: SegmentLookup,
    refused: RecordIndex | undefined,
  ): Promise<RecordIndex | undefined>;
}

/** Whole batches that were read. */
interface Piece {
  readonly bytes: Uint8Array;
  readonly baseOffset: number;
  readonly nextOffset: number;
  /** Tells the store if not. */
  isSound(): boolean;
  release(): void;
}

const SPAN_MIN = 16;
const SPAN_FIRST = 256;
const SPAN_MAX = 1 << 20;

/** Rejects with StorageError: `STORAGE_DAMAGED`, `STORAGE_NO_DESCRIPTORS`, or as tasks do. */
export function findRecords(
  log: StoredLog,
  query: RecordQuery,
  port: SearchPort,
): Promise<SearchResult> {
  return new Search(log, query, port).run();
}

class Search {
  readonly #log: StoredLog;
  readonly #query: RecordQuery;
  readonly #port: SearchPort;
  readonly #hash: number;
  readonly #offsets: number[] = [];
  /** What is left to look at: [from, end). */
  #from: number;
  #end: number;
  #unread = 0;
  /** Offsets that are read at once against their order: as many as make a piece, about. */
  #span = SPAN_FIRST;
  /** Segments without an index. */
  readonly #plain = new Set<number>();

  constructor(log: StoredLog, query: RecordQuery, port: SearchPort) {
    this.#log = log;
    this.#query = query;
    this.#port = port;
    this.#hash = hashOf(query.lookup);
    this.#from = query.fromOffset;
    this.#end = query.endOffset;
  }

  async run(): Promise<SearchResult> {
    const { isNewestFirst, max } = this.#query;
    for (let isFirst = true; ; isFirst = false) {
      this.#from = Math.max(this.#from, this.#log.startOffset);
      if (this.#from >= this.#end || this.#offsets.length >= max) break;
      // Something is looked at in any case, or it would never come to an end.
      if (!isFirst && this.#port.isOver()) break;
      const { segment, from, end } = this.#next();
      if (segment !== undefined) await this.#lookUp(segment, from, end);
      else if (isNewestFirst) await this.#readBackward(from, end);
      else await this.#readForward(from, end);
    }
    return {
      offsets: this.#offsets,
      edge: isNewestFirst ? this.#end : this.#from,
      isComplete: this.#from >= this.#end,
      unread: this.#unread,
    };
  }

  /** The next stretch: of a segment that has an index or may have one, or without. */
  #next(): {
    readonly segment: SealedSegment | undefined;
    readonly from: number;
    readonly end: number;
  } {
    let from = this.#from;
    let end = this.#end;
    const { isNewestFirst } = this.#query;
    for (const segment of this.#log.sealedSegments()) {
      if (this.#plain.has(segment.baseOffset)) continue;
      const { baseOffset, endOffset } = segment;
      const isHere = isNewestFirst
        ? baseOffset < end && end <= endOffset
        : baseOffset <= from && from < endOffset;
      if (isHere) {
        return { segment, from: Math.max(from, baseOffset), end: Math.min(end, endOffset) };
      }
      if (isNewestFirst && endOffset <= end) from = Math.max(from, endOffset);
      if (!isNewestFirst && baseOffset > from) end = Math.min(end, baseOffset);
    }
    return { segment: undefined, from, end };
  }

  // ---- by the index ---------------------------------------------------------------------------

  async #lookUp(segment: SealedSegment, from: number, end: number): Promise<void> {
    const { baseOffset } = segment;
    const lent = this.#log.beginLookup(baseOffset);
    if (lent === undefined) {
      // Gone, or something else by now.
      this.#plain.add(baseOffset);
      return;
    }
    try {
      let refused: RecordIndex | undefined;
      // Made anew once.
      for (let attempt = 0; attempt < 2; attempt += 1) {
        const index = await this.#port.index(this.#log, lent, refused);
        if (index === undefined) break;
        const file = lent.openIndex();
        if (file !== undefined && (await this.#inIndex(index, file, from, end))) return;
        refused = index;
      }
    } finally {
      lent.release();
    }
    if (!this.#port.isOver()) this.#plain.add(baseOffset);
  }

  /** False: the index is damaged. */
  async #inIndex(
    index: RecordIndex,
    file: Parameters<RecordIndex['find']>[0],
    fromOffset: number,
    endOffset: number,
  ): Promise<boolean> {
    const { isNewestFirst, sinceMs, untilMs, max } = this.#query;
    const found = await index.find(file, {
      ...{ hash: this.#hash, fromOffset, endOffset, sinceMs, untilMs, isNewestFirst },
      max: max - this.#offsets.length,
      isOver: () => this.#port.isOver(),
    });
    if (found === 'damaged') return false;
    this.#unread += index.unread;
    this.#offsets.push(...found.offsets);
    if (isNewestFirst) this.#end = found.edge;
    else this.#from = found.edge;
    return true;
  }

  // ---- by reading through ---------------------------------------------------------------------

  async #readForward(from: number, end: number): Promise<void> {
    const piece = await this.#piece(from, end);
    if (piece === undefined) {
      this.#from = end;
      return;
    }
    const offsets = await this.#matchesIn(piece, from, end);
    const room = this.#query.max - this.#offsets.length;
    this.#offsets.push(...offsets.slice(0, room));
    this.#from = offsets.length > room ? offsets[room - 1]! + 1 : Math.min(end, piece.nextOffset);
  }

  /** The last offsets of [from, end), as many as make about a piece. */
  async #readBackward(from: number, end: number): Promise<void> {
    let low = Math.max(from, end - this.#span);
    const found: number[] = [];
    let bytes = 0;
    let isFirst = true;
    for (let at = low; at < end; ) {
      const piece = await this.#piece(at, end);
      if (piece === undefined) break;
      // What the first batch has before is looked at with it.
      if (isFirst) low = Math.max(from, Math.min(low, piece.baseOffset));
      isFirst = false;
      found.push(...(await this.#matchesIn(piece, low, end)));
      bytes += piece.bytes.length;
      at = piece.nextOffset;
    }
    if (bytes > PIECE_BYTES) this.#span = Math.max(SPAN_MIN, this.#span / 2);
    else if (bytes < PIECE_BYTES / 2) this.#span = Math.min(SPAN_MAX, this.#span * 2);
    found.reverse();
    const room = this.#query.max - this.#offsets.length;
    this.#offsets.push(...found.slice(0, room));
    this.#end = found.length > room ? found[room - 1]! : low;
  }

  /** Releases the piece. */
  async #matchesIn(piece: Piece, from: number, end: number): Promise<readonly number[]> {
    const { bytes } = piece;
    const { lookup, sinceMs, untilMs, isNewestFirst, max: all } = this.#query;
    const max = all - this.#offsets.length;
    const { run, paced } = this.#port;
    const fromOffset = Math.max(from, this.#from);
    try {
      const answer = await run({
        ...{ kind: 'match', bytes, lookup, fromOffset, endOffset: end, sinceMs, untilMs },
        ...{ max, isNewestFirst },
      });
      if (answer.isDamaged) {
        piece.isSound();
        throw this.#damaged(from);
      }
      this.#unread += answer.unread;
      await paced(bytes.length);
      return answer.offsets;
    } finally {
      piece.release();
    }
  }

  /** Whole batches from the one that holds `offset`; undefined: there is none below `end`. */
  async #piece(offset: number, end: number): Promise<Piece | undefined> {
    const read = this.#log.read(Math.max(offset, this.#log.startOffset), PIECE_BYTES, end);
    switch (read.kind) {
      case 'empty':
      case 'out-of-range':
        return undefined;
      case 'damaged':
        throw this.#damaged(offset);
      case 'no-descriptors':
        throw new StorageError('STORAGE_NO_DESCRIPTORS', 'no descriptor is free for a segment');
      case 'memory': {
        const bytes = concatBytes(read.slices);
        const { baseOffset, nextOffset } = read;
        read.release();
        const isSound = () => true;
        return { bytes, baseOffset, nextOffset, isSound, release: () => undefined };
      }
      case 'file': {
        const { baseOffset, nextOffset, position, length } = read;
        const release = () => read.release();
        try {
          const bytes = await readAt(read, position, length);
          const isSound = () => read.isSound(bytes, length, undefined);
          return { bytes, baseOffset, nextOffset, isSound, release };
        } catch (error) {
          release();
          throw error;
        }
      }
    }
  }

  #damaged(offset: number): StorageError {
    const { logId } = this.#log;
    return new StorageError('STORAGE_DAMAGED', `log ${logId} is damaged at offset ${offset}`, {
      ...{ logId, offset },
    });
  }
}
