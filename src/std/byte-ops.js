// Plain functions over Uint8Array: fixed-width integers, UTF-8, hex, compare. They do not check the
// bounds of a position (ByteReader and ByteWriter do) and never allocate unless they return bytes
// or text. Integers of 64 bits are Numbers here, split in two halves, and never leave the safe
// range.
import { BrokerError } from './errors.js';
/** Bytes that cannot be read as what they should be, or a number that does not fit its field. */
export class BytesError extends BrokerError {
    code;
    constructor(code, message, details) {
        super(message, details);
        this.code = code;
    }
}
const TWO_32 = 0x1_0000_0000;
/** The high half of Number.MAX_SAFE_INTEGER: 2^21 - 1. */
const SAFE_HIGH_MAX = 0x1f_ffff;
export const EMPTY_BYTES = new Uint8Array(0);
export function readU16(bytes, at) {
    return (bytes[at] << 8) | bytes[at + 1];
}
export function readI16(bytes, at) {
    return (((bytes[at] << 8) | bytes[at + 1]) << 16) >> 16;
}
export function readI32(bytes, at) {
    return (bytes[at] << 24) | (bytes[at + 1] << 16) | (bytes[at + 2] << 8) | bytes[at + 3];
}
export function readU32(bytes, at) {
    return readI32(bytes, at) >>> 0;
}
export function readI32le(bytes, at) {
    return bytes[at] | (bytes[at + 1] << 8) | (bytes[at + 2] << 16) | (bytes[at + 3] << 24);
}
export function readU16le(bytes, at) {
    return bytes[at] | (bytes[at + 1] << 8);
}
export function readU32le(bytes, at) {
    return readI32le(bytes, at) >>> 0;
}
export function writeU16(bytes, at, value) {
    bytes[at] = value >>> 8;
    bytes[at + 1] = value;
}
/** Writes the low 32 bits of `value`, so signed and unsigned are the same call. */
export function writeU32(bytes, at, value) {
    bytes[at] = value >>> 24;
    bytes[at + 1] = value >>> 16;
    bytes[at + 2] = value >>> 8;
    bytes[at + 3] = value;
}
export function writeU16le(bytes, at, value) {
    bytes[at] = value;
    bytes[at + 1] = value >>> 8;
}
export function writeU32le(bytes, at, value) {
    bytes[at] = value;
    bytes[at + 1] = value >>> 8;
    bytes[at + 2] = value >>> 16;
    bytes[at + 3] = value >>> 24;
}
/** Joins two halves of a signed 64-bit integer; the nearest double where it is not safe. */
export function joinI64Lossy(high, low) {
    return (high | 0) * TWO_32 + (low >>> 0);
}
function unsafeInteger(high, low) {
    return new BytesError('BYTES_UNSAFE_INTEGER', '64-bit integer beyond 2^53 - 1', { high, low });
}
/** Joins two halves of an unsigned 64-bit integer. Throws {@link BytesError} beyond 2^53 - 1. */
function joinU64(high, low) {
    const unsignedHigh = high >>> 0;
    if (unsignedHigh > SAFE_HIGH_MAX)
        throw unsafeInteger(high, low);
    return unsignedHigh * TWO_32 + (low >>> 0);
}
/** Joins two halves of a signed 64-bit integer. Throws {@link BytesError} outside +-(2^53 - 1). */
function joinI64(high, low) {
    const value = joinI64Lossy(high, low);
    if (!Number.isSafeInteger(value))
        throw unsafeInteger(high, low);
    return value;
}
/** The high 32 bits (signed) of the two's complement form of a safe integer. */
function highHalf(value) {
    return Math.floor(value / TWO_32) | 0;
}
export function readU64(bytes, at) {
    return joinU64(readI32(bytes, at), readI32(bytes, at + 4));
}
export function readI64(bytes, at) {
    return joinI64(readI32(bytes, at), readI32(bytes, at + 4));
}
/** For data that nobody computes with unchecked: never throws. */
export function readI64Lossy(bytes, at) {
    return joinI64Lossy(readI32(bytes, at), readI32(bytes, at + 4));
}
export function readU64le(bytes, at) {
    return joinU64(readI32le(bytes, at + 4), readI32le(bytes, at));
}
export function readI64le(bytes, at) {
    return joinI64(readI32le(bytes, at + 4), readI32le(bytes, at));
}
function requireSafe(value, isSigned) {
    if (!Number.isSafeInteger(value) || (!isSigned && value < 0)) {
        throw new BytesError('BYTES_UNSAFE_INTEGER', 'not a safe 64-bit integer', { value });
    }
}
/** Throws {@link BytesError} unless `value` is an integer in [0, 2^53 - 1]. */
export function writeU64(bytes, at, value) {
    requireSafe(value, false);
    writeU32(bytes, at, highHalf(value));
    writeU32(bytes, at + 4, value);
}
/** Throws {@link BytesError} unless `value` is a safe integer. */
export function writeI64(bytes, at, value) {
    requireSafe(value, true);
    writeU32(bytes, at, highHalf(value));
    writeU32(bytes, at + 4, value);
}
export function writeU64le(bytes, at, value) {
    requireSafe(value, false);
    writeU32le(bytes, at, value);
    writeU32le(bytes, at + 4, highHalf(value));
}
export function writeI64le(bytes, at, value) {
    requireSafe(value, true);
    writeU32le(bytes, at, value);
    writeU32le(bytes, at + 4, highHalf(value));
}
/** Below this a loop is cheaper than the view that a block copy needs. */
const LOOP_BYTES_MAX = 64;
/** Copies [start, end) of `from` to `at` of `into`, which has room, and returns the position behind it. */
export function copyRange(from, start, end, into, at) {
    const size = end - start;
    if (size > LOOP_BYTES_MAX)
        into.set(from.subarray(start, end), at);
    else
        for (let i = 0; i < size; i += 1)
            into[at + i] = from[start + i];
    return at + size;
}
/** One new array with all parts in order. */
export function concatBytes(parts) {
    let size = 0;
    for (const part of parts)
        size += part.length;
    const out = new Uint8Array(size);
    let at = 0;
    for (const part of parts) {
        out.set(part, at);
        at += part.length;
    }
    return out;
}
export function equalBytes(a, b) {
    if (a.length !== b.length)
        return false;
    for (let i = 0; i < a.length; i += 1)
        if (a[i] !== b[i])
            return false;
    return true;
}
export function toHex(bytes) {
    let text = '';
    for (const byte of bytes)
        text += (byte < 16 ? '0' : '') + byte.toString(16);
    return text;
}
