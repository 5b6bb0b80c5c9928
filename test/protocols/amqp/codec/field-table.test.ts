import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  AmqpError,
  type FieldTable,
  type FieldValue,
  fieldOf,
  readTable,
  skipTable,
  tableOf,
  writeTable,
} from '../../../../src/protocols/amqp/codec/index.ts';
import {
  ByteReader,
  BytesError,
  ByteWriter,
  concatBytes,
  encodeUtf8,
  toHex,
} from '../../../../src/std/bytes.ts';
import { fromHex } from '../../../setup/hex.ts';
import { tableCodec } from './amqplib.ts';

function encoded(table: FieldTable): Uint8Array {
  const writer = new ByteWriter(1);
  writeTable(writer, table);
  return writer.toBytes();
}

function decoded(bytes: Uint8Array): FieldTable {
  const reader = new ByteReader(bytes);
  const table = readTable(reader);
  expect(reader.remaining).toBe(0);
  return table;
}

/** A table of one field `k` with that tag and value. */
function one(hex: string): Uint8Array {
  const value = fromHex(hex.replaceAll(' ', ''));
  return concatBytes([Uint8Array.of(0, 0, 0, value.length + 2, 1, 0x6b), value]);
}

/** Hex of tag and value, and what it is. */
const GOLDEN: readonly (readonly [hex: string, value: FieldValue])[] = [
  ['53 00000003 c3bc21', { type: 'longstr', value: 'ü!' }],
  ['53 00000002 ff61', { type: 'longstr', value: Uint8Array.of(0xff, 0x61) }],
  ['53 00000000', { type: 'longstr', value: '' }],
  ['78 00000002 0061', { type: 'binary', value: Uint8Array.of(0, 0x61) }],
  ['74 01', { type: 'bool', value: true }],
  ['74 00', { type: 'bool', value: false }],
  ['62 80', { type: 'byte', value: -128 }],
  ['42 80', { type: 'unsignedbyte', value: 128 }],
  ['73 8000', { type: 'short', value: -32_768 }],
  ['75 8000', { type: 'unsignedshort', value: 32_768 }],
  ['49 80000000', { type: 'signedint', value: -(2 ** 31) }],
  ['69 80000000', { type: 'unsignedint', value: 2 ** 31 }],
  ['6c 001fffffffffffff', { type: 'long', value: 2 ** 53 - 1 }],
  ['6c 0020000000000000', { type: 'long', value: 2n ** 53n }],
  ['6c ffe0000000000001', { type: 'long', value: -(2 ** 53) + 1 }],
  ['6c 8000000000000000', { type: 'long', value: -(2n ** 63n) }],
  ['6c ffffffffffffffff', { type: 'long', value: -1 }],
  ['54 0000000065a0b1c2', { type: 'timestamp', value: 0x65a0b1c2 }],
  ['54 ffffffffffffffff', { type: 'timestamp', value: 2n ** 64n - 1n }],
  ['66 3fc00000', { type: 'float', value: 1.5 }],
  ['64 3fb999999999999a', { type: 'double', value: 0.1 }],
  ['64 7ff0000000000000', { type: 'double', value: Number.POSITIVE_INFINITY }],
  ['44 02 ffffffff', { type: 'decimal', scale: 2, digits: 0xffffffff }],
  ['56', { type: 'void' }],
  ['46 00000000', { type: 'table', value: [] }],
  [
    '41 00000003 56 7401',
    { type: 'array', value: [{ type: 'void' }, { type: 'bool', value: true }] },
  ],
];

