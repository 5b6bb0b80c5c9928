import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  decodeMessage,
  encodeMessage,
  ITEMS_MAX,
  type Message,
  NESTING_MAX,
  ProtoError,
  type Rows,
} from '../../../../../src/protocols/rocketmq/grpc/proto/index.ts';
import {
  bool,
  bytes,
  float,
  int32,
  int64,
  mapOfStrings,
  message,
  oneof,
  optional,
  repeated,
  string,
  sub,
} from '../../../../../src/protocols/rocketmq/grpc/proto/rows.ts';
import { METHODS } from '../../../../../src/protocols/rocketmq/grpc/schema/methods.ts';
import { SendMessageRequest } from '../../../../../src/protocols/rocketmq/grpc/schema/service.ts';
import { concatBytes, toHex } from '../../../../../src/std/bytes.ts';
import { fromHex } from '../../../../setup/hex.ts';
import { tablesOf } from '../official.ts';

const Inner = message('Inner', { name: string(1), size: int32(2) });
const Outer = message('Outer', {
  count: int32(1),
  total: int64(2),
  isSet: bool(3),
  ratio: float(4),
  text: string(5),
  blob: bytes(6),
  maybe: optional(int32(7)),
  inner: sub(8, Inner),
  inners: repeated(sub(9, Inner)),
  numbers: repeated(int32(10)),
  words: repeated(string(11)),
  labels: mapOfStrings(12),
  ...oneof('choice', { left: int32(13), right: sub(14, Inner) }),
});

const spaced = (hex: string): Uint8Array => fromHex(hex.replaceAll(' ', ''));
const decode = (hex: string) => decodeMessage(Outer, spaced(hex));
const codeOf = (of: Message<Rows>, input: Uint8Array): string => {
  try {
    decodeMessage(of, input);
  } catch (error) {
    if (error instanceof ProtoError) return error.code;
    throw error;
  }
  return 'none';
};
const refusal = (hex: string): string => codeOf(Outer, spaced(hex));

