// One log of a stream as one consumer reads it (pure): where it is, and the batches that lie here. Every record from
// `next` on is found once, in order. What holds no messages (control batches) and what cannot be read is passed over.
import { BatchHeader, isControl, readBatchHeader, wholeBatchSize } from '../../records/batch.ts';
import { type Decompress, RecordReader, type RecordsFault } from '../../records/records.ts';
import { EMPTY_BYTES } from '../../std/bytes.ts';
import type { StreamStart } from './queue-api.ts';

/** Asked for at first. Twice as much each time that all of it was wanted. */
const FETCH_BYTES_MIN = 16 * 1024;
const FETCH_BYTES_MAX = 256 * 1024;

/** Where to begin, the same for all logs of a stream. */
export type Beginning = Exclude<StreamStart, { readonly kind: 'age' }>;

/** Whoever a cursor belongs to. */
export interface CursorOwner {
  /** Its `next` is known. */
  placed(cursor: StreamCursor): void;
  /** Whole batches, lent until `release`; the first of them has `next` in it. */
  fetched(cursor: StreamCursor, slices: readonly Uint8Array[], release: () => void): void;
  /** The fetch has found nothing, or nobody: `hungry` comes when it is worth another. */
  unfed(cursor: StreamCursor): void;
  hungry(cursor: StreamCursor): void;
  /** The log was deleted, or nobody can say where to begin in it. */
  ended(why: 'deleted' | 'unreachable'): void;
  /** Records from `from` to `to` are passed over. */
  unread(cursor: StreamCursor, from: number, to: number, why: RecordsFault): void;
}

export class StreamCursor {
  readonly logId: number;
  readonly owner: CursorOwner;
  /** Stands on the record that `step` has found. */
  readonly reader = new RecordReader();
  readonly from: Beginning;
  /** -1: where it begins is not known yet. */
  next = -1;
  /** The batch that `next` is in is read from its first record on. */
  isFromBatch = false;
  /** How much to ask for. */
  fetchBytes = FETCH_BYTES_MIN;
  /** What it takes in memory, and what of that is on the account. */
  heldBytes = 0;
  accountedBytes = 0;
  readonly #decompress: Decompress;
  readonly #header = new BatchHeader();
  #slices: readonly Uint8Array[] = [];
  #slice = 0;
  #at = 0;
  #batchesBytes = 0;
  #firstNext = -1;
  #isOpen = false;
  #release: (() => void) | undefined;

  constructor(logId: number, owner: CursorOwner, from: Beginning, decompress: Decompress) {
    this.logId = logId;
    this.owner = owner;
    this.from = from;
    this.#decompress = decompress;
  }

  load(slices: readonly Uint8Array[], release: () => void): void {
    this.drop();
    this.#slices = slices;
    this.#release = release;
    for (const slice of slices) this.#batchesBytes += slice.length;
    this.heldBytes = this.#batchesBytes;
    this.#firstNext = this.next;
  }

  /** Nothing lies here any more. */
  drop(): void {
    this.#slices = [];
    this.#slice = 0;
    this.#at = 0;
    this.#batchesBytes = 0;
    this.heldBytes = 0;
    this.#isOpen = false;
    this.reader.bytes = EMPTY_BYTES;
    this.#release?.();
    this.#release = undefined;
  }

  /** All that was here was wanted. False: there was nothing of use in it. */
  exhausted(): boolean {
    const isFurther = this.next > this.#firstNext;
    this.drop();
    this.fetchBytes = Math.min(FETCH_BYTES_MAX, this.fetchBytes * 2);
    return isFurther;
  }

  /** What is here was not wanted for a while. */
  putAside(): void {
    this.drop();
    this.fetchBytes = FETCH_BYTES_MIN;
  }

  /** Moves the reader to the record at `next` or the first behind it, and `next` on. False: it is not here. */
  step(): boolean {
    while (this.#isOpen || this.#open()) {
      while (this.reader.next()) {
        const { offset } = this.reader;
        if (offset < this.next) continue;
        this.next = offset + 1;
        return true;
      }
      this.#isOpen = false;
      const { fault } = this.reader;
      if (fault === undefined) this.#passBatch();
      else this.#passOver(fault);
    }
    return false;
  }

  /** Opens the next batch that has records from `next` on. */
  #open(): boolean {
    while (this.#slice < this.#slices.length) {
      const bytes = this.#slices[this.#slice]!;
      const at = this.#at;
      const size = wholeBatchSize(bytes, at, bytes.length);
      if (size === 0) {
        this.#slice += 1;
        this.#at = 0;
        continue;
      }
      this.#at = at + size;
      const { attributes, baseOffset, lastOffset } = readBatchHeader(bytes, at, this.#header);
      if (this.isFromBatch) {
        this.isFromBatch = false;
        this.next = baseOffset;
      }
      if (lastOffset < this.next) continue;
      if (isControl(attributes)) {
        this.#passBatch();
        continue;
      }
      const opened = this.reader.open(bytes, at, at + size, this.#decompress);
      if (opened !== 'ok') {
        this.#passOver(opened);
        continue;
      }
      const unpackedBytes = this.reader.bytes === bytes ? 0 : this.reader.bytes.length;
      this.heldBytes = this.#batchesBytes + unpackedBytes;
      this.#isOpen = true;
      return true;
    }
    return false;
  }

  #passBatch(): void {
    this.next = Math.max(this.next, this.#header.lastOffset + 1);
  }

  #passOver(why: RecordsFault): void {
    const from = Math.max(this.next, this.#header.baseOffset);
    this.#passBatch();
    this.owner.unread(this, from, this.#header.lastOffset, why);
  }
}
