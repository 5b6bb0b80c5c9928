import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isGrpcContent, percentEncoded, timeoutMsOf } from '../../../src/env/node/grpc-headers.ts';
import { framed, MessageReader } from '../../../src/env/node/grpc-messages.ts';

const LIMIT = 1024 * 1024;

describe('messages out of chunks', () => {
  it('come whole and in order, however they are cut', () => {
    const random = fc.property(
      fc.array(fc.uint8Array({ maxLength: 500 }), { maxLength: 10 }),
      fc.array(fc.integer({ min: 1, max: 400 }), { minLength: 1 }),
      (messages, cuts) => {
        const received: Uint8Array[] = [];
        const reader = new MessageReader('', LIMIT, (message) => received.push(message.slice()));
        const all = Buffer.concat(messages.map(framed));
        let at = 0;
        for (let i = 0; at < all.length; i += 1) {
          const end = Math.min(all.length, at + cuts[i % cuts.length]!);
          reader.receive(all.subarray(at, end));
          at = end;
        }
        expect(received).toEqual(messages);
        expect(reader.isBetween).toBe(true);
        expect(reader.heldBytes).toBe(0);
      },
    );
    fc.assert(random);
  });

  it('of random bytes are messages, a fault, or nothing yet, and memory follows what was sent', () => {
    const random = fc.property(fc.array(fc.uint8Array({ maxLength: 300 })), (chunks) => {
      const reader = new MessageReader('gzip', LIMIT, () => undefined);
      let sent = 0;
      for (const chunk of chunks) {
        reader.receive(chunk);
        sent += chunk.length;
        expect(reader.heldBytes).toBeLessThanOrEqual(2 * sent + 16 * 1024);
      }
    });
    fc.assert(random, { numRuns: 500 });
  });

  it('that claim much are given memory as they come', () => {
    const reader = new MessageReader('', LIMIT, () => undefined);
    reader.receive(new Uint8Array([0, 0, 0x10, 0, 0]));
    expect(reader.heldBytes).toBe(0);
    reader.receive(new Uint8Array(100));
    expect(reader.heldBytes).toBe(16 * 1024);
    reader.receive(new Uint8Array(500_000));
    expect(reader.heldBytes).toBeLessThan(600_000);
  });

  it('behind a fault are not read', () => {
    const received: Uint8Array[] = [];
    const reader = new MessageReader('', LIMIT, (message) => received.push(message));
    reader.receive(Buffer.concat([framed(new Uint8Array(1)), new Uint8Array([7, 0, 0, 0, 1, 1])]));
    reader.receive(framed(new Uint8Array(2)));
    expect(received).toHaveLength(1);
    expect(reader.fault?.status).toBe(13);
  });
});

describe('headers', () => {
  it.each([
    [undefined, Number.POSITIVE_INFINITY],
    ['1H', 3_600_000],
    ['2M', 120_000],
    ['3S', 3000],
    ['29999999m', 29_999_999],
    ['5000u', 5],
    ['99999999n', 99.999999],
    ['', undefined],
    ['S', undefined],
    ['-1S', undefined],
    ['1.5S', undefined],
    ['123456789S', undefined],
    ['1s', undefined],
  ])('a timeout of %s is %s ms', (header, timeoutMs) => {
    const read = timeoutMsOf(header);
    if (timeoutMs === undefined) expect(read).toBe(undefined);
    else expect(read).toBeCloseTo(timeoutMs, 6);
  });

  it('a content type is gRPC by its beginning', () => {
    for (const type of ['application/grpc', 'application/grpc+proto', 'application/grpc;x=1']) {
      expect(isGrpcContent(type)).toBe(true);
    }
    for (const type of [undefined, '', 'application/grpc-web', 'text/html']) {
      expect(isGrpcContent(type)).toBe(false);
    }
  });

  it('a status text is printable ASCII on the wire', () => {
    expect(percentEncoded('plain ~ text')).toBe('plain ~ text');
    expect(percentEncoded('100%\n')).toBe('100%25%0A');
    expect(percentEncoded('ü')).toBe('%C3%BC');
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme', maxLength: 100 }), (text) => {
        const encoded = percentEncoded(text);
        expect(encoded).toMatch(/^[ -~]*$/);
        expect(decodeURIComponent(encoded)).toBe(text);
      }),
    );
  });
});
