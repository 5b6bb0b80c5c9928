import { expect, test } from 'vitest';
// @ts-expect-error: a plain script without types.
import { tidy } from '../tools/tidy.mjs';

test('every file keeps to its room: walls, purity, size, and a README per room', () => {
  const { files, faults } = tidy() as { files: number; faults: string[] };
  expect(files).toBeGreaterThan(100);
  expect(faults).toEqual([]);
});
