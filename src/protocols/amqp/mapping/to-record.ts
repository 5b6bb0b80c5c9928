// A published message to a record: routing key to key, body to value, everything else to headers of the record.
// Properties become headers named after them; a client's own headers keep their names. What headers of a record
// cannot hold exactly (types, repeated names) is kept beside them as it came, so that AMQP gets back what AMQP sent.

import type { RecordParts } from '../../../broker/ports.ts';
import { ByteWriter, encodeUtf8, readI32, readU16, readU32 } from '../../../std/bytes.ts';
import { PROPERTY_KINDS } from '../codec/index.ts';
import {
  ESCAPE,
  EXCHANGE,
  NAMES_BY_NUMBER,
  nameField,
  OWN_PREFIX,
  RAW_HEADERS,
  ROUTING_KEY,
} from './names.ts';
import { Parts } from './parts.ts';
import type { PublishedMessage } from './published.ts';
import { digitsOf, isUtf8, writeDigits, writeRange } from './text.ts';

const EXCHANGE_FIELD = nameField(EXCHANGE);
const ROUTING_KEY_FIELD = nameField(ROUTING_KEY);
const RAW_HEADERS_FIELD = nameField(RAW_HEADERS);
const FIELDS_BY_NUMBER = NAMES_BY_NUMBER.map(nameField);
const ESCAPE_BYTES = encodeUtf8(ESCAPE);
const TWO_32 = 0x1_0000_0000;
/** The last second whose milliseconds a date can hold (ECMA-262, time values). */
const SECONDS_MAX = 8_640_000_000_000;

export class RecordOfMessage {
  readonly parts = new Parts();
  readonly #out = new ByteWriter(512);
  #count = 0;

  /** Fills `parts`. */
  set(message: PublishedMessage): RecordParts {
    const { parts } = this;
    this.#out.reset();
    this.#count = 0;
    parts.timestampMs = -1;
    parts.value = message.bytes;
    parts.valueStart = message.bodyAt;
    parts.valueEnd = message.bodyAt + message.bodySize;
    this.#names(message);
    this.#properties(message);
    parts.headerCount = this.#count;
    parts.headers = this.#out.bytes;
    parts.headersEnd = this.#out.size;
    return parts;
  }

