// Codecs made of codecs. Each reads its parts in order from one reader; a count is compared with
// the bytes that are left before anything is allocated for it.
import { assert } from '../std/assert.ts';
import type { ByteReader } from '../std/byte-reader.ts';
import { varU53Size, writeVarU53 } from '../std/varint.ts';
import { badValue, type Codec, CodecError, defineCodec, outOfRange, type Value } from './codec.ts';

const TAGS_MAX = 256;

/** `undefined` or a value: one byte says which. */
export function optional<T>(inner: Codec<T>): Codec<T | undefined> {
  const shape = `${inner.shape}?`;
  return defineCodec<T | undefined>({
    shape,
    sizeMin: 1,
    size: (value) => (value === undefined ? 1 : 1 + inner.size(value)),
    encode: (value, out, at) => {
      out[at] = value === undefined ? 0 : 1;
      return value === undefined ? at + 1 : inner.encode(value, out, at + 1);
    },
    read: (reader) => {
      const byte = reader.u8();
      if (byte > 1) throw badValue(shape, reader, byte);
      return byte === 1 ? inner.read(reader) : undefined;
    },
  });
}

/** Any number of items, behind their count. An item must take at least one byte. */
export function array<T>(item: Codec<T>): Codec<readonly T[]> {
  assert(item.sizeMin > 0, 'array: items of no bytes cannot be counted', { item: item.shape });
  const shape = `[${item.shape}]`;
  return defineCodec<readonly T[]>({
    shape,
    sizeMin: 1,
    size: (values) => {
      let size = varU53Size(values.length);
      for (let i = 0; i < values.length; i += 1) size += item.size(values[i] as T);
      return size;
    },
    encode: (values, out, at) => {
      at = writeVarU53(out, at, values.length);
      for (let i = 0; i < values.length; i += 1) at = item.encode(values[i] as T, out, at);
      return at;
    },
    read: (reader) => {
      const count = reader.varU32();
      if (count * item.sizeMin > reader.remaining) {
        throw new CodecError('CODEC_TRUNCATED', `${shape}: more items than bytes`, {
          count,
          remaining: reader.remaining,
        });
      }
      const values = new Array<T>(count);
      for (let i = 0; i < count; i += 1) values[i] = item.read(reader);
      return values;
    },
  });
}

type Values<C extends readonly Codec<unknown>[]> = { readonly [I in keyof C]: Value<C[I]> };

/** A fixed row of values of different types. */
export function tuple<const C extends readonly Codec<unknown>[]>(...parts: C): Codec<Values<C>> {
  return defineCodec<Values<C>>({
    shape: `(${parts.map((part) => part.shape).join(',')})`,
    sizeMin: sumOfSizeMin(parts),
    size: (values) => {
      let size = 0;
      for (let i = 0; i < parts.length; i += 1) size += parts[i]!.size(values[i]);
      return size;
    },
    encode: (values, out, at) => {
      for (let i = 0; i < parts.length; i += 1) at = parts[i]!.encode(values[i], out, at);
      return at;
    },
    read: (reader) => {
      const values = new Array<unknown>(parts.length);
      for (let i = 0; i < parts.length; i += 1) values[i] = parts[i]!.read(reader);
      return values as unknown as Values<C>;
    },
  });
}

function sumOfSizeMin(parts: readonly Codec<unknown>[]): number {
  return parts.reduce((sum, part) => sum + part.sizeMin, 0);
}

/** Fields by name, in wire order. */
export type Fields = { readonly [name: string]: Codec<unknown> };
export type FieldValues<F extends Fields> = { readonly [K in keyof F]: Value<F[K]> };

/** The loops behind `record` and `union`: names and codecs as parallel arrays. */
class FieldList {
  readonly names: readonly string[];
  readonly codecs: readonly Codec<unknown>[];
  readonly shape: string;
  readonly sizeMin: number;

  constructor(fields: Fields) {
    this.names = Object.keys(fields);
    this.codecs = Object.values(fields);
    this.shape = `{${this.names.map((name) => `${name}:${fields[name]!.shape}`).join(',')}}`;
    this.sizeMin = sumOfSizeMin(this.codecs);
  }

  size(value: Readonly<Record<string, unknown>>): number {
    let size = 0;
    for (let i = 0; i < this.codecs.length; i += 1) {
      size += this.codecs[i]!.size(value[this.names[i]!]);
    }
    return size;
  }

