// Turns rows into a reader and a writer for one version of one message. What depends on the version
// is decided here, once; what is left for each message is a loop over parts.
//
// Flexible versions (KIP-482): sizes and counts are unsigned varints plus one with 0 for null, and
// every struct ends in tagged fields: count | each: tag | size | bytes. Unknown tags are skipped.
import { utf8Size, writeUtf8 } from '../../../std/bytes.ts';
import { UUID_BYTES } from '../../../std/uuid.ts';
import { varU53Size, writeVarU53 } from '../../../std/varint.ts';
import type { AnyRow, Rows, ScalarKind, WireType } from './rows.ts';
import { KafkaCodecError, type RecordsRef, type WireReader, type WireWriter } from './wire.ts';

/** Reads and writes one value. */
export interface Part {
  /** Smallest size of any value: what bounds the count of an array. */
  readonly sizeMin: number;
  read(reader: WireReader): unknown;
  write(writer: WireWriter, value: unknown): void;
}

const STRING_SIZE_MAX = 0x7fff;

function outOfRange(kind: string, value: unknown): KafkaCodecError {
  return new KafkaCodecError('KAFKA_OUT_OF_RANGE', `does not fit ${kind}`, { value });
}

function unexpectedNull(kind: string, reader: WireReader): KafkaCodecError {
  return new KafkaCodecError('KAFKA_BAD_VALUE', `${kind} may not be null`, { at: reader.at });
}

function integer(kind: string, sizeMin: number, min: number, max: number): Part {
  const check = (value: unknown): number => {
    if (typeof value !== 'number' || value < min || value > max || !Number.isInteger(value)) {
      throw outOfRange(kind, value);
    }
    return value;
  };
  switch (kind) {
    case 'i8':
      return { sizeMin, read: (r) => r.i8(), write: (w, value) => w.u8(check(value)) };
    case 'i16':
      return { sizeMin, read: (r) => r.i16(), write: (w, value) => w.u16(check(value)) };
    case 'u16':
      return { sizeMin, read: (r) => r.u16(), write: (w, value) => w.u16(check(value)) };
    case 'i32':
      return { sizeMin, read: (r) => r.i32(), write: (w, value) => w.u32(check(value)) };
    default:
      return { sizeMin, read: (r) => r.i64(), write: (w, value) => w.i64(check(value)) };
  }
}

const BOOL: Part = {
  sizeMin: 1,
  read: (reader) => reader.u8() !== 0,
  write: (writer, value) => {
    if (typeof value !== 'boolean') throw outOfRange('bool', value);
    writer.u8(value ? 1 : 0);
  },
};

const F64: Part = {
  sizeMin: 8,
  read: (reader) => reader.f64(),
  write: (writer, value) => {
    if (typeof value !== 'number') throw outOfRange('f64', value);
    writer.f64(value);
  },
};

const UUID: Part = {
  sizeMin: UUID_BYTES,
  read: (reader) => reader.view(UUID_BYTES),
  write: (writer, value) => {
    if (!(value instanceof Uint8Array) || value.length !== UUID_BYTES) {
      throw outOfRange('uuid', value);
    }
    writer.raw(value);
  },
};

const FIXED: { readonly [K in ScalarKind]?: Part } = {
  bool: BOOL,
  f64: F64,
  uuid: UUID,
  i8: integer('i8', 1, -0x80, 0x7f),
  i16: integer('i16', 2, -0x8000, 0x7fff),
  u16: integer('u16', 2, 0, 0xffff),
  i32: integer('i32', 4, -0x8000_0000, 0x7fff_ffff),
  i64: integer('i64', 8, Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER),
};

/** The three ways to write a size or count before what it counts; -1 is null. */
interface Prefix {
  readonly sizeMin: number;
  /** Answers -1 for null. Refuses other negative numbers. */
  read(reader: WireReader): number;
  write(writer: WireWriter, size: number): void;
}

function readSigned(size: number, reader: WireReader): number {
  if (size < -1) {
    throw new KafkaCodecError('KAFKA_BAD_VALUE', 'negative size', { at: reader.at, size });
  }
  return size;
}

const SHORT_PREFIX: Prefix = {
  sizeMin: 2,
  read: (reader) => readSigned(reader.i16(), reader),
  write: (writer, size) => {
    if (size > STRING_SIZE_MAX) throw outOfRange('string of 32,767 bytes', size);
    writer.u16(size);
  },
};

