import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { BitSet } from '../../src/std/bitset.ts';
import { Heap } from '../../src/std/heap.ts';
import { RingQueue } from '../../src/std/ring-queue.ts';

describe('Heap', () => {
  it('pops like a stable sort, with pops between pushes', () => {
    const steps = fc.array(fc.oneof(fc.record({ key: fc.nat(5) }), fc.constant('pop' as const)));
    fc.assert(
      fc.property(steps, (script) => {
        const heap = new Heap<{ key: number; id: number }>((a, b) => a.key - b.key);
        const model: { key: number; id: number }[] = [];
        script.forEach((step, id) => {
          if (step === 'pop') {
            const expected = model.shift();
            expect(heap.peek()).toEqual(expected);
            expect(heap.pop()).toEqual(expected);
          } else {
            heap.push({ key: step.key, id });
            const at = model.findIndex((item) => item.key > step.key);
            model.splice(at < 0 ? model.length : at, 0, { key: step.key, id });
          }
          expect(heap.size).toBe(model.length);
        });
      }),
    );
  });

  it('retain keeps the order of what stays', () => {
    const heap = new Heap<[number, string]>((a, b) => a[0] - b[0]);
    for (const item of [
      [2, 'a'],
      [1, 'b'],
      [2, 'c'],
      [1, 'd'],
    ] as [number, string][])
      heap.push(item);
    heap.retain((item) => item[1] !== 'b');
    expect([heap.pop()?.[1], heap.pop()?.[1], heap.pop()?.[1], heap.pop()]).toEqual([
      'd',
      'a',
      'c',
      undefined,
    ]);
  });
});

describe('RingQueue', () => {
  it('behaves like an array through wrap-around and growth', () => {
    const step = fc.oneof(
      { weight: 4, arbitrary: fc.constant('push') },
      { weight: 2, arbitrary: fc.constant('shift') },
      fc.constant('unshift'),
      fc.constant('pop'),
      fc.constant('compact'),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 200 }), (script) => {
        const queue = new RingQueue<number>();
        const model: number[] = [];
        script.forEach((name, i) => {
          if (name === 'push') {
            queue.push(i);
            model.push(i);
          } else if (name === 'unshift') {
            queue.unshift(i);
            model.unshift(i);
          } else if (name === 'shift') expect(queue.shift()).toBe(model.shift());
          else if (name === 'pop') expect(queue.pop()).toBe(model.pop());
          else queue.compact();
          expect(queue.size).toBe(model.length);
          expect(queue.peek()).toBe(model[0]);
        });
        expect([...queue]).toEqual(model);
        queue.clear();
        expect([queue.size, queue.shift()]).toEqual([0, undefined]);
      }),
    );
  });

  it('at refuses an index that holds nothing', () => {
    expect(() => new RingQueue<number>().at(0)).toThrow('out of range');
  });
});

describe('BitSet', () => {
  it('behaves like a Set of integers', () => {
    const bit = fc.nat(300);
    const step = fc.oneof(
      fc.record({ op: fc.constant('set' as const), a: bit, b: bit }),
      fc.record({ op: fc.constant('delete' as const), a: bit, b: bit }),
      fc.record({ op: fc.constant('range' as const), a: bit, b: bit }),
      fc.record({ op: fc.constant('drop' as const), a: fc.nat(3), b: bit }),
    );
    fc.assert(
      fc.property(fc.array(step), bit, (script, probe) => {
        const bits = new BitSet(1);
        let model = new Set<number>();
        for (const { op, a, b } of script) {
          if (op === 'set') {
            bits.set(a);
            model.add(a);
          }
          if (op === 'delete') {
            bits.delete(a);
            model.delete(a);
          }
          if (op === 'range') {
            bits.setRange(a, b);
            for (let i = a; i < b; i += 1) model.add(i);
          }
          if (op === 'drop') {
            bits.dropWords(a);
            model = new Set([...model].map((n) => n - 32 * a).filter((n) => n >= 0));
          }
        }
        expect(bits.count()).toBe(model.size);
        expect(bits.has(probe)).toBe(model.has(probe));
        const later = [...model].filter((n) => n >= probe);
        expect(bits.nextSet(probe)).toBe(later.length === 0 ? -1 : Math.min(...later));
        let clear = probe;
        while (model.has(clear)) clear += 1;
        expect(bits.nextClear(probe)).toBe(clear);
        bits.clear();
        expect(bits.count()).toBe(0);
      }),
    );
  });
});