describe('the types of field values', () => {
  it.each(GOLDEN)('%s', (hex, value) => {
    const bytes = one(hex);
    expect(decoded(bytes)).toEqual([{ name: 'k', value }]);
    expect(toHex(encoded([{ name: 'k', value }]))).toBe(toHex(bytes));
    expect(skipTable(bytes, 0, bytes.length)).toBe(bytes.length);
  });

  it('L is read as long and written as l; every bool but 0 is true', () => {
    expect(decoded(one('4c 0000000000000007'))).toEqual([
      { name: 'k', value: { type: 'long', value: 7 } },
    ]);
    expect(decoded(one('74 ff'))).toEqual([{ name: 'k', value: { type: 'bool', value: true } }]);
  });

  it('no other tag exists', () => {
    const known = new Set([...'tbBsuIilLfdDSxFATV'].map((tag) => tag.charCodeAt(0)));
    for (let tag = 0; tag < 256; tag += 1) {
      // Zeros are a value of every type: a size of 0, then the table claims nothing more.
      const body = Uint8Array.of(1, 0x6b, tag, 0, 0, 0, 0, 0, 0, 0, 0);
      const sizes = [0, 1, 2, 4, 5, 8].map((size) => {
        const bytes = concatBytes([Uint8Array.of(0, 0, 0, 3 + size), body.subarray(0, 3 + size)]);
        return skipTable(bytes, 0, bytes.length) === bytes.length;
      });
      expect([tag, sizes.includes(true)]).toEqual([tag, known.has(tag)]);
    }
  });

  it('amqplib writes what we write', () => {
    const buffer = Buffer.alloc(1000);
    const theirs = {
      text: 'ü',
      yes: true,
      nothing: null,
      tiny: { '!': 'int8', value: -5 },
      uint8: { '!': 'uint8', value: 200 },
      short: { '!': 'int16', value: -300 },
      uint16: { '!': 'uint16', value: 65_535 },
      int: { '!': 'int32', value: -70_000 },
      uint32: { '!': 'uint32', value: 4_000_000_000 },
      long: { '!': 'int64', value: -5_000_000_000 },
      time: { '!': 'timestamp', value: 1_700_000_000 },
      float: { '!': 'float', value: 2.5 },
      double: { '!': 'double', value: 0.1 },
      decimal: { '!': 'decimal', value: { places: 2, digits: 314 } },
      bytes: Buffer.from([1, 2]),
      list: ['a', { b: false }],
    };
    const size = tableCodec.encodeTable(buffer, theirs, 0);
    const bytes = new Uint8Array(buffer.subarray(0, size));
    const table = decoded(bytes);
    expect(toHex(encoded(table))).toBe(toHex(bytes));
    expect(table.map((field) => field.value.type)).toEqual(
      'longstr bool void byte unsignedbyte short unsignedshort signedint unsignedint long timestamp float double decimal binary array'.split(
        ' ',
      ),
    );
  });
});

const text = fc.string({ unit: 'grapheme', maxLength: 12 });
const fieldText = fc.oneof(
  text,
  fc.uint8Array({ minLength: 1, maxLength: 8 }).map((bytes) => Uint8Array.of(0xff, ...bytes)),
);
const { table: anyTable } = fc.letrec<{ value: FieldValue; table: FieldTable }>((tie) => ({
  table: fc.array(fc.record({ name: fieldText, value: tie('value') }), { maxLength: 4 }),
  value: fc.oneof(
    { maxDepth: 4 },
    fc.record({ type: fc.constant('longstr' as const), value: fieldText }),
    fc.record({ type: fc.constant('binary' as const), value: fc.uint8Array({ maxLength: 9 }) }),
    fc.record({ type: fc.constant('bool' as const), value: fc.boolean() }),
    fc.record({ type: fc.constant('byte' as const), value: fc.integer({ min: -128, max: 127 }) }),
    fc.record({ type: fc.constant('unsignedshort' as const), value: fc.nat(65_535) }),
    fc.record({ type: fc.constant('signedint' as const), value: fc.integer() }),
    fc.record({
      type: fc.constant('long' as const),
      value: fc.bigInt(-(2n ** 63n), 2n ** 63n - 1n),
    }),
    fc.record({ type: fc.constant('timestamp' as const), value: fc.bigInt(0n, 2n ** 64n - 1n) }),
    fc.record({ type: fc.constant('double' as const), value: fc.double({ noNaN: true }) }),
    fc.record({ type: fc.constant('void' as const) }),
    fc.record({
      type: fc.constant('array' as const),
      value: fc.array(tie('value'), { maxLength: 4 }),
    }),
    fc.record({ type: fc.constant('table' as const), value: tie('table') }),
  ),
}));

/** 64-bit values are numbers where that is exact. */
function narrowed(value: unknown): unknown {
  if (typeof value === 'bigint') {
    return Number.isSafeInteger(Number(value)) ? Number(value) : value;
  }
  if (Array.isArray(value)) return value.map(narrowed);
  if (value instanceof Uint8Array || typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, part]) => [key, narrowed(part)]));
}

