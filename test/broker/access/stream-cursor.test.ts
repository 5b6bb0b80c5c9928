// One log as one consumer reads it, from batches as producers make them; and the memory that all of them share.
import { gunzipSync, gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ByteBudget } from '../../../src/broker/access/byte-budget.ts';
import { type CursorOwner, StreamCursor } from '../../../src/broker/access/stream-cursor.ts';
import {
  ATTRIBUTES_AT,
  BATCH_HEADER_BYTES,
  LAST_OFFSET_DELTA_AT,
  LENGTH_AT,
  stampBatch,
} from '../../../src/records/batch.ts';
import { encodeBatch } from '../../../src/records/records.ts';
import { concatBytes, decodeUtf8, encodeUtf8, writeU16, writeU32 } from '../../../src/std/bytes.ts';
import { crc32c } from '../../../src/std/crc32c.ts';

const GZIP = 1;
const SNAPPY = 2;
const CONTROL = 0x20;

/** A batch of the records `m<offset>`, from `base` on. */
function batch(base: number, count: number, attributes = 0): Uint8Array {
  const records = Array.from({ length: count }, (_, i) => ({
    timestampMs: 0,
    key: null,
    value: encodeUtf8(`m${base + i}`),
  }));
  let bytes = encodeBatch(records, crc32c);
  if ((attributes & 7) === GZIP) {
    const packed = gzipSync(bytes.subarray(BATCH_HEADER_BYTES));
    bytes = concatBytes([bytes.subarray(0, BATCH_HEADER_BYTES), packed]);
    writeU32(bytes, LENGTH_AT, bytes.length - LENGTH_AT - 4);
  }
  writeU16(bytes, ATTRIBUTES_AT, attributes);
  stampBatch(bytes, 0, base, 1);
  return bytes;
}

class Owner implements CursorOwner {
  readonly unreadRanges: string[] = [];
  released = 0;

  cursor(next: number, bytesMax = Number.POSITIVE_INFINITY): StreamCursor {
    const cursor = new StreamCursor(7, this, { kind: 'first' }, (codec, bytes) => {
      if (codec !== 'gzip') throw new RangeError(codec);
      const unpacked = gunzipSync(bytes);
      if (unpacked.length > bytesMax) throw new RangeError('too large');
      return unpacked;
    });
    cursor.next = next;
    return cursor;
  }

  load(cursor: StreamCursor, ...slices: Uint8Array[]): string[] {
    cursor.load(slices, () => {
      this.released += 1;
    });
    return this.rest(cursor);
  }

  rest(cursor: StreamCursor): string[] {
    const found: string[] = [];
    while (cursor.step()) {
      expect(cursor.next).toBe(cursor.reader.offset + 1);
      found.push(decodeUtf8(cursor.reader.value()!));
    }
    return found;
  }

  unread(_cursor: StreamCursor, from: number, to: number, why: string): void {
    this.unreadRanges.push(`${from}-${to} ${why}`);
  }

  placed(): void {
    throw new Error('nobody asked');
  }
  fetched = this.placed;
  unfed = this.placed;
  hungry = this.placed;
  ended = this.placed;
}

const range = (from: number, to: number): string[] =>
  Array.from({ length: to - from }, (_, i) => `m${from + i}`);

