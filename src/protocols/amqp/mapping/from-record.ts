// A record to a message that can be delivered: the other direction of to-record.ts, for records of any producer.
// Own headers (`amqp....`) rebuild exchange, routing key and properties; all others become the headers table. Whoever
// wrote the record: what does not fit AMQP's fields is left out, and what goes to a client is always well formed.

import type { RecordParts } from '../../../broker/ports.ts';
import { ByteWriter, EMPTY_BYTES, encodeUtf8, writeU16 } from '../../../std/bytes.ts';
import { type Cursor, readVarI32 } from '../../../std/varint.ts';
import {
  type OutgoingMessage,
  PROPERTY_KINDS,
  PROPERTY_NUMBER,
  propertyFlag,
  skipTable,
  TableWalk,
  writeLong,
} from '../codec/index.ts';
import { ESCAPE, EXCHANGE, NAMES_BY_NUMBER, OWN_PREFIX, ROUTING_KEY } from './names.ts';
import { isUtf8, readDigits, writeRange } from './text.ts';

const SHORTSTR_BYTES_MAX = 255;
const TAG_LONGSTR = 'S'.charCodeAt(0);
const TAG_VOID = 'V'.charCodeAt(0);
const TAG_LONG = 'l'.charCodeAt(0);
/** A header that the destination says, in place of one of that name that the message has. */
interface Told {
  readonly name: string;
  readonly bytes: Uint8Array;
}

const told = (name: string): Told => ({ name, bytes: encodeUtf8(name) });
/** Where in its stream a message is. Of one that comes from a queue it is a header like others. */
const STREAM_OFFSET = told('x-stream-offset');
/** How often a message came back to its quorum queue. Of one that is new there it is a header like others. */
const DELIVERY_COUNT = told('x-delivery-count');
const HEADERS = PROPERTY_NUMBER.headers;
/** Behind the numbers of properties. */
const EXCHANGE_NUMBER = NAMES_BY_NUMBER.length;
const ROUTING_KEY_NUMBER = EXCHANGE_NUMBER + 1;
const OWN_NAMES: readonly string[] = [...NAMES_BY_NUMBER, EXCHANGE, ROUTING_KEY];
/** Numbers of own names by their size: at most three of a kind. */
const NUMBERS_BY_SIZE: readonly (readonly number[])[] = numbersBySize();
/** A header frame is no larger than frame_max: class, weight, size and the frame's own bytes beside the properties. */
const HEADER_FRAME_BYTES = 20;

function numbersBySize(): number[][] {
  const sizes: number[][] = [];
  OWN_NAMES.forEach((name, number) => {
    sizes[name.length] ??= [];
    sizes[name.length]!.push(number);
  });
  return sizes;
}

export class MessageOfRecord {
  readonly #out = new ByteWriter(512);
  readonly #cursor: Cursor = { at: 0, end: 0 };
  /** Where the values of own headers are, by number; size -1: absent. */
  readonly #ats = new Int32Array(OWN_NAMES.length);
  readonly #sizes = new Int32Array(OWN_NAMES.length);
  /** Headers that are not own. */
  #others = 0;
  #bytes: Uint8Array = EMPTY_BYTES;
  readonly #walk = new TableWalk();
  /** What the destination says, and its value. */
  #told: Told | undefined;
  #toldValue = 0;

