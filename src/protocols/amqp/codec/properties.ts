// The 14 properties of the basic class: flags u16, then the flagged values in order of their bits, highest first
// (0-9-1 specification, section 4.2.6.1). Bit 0 would announce another word of flags, which no property of this class
// needs, and bit 1 belongs to none: both are refused. A message keeps its property bytes as they came; this file
// finds single values in them without making objects.
import { readU16, readU32 } from '../../../std/bytes.ts';
import { skipTable } from './field-table.ts';
import type { FieldLong, FieldTable, FieldText } from './field-values.ts';

/** All properties of a message; absent ones are left out. */
export interface BasicProperties {
  readonly contentType?: FieldText;
  readonly contentEncoding?: FieldText;
  readonly headers?: FieldTable;
  /** 2: persistent. */
  readonly deliveryMode?: number;
  readonly priority?: number;
  readonly correlationId?: FieldText;
  readonly replyTo?: FieldText;
  /** Milliseconds, as digits. */
  readonly expiration?: FieldText;
  readonly messageId?: FieldText;
  /** Seconds. */
  readonly timestamp?: FieldLong;
  readonly type?: FieldText;
  readonly userId?: FieldText;
  readonly appId?: FieldText;
  readonly clusterId?: FieldText;
}

export type PropertyName = keyof BasicProperties;
export type PropertyKind = 'shortstr' | 'table' | 'octet' | 'timestamp';

const PROPERTY_ROWS: readonly (readonly [PropertyName, PropertyKind])[] = [
  ['contentType', 'shortstr'],
  ['contentEncoding', 'shortstr'],
  ['headers', 'table'],
  ['deliveryMode', 'octet'],
  ['priority', 'octet'],
  ['correlationId', 'shortstr'],
  ['replyTo', 'shortstr'],
  ['expiration', 'shortstr'],
  ['messageId', 'shortstr'],
  ['timestamp', 'timestamp'],
  ['type', 'shortstr'],
  ['userId', 'shortstr'],
  ['appId', 'shortstr'],
  ['clusterId', 'shortstr'],
];

/** What each property is, by its number. */
export const PROPERTY_KINDS: readonly PropertyKind[] = PROPERTY_ROWS.map(([, kind]) => kind);

/** The number of a property: its place in the order, 0 for content-type. Its flag is bit 15 less that. */
export const PROPERTY_NUMBER: { readonly [N in PropertyName]-?: number } = Object.freeze(
  Object.fromEntries(PROPERTY_ROWS.map(([name], number) => [name, number])),
) as { readonly [N in PropertyName]-?: number };

/** The flag of a property in the flags word. */
export function propertyFlag(number: number): number {
  return 0x8000 >>> number;
}

const PROPERTY_COUNT = PROPERTY_ROWS.length;
const FLAGS_BYTES = 2;
const FLAGS_UNUSED = 0b11;
const OCTET = 1;
const TIMESTAMP = 8;
const SHORTSTR = -1;
const TABLE = -2;
/** Bytes of the value of each property, or how they are found. */
const VALUE_BYTES: Int8Array = Int8Array.from(
  PROPERTY_KINDS.map(
    (kind) => ({ octet: OCTET, timestamp: TIMESTAMP, shortstr: SHORTSTR, table: TABLE })[kind],
  ),
);
const DELIVERY_MODE = PROPERTY_NUMBER.deliveryMode;

/** The delivery mode of a message that has none. */
const NO_DELIVERY_MODE = 0;

/**
 * Checks the properties in bytes[at, end), headers included, without making objects. Answers the delivery mode (0:
 * none), or -1 if they are malformed: a flag that is not a property's, a value that is cut, bytes left over.
 */
export function scanProperties(bytes: Uint8Array, at: number, end: number): number {
  if (end - at < FLAGS_BYTES) return -1;
  const flags = readU16(bytes, at);
  if ((flags & FLAGS_UNUSED) !== 0) return -1;
  at += FLAGS_BYTES;
  let deliveryMode = NO_DELIVERY_MODE;
  // The highest flag first: 16 leading zeros of the 32-bit number are above the word.
  for (let left = flags; left !== 0; ) {
    const number = Math.clz32(left) - 16;
    left &= ~(0x8000 >>> number);
    if (at >= end) return -1;
    const size = VALUE_BYTES[number]!;
    if (number === DELIVERY_MODE) deliveryMode = bytes[at]!;
    if (size > 0) at += size;
    else if (size === SHORTSTR) at += 1 + bytes[at]!;
    else {
      at = skipTable(bytes, at, end);
      if (at < 0) return -1;
    }
  }
  return at === end ? deliveryMode : -1;
}

/**
 * Fills `positions` with where the value of each property starts, by number; -1: absent. Of a shortstr and a table that
 * is its size. The properties that start at `at` were checked before.
 */
export function locateProperties(bytes: Uint8Array, at: number, positions: Int32Array): void {
  const flags = readU16(bytes, at);
  at += FLAGS_BYTES;
  for (let number = 0; number < PROPERTY_COUNT; number += 1) {
    if ((flags & propertyFlag(number)) === 0) {
      positions[number] = -1;
      continue;
    }
    positions[number] = at;
    const size = VALUE_BYTES[number]!;
    if (size > 0) at += size;
    else at += size === SHORTSTR ? 1 + bytes[at]! : 4 + readU32(bytes, at);
  }
}
