// The shared-memory ring alone: a model over random writes, publishes and takes, at both ends of the
// index range. Two real threads are in thread-group.test.ts.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { KIND_TELL } from '../../../src/actors/record.ts';
import {
  CONTROL_LINE_BYTES,
  createRing,
  RING_DATA_AT,
  RingReader,
  RingWriter,
} from '../../../src/actors/threads/ring.ts';
import {
  createSlab,
  SLAB_UNIT_BYTES,
  SlabPool,
  SlabReader,
} from '../../../src/actors/threads/slab-pool.ts';

test('what is taken is what was published, once, in order, across wraps of buffer and index', () => {
  const step = fc.oneof(
    fc.record({ kind: fc.constant('write' as const), size: fc.integer({ min: 8, max: 1000 }) }),
    fc.record({ kind: fc.constant('publish' as const) }),
    fc.record({ kind: fc.constant('take' as const), max: fc.integer({ min: 1, max: 6 }) }),
  );
  const start = fc.constantFrom(0, 0xffff_ff00, 0x7fff_ff00, 4088);
  fc.assert(
    fc.property(start, fc.array(step, { maxLength: 400 }), (startIndex, steps) => {
      const buffer = createRing(4096, startIndex);
      const writer = new RingWriter(buffer);
      const reader = new RingReader(buffer);
      const written: number[] = [];
      let published = 0;
      let taken = 0;
      for (const each of steps) {
        if (each.kind === 'write') {
          const at = writer.reserve(each.size);
          if (at < 0) {
            expect(writer.usedBytes).toBeGreaterThan(4096 - 2 * 1008);
            continue;
          }
          writer.view.setUint32(at, each.size, true);
          writer.view.setUint8(at + 6, KIND_TELL);
          writer.bytes.fill(written.length & 0xff, at + 7, at + each.size);
          writer.commit();
          written.push(each.size);
        } else if (each.kind === 'publish') {
          writer.publish();
          published = written.length;
        } else {
          const chunk = reader.take(each.max);
          if (chunk === undefined) {
            expect(taken).toBe(published);
            continue;
          }
          let at = 0;
          for (let i = 0; i < chunk.count; i += 1) {
            const view = new DataView(chunk.bytes.buffer);
            const size = view.getUint32(at, true);
            expect(size).toBe(written[taken]);
            if (size > 8) expect(chunk.bytes[at + size - 1]).toBe(taken & 0xff);
            at += (size + 7) & ~7;
            taken += 1;
          }
          expect(taken).toBeLessThanOrEqual(published);
        }
      }
      writer.publish();
      for (let chunk = reader.take(9); chunk !== undefined; chunk = reader.take(9)) {
        taken += chunk.count;
      }
      expect(taken).toBe(written.length);
      expect(writer.usedBytes).toBe(0);
    }),
    { numRuns: 200 },
  );
});

test('a bell is due exactly when the consumer had gone to sleep', () => {
  const buffer = createRing(4096);
  const writer = new RingWriter(buffer);
  const reader = new RingReader(buffer);
  const write = () => {
    const at = writer.reserve(8);
    writer.view.setUint32(at, 8, true);
    writer.view.setUint8(at + 6, KIND_TELL);
    writer.commit();
  };
  write();
  expect(writer.publish()).toBe(false);
  expect(reader.sleep()).toBe(false);
  reader.take(9);
  expect(reader.sleep()).toBe(true);
  write();
  write();
  expect(writer.publish()).toBe(true);
  write();
  expect(writer.publish()).toBe(false);
});

test('control words do not share a line', () => {
  expect(CONTROL_LINE_BYTES).toBe(128);
  expect(RING_DATA_AT % CONTROL_LINE_BYTES).toBe(0);
  const control = new Int32Array(createRing(4096, 64), 0, RING_DATA_AT / 4);
  const used = [...control.keys()].filter((word) => control[word] !== 0);
  expect(used).toEqual([0, 32, 128]);
});

test('a slab gives runs, takes them back and refuses what was not taken', () => {
  const pool = new SlabPool(createSlab(4 * SLAB_UNIT_BYTES));
  const first = pool.take(SLAB_UNIT_BYTES + 1);
  const second = pool.take(1);
  expect([first, second, pool.take(2 * SLAB_UNIT_BYTES)]).toEqual([0, 2 * SLAB_UNIT_BYTES, -1]);
  new SlabReader(pool.buffer).release(first);
  expect(pool.take(2 * SLAB_UNIT_BYTES)).toBe(0);
  expect(() => pool.give(3 * SLAB_UNIT_BYTES)).toThrow('taken');
});