const INT_PREFIX: Prefix = {
  sizeMin: 4,
  read: (reader) => readSigned(reader.i32(), reader),
  write: (writer, size) => writer.u32(size),
};

const COMPACT_PREFIX: Prefix = {
  sizeMin: 1,
  read: (reader) => reader.varU32() - 1,
  write: (writer, size) => writer.varU53(size + 1),
};

function stringPart(prefix: Prefix, isNullable: boolean): Part {
  return {
    sizeMin: prefix.sizeMin,
    read: (reader) => {
      const size = prefix.read(reader);
      if (size >= 0) return reader.utf8(size);
      if (!isNullable) throw unexpectedNull('string', reader);
      return null;
    },
    write: (writer, value) => {
      if (value === null) {
        prefix.write(writer, isNullable ? -1 : 0);
        return;
      }
      if (typeof value !== 'string') throw outOfRange('string', value);
      const size = utf8Size(value);
      prefix.write(writer, size);
      const at = writer.reserve(size);
      writeUtf8(value, writer.bytes, at);
    },
  };
}

function isRecordsRef(value: unknown): value is RecordsRef {
  return typeof value === 'object' && value !== null && 'ref' in value && 'length' in value;
}

function bytesPart(prefix: Prefix, isNullable: boolean, isRecords: boolean): Part {
  return {
    sizeMin: prefix.sizeMin,
    read: (reader) => {
      const size = prefix.read(reader);
      if (size >= 0) return reader.view(size);
      if (!isNullable) throw unexpectedNull('bytes', reader);
      return null;
    },
    write: (writer, value) => {
      if (value instanceof Uint8Array) {
        prefix.write(writer, value.length);
        writer.raw(value);
      } else if (value === null) {
        prefix.write(writer, isNullable ? -1 : 0);
      } else if (isRecords && isRecordsRef(value)) {
        prefix.write(writer, value.length);
        writer.cut(value);
      } else {
        throw outOfRange('bytes', value);
      }
    },
  };
}

function listPart(prefix: Prefix, isNullable: boolean, item: Part): Part {
  return {
    sizeMin: prefix.sizeMin,
    read: (reader) => {
      const count = prefix.read(reader);
      if (count < 0) {
        if (!isNullable) throw unexpectedNull('array', reader);
        return null;
      }
      reader.admitItems(count, item.sizeMin);
      const values = new Array<unknown>(count);
      for (let i = 0; i < count; i += 1) values[i] = item.read(reader);
      return values;
    },
    write: (writer, value) => {
      if (value === null) {
        prefix.write(writer, isNullable ? -1 : 0);
        return;
      }
      if (!Array.isArray(value)) throw outOfRange('array', value);
      prefix.write(writer, value.length);
      for (let i = 0; i < value.length; i += 1) item.write(writer, value[i]);
    },
  };
}

function compileType(
  type: WireType,
  version: number,
  isFlexible: boolean,
  isNullable: boolean,
): Part {
  const long = isFlexible ? COMPACT_PREFIX : INT_PREFIX;
  switch (type.kind) {
    case 'string':
      return stringPart(isFlexible ? COMPACT_PREFIX : SHORT_PREFIX, isNullable);
    case 'bytes':
    case 'records':
      return bytesPart(long, isNullable, type.kind === 'records');
    case 'list':
      return listPart(long, isNullable, compileType(type.item, version, isFlexible, false));
    case 'struct':
      return compileStruct(type.rows, version, isFlexible);
    default:
      return FIXED[type.kind] as Part;
  }
}

/** A struct that may be null: one byte, -1 or 1, before it (not used for tagged fields). */
function nullableStruct(inner: Part): Part {
  return {
    sizeMin: 1,
    read: (reader) => (reader.i8() < 0 ? null : inner.read(reader)),
    write: (writer, value) => {
      writer.u8(value === null ? 0xff : 1);
      if (value !== null) inner.write(writer, value);
    },
  };
}

function compileRow(row: AnyRow, version: number, isFlexible: boolean): Part {
  const isNullable = version >= row.place.nullableFrom;
  const part = compileType(row.type, version, isFlexible, isNullable);
  return row.type.kind === 'struct' && row.place.tag < 0 && isNullable
    ? nullableStruct(part)
    : part;
}

interface TaggedPart {
  readonly tag: number;
  readonly name: string;
  readonly part: Part;
  readonly fallback: unknown;
}

