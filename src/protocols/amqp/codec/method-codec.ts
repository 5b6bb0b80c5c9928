// Rows of the table to a reader and a writer for each method, made once when the module is loaded.
//
// Arguments follow each other without padding; consecutive bits share octets, the first in the lowest bit. As in
// RabbitMQ, arguments that end early and bytes that are left over are both refused, and unused bits are ignored.
import {
  type ByteReader,
  BytesError,
  type ByteWriter,
  ByteReader as Reader,
} from '../../../std/bytes.ts';
import { AmqpEncodeError, AmqpError, type MethodIds, undecodable } from './errors.ts';
import { readSized, readTable, writeShortText, writeTable } from './field-table.ts';
import { EMPTY_TABLE, type FieldTable } from './field-values.ts';
import type { ArgKind, MethodKind, MethodRow, Sender } from './method-rows.ts';
import { METHODS, type Method, type MethodInput, type MethodName } from './methods.ts';

type Values = Record<string, unknown>;

/** Reads and writes one argument, or a run of bits. */
interface Part {
  read(reader: ByteReader, values: Values): void;
  write(writer: ByteWriter, values: Readonly<Values>): void;
}

/** How values of one kind are read and written; `zero` is what a reserved or left out one is. */
interface Coding {
  readonly zero: unknown;
  read(reader: ByteReader): unknown;
  write(writer: ByteWriter, value: unknown): void;
}

function unsigned(kind: ArgKind, max: number): (value: unknown) => number {
  return (value) => {
    if (typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= max) {
      return value;
    }
    throw new AmqpEncodeError(kind, value);
  };
}

const asOctet = unsigned('octet', 0xff);
const asShort = unsigned('short', 0xffff);
const asLong = unsigned('long', 0xffff_ffff);
const asLonglong = unsigned('longlong', Number.MAX_SAFE_INTEGER);
const NO_BYTES = new Uint8Array(0);

function readShortstr(reader: ByteReader): string {
  const size = reader.u8();
  const at = reader.take(size);
  reader.at = at;
  try {
    return reader.utf8(size);
  } catch (error) {
    if (!(error instanceof BytesError)) throw error;
    throw new AmqpError('FRAME_ERROR', 'Malformed UTF-8 in shortstr');
  }
}

const CODINGS: Readonly<Record<Exclude<ArgKind, 'bit'>, Coding>> = {
  octet: { zero: 0, read: (r) => r.u8(), write: (w, value) => w.u8(asOctet(value)) },
  short: { zero: 0, read: (r) => r.u16(), write: (w, value) => w.u16(asShort(value)) },
  long: { zero: 0, read: (r) => r.u32(), write: (w, value) => w.u32(asLong(value)) },
  longlong: { zero: 0, read: (r) => r.u64(), write: (w, value) => w.u64(asLonglong(value)) },
  shortstr: {
    zero: '',
    read: readShortstr,
    write: (w, value) => {
      if (typeof value !== 'string') throw new AmqpEncodeError('shortstr', value);
      writeShortText(w, value);
    },
  },
  longstr: {
    zero: NO_BYTES,
    read: readSized,
    write: (w, value) => {
      if (!(value instanceof Uint8Array)) throw new AmqpEncodeError('longstr', value);
      w.u32(value.length);
      w.raw(value);
    },
  },
  table: {
    zero: EMPTY_TABLE,
    read: (r) => readTable(r),
    write: (w, value) => writeTable(w, value as FieldTable),
  },
};

const BITS_PER_OCTET = 8;

/** Up to eight bits in one octet. Names of reserved ones are undefined. */
function bitsPart(names: readonly (string | undefined)[]): Part {
  return {
    read: (reader, values) => {
      const octet = reader.u8();
      names.forEach((name, i) => {
        if (name !== undefined) values[name] = (octet & (1 << i)) !== 0;
      });
    },
    write: (writer, values) => {
      let octet = 0;
      names.forEach((name, i) => {
        if (name !== undefined && values[name] === true) octet |= 1 << i;
      });
      writer.u8(octet);
    },
  };
}

function plainPart(name: string | undefined, kind: Exclude<ArgKind, 'bit'>): Part {
  const coding = CODINGS[kind];
  return {
    read: (reader, values) => {
      const value = coding.read(reader);
      if (name !== undefined) values[name] = value;
    },
    write: (writer, values) => {
      const value = name === undefined ? undefined : values[name];
      const isLeftOut = value === undefined && (name === undefined || kind === 'table');
      coding.write(writer, isLeftOut ? coding.zero : value);
    },
  };
}

function partsOf(row: MethodRow): Part[] {
  const parts: Part[] = [];
  let bits: (string | undefined)[] = [];
  const endBits = (): void => {
    if (bits.length > 0) parts.push(bitsPart(bits));
    bits = [];
  };
  for (const [argName, arg] of Object.entries(row.args)) {
    const name = arg.isReserved ? undefined : argName;
    if (arg.kind === 'bit') {
      bits.push(name);
      if (bits.length === BITS_PER_OCTET) endBits();
    } else {
      endBits();
      parts.push(plainPart(name, arg.kind));
    }
  }
  endBits();
  return parts;
}

/** One method, ready to be read and written. */
export class MethodCodec<N extends MethodName = MethodName> implements MethodIds {
  readonly name: N;
  readonly classId: number;
  readonly methodId: number;
  /** Both ids as they stand on the wire: u32. */
  readonly id: number;
  readonly from: Sender;
  readonly kind: MethodKind;
  readonly #parts: readonly Part[];

  constructor(name: N, row: MethodRow) {
    this.name = name;
    this.classId = row.classId;
    this.methodId = row.methodId;
    this.id = methodIdOf(row.classId, row.methodId);
    this.from = row.from;
    this.kind = row.kind;
    this.#parts = partsOf(row);
  }

  /**
   * Reads the arguments in bytes[at, end). What it gives is a copy. Throws {@link AmqpError} 501 unless they are
   * exactly that.
   */
  decode(bytes: Uint8Array, at: number, end: number): Method<N> {
    const args: Values = {};
    const reader = new Reader(bytes, at, end);
    try {
      for (const part of this.#parts) part.read(reader, args);
    } catch (error) {
      if (error instanceof BytesError) throw undecodable(bytes, at, end, this);
      if (error instanceof AmqpError) throw new AmqpError(error.reply, error.message, this);
      throw error;
    }
    if (reader.remaining > 0) throw undecodable(bytes, at, end, this);
    return { name: this.name, args } as unknown as Method<N>;
  }

  /** Appends the arguments. Throws {@link AmqpEncodeError}. */
  encodeArgs(writer: ByteWriter, args: MethodInput<N>): void {
    for (const part of this.#parts) part.write(writer, args as Readonly<Values>);
  }
}

/** Class and method as they stand on the wire, in one number (u32). */
function methodIdOf(classId: number, methodId: number): number {
  return classId * 0x1_0000 + methodId;
}

export const METHOD_CODECS: { readonly [N in MethodName]: MethodCodec<N> } = Object.freeze(
  Object.fromEntries(
    Object.entries(METHODS).map(([name, row]) => [name, new MethodCodec(name as MethodName, row)]),
  ),
) as { readonly [N in MethodName]: MethodCodec<N> };

const CODEC_BY_ID: ReadonlyMap<number, MethodCodec> = new Map(
  Object.values(METHOD_CODECS).map((codec) => [codec.id, codec as unknown as MethodCodec]),
);

/** `id` as `methodIdOf` gives it. */
export function methodCodecById(id: number): MethodCodec | undefined {
  return CODEC_BY_ID.get(id);
}
