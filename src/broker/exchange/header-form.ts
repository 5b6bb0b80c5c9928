// The neutral form of message headers and of what a binding wants of them. Protocols write it when they
// bind and when they publish; routing compares bytes and knows no protocol's types.
//
//   headers: entries, one behind the other     match: mode u8 (0 all, 1 any) | entries, sorted by bytes
//   entry:   size u32 of the rest | name size u8 | name | value
//   value:   tag u8 | bytes, so that equal values are equal bytes:
//
//   V nothing          t bool u8                  i whole number, i64    f other number, f64
//   S text or bytes    D decimal, scale u8 u32    A array                F table
//
// Folding is RabbitMQ's, whose comparison is Erlang's ==: whole numbers of all widths, times and floats
// without a fraction are one kind, text and bytes are one kind (rabbit_exchange_type_headers.erl).
import { ByteReader, BytesError, ByteWriter, toHex } from '../../std/bytes.ts';

const TWO_32 = 0x1_0000_0000;
const TWO_63 = 0x8000_0000 * TWO_32;
/** Bytes of the size in front of an entry. */
export const ENTRY_SIZE_BYTES = 4;

const TAG = { nothing: 0x56, bool: 0x74, whole: 0x69, float: 0x66, text: 0x53 } as const;
const OTHER_TAG = { decimal: 0x44, array: 0x41, table: 0x46 } as const;

/** Writes headers, one name and one value after another, into bytes that are used again. */
export class HeaderForm {
  readonly #out = new ByteWriter(256);
  #entryAt = 0;

  /** Lent until the next write. */
  get bytes(): Uint8Array {
    return this.#out.bytes;
  }

  get size(): number {
    return this.#out.size;
  }

  reset(): void {
    this.#out.reset();
  }

  /** Opens an entry; its value must follow. At most 255 bytes. */
  name(bytes: Uint8Array, start: number, end: number): void {
    this.#entryAt = this.#out.reserve(ENTRY_SIZE_BYTES);
    this.#out.u8(end - start);
    this.#range(bytes, start, end);
  }

  /** In a match: the header must be there, whatever its value. */
  nothing(): void {
    this.#out.u8(TAG.nothing);
    this.#close();
  }

  bool(value: boolean): void {
    this.#out.u8(TAG.bool);
    this.#out.u8(value ? 1 : 0);
    this.#close();
  }

  /** A 64-bit integer in two halves, of which the high one has the sign. */
  whole(high: number, low: number): void {
    this.#out.u8(TAG.whole);
    this.#out.u32(high);
    this.#out.u32(low);
    this.#close();
  }

  number(value: number): void {
    if (Number.isInteger(value) && value >= -TWO_63 && value < TWO_63) {
      const high = Math.floor(value / TWO_32);
      this.whole(high, value - high * TWO_32);
      return;
    }
    this.#out.u8(TAG.float);
    this.#out.f64(value);
    this.#close();
  }

  /** Scale and the unscaled u32: as the protocols that have decimals write them. */
  decimal(scale: number, unscaled: number): void {
    this.#out.u8(OTHER_TAG.decimal);
    this.#out.u8(scale);
    this.#out.u32(unscaled);
    this.#close();
  }

  text(bytes: Uint8Array, start: number, end: number): void {
    this.#out.u8(TAG.text);
    this.#range(bytes, start, end);
    this.#close();
  }

  /** Nested values are compared as the bytes they are given as. */
  array(bytes: Uint8Array, start: number, end: number): void {
    this.#out.u8(OTHER_TAG.array);
    this.#range(bytes, start, end);
    this.#close();
  }

  table(bytes: Uint8Array, start: number, end: number): void {
    this.#out.u8(OTHER_TAG.table);
    this.#range(bytes, start, end);
    this.#close();
  }

  #range(bytes: Uint8Array, start: number, end: number): void {
    const at = this.#out.reserve(end - start);
    for (let i = start; i < end; i += 1) this.#out.bytes[at + i - start] = bytes[i]!;
  }

  #close(): void {
    this.#out.patchU32(this.#entryAt, this.#out.size - this.#entryAt - ENTRY_SIZE_BYTES);
  }
}

/** `all` and `any` pass over names that begin with `x-`; the others do not. */
export type HeaderMatchMode = 'all' | 'any' | 'all-with-x' | 'any-with-x';

export interface HeaderMatch {
  readonly isAny: boolean;
  /** Without their sizes: name size, name, value. Sorted, each once. */
  readonly entries: readonly Uint8Array[];
}

/** Canonical: equal wishes are equal bytes. The name `x-match` itself never counts. */
export function encodeHeaderMatch(mode: HeaderMatchMode, headers: HeaderForm): Uint8Array {
  const isWithX = mode === 'all-with-x' || mode === 'any-with-x';
  const counted = entriesOf(new ByteReader(headers.bytes, 0, headers.size)).filter(
    (entry) => !isNamed(entry, 'x-match', true) && (isWithX || !isNamed(entry, 'x-', false)),
  );
  const out = new ByteWriter(headers.size + 1);
  out.u8(mode === 'any' || mode === 'any-with-x' ? 1 : 0);
  for (const entry of sortedOnce(counted)) {
    out.u32(entry.length);
    out.raw(entry);
  }
  return out.toBytes();
}

/** No bytes at all mean: all of nothing. Undefined for bytes that are no match. */
export function decodeHeaderMatch(bytes: Uint8Array): HeaderMatch | undefined {
  if (bytes.length === 0) return { isAny: false, entries: [] };
  const input = new ByteReader(bytes);
  const mode = input.u8();
  if (mode > 1) return undefined;
  try {
    return { isAny: mode === 1, entries: sortedOnce(entriesOf(input)) };
  } catch (thrown) {
    if (thrown instanceof BytesError) return undefined;
    throw thrown;
  }
}

function entriesOf(input: ByteReader): Uint8Array[] {
  const entries: Uint8Array[] = [];
  while (input.remaining > 0) {
    const entry = input.copy(input.u32());
    const read = new ByteReader(entry);
    read.skip(read.u8());
    // There is a value: its tag, and what it needs.
    read.u8();
    entries.push(entry);
  }
  return entries;
}

function sortedOnce(entries: readonly Uint8Array[]): readonly Uint8Array[] {
  const byText = new Map(entries.map((entry) => [toHex(entry), entry]));
  return [...byText].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, entry]) => entry);
}

function isNamed(entry: Uint8Array, text: string, isWhole: boolean): boolean {
  const size = entry[0]!;
  if (isWhole ? size !== text.length : size < text.length) return false;
  for (let i = 0; i < text.length; i += 1) if (entry[1 + i] !== text.charCodeAt(i)) return false;
  return true;
}

/** Does the entry want no more than that its header is there? */
export function isPresenceWish(entry: Uint8Array): boolean {
  return entry.length === 1 + entry[0]! + 1 && entry.at(-1) === TAG.nothing;
}
