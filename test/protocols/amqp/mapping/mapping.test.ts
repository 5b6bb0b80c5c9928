import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  type BasicProperties,
  type FieldTable,
  type FieldValue,
  scanProperties,
  tableOf,
} from '../../../../src/protocols/amqp/codec/index.ts';
import type { RecordReader } from '../../../../src/records/records.ts';
import { decodeUtf8, encodeUtf8, toHex } from '../../../../src/std/bytes.ts';
import { decodeProperties } from '../codec/all-properties.ts';
import { publishFrames } from '../codec/amqplib.ts';
import { deliveredOf, encoded, framesOf, recordOf, type Sent, stored } from './through.ts';

function send(properties: BasicProperties, names: Partial<Sent> = {}): Sent {
  return {
    exchange: 'orders',
    routingKey: 'eu.new',
    body: encodeUtf8('hello'),
    properties: encoded(properties),
    ...names,
  };
}

const headersOf = (sent: Sent): Record<string, string | null> =>
  Object.fromEntries(recordOf(framesOf(sent)).seen.headers);

describe('a message as a record', () => {
  it('has routing key, body and time in their places, and all else in headers', () => {
    const sent = send({
      contentType: 'text/plain',
      contentEncoding: 'gzip',
      deliveryMode: 2,
      priority: 9,
      correlationId: 'c-1',
      replyTo: 'answers',
      expiration: '60000',
      messageId: 'm-1',
      timestamp: 1_700_000_000,
      type: 'order',
      userId: 'guest',
      appId: 'shop',
      clusterId: 'x',
      headers: tableOf({ tenant: 'acme' }),
    });
    const { seen } = recordOf(framesOf(sent));
    expect(decodeUtf8(seen.key!)).toBe('eu.new');
    expect(decodeUtf8(seen.value)).toBe('hello');
    expect(seen.timestampMs).toBe(1_700_000_000_000);
    expect(seen.headers).toEqual([
      ['amqp.exchange', 'orders'],
      ['amqp.content-type', 'text/plain'],
      ['amqp.content-encoding', 'gzip'],
      ['tenant', 'acme'],
      ['amqp.delivery-mode', '2'],
      ['amqp.priority', '9'],
      ['amqp.correlation-id', 'c-1'],
      ['amqp.reply-to', 'answers'],
      ['amqp.expiration', '60000'],
      ['amqp.message-id', 'm-1'],
      ['amqp.timestamp', '1700000000'],
      ['amqp.type', 'order'],
      ['amqp.user-id', 'guest'],
      ['amqp.app-id', 'shop'],
      ['amqp.cluster-id', 'x'],
    ]);
  });

  it('without a routing key has no key, without properties and exchange no headers', () => {
    const { seen } = recordOf(framesOf(send({}, { exchange: '', routingKey: '' })));
    expect(seen).toEqual({ key: null, value: encodeUtf8('hello'), headers: [], timestampMs: -1 });
  });

  it('shows numbers, times and truths as text, and keeps the table for AMQP', () => {
    const headers: FieldTable = [
      { name: 'n', value: { type: 'signedint', value: -7 } },
      { name: 'big', value: { type: 'long', value: 2n ** 62n } },
      { name: 't', value: { type: 'bool', value: true } },
      { name: 'when', value: { type: 'timestamp', value: 5 } },
      { name: 'd', value: { type: 'double', value: 0.5 } },
      { name: 'dec', value: { type: 'decimal', scale: 2, digits: 314 } },
      { name: 'raw', value: { type: 'binary', value: Uint8Array.of(0xff) } },
      { name: 'none', value: { type: 'void' } },
      { name: 'inner', value: { type: 'table', value: [] } },
    ];
    const { 'amqp.headers': raw, 'amqp.exchange': _, ...others } = headersOf(send({ headers }));
    expect(others).toEqual({
      n: '-7',
      big: String(2n ** 62n),
      t: 'true',
      when: '5',
      d: '0.5',
      dec: '314e-2',
      raw: '\xff',
      none: null,
    });
    expect(raw).toBe(Buffer.from(encoded({ headers }).slice(2)).toString('latin1'));
  });

  it('takes no name of its own from a client', () => {
    const headers = tableOf({ 'amqp.priority': 'mine', 'amqp.': 'odd', amqp: 'plain' });
    const sent = send({ headers });
    expect(headersOf(sent)).toEqual({
      'amqp.exchange': 'orders',
      'amqp.header.amqp.priority': 'mine',
      'amqp.header.amqp.': 'odd',
      amqp: 'plain',
    });
  });

  it('has no time where the seconds are beyond what milliseconds can hold', () => {
    const at = (timestamp: number | bigint) => recordOf(framesOf(send({ timestamp }))).seen;
    expect(at(8_640_000_000_000).timestampMs).toBe(8_640_000_000_000_000);
    expect(at(8_640_000_000_001).timestampMs).toBe(-1);
    expect(at(2n ** 64n - 1n).headers).toContainEqual(['amqp.timestamp', String(2n ** 64n - 1n)]);
  });
});

