// How old and how long a log is, from its start to its end: a short list of extents, each with its bytes and
// the log times of its first and last batch. Part of the replicated state: it follows from the frames alone, so
// every later leader knows when records came in (append time, never a client's), wherever they were copied from.
//
//   count varint | first offset varint | for each: offsets, bytes, ms since the one before, ms that it lasts (varints)
//
// Invariant: extents lie without gap from `#first` on; none that could be closed grows beyond 1/64 of the whole,
// in bytes and in time, and there are never more than 385: what retention takes away is that exact.
import type { ByteReader, ByteWriter } from '../../std/bytes.ts';

/** Smaller or shorter than this no extent is closed. */
const CLOSE_BYTES_MIN = 64 * 1024;
const CLOSE_MS_MIN = 1_000;
const SHARE = 64;
/**
 * No two neighbours fit into one share, in bytes or in time, after they were thinned: of disjoint pairs there are
 * fewer than 64 + 64, so that at most 256 are left, and a good part of this limit is free again.
 */
const COUNT_MAX = 384;

/** What retention keeps; `Infinity`: no limit. */
export interface RetentionLimits {
  readonly ageMs: number;
  readonly bytes: number;
  /** What one move of the start takes away at most, or one extent. */
  readonly stepBytes: number;
}

export class Extents {
  #first = 0;
  /** Offset after the last batch, bytes, and log times of the first and the last batch. */
  #ends: number[] = [];
  #bytes: number[] = [];
  #sinceMs: number[] = [];
  #lastMs: number[] = [];
  #totalBytes = 0;

  get count(): number {
    return this.#ends.length;
  }

  get totalBytes(): number {
    return this.#totalBytes;
  }

  /** The offset after the oldest extent; undefined for an empty log. */
  get oldestEnd(): number | undefined {
    return this.#ends[0];
  }

