// The record at a time is looked for in bytes that are what was appended, or not at all.
import { expect, test } from 'vitest';
import { recordPlace } from '../../../src/cluster/replica/timestamp-search.ts';
import { encodeBatch } from '../../../src/records/records.ts';
import { crc32c } from '../../../src/std/crc32c.ts';
import type { StoredLog } from '../../../src/storage/api.ts';

const batch = encodeBatch(
  [5, 6, 7].map((timestampMs) => ({ timestampMs, key: null, value: null })),
  crc32c,
);

function search(isSound: boolean): { offset: number; timestampMs: number } {
  let released = 0;
  const read = {
    kind: 'file',
    file: {
      readSync: (into: Uint8Array, at: number) => {
        into.set(batch.subarray(at));
        return into.length;
      },
    },
    position: 0,
    length: batch.length,
    baseOffset: 0,
    nextOffset: 3,
    isSound: () => isSound,
    release: () => {
      released += 1;
    },
  };
  const stored = { startOffset: 0, read: () => read } as unknown as StoredLog;
  const place = recordPlace(stored, { baseOffset: 0, maxTimestampMs: 7 }, 3, (time) => time >= 6);
  expect(released).toBe(1);
  return place;
}

test('the first record that matches', () => {
  expect(search(true)).toEqual({ offset: 1, timestampMs: 6 });
});

test('the beginning of a batch that is not what was appended', () => {
  expect(search(false)).toEqual({ offset: 0, timestampMs: 7 });
});