const text = fc.string({ unit: 'grapheme', maxLength: 12 });
const oddText = fc.oneof(
  text,
  fc.uint8Array({ minLength: 1, maxLength: 8 }).map((bytes) => Uint8Array.of(0xff, ...bytes)),
);
const name = fc.oneof(oddText, fc.constantFrom('amqp.type', 'amqp.headers', 'amqp.header.x', 'CC'));
const { table: anyTable } = fc.letrec<{ value: FieldValue; table: FieldTable }>((tie) => ({
  table: fc.array(fc.record({ name, value: tie('value') }), { maxLength: 5 }),
  value: fc.oneof(
    { maxDepth: 2 },
    fc.record({ type: fc.constant('longstr' as const), value: oddText }),
    fc.record({ type: fc.constant('longstr' as const), value: text }),
    fc.record({ type: fc.constant('signedint' as const), value: fc.integer() }),
    fc.record({ type: fc.constant('float' as const), value: fc.float() }),
    fc.record({ type: fc.constant('void' as const) }),
    fc.record({ type: fc.constant('array' as const), value: fc.array(tie('value')) }),
    fc.record({ type: fc.constant('table' as const), value: tie('table') }),
  ),
}));
const stringTable = fc.uniqueArray(
  fc.record({ name, value: fc.record({ type: fc.constant('longstr' as const), value: oddText }) }),
  { maxLength: 40, selector: (field) => String(field.name) },
);
const anyProperties = fc.record(
  {
    contentType: oddText,
    contentEncoding: text,
    headers: fc.oneof(anyTable, stringTable),
    deliveryMode: fc.nat(255),
    priority: fc.nat(255),
    correlationId: oddText,
    replyTo: text,
    expiration: text,
    messageId: text,
    timestamp: fc.bigInt(0n, 2n ** 64n - 1n),
    type: text,
    userId: text,
    appId: text,
    clusterId: text,
  },
  { requiredKeys: [] },
);

