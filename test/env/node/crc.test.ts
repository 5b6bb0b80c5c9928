import fc from 'fast-check';
import { expect, test } from 'vitest';
import { createCrc32c, loadNativeCrc32c } from '../../../src/env/node/crc.ts';
import { crc32c as reference } from '../../../src/std/crc32c.ts';

test('native and JavaScript checksums agree for every range, seed and size', () => {
  const mixed = createCrc32c(loadNativeCrc32c());
  fc.assert(
    fc.property(
      fc.uint8Array({ maxLength: 1000 }),
      fc.nat(1000),
      fc.nat(1000),
      fc.integer({ min: 0, max: 0xffffffff }),
      (bytes, a, b, seed) => {
        const start = Math.min(a, b, bytes.length);
        const end = Math.min(Math.max(a, b), bytes.length);
        expect(mixed(bytes, start, end, seed)).toBe(reference(bytes, start, end, seed));
      },
    ),
  );
  const shared = new Uint8Array(new SharedArrayBuffer(4096)).fill(9);
  expect(mixed(shared, 3, 4000)).toBe(reference(shared, 3, 4000));
});

test('the native checksum loads on this platform, so that the comparison above means something', () => {
  expect(loadNativeCrc32c()).toBeDefined();
});