describe('a cursor', () => {
  test('finds each record once, from where it is, plain and packed', () => {
    const owner = new Owner();
    const cursor = owner.cursor(3);
    const found = owner.load(
      cursor,
      concatBytes([batch(0, 2), batch(2, 3), batch(5, 4, GZIP)]),
      batch(9, 2),
    );
    expect(found).toEqual(range(3, 11));
    expect([cursor.next, cursor.exhausted(), owner.released]).toEqual([11, true, 1]);
    expect(owner.unreadRanges).toEqual([]);
  });

  test('passes over what holds no messages, and over gaps', () => {
    const owner = new Owner();
    const cursor = owner.cursor(0);
    expect(owner.load(cursor, batch(0, 2), batch(2, 3, CONTROL), batch(8, 2))).toEqual([
      ...range(0, 2),
      ...range(8, 10),
    ]);
    // A batch whose last records are gone ends behind them all the same.
    const thinned = batch(10, 2);
    writeU32(thinned, LAST_OFFSET_DELTA_AT, 6);
    expect(owner.load(cursor, thinned)).toEqual(range(10, 12));
    expect([cursor.next, cursor.exhausted()]).toEqual([17, true]);
    expect(owner.load(cursor, batch(17, 5, CONTROL))).toEqual([]);
    expect([cursor.next, cursor.exhausted()]).toEqual([22, true]);
    expect(owner.unreadRanges).toEqual([]);
  });

  test('passes over what cannot be read here, and says so', () => {
    const owner = new Owner();
    const cursor = owner.cursor(1, 1_000);
    const torn = batch(6, 4);
    // The size of its third record.
    torn[BATCH_HEADER_BYTES + 2 * ((torn.length - BATCH_HEADER_BYTES) / 4)] = 0xff;
    const large = batch(12, 200, GZIP);
    const found = owner.load(
      cursor,
      batch(0, 3, SNAPPY),
      batch(3, 3, 5),
      torn,
      large,
      batch(212, 1),
    );
    expect(found).toEqual(['m6', 'm7', 'm212']);
    expect(owner.unreadRanges).toEqual([
      '1-2 bad-compression',
      '3-5 unsupported-codec',
      '8-9 corrupt',
      '12-211 bad-compression',
    ]);
  });

  test('that begins with the last batch begins with its first record', () => {
    const owner = new Owner();
    const cursor = owner.cursor(6);
    cursor.isFromBatch = true;
    expect(owner.load(cursor, batch(4, 3), batch(7, 2))).toEqual(range(4, 9));
  });

  test('that finds nothing of use says so, whatever the bytes are', () => {
    const owner = new Owner();
    const cursor = owner.cursor(4);
    expect(owner.load(cursor, new Uint8Array(100), batch(0, 4))).toEqual([]);
    expect([cursor.next, cursor.exhausted()]).toEqual([4, false]);
  });

  test('holds as much as lies here, and nothing when it is dropped', () => {
    const owner = new Owner();
    const cursor = owner.cursor(0);
    const bytes = batch(0, 500, GZIP);
    cursor.load([bytes], () => undefined);
    expect(cursor.heldBytes).toBe(bytes.length);
    cursor.step();
    expect(cursor.heldBytes).toBe(bytes.length + cursor.reader.bytes.length);
    cursor.putAside();
    expect([cursor.heldBytes, cursor.step(), cursor.next]).toEqual([0, false, 1]);
    expect(owner.load(cursor, bytes)).toEqual(range(1, 500));
  });

  test('asks for more each time that all was wanted, up to a limit', () => {
    const owner = new Owner();
    const cursor = owner.cursor(0);
    const sizes: number[] = [];
    for (let base = 0; base < 7; base += 1) {
      sizes.push(cursor.fetchBytes / 1024);
      owner.load(cursor, batch(base, 1));
      cursor.exhausted();
    }
    cursor.putAside();
    expect([...sizes, cursor.fetchBytes / 1024]).toEqual([16, 32, 64, 128, 256, 256, 256, 16]);
  });

  test('reads the same, however the batches are cut into answers and it is put aside', () => {
    const part = fc.record({
      count: fc.integer({ min: 1, max: 5 }),
      attributes: fc.constantFrom(0, GZIP, CONTROL),
      isNewAnswer: fc.boolean(),
      taken: fc.integer({ min: 0, max: 6 }),
    });
    fc.assert(
      fc.property(fc.array(part, { minLength: 1, maxLength: 12 }), (parts) => {
        const owner = new Owner();
        const cursor = owner.cursor(0);
        const batches: Uint8Array[] = [];
        const wanted: string[] = [];
        let base = 0;
        for (const { count, attributes } of parts) {
          batches.push(batch(base, count, attributes));
          if (attributes !== CONTROL) wanted.push(...range(base, base + count));
          base += count;
        }
        const found: string[] = [];
        for (const [i, { isNewAnswer, taken }] of parts.entries()) {
          if (!isNewAnswer) continue;
          cursor.load(batches.slice(0, i + 1), () => undefined);
          for (let n = 0; n < taken && cursor.step(); n += 1) {
            found.push(decodeUtf8(cursor.reader.value()!));
          }
          cursor.putAside();
        }
        found.push(...owner.load(cursor, ...batches));
        expect(found).toEqual(wanted);
        expect(cursor.next).toBe(base);
      }),
    );
  });
});

describe('a budget', () => {
  test('has room up to its limit, lets one in that is larger, and calls when much is free', () => {
    let calls = 0;
    const budget = new ByteBudget(100, () => {
      calls += 1;
    });
    expect([budget.take(60), budget.take(60), budget.take(40)]).toEqual([true, false, true]);
    expect([budget.used, budget.isOver]).toEqual([100, false]);
    budget.change(-40);
    expect(calls).toBe(0);
    budget.change(-20);
    expect(calls).toBe(1);
    budget.change(-40);
    // Nobody was turned away since.
    expect([calls, budget.used]).toEqual([1, 0]);
    expect([budget.take(1_000), budget.isOver, budget.take(1)]).toEqual([true, true, false]);
    budget.change(-1_000);
    expect(calls).toBe(2);
  });
});