describe('reading', () => {
  it('an empty message gives every field its zero, and nothing is written for it', () => {
    const empty = decode('');
    expect(empty).toEqual({
      count: 0,
      total: 0,
      isSet: false,
      ratio: 0,
      text: '',
      blob: new Uint8Array(0),
      maybe: undefined,
      inner: undefined,
      inners: [],
      numbers: [],
      words: [],
      labels: new Map(),
      left: undefined,
      right: undefined,
    });
    expect(encodeMessage(Outer, empty)).toHaveLength(0);
  });

  it('keeps the items of one message out of another', () => {
    expect(decode('5001').numbers).toEqual([1]);
    expect(decode('5002').numbers).toEqual([2]);
    expect(decode('6204 0a00 1200').labels.size).toBe(1);
    expect(decode('').labels.size).toBe(0);
    expect(decode('').numbers).toEqual([]);
  });

  it('takes varints of every length, negative ones in ten bytes', () => {
    expect(decode('08 96 01').count).toBe(150);
    expect(decode('08 ffffffffffffffffff 01').count).toBe(-1);
    expect(decode('08 ffffffff0f').count).toBe(-1);
    expect(decode('10 ffffffffffffff 0f').total).toBe(Number.MAX_SAFE_INTEGER);
    expect(decode('10 81808080808080 f0 ff 01').total).toBe(-Number.MAX_SAFE_INTEGER);
    expect(decode('18 8080 8080 8001').isSet).toBe(true);
    expect(refusal('08 ffffffffffffffffff 02')).toBe('PROTO_BAD_VALUE');
    expect(refusal('08 ffffffffffffffffffff 01')).toBe('PROTO_BAD_VALUE');
    expect(refusal('10 8080808080808010')).toBe('PROTO_OUT_OF_RANGE');
  });

  it('passes over unknown fields of every wire type, and keeps the rest', () => {
    const unknown = 'a006 7f  a106 0102030405060708  a206 03 010203  a506 01020304  a306 0801 a406';
    expect(decode(`${unknown} 0805 ${unknown}`).count).toBe(5);
  });

  it('treats a field in a wire type that is not its own as unknown, as the official readers do', () => {
    expect(decode('0a 01 7f 0805').count).toBe(5);
    expect(decode('0d 01020304').count).toBe(0);
    expect(decode('28 01').text).toBe('');
    expect(decode('40 01').inner).toBe(undefined);
    expect(decode('60 01').labels.size).toBe(0);
  });

  it('takes numbers packed, one by one, and mixed', () => {
    expect(decode('52 03 010203').numbers).toEqual([1, 2, 3]);
    expect(decode('5001 5002 52 01 03').numbers).toEqual([1, 2, 3]);
    expect(refusal('52 02 80')).toBe('PROTO_TRUNCATED');
    expect(refusal('52 01 80 0801')).toBe('PROTO_TRUNCATED');
  });

  it('merges a message that comes twice and keeps the last of a oneof', () => {
    expect(decode('42 03 0a0161  42 02 1005').inner).toEqual({ name: 'a', size: 5 });
    expect(decode('68 05  72 02 1007')).toMatchObject({
      left: undefined,
      right: { name: '', size: 7 },
    });
    expect(decode('72 02 1007 68 00')).toMatchObject({ left: 0, right: undefined });
    expect(decode('0801 0802').count).toBe(2);
  });

  it('of a map entry needs neither key nor value, and the last of a key wins', () => {
    expect(decode('62 00').labels).toEqual(new Map([['', '']]));
    const twice = decode('62 06 0a0161 120178  62 06 0a0161 120179').labels;
    expect(twice).toEqual(new Map([['a', 'y']]));
  });

  it.each([
    ['a tag of field 0', '00 01'],
    ['wire type 6', '0e 01'],
    ['wire type 7', '0f 01'],
    ['an end of a group that did not begin', '0c'],
    ['a group with the end of another', 'a306 ac06'],
    ['a group without an end', 'a306 0801'],
    ['a tag beyond 32 bits', 'f8ffffffff 01 01'],
    ['text that is not UTF-8', '2a 02 c328'],
    ['a key that is not UTF-8', '62 04 0a02 c328'],
  ])('refuses %s', (_what, hex) => {
    expect(refusal(hex)).toBe('PROTO_BAD_VALUE');
  });

  it.each([
    ['a tag', '80'],
    ['a varint', '08 80'],
    ['four bytes', '25 000000'],
    ['text', '2a 05 61'],
    ['a nested message', '42 05 0a'],
    ['a nested field that reaches out of its message', '42 02 0a05 6161616161'],
    ['an unknown field', 'a206 ffffffff0f'],
    ['eight bytes of an unknown field', 'a106 00'],
  ])('refuses %s that is cut off', (_what, hex) => {
    expect(refusal(hex)).toBe('PROTO_TRUNCATED');
  });

  it('refuses sizes beyond the bytes at hand before taking memory for them', () => {
    expect(refusal('32 ffffffff0f')).toBe('PROTO_TRUNCATED');
    expect(refusal('32 ffffffffffffffffff01')).toBe('PROTO_TRUNCATED');
    expect(refusal('62 ffffffff07')).toBe('PROTO_TRUNCATED');
  });
});