/** The compiled form of a struct in one version. */
class StructPart implements Part {
  readonly sizeMin: number;
  readonly #names: readonly string[];
  /** Undefined: not on the wire as a plain field. */
  readonly #parts: readonly (Part | undefined)[];
  readonly #fallbacks: readonly unknown[];
  readonly #tagged: readonly TaggedPart[];
  readonly #isFlexible: boolean;

  constructor(rows: Rows, version: number, isFlexible: boolean) {
    const entries = Object.entries(rows).map(([name, row]) => {
      const { from, to, tag, fallback } = row.place;
      const part =
        version >= from && version <= to ? compileRow(row, version, isFlexible) : undefined;
      return { name, tag, fallback, part };
    });
    this.#names = entries.map((entry) => entry.name);
    this.#parts = entries.map((entry) => (entry.tag < 0 ? entry.part : undefined));
    this.#fallbacks = entries.map((entry) => entry.fallback);
    const tagged: TaggedPart[] = [];
    for (const { name, tag, fallback, part } of entries) {
      if (tag >= 0 && part !== undefined) tagged.push({ tag, name, part, fallback });
    }
    this.#tagged = tagged.sort((a, b) => a.tag - b.tag);
    this.#isFlexible = isFlexible;
    const fixed = this.#parts.reduce((sum, part) => sum + (part?.sizeMin ?? 0), 0);
    this.sizeMin = Math.max(1, fixed + (isFlexible ? 1 : 0));
  }

  read(reader: WireReader): unknown {
    const value: Record<string, unknown> = {};
    for (let i = 0; i < this.#names.length; i += 1) {
      const part = this.#parts[i];
      value[this.#names[i]!] = part === undefined ? this.#fallbacks[i] : part.read(reader);
    }
    if (this.#isFlexible) this.#readTags(reader, value);
    return value;
  }

  write(writer: WireWriter, value: unknown): void {
    if (typeof value !== 'object' || value === null) throw outOfRange('struct', value);
    const fields = value as Readonly<Record<string, unknown>>;
    for (let i = 0; i < this.#names.length; i += 1) {
      const part = this.#parts[i];
      if (part === undefined) continue;
      const field = fields[this.#names[i]!];
      part.write(writer, field === undefined ? this.#fallbacks[i] : field);
    }
    if (this.#isFlexible) this.#writeTags(writer, fields);
  }

  #readTags(reader: WireReader, value: Record<string, unknown>): void {
    const count = reader.varU32();
    // A tagged field takes two bytes at least.
    if (count > 0) reader.admitItems(count, 2);
    for (let i = 0; i < count; i += 1) {
      const tag = reader.varU32();
      const size = reader.varU32();
      const known = this.#tagged.find((candidate) => candidate.tag === tag);
      if (known === undefined) {
        reader.skip(size);
        continue;
      }
      const end = reader.take(size) + size;
      const outerEnd = reader.end;
      reader.at = end - size;
      reader.end = end;
      value[known.name] = known.part.read(reader);
      if (reader.at !== end) {
        throw new KafkaCodecError('KAFKA_BAD_VALUE', 'a tagged field is not as large as it says', {
          tag,
          size,
        });
      }
      reader.end = outerEnd;
    }
  }

  #writeTags(writer: WireWriter, fields: Readonly<Record<string, unknown>>): void {
    const present = this.#tagged.filter(({ name, fallback }) => !isSame(fields[name], fallback));
    writer.varU53(present.length);
    for (const { tag, name, part } of present) {
      writer.varU53(tag);
      const start = writer.size;
      part.write(writer, fields[name]);
      insertSize(writer, start);
    }
  }
}

function isSame(value: unknown, fallback: unknown): boolean {
  if (value === undefined || value === fallback) return true;
  return Array.isArray(value) && value.length === 0 && Array.isArray(fallback);
}

/** Moves what was written since `start` up and puts its size before it. */
function insertSize(writer: WireWriter, start: number): void {
  const size = writer.size - start;
  const prefixSize = varU53Size(size);
  writer.reserve(prefixSize);
  writer.bytes.copyWithin(start + prefixSize, start, start + size);
  writeVarU53(writer.bytes, start, size);
}

/** Compiles the rows of one struct for one version. */
export function compileStruct(rows: Rows, version: number, isFlexible: boolean): Part {
  return new StructPart(rows, version, isFlexible);
}

/** The nullable string of request headers, which is never compact. */
export const HEADER_STRING: Part = stringPart(SHORT_PREFIX, true);

/** Skips the tagged fields of a header. */
export const NO_FIELDS: Part = compileStruct({}, 0, true);
