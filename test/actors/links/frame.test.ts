// The bytes of a link: whatever the network does with the boundaries, records come out as they went in;
// whatever a stranger sends ends in a FrameError, never in another exception or a wrong record.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { createSystem } from '../../../src/actors/index.ts';
import {
  FrameError,
  FrameReader,
  FrameWriter,
  LARGE_RECORD_BYTES,
  RecordAssembler,
} from '../../../src/actors/links/frame.ts';
import {
  ANSWER_BYTES,
  decodeAnswer,
  decodeGreeting,
  encodeAnswer,
  encodeGreeting,
  GREETING_BYTES,
  NONCE_BYTES,
  PROOF_BYTES,
} from '../../../src/actors/links/handshake.ts';
import { RECORD_HEADER_BYTES } from '../../../src/actors/record.ts';
import { manualEnvironment } from '../../../src/actors/testkit/manual-environment.ts';
import { BufferPool } from '../../../src/std/buffer-pool.ts';
import { concatBytes, equalBytes } from '../../../src/std/bytes.ts';
import { crc32c } from '../../../src/std/crc32c.ts';

/** A record of that payload size, filled so that its place can be recognised. */
function recordOf(size: number, fill: number): Uint8Array {
  const record = new Uint8Array(RECORD_HEADER_BYTES + size).fill(fill);
  new DataView(record.buffer).setUint32(0, record.length, true);
  return record;
}

function lay(writer: FrameWriter, records: readonly Uint8Array[]): Uint8Array {
  for (const record of records) {
    const isLarge = record.length >= LARGE_RECORD_BYTES;
    const at = isLarge ? writer.reserveLarge(record.length) : writer.reserve(record.length);
    writer.bytes.set(record, at);
    if (isLarge) writer.largeWritten(at, record.length);
  }
  const pieces: Uint8Array[] = [];
  writer.flush((bytes, written) => {
    pieces.push(bytes.slice());
    written();
  });
  return concatBytes(pieces);
}

function write(records: readonly Uint8Array[], pool = new BufferPool()): Uint8Array {
  return lay(new FrameWriter(crc32c, pool), records);
}

/** The records in the stream; their memory goes back to the pool as after a handler. */
function read(pieces: readonly Uint8Array[], pool = new BufferPool()): Uint8Array[] {
  const records: Uint8Array[] = [];
  const assembler = new RecordAssembler(pool);
  const reader = new FrameReader(crc32c, pool, (_kind, payload) =>
    assembler.push(payload, ({ bytes, at, length, isAlone }) => {
      records.push(bytes.slice(at, at + length));
      if (isAlone) pool.give(bytes);
    }),
  );
  for (const piece of pieces) reader.push(piece);
  return records;
}

function cut(bytes: Uint8Array, cuts: readonly number[]): Uint8Array[] {
  const at = [...new Set(cuts.map((each) => each % (bytes.length + 1)))].sort((a, b) => a - b);
  const ends = [...at, bytes.length];
  return ends.map((end, i) => bytes.subarray(i === 0 ? 0 : ends[i - 1], end));
}

const sizes = fc.array(
  fc.oneof(
    fc.integer({ min: 0, max: 300 }),
    fc.constantFrom(16_343, 16_344, 65_456, 65_496, 65_536, 200_000, 1_048_536, 2_500_000),
  ),
  { minLength: 1, maxLength: 8 },
);

test('records come out as they went in, wherever the stream is cut', () => {
  fc.assert(
    fc.property(sizes, fc.array(fc.nat(), { maxLength: 20 }), (lengths, cuts) => {
      const records = lengths.map((size, i) => recordOf(size, i + 1));
      // One pool for both sides, as in a node, with what earlier records left in its memory.
      const pool = new BufferPool();
      read([write([recordOf(300_000, 99), recordOf(70_000, 98)], pool)], pool);
      const arrived = read(cut(write(records, pool), cuts), pool);
      expect(arrived.map((each) => each.length)).toEqual(records.map((each) => each.length));
      // The matcher of the test runner takes seconds for arrays of this size.
      expect(arrived.every((each, i) => equalBytes(each, records[i]!))).toBe(true);
    }),
    { numRuns: 40 },
  );
});

test('a record that could not be encoded leaves nothing behind', () => {
  const writer = new FrameWriter(crc32c, new BufferPool());
  writer.reserveLarge(100_000);
  writer.drop(writer.reserve(300));
  expect(writer.totalBytes).toBe(0);
  const records = [recordOf(100, 1), recordOf(20_000, 2), recordOf(200, 3)];
  const bytes = lay(writer, records);
  expect(read([bytes]).every((each, i) => equalBytes(each, records[i]!))).toBe(true);
});

test('large records go around in the same memory', () => {
  const pool = new BufferPool();
  const round = () => read([write([recordOf(70_000, 1), recordOf(500_000, 2)], pool)], pool);
  round();
  const { idleBytes } = pool;
  expect(idleBytes).toBeGreaterThan(500_000);
  for (let i = 0; i < 10; i += 1) expect(round()).toHaveLength(2);
  expect(pool.idleBytes).toBe(idleBytes);
});

