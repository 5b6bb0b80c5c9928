// What a peer can make the reader hold and make, counted.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  BufferPool,
  ENTRY_INTS,
  FrameReader,
  METHOD_CODECS,
  OP_ACK,
  OP_PUBLISH,
  READER_LIMITS,
  SOURCE,
  Tape,
} from '../../../../src/protocols/amqp/codec/index.ts';
import { defs, publishFrames } from './amqplib.ts';
import { entriesOf, OPENING, openReader, TestReader } from './tape-reader.ts';

/** A pool that counts, and that shows whether somebody used a buffer after giving it back. */
class CountingPool extends BufferPool {
  taken = 0;
  outstandingBytes = 0;

  override take(size: number): Uint8Array {
    const idle = this.takeIdle(size);
    if (idle !== undefined) return idle;
    return this.#counted(super.take(size));
  }

  override takeIdle(size: number): Uint8Array | undefined {
    const buffer = super.takeIdle(size);
    return buffer === undefined ? undefined : this.#counted(buffer);
  }

  #counted(buffer: Uint8Array): Uint8Array {
    this.taken += 1;
    this.outstandingBytes += buffer.length;
    return buffer;
  }

  override give(buffer: Uint8Array): void {
    this.outstandingBytes -= buffer.length;
    buffer.fill(0xdd);
    super.give(buffer);
  }
}

function counted(): { pool: CountingPool; tape: Tape; reader: FrameReader } {
  const pool = new CountingPool();
  const tape = new Tape(pool);
  const reader = new FrameReader(tape);
  reader.receive(OPENING);
  tape.release();
  pool.taken = 0;
  return { pool, tape, reader };
}

const FIELDS = { exchange: 'ex', routingKey: 'key' };
const small = publishFrames(1, FIELDS, { deliveryMode: 2 }, Buffer.from('hello'));
const ack = defs.encodeMethod(METHOD_CODECS['basic.ack'].id, 1, { deliveryTag: 1 });

describe('the hot path', () => {
  it('makes integers and nothing else of publishes and acknowledgements', () => {
    const { pool, tape, reader } = counted();
    const count = 500;
    reader.receive(Buffer.concat(Array.from({ length: count }, () => [small, ack]).flat()));
    expect(tape.size).toBe(count * (ENTRY_INTS[OP_PUBLISH] + ENTRY_INTS[OP_ACK]));
    for (let at = 0; at < tape.size; at += ENTRY_INTS[tape.ints[at]]) {
      if (tape.ints[at] === OP_PUBLISH) expect(tape.ints[at + SOURCE]).toBe(0);
    }
    expect(pool.taken).toBe(0);
    // The first object that is kept would be number 0.
    expect(tape.keep({ seen: 'unknown', answer: small })).toBe(0);
    expect(() => tape.bytesOf(1)).toThrow('a source that is not there');
  });

  it('copies only the message that a chunk cuts', () => {
    const { pool, tape, reader } = counted();
    const stream = Buffer.concat(Array.from({ length: 1000 }, () => small));
    const chunkBytes = 4096 + 1;
    let messages = 0;
    for (let at = 0; at < stream.length; at += chunkBytes) {
      reader.receive(stream.subarray(at, at + chunkBytes));
      messages += entriesOf(tape).filter((entry) => entry.op === 'publish').length;
    }
    expect(messages).toBe(1000);
    const cuts = Math.floor(stream.length / chunkBytes);
    // One buffer for the cut frame and one for its message.
    expect(pool.taken).toBeLessThanOrEqual(2 * cuts);
    tape.release();
    expect(pool.outstandingBytes).toBe(0);
  });

  it('copies a large body once, into memory that is used again', () => {
    const { pool, tape, reader } = counted();
    const body = Buffer.alloc(1_000_000, 'x');
    const stream = publishFrames(1, FIELDS, {}, body, 131_064);
    for (let turn = 0; turn < 20; turn += 1) {
      for (let at = 0; at < stream.length; at += 65_536) {
        reader.receive(stream.subarray(at, at + 65_536));
      }
      expect(entriesOf(tape)).toMatchObject([{ op: 'publish', body: body.toString() }]);
      tape.release();
      // The first grows in powers of two from 1 KiB; the others find a buffer that is large enough. One more is
      // for the names, before the header has come. Body frames are never carried.
      expect(pool.taken).toBeLessThanOrEqual(11 + 2 * (turn + 1));
      expect(pool.outstandingBytes).toBe(0);
    }
    expect(pool.idleBytes).toBeLessThanOrEqual(4 * 1024 * 1024);
  });

  it('gives a tape that grew very large back', () => {
    const { tape, reader } = counted();
    reader.receive(Buffer.concat(Array.from({ length: 100_000 }, () => ack)));
    expect(tape.ints.length).toBeGreaterThan(100_000);
    tape.release();
    expect(tape.ints.length).toBeLessThanOrEqual(1024);
  });
});

