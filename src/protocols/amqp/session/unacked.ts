// The deliveries of one channel that its client has not settled, as columns: what is needed to tell the queue, by
// delivery tag. Tags grow by one; those without a row (settled, or delivered without acknowledgement) may leave gaps.
//
// Rows lie in the order of their tags in [#head, #end). One in the middle that is settled stays as a dead row until
// the dead are more than the living: then the living move together, so that one delivery that is held for long costs
// no more than others.
import { assert } from '../../../std/assert.ts';

const ROWS_MIN = 16;
/** Larger columns are given back when nothing is out. */
const ROWS_KEPT_MAX = 4096;
/** The consumer of a row that is settled. */
const DEAD = -1;

export class Unacked {
  /** Rows that are not settled. */
  size = 0;
  tags: Float64Array = new Float64Array(ROWS_MIN);
  /** DEAD, or the number of the consumer. */
  consumers: Int32Array = new Int32Array(ROWS_MIN);
  logIds: Float64Array = new Float64Array(ROWS_MIN);
  offsets: Float64Array = new Float64Array(ROWS_MIN);
  epochs: Float64Array = new Float64Array(ROWS_MIN);
  leases: Float64Array = new Float64Array(ROWS_MIN);
  #head = 0;
  #end = 0;

  /** Rows are in [head, end), dead ones among them. */
  get head(): number {
    return this.#head;
  }

  get end(): number {
    return this.#end;
  }

  isLive(row: number): boolean {
    return this.consumers[row] !== DEAD;
  }

  /** `tag` is above all tags so far. */
  add(
    tag: number,
    consumer: number,
    message: {
      readonly logId: number;
      readonly offset: number;
      readonly epoch: number;
      readonly lease: number;
    },
  ): void {
    if (this.#end === this.tags.length) this.#makeRoom();
    const row = this.#end;
    this.tags[row] = tag;
    this.consumers[row] = consumer;
    this.logIds[row] = message.logId;
    this.offsets[row] = message.offset;
    this.epochs[row] = message.epoch;
    this.leases[row] = message.lease;
    this.#end = row + 1;
    this.size += 1;
  }

  /** The row of a tag that is not settled, or -1. */
  find(tag: number): number {
    const row = this.#atOrBelow(tag);
    return row >= 0 && this.tags[row] === tag && this.consumers[row] !== DEAD ? row : -1;
  }

  /** The row is settled. Rows keep their places until the next `add` or `trim`. */
  settle(row: number): void {
    assert(this.consumers[row] !== DEAD, 'Unacked: a row is settled once');
    this.consumers[row] = DEAD;
    this.size -= 1;
  }

  /** Forgets dead rows at the start, and all dead ones where they are many. */
  trim(): void {
    while (this.#head < this.#end && this.consumers[this.#head] === DEAD) this.#head += 1;
    const rows = this.#end - this.#head;
    if (rows === 0) {
      this.#head = 0;
      this.#end = 0;
      if (this.tags.length > ROWS_KEPT_MAX) this.#resize(ROWS_MIN);
    } else if (rows > ROWS_MIN && rows > 2 * this.size) {
      this.#compact();
    }
  }

  /** The last row whose tag is at most `tag`, or -1. */
  #atOrBelow(tag: number): number {
    const { tags } = this;
    let low = this.#head;
    let high = this.#end;
    if (low === high || tag < tags[low]!) return -1;
    // Without gaps, which is the rule, the first guess is right.
    const guess = low + tag - tags[low]!;
    if (guess < high && tags[guess] === tag) return guess;
    while (high - low > 1) {
      const middle = (low + high) >>> 1;
      if (tags[middle]! <= tag) low = middle;
      else high = middle;
    }
    return low;
  }

  #makeRoom(): void {
    this.#compact();
    if (this.size * 2 > this.tags.length) this.#resize(this.tags.length * 2);
  }

  /** The living move to the start. */
  #compact(): void {
    let to = 0;
    for (let row = this.#head; row < this.#end; row += 1) {
      if (this.consumers[row] === DEAD) continue;
      this.tags[to] = this.tags[row]!;
      this.consumers[to] = this.consumers[row]!;
      this.logIds[to] = this.logIds[row]!;
      this.offsets[to] = this.offsets[row]!;
      this.epochs[to] = this.epochs[row]!;
      this.leases[to] = this.leases[row]!;
      to += 1;
    }
    this.#head = 0;
    this.#end = to;
  }

  #resize(rows: number): void {
    const grown = (old: Float64Array): Float64Array => {
      const column = new Float64Array(rows);
      column.set(old.subarray(0, Math.min(this.#end, rows)));
      return column;
    };
    this.tags = grown(this.tags);
    this.logIds = grown(this.logIds);
    this.offsets = grown(this.offsets);
    this.epochs = grown(this.epochs);
    this.leases = grown(this.leases);
    const consumers = new Int32Array(rows);
    consumers.set(this.consumers.subarray(0, Math.min(this.#end, rows)));
    this.consumers = consumers;
  }
}