test('a flipped bit is found', () => {
  const bytes = write([recordOf(20, 1), recordOf(500, 2)]);
  fc.assert(
    fc.property(fc.nat(bytes.length * 8 - 1), (bit) => {
      const broken = bytes.slice();
      broken[bit >> 3]! ^= 1 << (bit & 7);
      let records: Uint8Array[] = [];
      try {
        records = read([broken]);
      } catch (error) {
        expect(error).toBeInstanceOf(FrameError);
      }
      // A longer length waits for bytes that never come, and the kind is not part of the checksum.
      expect(records.length === 0 || (bit >> 3) % 12 >= 8).toBe(true);
    }),
  );
});

test('random bytes end in a FrameError or wait for more', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      try {
        expect(read([bytes])).toEqual([]);
      } catch (error) {
        expect(error).toBeInstanceOf(FrameError);
      }
    }),
  );
});

test('a frame with a right checksum around nonsense is refused too', () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 1, maxLength: 100 }), (payload) => {
      const frame = new Uint8Array(12 + payload.length);
      const view = new DataView(frame.buffer);
      view.setUint32(0, payload.length, true);
      view.setUint32(4, crc32c(payload), true);
      view.setUint32(8, 1, true);
      frame.set(payload, 12);
      const length =
        payload.length < 4 ? 0 : new DataView(payload.slice().buffer).getUint32(0, true);
      if (length >= RECORD_HEADER_BYTES && length <= payload.length) return;
      expect(() => read([frame])).toThrow(FrameError);
    }),
  );
});

test('no record, however malformed, makes the runtime throw', () => {
  const env = manualEnvironment(1);
  const system = createSystem(env, {
    name: 'fuzz',
    node: 1,
    incarnation: 1,
    thread: 0,
    threadCount: 2,
  });
  env.run();
  const header = fc.tuple(
    fc.nat(0xffff),
    fc.nat(12),
    fc.nat(255),
    fc.array(fc.oneof(fc.nat(0xffff_ffff), fc.constantFrom(1, 255, 0)), {
      minLength: 8,
      maxLength: 8,
    }),
  );
  fc.assert(
    fc.property(header, fc.uint8Array({ maxLength: 60 }), ([code, kind, flags, words], payload) => {
      const record = new Uint8Array(RECORD_HEADER_BYTES + payload.length);
      const view = new DataView(record.buffer);
      view.setUint32(0, record.length, true);
      view.setUint32(4, code % 8, true);
      record[6] = kind;
      record[7] = flags;
      words.forEach((word, i) => void view.setUint32(8 + i * 4, word, true));
      // Half of the records are addressed to somebody: the runtime's own actor.
      if (code % 2 === 0) {
        view.setUint32(8, 1, true);
        view.setUint32(12, 1, true);
        view.setUint32(16, 255, true);
        view.setUint32(20, 0, true);
      }
      record.set(payload, RECORD_HEADER_BYTES);
      system.inbound.receive(view, 0, record, RECORD_HEADER_BYTES, record.length);
      env.run();
    }),
    { numRuns: 2_000 },
  );
  expect(system.actorTree().map((each) => each.path)).toContain('/runtime');
});

test('greeting and answer say what they were given, and strangers are bad', () => {
  const greeting = {
    clusterId: 'c-ü',
    fromNode: 0xffff_ffff,
    fromIncarnation: 2,
    fromThread: 255,
    toNode: 3,
    toThread: 4,
    lane: 1,
    protocolsHash: 0xdead_beef,
    epoch: 9,
    nonce: new Uint8Array(NONCE_BYTES).map((_, i) => i + 1),
  } as const;
  const bytes = encodeGreeting(greeting);
  expect(bytes.length).toBe(GREETING_BYTES);
  expect(decodeGreeting(bytes)).toEqual({ kind: 'ok', value: greeting });
  const listening = { ...greeting, listensAt: { host: 'node-2.example', port: 9_292 } };
  expect(decodeGreeting(encodeGreeting(listening))).toEqual({ kind: 'ok', value: listening });
  const long = { ...greeting, listensAt: { host: 'h'.repeat(47), port: 1 } };
  const where = { host: '', port: 1 };
  expect(decodeGreeting(encodeGreeting(long))).toMatchObject({ value: { listensAt: where } });
  expect(() => encodeGreeting({ ...greeting, clusterId: 'c'.repeat(41) })).toThrow('cluster id');
  const old = bytes.slice();
  old[4] = 9;
  expect(decodeGreeting(old)).toEqual({ kind: 'bad', reason: 'link version 9 there, 2 here' });
  const twiceProof = new Uint8Array(PROOF_BYTES).fill(5);
  const refused = encodeAnswer({ kind: 'refused', twiceProof, reason: 'ü'.repeat(500) });
  expect(refused.length).toBe(ANSWER_BYTES);
  expect(decodeAnswer(refused)).toMatchObject({
    kind: 'ok',
    value: { kind: 'refused', twiceProof },
  });
  const plain = encodeAnswer({ kind: 'refused', twiceProof: undefined, reason: 'no' });
  expect(decodeAnswer(plain)).toEqual({
    kind: 'ok',
    value: { kind: 'refused', twiceProof: undefined, reason: 'no', why: 'other' },
  });
  fc.assert(
    fc.property(
      fc.uint8Array({ minLength: GREETING_BYTES, maxLength: GREETING_BYTES }),
      (noise) => {
        expect(decodeGreeting(noise).kind).toBe('bad');
      },
    ),
  );
});