describe('what is held for a peer', () => {
  it('follows what it has sent, not what it claims', () => {
    const body = Buffer.alloc(16 * 1024 * 1024);
    const large = publishFrames(1, FIELDS, {}, body, 131_064);
    const { reader } = openReader();
    const sizes = [small.length - 20, 100, 1000, 10_000, 100_000, 1_000_000];
    for (let i = 0, at = 0; i < sizes.length; i += 1) {
      const end = at + sizes[i];
      reader.receive(large.subarray(at, end));
      expect(reader.heldBytes).toBeLessThanOrEqual(2048 + 4 * end);
      at = end;
    }
    const method = Buffer.from('010001000200000032000a', 'hex');
    const { reader: second } = openReader().receive(method);
    expect(second.heldBytes).toBeLessThanOrEqual(1024);
  });

  it('ends at a limit, which closes the connection', () => {
    const limits = { ...READER_LIMITS, heldBytesMax: 1024 * 1024 };
    const test = openReader({ limits });
    for (let channel = 1; test.entries.length === 0; channel += 1) {
      expect(channel).toBeLessThan(100);
      // All frames but the last.
      const whole = publishFrames(channel, FIELDS, {}, Buffer.alloc(60_000), 20_000);
      test.receive(whole.subarray(0, -20_008));
      expect(test.reader.heldBytes).toBeLessThanOrEqual(limits.heldBytesMax);
    }
    expect(test.entries).toMatchObject([
      {
        op: 'fault',
        code: 506,
        text: 'RESOURCE_ERROR - unfinished messages of this connection exceed 1048576 bytes',
      },
    ]);
    expect(test.reader.heldBytes).toBe(0);
  });

  it('counts channels that only begin messages', () => {
    const test = openReader({ limits: { ...READER_LIMITS, heldBytesMax: 64 * 1024 } });
    for (let channel = 1; channel < 65_536 && test.entries.length === 0; channel += 1) {
      test.receive(defs.encodeMethod(METHOD_CODECS['basic.publish'].id, channel, FIELDS));
      expect(test.reader.heldBytes).toBeLessThanOrEqual(64 * 1024);
    }
    expect(test.entries).toMatchObject([
      {
        op: 'fault',
        code: 506,
        text: 'RESOURCE_ERROR - unfinished messages of this connection exceed 65536 bytes',
      },
    ]);
    expect(test.reader.heldBytes).toBe(0);
  });

  it('is given back when the connection is gone', () => {
    const { pool, tape, reader } = counted();
    const whole = publishFrames(1, FIELDS, {}, Buffer.alloc(3000), 1000);
    reader.receive(whole.subarray(0, 1500));
    reader.receive(
      defs.encodeMethod(METHOD_CODECS['queue.declare'].id, 2, { queue: 'q' }).subarray(0, 20),
    );
    expect(pool.outstandingBytes).toBeGreaterThan(0);
    reader.end();
    tape.release();
    expect(pool.outstandingBytes).toBe(0);
  });
});

