import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  FRAME_LIMITS,
  FrameReader,
  type SessionFault,
} from '../../../src/protocols/kafka/session.ts';
import { BufferPool } from '../../../src/std/buffer-pool.ts';
import { concatBytes, encodeUtf8, writeU16, writeU32 } from '../../../src/std/bytes.ts';

function frame(key: number, version: number, correlationId: number, rest = 2): Uint8Array {
  const bytes = new Uint8Array(12 + rest);
  writeU32(bytes, 0, 8 + rest);
  writeU16(bytes, 4, key);
  writeU16(bytes, 6, version);
  writeU32(bytes, 8, correlationId);
  return bytes;
}

function faultOf(bytes: Uint8Array): SessionFault | undefined {
  const reader = new FrameReader();
  reader.receive(bytes);
  return reader.fault;
}

function sized(size: number, rest: Uint8Array): Uint8Array {
  const head = new Uint8Array(4);
  writeU32(head, 0, size);
  return concatBytes([head, rest]);
}

describe('FrameReader', () => {
  it('gives the same frames however the bytes are cut', () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 0, max: 300 }), { minLength: 1, maxLength: 8 }),
        fc.array(fc.integer({ min: 1, max: 50 }), { minLength: 1 }),
        (sizes, cuts) => {
          const frames = sizes.map((size, i) => frame(18, 3, i, size));
          const bytes = concatBytes(frames);
          const reader = new FrameReader();
          let at = 0;
          for (let i = 0; at < bytes.length; i += 1) {
            const end = Math.min(bytes.length, at + cuts[i % cuts.length]!);
            const lent = bytes.slice(at, end);
            reader.receive(lent);
            lent.fill(0xdd);
            at = end;
          }
          expect(reader.fault).toBeUndefined();
          for (const each of frames) expect(reader.next()).toEqual(each.subarray(4));
          expect(reader.next()).toBeUndefined();
          expect(reader.bufferedBytes).toBe(0);
        },
      ),
    );
  });

  it('never throws and never holds more than it was sent, for random bytes', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 200 }), { maxLength: 20 }), (chunks) => {
        const reader = new FrameReader();
        let sent = 0;
        for (const chunk of chunks) {
          reader.receive(chunk);
          sent += chunk.length;
          expect(reader.bufferedBytes).toBeLessThanOrEqual(sent);
        }
      }),
      { numRuns: 500 },
    );
  });

  it('refuses sizes that are negative, tiny, or beyond the limit, before it gives them memory', () => {
    for (const size of [-1, 0, 7, 0x7fffffff, 100 * 1024 * 1024 + 1]) {
      expect(faultOf(sized(size, new Uint8Array(0)))?.kind).toBe('not-kafka');
    }
    const later = concatBytes([frame(18, 0, 1), sized(100 * 1024 * 1024 + 1, new Uint8Array(0))]);
    expect(faultOf(later)?.kind).toBe('bad-frame');
    const claim = concatBytes([frame(18, 0, 1), sized(100 * 1024 * 1024, new Uint8Array(100))]);
    const reader = new FrameReader();
    reader.receive(claim);
    expect(reader.fault).toBeUndefined();
    expect(reader.bufferedBytes).toBeLessThan(200);
  });

  it('allocates in proportion to what arrives, not to what is claimed', () => {
    const reader = new FrameReader();
    reader.receive(frame(18, 0, 1));
    reader.next();
    reader.receive(sized(100 * 1024 * 1024, new Uint8Array(0)));
    let sent = 0;
    for (let i = 0; i < 30; i += 1) {
      reader.receive(new Uint8Array(10_000));
      sent += 10_000;
      expect(reader.heldBytes).toBeGreaterThanOrEqual(sent);
      expect(reader.heldBytes).toBeLessThanOrEqual(4 * sent + 65_536);
    }
  });

  it('recognises other protocols by their first bytes', () => {
    const rocketHeader = encodeUtf8(`{"code":105,"language":"JAVA"${' '.repeat(300)}}`);
    const rocket = new Uint8Array(4 + rocketHeader.length);
    writeU32(rocket, 0, rocketHeader.length);
    rocket.set(rocketHeader, 4);
    const cases: [string, Uint8Array][] = [
      ['AMQP', Uint8Array.of(0x41, 0x4d, 0x51, 0x50, 0, 0, 9, 1)],
      ['HTTP', encodeUtf8('GET / HTTP/1.1\r\n')],
      ['HTTP', encodeUtf8('POST /x HTTP/1.1\r\n')],
      ['gRPC', encodeUtf8('PRI * HTTP/2.0\r\n')],
      ['TLS', Uint8Array.of(0x16, 0x03, 0x01, 0x02, 0x00, 0x01)],
      ['SSH', encodeUtf8('SSH-2.0-OpenSSH')],
      ['RocketMQ Remoting', sized(rocket.length, rocket)],
    ];
    for (const [seen, bytes] of cases) {
      expect(faultOf(bytes), seen).toEqual({ kind: 'wrong-protocol', seen });
    }
  });

  it('tells an implausible first request apart before the whole of it is here', () => {
    const claim = frame(18, 0, 1, 1000).subarray(0, 12);
    writeU16(claim, 4, 9999);
    expect(faultOf(claim)?.kind).toBe('not-kafka');
  });

  it('keeps the bytes of a large frame in one array of its own', () => {
    const bytes = frame(0, 9, 1, 300_000);
    const reader = new FrameReader();
    reader.receive(frame(18, 0, 0));
    for (let at = 0; at < bytes.length; at += 65_536) {
      reader.receive(bytes.subarray(at, at + 65_536));
    }
    reader.next();
    const whole = reader.next()!;
    expect(whole.length).toBe(300_008);
    expect(whole.buffer.byteLength).toBe(whole.length);
  });
});

describe('frames in pooled memory', () => {
  for (const size of [20_000, 64_000, 65_536, 70_000, 300_000]) {
    it(`receives a frame of ${size} bytes where the one before was, with its own bytes`, () => {
      const pool = new BufferPool();
      const reader = new FrameReader(FRAME_LIMITS, pool);
      reader.receive(frame(0, 7, 1, size - 8).fill(7, 12));
      const first = reader.next()!;
      expect(first.length).toBe(size);
      pool.give(first);
      reader.receive(frame(0, 7, 2, size - 1008).fill(9, 12));
      const second = reader.next()!;
      expect(second.buffer === first.buffer).toBe(true);
      expect(second.length).toBe(size - 1000);
      expect(second.subarray(8).every((byte) => byte === 9)).toBe(true);
      expect(reader.heldBytes).toBe(0);
    });
  }
});
