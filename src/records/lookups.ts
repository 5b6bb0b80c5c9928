// By what a record is looked for, whichever protocol wrote it: its key and RocketMQ's keys, RocketMQ's tag, and the
// message ids of RocketMQ and AMQP. Where the protocols keep them is said in docs/reference/mapping.md.
import { encodeUtf8, equalBytes } from '../std/bytes.ts';
import { murmur3x128 } from '../std/murmur3.ts';
import { type Cursor, readVarI32 } from '../std/varint.ts';
import type { RecordReader } from './records.ts';
import { OWN_ID_HEADER } from './stored-id.ts';

export type LookupKind = 'key' | 'tag' | 'id';

export interface Lookup {
  readonly kind: LookupKind;
  readonly value: Uint8Array;
}

/** By number, as indexes on disk have them. */
export const LOOKUP_KINDS: readonly LookupKind[] = ['key', 'tag', 'id'];
const KEY = 0;
const TAG = 1;
const ID = 2;

const HEADERS = [
  { name: encodeUtf8('KEYS'), kind: KEY },
  { name: encodeUtf8('TAGS'), kind: TAG },
  { name: encodeUtf8(OWN_ID_HEADER), kind: ID },
  { name: encodeUtf8('amqp.message-id'), kind: ID },
];

function kindOf(bytes: Uint8Array, at: number, size: number): number {
  for (const { name, kind } of HEADERS) {
    if (name.length === size && isSame(bytes, at, name)) return kind;
  }
  return -1;
}

function isSame(bytes: Uint8Array, at: number, wanted: Uint8Array): boolean {
  for (let i = 0; i < wanted.length; i += 1) if (bytes[at + i] !== wanted[i]) return false;
  return true;
}

/**
 * Calls `visit` with all by which the record that the reader is at can be found, until it answers false: the number
 * of the kind, and where in `reader.bytes` the value lies. One may come twice.
 */
export function eachLookup(
  reader: RecordReader,
  visit: (kind: number, start: number, end: number) => unknown,
): void {
  const { bytes, keyAt, keySize } = reader;
  if (keySize > 0 && visit(KEY, keyAt, keyAt + keySize) === false) return;
  const cursor: Cursor = { at: reader.headersAt, end: reader.headersEnd };
  for (let i = 0; i < reader.headerCount; i += 1) {
    const nameSize = readVarI32(bytes, cursor);
    const kind = kindOf(bytes, cursor.at, nameSize);
    cursor.at += nameSize;
    const size = readVarI32(bytes, cursor);
    const start = cursor.at;
    cursor.at += Math.max(0, size);
    if (kind >= 0 && size > 0 && visit(kind, start, cursor.at) === false) return;
  }
}

/** 32 bits that differ for most values, and for one value as another kind. `scratch` has four words. */
export function lookupHash(
  kind: number,
  bytes: Uint8Array,
  start: number,
  end: number,
  scratch: Int32Array,
): number {
  murmur3x128(bytes, start, end, kind, scratch);
  return scratch[0]! >>> 0;
}

/** Has the record that the reader is at what is looked for? */
export function isFoundBy(reader: RecordReader, { kind, value }: Lookup): boolean {
  const wanted = LOOKUP_KINDS.indexOf(kind);
  let isFound = false;
  eachLookup(reader, (each, start, end) => {
    isFound = each === wanted && end - start === value.length && isSame(reader.bytes, start, value);
    return !isFound;
  });
  return isFound;
}

/** The same of a record that was read out. */
export function hasLookup(
  record: {
    readonly key: Uint8Array | null;
    readonly headers: readonly { readonly name: string; readonly value: Uint8Array | null }[];
  },
  { kind, value }: Lookup,
): boolean {
  const isValue = (bytes: Uint8Array | null) => bytes !== null && equalBytes(bytes, value);
  if (kind === 'key' && isValue(record.key)) return true;
  return record.headers.some(({ name, value: bytes }) => {
    const encoded = encodeUtf8(name);
    return LOOKUP_KINDS[kindOf(encoded, 0, encoded.length)] === kind && isValue(bytes);
  });
}
