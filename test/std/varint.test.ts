import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { BytesError, toHex } from '../../src/std/bytes.ts';
import {
  readVarI32,
  readVarI53,
  readVarU32,
  readVarU53,
  varI53Size,
  varU53Size,
  writeVarI53,
  writeVarU53,
} from '../../src/std/varint.ts';
import { fromHex } from '../setup/hex.ts';

/** The obvious slow version. */
function encodeBig(value: bigint): string {
  let hex = '';
  do {
    const more = value >= 0x80n;
    hex += Number((value & 0x7fn) | (more ? 0x80n : 0n))
      .toString(16)
      .padStart(2, '0');
    value >>= 7n;
  } while (value > 0n);
  return hex;
}

const edges = [
  0,
  1,
  63,
  64,
  127,
  128,
  2 ** 27,
  2 ** 28 - 1,
  2 ** 28,
  2 ** 31,
  2 ** 32 - 1,
  2 ** 32,
  2 ** 35,
  2 ** 52 - 1,
  2 ** 52,
  Number.MAX_SAFE_INTEGER,
];

describe('varint', () => {
  const unsigned = fc.oneof(fc.constantFrom(...edges), fc.maxSafeNat(), fc.nat(100_000));
  const signed = fc
    .oneof(fc.constantFrom(...edges, ...edges.map((n) => -n)), fc.maxSafeInteger(), fc.integer())
    .map((n) => n + 0);

  it('unsigned form agrees with BigInt arithmetic and round trips', () => {
    fc.assert(
      fc.property(unsigned, (value) => {
        const out = new Uint8Array(16);
        const end = writeVarU53(out, 0, value);
        expect(toHex(out.subarray(0, end))).toBe(encodeBig(BigInt(value)));
        expect(varU53Size(value)).toBe(end);
        const cursor = { at: 0, end };
        expect(readVarU53(out, cursor)).toBe(value);
        expect(cursor.at).toBe(end);
      }),
    );
  });

  it('zigzag form agrees with BigInt arithmetic and round trips', () => {
    fc.assert(
      fc.property(signed, (value) => {
        const out = new Uint8Array(16);
        const end = writeVarI53(out, 0, value);
        const big = BigInt(value);
        expect(toHex(out.subarray(0, end))).toBe(encodeBig(big < 0n ? -2n * big - 1n : 2n * big));
        expect(varI53Size(value)).toBe(end);
        const cursor = { at: 0, end };
        expect(readVarI53(out, cursor)).toBe(value === 0 ? 0 : value);
        expect(cursor.at).toBe(end);
      }),
    );
  });

  it('32-bit readers accept their whole range and refuse more', () => {
    fc.assert(
      fc.property(fc.nat(0xffffffff), (value) => {
        const out = new Uint8Array(8);
        const end = writeVarU53(out, 0, value);
        expect(readVarU32(out, { at: 0, end })).toBe(value);
        expect(readVarI32(out, { at: 0, end })).toBe((value >>> 1) ^ -(value & 1));
      }),
    );
    expect(() => readVarU32(fromHex('ffffffff1f'), { at: 0, end: 5 })).toThrow(BytesError);
    expect(() => readVarU32(fromHex('808080808000'), { at: 0, end: 6 })).toThrow(BytesError);
  });

  it('cut, endless and unsafe values are BytesErrors and leave the cursor in place', () => {
    for (const hex of [
      '',
      '80',
      'ffffffffffffff',
      'ffffffffffffffffffff01',
      'ffffffffffffffff7f',
    ]) {
      const bytes = fromHex(hex);
      for (const read of [readVarU53, readVarI53]) {
        const cursor = { at: 0, end: bytes.length };
        expect(() => read(bytes, cursor)).toThrow(BytesError);
        expect(cursor.at).toBe(0);
      }
    }
  });
});
