import { createHash, createHmac } from 'node:crypto';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { equalInConstantTime, hmacSha256, sha256 } from '../../src/std/sha256.ts';

it('is what Node says, for any bytes in any parts', () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 200 }), { maxLength: 4 }), (parts) => {
      const hash = createHash('sha256');
      for (const part of parts) hash.update(part);
      expect(Buffer.from(sha256(...parts)).equals(hash.digest())).toBe(true);
    }),
  );
  // Every length around the ends of blocks.
  for (let length = 0; length < 200; length += 1) {
    const bytes = new Uint8Array(length).fill(length);
    expect(Buffer.from(sha256(bytes)).equals(createHash('sha256').update(bytes).digest())).toBe(
      true,
    );
  }
});

it('makes the HMAC that Node makes, with keys of any length', () => {
  fc.assert(
    fc.property(
      fc.uint8Array({ maxLength: 150 }),
      fc.uint8Array({ maxLength: 300 }),
      (key, text) => {
        const theirs = createHmac('sha256', key).update(text).digest();
        expect(Buffer.from(hmacSha256(key, text)).equals(theirs)).toBe(true);
      },
    ),
  );
});

it('compares whole values', () => {
  const a = Uint8Array.of(1, 2, 3);
  expect(equalInConstantTime(a, Uint8Array.of(1, 2, 3))).toBe(true);
  expect(equalInConstantTime(a, Uint8Array.of(1, 2, 4))).toBe(false);
  expect(equalInConstantTime(a, Uint8Array.of(0, 2, 3))).toBe(false);
  expect(equalInConstantTime(a, Uint8Array.of(1, 2))).toBe(false);
});
