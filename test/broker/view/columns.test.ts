import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { getBits, putBits } from '../../../src/broker/view/bits-codec.ts';
import { DueHeap } from '../../../src/broker/view/due-heap.ts';
import { CONTAINER_OFFSETS, OffsetBits } from '../../../src/broker/view/offset-bits.ts';
import { OffsetTable } from '../../../src/broker/view/offset-table.ts';
import { Runs } from '../../../src/broker/view/runs.ts';
import { ByteReader, ByteWriter, equalBytes } from '../../../src/std/bytes.ts';

/** Above 2^32, so that nothing works by accident in 32 bits. */
const BASE = 2 ** 33 - 300;
const offset = fc.integer({ min: 0, max: 600 }).map((low) => BASE + low);
const range = fc
  .tuple(offset, fc.constantFrom(0, 1, 5, 40, 300, 600, CONTAINER_OFFSETS))
  .map(([from, size]) => [from, from + size] as const);

type Step =
  | { readonly op: 'add' | 'delete'; readonly at: number }
  | { readonly op: 'addRange' | 'deleteRange'; readonly range: readonly [number, number] };

const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({ op: fc.constantFrom('add', 'delete'), at: offset }) as fc.Arbitrary<Step>,
  fc.record({ op: fc.constantFrom('addRange', 'deleteRange'), range }) as fc.Arbitrary<Step>,
);

function play(steps: readonly Step[]): { bits: OffsetBits; model: Set<number> } {
  const bits = new OffsetBits();
  const model = new Set<number>();
  for (const each of steps) {
    if ('at' in each) {
      if (each.op === 'delete') expect(bits.delete(each.at)).toBe(model.delete(each.at));
      else expect(bits.add(each.at)).toBe(!model.has(each.at));
      if (each.op === 'add') model.add(each.at);
    } else {
      const [from, to] = each.range;
      const before = model.size;
      if (each.op === 'addRange') {
        for (let at = from; at < to; at += 1) model.add(at);
        expect(bits.addRange(from, to)).toBe(model.size - before);
      } else {
        for (let at = from; at < to; at += 1) model.delete(at);
        bits.deleteRange(from, to);
      }
    }
    expect(bits.count).toBe(model.size);
  }
  return { bits, model };
}

describe('a set of offsets', () => {
  it('is what a set of numbers is, over the edges of containers and through full ones', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 12 }), offset, (steps, from) => {
        const { bits, model } = play(steps);
        const sorted = [...model].sort((a, b) => a - b);
        const to = from + 400;
        expect(bits.nextSet(from, to)).toBe(sorted.find((at) => at >= from && at < to) ?? -1);
        let clear = from;
        while (model.has(clear)) clear += 1;
        expect(bits.nextClear(from)).toBe(clear);
        expect(bits.has(from)).toBe(model.has(from));
        for (const end of [from, from + 1, to, from + 2 * CONTAINER_OFFSETS]) {
          expect(bits.countIn(from, end)).toBe(
            sorted.filter((at) => at >= from && at < end).length,
          );
        }
      }),
      { numRuns: 60 },
    );
  });

  it('comes back from its bytes, which do not depend on how it came to be', () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 8 }), (steps) => {
        const { bits, model } = play(steps);
        const bytes = bytesOf(bits);
        const afresh = new OffsetBits();
        for (const at of [...model].reverse()) afresh.add(at);
        expect(equalBytes(bytesOf(afresh), bytes)).toBe(true);
        const back = new OffsetBits();
        getBits(new ByteReader(bytes), back);
        expect(back.count).toBe(model.size);
        expect(equalBytes(bytesOf(back), bytes)).toBe(true);
      }),
      { numRuns: 40 },
    );
  });

  it('takes no more bytes than it needs: full containers none, few runs few, many a bitmap', () => {
    const bits = new OffsetBits();
    bits.addRange(0, 10 * CONTAINER_OFFSETS);
    expect(bytesOf(bits).length).toBe(1 + 10 * 2);
    for (let at = 0; at < CONTAINER_OFFSETS; at += 3) bits.delete(at);
    expect(bytesOf(bits).length).toBe(1 + 2 + 8_192 + 9 * 2);
    const back = new OffsetBits();
    getBits(new ByteReader(bytesOf(bits)), back);
    expect([back.count, back.has(0), back.has(1), back.has(3)]).toEqual([
      bits.count,
      false,
      true,
      false,
    ]);
  });
});