describe('what is dropped', () => {
  const whole = publishFrames(1, FIELDS, { headers: { a: 'x'.repeat(3000) } }, Buffer.alloc(3000));
  const headAt = defs.encodeMethod(METHOD_CODECS['basic.publish'].id, 1, FIELDS).length;

  it('is never held: content of a closed channel, all that comes after the end', () => {
    for (const cut of [headAt + 20, headAt + 2000, whole.length - 1000]) {
      const closed = openReader();
      closed.reader.closeChannel(1);
      closed.receive(whole.subarray(headAt, cut));
      expect(closed.reader.heldBytes).toBe(0);
      const ended = openReader().receive(whole.subarray(0, cut));
      expect(ended.reader.heldBytes).toBeGreaterThan(0);
      ended.reader.end();
      ended.receive(whole.subarray(cut, cut + 9));
      expect(ended.reader.heldBytes).toBe(0);
      ended.receive(whole.subarray(cut + 9), whole);
      expect(ended.entries).toEqual([]);
    }
  });
});

describe('a pool', () => {
  it('keeps 8 MiB at most, and no buffer above 4 MiB', () => {
    const pool = new BufferPool();
    for (const size of [5_000_000, 8_000_000]) {
      const buffer = pool.take(size);
      expect(buffer).toHaveLength(size);
      pool.give(buffer);
      expect(pool.idleBytes).toBe(0);
    }
    const taken = Array.from({ length: 40 }, () => pool.take(1_000_000));
    for (const buffer of taken) pool.give(buffer);
    expect(pool.idleBytes).toBe(8 * 1024 * 1024);
    expect(taken).toContain(pool.take(600_000));
    expect(pool.takeIdle(100)).toBe(undefined);
    expect(pool.take(1)).toHaveLength(1024);
  });
});

describe('bytes that nobody should send', () => {
  /** Never throws, ends in at most one error per channel, holds little, makes little. */
  function feed(chunks: readonly Uint8Array[], isOpen: boolean): string[] {
    const pool = new CountingPool();
    const tape = new Tape(pool);
    const reader = new FrameReader(tape);
    if (isOpen) reader.receive(OPENING);
    const ops: string[] = [];
    let received = 0;
    for (const chunk of chunks) {
      reader.receive(chunk);
      received += chunk.length;
      expect(tape.size).toBeLessThanOrEqual(3 * chunk.length + 16);
      ops.push(...entriesOf(tape).map((entry) => entry.op));
      expect(pool.outstandingBytes).toBeLessThanOrEqual(4096 + 4 * received);
      tape.release();
    }
    reader.end();
    tape.release();
    expect(pool.outstandingBytes).toBe(0);
    return ops;
  }

  const stream = Buffer.concat([
    publishFrames(1, FIELDS, { headers: { a: [1, 'b', { c: null }] } }, Buffer.from('hello'), 2),
    defs.encodeMethod(METHOD_CODECS['queue.declare'].id, 1, { queue: 'q', arguments: { x: 1 } }),
    small,
    ack,
    publishFrames(2, FIELDS, {}, Buffer.alloc(0)),
  ]);

  it('of any kind are errors at most', () => {
    fc.assert(
      fc.property(
        fc.array(fc.uint8Array({ maxLength: 80 }), { maxLength: 4 }),
        fc.boolean(),
        (chunks, isOpen) => {
          feed(chunks, isOpen);
        },
      ),
      { numRuns: 2000 },
    );
  });

  it('made from good ones are errors at most', () => {
    const seen = new Set<string>();
    const change = fc.tuple(fc.nat(stream.length - 1), fc.nat(255));
    fc.assert(
      fc.property(
        fc.array(change, { minLength: 1, maxLength: 4 }),
        fc.nat(stream.length),
        fc.nat(40),
        (changes, cut, lost) => {
          const bytes = Buffer.from(stream);
          for (const [at, byte] of changes) bytes[at] = byte;
          for (const op of feed([bytes.subarray(0, cut), bytes.subarray(cut + lost)], true))
            seen.add(op);
        },
      ),
      { numRuns: 3000 },
    );
    expect([...seen].sort()).toEqual(expect.arrayContaining(['ack', 'fault', 'method', 'publish']));
  });

  it('are nothing to a client either', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), (bytes) => {
        new TestReader({ peer: 'server' }).receive(bytes);
      }),
    );
  });
});
