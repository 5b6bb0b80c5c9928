// What is published to one exchange in one turn: bytes one behind another, and a row of columns for each
// message. Everything lent is copied here once: the keys and headers to route by, and the message in the
// form of a record, which is copied from here into the batch of every queue. The bytes lie on pages that
// do not grow and are the shard's again after the turn, so that a large turn makes no garbage; all of one
// message is on one page.
import type { BufferPool } from '../../std/buffer-pool.ts';
import { copyRange } from '../../std/bytes.ts';
import { type Cursor, readVarI53, varI53Size, writeVarI53 } from '../../std/varint.ts';
import type { RecordParts, RouteFields } from '../access/queue-api.ts';
import { growInts } from './grow.ts';

const ROWS_MIN = 64;
/** The first page is the tape's own. Each one has four times the bytes of the one before, up to the largest. */
const FIRST_PAGE_BYTES = 4 * 1024;
const PAGE_GROWTH = 4;
const PAGE_BYTES_MAX = 256 * 1024;
/** By row in #ints. */
/** As a record has the size of a key that is none: varint -1. */
const NO_KEY = 1;

const FLIGHT = 0;
const FIRST_SPAN = 1;
const SPANS = 2;
const HEADERS = 3;
const BODY = 4;
const BODY_END = 5;
const FLAGS = 6;
const PAGE = 7;
const WIDTH = 8;

export const FLAG_MANDATORY = 1;
/** It is told to be stored when it is on its way. */
export const FLAG_LEVEL_NONE = 2;
/** It is stored when the leader of its queue has it. */
export const FLAG_LEVEL_ACCEPTED = 4;

export class PublishTape {
  count = 0;
  /** Pairs of start and end: routing keys, as {@link RouteFields} has them, in the bytes of their row. */
  spans = new Int32Array(ROWS_MIN * 2);
  timestamps = new Float64Array(ROWS_MIN);
  readonly #memory: BufferPool;
  readonly #pages: Uint8Array[] = [new Uint8Array(FIRST_PAGE_BYTES)];
  /** The last page, and how much of it is used. */
  #bytes = this.#pages[0]!;
  #size = 0;
  #spanCount = 0;
  #ints = new Int32Array(ROWS_MIN * WIDTH);

  constructor(memory: BufferPool) {
    this.#memory = memory;
  }

  get isEmpty(): boolean {
    return this.count === 0;
  }

  add(
    route: RouteFields,
    message: RecordParts,
    timestampMs: number,
    flight: number,
    flags: number,
  ): void {
    const row = this.count;
    this.#makeRoom(route, message);
    const at = row * WIDTH;
    const ints = this.#ints;
    ints[at + FLIGHT] = flight;
    ints[at + FIRST_SPAN] = this.#spanCount;
    ints[at + SPANS] = route.keyCount;
    ints[at + FLAGS] = flags;
    ints[at + PAGE] = this.#pages.length - 1;
    this.timestamps[row] = timestampMs;
    this.#addKeys(route);
    ints[at + HEADERS] = this.#size;
    const { headers, headersStart, headersEnd } = route;
    this.#size = copyRange(headers, headersStart, headersEnd, this.#bytes, this.#size);
    ints[at + BODY] = this.#size;
    this.#addBody(message);
    ints[at + BODY_END] = this.#size;
    this.count = row + 1;
  }

  flight(row: number): number {
    return this.#ints[row * WIDTH + FLIGHT]!;
  }

  flags(row: number): number {
    return this.#ints[row * WIDTH + FLAGS]!;
  }

  firstSpan(row: number): number {
    return this.#ints[row * WIDTH + FIRST_SPAN]!;
  }

  spanCount(row: number): number {
    return this.#ints[row * WIDTH + SPANS]!;
  }

  /** Where all of a row is, until {@link clear}. */
  bytes(row: number): Uint8Array {
    return this.#pages[this.#ints[row * WIDTH + PAGE]!]!;
  }

  /** Headers to route by: [headersStart, bodyStart) of its bytes. */
  headersStart(row: number): number {
    return this.#ints[row * WIDTH + HEADERS]!;
  }

  /** Key, value and headers as a record has them: [bodyStart, bodyEnd). */
  bodyStart(row: number): number {
    return this.#ints[row * WIDTH + BODY]!;
  }