describe('tables', () => {
  it('come back as they went, with repeated names, in order', () => {
    fc.assert(
      fc.property(anyTable, (table) => {
        const bytes = encoded(table);
        expect(skipTable(bytes, 0, bytes.length)).toBe(bytes.length);
        const back = decoded(bytes);
        expect(back).toEqual(narrowed(table));
        expect(toHex(encoded(back))).toBe(toHex(bytes));
      }),
    );
    const twice = tableOf({ a: 1 }).concat(tableOf({ a: 2 }));
    expect(decoded(encoded(twice))).toEqual(twice);
    expect(fieldOf(twice, 'a')).toEqual({ type: 'signedint', value: 1 });
    expect(fieldOf(twice, 'b')).toBe(undefined);
  });

  it('are refused by the check exactly when decoding refuses them', () => {
    const verdicts = { good: 0, bad: 0 };
    const check = (bytes: Uint8Array): void => {
      const end = skipTable(bytes, 0, bytes.length);
      const reader = new ByteReader(bytes);
      try {
        readTable(reader);
        expect(end).toBe(reader.at);
        verdicts.good += 1;
      } catch (error) {
        expect(error instanceof BytesError || error instanceof AmqpError, String(error)).toBe(true);
        expect(end).toBe(-1);
        verdicts.bad += 1;
      }
    };
    fc.assert(
      fc.property(anyTable, fc.nat(), fc.nat(255), (table, place, byte) => {
        const bytes = encoded(table);
        bytes[place % bytes.length] = byte;
        check(bytes);
      }),
      { numRuns: 3000 },
    );
    fc.assert(fc.property(fc.uint8Array({ maxLength: 40 }), check), { numRuns: 2000 });
    for (const [hex] of GOLDEN) {
      const bytes = one(hex);
      for (let end = 0; end < bytes.length; end += 1) {
        const cut = bytes.slice(0, end);
        expect(skipTable(cut, 0, end)).toBe(-1);
        // The same, when the table's own size says so too: only whole values may end there.
        if (end >= 4) cut[3] = end - 4;
        check(cut);
      }
    }
    expect(Math.min(verdicts.good, verdicts.bad)).toBeGreaterThan(100);
  });

  /** A table with tables, or with arrays, inside each other, `depth` in all. */
  function nested(depth: number, tag: 'F' | 'A'): Uint8Array {
    const parts: Uint8Array[] = [];
    let size = 0;
    for (let i = depth - 1; i >= 0; i -= 1) {
      parts.push(Uint8Array.of(size >> 24, size >> 16, size >> 8, size));
      const head = i === 1 || tag === 'F' ? [1, 0x6b, tag.charCodeAt(0)] : [tag.charCodeAt(0)];
      if (i > 0) parts.push(Uint8Array.from(head));
      size += 4 + head.length;
    }
    return concatBytes(parts.reverse());
  }

  it.each(['F', 'A'] as const)('of %s are at most 64 deep', (tag) => {
    const deepest = nested(64, tag);
    expect(skipTable(deepest, 0, deepest.length)).toBe(deepest.length);
    expect(decoded(deepest)).toHaveLength(1);
    for (const depth of [65, 1000, 9000]) {
      const bytes = nested(depth, tag);
      expect(skipTable(bytes, 0, bytes.length)).toBe(-1);
      expect(() => readTable(new ByteReader(bytes))).toThrow('nested too deeply');
    }
  });

  it('from plain objects have the types that a server writes', () => {
    expect(tableOf({ s: 'x', i: -1, l: 2 ** 31, b: true, t: { n: 1 } })).toEqual([
      { name: 's', value: { type: 'longstr', value: 'x' } },
      { name: 'i', value: { type: 'signedint', value: -1 } },
      { name: 'l', value: { type: 'long', value: 2 ** 31 } },
      { name: 'b', value: { type: 'bool', value: true } },
      {
        name: 't',
        value: { type: 'table', value: [{ name: 'n', value: { type: 'signedint', value: 1 } }] },
      },
    ]);
  });

  it('with values that do not fit are not written', () => {
    const bad: FieldValue[] = [
      { type: 'byte', value: 128 },
      { type: 'unsignedbyte', value: -1 },
      { type: 'short', value: 1.5 },
      { type: 'unsignedint', value: 2 ** 32 },
      { type: 'signedint', value: Number.NaN },
      { type: 'long', value: 2 ** 53 },
      { type: 'long', value: 2n ** 63n },
      { type: 'timestamp', value: -1 },
      { type: 'timestamp', value: -1n },
      { type: 'decimal', scale: 256, digits: 0 },
    ];
    for (const value of bad) {
      expect(() => encoded([{ name: 'k', value }])).toThrow(`does not fit ${value.type}`);
    }
    expect(() => encoded([{ name: 'n'.repeat(256), value: { type: 'void' } }])).toThrow('shortstr');
    expect(encoded([{ name: encodeUtf8('n'.repeat(255)), value: { type: 'void' } }])).toHaveLength(
      261,
    );
  });
});