  /**
   * Sets exchange, routing key, properties and body of `message`, lent with the record and until the next call.
   * Headers that would make the header frame larger than the receiver's frame_max are left out. `streamOffset`: where
   * in its stream it is, which the headers tell; -1: it comes from a queue. `deliveryCount`: how often it came back to
   * its quorum queue, which they tell if it is above 0.
   */
  fill(record: RecordParts, message: OutgoingMessage, streamOffset = -1, deliveryCount = 0): void {
    this.#bytes = record.headers;
    const isCounted = deliveryCount > 0;
    this.#told = streamOffset >= 0 ? STREAM_OFFSET : isCounted ? DELIVERY_COUNT : undefined;
    this.#toldValue = streamOffset >= 0 ? streamOffset : deliveryCount;
    this.#find(record);
    this.#setNames(record, message);
    this.#writeProperties(record, true);
    const { frameBytesMax } = message;
    const isTooLarge = frameBytesMax > 0 && this.#out.size + HEADER_FRAME_BYTES > frameBytesMax;
    if (isTooLarge) this.#writeProperties(record, false);
    message.properties.set(this.#out.bytes, 0, this.#out.size);
    message.body.set(record.value, record.valueStart, record.valueEnd - record.valueStart);
    this.#bytes = EMPTY_BYTES;
  }

  #find(record: RecordParts): void {
    const cursor = this.#open(record);
    this.#sizes.fill(-1);
    this.#others = 0;
    for (let i = 0; i < record.headerCount; i += 1) {
      const nameSize = readVarI32(this.#bytes, cursor);
      const nameAt = cursor.at;
      cursor.at += nameSize;
      const size = readVarI32(this.#bytes, cursor);
      const number = this.#ownNumber(nameAt, nameSize);
      if (number >= 0) {
        this.#ats[number] = cursor.at;
        this.#sizes[number] = size;
      } else if (this.#tableNameSkip(nameAt, nameSize) >= 0) {
        this.#others += 1;
      }
      cursor.at += Math.max(0, size);
    }
  }

  #open(record: RecordParts): Cursor {
    this.#cursor.at = record.headersStart;
    this.#cursor.end = record.headersEnd;
    return this.#cursor;
  }

  /** Number of the own header of that name, or -1. */
  #ownNumber(at: number, size: number): number {
    if (!this.#startsWith(at, size, OWN_PREFIX)) return -1;
    const numbers = NUMBERS_BY_SIZE[size];
    if (numbers === undefined) return -1;
    for (const number of numbers) {
      if (this.#startsWith(at, size, OWN_NAMES[number]!)) return number;
    }
    return -1;
  }

  /** How much of a name in front does not belong to the table's; -1: it has no place there. */
  #tableNameSkip(at: number, size: number): number {
    const isOwn = this.#startsWith(at, size, OWN_PREFIX);
    if (isOwn && !this.#startsWith(at, size, ESCAPE)) return -1;
    const skip = isOwn ? ESCAPE.length : 0;
    const nameSize = size - skip;
    if (nameSize > SHORTSTR_BYTES_MAX) return -1;
    // What was said of it elsewhere does not count here.
    const own = this.#told?.name;
    const isOfSize = own !== undefined && nameSize === own.length;
    return isOfSize && this.#startsWith(at + skip, nameSize, own) ? -1 : skip;
  }

  #startsWith(at: number, size: number, text: string): boolean {
    if (size < text.length) return false;
    for (let i = 0; i < text.length; i += 1) {
      if (this.#bytes[at + i] !== text.charCodeAt(i)) return false;
    }
    return true;
  }

  #setNames(record: RecordParts, message: OutgoingMessage): void {
    const sizes = this.#sizes;
    const exchangeSize = sizes[EXCHANGE_NUMBER]!;
    const isNamed = exchangeSize > 0 && exchangeSize <= SHORTSTR_BYTES_MAX;
    message.exchange.set(this.#bytes, this.#ats[EXCHANGE_NUMBER]!, isNamed ? exchangeSize : 0);
    const ownSize = sizes[ROUTING_KEY_NUMBER]!;
    if (ownSize >= 0 && ownSize <= SHORTSTR_BYTES_MAX) {
      message.routingKey.set(this.#bytes, this.#ats[ROUTING_KEY_NUMBER]!, ownSize);
      return;
    }
    const { key, keyStart, keyEnd } = record;
    const keySize = keyStart < 0 ? 0 : keyEnd - keyStart;
    const isText = keySize <= SHORTSTR_BYTES_MAX && isUtf8(key, keyStart, keyEnd);
    message.routingKey.set(key, Math.max(0, keyStart), isText ? keySize : 0);
  }

  // ---- Properties -------------------------------------------------------------------------------

  #writeProperties(record: RecordParts, hasHeaders: boolean): void {
    const out = this.#out;
    out.reset();
    out.reserve(2);
    let flags = 0;
    for (let number = 0; number < NAMES_BY_NUMBER.length; number += 1) {
      const isThere =
        number === HEADERS
          ? this.#writeHeaders(record, hasHeaders)
          : this.#sizes[number]! >= 0 && this.#writeProperty(number);
      if (isThere) flags |= propertyFlag(number);
    }
    writeU16(out.bytes, 0, flags);
  }

  /** False: the value is none of that property, and nothing was written. */
  #writeProperty(number: number): boolean {
    const at = this.#ats[number]!;
    const size = this.#sizes[number]!;
    const end = at + size;
    const kind = PROPERTY_KINDS[number]!;
    if (kind === 'shortstr') {
      if (size > SHORTSTR_BYTES_MAX) return false;
      this.#out.u8(size);
      writeRange(this.#out, this.#bytes, at, end);
      return true;
    }
    const value = readDigits(this.#bytes, at, end);
    if (value === undefined) return false;
    if (kind === 'timestamp') {
      writeLong(this.#out, 'timestamp', value);
      return true;
    }
    if (value > 0xff) return false;
    this.#out.u8(Number(value));
    return true;
  }

  /** The table as it came, or one of all headers that are not own. False: there are none. */
  #writeHeaders(record: RecordParts, hasHeaders: boolean): boolean {
    const at = this.#ats[HEADERS]!;
    const end = at + this.#sizes[HEADERS]!;
    const isRaw = hasHeaders && end >= at && skipTable(this.#bytes, at, end) === end;
    const out = this.#out;
    const own = this.#told;
    if (isRaw && own === undefined) {
      writeRange(out, this.#bytes, at, end);
      return true;
    }
    const hasOthers = hasHeaders && this.#others > 0;
    if (!isRaw && !hasOthers && own === undefined) return false;
    const start = out.reserve(4);
    if (isRaw) this.#writeRaw(at, own!);
    else if (hasOthers) this.#writeOthers(record);
    if (own !== undefined) this.#writeTold(own);
    out.patchU32(start, out.size - start - 4);
    return true;
  }

  /** Entries of the table as it came. What was said of it elsewhere does not count here. */
  #writeRaw(at: number, { name }: Told): void {
    const walk = this.#walk;
    walk.openTable(this.#bytes, at);
    while (walk.next()) {
      if (walk.isNamed(name)) continue;
      writeRange(this.#out, this.#bytes, walk.entryAt, walk.nextAt);
    }
  }

  #writeTold({ bytes }: Told): void {
    const out = this.#out;
    out.u8(bytes.length);
    out.raw(bytes);
    out.u8(TAG_LONG);
    writeLong(out, 'long', this.#toldValue);
  }

  #writeOthers(record: RecordParts): void {
    const out = this.#out;
    const cursor = this.#open(record);
    for (let i = 0; i < record.headerCount; i += 1) {
      const nameSize = readVarI32(this.#bytes, cursor);
      const nameAt = cursor.at;
      cursor.at += nameSize;
      const size = readVarI32(this.#bytes, cursor);
      const skip =
        this.#ownNumber(nameAt, nameSize) >= 0 ? -1 : this.#tableNameSkip(nameAt, nameSize);
      if (skip >= 0) {
        out.u8(nameSize - skip);
        writeRange(out, this.#bytes, nameAt + skip, nameAt + nameSize);
        this.#writeValue(cursor.at, size);
      }
      cursor.at += Math.max(0, size);
    }
  }

  #writeValue(at: number, size: number): void {
    const out = this.#out;
    if (size < 0) {
      out.u8(TAG_VOID);
      return;
    }
    out.u8(TAG_LONGSTR);
    out.u32(size);
    writeRange(out, this.#bytes, at, at + size);
  }
}
