// Rows to a reader and a writer. Compiled once, when a table is loaded; what comes out has no state.
//
// Reading follows the official implementations where their documents leave room: an unknown field, and a
// known one in a wire type that is not its own, is passed over; a message that comes twice is merged;
// numbers are taken packed and one by one; text must be UTF-8. Writing is canonical: fields in the
// order of their numbers, maps in the order of their keys, numbers packed, nothing that is absent.

import type { FieldType, Message, Row, Rows } from './rows.ts';
import { FIXED32, ProtoError, type ProtoReader, type ProtoWriter, SIZED, VARINT } from './wire.ts';

type Target = { [field: string]: unknown };

export interface MessageCodec {
  /** Reads to the end of the reader's range, into `target` if one is given (merging). Throws {@link ProtoError} or BytesError. */
  read(reader: ProtoReader, target?: Target): Target;
  write(writer: ProtoWriter, value: Target): void;
}

interface Scalar {
  readonly wireType: number;
  read(reader: ProtoReader): unknown;
  write(writer: ProtoWriter, value: never): void;
  /** True for the zero value, which a plain field does not write. */
  isZero(value: unknown): boolean;
}

const isZeroNumber = (value: unknown): boolean => Object.is(value, 0);

const SCALARS: { readonly [kind: string]: Scalar } = {
  int32: {
    wireType: VARINT,
    read: (reader) => reader.int32(),
    write: (writer, value: number) => writer.varint(value | 0),
    isZero: isZeroNumber,
  },
  int64: {
    wireType: VARINT,
    read: (reader) => reader.int64(),
    write: (writer, value: number) => writer.varint(value),
    isZero: isZeroNumber,
  },
  bool: {
    wireType: VARINT,
    read: (reader) => reader.bool(),
    write: (writer, value: boolean) => writer.u8(value ? 1 : 0),
    isZero: (value) => value === false,
  },
  float: {
    wireType: FIXED32,
    read: (reader) => reader.float(),
    write: (writer, value: number) => writer.float(value),
    isZero: isZeroNumber,
  },
  string: {
    wireType: SIZED,
    read: (reader) => reader.string(),
    write: (writer, value: string) => writer.text(value),
    isZero: (value) => value === '',
  },
  bytes: {
    wireType: SIZED,
    read: (reader) => reader.blob(),
    write: (writer, value: Uint8Array) => writer.sized(value),
    isZero: (value) => (value as Uint8Array).length === 0,
  },
};

interface Field {
  readonly number: number;
  /** Reads the value behind a tag. False: the wire type is not this field's. */
  read(reader: ProtoReader, target: Target): boolean;
  write(writer: ProtoWriter, value: Target): void;
}

function messageField(name: string, row: Row<unknown>, of: Message<Rows>): Field {
  const { number } = row;
  const isRepeated = row.occurrence === 'repeated';
  return {
    number,
    read(reader, target) {
      if (reader.wireType !== SIZED) return false;
      const outerEnd = reader.enter();
      if (isRepeated) pushItem(reader, target, name, row.absent, of.read(reader));
      else target[name] = of.read(reader, target[name] as Target | undefined);
      reader.leave(outerEnd);
      return true;
    },
    write(writer, value) {
      const given = value[name];
      if (given === undefined) return;
      for (const item of isRepeated ? (given as Target[]) : [given as Target]) {
        writer.tag(number, SIZED);
        const sizeAt = writer.openSized();
        of.write(writer, item);
        writer.closeSized(sizeAt);
      }
    },
  };
}

function pushItem(
  reader: ProtoReader,
  target: Target,
  name: string,
  absent: unknown,
  item: unknown,
): void {
  reader.admitItem();
  // The absent value is shared by all messages, so the first item starts a list of its own.
  if (target[name] === absent) target[name] = [item];
  else (target[name] as unknown[]).push(item);
}

function scalarField(name: string, row: Row<unknown>, scalar: Scalar): Field {
  const { number } = row;
  const isPlain = row.occurrence === 'plain';
  return {
    number,
    read(reader, target) {
      if (reader.wireType !== scalar.wireType) return false;
      target[name] = scalar.read(reader);
      return true;
    },
    write(writer, value) {
      const given = value[name];
      if (given === undefined || (isPlain && scalar.isZero(given))) return;
      writer.tag(number, scalar.wireType);
      scalar.write(writer, given as never);
    },
  };
}

