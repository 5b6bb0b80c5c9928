import fc from 'fast-check';
import { describe, expect, expectTypeOf, it } from 'vitest';
import {
  array,
  bool,
  bytes,
  bytesCopy,
  type Codec,
  CodecError,
  f64,
  i32,
  mapped,
  none,
  oneOf,
  optional,
  readWhole,
  record,
  tuple,
  u8,
  u16,
  u32,
  u53,
  union,
  utf8,
  type Value,
} from '../../src/codec/index.ts';
import { ByteReader, toHex } from '../../src/std/bytes.ts';
import { anyCharacter } from '../setup/texts.ts';

interface Case {
  readonly codec: Codec<unknown>;
  readonly value: fc.Arbitrary<unknown>;
}

function encodeToBytes<T>(codec: Codec<T>, value: T): Uint8Array {
  const out = new Uint8Array(codec.size(value));
  codec.encode(value, out, 0);
  return out;
}

const scalars: Case[] = [
  { codec: bool as Codec<unknown>, value: fc.boolean() },
  { codec: u8 as Codec<unknown>, value: fc.nat(255) },
  { codec: u16 as Codec<unknown>, value: fc.nat(0xffff) },
  { codec: u32 as Codec<unknown>, value: fc.nat(0xffffffff) },
  { codec: i32 as Codec<unknown>, value: fc.integer() },
  { codec: u53 as Codec<unknown>, value: fc.maxSafeNat() },
  { codec: f64 as Codec<unknown>, value: fc.double() },
  { codec: utf8 as Codec<unknown>, value: fc.string({ unit: anyCharacter }) },
  { codec: bytes as Codec<unknown>, value: fc.uint8Array() },
  { codec: bytesCopy as Codec<unknown>, value: fc.uint8Array() },
  { codec: oneOf('a', 'b', 'c') as Codec<unknown>, value: fc.constantFrom('a', 'b', 'c') },
];

/** A random schema with an arbitrary of its values, up to `depth` levels. */
function anyCase(depth: number): fc.Arbitrary<Case> {
  const scalar = fc.constantFrom(...scalars);
  if (depth === 0) return scalar;
  const inner = anyCase(depth - 1);
  return fc.oneof(
    scalar,
    inner.map(({ codec, value }) => ({
      codec: optional(codec),
      value: fc.option(value, { nil: undefined }),
    })),
    inner.map(({ codec, value }) => ({
      codec: array(codec) as Codec<unknown>,
      value: fc.array(value, { maxLength: 5 }),
    })),
    fc.array(inner, { minLength: 1, maxLength: 4 }).map((cases) => ({
      codec: tuple(...cases.map((c) => c.codec)) as Codec<unknown>,
      value: fc.tuple(...cases.map((c) => c.value)) as fc.Arbitrary<unknown>,
    })),
    fc.array(inner, { minLength: 1, maxLength: 4 }).map((cases) => ({
      codec: record(Object.fromEntries(cases.map((c, i) => [`f${i}`, c.codec]))) as Codec<unknown>,
      value: fc.record(Object.fromEntries(cases.map((c, i) => [`f${i}`, c.value]))),
    })),
    fc.array(inner, { minLength: 1, maxLength: 3 }).map((cases) => ({
      codec: union(
        Object.fromEntries(cases.map((c, i) => [`k${i}`, { v: c.codec }])),
      ) as Codec<unknown>,
      value: fc.oneof(
        ...cases.map((c, i) => fc.record({ kind: fc.constant(`k${i}`), v: c.value })),
      ),
    })),
  );
}

const anyCaseWithValue = anyCase(3).chain(({ codec, value }) =>
  value.map((v) => ({ codec, value: v })),
);

