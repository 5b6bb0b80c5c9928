// Writes fields one after another into an array that grows by doubling. Big endian unless the name
// ends in `le`. `finish` lends the written part: the next write may overwrite it after a `reset`.
import * as ops from './byte-ops.js';
import { utf8Size, writeUtf8 } from './utf8.js';
import { writeVarI53, writeVarU53 } from './varint.js';
const VARINT_BYTES_MAX = 8;
export class ByteWriter {
    /** The whole array; only [0, size) was written. Replaced when it grows. */
    bytes;
    /** Bytes written, and the position of the next one. */
    size = 0;
    constructor(capacity = 256) {
        this.bytes = new Uint8Array(capacity);
    }
    /** Makes room for `count` bytes, moves over them and returns where they start. */
    reserve(count) {
        const start = this.size;
        const end = start + count;
        if (end > this.bytes.length)
            this.#grow(end);
        this.size = end;
        return start;
    }
    reset() {
        this.size = 0;
    }
    /** The written part, lent until the next write after a reset. */
    finish() {
        return this.bytes.subarray(0, this.size);
    }
    /** A copy of the written part. */
    toBytes() {
        return this.bytes.slice(0, this.size);
    }
    u8(value) {
        // Two steps: `this.bytes` may be another array after `reserve`.
        const at = this.reserve(1);
        this.bytes[at] = value;
    }
    u16(value) {
        const at = this.reserve(2);
        ops.writeU16(this.bytes, at, value);
    }
    /** Low 32 bits: signed or unsigned. */
    u32(value) {
        const at = this.reserve(4);
        ops.writeU32(this.bytes, at, value);
    }
    /** Throws {@link ops.BytesError} unless `value` is in [0, 2^53 - 1]. */
    u64(value) {
        const at = this.reserve(8);
        ops.writeU64(this.bytes, at, value);
    }
    /** Throws {@link ops.BytesError} unless `value` is a safe integer. */
    i64(value) {
        const at = this.reserve(8);
        ops.writeI64(this.bytes, at, value);
    }
    i16(value) {
        this.u16(value);
    }
    i32(value) {
        this.u32(value);
    }
    f64(value) {
        const at = this.reserve(8);
        new DataView(this.bytes.buffer, this.bytes.byteOffset + at, 8).setFloat64(0, value);
    }
    u16le(value) {
        const at = this.reserve(2);
        ops.writeU16le(this.bytes, at, value);
    }
    u32le(value) {
        const at = this.reserve(4);
        ops.writeU32le(this.bytes, at, value);
    }
    u64le(value) {
        const at = this.reserve(8);
        ops.writeU64le(this.bytes, at, value);
    }
    i64le(value) {
        const at = this.reserve(8);
        ops.writeI64le(this.bytes, at, value);
    }
    /** Unsigned varint of an integer in [0, 2^53 - 1]. */
    varU53(value) {
        const at = this.reserve(VARINT_BYTES_MAX);
        this.size = writeVarU53(this.bytes, at, value);
    }
    /** Zigzag varint of a safe integer. */
    varI53(value) {
        const at = this.reserve(VARINT_BYTES_MAX);
        this.size = writeVarI53(this.bytes, at, value);
    }
    raw(bytes) {
        const at = this.reserve(bytes.length);
        this.bytes.set(bytes, at);
    }
    /** The bytes of `text` without a size. Returns how many. */
    utf8(text) {
        const size = utf8Size(text);
        const at = this.reserve(size);
        writeUtf8(text, this.bytes, at);
        return size;
    }
    /** Text behind a varint size. */
    text(text) {
        this.varU53(utf8Size(text));
        this.utf8(text);
    }
    /** Bytes behind a varint size. */
    sized(bytes) {
        this.varU53(bytes.length);
        this.raw(bytes);
    }
    /** Overwrites four bytes written before, such as a length that is known only at the end. */
    patchU32(at, value) {
        ops.writeU32(this.bytes, at, value);
    }
    #grow(sizeMin) {
        const grown = new Uint8Array(Math.max(sizeMin, this.bytes.length * 2, 64));
        grown.set(this.bytes.subarray(0, this.size));
        this.bytes = grown;
    }
}
