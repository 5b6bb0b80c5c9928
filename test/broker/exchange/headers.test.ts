// Header exchanges against a naive matcher, the folding of values, and the bytes of the neutral form.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { decodeHeaderMatch } from '../../../src/broker/exchange/header-form.ts';
import { encodeHeaderMatch, HeaderForm } from '../../../src/broker/ports.ts';
import { encodeUtf8, toHex } from '../../../src/std/bytes.ts';
import { bind, exchange, queue, unbind } from '../../cluster/metadata/routing-words.ts';
import { topicId } from '../../cluster/metadata/world.ts';
import { matchBytes, RoutedNode, writeHeaders } from './harness.ts';
import { type Headers, headersMatch, type Value, type Wanted } from './naive.ts';

const text = (value: string): Value => ({ kind: 'text', value });
const number = (value: number): Value => ({ kind: 'number', value });
const nothing: Value = { kind: 'nothing' };

function headers(wanted: readonly Wanted[]): RoutedNode {
  const node = new RoutedNode();
  node.do(exchange('h', { type: 'headers' }));
  wanted.forEach((each, i) => {
    node.do(queue(`q${i}`, 1, { topicId: topicId(i) }));
    node.do(bind('h', `q${i}`, '', { headerMatch: matchBytes(each) }));
  });
  return node;
}

function routed(node: RoutedNode, message: Headers): string[] {
  return node.routed({ exchange: 'h', keys: ['any'], headers: message });
}

describe('a headers exchange', () => {
  const format: Headers = [
    ['format', text('pdf')],
    ['type', text('report')],
  ];

  test.each<[Wanted, Headers, boolean]>([
    [{ mode: 'all', headers: format }, format, true],
    [{ mode: 'all', headers: format }, format.slice(1), false],
    [{ mode: 'any', headers: format }, format.slice(1), true],
    [{ mode: 'any', headers: format }, [['format', text('zip')]], false],
    [{ mode: 'all', headers: [] }, [], true],
    [{ mode: 'all', headers: [] }, format, true],
    [{ mode: 'any', headers: [] }, format, false],
    [{ mode: 'all', headers: [['format', nothing]] }, format, true],
    [{ mode: 'all', headers: [['format', nothing]] }, [['format', nothing]], true],
    [{ mode: 'all', headers: format }, [['format', nothing], ...format.slice(1)], false],
    [{ mode: 'all', headers: [['x-a', text('1')]] }, [], true],
    [{ mode: 'any', headers: [['x-a', text('1')]] }, [['x-a', text('1')]], false],
    [{ mode: 'all-with-x', headers: [['x-a', text('1')]] }, [], false],
    [{ mode: 'any-with-x', headers: [['x-a', text('1')]] }, [['x-a', text('1')]], true],
    [{ mode: 'all-with-x', headers: [['x-match', text('all-with-x')]] }, [], true],
    [{ mode: 'all', headers: format }, [format[0]!, format[0]!], false],
  ])('%j and %j: %s', (wanted, message, isRouted) => {
    expect(headersMatch(wanted, message)).toBe(isRouted);
    expect(routed(headers([wanted]), message)).toEqual(isRouted ? ['q0'] : []);
  });

  test('a binding without bytes wants nothing and gets all', () => {
    const node = new RoutedNode();
    node.do(queue('q', 1), bind('amq.match', 'q'));
    expect(node.routed({ exchange: 'amq.match', keys: [''], headers: format })).toEqual(['q']);
    node.do(unbind('amq.match', 'q'));
    expect(node.routed({ exchange: 'amq.match', keys: [''], headers: format })).toEqual([]);
  });

  test('bytes that only a newer version reads match nothing, and go again', () => {
    const node = new RoutedNode();
    const over = { headerMatch: new Uint8Array([7, 1]) };
    node.do(queue('q', 1), bind('amq.headers', 'q', '', over));
    expect(node.routed({ exchange: 'amq.headers', keys: [''], headers: format })).toEqual([]);
    node.do(unbind('amq.headers', 'q', '', over));
    node.do(bind('amq.headers', 'q'));
    expect(node.routed({ exchange: 'amq.headers', keys: [''], headers: [] })).toEqual(['q']);
  });

  const value = fc.oneof(
    fc.constant(nothing),
    fc.boolean().map((is): Value => ({ kind: 'bool', value: is })),
    fc.constantFrom(0, 1, -1, 1.5, 2 ** 40, -(2 ** 40), 1e300).map(number),
    fc.constantFrom('', '1', 'true', 'é').map(text),
  );
  const header = fc.tuple(fc.constantFrom('a', 'b', 'c', 'x-d', 'x-match', 'ab'), value);
  const wishes = fc.record({
    mode: fc.constantFrom('all', 'any', 'all-with-x', 'any-with-x') as fc.Arbitrary<Wanted['mode']>,
    headers: fc.array(header, { maxLength: 3 }),
  });
  const messages = fc.array(fc.array(header, { maxLength: 5 }), { minLength: 1, maxLength: 8 });

  test('agrees with the naive matcher, before and after bindings go', () => {
    let matched = 0;
    const all = fc.array(wishes, { minLength: 8, maxLength: 20 });
    const property = fc.property(all, messages, fc.nat(), (wanted, asked, bits) => {
      const node = headers(wanted);
      const check = (isBound: (i: number) => boolean) => {
        for (const message of asked) {
          const expected = wanted.flatMap((each, i) =>
            isBound(i) && headersMatch(each, message) ? [`q${i}`] : [],
          );
          matched += expected.length;
          expect(routed(node, message)).toEqual(expected.sort());
        }
      };
      check(() => true);
      wanted.forEach((each, i) => {
        const headerMatch = matchBytes(each);
        if ((bits >> i) % 2 === 1) node.do(unbind('h', `q${i}`, '', { headerMatch }));
      });
      check((i) => (bits >> i) % 2 === 0);
    });
    fc.assert(property, { numRuns: 200, seed: 9 });
    expect(matched).toBeGreaterThan(2000);
  });
});

