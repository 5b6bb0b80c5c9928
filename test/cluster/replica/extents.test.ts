// Retention's account of a log against a list of every batch: what goes by age and size is exact to one extent.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Extents } from '../../../src/cluster/replica/extents.ts';
import { ByteReader, ByteWriter } from '../../../src/std/bytes.ts';
import { runs } from '../../setup/runs.ts';

const FOREVER = Number.POSITIVE_INFINITY;
const NONE = { ageMs: FOREVER, bytes: FOREVER, stepBytes: FOREVER };

interface Batch {
  readonly next: number;
  readonly bytes: number;
  readonly timeMs: number;
}

function copyOf(extents: Extents): Extents {
  const out = new ByteWriter(64);
  extents.put(out);
  return Extents.get(new ByteReader(out.toBytes()));
}

describe('extents', () => {
  it('of an empty log have nothing that could go', () => {
    const extents = new Extents();
    expect(extents.startFor({ ...NONE, ageMs: 0, bytes: 0 }, 1e9, 1e9)).toBeUndefined();
    expect(extents.dueInMs({ ...NONE, ageMs: 0 }, 1e9)).toBe(FOREVER);
  });

  it('let everything go that is too old, the newest too, and nothing that is not committed', () => {
    const extents = new Extents();
    extents.add(10, 100, 5_000);
    extents.add(20, 100, 9_000);
    const limits = { ...NONE, ageMs: 1_000 };
    expect(extents.dueInMs(limits, 5_400)).toBe(600);
    expect(extents.startFor(limits, 5_999, 20)).toBeUndefined();
    expect(extents.startFor(limits, 6_000, 20)).toBe(10);
    expect(extents.startFor(limits, 10_000, 20)).toBe(20);
    expect(extents.startFor(limits, 10_000, 19)).toBe(10);
    expect(extents.startFor(limits, 10_000, 9)).toBeUndefined();
  });

  it('keep as many bytes as asked, and the newest extent whatever is asked', () => {
    const extents = new Extents();
    for (let i = 1; i <= 10; i += 1) extents.add(i, 100_000, i);
    expect(extents.startFor({ ...NONE, bytes: 300_000 }, 10, 10)).toBe(7);
    expect(extents.startFor({ ...NONE, bytes: 300_001 }, 10, 10)).toBe(6);
    expect(extents.startFor({ ...NONE, bytes: 0 }, 10, 10)).toBe(9);
    expect(extents.dueInMs({ ...NONE, bytes: 300_000 }, 10)).toBe(0);
    expect(extents.dueInMs({ ...NONE, bytes: 2_000_000 }, 10)).toBe(FOREVER);
  });

  it('go in steps', () => {
    const extents = new Extents();
    for (let i = 1; i <= 10; i += 1) extents.add(i, 100_000, i);
    expect(extents.startFor({ ageMs: 0, bytes: FOREVER, stepBytes: 250_000 }, 99, 10)).toBe(2);
    expect(extents.startFor({ ageMs: 0, bytes: FOREVER, stepBytes: 1 }, 99, 10)).toBe(1);
  });

  it('of a log without a past count what is there as new', () => {
    const extents = Extents.from(50);
    extents.add(100, 10, 7_000);
    expect(extents.startFor({ ...NONE, ageMs: 500 }, 7_499, 100)).toBeUndefined();
    expect(extents.startFor({ ...NONE, ageMs: 500 }, 7_500, 100)).toBe(100);
  });

  it('that are cut keep their share of the bytes', () => {
    const extents = new Extents();
    extents.add(100, 1_000, 1);
    extents.dropBelow(25);
    expect(extents.totalBytes).toBe(750);
    extents.dropBelow(100);
    expect([extents.totalBytes, extents.count]).toEqual([0, 0]);
  });

  it('stay few, and what goes differs from the truth by a share only', () => {
    const batches = fc.array(
      fc.record({
        count: fc.integer({ min: 1, max: 20 }),
        bytes: fc.integer({ min: 70, max: 400_000 }),
        afterMs: fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 100_000 })),
        repeat: fc.integer({ min: 1, max: 60 }),
        dropShare: fc.oneof(fc.constant(0), fc.double({ min: 0, max: 0.5, noNaN: true })),
      }),
      { minLength: 1, maxLength: 40 },
    );
    const ageMs = fc.integer({ min: 0, max: 500_000 });
    const bytes = fc.integer({ min: 0, max: 20_000_000 });
    fc.assert(
      fc.property(batches, ageMs, bytes, (steps, age, size) => {
        let extents = new Extents();
        let all: Batch[] = [];
        let next = 0;
        let timeMs = 1_000;
        for (const { count, bytes: each, afterMs, repeat, dropShare } of steps) {
          for (let i = 0; i < repeat; i += 1) {
            next += count;
            timeMs += afterMs;
            extents.add(next, each, timeMs);
            all.push({ next, bytes: each, timeMs });
            expect(extents.count).toBeLessThanOrEqual(385);
          }
          const drop = all[Math.floor(all.length * dropShare) - 1]?.next;
          if (drop !== undefined) {
            extents.dropBelow(drop);
            all = all.filter((batch) => batch.next > drop);
          }
          extents = copyOf(extents);
        }
        const byAge = extents.startFor({ ...NONE, ageMs: age }, timeMs, next) ?? 0;
        const goneByAge = all.filter((batch) => batch.next <= byAge);
        expect(goneByAge.every((batch) => batch.timeMs + age <= timeMs)).toBe(true);
        const bySize = extents.startFor({ ...NONE, bytes: size }, timeMs, next) ?? 0;
        const kept = all.filter((batch) => batch.next > bySize);
        const sum = (of: readonly Batch[]) => of.reduce((total, batch) => total + batch.bytes, 0);
        expect(kept.length).toBeGreaterThan(0);
        // An extent that was cut is counted by offsets, so its bytes are others.
        if (steps.some(({ dropShare }) => dropShare > 0)) return;
        expect(extents.totalBytes).toBe(sum(all));
        expect(sum(kept)).toBeGreaterThanOrEqual(Math.min(size, sum(all)));
        const extentMax = Math.max(65_536, sum(all) / 64) + 400_000;
        expect(sum(kept)).toBeLessThanOrEqual(size + 2 * extentMax);
      }),
      { numRuns: runs(1_000, 100) },
    );
  });
});
