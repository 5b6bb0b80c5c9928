import { expect, test } from 'vitest';
import { FetchedRecords } from '../../../src/broker/access/fetched-records.ts';
import { encodeBatch, RecordReader } from '../../../src/records/records.ts';
import { writeU32, writeU64 } from '../../../src/std/bytes.ts';
import { crc32c } from '../../../src/std/crc32c.ts';

/** Batches of three records each, from offset 0 on; a value is the log's number and the offset. */
function logOf(log: number, batches: number): Uint8Array[] {
  return Array.from({ length: batches }, (_, batch) => {
    const values = [0, 1, 2].map((i) => Uint8Array.of(log, batch * 3 + i));
    const bytes = encodeBatch(
      values.map((value) => ({ timestampMs: 0, key: null, value })),
      crc32c,
    );
    writeU64(bytes, 0, batch * 3);
    return bytes;
  });
}

function valueAt(records: FetchedRecords, offset: number): number[] | undefined {
  if (!records.seek(offset)) return undefined;
  const { bytes, valueAt: at, valueSize } = records.reader;
  return [...bytes.subarray(at, at + valueSize)];
}

test('records of several logs that are read by turns stay their own', () => {
  const logs = [1, 2, 3].map((log) => {
    const records = new FetchedRecords();
    records.take(logOf(log, 4), 0);
    return records;
  });
  for (const offset of [0, 1, 2, 7, 3, 11, 4, 5]) {
    for (const [i, records] of logs.entries()) {
      expect(valueAt(records, offset)).toEqual([i + 1, offset]);
    }
  }
});

/** Without the middle record, as a rewriting leaves it. */
function withoutMiddle(batch: Uint8Array): Uint8Array {
  const reader = new RecordReader();
  reader.open(batch, 0, batch.length);
  reader.next();
  reader.next();
  const { recordAt, headersEnd } = reader;
  const left = new Uint8Array(batch.length - (headersEnd - recordAt));
  left.set(batch.subarray(0, recordAt));
  left.set(batch.subarray(headersEnd), recordAt);
  writeU32(left, 8, left.length - 12);
  writeU32(left, 57, 2);
  return left;
}

test('what is missing from a batch, and between two, is known to be missing', () => {
  const [first, , third] = logOf(1, 3);
  const records = new FetchedRecords();
  records.take([withoutMiddle(first!), third!], 0);
  expect([records.first, records.end, records.count]).toEqual([0, 9, 5]);
  const wanted = [0, undefined, 2, undefined, undefined, undefined, 6, 7, 8];
  for (const offset of [8, 4, 1, 0, 2, 5, 3, 7, 6, 1, 2]) {
    expect(records.has(offset)).toBe(true);
    const value = wanted[offset];
    expect(valueAt(records, offset)).toEqual(value === undefined ? undefined : [1, value]);
  }
});

test('what was asked for and lies before the first batch is known to be missing', () => {
  const [, second] = logOf(1, 2);
  const records = new FetchedRecords();
  records.take([second!], 1);
  expect(records.has(0)).toBe(false);
  expect([1, 2].map((offset) => [records.has(offset), records.seek(offset)])).toEqual([
    [true, false],
    [true, false],
  ]);
  expect(valueAt(records, 3)).toEqual([1, 3]);
});