describe('the neutral form', () => {
  function valueHex(write: (form: HeaderForm) => void): string {
    const form = new HeaderForm();
    form.name(encodeUtf8('n'), 0, 1);
    write(form);
    return toHex(form.bytes.subarray(0, form.size));
  }

  test('folds numbers that are equal, and only those', () => {
    const five = valueHex((form) => form.number(5));
    expect(five).toBe('0000000b016e690000000000000005');
    expect(valueHex((form) => form.whole(0, 5))).toBe(five);
    expect(valueHex((form) => form.number(5.5))).toBe('0000000b016e664016000000000000');
    const minus = valueHex((form) => form.whole(-1, -1));
    expect(minus).toBe('0000000b016e69ffffffffffffffff');
    expect(valueHex((form) => form.number(-1))).toBe(minus);
    expect(valueHex((form) => form.number(-0))).toBe(valueHex((form) => form.number(0)));
    const large = valueHex((form) => form.number(2 ** 63));
    expect(large).toBe('0000000b016e6643e0000000000000');
    expect(valueHex((form) => form.number(-(2 ** 63)))).toBe('0000000b016e698000000000000000');
  });

  test('has fixed bytes for every kind of value', () => {
    const bytes = encodeUtf8('xyz');
    expect(valueHex((form) => form.nothing())).toBe('00000003016e56');
    expect(valueHex((form) => form.bool(true))).toBe('00000004016e7401');
    expect(valueHex((form) => form.text(bytes, 1, 3))).toBe('00000005016e53797a');
    expect(valueHex((form) => form.decimal(2, 300))).toBe('00000008016e44020000012c');
    expect(valueHex((form) => form.array(bytes, 0, 1))).toBe('00000004016e4178');
    expect(valueHex((form) => form.table(bytes, 0, 1))).toBe('00000004016e4678');
  });

  test('of a match is canonical: sorted, each once, without what does not count', () => {
    const one: Headers = [
      ['b', number(1)],
      ['a', text('2')],
      ['x-c', text('3')],
      ['x-match', text('all')],
    ];
    const other: Headers = [one[1]!, one[0]!, one[1]!];
    expect(toHex(matchBytes({ mode: 'all', headers: one }))).toBe(
      '00' + '00000004' + '01615332' + '0000000b' + '0162690000000000000001',
    );
    expect(matchBytes({ mode: 'all', headers: other })).toEqual(
      matchBytes({ mode: 'all', headers: one }),
    );
    expect(toHex(matchBytes({ mode: 'any-with-x', headers: one.slice(2) }))).toBe(
      '01' + '00000006' + '03782d635333',
    );
  });

  test('that is cut or unknown is no match', () => {
    const form = new HeaderForm();
    writeHeaders(form, [['a', number(1)]]);
    const bytes = encodeHeaderMatch('any', form);
    expect(decodeHeaderMatch(bytes)?.isAny).toBe(true);
    for (let size = 2; size < bytes.length; size += 1) {
      expect(decodeHeaderMatch(bytes.subarray(0, size))).toBeUndefined();
    }
    expect(decodeHeaderMatch(new Uint8Array([2]))).toBeUndefined();
    expect(decodeHeaderMatch(new Uint8Array([0, 0, 0, 0, 1, 0]))).toBeUndefined();
    expect(decodeHeaderMatch(new Uint8Array(0))).toEqual({ isAny: false, entries: [] });
  });
});
