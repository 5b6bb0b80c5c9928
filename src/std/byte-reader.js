// Reads fields one after another from a byte range. Every read checks the end of the range first,
// so bad input ends in a BytesError and never in a wrong value. Big endian unless the name ends in
// `le`.
import * as ops from './byte-ops.js';
import { readUtf8 } from './utf8.js';
import { readVarI32, readVarI53, readVarU32, readVarU53 } from './varint.js';
export class ByteReader {
    bytes;
    at;
    end;
    constructor(bytes, start = 0, end = bytes.length) {
        this.bytes = bytes;
        this.at = start;
        this.end = end;
    }
    /** Points the reader at another range, so that one reader serves many. */
    reset(bytes, start = 0, end = bytes.length) {
        this.bytes = bytes;
        this.at = start;
        this.end = end;
    }
    get remaining() {
        return this.end - this.at;
    }
    /**
     * Moves over `size` bytes and returns where they start. Throws {@link ops.BytesError} if they are
     * not there.
     */
    take(size) {
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
    u8() {
        return this.bytes[this.take(1)];
    }
    i8() {
        return (this.bytes[this.take(1)] << 24) >> 24;
    }
    u16() {
        return ops.readU16(this.bytes, this.take(2));
    }
    i16() {
        return ops.readI16(this.bytes, this.take(2));
    }
    u32() {
        return ops.readU32(this.bytes, this.take(4));
    }
    i32() {
        return ops.readI32(this.bytes, this.take(4));
    }
    u64() {
        return ops.readU64(this.bytes, this.take(8));
    }
    i64() {
        return ops.readI64(this.bytes, this.take(8));
    }
    f64() {
        const at = this.take(8);
        return new DataView(this.bytes.buffer, this.bytes.byteOffset + at, 8).getFloat64(0);
    }
    u16le() {
        return ops.readU16le(this.bytes, this.take(2));
    }
    u32le() {
        return ops.readU32le(this.bytes, this.take(4));
    }
    i32le() {
        return ops.readI32le(this.bytes, this.take(4));
    }
    u64le() {
        return ops.readU64le(this.bytes, this.take(8));
    }
    i64le() {
        return ops.readI64le(this.bytes, this.take(8));
    }
    varU32() {
        return readVarU32(this.bytes, this);
    }
    varI32() {
        return readVarI32(this.bytes, this);
    }
    varU53() {
        return readVarU53(this.bytes, this);
    }
    varI53() {
        return readVarI53(this.bytes, this);
    }
    /** A view of the next `size` bytes, not a copy. */
    view(size) {
        const start = this.take(size);
        return this.bytes.subarray(start, start + size);
    }
    copy(size) {
        const start = this.take(size);
        return this.bytes.slice(start, start + size);
    }
    /** The next `size` bytes as text. */
    utf8(size) {
        const start = this.take(size);
        return readUtf8(this.bytes, start, start + size);
    }
    /** Text behind a varint size, as ByteWriter.text writes it. */
    text() {
        return this.utf8(this.varU32());
    }
    /** A view of bytes behind a varint size, as ByteWriter.sized writes it. */
    sized() {
        return this.view(this.varU32());
    }
    skip(size) {
        this.take(size);
    }
}
