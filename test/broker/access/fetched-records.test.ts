import { expect, test } from 'vitest';
import { FetchedRecords } from '../../../src/broker/access/fetched-records.ts';
import { encodeBatch } from '../../../src/records/records.ts';
import { writeU64 } from '../../../src/std/bytes.ts';
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
    records.take(logOf(log, 4));
    return records;
  });
  for (const offset of [0, 1, 2, 7, 3, 11, 4, 5]) {
    for (const [i, records] of logs.entries()) {
      expect(valueAt(records, offset)).toEqual([i + 1, offset]);
    }
  }
});