function listField(name: string, row: Row<unknown>, scalar: Scalar): Field {
  const { number, absent } = row;
  const isPackable = scalar.wireType !== SIZED;
  return {
    number,
    read(reader, target) {
      if (reader.wireType === scalar.wireType) {
        pushItem(reader, target, name, absent, scalar.read(reader));
        return true;
      }
      if (!isPackable || reader.wireType !== SIZED) return false;
      const outerEnd = reader.enter();
      while (reader.at < reader.end) {
        pushItem(reader, target, name, absent, scalar.read(reader));
      }
      reader.leave(outerEnd);
      return true;
    },
    write(writer, value) {
      const items = value[name] as unknown[] | undefined;
      if (items === undefined || items.length === 0) return;
      if (!isPackable) {
        for (const item of items) {
          writer.tag(number, SIZED);
          scalar.write(writer, item as never);
        }
        return;
      }
      writer.tag(number, SIZED);
      const sizeAt = writer.openSized();
      for (const item of items) scalar.write(writer, item as never);
      writer.closeSized(sizeAt);
    },
  };
}

const MAP_KEY = 1;
const MAP_VALUE = 2;

function mapField(name: string, row: Row<unknown>): Field {
  const { number, absent } = row;
  return {
    number,
    read(reader, target) {
      if (reader.wireType !== SIZED) return false;
      reader.admitItem();
      let key = '';
      let value = '';
      const outerEnd = reader.enter();
      while (reader.nextTag()) {
        if (reader.wireType === SIZED && reader.field === MAP_KEY) key = reader.string();
        else if (reader.wireType === SIZED && reader.field === MAP_VALUE) value = reader.string();
        else reader.skipValue();
      }
      reader.leave(outerEnd);
      if (target[name] === absent) target[name] = new Map([[key, value]]);
      else (target[name] as Map<string, string>).set(key, value);
      return true;
    },
    write(writer, value) {
      const entries = value[name] as ReadonlyMap<string, string> | undefined;
      if (entries === undefined || entries.size === 0) return;
      for (const key of [...entries.keys()].sort()) {
        writer.tag(number, SIZED);
        const sizeAt = writer.openSized();
        writer.tag(MAP_KEY, SIZED);
        writer.text(key);
        writer.tag(MAP_VALUE, SIZED);
        writer.text(entries.get(key)!);
        writer.closeSized(sizeAt);
      }
    },
  };
}

function fieldOf(name: string, row: Row<unknown>): Field {
  const type: FieldType = row.type;
  if (type.kind === 'message') return messageField(name, row, type.message);
  if (type.kind === 'map') return mapField(name, row);
  const scalar = SCALARS[type.kind === 'enum' ? 'int32' : type.kind]!;
  return row.occurrence === 'repeated'
    ? listField(name, row, scalar)
    : scalarField(name, row, scalar);
}

/** The other members of a field's oneof, which go when it comes. */
function rivalsOf(name: string, rows: Rows): string[] {
  const { oneof } = rows[name]!;
  if (oneof === '') return [];
  return Object.keys(rows).filter((other) => other !== name && rows[other]!.oneof === oneof);
}

function withRivals(field: Field, rivals: readonly string[]): Field {
  if (rivals.length === 0) return field;
  return {
    ...field,
    read(reader, target) {
      if (!field.read(reader, target)) return false;
      for (const rival of rivals) target[rival] = undefined;
      return true;
    },
  };
}

/** The oneofs of a table: the names of their members. */
function oneofsOf(rows: Rows): string[][] {
  const members = new Map<string, string[]>();
  for (const [name, { oneof }] of Object.entries(rows)) {
    if (oneof !== '') members.set(oneof, [...(members.get(oneof) ?? []), name]);
  }
  return [...members.values()];
}

/** Two of a oneof cannot both be written: the reader would keep whichever came last. */
function refuseRivals(messageName: string, members: readonly string[], value: Target): void {
  const set = members.filter((name) => value[name] !== undefined);
  if (set.length < 2) return;
  throw new ProtoError('PROTO_BAD_VALUE', `${messageName}: ${set.join(' and ')} are both set`);
}

export function compile(messageName: string, rows: Rows): MessageCodec {
  const fields: Field[] = [];
  const byNumber: (Field | undefined)[] = [];
  const absent: Target = {};
  for (const [name, row] of Object.entries(rows)) {
    const field = withRivals(fieldOf(name, row), rivalsOf(name, rows));
    if (byNumber[row.number] !== undefined) {
      throw new ProtoError('PROTO_BAD_VALUE', `${messageName}: ${row.number} is there twice`);
    }
    byNumber[row.number] = field;
    fields.push(field);
    absent[name] = row.absent;
  }
  fields.sort((a, b) => a.number - b.number);
  const oneofs = oneofsOf(rows);
  return {
    read(reader, target = { ...absent }) {
      while (reader.nextTag()) {
        const field = byNumber[reader.field];
        if (field === undefined || !field.read(reader, target)) reader.skipValue();
      }
      return target;
    },
    write(writer, value) {
      for (const members of oneofs) refuseRivals(messageName, members, value);
      for (const field of fields) field.write(writer, value);
    },
  };
}
