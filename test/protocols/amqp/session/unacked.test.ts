import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Unacked } from '../../../../src/protocols/amqp/session/unacked.ts';

const message = (tag: number) => ({ logId: tag * 10, offset: tag * 100, epoch: 3, lease: tag + 7 });

describe('unsettled deliveries', () => {
  it('are found by their tags, whatever was settled, as in a map', () => {
    const step = fc.oneof(
      { weight: 3, arbitrary: fc.record({ add: fc.integer({ min: 1, max: 3 }) }) },
      { weight: 2, arbitrary: fc.record({ settle: fc.nat() }) },
      { weight: 1, arbitrary: fc.record({ upTo: fc.nat() }) },
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 300 }), (steps) => {
        const unacked = new Unacked();
        const model = new Map<number, number>();
        let tag = 0;
        const settle = (each: number): void => {
          const row = unacked.find(each);
          expect(row >= 0).toBe(model.has(each));
          if (row < 0) return;
          expect(unacked.consumers[row]).toBe(model.get(each));
          expect(unacked.offsets[row]).toBe(each * 100);
          expect(unacked.leases[row]).toBe(each + 7);
          unacked.settle(row);
          model.delete(each);
        };
        for (const each of steps) {
          if ('add' in each) {
            // A tag that is left out was delivered without acknowledgement.
            tag += each.add;
            unacked.add(tag, tag % 5, message(tag));
            model.set(tag, tag % 5);
          } else if ('settle' in each) {
            settle(each.settle % (tag + 2));
          } else {
            for (const known of [...model.keys()]) {
              if (known <= each.upTo % (tag + 2)) settle(known);
            }
          }
          unacked.trim();
          expect(unacked.size).toBe(model.size);
        }
        const live: number[] = [];
        for (let row = unacked.head; row < unacked.end; row += 1) {
          if (unacked.isLive(row)) live.push(unacked.tags[row]);
        }
        expect(live).toEqual([...model.keys()]);
      }),
    );
  });

  it('cost no more while one of them is held for long', () => {
    const unacked = new Unacked();
    unacked.add(1, 0, message(1));
    for (let tag = 2; tag < 100_000; tag += 1) {
      unacked.add(tag, 0, message(tag));
      unacked.settle(unacked.find(tag));
      unacked.trim();
    }
    expect(unacked.tags.length).toBeLessThanOrEqual(64);
    expect(unacked.find(1)).toBeGreaterThanOrEqual(0);
  });

  it('give large columns back', () => {
    const unacked = new Unacked();
    for (let tag = 1; tag <= 10_000; tag += 1) unacked.add(tag, 0, message(tag));
    for (let tag = 1; tag <= 10_000; tag += 1) unacked.settle(unacked.find(tag));
    unacked.trim();
    expect(unacked.tags.length).toBe(16);
    unacked.add(10_001, 4, message(10_001));
    expect(unacked.consumers[unacked.find(10_001)]).toBe(4);
  });
});
