import { expect, test } from 'vitest';
import { checkSettledBytes, type SegmentFile } from '../../../src/sim/checkers/settled-bytes.ts';
import { crc32c } from '../../../src/std/crc32c.ts';
import { encodeSegmentHeader } from '../../../src/storage/segment.ts';
import { batchAt } from '../../storage/support/store-kit.ts';

const NAME = { logId: 5, generation: 1, isDone: false, isRaw: true, isThinned: false };
const BATCH_AT = 64;
/** What a batch's CRC does not cover, and nothing else says: its offset, its leader epoch, its magic. */
const UNCOVERED = [0, 1, 2, 3, 4, 5, 6, 7, 12, 13, 14, 15, 16];

function segment(base: number, name: string, revision = 0, endOffset = 0): SegmentFile {
  const header = encodeSegmentHeader({ ...NAME, baseOffset: base, revision, endOffset }, crc32c);
  const batches = [0, 1, 2].map((i) => batchAt(base + i, 1, 40));
  const bytes = new Uint8Array(BATCH_AT + batches.reduce((sum, { length }) => sum + length, 0));
  bytes.set(header);
  let at = BATCH_AT;
  for (const batch of batches) {
    bytes.set(batch, at);
    at += batch.length;
  }
  return { path: `n1/shard-000/logs/05/5/${name}.seg`, bytes };
}

const folder = () => [
  segment(0, '0000000000000000-1'),
  segment(3, '0000000000000003-1-1-0000000000000006', 1, 6),
  segment(6, '0000000000000006-1'),
];

function flipped(file: SegmentFile, at: number): SegmentFile {
  const bytes = file.bytes.slice();
  bytes[at]! ^= 16;
  return { ...file, bytes };
}

test('what was written is sound, and any bit that a sum covers is not', () => {
  const [first, second, last] = folder();
  expect(checkSettledBytes(folder(), 0)).toBeUndefined();
  const size = (first!.bytes.length - BATCH_AT) / 3;
  for (let at = 0; at < first!.bytes.length; at += 1) {
    if (at >= BATCH_AT && UNCOVERED.includes((at - BATCH_AT) % size)) continue;
    for (const files of [
      [flipped(first!, at), second!, last!],
      [first!, flipped(second!, at), last!],
    ]) {
      expect(checkSettledBytes(files, 0)?.check).toBe('settled-bytes/rotten');
    }
  }
});

test('what counts for nothing may be anything: replaced, below the start, or the last', () => {
  const [first, second, last] = folder();
  const replaced = flipped(segment(3, '0000000000000003-1'), 200);
  expect(checkSettledBytes([first!, replaced, second!, last!], 0)).toBeUndefined();
  expect(checkSettledBytes([flipped(first!, 200), second!, last!], 3)).toBeUndefined();
  expect(checkSettledBytes([flipped(first!, 200), second!, last!], 2)).toBeDefined();
  expect(checkSettledBytes([first!, second!, flipped(last!, 200)], 0)).toBeUndefined();
});

test('a file that ends within a batch is damaged', () => {
  const [first, second, last] = folder();
  const cut = { ...first!, bytes: first!.bytes.subarray(0, first!.bytes.length - 1) };
  expect(checkSettledBytes([cut, second!, last!], 0)?.message).toMatch(/0000000000000000-1\.seg/);
});
