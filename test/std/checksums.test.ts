import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { encodeUtf8 } from '../../src/std/bytes.ts';
import { crc32c } from '../../src/std/crc32c.ts';
import { joinCrc32c } from '../../src/std/crc32c-join.ts';
import { fnv1a32, mix32, mix53, murmur2 } from '../../src/std/hash.ts';
import { fromHex } from '../setup/hex.ts';
import { anyCharacter } from '../setup/texts.ts';

describe('crc32c', () => {
  it('gives the check value and the RFC 3720 vectors', () => {
    expect(crc32c(encodeUtf8('123456789'))).toBe(0xe3069283);
    expect(crc32c(new Uint8Array(32))).toBe(0x8a9136aa);
    expect(crc32c(new Uint8Array(32).fill(0xff))).toBe(0x62a8ab43);
    expect(crc32c(Uint8Array.from({ length: 32 }, (_, i) => i))).toBe(0x46dd794e);
  });

  it('continues from a seed at any cut, and agrees with the bitwise definition', () => {
    const bitwise = (bytes: Uint8Array): number => {
      let crc = 0xffffffff;
      for (const byte of bytes) {
        crc ^= byte;
        for (let i = 0; i < 8; i += 1) crc = (crc >>> 1) ^ (crc & 1 ? 0x82f63b78 : 0);
      }
      return ~crc >>> 0;
    };
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), fc.nat(200), (bytes, at) => {
        const cut = Math.min(at, bytes.length);
        const whole = crc32c(bytes);
        expect(whole).toBe(bitwise(bytes));
        expect(crc32c(bytes, cut, bytes.length, crc32c(bytes, 0, cut))).toBe(whole);
      }),
    );
  });
});

describe('joinCrc32c', () => {
  it('gives the sum of the whole, however often a length comes', () => {
    const bytes = fc.uint8Array({ maxLength: 300 });
    fc.assert(
      fc.property(bytes, bytes, fc.integer({ min: 1, max: 4 }), (first, second, times) => {
        let sum = crc32c(first);
        const whole = [...first];
        for (let i = 0; i < times; i += 1) {
          sum = joinCrc32c(sum, crc32c(second), second.length);
          whole.push(...second);
        }
        expect(sum).toBe(crc32c(Uint8Array.from(whole)));
      }),
    );
  });

  it('takes lengths beyond those of groups', () => {
    const zeros = new Uint8Array(3_000_017);
    const sum = crc32c(zeros, 0, zeros.length, 0x1234_5678);
    const ofZeros = crc32c(zeros);
    for (let i = 0; i < 3; i += 1) {
      expect(joinCrc32c(0x1234_5678, ofZeros, zeros.length)).toBe(sum);
    }
  });
});

describe('hash', () => {
  it('fnv1a32 gives the published vectors, and texts hash like their bytes', () => {
    expect(fnv1a32('')).toBe(0x811c9dc5);
    expect(fnv1a32('a')).toBe(0xe40c292c);
    expect(fnv1a32('foobar')).toBe(0xbf9cf968);
    fc.assert(
      fc.property(fc.string({ unit: anyCharacter }), (text) => {
        expect(fnv1a32(text)).toBe(fnv1a32(encodeUtf8(text)));
      }),
    );
  });

  it('murmur2 gives what Kafka clients compute', () => {
    const vectors: [string, number][] = [
      ['21', -973932308],
      ['foobar', -790332482],
      ['a-little-bit-long-string', -985981536],
      ['a-little-bit-longer-string', -1486304829],
      ['lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8', -58897971],
    ];
    for (const [text, expected] of vectors) expect(murmur2(encodeUtf8(text))).toBe(expected);
    expect(murmur2(fromHex('616263'))).toBe(479470107);
  });

  it('mixers spread consecutive integers over the low bits', () => {
    for (const mix of [mix32, mix53]) {
      const buckets = new Uint32Array(16);
      for (let i = 0; i < 16_000; i += 1) buckets[mix(i) & 15]! += 1;
      for (const count of buckets) expect(Math.abs(count - 1000)).toBeLessThan(200);
    }
    expect(mix53(2 ** 32)).not.toBe(mix53(0));
  });
});
