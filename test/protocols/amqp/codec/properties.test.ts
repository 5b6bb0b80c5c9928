import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  AmqpError,
  type BasicProperties,
  decodeProperties,
  encodeProperties,
  PROPERTY_NUMBER,
  PropertiesView,
  type PropertyName,
  propertyFlag,
  scanProperties,
  tableOf,
} from '../../../../src/protocols/amqp/codec/index.ts';
import { ByteWriter, toHex } from '../../../../src/std/bytes.ts';
import { fromHex } from '../../../setup/hex.ts';
import { defs } from './amqplib.ts';

const ALL: Required<BasicProperties> = {
  contentType: 'text/plain',
  contentEncoding: 'gzip',
  headers: tableOf({ a: 'b' }),
  deliveryMode: 2,
  priority: 9,
  correlationId: 'corr',
  replyTo: 'amq.rabbitmq.reply-to',
  expiration: '60000',
  messageId: 'm-1',
  timestamp: 1_700_000_000,
  type: 'order',
  userId: 'guest',
  appId: 'app',
  clusterId: 'c',
};
const names = Object.keys(ALL) as PropertyName[];

function encoded(properties: BasicProperties): Uint8Array {
  const writer = new ByteWriter(1);
  encodeProperties(writer, properties);
  return writer.toBytes();
}

/** A subset of ALL by the bits of `mask`. */
function some(mask: number): BasicProperties {
  return Object.fromEntries(
    names.filter((_, i) => (mask & (1 << i)) !== 0).map((n) => [n, ALL[n]]),
  );
}

/** As amqplib writes them: a header frame's payload behind class, weight and body size. */
function amqplibBytes(properties: BasicProperties): Uint8Array {
  const { headers, ...others } = properties;
  const theirs = headers === undefined ? others : { ...others, headers: { a: 'b' } };
  const frame = defs.encodeProperties(defs.BasicProperties, 1, 0, theirs);
  return new Uint8Array(frame.subarray(7 + 12, -1));
}

describe('properties', () => {
  it('are numbered in the order of their flags', () => {
    expect(names.map((name) => PROPERTY_NUMBER[name])).toEqual(names.map((_, i) => i));
    expect(propertyFlag(PROPERTY_NUMBER.contentType)).toBe(0x8000);
    expect(propertyFlag(PROPERTY_NUMBER.clusterId)).toBe(4);
  });

  it('of every subset are written and read as amqplib does', () => {
    for (let mask = 0; mask < 2 ** 14; mask += 1) {
      const properties = some(mask);
      const bytes = encoded(properties);
      if (mask % 7 === 0) expect(toHex(bytes)).toBe(toHex(amqplibBytes(properties)));
      if (mask % 5 === 0) expect(decodeProperties(bytes, 0, bytes.length)).toEqual(properties);
      expect(scanProperties(bytes, 0, bytes.length)).toBe(properties.deliveryMode ?? 0);
    }
  });

  it('are refused when cut anywhere, too long, or flagged as nobody can', () => {
    const bytes = encoded(ALL);
    for (let end = 0; end < bytes.length; end += 1) {
      expect(scanProperties(bytes, 0, end)).toBe(-1);
      expect(() => decodeProperties(bytes, 0, end)).toThrow(AmqpError);
    }
    expect(scanProperties(Uint8Array.of(...bytes, 0), 0, bytes.length + 1)).toBe(-1);
    // Another word of flags, a flag of no property, a table with a tag of nobody.
    for (const hex of ['00010000', '0002', '2000000000030161' + '55']) {
      expect(scanProperties(fromHex(hex), 0, hex.length / 2)).toBe(-1);
    }
  });

  it('are never anything but properties or a protocol error', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40 }), fc.nat(), (bytes, flags) => {
        if (bytes.length > 2) bytes.set([flags >> 8, flags & 0xfc], 0);
        const mode = scanProperties(bytes, 0, bytes.length);
        if (mode < 0) expect(() => decodeProperties(bytes, 0, bytes.length)).toThrow(AmqpError);
        else expect(decodeProperties(bytes, 0, bytes.length).deliveryMode ?? 0).toBe(mode);
      }),
      { numRuns: 3000 },
    );
  });

  it('whose text is not UTF-8 stay bytes', () => {
    const bytes = fromHex('8000' + '02ff61');
    const properties = decodeProperties(bytes, 0, bytes.length);
    expect(properties).toEqual({ contentType: Uint8Array.of(0xff, 0x61) });
    expect(toHex(encoded(properties))).toBe(toHex(bytes));
  });

  it('that do not fit are not written', () => {
    expect(() => encoded({ priority: 256 })).toThrow('does not fit octet');
    expect(() => encoded({ messageId: 'x'.repeat(256) })).toThrow('does not fit shortstr');
    expect(() => encoded({ timestamp: -1 })).toThrow('does not fit timestamp');
  });
});

describe('a view of properties', () => {
  it('finds every one by its number, in the middle of other bytes', () => {
    const view = new PropertiesView();
    for (const mask of [0, 1, 0x3fff, 0x2aaa, 0x1555, 1 << PROPERTY_NUMBER.headers]) {
      const properties = some(mask);
      const bytes = Uint8Array.of(1, 2, 3, ...encoded(properties), 9);
      expect(view.reset(bytes, 3, bytes.length - 1)).toBe(true);
      for (const name of names) {
        const number = PROPERTY_NUMBER[name];
        const value = properties[name];
        expect(view.positionOf(number) < 0).toBe(value === undefined);
        if (typeof value === 'string') {
          expect(view.textOf(number)).toBe(value);
          expect(Buffer.from(view.bytesOf(number)!).toString()).toBe(value);
        } else if (name === 'priority' || name === 'deliveryMode') {
          expect(view.octetOf(number)).toBe(value ?? -1);
        } else if (value === undefined) {
          expect(view.textOf(number)).toBe(undefined);
          expect(view.bytesOf(number)).toBe(undefined);
        }
      }
      expect(view.headers()).toEqual(properties.headers);
      expect(view.headersSize).toBe(properties.headers === undefined ? 0 : 4 + 2 + 5 + 1);
    }
  });

  it('has nothing after malformed bytes', () => {
    const view = new PropertiesView();
    const bytes = encoded(ALL);
    expect(view.reset(bytes, 0, bytes.length)).toBe(true);
    expect(view.reset(bytes, 0, bytes.length - 1)).toBe(false);
    for (const name of names) expect(view.positionOf(PROPERTY_NUMBER[name])).toBe(-1);
  });
});
