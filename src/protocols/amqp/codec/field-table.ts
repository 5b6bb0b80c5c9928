// The bytes of field tables: check without making anything, decode, encode. Type tags as RabbitMQ has them, which
// is not what the 0-9-1 text says (rabbitmq.com/amqp-0-9-1-errata, section 3):
//
//   table:  size u32 | entries: name shortstr | tag u8 | value        array: size u32 | entries: tag u8 | value
//   t bool   b i8  B u8   s i16  u u16   I i32  i u32   l, L i64   f f32  d f64   D scale u8, digits u32   T u64
//   S bytes u32-sized   x bytes u32-sized   F table   A array   V nothing
//
// `L` is read as `long` and written as `l`; a bool that is not 0 or 1 is written as 1. All else is written as it was.
import {
  type ByteReader,
  BytesError,
  type ByteWriter,
  readU32,
  readUtf8,
  utf8Size,
  writeUtf8,
} from '../../../std/bytes.ts';
import { AmqpEncodeError, AmqpError } from './errors.ts';
import type {
  Field,
  FieldLong,
  FieldTable,
  FieldText,
  FieldValue,
  IntegerType,
} from './field-values.ts';

/** Tables and arrays inside each other. A client's own header tables have two or three. */
const NESTING_MAX = 64;
const SHORTSTR_BYTES_MAX = 0xff;
const U32_MAX = 0xffff_ffff;

const tagOf = (character: string): number => character.charCodeAt(0);
const TAG_TABLE = tagOf('F');
const TAG_ARRAY = tagOf('A');

/** Bytes of the value behind each tag; `SIZED`: a u32 and as many bytes; `UNKNOWN`: no such tag. */
const UNKNOWN = -1;
const SIZED = -2;
export const VALUE_BYTES: Int8Array = valueBytes({
  V: 0,
  t: 1,
  b: 1,
  B: 1,
  s: 2,
  u: 2,
  I: 4,
  i: 4,
  f: 4,
  D: 5,
  l: 8,
  L: 8,
  d: 8,
  T: 8,
  S: SIZED,
  x: SIZED,
  F: SIZED,
  A: SIZED,
});

function valueBytes(sizes: Readonly<Record<string, number>>): Int8Array {
  const table = new Int8Array(256).fill(UNKNOWN);
  for (const [tag, size] of Object.entries(sizes)) table[tagOf(tag)] = size;
  return table;
}

// ---- Check ------------------------------------------------------------------------------------

/**
 * Where the table at `at` ends, or -1 if it does not end by `end`, has a tag that nobody knows, sizes that do not
 * fit each other, or more than `NESTING_MAX` tables inside each other. Makes no objects.
 */
export function skipTable(bytes: Uint8Array, at: number, end: number): number {
  return skipEntries(bytes, at, end, true, 1);
}

function skipEntries(
  bytes: Uint8Array,
  at: number,
  end: number,
  isTable: boolean,
  depth: number,
): number {
  if (depth > NESTING_MAX || end - at < 4) return -1;
  const size = readU32(bytes, at);
  at += 4;
  if (size > end - at) return -1;
  const stop = at + size;
  while (at < stop) {
    if (isTable) at += 1 + bytes[at]!;
    if (at >= stop) return -1;
    const tag = bytes[at]!;
    const fixed = VALUE_BYTES[tag]!;
    at += 1;
    if (fixed >= 0) {
      at += fixed;
    } else if (fixed === UNKNOWN) {
      return -1;
    } else if (tag === TAG_TABLE || tag === TAG_ARRAY) {
      at = skipEntries(bytes, at, stop, tag === TAG_TABLE, depth + 1);
      if (at < 0) return -1;
    } else {
      if (stop - at < 4) return -1;
      at += 4 + readU32(bytes, at);
    }
  }
  return at === stop ? stop : -1;
}

// ---- Decode -----------------------------------------------------------------------------------

function badTable(explanation: string): AmqpError {
  return new AmqpError('FRAME_ERROR', explanation);
}

/** A copy even of a Buffer, whose own `slice` is a view. */
function copyOf(bytes: Uint8Array, at: number, size: number): Uint8Array {
  const copy = new Uint8Array(size);
  copy.set(bytes.subarray(at, at + size));
  return copy;
}

/** The next bytes behind their u32 size, copied. */
export function readSized(reader: ByteReader): Uint8Array {
  const size = reader.u32();
  return copyOf(reader.bytes, reader.take(size), size);
}

