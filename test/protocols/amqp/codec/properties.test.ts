import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  AmqpError,
  type BasicProperties,
  locateProperties,
  PROPERTY_NUMBER,
  type PropertyName,
  propertyFlag,
  scanProperties,
  tableOf,
} from '../../../../src/protocols/amqp/codec/index.ts';
import { ByteWriter, toHex } from '../../../../src/std/bytes.ts';
import { fromHex } from '../../../setup/hex.ts';
import { decodeProperties, encodeProperties } from './all-properties.ts';
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

describe('places of properties', () => {
  it('are found by number, in the middle of other bytes', () => {
    const positions = new Int32Array(names.length);
    for (const mask of [0, 1, 0x3fff, 0x2aaa, 0x1555, 1 << PROPERTY_NUMBER.headers]) {
      const properties = some(mask);
      const bytes = Uint8Array.of(1, 2, 3, ...encoded(properties), 9);
      locateProperties(bytes, 3, positions);
      for (const name of names) {
        const at = positions[PROPERTY_NUMBER[name]];
        const value = properties[name];
        expect(at < 0).toBe(value === undefined);
        if (value === undefined) continue;
        const alone = encoded({ [name]: value }).subarray(2);
        expect(bytes.subarray(at, at + alone.length)).toEqual(alone);
      }
    }
  });
});