describe('bounds', () => {
  it('of repeated items count over the whole message', () => {
    const items = (count: number): Uint8Array => concatBytes(new Array(count).fill(spaced('4a00')));
    expect(decodeMessage(Outer, items(ITEMS_MAX)).inners).toHaveLength(ITEMS_MAX);
    expect(codeOf(Outer, items(ITEMS_MAX + 1))).toBe('PROTO_TOO_MANY_ITEMS');
    const packed = new Uint8Array(ITEMS_MAX + 2 + 4);
    packed.set(spaced('52 818004'), 0);
    expect(codeOf(Outer, packed.subarray(0, 4 + ITEMS_MAX + 1))).toBe('PROTO_TOO_MANY_ITEMS');
    const entries = concatBytes(new Array(ITEMS_MAX + 1).fill(spaced('6200')));
    expect(codeOf(Outer, entries)).toBe('PROTO_TOO_MANY_ITEMS');
  });

  it('of nesting hold for messages and for groups', () => {
    let chain: Message<Rows> = message('Leaf', { value: int32(1) });
    for (let depth = 0; depth <= NESTING_MAX; depth += 1) {
      chain = message('Link', { next: sub(1, chain) });
    }
    const nested = (depth: number): Uint8Array => {
      let inner: Uint8Array = new Uint8Array(0);
      for (let i = 0; i < depth; i += 1) {
        inner = concatBytes([new Uint8Array([0x0a, inner.length]), inner]);
      }
      return inner;
    };
    expect(codeOf(chain, nested(NESTING_MAX))).toBe('none');
    expect(codeOf(chain, nested(NESTING_MAX + 1))).toBe('PROTO_TOO_DEEP');
    const groups = (depth: number): string => '0b'.repeat(depth) + '0c'.repeat(depth);
    expect(refusal(groups(NESTING_MAX))).toBe('none');
    expect(refusal(groups(NESTING_MAX + 1))).toBe('PROTO_TOO_DEEP');
    expect(refusal('0b'.repeat(1_000_000))).toBe('PROTO_TOO_DEEP');
  });
});

describe('writing', () => {
  it('is canonical: by field number, by key, packed, sizes no longer than needed', () => {
    const value = {
      labels: new Map([
        ['b', '2'],
        ['a', '1'],
      ]),
      numbers: [1, -1],
      maybe: 0,
      left: 0,
      count: 1,
    };
    expect(toHex(encodeMessage(Outer, value))).toBe(
      '0801' +
        '3800' +
        '520b01ffffffffffffffffff01' +
        '62060a0161120131' +
        '62060a0162120132' +
        '6800',
    );
  });

  it('moves a nested message up when its size takes more than a byte', () => {
    for (const size of [125, 126, 127, 128, 16_380, 16_384, 2_097_152]) {
      const name = 'x'.repeat(size);
      const written = encodeMessage(Outer, { inner: { name }, right: { size: 3 } });
      expect(decodeMessage(Outer, written)).toMatchObject({ inner: { name }, right: { size: 3 } });
    }
  });

  it('refuses two members of one oneof', () => {
    expect(() => encodeMessage(Outer, { left: 1, right: {} })).toThrow(/left and right/);
  });

  it('refuses a table that has a number twice', () => {
    expect(() => message('Bad', { a: int32(1), b: int32(1) })).toThrow(/twice/);
  });
});

describe('any bytes', () => {
  const tables = tablesOf(Object.values(METHODS));

  it('are a message or a ProtoError, and what was read can be written', () => {
    const random = fc.property(
      fc.constantFrom(...tables),
      fc.uint8Array({ maxLength: 400 }),
      (table, input) => {
        if (codeOf(table, input) !== 'none') return;
        const value = decodeMessage(table, input);
        const written = encodeMessage(table, value);
        expect(decodeMessage(table, written)).toEqual(value);
      },
    );
    fc.assert(random, { numRuns: 3000 });
  });

  it('cut anywhere are a ProtoError or the beginning of the same message', () => {
    const whole = encodeMessage(SendMessageRequest, {
      messages: [
        {
          topic: { name: 'orders' },
          userProperties: new Map([['k', 'v']]),
          systemProperties: { keys: ['a', 'b'], messageId: 'id', bornTimestamp: { seconds: 1 } },
          body: new Uint8Array([1, 2, 3]),
        },
      ],
    });
    for (let end = 1; end < whole.length; end += 1) {
      expect(codeOf(SendMessageRequest, whole.subarray(0, end))).toBe('PROTO_TRUNCATED');
    }
  });
});
