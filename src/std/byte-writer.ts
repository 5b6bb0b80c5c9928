// Writes fields one after another into an array that grows by doubling. Big endian unless the name
// ends in `le`. `finish` lends the written part: the next write may overwrite it after a `reset`. With a
// pool, arrays that are large enough for it come from there and go back when the writer has outgrown them.
import { type BufferPool, POOLED_MIN } from './buffer-pool.ts';
import * as ops from './byte-ops.ts';
import { utf8Size, writeUtf8 } from './utf8.ts';
import { writeVarI53, writeVarU53 } from './varint.ts';

const VARINT_BYTES_MAX = 8;

export class ByteWriter {
  /** The whole array; only [0, size) was written. Replaced when it grows. */
  bytes: Uint8Array;
  /** Bytes written, and the position of the next one. */
  size = 0;
  readonly #pool: BufferPool | undefined;
  /** The largest array that is its own: the writer goes back to it when those of the pool go back. */
  #own: Uint8Array;

  constructor(capacity = 256, pool?: BufferPool) {
    this.#pool = pool;
    this.#own = new Uint8Array(capacity);
    this.bytes = this.#own;
  }

  /** Makes room for `count` bytes, moves over them and returns where they start. */
  reserve(count: number): number {
    const start = this.size;
    const end = start + count;
    if (end > this.bytes.length) this.#grow(end);
    this.size = end;
    return start;
  }

  reset(): void {
    this.size = 0;
  }

  /** Forgets what was written, as everybody has to whom it was lent: memory of the pool goes back there. */
  release(): void {
    this.size = 0;
    if (this.bytes === this.#own) return;
    this.#pool?.give(this.bytes);
    this.bytes = this.#own;
  }

  /** Makes room for `count` bytes if the pool has such an array idle; it is only an expectation. */
  expect(count: number): void {
    if (this.#pool === undefined || this.size + count <= this.bytes.length) return;
    const idle = this.#pool.takeIdle(this.size + count);
    if (idle !== undefined) this.#moveTo(idle);
  }

  /** The written part, lent until the next write after a reset. */
  finish(): Uint8Array {
    return this.bytes.subarray(0, this.size);
  }

  /** A copy of the written part. */
  toBytes(): Uint8Array {
    return this.bytes.slice(0, this.size);
  }

  u8(value: number): void {
    // Two steps: `this.bytes` may be another array after `reserve`.
    const at = this.reserve(1);
    this.bytes[at] = value;
  }

  u16(value: number): void {
    const at = this.reserve(2);
    ops.writeU16(this.bytes, at, value);
  }

  /** Low 32 bits: signed or unsigned. */
  u32(value: number): void {
    const at = this.reserve(4);
    ops.writeU32(this.bytes, at, value);
  }

  /** Throws {@link ops.BytesError} unless `value` is in [0, 2^53 - 1]. */
  u64(value: number): void {
    const at = this.reserve(8);
    ops.writeU64(this.bytes, at, value);
  }

  /** Throws {@link ops.BytesError} unless `value` is a safe integer. */
  i64(value: number): void {
    const at = this.reserve(8);
    ops.writeI64(this.bytes, at, value);
  }

  i16(value: number): void {
    this.u16(value);
  }

  i32(value: number): void {
    this.u32(value);
  }

  f64(value: number): void {
    const at = this.reserve(8);
    new DataView(this.bytes.buffer, this.bytes.byteOffset + at, 8).setFloat64(0, value);
  }

  u16le(value: number): void {
    const at = this.reserve(2);
    ops.writeU16le(this.bytes, at, value);
  }

  u32le(value: number): void {
    const at = this.reserve(4);
    ops.writeU32le(this.bytes, at, value);
  }

  u64le(value: number): void {
    const at = this.reserve(8);
    ops.writeU64le(this.bytes, at, value);
  }

  i64le(value: number): void {
    const at = this.reserve(8);
    ops.writeI64le(this.bytes, at, value);
  }

  /** Unsigned varint of an integer in [0, 2^53 - 1]. */
  varU53(value: number): void {
    const at = this.reserve(VARINT_BYTES_MAX);
    this.size = writeVarU53(this.bytes, at, value);
  }

  /** Zigzag varint of a safe integer. */
  varI53(value: number): void {
    const at = this.reserve(VARINT_BYTES_MAX);
    this.size = writeVarI53(this.bytes, at, value);
  }

  raw(bytes: Uint8Array): void {
    const at = this.reserve(bytes.length);
    this.bytes.set(bytes, at);
  }

  /** The bytes of `text` without a size. Returns how many. */
  utf8(text: string): number {
    const size = utf8Size(text);
    const at = this.reserve(size);
    writeUtf8(text, this.bytes, at);
    return size;
  }

  /** Text behind a varint size. */
  text(text: string): void {
    this.varU53(utf8Size(text));
    this.utf8(text);
  }

  /** Bytes behind a varint size. */
  sized(bytes: Uint8Array): void {
    this.varU53(bytes.length);
    this.raw(bytes);
  }

  /** Overwrites four bytes written before, such as a length that is known only at the end. */
  patchU32(at: number, value: number): void {
    ops.writeU32(this.bytes, at, value);
  }

  #grow(sizeMin: number): void {
    const wanted = Math.max(sizeMin, this.bytes.length * 2, 64);
    if (this.#pool !== undefined && wanted >= POOLED_MIN) {
      this.#moveTo(this.#pool.take(wanted));
      return;
    }
    this.#moveTo(new Uint8Array(wanted));
    this.#own = this.bytes;
  }

  #moveTo(bytes: Uint8Array): void {
    const before = this.bytes;
    bytes.set(before.subarray(0, this.size));
    this.bytes = bytes;
    if (before !== this.#own) this.#pool?.give(before);
  }
}
