// The sparse index of one segment: an entry every 32 KiB or more, for offsets and for times. Derived
// from the batches, kept as plain columns, trusted from its file only if everything in it matches.
//
// File, little endian: 0 magic u32 | 4 version u32 | 8 log id u64 | 16 base offset u64 | 24 generation u32
// 28 entries u32 | 32 segment bytes covered u64 | 40 next offset u64 | 48 max timestamp i64 | 56 its offset
// u64 | 64 CRC-32C of all but itself | 68 entries: offset u64, position u64, max timestamp before i64.
import {
  readI64le,
  readU32le,
  readU64le,
  writeI64le,
  writeU32le,
  writeU64le,
} from '../std/bytes.ts';
import type { Crc32c } from '../std/crc32c.ts';

/** "CBSI". */
const INDEX_MAGIC = 0x49534243;
const INDEX_VERSION = 1;
const HEADER_BYTES = 68;
const ENTRY_BYTES = 24;
const INDEX_INTERVAL_BYTES = 32 * 1024;

export interface SegmentName {
  readonly logId: number;
  readonly baseOffset: number;
  readonly generation: number;
}

export class SparseIndex {
  #count = 0;
  #offsets = new Float64Array(4);
  #positions = new Float64Array(4);
  /** Largest timestamp of all batches before the entry: a time at or below it is found earlier. */
  #timesBefore = new Float64Array(4);
  /** Segment bytes that the index knows, and the offset after the last batch in them. */
  coveredBytes: number;
  nextOffset: number;
  maxTimestampMs = -1;
  /** Base offset of the first batch that reaches `maxTimestampMs`. */
  maxTimestampOffset = 0;

  constructor(startPosition: number, baseOffset: number) {
    this.coveredBytes = startPosition;
    this.nextOffset = baseOffset;
  }

  get count(): number {
    return this.#count;
  }

  /** Counts in the batch at `position`, which must be the end of what is covered. */
  add(position: number, size: number, base: number, next: number, timestampMs: number): void {
    const last = this.#count === 0 ? -INDEX_INTERVAL_BYTES : this.#positions[this.#count - 1]!;
    if (position - last >= INDEX_INTERVAL_BYTES || this.#count === 0) {
      this.#push(base, position, this.maxTimestampMs);
    }
    if (timestampMs > this.maxTimestampMs) {
      this.maxTimestampMs = timestampMs;
      this.maxTimestampOffset = base;
    }
    this.coveredBytes = position + size;
    this.nextOffset = next;
  }