/** Text if bytes[at, at + size) are UTF-8, else a copy of them. */
export function readText(bytes: Uint8Array, at: number, size: number): FieldText {
  try {
    return readUtf8(bytes, at, at + size);
  } catch (error) {
    if (error instanceof BytesError) return copyOf(bytes, at, size);
    throw error;
  }
}

/**
 * Reads a table, `depth` tables deep. What it gives is a copy of the bytes. Throws `BytesError` or {@link AmqpError}
 * for what `skipTable` refuses.
 */
export function readTable(reader: ByteReader, depth = 1): FieldTable {
  return readNested(reader, depth, () => {
    const fields: Field[] = [];
    while (reader.remaining > 0) {
      const size = reader.u8();
      const name = readText(reader.bytes, reader.take(size), size);
      fields.push({ name, value: readValue(reader, depth) });
    }
    return fields;
  });
}

function readArray(reader: ByteReader, depth: number): readonly FieldValue[] {
  return readNested(reader, depth, () => {
    const values: FieldValue[] = [];
    while (reader.remaining > 0) values.push(readValue(reader, depth));
    return values;
  });
}

/** Reads a size and lets `read` have exactly as many bytes. */
function readNested<T>(reader: ByteReader, depth: number, read: () => T): T {
  if (depth > NESTING_MAX) throw badTable('field tables are nested too deeply');
  const size = reader.u32();
  const start = reader.take(size);
  const { end } = reader;
  reader.at = start;
  reader.end = start + size;
  const value = read();
  reader.end = end;
  return value;
}

/** The next byte is the tag. `depth`: of the table or array around it. */
function readValue(reader: ByteReader, depth: number): FieldValue {
  const tag = String.fromCharCode(reader.u8());
  switch (tag) {
    case 'S': {
      const size = reader.u32();
      return { type: 'longstr', value: readText(reader.bytes, reader.take(size), size) };
    }
    case 'I':
      return { type: 'signedint', value: reader.i32() };
    case 't':
      return { type: 'bool', value: reader.u8() !== 0 };
    case 'l':
    case 'L':
      return { type: 'long', value: readLong(reader, true) };
    case 'T':
      return { type: 'timestamp', value: readLong(reader, false) };
    case 'F':
      return { type: 'table', value: readTable(reader, depth + 1) };
    case 'A':
      return { type: 'array', value: readArray(reader, depth + 1) };
    case 'b':
      return { type: 'byte', value: reader.i8() };
    case 'B':
      return { type: 'unsignedbyte', value: reader.u8() };
    case 's':
      return { type: 'short', value: reader.i16() };
    case 'u':
      return { type: 'unsignedshort', value: reader.u16() };
    case 'i':
      return { type: 'unsignedint', value: reader.u32() };
    case 'f':
      return { type: 'float', value: readFloat32(reader) };
    case 'd':
      return { type: 'double', value: reader.f64() };
    case 'D':
      return { type: 'decimal', scale: reader.u8(), digits: reader.u32() };
    case 'x':
      return { type: 'binary', value: readSized(reader) };
    case 'V':
      return { type: 'void' };
    default:
      throw badTable('a field of unknown type');
  }
}

function readFloat32(reader: ByteReader): number {
  const at = reader.take(4);
  return new DataView(reader.bytes.buffer, reader.bytes.byteOffset + at, 4).getFloat32(0);
}

/** 64 bits, as a number where that is exact. */
export function readLong(reader: ByteReader, isSigned: boolean): FieldLong {
  const at = reader.take(8);
  const view = new DataView(reader.bytes.buffer, reader.bytes.byteOffset + at, 8);
  const high = isSigned ? view.getInt32(0) : view.getUint32(0);
  const value = high * 0x1_0000_0000 + view.getUint32(4);
  if (Number.isSafeInteger(value)) return value;
  return isSigned ? view.getBigInt64(0) : view.getBigUint64(0);
}

// ---- Encode -----------------------------------------------------------------------------------

const INTEGERS: Readonly<Record<IntegerType, readonly [tag: string, min: number, max: number]>> = {
  byte: ['b', -0x80, 0x7f],
  unsignedbyte: ['B', 0, 0xff],
  short: ['s', -0x8000, 0x7fff],
  unsignedshort: ['u', 0, 0xffff],
  signedint: ['I', -0x8000_0000, 0x7fff_ffff],
  unsignedint: ['i', 0, U32_MAX],
};