  /** A batch that ends before `nextOffset` was appended at that log time, which never goes back. */
  add(nextOffset: number, bytes: number, logTimeMs: number): void {
    const last = this.#ends.length - 1;
    this.#totalBytes += bytes;
    if (last < 0 || this.#isClosed(last, logTimeMs)) {
      this.#ends.push(nextOffset);
      this.#bytes.push(bytes);
      this.#sinceMs.push(logTimeMs);
      this.#lastMs.push(logTimeMs);
      if (this.#ends.length > COUNT_MAX) this.#thin();
      return;
    }
    this.#ends[last] = nextOffset;
    this.#bytes[last]! += bytes;
    this.#lastMs[last] = logTimeMs;
  }

  /** Log time has gone on by so much more than is known to have passed: nothing has become older by that. */
  skew(skewMs: number): void {
    for (let at = 0; at < this.#ends.length; at += 1) {
      this.#sinceMs[at]! += skewMs;
      this.#lastMs[at]! += skewMs;
    }
  }

  #isClosed(at: number, nowMs: number): boolean {
    const spanMs = nowMs - this.#sinceMs[at]!;
    return (
      this.#bytes[at]! >= Math.max(CLOSE_BYTES_MIN, this.#totalBytes / SHARE) ||
      spanMs >= Math.max(CLOSE_MS_MIN, (nowMs - this.#sinceMs[0]!) / SHARE)
    );
  }

  /** Joins neighbours that are together no larger than an extent may be now. */
  #thin(): void {
    const [ends, bytes, sinceMs, lastMs] = [this.#ends, this.#bytes, this.#sinceMs, this.#lastMs];
    const bytesMax = Math.max(CLOSE_BYTES_MIN, this.#totalBytes / SHARE);
    const spanMax = Math.max(CLOSE_MS_MIN, (lastMs[lastMs.length - 1]! - sinceMs[0]!) / SHARE);
    let kept = 0;
    for (let at = 1; at < ends.length; at += 1) {
      const fits = bytes[kept]! + bytes[at]! <= bytesMax && lastMs[at]! - sinceMs[kept]! <= spanMax;
      if (!fits) {
        kept += 1;
        bytes[kept] = bytes[at]!;
        sinceMs[kept] = sinceMs[at]!;
      } else bytes[kept]! += bytes[at]!;
      ends[kept] = ends[at]!;
      lastMs[kept] = lastMs[at]!;
    }
    for (const column of [ends, bytes, sinceMs, lastMs]) column.length = kept + 1;
  }

  /** The log starts at `offset` now. What is left of an extent that it cuts keeps its share of the bytes. */
  dropBelow(offset: number): void {
    let drop = 0;
    while (drop < this.#ends.length && this.#ends[drop]! <= offset) drop += 1;
    for (let at = 0; at < drop; at += 1) this.#totalBytes -= this.#bytes[at]!;
    const from = drop === 0 ? this.#first : this.#ends[drop - 1]!;
    if (drop > 0) {
      for (const column of [this.#ends, this.#bytes, this.#sinceMs, this.#lastMs]) {
        column.splice(0, drop);
      }
    }
    const end = this.#ends[0];
    if (end !== undefined && offset > from) {
      const gone = Math.floor((this.#bytes[0]! * (offset - from)) / (end - from));
      this.#bytes[0]! -= gone;
      this.#totalBytes -= gone;
    }
    this.#first = Math.max(this.#first, offset);
  }

  /**
   * Where the log may start by these limits at the log time `nowMs`: at the end of an extent at or below
   * `limitOffset`. Whole extents go while the rest is still as long as asked (the newest one stays), or when
   * their newest batch is too old. Undefined: all stays.
   */
  startFor(
    { ageMs, bytes, stepBytes }: RetentionLimits,
    nowMs: number,
    limitOffset: number,
  ): number | undefined {
    let left = this.#totalBytes;
    let goneBytes = 0;
    let start: number | undefined;
    for (let at = 0; at < this.#ends.length && this.#ends[at]! <= limitOffset; at += 1) {
      const size = this.#bytes[at]!;
      const isTooOld = this.#lastMs[at]! + ageMs <= nowMs;
      const isTooMuch = left - size >= bytes && at < this.#ends.length - 1;
      const isFull = start !== undefined && goneBytes + size > stepBytes;
      if (isFull || !(isTooOld || isTooMuch)) break;
      left -= size;
      goneBytes += size;
      start = this.#ends[at]!;
    }
    return start;
  }

  /** Below it everything was appended at `timeMs` or before. */
  endAt(timeMs: number): number {
    let end = this.#first;
    for (let at = 0; at < this.#ends.length && this.#lastMs[at]! <= timeMs; at += 1) {
      end = this.#ends[at]!;
    }
    return end;
  }

  /** The earliest time at which the batch at `offset` may have been appended; undefined: none is there. */
  sinceMs(offset: number): number | undefined {
    const at = this.#ends.findIndex((end) => end > offset);
    return this.#sinceMs[at];
  }

  /** How long until `startFor` may find something, without a limit of offsets; Infinity: not by waiting. */
  dueInMs({ ageMs, bytes }: RetentionLimits, nowMs: number): number {
    if (this.#ends.length === 0) return Number.POSITIVE_INFINITY;
    if (this.#ends.length > 1 && this.#totalBytes - this.#bytes[0]! >= bytes) return 0;
    return Math.max(0, this.#lastMs[0]! + ageMs - nowMs);
  }

  put(out: ByteWriter): void {
    out.varU53(this.#ends.length);
    out.varU53(this.#first);
    let offset = this.#first;
    let timeMs = 0;
    for (let at = 0; at < this.#ends.length; at += 1) {
      out.varU53(this.#ends[at]! - offset);
      out.varU53(this.#bytes[at]!);
      out.varU53(this.#sinceMs[at]! - timeMs);
      out.varU53(this.#lastMs[at]! - this.#sinceMs[at]!);
      offset = this.#ends[at]!;
      timeMs = this.#lastMs[at]!;
    }
  }

  /** Throws BytesError or RangeError for bytes that `put` has not written. */
  static get(from: ByteReader): Extents {
    const extents = new Extents();
    const count = from.varU53();
    extents.#first = from.varU53();
    let offset = extents.#first;
    let timeMs = 0;
    for (let at = 0; at < count; at += 1) {
      offset += from.varU53();
      const bytes = from.varU53();
      const sinceMs = timeMs + from.varU53();
      timeMs = sinceMs + from.varU53();
      extents.#ends.push(offset);
      extents.#bytes.push(bytes);
      extents.#sinceMs.push(sinceMs);
      extents.#lastMs.push(timeMs);
      extents.#totalBytes += bytes;
    }
    return extents;
  }

  /** Of a log whose past nobody has written down: what is there counts as new when the next batch comes. */
  static from(startOffset: number): Extents {
    const extents = new Extents();
    extents.#first = startOffset;
    return extents;
  }
}
