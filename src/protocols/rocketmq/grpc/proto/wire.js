// The wire of Protocol Buffers (protobuf.dev/programming-guides/encoding): a message is a sequence of
//
//   tag varint: (field number << 3) | wire type     value by its wire type:
//     0 varint, up to 10 bytes     1 eight bytes, little endian     2 varint size and so many bytes
//     3 group up to its 4 (old)    5 four bytes, little endian      6, 7 do not exist
//
// Reader and writer know wire types only, no schemas. Varints are two halves of 32 bits, never BigInt.
import { ByteReader, BytesError, ByteWriter } from '../../../../std/bytes.js';
import { BrokerError } from '../../../../std/errors.js';
import { varU53Size, writeVarU53 } from '../../../../std/varint.js';
/** Bytes are no message of the schema, or go beyond a bound; `PROTO_OUT_OF_RANGE`: a 64-bit integer beyond 2^53 - 1. */
export class ProtoError extends BrokerError {
    code;
    constructor(code, message, details, cause) {
        super(message, details, cause);
        this.code = code;
    }
}
export const VARINT = 0;
const FIXED64 = 1;
export const SIZED = 2;
const GROUP = 3;
const END_GROUP = 4;
export const FIXED32 = 5;
/** Nested messages and groups; what the official implementations allow is 100. */
export const NESTING_MAX = 32;
/** Repeated items and map entries of one whole message: each costs an object, however few its bytes. */
export const ITEMS_MAX = 65_536;
const TWO_32 = 0x1_0000_0000;
const FIELD_NUMBER_MAX = 0x1fff_ffff;
/** The number that no field has. */
const NO_FIELD = 0;
export class ProtoReader extends ByteReader {
    /** The halves of the last varint. */
    low = 0;
    high = 0;
    /** Number and wire type of the last tag. */
    field = NO_FIELD;
    wireType = VARINT;
    #depth = 0;
    #itemsLeft = ITEMS_MAX;
    /** Reads the next tag into `field` and `wireType`. False at the end of the range. */
    nextTag() {
        if (this.at === this.end)
            return false;
        this.varint();
        this.wireType = this.low & 7;
        this.field = this.low >>> 3;
        if (this.high !== 0 || this.field === NO_FIELD || this.field > FIELD_NUMBER_MAX) {
            throw new ProtoError('PROTO_BAD_VALUE', 'a tag without a field number', { at: this.at });
        }
        return true;
    }
    /** Reads a varint of up to 64 bits into `low` and `high`. */
    varint() {
        const { bytes, end } = this;
        let at = this.at;
        if (at < end && bytes[at] < 0x80) {
            this.low = bytes[at];
            this.high = 0;
            this.at = at + 1;
            return;
        }
        let low = 0;
        let high = 0;
        for (let shift = 0; shift < 70; shift += 7) {
            if (at >= end)
                throw truncated(this);
            const byte = bytes[at++];
            const group = byte & 0x7f;
            if (shift < 32)
                low |= group << shift;
            // The group of bits 28 to 34 lies in both halves.
            if (shift === 28)
                high = group >>> 4;
            else if (shift > 28)
                high |= group << (shift - 32);
            if (byte < 0x80) {
                if (shift === 63 && byte > 1)
                    break;
                this.low = low >>> 0;
                this.high = high >>> 0;
                this.at = at;
                return;
            }
        }
        throw new ProtoError('PROTO_BAD_VALUE', 'a varint has more than 64 bits', { at: this.at });
    }
    /** A varint as int32 or enum: the lower half, as every implementation does. */
    int32() {
        this.varint();
        return this.low | 0;
    }
    /** Throws {@link ProtoError} beyond the safe integers. */
    int64() {
        this.varint();
        const value = (this.high | 0) * TWO_32 + this.low;
        if (Number.isSafeInteger(value))
            return value;
        throw new ProtoError('PROTO_OUT_OF_RANGE', 'a 64-bit integer beyond 2^53 - 1', { at: this.at });
    }
    bool() {
        this.varint();
        return (this.low | this.high) !== 0;
    }
    float() {
        const at = this.take(4);
        return new DataView(this.bytes.buffer, this.bytes.byteOffset + at, 4).getFloat32(0, true);
    }
    /** The size of a sized value, which must lie within the range. */
    size() {
        this.varint();
        if (this.high !== 0 || this.low > this.remaining)
            throw truncated(this);
        return this.low;
    }
    string() {
        return this.utf8(this.size());
    }
    /** A view. */
    blob() {
        return this.view(this.size());
    }
    /** Counts a repeated item or a map entry against the bound of the whole message. */
    admitItem() {
        this.#itemsLeft -= 1;
        if (this.#itemsLeft >= 0)
            return;
        throw new ProtoError('PROTO_TOO_MANY_ITEMS', 'too many repeated items', {
            itemsMax: ITEMS_MAX,
        });
    }
    /** Makes the sized value at hand the whole range. Returns the end of the range before. */
    enter() {
        const size = this.size();
        const outerEnd = this.end;
        this.end = this.at + size;
        this.#descend();
        return outerEnd;
    }
    leave(outerEnd) {
        this.end = outerEnd;
        this.#depth -= 1;
    }
    #descend() {
        this.#depth += 1;
        if (this.#depth > NESTING_MAX) {
            throw new ProtoError('PROTO_TOO_DEEP', 'nested too deeply', { nestingMax: NESTING_MAX });
        }
    }
    /** Passes over the value behind the last tag. */
    skipValue() {
        switch (this.wireType) {
            case VARINT:
                this.varint();
                break;
            case FIXED64:
                this.skip(8);
                break;
            case SIZED:
                this.skip(this.size());
                break;
            case FIXED32:
                this.skip(4);
                break;
            case GROUP:
                this.#skipGroup(this.field);
                break;
            default:
                throw new ProtoError('PROTO_BAD_VALUE', 'a wire type that does not belong here', {
                    wireType: this.wireType,
                    at: this.at,
                });
        }
    }
    #skipGroup(number) {
        this.#descend();
        while (this.nextTag()) {
            if (this.wireType !== END_GROUP) {
                this.skipValue();
                continue;
            }
            if (this.field !== number)
                break;
            this.#depth -= 1;
            return;
        }
        throw new ProtoError('PROTO_BAD_VALUE', 'a group does not end', { number, at: this.at });
    }
}
function truncated(reader) {
    return new ProtoError('PROTO_TRUNCATED', 'the message ends inside a field', { at: reader.at });
}
/** Runs a decoder; whatever is wrong with the bytes comes out as {@link ProtoError}. */
export function guarded(read) {
    try {
        return read();
    }
    catch (error) {
        if (!(error instanceof BytesError))
            throw error;
        const code = error.code === 'BYTES_TRUNCATED' ? 'PROTO_TRUNCATED' : 'PROTO_BAD_VALUE';
        throw new ProtoError(code, error.message, error.details, error);
    }
}
const VARINT_BYTES_MAX = 10;
export class ProtoWriter extends ByteWriter {
    tag(field, wireType) {
        this.varU53(field * 8 + wireType);
    }
    /** A safe integer as the varint of its 64 bits: negative ones take ten bytes. */
    varint(value) {
        if (value >= 0) {
            this.varU53(value);
            return;
        }
        let low = value >>> 0;
        let high = Math.floor(value / TWO_32) >>> 0;
        let at = this.reserve(VARINT_BYTES_MAX);
        while (high !== 0) {
            this.bytes[at++] = (low & 0x7f) | 0x80;
            low = ((low >>> 7) | (high << 25)) >>> 0;
            high >>>= 7;
        }
        // The upper half of a negative number is never empty before the last groups.
        while (low >= 0x80) {
            this.bytes[at++] = (low & 0x7f) | 0x80;
            low >>>= 7;
        }
        this.bytes[at++] = low;
        this.size = at;
    }
    float(value) {
        const at = this.reserve(4);
        new DataView(this.bytes.buffer, this.bytes.byteOffset + at, 4).setFloat32(0, value, true);
    }
    /** Room for the size of what follows, which `closeSized` fills in. Returns its place. */
    openSized() {
        return this.reserve(1);
    }
    /** A size has as few bytes as it needs, so what is longer than 127 bytes moves up. */
    closeSized(sizeAt) {
        const start = sizeAt + 1;
        const size = this.size - start;
        if (size < 0x80) {
            this.bytes[sizeAt] = size;
            return;
        }
        const end = this.size;
        const extra = varU53Size(size) - 1;
        this.reserve(extra);
        this.bytes.copyWithin(start + extra, start, end);
        writeVarU53(this.bytes, sizeAt, size);
    }
}
