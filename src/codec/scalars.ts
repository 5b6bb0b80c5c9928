// Codecs of single values. Fixed-width integers are big endian; sizes, counts and u53 are varints.
// Encoders check the range: a wrapped number would be a lie that decodes well.
import {
  readI32,
  readU16,
  readU32,
  utf8Size,
  writeU16,
  writeU32,
  writeUtf8,
} from '../std/bytes.ts';
import { varU53Size, writeVarU53 } from '../std/varint.ts';
import { badValue, type Codec, defineCodec, outOfRange } from './codec.ts';

/** Nothing: takes no bytes. The input of an operation that has none. */
export const none: Codec<undefined> = defineCodec<undefined>({
  shape: 'none',
  sizeMin: 0,
  size: () => 0,
  encode: (_value, _out, at) => at,
  read: () => undefined,
});

export const bool: Codec<boolean> = defineCodec<boolean>({
  shape: 'bool',
  sizeMin: 1,
  size: () => 1,
  encode: (value, out, at) => {
    out[at] = value ? 1 : 0;
    return at + 1;
  },
  read: (reader) => {
    const byte = reader.u8();
    if (byte > 1) throw badValue('bool', reader, byte);
    return byte === 1;
  },
});

export const u8: Codec<number> = defineCodec<number>({
  shape: 'u8',
  sizeMin: 1,
  size: () => 1,
  encode: (value, out, at) => {
    if ((value & 0xff) !== value) throw outOfRange('u8', value);
    out[at] = value;
    return at + 1;
  },
  read: (reader) => reader.u8(),
});

export const u16: Codec<number> = defineCodec<number>({
  shape: 'u16',
  sizeMin: 2,
  size: () => 2,
  encode: (value, out, at) => {
    if ((value & 0xffff) !== value) throw outOfRange('u16', value);
    writeU16(out, at, value);
    return at + 2;
  },
  read: (reader) => readU16(reader.bytes, reader.take(2)),
});

export const u32: Codec<number> = defineCodec<number>({
  shape: 'u32',
  sizeMin: 4,
  size: () => 4,
  encode: (value, out, at) => {
    if (value >>> 0 !== value) throw outOfRange('u32', value);
    writeU32(out, at, value);
    return at + 4;
  },
  read: (reader) => readU32(reader.bytes, reader.take(4)),
});

export const i32: Codec<number> = defineCodec<number>({
  shape: 'i32',
  sizeMin: 4,
  size: () => 4,
  encode: (value, out, at) => {
    if ((value | 0) !== value) throw outOfRange('i32', value);
    writeU32(out, at, value);
    return at + 4;
  },
  read: (reader) => readI32(reader.bytes, reader.take(4)),
});

/** An integer in [0, 2^53 - 1] as a varint: offsets, sequence numbers, times. */
export const u53: Codec<number> = defineCodec<number>({
  shape: 'u53',
  sizeMin: 1,
  size: (value) => varU53Size(value),
  encode: (value, out, at) => {
    if (!Number.isSafeInteger(value) || value < 0) throw outOfRange('u53', value);
    return writeVarU53(out, at, value);
  },
  read: (reader) => reader.varU53(),
});

export const f64: Codec<number> = defineCodec<number>({
  shape: 'f64',
  sizeMin: 8,
  size: () => 8,
  encode: (value, out, at) => {
    new DataView(out.buffer, out.byteOffset + at, 8).setFloat64(0, value);
    return at + 8;
  },
  read: (reader) => reader.f64(),
});

/** Text as UTF-8 behind its size. Lone surrogates become U+FFFD. */
export const utf8: Codec<string> = defineCodec<string>({
  shape: 'utf8',
  sizeMin: 1,
  size: (value) => {
    const size = utf8Size(value);
    return varU53Size(size) + size;
  },
  encode: (value, out, at) => writeUtf8(value, out, writeVarU53(out, at, utf8Size(value))),
  read: (reader) => reader.text(),
});

function sizedBytes(isCopied: boolean): Codec<Uint8Array> {
  return defineCodec<Uint8Array>({
    shape: 'bytes',
    sizeMin: 1,
    size: (value) => varU53Size(value.length) + value.length,
    encode: (value, out, at) => {
      const start = writeVarU53(out, at, value.length);
      out.set(value, start);
      return start + value.length;
    },
    read: (reader) => {
      const size = reader.varU32();
      return isCopied ? reader.copy(size) : reader.view(size);
    },
  });
}

/** Bytes behind their size, decoded as a view: lent as long as the message is. */
export const bytes: Codec<Uint8Array> = sizedBytes(false);

/** Bytes behind their size, decoded as a copy that the receiver owns. */
export const bytesCopy: Codec<Uint8Array> = sizedBytes(true);