  #names(message: PublishedMessage): void {
    const { parts } = this;
    const { bytes, routingKeyAt, exchangeAt } = message;
    const keyEnd = routingKeyAt + message.routingKeySize;
    parts.key = bytes;
    // No key at all, so that it spreads over the logs of a stream.
    parts.keyStart = message.routingKeySize === 0 ? -1 : routingKeyAt;
    parts.keyEnd = keyEnd;
    if (message.exchangeSize > 0) {
      this.#sized(EXCHANGE_FIELD, bytes, exchangeAt, exchangeAt + message.exchangeSize);
    }
    if (!isUtf8(bytes, routingKeyAt, keyEnd)) {
      this.#sized(ROUTING_KEY_FIELD, bytes, routingKeyAt, keyEnd);
    }
  }

  #properties(message: PublishedMessage): void {
    const { positions, propertyBytes: bytes } = message;
    for (let number = 0; number < positions.length; number += 1) {
      const at = positions[number]!;
      if (at < 0) continue;
      const field = FIELDS_BY_NUMBER[number]!;
      const kind = PROPERTY_KINDS[number]!;
      if (kind === 'shortstr') this.#sized(field, bytes, at + 1, at + 1 + bytes[at]!);
      else if (kind === 'octet') this.#number(field, bytes[at]!);
      else if (kind === 'timestamp') this.#timestamp(field, bytes, at);
      else this.#headers(message, at);
    }
  }

  #timestamp(field: Uint8Array, bytes: Uint8Array, at: number): void {
    const seconds = readU32(bytes, at) * TWO_32 + readU32(bytes, at + 4);
    if (seconds <= SECONDS_MAX) this.parts.timestampMs = seconds * 1000;
    if (Number.isSafeInteger(seconds)) {
      this.#number(field, seconds);
      return;
    }
    const exact = (BigInt(readU32(bytes, at)) << 32n) | BigInt(readU32(bytes, at + 4));
    this.#text(field, String(exact));
  }

  // ---- A client's own headers -------------------------------------------------------------------

  #headers(message: PublishedMessage, at: number): void {
    const { propertyBytes: bytes, walk } = message;
    if (!message.isPlain) this.#sized(RAW_HEADERS_FIELD, bytes, at, at + 4 + readU32(bytes, at));
    walk.openTable(bytes, at);
    while (walk.next()) {
      const nameEnd = walk.nameAt + walk.nameSize;
      if (message.isPlain || isUtf8(bytes, walk.nameAt, nameEnd)) this.#header(message);
    }
  }

  /** The entry that the walk is at, under its own name, if its value has a form that others can read. */
  #header({ walk }: PublishedMessage): void {
    const { bytes, valueAt, valueSize } = walk;
    switch (String.fromCharCode(walk.tag)) {
      case 'S':
      case 'x':
        this.#ownName(walk.bytes, walk.nameAt, walk.nameSize);
        this.#out.varI53(valueSize);
        writeRange(this.#out, bytes, valueAt, valueAt + valueSize);
        return;
      case 'V':
        this.#ownName(walk.bytes, walk.nameAt, walk.nameSize);
        this.#out.varI53(-1);
        return;
      default: {
        const text = scalarText(walk.tag, bytes, valueAt);
        if (text === undefined) return;
        this.#ownName(walk.bytes, walk.nameAt, walk.nameSize);
        this.#out.varI53(text.length);
        this.#out.utf8(text);
      }
    }
  }

  #ownName(bytes: Uint8Array, at: number, size: number): void {
    const out = this.#out;
    this.#count += 1;
    if (startsWithOwn(bytes, at, size)) {
      out.varI53(ESCAPE_BYTES.length + size);
      out.raw(ESCAPE_BYTES);
    } else {
      out.varI53(size);
    }
    writeRange(out, bytes, at, at + size);
  }

  // ---- Values ---------------------------------------------------------------------------------------

  #sized(field: Uint8Array, bytes: Uint8Array, start: number, end: number): void {
    this.#count += 1;
    writeRange(this.#out, field, 0, field.length);
    this.#out.varI53(end - start);
    writeRange(this.#out, bytes, start, end);
  }

  #number(field: Uint8Array, value: number): void {
    this.#count += 1;
    writeRange(this.#out, field, 0, field.length);
    this.#out.varI53(digitsOf(value));
    writeDigits(this.#out, value);
  }

  #text(field: Uint8Array, text: string): void {
    this.#count += 1;
    writeRange(this.#out, field, 0, field.length);
    this.#out.varI53(text.length);
    this.#out.utf8(text);
  }
}

function startsWithOwn(bytes: Uint8Array, at: number, size: number): boolean {
  if (size < OWN_PREFIX.length) return false;
  for (let i = 0; i < OWN_PREFIX.length; i += 1) {
    if (bytes[at + i] !== OWN_PREFIX.charCodeAt(i)) return false;
  }
  return true;
}

/** A number, time or truth as people write it, in ASCII; undefined: tables and arrays. Rare, so strings are made. */
function scalarText(tag: number, bytes: Uint8Array, at: number): string | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset + at);
  switch (String.fromCharCode(tag)) {
    case 't':
      return view.getUint8(0) === 0 ? 'false' : 'true';
    case 'b':
      return String(view.getInt8(0));
    case 'B':
      return String(view.getUint8(0));
    case 's':
      return String(view.getInt16(0));
    case 'u':
      return String(readU16(bytes, at));
    case 'I':
      return String(readI32(bytes, at));
    case 'i':
      return String(readU32(bytes, at));
    case 'l':
    case 'L':
      return String(view.getBigInt64(0));
    case 'T':
      return String(view.getBigUint64(0));
    case 'f':
      return String(view.getFloat32(0));
    case 'd':
      return String(view.getFloat64(0));
    case 'D':
      return `${readU32(bytes, at + 1)}e-${bytes[at]}`;
    default:
      return undefined;
  }
}