  bodyEnd(row: number): number {
    return this.#ints[row * WIDTH + BODY_END]!;
  }

  hasKey(row: number): boolean {
    return this.bytes(row)[this.bodyStart(row)] !== NO_KEY;
  }

  /** The message of a row again, as ranges of its bytes. For the few that go back to their publisher. */
  message(row: number): RecordParts {
    const bytes = this.bytes(row);
    const cursor: Cursor = { at: this.bodyStart(row), end: this.bodyEnd(row) };
    const keySize = readVarI53(bytes, cursor);
    const keyStart = keySize < 0 ? -1 : cursor.at;
    cursor.at += Math.max(0, keySize);
    const keyEnd = cursor.at;
    const valueSize = readVarI53(bytes, cursor);
    const valueStart = cursor.at;
    cursor.at += valueSize;
    const valueEnd = cursor.at;
    const headerCount = readVarI53(bytes, cursor);
    const timestampMs = this.timestamps[row]!;
    return {
      ...{ key: bytes, keyStart, keyEnd },
      ...{ value: bytes, valueStart, valueEnd },
      ...{ headers: bytes, headerCount, headersStart: cursor.at, headersEnd: cursor.end },
      timestampMs,
    };
  }

  clear(): void {
    this.count = 0;
    this.#size = 0;
    this.#spanCount = 0;
    while (this.#pages.length > 1) this.#memory.give(this.#pages.pop()!);
    this.#bytes = this.#pages[0]!;
  }

  #addKeys({ bytes, spans, keyCount }: RouteFields): void {
    for (let i = 0; i < keyCount; i += 1) {
      const at = this.#spanCount * 2;
      this.spans[at] = this.#size;
      this.#size = copyRange(bytes, spans[i * 2]!, spans[i * 2 + 1]!, this.#bytes, this.#size);
      this.spans[at + 1] = this.#size;
      this.#spanCount += 1;
    }
  }

  #addBody(message: RecordParts): void {
    const bytes = this.#bytes;
    const { key, keyStart, keyEnd, value, valueStart, valueEnd } = message;
    const { headers, headersStart, headersEnd, headerCount } = message;
    let at = writeVarI53(bytes, this.#size, keyStart < 0 ? -1 : keyEnd - keyStart);
    if (keyStart >= 0) at = copyRange(key, keyStart, keyEnd, bytes, at);
    at = writeVarI53(bytes, at, valueEnd - valueStart);
    at = copyRange(value, valueStart, valueEnd, bytes, at);
    at = writeVarI53(bytes, at, headerCount);
    this.#size = copyRange(headers, headersStart, headersEnd, bytes, at);
  }

  #makeRoom(route: RouteFields, message: RecordParts): void {
    const rows = this.count + 1;
    if (rows * WIDTH > this.#ints.length) {
      this.#ints = growInts(this.#ints, rows * WIDTH);
      const timestamps = new Float64Array(this.#ints.length / WIDTH);
      timestamps.set(this.timestamps);
      this.timestamps = timestamps;
    }
    const spans = this.#spanCount + route.keyCount;
    if (spans * 2 > this.spans.length) this.spans = growInts(this.spans, spans * 2);
    const size = routeSize(route) + bodySize(message);
    if (this.#size + size <= this.#bytes.length) return;
    const pageBytes = Math.min(this.#bytes.length * PAGE_GROWTH, PAGE_BYTES_MAX);
    this.#bytes = this.#memory.take(Math.max(size, pageBytes));
    this.#pages.push(this.#bytes);
    this.#size = 0;
  }
}

function routeSize({ spans, keyCount, headersStart, headersEnd }: RouteFields): number {
  let size = headersEnd - headersStart;
  for (let i = 0; i < keyCount; i += 1) size += spans[i * 2 + 1]! - spans[i * 2]!;
  return size;
}

/** Bytes of the encoded key, value and headers of a message. */
export function bodySize(message: RecordParts): number {
  const { keyStart, keyEnd, valueStart, valueEnd, headersStart, headersEnd } = message;
  const keySize = keyStart < 0 ? 0 : keyEnd - keyStart;
  const valueSize = valueEnd - valueStart;
  return (
    varI53Size(keyStart < 0 ? -1 : keySize) +
    keySize +
    varI53Size(valueSize) +
    valueSize +
    varI53Size(message.headerCount) +
    headersEnd -
    headersStart
  );
}