/**
 * Appends a table. Throws {@link AmqpEncodeError} for a value that does not fit its type; what was written before
 * it stays in the writer, whose owner takes it back.
 */
export function writeTable(writer: ByteWriter, table: FieldTable): void {
  writeNested(writer, () => {
    for (const { name, value } of table) {
      writeShortText(writer, name);
      writeValue(writer, value);
    }
  });
}

/** Appends a shortstr. Throws {@link AmqpEncodeError} if it is longer than 255 bytes. */
export function writeShortText(writer: ByteWriter, text: FieldText): void {
  const size = typeof text === 'string' ? utf8Size(text) : text.length;
  if (size > SHORTSTR_BYTES_MAX) throw new AmqpEncodeError('shortstr', text);
  writer.u8(size);
  if (typeof text !== 'string') {
    writer.raw(text);
    return;
  }
  const at = writer.reserve(size);
  writeUtf8(text, writer.bytes, at);
}

/** Writes a size over what `write` writes. */
function writeNested(writer: ByteWriter, write: () => void): void {
  const at = writer.reserve(4);
  write();
  writer.patchU32(at, writer.size - at - 4);
}

function writeInteger(writer: ByteWriter, type: IntegerType, value: number): void {
  const [tag, min, max] = INTEGERS[type];
  if (!Number.isInteger(value) || value < min || value > max)
    throw new AmqpEncodeError(type, value);
  writer.u8(tagOf(tag));
  if (max <= 0xff) writer.u8(value);
  else if (max <= 0xffff) writer.u16(value);
  else writer.u32(value);
}

/** Appends 64 bits. Throws {@link AmqpEncodeError} unless the value fits. */
export function writeLong(writer: ByteWriter, type: 'long' | 'timestamp', value: FieldLong): void {
  if (typeof value === 'number') {
    if (!Number.isSafeInteger(value) || (type === 'timestamp' && value < 0)) {
      throw new AmqpEncodeError(type, value);
    }
    writer.i64(value);
    return;
  }
  const wrapped = type === 'long' ? BigInt.asIntN(64, value) : BigInt.asUintN(64, value);
  if (wrapped !== value) throw new AmqpEncodeError(type, value);
  const at = writer.reserve(8);
  new DataView(writer.bytes.buffer, writer.bytes.byteOffset + at, 8).setBigInt64(0, value);
}

function writeFloat32(writer: ByteWriter, value: number): void {
  const at = writer.reserve(4);
  new DataView(writer.bytes.buffer, writer.bytes.byteOffset + at, 4).setFloat32(0, value);
}

/** Appends a tag and a value. Throws like `writeTable`. */
function writeValue(writer: ByteWriter, field: FieldValue): void {
  switch (field.type) {
    case 'longstr':
      writer.u8(tagOf('S'));
      writeNested(writer, () => {
        if (typeof field.value === 'string') writer.utf8(field.value);
        else writer.raw(field.value);
      });
      return;
    case 'binary':
      writer.u8(tagOf('x'));
      writer.u32(field.value.length);
      writer.raw(field.value);
      return;
    case 'bool':
      writer.u8(tagOf('t'));
      writer.u8(field.value ? 1 : 0);
      return;
    case 'long':
    case 'timestamp':
      writer.u8(tagOf(field.type === 'long' ? 'l' : 'T'));
      writeLong(writer, field.type, field.value);
      return;
    case 'float':
      writer.u8(tagOf('f'));
      writeFloat32(writer, field.value);
      return;
    case 'double':
      writer.u8(tagOf('d'));
      writer.f64(field.value);
      return;
    case 'decimal':
      writeDecimal(writer, field.scale, field.digits);
      return;
    case 'table':
      writer.u8(TAG_TABLE);
      writeTable(writer, field.value);
      return;
    case 'array':
      writer.u8(TAG_ARRAY);
      writeNested(writer, () => {
        for (const value of field.value) writeValue(writer, value);
      });
      return;
    case 'void':
      writer.u8(tagOf('V'));
      return;
    default:
      writeInteger(writer, field.type, field.value);
  }
}

function writeDecimal(writer: ByteWriter, scale: number, digits: number): void {
  const fits = Number.isInteger(scale) && Number.isInteger(digits);
  if (!fits || scale < 0 || scale > 0xff || digits < 0 || digits > U32_MAX) {
    throw new AmqpEncodeError('decimal', `${digits}e-${scale}`);
  }
  writer.u8(tagOf('D'));
  writer.u8(scale);
  writer.u32(digits);
}
