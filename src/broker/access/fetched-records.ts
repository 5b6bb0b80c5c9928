// Records of a log as they were fetched, found by their offsets in any order. The batches of a queue are
// dense: the record of offset o is the one at o minus the base offset. Where records begin in their batch
// is found out once, when the first of them is wanted.
import {
  BATCH_PREFIX_BYTES,
  BatchHeader,
  readBatchHeader,
  wholeBatchSize,
} from '../../records/batch.ts';
import { RecordReader } from '../../records/records.ts';
import { growInts } from '../exchange/grow.ts';

const UNKNOWN = -1;

interface FetchedBatch {
  readonly bytes: Uint8Array;
  readonly at: number;
  readonly end: number;
  readonly baseOffset: number;
  readonly count: number;
  /** Where its records are, in the column of positions; -1 until one is wanted. */
  positionsAt: number;
}

export class FetchedRecords {
  /** Of these records only: which batch it has open is remembered. */
  readonly reader = new RecordReader();
  /** Offsets [first, end) are here. */
  first = 0;
  end = 0;
  /** Bytes of whole batches. */
  bytes = 0;
  #batches: FetchedBatch[] = [];
  #positions = new Int32Array(64);
  #positionsEnd = 0;
  /** Batch of the last look. */
  #last = 0;
  #open: FetchedBatch | undefined;
  readonly #header = new BatchHeader();

  /** Slices of whole batches, lent until the next call or `clear`. */
  take(slices: readonly Uint8Array[]): void {
    this.clear();
    for (const bytes of slices) this.#addSlice(bytes);
    this.first = this.#batches[0]?.baseOffset ?? 0;
  }

  clear(): void {
    this.#batches = [];
    this.#positionsEnd = 0;
    this.#last = 0;
    this.#open = undefined;
    this.first = 0;
    this.end = 0;
    this.bytes = 0;
  }

  has(offset: number): boolean {
    return offset >= this.first && offset < this.end;
  }

  #addSlice(bytes: Uint8Array): void {
    for (let at = 0; at + BATCH_PREFIX_BYTES <= bytes.length; ) {
      const size = wholeBatchSize(bytes, at, bytes.length);
      if (size === 0) break;
      const { baseOffset, recordCount: count } = readBatchHeader(bytes, at, this.#header);
      const end = at + size;
      this.#batches.push({ bytes, at, end, baseOffset, count, positionsAt: UNKNOWN });
      this.end = baseOffset + count;
      this.bytes += size;
      at = end;
    }
  }

  /** Puts the reader on the record of that offset, which is here. False if its bytes are no record. */
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
    return reader.nextAt(position) && reader.offset === offset;
  }

  #index(batch: FetchedBatch): boolean {
    const at = this.#positionsEnd;
    const end = at + batch.count;
    if (end > this.#positions.length) this.#positions = growInts(this.#positions, end);
    if (!this.reader.positions(this.#positions, at)) return false;
    batch.positionsAt = at;
    this.#positionsEnd = end;
    return true;
  }

  #find(offset: number): FetchedBatch | undefined {
    const batches = this.#batches;
    let at = this.#last;
    if (at >= batches.length || batches[at]!.baseOffset > offset) at = 0;
    for (; at < batches.length; at += 1) {
      const batch = batches[at]!;
      if (offset >= batch.baseOffset + batch.count) continue;
      this.#last = at;
      return offset >= batch.baseOffset ? batch : undefined;
    }
    return undefined;
  }
}