describe('a record as a message', () => {
  it('is byte for byte what was sent', () => {
    const body = fc.uint8Array({ maxLength: 100 });
    fc.assert(
      fc.property(anyProperties, text, text, body, (properties, exchange, routingKey, bytes) => {
        const sent = { exchange, routingKey, body: bytes, properties: encoded(properties) };
        const got = deliveredOf(recordOf(framesOf(sent)).record);
        expect(toHex(got.properties)).toBe(toHex(sent.properties));
        expect(toHex(got.body)).toBe(toHex(bytes));
        const names = [got.exchange, got.routingKey].map((n) =>
          Buffer.from(n, 'latin1').toString(),
        );
        expect(names).toEqual([exchange, routingKey]);
      }),
      { numRuns: 500 },
    );
  });

  it('is byte for byte what amqplib sends', () => {
    const double = fc.double({ noNaN: true, min: -1e15, max: 1e15 });
    const value = fc.oneof(text, fc.integer(), fc.boolean(), double);
    // To amqplib, `!` in an object is no name: it tells the type of a value.
    const name = text.filter((each) => each !== '!');
    const headers = fc.dictionary(
      name,
      fc.oneof(value, fc.array(value), fc.dictionary(name, value)),
    );
    const options = fc.record(
      {
        headers,
        contentType: text,
        deliveryMode: fc.constantFrom(1, 2),
        priority: fc.nat(255),
        messageId: text,
        timestamp: fc.nat(),
      },
      { requiredKeys: ['headers'] },
    );
    fc.assert(
      fc.property(options, (properties) => {
        const fields = { exchange: 'x', routingKey: 'k', mandatory: false, immediate: false };
        const frames = publishFrames(1, { ticket: 0, ...fields }, properties, encodeUtf8('b'));
        const header = frames.subarray(frames.indexOf(0xce) + 1);
        const sent = header.subarray(7 + 12, 7 + header.readUInt32BE(3));
        const got = deliveredOf(recordOf(new Uint8Array(frames)).record);
        expect(toHex(got.properties)).toBe(toHex(sent));
      }),
      { numRuns: 300 },
    );
  });

  it('of another protocol has a table of its headers and no exchange', () => {
    const value = encodeUtf8('v');
    const header = (headerName: string, text: string | null) => ({
      name: headerName,
      value: text === null ? null : encodeUtf8(text),
    });
    const headers = [
      header('trace', 'abc'),
      header('trace', 'def'),
      header('nothing', null),
      header('amqp.unknown', 'left out'),
      header('x'.repeat(256), 'left out'),
    ];
    const record = stored({ timestampMs: 1, key: encodeUtf8('key'), value, headers });
    const got = deliveredOf(record);
    expect([got.exchange, got.routingKey, decodeUtf8(got.body)]).toEqual(['', 'key', 'v']);
    expect(decodeProperties(got.properties, 0, got.properties.length)).toEqual({
      headers: [
        { name: 'trace', value: { type: 'longstr', value: 'abc' } },
        { name: 'trace', value: { type: 'longstr', value: 'def' } },
        { name: 'nothing', value: { type: 'void' } },
      ],
    });
  });

  it('has no routing key where the key is long, not text, or absent, and no body without a value', () => {
    const keyOf = (key: Uint8Array | null) =>
      deliveredOf(stored({ timestampMs: 1, key, value: null }));
    expect(keyOf(encodeUtf8('k'.repeat(255))).routingKey).toHaveLength(255);
    expect(keyOf(encodeUtf8('k'.repeat(256))).routingKey).toBe('');
    expect(keyOf(Uint8Array.of(0xff, 0xfe)).routingKey).toBe('');
    expect(keyOf(null)).toEqual({
      exchange: '',
      routingKey: '',
      properties: Uint8Array.of(0, 0),
      body: new Uint8Array(0),
    });
  });

  it('is well formed whatever the own headers say', () => {
    const own = [
      'amqp.headers',
      'amqp.priority',
      'amqp.timestamp',
      'amqp.type',
      'amqp.exchange',
      'amqp.routing-key',
    ];
    const bytes = fc.oneof(fc.uint8Array({ maxLength: 300, size: 'max' }), text.map(encodeUtf8));
    const header = fc.record({
      name: fc.oneof(fc.constantFrom(...own), text),
      value: fc.option(
        fc.oneof(
          bytes,
          fc.bigInt(0n, 2n ** 70n).map((n) => encodeUtf8(String(n))),
        ),
      ),
    });
    fc.assert(
      fc.property(
        fc.array(header, { maxLength: 8 }),
        fc.integer({ min: -1 }),
        (headers, offset) => {
          const record = stored({ timestampMs: 1, key: null, value: null, headers });
          const got = deliveredOf(record, 0, offset);
          expect(scanProperties(got.properties, 0, got.properties.length)).toBeGreaterThanOrEqual(
            0,
          );
          expect(got.exchange.length).toBeLessThanOrEqual(255);
          expect(got.routingKey.length).toBeLessThanOrEqual(255);
        },
      ),
      { numRuns: 500 },
    );
  });

  it('leaves headers out that would not fit one frame of the receiver', () => {
    const headers = [{ name: 'large', value: new Uint8Array(4096) }];
    const record = stored({ timestampMs: 1, key: null, value: null, headers });
    expect(deliveredOf(record, 4096).properties).toEqual(Uint8Array.of(0, 0));
    expect(deliveredOf(record, 8192).properties.length).toBeGreaterThan(4096);
  });

  describe('that comes from a stream', () => {
    const tableOfStream = (record: RecordReader, offset: number, frameBytesMax = 0) => {
      const { properties } = deliveredOf(record, frameBytesMax, offset);
      return decodeProperties(properties, 0, properties.length).headers;
    };
    const place = (value: number) => ({ name: 'x-stream-offset', value: { type: 'long', value } });

    it('says where it is, behind its headers', () => {
      const bare = stored({ timestampMs: 1, key: null, value: null });
      expect(tableOfStream(bare, 0)).toEqual([place(0)]);
      const trace = [{ name: 'trace', value: encodeUtf8('abc') }];
      const record = stored({ timestampMs: 1, key: null, value: null, headers: trace });
      const kept = { name: 'trace', value: { type: 'longstr', value: 'abc' } };
      expect(tableOfStream(record, 2 ** 40 + 7)).toEqual([kept, place(2 ** 40 + 7)]);
    });

    it('says so once, whatever it said of another stream', () => {
      const names = ['x-stream-offset', 'amqp.header.x-stream-offset', 'x-stream-offsets'];
      const headers = names.map((name) => ({ name, value: encodeUtf8('5') }));
      const record = stored({ timestampMs: 1, key: null, value: null, headers });
      const kept = { name: 'x-stream-offsets', value: { type: 'longstr', value: '5' } };
      expect(tableOfStream(record, 9)).toEqual([kept, place(9)]);
      const table: FieldTable = [
        { name: 'x-stream-offset', value: { type: 'long', value: 4 } },
        { name: 'n', value: { type: 'signedint', value: 1 } },
      ];
      const published = recordOf(framesOf(send({ headers: table }))).record;
      expect(tableOfStream(published, 9)).toEqual([table[1], place(9)]);
      // From a queue it comes as it was.
      expect(tableOfStream(published, -1)).toEqual(table);
    });

    it('says so where its other headers do not fit', () => {
      const headers = [{ name: 'large', value: new Uint8Array(4096) }];
      const record = stored({ timestampMs: 1, key: null, value: null, headers });
      expect(tableOfStream(record, 3, 4096)).toEqual([place(3)]);
    });
  });
});
