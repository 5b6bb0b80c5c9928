import { gzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { shownRecords } from '../../../src/broker/access/shown-records.ts';
import { createUnpack } from '../../../src/env/node/unpack.ts';
import { encodeBatch } from '../../../src/records/records.ts';
import { concatBytes, decodeUtf8, encodeUtf8 } from '../../../src/std/bytes.ts';
import { crc32c } from '../../../src/std/crc32c.ts';

type Codec = 'none' | 'gzip' | 'snappy';

/** A batch whose first record has offset `baseOffset`. */
function batchOf(baseOffset: number, values: readonly string[], codec: Codec = 'none'): Uint8Array {
  const records = values.map((value) => ({ timestampMs: 5, key: null, value: encodeUtf8(value) }));
  if (codec === 'none') return encodeBatch(records, crc32c, { baseOffset });
  // What Snappy would make of it does not matter to who cannot read it.
  const compression = { codec, compress: (bytes: Uint8Array) => gzipSync(bytes) };
  return encodeBatch(records, crc32c, { baseOffset, compression });
}

function shown(bytes: Uint8Array, fromOffset = 0, recordsMax = 100): [number, string][] {
  const place = { partition: 3, fromOffset, recordsMax };
  return shownRecords(bytes, place, createUnpack()).map(({ offset, value, note, partition }) => {
    expect(partition).toBe(3);
    return [offset, note ?? decodeUtf8(value ?? new Uint8Array(0))];
  });
}

describe('shown records', () => {
  it('are the records of plain and of gzip batches, from the offset that was asked for', () => {
    const bytes = concatBytes([batchOf(0, ['a', 'b']), batchOf(2, ['c', 'd', 'e'], 'gzip')]);
    expect(shown(bytes)).toEqual([
      [0, 'a'],
      [1, 'b'],
      [2, 'c'],
      [3, 'd'],
      [4, 'e'],
    ]);
    expect(shown(bytes.subarray(batchOf(0, ['a', 'b']).length), 3)).toEqual([
      [3, 'd'],
      [4, 'e'],
    ]);
    expect(shown(bytes, 0, 3)).toHaveLength(3);
  });

  it('a batch that cannot be unpacked is one record with its last offset and the reason', () => {
    const bytes = concatBytes([batchOf(0, ['a', 'b'], 'snappy'), batchOf(2, ['c'])]);
    expect(shown(bytes)).toEqual([
      [1, '2 records compressed with snappy, which this node cannot unpack'],
      [2, 'c'],
    ]);
  });

  it('bytes that are not what their codec says are said to be so', () => {
    const bad = batchOf(0, ['a'], 'gzip');
    bad.fill(0xff, 61);
    expect(shown(bad)).toEqual([[0, 'unreadable: bad-compression']]);
  });

  it('one answer unpacks 32 MiB and no more; what follows is for the next read', () => {
    const large = 'x'.repeat(20 * 1024 * 1024);
    const bytes = concatBytes([batchOf(0, [large], 'gzip'), batchOf(1, [large], 'gzip')]);
    expect(shown(bytes).map(([offset]) => offset)).toEqual([0]);
    const tooLarge = batchOf(0, [large, large], 'gzip');
    expect(shown(tooLarge)).toEqual([[1, 'unreadable: bad-compression']]);
  });
});