describe('codecs', () => {
  it('round trip any value of any schema, in exactly `size` bytes, anywhere in an array', () => {
    fc.assert(
      fc.property(anyCaseWithValue, fc.nat(9), ({ codec, value }, shift) => {
        const size = codec.size(value);
        const out = new Uint8Array(shift + size + 5).fill(0xaa);
        expect(codec.encode(value, out, shift)).toBe(shift + size);
        expect([...out.subarray(shift + size)]).toEqual([0xaa, 0xaa, 0xaa, 0xaa, 0xaa]);
        expect(codec.decode(out, shift, shift + size)).toEqual(value);
        expect(size).toBeGreaterThanOrEqual(codec.sizeMin);
      }),
      { numRuns: 300 },
    );
  });

  it('refuse every truncation and every trailing byte with a CodecError', () => {
    fc.assert(
      fc.property(anyCaseWithValue, ({ codec, value }) => {
        const whole = encodeToBytes(codec, value);
        for (let end = 0; end < whole.length; end += 1) {
          expect(() => codec.decode(whole, 0, end)).toThrow(CodecError);
        }
        const longer = new Uint8Array(whole.length + 1);
        longer.set(whole);
        expect(() => codec.decode(longer, 0, longer.length)).toThrow(CodecError);
      }),
      { numRuns: 100 },
    );
  });

  it('answer random bytes with a CodecError or with a value that encodes again', () => {
    fc.assert(
      fc.property(anyCase(3), fc.uint8Array({ maxLength: 40 }), ({ codec }, input) => {
        let value: unknown;
        try {
          value = codec.decode(input, 0, input.length);
        } catch (error) {
          expect(error).toBeInstanceOf(CodecError);
          return;
        }
        expect(codec.decode(encodeToBytes(codec, value), 0, codec.size(value))).toEqual(value);
      }),
      { numRuns: 500 },
    );
  });

  it('have golden bytes', () => {
    const codec = record({
      a: u16,
      b: utf8,
      c: optional(u8),
      d: array(u8),
      e: union({ x: {}, y: { n: u53 } }),
      f: oneOf('p', 'q'),
    });
    const value = {
      a: 258,
      b: 'hé',
      c: undefined,
      d: [1, 2],
      e: { kind: 'y', n: 300 },
      f: 'q',
    } as const;
    expect(toHex(encodeToBytes(codec, value))).toBe(
      '0102' + '0368c3a9' + '00' + '020102' + '01ac02' + '01',
    );
    expect(codec.shape).toBe('{a:u16,b:utf8,c:u8?,d:[u8],e:x{}|y{n:u53},f:p|q}');
    expect([none.size(undefined), none.decode(new Uint8Array(0), 0, 0)]).toEqual([0, undefined]);
  });

  it('give the types of their values', () => {
    const codec = record({ a: u32, k: union({ x: { n: u8 }, y: {} }) });
    type Expected = {
      readonly a: number;
      readonly k: { readonly kind: 'x'; readonly n: number } | { readonly kind: 'y' };
    };
    expectTypeOf<Value<typeof codec>>().toExtend<Expected>();
    expectTypeOf<Expected>().toExtend<Value<typeof codec>>();
    expectTypeOf<{ readonly a: string }>().not.toExtend<Value<typeof codec>>();
  });

  it('refuse to encode what does not fit', () => {
    const out = new Uint8Array(16);
    for (const value of [-1, 256, 1.5]) expect(() => u8.encode(value, out, 0)).toThrow(CodecError);
    for (const value of [-1, 2 ** 32, 0.1])
      expect(() => u32.encode(value, out, 0)).toThrow(CodecError);
    for (const value of [2 ** 31, -(2 ** 31) - 1])
      expect(() => i32.encode(value, out, 0)).toThrow(CodecError);
    for (const value of [-1, 2 ** 53, Number.NaN])
      expect(() => u53.encode(value, out, 0)).toThrow(CodecError);
    expect(() => u16.encode(0x10000, out, 0)).toThrow(CodecError);
    expect(() => oneOf('a').encode('b' as 'a', out, 0)).toThrow(CodecError);
    expect(() => union({ a: {} }).encode({ kind: 'b' as 'a' }, out, 0)).toThrow(CodecError);
  });

  it('compare a claimed count with the bytes at hand before allocating', () => {
    const claim = Uint8Array.of(0xff, 0xff, 0xff, 0xff, 0x0f, 1, 2, 3);
    for (const codec of [array(u8), array(u53)]) {
      expect(() => codec.decode(claim, 0, claim.length)).toThrow(/more items than bytes/);
    }
    for (const codec of [bytes, utf8] as Codec<unknown>[]) {
      expect(() => codec.decode(claim, 0, claim.length)).toThrow(CodecError);
    }
    expect(() => array(none)).toThrow('cannot be counted');
  });

  it('lend bytes or copy them, as named', () => {
    const whole = Uint8Array.of(2, 7, 8);
    expect(bytes.decode(whole, 0, 3).buffer).toBe(whole.buffer);
    expect(bytesCopy.decode(whole, 0, 3).buffer).not.toBe(whole.buffer);
  });

  it('map to domain types', () => {
    const flag = mapped(
      u8,
      (on: 'on' | 'off') => (on === 'on' ? 1 : 0),
      (n) => (n === 1 ? 'on' : 'off'),
    );
    expect(flag.decode(encodeToBytes(flag, 'on'), 0, 1)).toBe('on');
  });

  it('leave a reader that the caller keeps usable after a refusal', () => {
    const reader = new ByteReader(Uint8Array.of(9, 9));
    expect(() => readWhole(optional(u8), reader)).toThrow(CodecError);
    reader.reset(Uint8Array.of(1, 7));
    expect(readWhole(optional(u8), reader)).toBe(7);
  });
});
