// A published message as it lies in the received bytes, and what a look over its headers tells: whether headers of a
// record can hold them, and the keys that they add. One object serves all messages of a thread.
import { EMPTY_BYTES } from '../../../std/bytes.ts';
import {
  BODY_AT,
  BODY_SIZE,
  EXCHANGE_AT,
  EXCHANGE_SIZE,
  locateProperties,
  PROPERTIES_AT,
  PROPERTIES_SIZE,
  PROPERTY_KINDS,
  PROPERTY_NUMBER,
  ROUTING_KEY_AT,
  ROUTING_KEY_SIZE,
  TableWalk,
} from '../codec/index.ts';
import { isUtf8 } from './text.ts';

/** Tables with more entries are kept raw: whether a name comes twice is found out by comparing all of them. */
const COMPARED_ENTRIES_MAX = 32;
const TAG_LONGSTR = 'S'.charCodeAt(0);
const PROPERTY_COUNT = PROPERTY_KINDS.length;

export class PublishedMessage {
  /** Exchange, routing key and body. */
  bytes: Uint8Array = EMPTY_BYTES;
  exchangeAt = 0;
  exchangeSize = 0;
  routingKeyAt = 0;
  routingKeySize = 0;
  bodyAt = 0;
  bodySize = 0;
  /** The properties, which need not be in `bytes`: they are checked. */
  propertyBytes: Uint8Array = EMPTY_BYTES;
  propertiesAt = 0;
  propertiesSize = 0;
  /** Where the value of each property starts, by number; -1: absent. */
  readonly positions = new Int32Array(PROPERTY_COUNT).fill(-1);
  /** Every header is a long string with a name of its own in UTF-8, and there is one. */
  isPlain = true;
  /** Tags of the values of the first CC and BCC; 0: absent. */
  ccTag = 0;
  bccTag = 0;
  /** Where those values are, and the entry of BCC. */
  ccAt = 0;
  bccAt = 0;
  bccEntryAt = 0;
  bccEntryEnd = 0;
  readonly walk = new TableWalk();
  readonly #nameAts = new Int32Array(COMPARED_ENTRIES_MAX);

  /** Looks at the message of a publish entry that starts at ints[at]. */
  set(bytes: Uint8Array, ints: Int32Array, at: number): void {
    this.bytes = bytes;
    this.exchangeAt = ints[at + EXCHANGE_AT]!;
    this.exchangeSize = ints[at + EXCHANGE_SIZE]!;
    this.routingKeyAt = ints[at + ROUTING_KEY_AT]!;
    this.routingKeySize = ints[at + ROUTING_KEY_SIZE]!;
    this.bodyAt = ints[at + BODY_AT]!;
    this.bodySize = ints[at + BODY_SIZE]!;
    this.setProperties(bytes, ints[at + PROPERTIES_AT]!, ints[at + PROPERTIES_SIZE]!);
  }

  setProperties(bytes: Uint8Array, at: number, size: number): void {
    this.propertyBytes = bytes;
    this.propertiesAt = at;
    this.propertiesSize = size;
    locateProperties(bytes, at, this.positions);
    this.#lookAtHeaders();
  }

  has(number: number): boolean {
    return this.positions[number]! >= 0;
  }

  /** Where the size field of the headers is, or -1. */
  get headersAt(): number {
    return this.positions[PROPERTY_NUMBER.headers]!;
  }

  #lookAtHeaders(): void {
    this.ccTag = 0;
    this.bccTag = 0;
    const { headersAt, walk } = this;
    if (headersAt < 0) {
      this.isPlain = true;
      return;
    }
    walk.openTable(this.propertyBytes, headersAt);
    let count = 0;
    let isPlain = true;
    while (walk.next()) {
      if (isPlain) isPlain = this.#isPlainEntry(count);
      count += 1;
      if (this.ccTag === 0 && walk.isNamed('CC')) {
        this.ccTag = walk.tag;
        this.ccAt = walk.valueAt;
      } else if (this.bccTag === 0 && walk.isNamed('BCC')) {
        this.bccTag = walk.tag;
        this.bccAt = walk.valueAt;
        this.bccEntryAt = walk.entryAt;
        this.bccEntryEnd = walk.nextAt;
      }
    }
    this.isPlain = isPlain && count > 0;
  }

  /** The entry at hand, of which `count` came before. */
  #isPlainEntry(count: number): boolean {
    const { walk } = this;
    if (walk.tag !== TAG_LONGSTR || count >= COMPARED_ENTRIES_MAX) return false;
    const { bytes, nameAt, nameSize } = walk;
    for (let i = 0; i < count; i += 1) {
      if (isSameName(bytes, this.#nameAts[i]!, nameAt, nameSize)) return false;
    }
    this.#nameAts[count] = nameAt;
    return isUtf8(bytes, nameAt, nameAt + nameSize);
  }
}

/** A name starts behind its size. */
function isSameName(bytes: Uint8Array, a: number, b: number, size: number): boolean {
  if (bytes[a - 1] !== size) return false;
  for (let i = 0; i < size; i += 1) if (bytes[a + i] !== bytes[b + i]) return false;
  return true;
}
