// All properties of a message at once, as objects: for clients of tests. The broker reads single ones by position and
// passes the bytes on.
import {
  AmqpEncodeError,
  type BasicProperties,
  type FieldLong,
  type FieldTable,
  type FieldText,
  type MethodIds,
  NO_METHOD,
  PROPERTY_KINDS,
  PROPERTY_NUMBER,
  type PropertyKind,
  type PropertyName,
  propertyFlag,
  readLong,
  readTable,
  readText,
  scanProperties,
  undecodable,
  writeLong,
  writeShortText,
  writeTable,
} from '../../../../src/protocols/amqp/codec/index.ts';
import { ByteReader, type ByteWriter } from '../../../../src/std/bytes.ts';

const FLAGS_BYTES = 2;
const NAMES = Object.keys(PROPERTY_NUMBER) as PropertyName[];

/** Reads all properties in bytes[at, end). Throws {@link AmqpError} 501 for what `scanProperties` refuses. */
export function decodeProperties(
  bytes: Uint8Array,
  at: number,
  end: number,
  method: MethodIds = NO_METHOD,
): BasicProperties {
  if (scanProperties(bytes, at, end) < 0) throw undecodable(bytes, at, end, method);
  const properties: Record<string, unknown> = {};
  const reader = new ByteReader(bytes, at, end);
  const flags = reader.u16();
  NAMES.forEach((name, number) => {
    const kind = PROPERTY_KINDS[number]!;
    if ((flags & propertyFlag(number)) !== 0) properties[name] = readProperty(reader, kind);
  });
  return properties;
}

function readProperty(reader: ByteReader, kind: PropertyKind): unknown {
  switch (kind) {
    case 'octet':
      return reader.u8();
    case 'timestamp':
      return readLong(reader, false);
    case 'table':
      return readTable(reader);
    default: {
      const size = reader.u8();
      return readText(reader.bytes, reader.take(size), size);
    }
  }
}

/** Appends flags and values. Throws {@link AmqpEncodeError}, and what it wrote remains. */
export function encodeProperties(writer: ByteWriter, properties: BasicProperties): void {
  const flagsAt = writer.reserve(FLAGS_BYTES);
  let flags = 0;
  NAMES.forEach((name, number) => {
    const kind = PROPERTY_KINDS[number]!;
    const value = properties[name];
    if (value === undefined) return;
    flags |= propertyFlag(number);
    writeProperty(writer, kind, value);
  });
  writer.bytes[flagsAt] = flags >>> 8;
  writer.bytes[flagsAt + 1] = flags;
}

function writeProperty(writer: ByteWriter, kind: PropertyKind, value: unknown): void {
  switch (kind) {
    case 'octet':
      if (typeof value !== 'number' || !Number.isInteger(value) || value < 0 || value > 0xff) {
        throw new AmqpEncodeError('octet', value);
      }
      writer.u8(value);
      return;
    case 'timestamp':
      writeLong(writer, 'timestamp', value as FieldLong);
      return;
    case 'table':
      writeTable(writer, value as FieldTable);
      return;
    default:
      writeShortText(writer, value as FieldText);
  }
}
