// The file that says when the last scrub ended: a time, or nothing that counts.
import { expect, it } from 'vitest';
import { encodeUtf8 } from '../../src/std/bytes.ts';
import { decodeScrub, encodeScrub } from '../../src/storage/store-files.ts';

it('is a time in ms, 0 for damage, and no time if it is empty or anything else', () => {
  for (const endMs of [0, 1_764_202_000_123]) expect(decodeScrub(encodeScrub(endMs))).toBe(endMs);
  expect(decodeScrub(encodeScrub(12.9))).toBe(12);
  for (const text of ['', '\n', ' ', '-1', '1.5', '0x10', '1e3', 'soon', '9'.repeat(17)]) {
    expect(decodeScrub(encodeUtf8(text)), text).toBeUndefined();
  }
});