  #push(offset: number, position: number, timeBefore: number): void {
    const count = this.#count;
    if (count === this.#offsets.length) {
      this.#offsets = grown(this.#offsets);
      this.#positions = grown(this.#positions);
      this.#timesBefore = grown(this.#timesBefore);
    }
    this.#offsets[count] = offset;
    this.#positions[count] = position;
    this.#timesBefore[count] = timeBefore;
    this.#count = count + 1;
  }

  /** A position of a batch at or before the one that holds `offset`; -1 if the index is empty. */
  positionForOffset(offset: number): number {
    const entry = lastAtMost(this.#offsets, this.#count, offset);
    return this.#count === 0 ? -1 : this.#positions[Math.max(0, entry)]!;
  }

  /** The last indexed batch position at or below `position`. */
  positionAtMost(position: number): number {
    const entry = lastAtMost(this.#positions, this.#count, position);
    return this.#count === 0 ? -1 : this.#positions[Math.max(0, entry)]!;
  }

  /** A position of a batch at or before the first one whose largest timestamp is at least `timeMs`. */
  positionForTime(timeMs: number): number {
    let entry = this.#count - 1;
    while (entry > 0 && this.#timesBefore[entry]! >= timeMs) entry -= 1;
    return entry < 0 ? -1 : this.#positions[entry]!;
  }

  encode(name: SegmentName, crc32c: Crc32c): Uint8Array {
    const bytes = new Uint8Array(HEADER_BYTES + this.#count * ENTRY_BYTES);
    writeU32le(bytes, 0, INDEX_MAGIC);
    writeU32le(bytes, 4, INDEX_VERSION);
    writeU64le(bytes, 8, name.logId);
    writeU64le(bytes, 16, name.baseOffset);
    writeU32le(bytes, 24, name.generation);
    writeU32le(bytes, 28, this.#count);
    writeU64le(bytes, 32, this.coveredBytes);
    writeU64le(bytes, 40, this.nextOffset);
    writeI64le(bytes, 48, this.maxTimestampMs);
    writeU64le(bytes, 56, this.maxTimestampOffset);
    for (let i = 0; i < this.#count; i += 1) {
      const at = HEADER_BYTES + i * ENTRY_BYTES;
      writeU64le(bytes, at, this.#offsets[i]!);
      writeU64le(bytes, at + 8, this.#positions[i]!);
      writeI64le(bytes, at + 16, this.#timesBefore[i]!);
    }
    writeU32le(bytes, 64, sumOf(bytes, crc32c));
    return bytes;
  }

  /** The index in `bytes`, or undefined if it is none or that of another segment. */
  static decode(bytes: Uint8Array, name: SegmentName, crc32c: Crc32c): SparseIndex | undefined {
    const found = SparseIndex.read(bytes, crc32c);
    const isOurs =
      found?.name.logId === name.logId &&
      found.name.baseOffset === name.baseOffset &&
      found.name.generation === name.generation;
    return isOurs ? found.index : undefined;
  }

  /** The index in `bytes` and whose it says it is; undefined if it fails its check. */
  static read(
    bytes: Uint8Array,
    crc32c: Crc32c,
  ): { readonly name: SegmentName; readonly index: SparseIndex } | undefined {
    if (bytes.length < HEADER_BYTES || readU32le(bytes, 0) !== INDEX_MAGIC) return undefined;
    if (readU32le(bytes, 4) !== INDEX_VERSION) return undefined;
    if (readU32le(bytes, 64) !== sumOf(bytes, crc32c)) return undefined;
    const count = readU32le(bytes, 28);
    if (bytes.length !== HEADER_BYTES + count * ENTRY_BYTES) return undefined;
    const name: SegmentName = {
      logId: readU64le(bytes, 8),
      baseOffset: readU64le(bytes, 16),
      generation: readU32le(bytes, 24),
    };
    const index = new SparseIndex(readU64le(bytes, 32), readU64le(bytes, 40));
    index.maxTimestampMs = readI64le(bytes, 48);
    index.maxTimestampOffset = readU64le(bytes, 56);
    for (let i = 0; i < count; i += 1) {
      const at = HEADER_BYTES + i * ENTRY_BYTES;
      index.#push(readU64le(bytes, at), readU64le(bytes, at + 8), readI64le(bytes, at + 16));
    }
    return { name, index };
  }

  *entries(): Generator<{
    readonly offset: number;
    readonly position: number;
    readonly maxTimestampBeforeMs: number;
  }> {
    for (let i = 0; i < this.#count; i += 1) {
      yield {
        offset: this.#offsets[i]!,
        position: this.#positions[i]!,
        maxTimestampBeforeMs: this.#timesBefore[i]!,
      };
    }
  }
}

function sumOf(bytes: Uint8Array, crc32c: Crc32c): number {
  return crc32c(bytes, HEADER_BYTES, bytes.length, crc32c(bytes, 0, 64));
}

function grown(column: Float64Array): Float64Array<ArrayBuffer> {
  const larger = new Float64Array(column.length * 2);
  larger.set(column);
  return larger;
}

/** Index of the last of the first `count` ascending values that is at most `value`; -1 if none. */
function lastAtMost(values: Float64Array, count: number, value: number): number {
  let low = 0;
  let high = count;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (values[middle]! <= value) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}
