// Where the frames of one log are: columns in a ring, a slot per seq from behind the anchor to the end.
// The anchor is the frame before the first one, whose place is forgotten but whose epoch, chain and
// offset are needed to go on. A table without frames holds no arrays: idle logs cost nothing here.

const NO_F64 = new Float64Array(0);
const NO_U32 = new Uint32Array(0);
const NO_I32 = new Int32Array(0);
/** Columns of 64 bytes at most lie in the heap. */
const FIRST_CAPACITY = 8;

/** What is known of the frame before the first one in the table. */
export interface Anchor {
  readonly seq: number;
  readonly epoch: number;
  /** First seq of that epoch, as far as known. */
  readonly epochFirstSeq: number;
  readonly chain: number;
  readonly nextOffset: number;
  readonly logTimeMs: number;
}

export const NO_ANCHOR: Anchor = {
  seq: 0,
  epoch: 0,
  epochFirstSeq: 0,
  chain: 0,
  nextOffset: 0,
  logTimeMs: 0,
};

/** `chunk` of a frame that is in the WAL files only. */
export const COLD = -1;

export class FrameTable {
  anchor: Anchor = NO_ANCHOR;
  endSeq = 0;
  #capacity = 0;
  /** Position in the WAL; 0 in a table under recovery = not seen; unused for logs in memory. */
  lsn = NO_F64;
  nextOffset = NO_F64;
  logTimeMs = NO_F64;
  chain = NO_U32;
  epoch = NO_I32;
  payloadLength = NO_U32;
  batchLength = NO_U32;
  /** Chunk id, or COLD. */
  chunk = NO_I32;
  /** Position of the frame header in its chunk. */
  at = NO_U32;

  get firstSeq(): number {
    return this.anchor.seq + 1;
  }

  slot(seq: number): number {
    return seq % this.#capacity;
  }

  has(seq: number): boolean {
    return seq > this.anchor.seq && seq <= this.endSeq;
  }

  /** Makes `seq` a row (and the end, if it is above it) and returns its slot, with stale contents. */
  extendTo(seq: number): number {
    const count = seq - this.anchor.seq;
    if (count > this.#capacity) this.#grow(count);
    for (let fresh = this.endSeq + 1; fresh <= seq; fresh += 1) {
      const slot = fresh % this.#capacity;
      this.lsn[slot] = 0;
      this.chunk[slot] = COLD;
    }
    if (seq > this.endSeq) this.endSeq = seq;
    return seq % this.#capacity;
  }

  cut(toSeq: number): void {
    if (toSeq < this.endSeq) this.endSeq = Math.max(toSeq, this.anchor.seq);
    if (this.endSeq === this.anchor.seq) this.#drop();
  }

  /** Forgets the frames up to `seq`, which becomes the anchor. */
  trim(anchor: Anchor): void {
    this.anchor = anchor;
    if (anchor.seq >= this.endSeq) {
      this.endSeq = anchor.seq;
      this.#drop();
    }
  }

  reset(anchor: Anchor): void {
    this.anchor = anchor;
    this.endSeq = anchor.seq;
    this.#drop();
  }

  chainAt(seq: number): number | undefined {
    if (seq === this.anchor.seq) return this.anchor.chain;
    return this.has(seq) ? this.chain[this.slot(seq)] : undefined;
  }

  offsetAt(seq: number): number | undefined {
    if (seq === this.anchor.seq) return this.anchor.nextOffset;
    return this.has(seq) ? this.nextOffset[this.slot(seq)] : undefined;
  }

  epochAt(seq: number): number | undefined {
    if (seq === this.anchor.seq) return this.anchor.epoch;
    return this.has(seq) ? this.epoch[this.slot(seq)] : undefined;
  }

  logTimeAt(seq: number): number | undefined {
    if (seq === this.anchor.seq) return this.anchor.logTimeMs;
    return this.has(seq) ? this.logTimeMs[this.slot(seq)] : undefined;
  }

  /** The first seq in [from, endSeq] whose next offset is above `offset`; endSeq + 1 if none. */
  seqOfOffset(offset: number, from: number): number {
    let low = Math.max(from, this.anchor.seq + 1);
    let high = this.endSeq + 1;
    while (low < high) {
      const middle = Math.floor((low + high) / 2);
      if (this.nextOffset[this.slot(middle)]! > offset) high = middle;
      else low = middle + 1;
    }
    return low;
  }

  #drop(): void {
    if (this.#capacity === 0) return;
    this.#capacity = 0;
    this.lsn = this.nextOffset = this.logTimeMs = NO_F64;
    this.chain = this.payloadLength = this.batchLength = this.at = NO_U32;
    this.epoch = this.chunk = NO_I32;
  }

  #grow(count: number): void {
    let capacity = Math.max(FIRST_CAPACITY, this.#capacity);
    while (capacity < count) capacity *= 2;
    const first = this.anchor.seq + 1;
    const rows = {
      first,
      count: this.endSeq - this.anchor.seq,
      from: this.#capacity,
      to: capacity,
    };
    this.lsn = moved(this.lsn, new Float64Array(capacity), rows);
    this.nextOffset = moved(this.nextOffset, new Float64Array(capacity), rows);
    this.logTimeMs = moved(this.logTimeMs, new Float64Array(capacity), rows);
    this.chain = moved(this.chain, new Uint32Array(capacity), rows);
    this.epoch = moved(this.epoch, new Int32Array(capacity), rows);
    this.payloadLength = moved(this.payloadLength, new Uint32Array(capacity), rows);
    this.batchLength = moved(this.batchLength, new Uint32Array(capacity), rows);
    this.chunk = moved(this.chunk, new Int32Array(capacity), rows);
    this.at = moved(this.at, new Uint32Array(capacity), rows);
    this.#capacity = capacity;
  }
}

/** Puts the rows of `count` seqs from `first` on from a ring of `from` slots into one of `to`, piece by piece. */
function moved<Column extends Float64Array | Uint32Array | Int32Array>(
  old: Column,
  column: Column,
  rows: {
    readonly first: number;
    readonly count: number;
    readonly from: number;
    readonly to: number;
  },
): Column {
  for (let done = 0; done < rows.count; ) {
    const from = (rows.first + done) % rows.from;
    const to = (rows.first + done) % rows.to;
    const length = Math.min(rows.count - done, rows.from - from, rows.to - to);
    column.set(old.subarray(from, from + length), to);
    done += length;
  }
  return column;
}
