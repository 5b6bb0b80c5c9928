// Reads fields one after another from a byte range. Every read checks the end of the range first,
// so bad input ends in a BytesError and never in a wrong value. Big endian unless the name ends in
// `le`.
import * as ops from './byte-ops.ts';
import { readUtf8 } from './utf8.ts';
import { type Cursor, readVarI32, readVarI53, readVarU32, readVarU53 } from './varint.ts';

export class ByteReader implements Cursor {
  bytes: Uint8Array;
  at: number;
  end: number;

  constructor(bytes: Uint8Array, start = 0, end = bytes.length) {
    this.bytes = bytes;
    this.at = start;
    this.end = end;
  }

  /** Points the reader at another range, so that one reader serves many. */
  reset(bytes: Uint8Array, start = 0, end = bytes.length): void {
    this.bytes = bytes;
    this.at = start;
    this.end = end;
  }

  get remaining(): number {
    return this.end - this.at;
  }

  /**
   * Moves over `size` bytes and returns where they start. Throws {@link ops.BytesError} if they are
   * not there.
   */
  take(size: number): number {
    const start = this.at;
    if (size < 0 || size > this.end - start) {
      throw new ops.BytesError('BYTES_TRUNCATED', 'input ends inside a field', {
        at: start,
        wanted: size,
        remaining: this.end - start,
      });
    }
    this.at = start + size;
    return start;
  }

  u8(): number {
    return this.bytes[this.take(1)]!;
  }

  i8(): number {
    return (this.bytes[this.take(1)]! << 24) >> 24;
  }

  u16(): number {
    return ops.readU16(this.bytes, this.take(2));
  }

  i16(): number {
    return ops.readI16(this.bytes, this.take(2));
  }

  u32(): number {
    return ops.readU32(this.bytes, this.take(4));
  }

  i32(): number {
    return ops.readI32(this.bytes, this.take(4));
  }

  u64(): number {
    return ops.readU64(this.bytes, this.take(8));
  }

  i64(): number {
    return ops.readI64(this.bytes, this.take(8));
  }

  f64(): number {
    const at = this.take(8);
    return new DataView(this.bytes.buffer, this.bytes.byteOffset + at, 8).getFloat64(0);
  }

  u16le(): number {
    return ops.readU16le(this.bytes, this.take(2));
  }

  u32le(): number {
    return ops.readU32le(this.bytes, this.take(4));
  }

  i32le(): number {
    return ops.readI32le(this.bytes, this.take(4));
  }

  u64le(): number {
    return ops.readU64le(this.bytes, this.take(8));
  }

  i64le(): number {
    return ops.readI64le(this.bytes, this.take(8));
  }

  varU32(): number {
    return readVarU32(this.bytes, this);
  }

  varI32(): number {
    return readVarI32(this.bytes, this);
  }

  varU53(): number {
    return readVarU53(this.bytes, this);
  }

  varI53(): number {
    return readVarI53(this.bytes, this);
  }

  /** A view of the next `size` bytes, not a copy. */
  view(size: number): Uint8Array {
    const start = this.take(size);
    return this.bytes.subarray(start, start + size);
  }

  copy(size: number): Uint8Array {
    const start = this.take(size);
    // Not `slice`: that of a Buffer is a view.
    const copied = new Uint8Array(size);
    copied.set(this.bytes.subarray(start, start + size));
    return copied;
  }

  /** The next `size` bytes as text. */
  utf8(size: number): string {
    const start = this.take(size);
    return readUtf8(this.bytes, start, start + size);
  }

  /** Text behind a varint size, as ByteWriter.text writes it. */
  text(): string {
    return this.utf8(this.varU32());
  }

  /** A view of bytes behind a varint size, as ByteWriter.sized writes it. */
  sized(): Uint8Array {
    return this.view(this.varU32());
  }

  skip(size: number): void {
    this.take(size);
  }
}