describe('a table of offsets', () => {
  it('is what a map is', () => {
    const change = fc.record({ at: offset, value: fc.integer({ min: -5, max: 5 }) });
    fc.assert(
      fc.property(fc.array(change, { maxLength: 400 }), (changes) => {
        const table = new OffsetTable();
        const model = new Map<number, number>();
        for (const { at, value } of changes) {
          if (value < 0) {
            table.delete(at);
            model.delete(at);
          } else {
            table.set(at, value);
            model.set(at, value);
          }
        }
        expect(table.size).toBe(model.size);
        for (let at = BASE; at <= BASE + 600; at += 1) {
          expect(table.get(at, -7)).toBe(model.get(at) ?? -7);
        }
        expect([...table.sortedOffsets()]).toEqual([...model.keys()].sort((a, b) => a - b));
      }),
      { numRuns: 60 },
    );
  });

  it('grows and shrinks, and stays right', () => {
    const table = new OffsetTable();
    for (let i = 0; i < 50_000; i += 1) table.set(i * 7, i);
    for (let i = 0; i < 49_990; i += 1) table.delete(i * 7);
    expect(table.size).toBe(10);
    for (let i = 49_990; i < 50_000; i += 1) expect(table.get(i * 7, -1)).toBe(i);
  });
});

describe('a heap of slots', () => {
  it('lets them go in the order of their times, then of their numbers', () => {
    const change = fc.record({
      slot: fc.integer({ min: 0, max: 60 }),
      dueMs: fc.integer({ min: -3, max: 20 }),
    });
    fc.assert(
      fc.property(fc.array(change, { maxLength: 120 }), (changes) => {
        const heap = new DueHeap();
        const model = new Map<number, number>();
        for (const { slot, dueMs } of changes) {
          if (dueMs < 0) {
            heap.delete(slot);
            model.delete(slot);
          } else {
            heap.set(slot, dueMs);
            model.set(slot, dueMs);
          }
          expect(heap.size).toBe(model.size);
        }
        const order = [...model].sort((a, b) => a[1] - b[1] || a[0] - b[0]);
        expect(heap.firstDueMs).toBe(order[0]?.[1]);
        const left: number[] = [];
        for (let slot = heap.take(15); slot >= 0; slot = heap.take(15)) left.push(slot);
        expect(left).toEqual(order.filter(([, dueMs]) => dueMs <= 15).map(([slot]) => slot));
      }),
      { numRuns: 200 },
    );
  });
});

describe('runs', () => {
  it('join neighbours that are alike, and nothing else', () => {
    const runs = new Runs();
    runs.add(5, 2, 10);
    runs.add(7, 3, 12);
    expect([runs.size, runs.total]).toEqual([1, 5]);
    runs.add(10, 1, 16);
    runs.add(12, 1, 17);
    runs.add(13, 1, 18, 1);
    runs.add(14, 1, 19, 1, 1);
    expect([runs.size, runs.total]).toEqual([5, 9]);
    runs.clear();
    runs.add(0, 2, 0);
    runs.add(2, 2, 0);
    runs.add(4, 2, 1);
    expect([...runs.count.subarray(0, runs.size)]).toEqual([4, 2]);
    for (let i = 0; i < 100; i += 1) runs.add(1_000 + 2 * i, 1, 0);
    expect([runs.size, runs.offset[101]]).toEqual([102, 1_198]);
  });
});

function bytesOf(bits: OffsetBits): Uint8Array {
  const out = new ByteWriter(64);
  putBits(out, bits);
  return out.toBytes();
}
