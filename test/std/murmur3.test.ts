// The hash against the verification value that its author publishes for it (SMHasher, x86 128).
import { describe, expect, it } from 'vitest';
import { murmur3x128 } from '../../src/std/murmur3.ts';

function bytesOf(words: Int32Array): Uint8Array {
  const bytes = new Uint8Array(16);
  const view = new DataView(bytes.buffer);
  for (let i = 0; i < 4; i += 1) view.setInt32(4 * i, words[i]!, true);
  return bytes;
}

describe('murmur3x128', () => {
  it('has the verification value of SMHasher', () => {
    const words = new Int32Array(4);
    const key = Uint8Array.from({ length: 256 }, (_, i) => i);
    const hashes = new Uint8Array(256 * 16);
    for (let i = 0; i < 256; i += 1) {
      murmur3x128(key, 0, i, 256 - i, words);
      hashes.set(bytesOf(words), 16 * i);
    }
    murmur3x128(hashes, 0, hashes.length, 0, words);
    expect(words[0]! >>> 0).toBe(0xb3ece62a);
  });

  it('hashes a range as it would the bytes alone', () => {
    const one = new Int32Array(4);
    const other = new Int32Array(4);
    const text = new TextEncoder().encode('..a key of twenty-one.');
    murmur3x128(text, 2, 21, 7, one);
    murmur3x128(text.slice(2, 21), 0, 19, 7, other);
    expect([...one]).toEqual([...other]);
    murmur3x128(text, 2, 21, 8, other);
    expect([...one]).not.toEqual([...other]);
  });
});
