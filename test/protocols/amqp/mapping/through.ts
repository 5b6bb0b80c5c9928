// Messages of AMQP through the mapping, as bytes both ways: frames of a publish to a record, and a record to what is
// delivered.
import { expect } from 'vitest';
import {
  type BasicProperties,
  OutgoingMessage,
  SOURCE,
} from '../../../../src/protocols/amqp/codec/index.ts';
import { MessageOfRecord } from '../../../../src/protocols/amqp/mapping/from-record.ts';
import { Parts } from '../../../../src/protocols/amqp/mapping/parts.ts';
import { PublishedMessage } from '../../../../src/protocols/amqp/mapping/published.ts';
import { RecordOfMessage } from '../../../../src/protocols/amqp/mapping/to-record.ts';
import { encodeBatch, type RecordInput, RecordReader } from '../../../../src/records/records.ts';
import { ByteWriter, decodeUtf8, encodeUtf8 } from '../../../../src/std/bytes.ts';
import { crc32c } from '../../../../src/std/crc32c.ts';
import { type Cursor, readVarI32 } from '../../../../src/std/varint.ts';
import { encodeProperties } from '../codec/all-properties.ts';
import { openReader } from '../codec/tape-reader.ts';

export interface Sent {
  readonly exchange: string;
  readonly routingKey: string;
  readonly properties: Uint8Array;
  readonly body: Uint8Array;
}

interface RoutingKey {
  readonly routingKey: string | Uint8Array;
}

const METHOD_END = 0xce;

/** The frames of a publish with these very property bytes. */
export function framesOf(sent: Omit<Sent, 'routingKey'> & RoutingKey): Uint8Array {
  const { exchange, routingKey, properties, body } = sent;
  const writer = new ByteWriter();
  const frame = (type: number, payload: Uint8Array): void => {
    writer.u8(type);
    writer.u16(1);
    writer.u32(payload.length);
    writer.raw(payload);
    writer.u8(METHOD_END);
  };
  const method = new ByteWriter();
  method.u32(0x003c0028);
  method.u16(0);
  for (const name of [exchange, routingKey]) {
    const bytes = typeof name === 'string' ? encodeUtf8(name) : name;
    method.u8(bytes.length);
    method.raw(bytes);
  }
  method.u8(0);
  frame(1, method.finish());
  const header = new ByteWriter();
  header.u32(60 * 65_536);
  header.u64(body.length);
  header.raw(properties);
  frame(2, header.finish());
  if (body.length > 0) frame(3, body);
  return writer.toBytes();
}

interface Seen {
  readonly key: Uint8Array | null;
  readonly value: Uint8Array;
  readonly headers: readonly (readonly [string, string | null])[];
  readonly timestampMs: number;
}

/** What becomes of published frames, as a plain record and as one that is stored. */
export function recordOf(frames: Uint8Array): { seen: Seen; record: RecordReader } {
  const { reader, tape } = openReader();
  reader.receive(frames);
  const message = new PublishedMessage();
  message.set(tape.bytesOf(tape.ints[SOURCE]), tape.ints, 0);
  const parts = new RecordOfMessage().set(message);
  const headers: { name: string; value: Uint8Array | null }[] = [];
  const cursor: Cursor = { at: parts.headersStart, end: parts.headersEnd };
  while (cursor.at < cursor.end) {
    const nameSize = readVarI32(parts.headers, cursor);
    const name = decodeUtf8(parts.headers.slice(cursor.at, cursor.at + nameSize));
    cursor.at += nameSize;
    const size = readVarI32(parts.headers, cursor);
    const value = size < 0 ? null : parts.headers.slice(cursor.at, cursor.at + size);
    cursor.at += Math.max(0, size);
    headers.push({ name, value });
  }
  expect(headers).toHaveLength(parts.headerCount);
  const key = parts.keyStart < 0 ? null : parts.key.slice(parts.keyStart, parts.keyEnd);
  const value = parts.value.slice(parts.valueStart, parts.valueEnd);
  const { timestampMs } = parts;
  const latin1 = (bytes: Uint8Array | null) =>
    bytes === null ? null : Buffer.from(bytes).toString('latin1');
  return {
    seen: { key, value, headers: headers.map((h) => [h.name, latin1(h.value)]), timestampMs },
    record: stored({ key, value, headers, timestampMs: Math.max(0, timestampMs) }),
  };
}

export function stored(input: RecordInput): RecordReader {
  const bytes = encodeBatch([input], crc32c);
  const record = new RecordReader();
  expect(record.open(bytes, 0, bytes.length)).toBe('ok');
  expect(record.next()).toBe(true);
  return record;
}

const plain = ({ bytes, at, size }: OutgoingMessage['body']): Uint8Array =>
  new Uint8Array(bytes.slice(at, at + size));

export function deliveredOf(record: RecordReader, frameBytesMax = 0, streamOffset = -1): Sent {
  const message = new OutgoingMessage();
  message.frameBytesMax = frameBytesMax;
  new MessageOfRecord().fill(new Parts().ofRecord(record), message, streamOffset);
  return {
    exchange: Buffer.from(plain(message.exchange)).toString('latin1'),
    routingKey: Buffer.from(plain(message.routingKey)).toString('latin1'),
    properties: plain(message.properties),
    body: plain(message.body),
  };
}

export function encoded(properties: BasicProperties): Uint8Array {
  const writer = new ByteWriter();
  encodeProperties(writer, properties);
  return writer.toBytes();
}
