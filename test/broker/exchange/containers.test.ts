// The containers under routing, against the obvious ones of JavaScript.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ByteMap } from '../../../src/broker/exchange/byte-map.ts';
import { Marks } from '../../../src/broker/exchange/marks.ts';
import { PairMap } from '../../../src/broker/exchange/pair-map.ts';
import { Targets } from '../../../src/broker/exchange/targets.ts';
import { encodeUtf8 } from '../../../src/std/bytes.ts';

describe('ByteMap', () => {
  test('is a map of byte strings, found in the middle of a chunk', () => {
    const keys = fc.oneof(
      fc.nat(400).map((n) => `key.${n}`),
      fc.string({ maxLength: 6 }),
    );
    const steps = fc.array(fc.tuple(fc.nat(3), keys, fc.nat(1000)), { maxLength: 600 });
    const property = fc.property(steps, (history) => {
      const map = new ByteMap();
      const model = new Map<string, number>();
      for (const [what, key, value] of history) {
        const bytes = encodeUtf8(key);
        if (what === 0) {
          map.delete(bytes);
          model.delete(key);
        } else {
          map.set(bytes, value);
          model.set(key, value);
        }
        expect(map.size).toBe(model.size);
      }
      for (const [, key] of history) {
        const chunk = encodeUtf8(`..${key}..`);
        expect(map.find(chunk, 2, chunk.length - 2)).toBe(model.get(key) ?? -1);
        expect(map.get(encodeUtf8(`${key}!`))).toBe(model.get(`${key}!`) ?? -1);
      }
    });
    fc.assert(property, { numRuns: 150 });
  });

  test('keys that come and go leave no bytes behind', () => {
    const map = new ByteMap();
    for (let i = 0; i < 50_000; i += 1) {
      map.set(encodeUtf8(`a-key-that-comes-and-goes-${i}`), i);
      if (i >= 10) map.delete(encodeUtf8(`a-key-that-comes-and-goes-${i - 10}`));
    }
    expect(map.size).toBe(10);
    expect(map.get(encodeUtf8('a-key-that-comes-and-goes-49999'))).toBe(49_999);
    expect(map.poolBytes).toBeLessThan(2_000);
    map.set(new Uint8Array(0), 5);
    expect(map.find(new Uint8Array(3), 2, 2)).toBe(5);
  });
});

test('PairMap is a map of pairs', () => {
  const steps = fc.array(fc.tuple(fc.nat(3), fc.nat(30), fc.nat(30), fc.nat(1000)), {
    maxLength: 600,
  });
  const property = fc.property(steps, (history) => {
    const map = new PairMap();
    const model = new Map<string, number>();
    for (const [what, a, b, value] of history) {
      if (what === 0) {
        map.delete(a, b);
        model.delete(`${a},${b}`);
      } else {
        map.set(a, b, value);
        model.set(`${a},${b}`, value);
      }
    }
    for (let a = 0; a <= 30; a += 1) {
      for (let b = 0; b <= 30; b += 1) expect(map.get(a, b)).toBe(model.get(`${a},${b}`) ?? -1);
    }
  });
  fc.assert(property, { numRuns: 60 });
});

test('Targets keep a target until its last binding goes, each once', () => {
  // More come than go, so that there are enough for their places to be kept.
  const isAdd = fc.nat(2).map((n) => n > 0);
  const steps = fc.array(fc.tuple(isAdd, fc.integer({ min: -40, max: 40 })), {
    minLength: 150,
    maxLength: 300,
  });
  const property = fc.property(steps, (history) => {
    const targets = new Targets();
    const counts = new Map<number, number>();
    for (const [isOneMore, target] of history) {
      const count = counts.get(target) ?? 0;
      if (isOneMore) targets.add(target);
      else targets.remove(target);
      counts.set(target, Math.max(0, isOneMore ? count + 1 : count - 1));
      const present = [...counts].filter(([, n]) => n > 0).map(([each]) => each);
      expect([...targets.items].sort((a, b) => a - b)).toEqual(present.sort((a, b) => a - b));
      expect(targets.isEmpty).toBe(present.length === 0);
    }
  });
  fc.assert(property, { numRuns: 100 });
});

test('Marks forget all at once', () => {
  const marks = new Marks();
  marks.reserve(1000);
  marks.clear();
  expect([marks.add(999), marks.add(999), marks.add(0)]).toEqual([true, false, true]);
  marks.reserve(5000);
  expect([marks.add(999), marks.add(4999)]).toEqual([false, true]);
  marks.clear();
  expect(marks.add(999)).toBe(true);
});