  encode(value: Readonly<Record<string, unknown>>, out: Uint8Array, at: number): number {
    for (let i = 0; i < this.codecs.length; i += 1) {
      at = this.codecs[i]!.encode(value[this.names[i]!], out, at);
    }
    return at;
  }

  readInto(into: Record<string, unknown>, reader: ByteReader): void {
    for (let i = 0; i < this.codecs.length; i += 1) {
      into[this.names[i]!] = this.codecs[i]!.read(reader);
    }
  }
}

/**
 * An object with these fields, in the order of declaration; names are not on the wire.
 *
 * @example
 * const Append = record({ logId: u53, body: bytes });
 */
export function record<F extends Fields>(fields: F): Codec<FieldValues<F>> {
  assert(!Object.hasOwn(fields, '__proto__'), 'record: __proto__ is no field');
  const list = new FieldList(fields);
  return defineCodec<FieldValues<F>>({
    shape: list.shape,
    sizeMin: list.sizeMin,
    size: (value) => list.size(value),
    encode: (value, out, at) => list.encode(value, out, at),
    read: (reader) => {
      const value: Record<string, unknown> = {};
      list.readInto(value, reader);
      return value as FieldValues<F>;
    },
  });
}

export type UnionValue<V extends { readonly [kind: string]: Fields }> = {
  [K in keyof V & string]: { readonly kind: K } & FieldValues<V[K]>;
}[keyof V & string];

/**
 * One of several objects told apart by `kind`; on the wire one byte, by order of declaration.
 *
 * @example
 * const Outcome = union({ accepted: { offset: u53 }, refused: { code: u16, message: utf8 } });
 */
export function union<V extends { readonly [kind: string]: Fields }>(
  variants: V,
): Codec<UnionValue<V>> {
  const kinds = Object.keys(variants);
  assert(kinds.length > 0 && kinds.length <= TAGS_MAX, 'union: 1 to 256 kinds', { kinds });
  const lists = kinds.map((kind) => new FieldList(variants[kind]!));
  const tagOf = new Map(kinds.map((kind, tag) => [kind, tag]));
  const shape = kinds.map((kind, tag) => kind + lists[tag]!.shape).join('|');
  const tagFor = (kind: string): number => {
    const tag = tagOf.get(kind);
    if (tag === undefined) throw outOfRange(shape, kind);
    return tag;
  };
  return defineCodec<UnionValue<V>>({
    shape,
    sizeMin: 1 + Math.min(...lists.map((list) => list.sizeMin)),
    size: (value) => 1 + lists[tagFor(value.kind)]!.size(value),
    encode: (value, out, at) => {
      const tag = tagFor(value.kind);
      out[at] = tag;
      return lists[tag]!.encode(value, out, at + 1);
    },
    read: (reader) => {
      const tag = reader.u8();
      const list = lists[tag];
      if (list === undefined) throw badValue(shape, reader, tag);
      const value: Record<string, unknown> = { kind: kinds[tag] };
      list.readInto(value, reader);
      return value as UnionValue<V>;
    },
  });
}

/** One of a few texts; on the wire one byte, by order of declaration. */
export function oneOf<const T extends readonly string[]>(...texts: T): Codec<T[number]> {
  assert(texts.length > 0 && texts.length <= TAGS_MAX, 'oneOf: 1 to 256 texts', { texts });
  const shape = texts.join('|');
  return defineCodec<T[number]>({
    shape,
    sizeMin: 1,
    size: () => 1,
    encode: (value, out, at) => {
      const tag = texts.indexOf(value);
      if (tag < 0) throw outOfRange(shape, value);
      out[at] = tag;
      return at + 1;
    },
    read: (reader) => {
      const tag = reader.u8();
      const text = texts[tag];
      if (text === undefined) throw badValue(shape, reader, tag);
      return text;
    },
  });
}

/**
 * A domain type carried as a wire type. `fromWire` may throw {@link CodecError} for what it
 * refuses.
 */
export function mapped<W, D>(
  wire: Codec<W>,
  toWire: (value: D) => W,
  fromWire: (value: W) => D,
): Codec<D> {
  return defineCodec<D>({
    shape: wire.shape,
    sizeMin: wire.sizeMin,
    size: (value) => wire.size(toWire(value)),
    encode: (value, out, at) => wire.encode(toWire(value), out, at),
    read: (reader) => fromWire(wire.read(reader)),
  });
}
