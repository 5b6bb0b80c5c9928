// Records of a log as they were fetched, found by their offsets in any order. A batch may lack records, and batches
// may be missing between others: what was acknowledged goes from the segments of a queue. Where records begin in
// their batch is found out once, when the first of them is wanted.
import {
  BATCH_PREFIX_BYTES,
  BatchHeader,
  readBatchHeader,
  wholeBatchSize,
} from '../../records/batch.ts';
import { RecordReader } from '../../records/records.ts';
import { growInts } from '../exchange/grow.ts';

const KIB = 1024;
const FETCH_BYTES_MIN = 4 * KIB;
const FETCH_BYTES_MAX = 1024 * KIB;
/** What a record is taken to be before any was seen. */
const RECORD_BYTES = KIB;

const UNKNOWN = -1;
/** In the column of positions: no record has this offset. */
const NONE = -1;

interface FetchedBatch {
  readonly bytes: Uint8Array;
  readonly at: number;
  readonly end: number;
  readonly baseOffset: number;
  /** Offsets that it stands for. */
  readonly span: number;
  readonly count: number;
  /** Where its records are, in the column of positions; -1 until one is wanted. */
  positionsAt: number;
}

export class FetchedRecords {
  /** Of these records only: which batch it has open is remembered. */
  readonly reader = new RecordReader();
  /** All that the log has of the offsets [first, end) is here. */
  first = 0;
  end = 0;
  /** Records. */
  count = 0;
  /** Bytes of whole batches. */
  bytes = 0;
  #batches: FetchedBatch[] = [];
  #positions = new Int32Array(16);
  #positionsEnd = 0;
  /** Batch of the last look. */
  #last = 0;
  #open: FetchedBatch | undefined;
  readonly #header = new BatchHeader();
  #recordBytes = RECORD_BYTES;
  #release: (() => void) | undefined;

  /** How much to ask for if so many messages are wanted. */
  fetchBytes(messages: number): number {
    const bytes = Math.ceil(messages * this.#recordBytes * 1.25);
    return Math.min(FETCH_BYTES_MAX, Math.max(FETCH_BYTES_MIN, bytes));
  }

  /**
   * Slices of whole batches as they were found from that offset on, lent until the next call or `clear`, which
   * gives them back.
   */
  take(slices: readonly Uint8Array[], fromOffset: number, release?: () => void): void {
    this.clear();
    this.#release = release;
    for (const bytes of slices) this.#addSlice(bytes);
    const [batch] = this.#batches;
    this.first = batch === undefined ? 0 : Math.min(fromOffset, batch.baseOffset);
    if (this.count > 0) this.#recordBytes = this.bytes / this.count;
  }

  clear(): void {
    const release = this.#release;
    this.#release = undefined;
    release?.();
    if (this.#batches.length > 0) this.#batches = [];
    this.#positionsEnd = 0;
    this.#last = 0;
    this.#open = undefined;
    this.first = 0;
    this.end = 0;
    this.count = 0;
    this.bytes = 0;
  }

  /** Whether there is such a record is known; `seek` says it. */
  has(offset: number): boolean {
    return offset >= this.first && offset < this.end;
  }

  #addSlice(bytes: Uint8Array): void {
    for (let at = 0; at + BATCH_PREFIX_BYTES <= bytes.length; ) {
      const size = wholeBatchSize(bytes, at, bytes.length);
      if (size === 0) break;
      const { baseOffset, lastOffset, recordCount } = readBatchHeader(bytes, at, this.#header);
      const end = at + size;
      const span = lastOffset + 1 - baseOffset;
      const count = Math.max(0, recordCount);
      this.#batches.push({ bytes, at, end, baseOffset, span, count, positionsAt: UNKNOWN });
      this.end = baseOffset + span;
      this.count += count;
      this.bytes += size;
      at = end;
    }
  }

  /** Puts the reader on the record of that offset. False if there is none, or its bytes are no record. */
  seek(offset: number): boolean {
    const { reader } = this;
    const batch = this.#find(offset);
    if (batch === undefined) return false;
    if (this.#open !== batch) {
      this.#open = undefined;
      if (reader.open(batch.bytes, batch.at, batch.end) !== 'ok') return false;
      this.#open = batch;
    }
    if (batch.positionsAt === UNKNOWN && !this.#index(batch)) return false;
    const position = this.#positions[batch.positionsAt + offset - batch.baseOffset]!;
    return position !== NONE && reader.nextAt(position) && reader.offset === offset;
  }

  #index(batch: FetchedBatch): boolean {
    const at = this.#positionsEnd;
    const end = at + batch.span;
    if (end > this.#positions.length) this.#positions = growInts(this.#positions, end);
    const isFound =
      batch.count === batch.span
        ? this.reader.positions(this.#positions, at)
        : this.#indexSparse(batch, at, end);
    if (!isFound) return false;
    batch.positionsAt = at;
    this.#positionsEnd = end;
    return true;
  }

  /** Each record says which one it is. */
  #indexSparse(batch: FetchedBatch, at: number, end: number): boolean {
    const { reader } = this;
    this.#positions.fill(NONE, at, end);
    while (reader.next()) {
      this.#positions[at + reader.offset - batch.baseOffset] = reader.recordAt;
    }
    return reader.fault === undefined;
  }

  #find(offset: number): FetchedBatch | undefined {
    const batches = this.#batches;
    let at = this.#last;
    if (at >= batches.length || batches[at]!.baseOffset > offset) at = 0;
    for (; at < batches.length; at += 1) {
      const batch = batches[at]!;
      if (offset >= batch.baseOffset + batch.span) continue;
      this.#last = at;
      return offset >= batch.baseOffset ? batch : undefined;
    }
    return undefined;
  }
}
