import { expect, test } from 'vitest';
import { CountingRandom } from '../../../src/sim/draws.ts';
import { drawPlan } from '../../../src/sim/faults/plan.ts';
import { CRASH_KINDS, type FaultPolicy } from '../../../src/sim/faults/policy.ts';
import { SeededRandom } from '../../../src/std/prng.ts';

const POLICY: FaultPolicy = {
  kinds: CRASH_KINDS,
  meanMs: [500, 20_000],
  downMax: 1,
  damagedMax: 1,
  downMs: [100, 5_000],
};

function plans(count: number) {
  return Array.from({ length: count }, (_, seed) =>
    drawPlan(new CountingRandom(new SeededRandom(seed), { draws: 0 }), POLICY),
  );
}

test('a tenth of the seeds is calm, a tenth has one kind, the rest about half of the kinds', () => {
  const sizes = plans(1_000).map((plan) => plan.meanMs.size);
  const calm = sizes.filter((size) => size === 0).length;
  const single = sizes.filter((size) => size === 1).length;
  const mixed = sizes.filter((size) => size > 1);
  expect(calm).toBeGreaterThan(60);
  expect(calm).toBeLessThan(140);
  expect(single).toBeGreaterThan(50);
  expect(single).toBeLessThan(140);
  const mean = mixed.reduce((sum, size) => sum + size, 0) / mixed.length;
  expect(Math.abs(mean - CRASH_KINDS.length / 2)).toBeLessThan(0.5);
});

test('over some seeds every kind is on and every kind is off', () => {
  for (const kind of CRASH_KINDS) {
    const on = plans(200).filter((plan) => plan.meanMs.has(kind)).length;
    expect(on).toBeGreaterThan(50);
    expect(on).toBeLessThan(150);
  }
});

test('means lie in the range of the policy, or far below it where one kind is alone', () => {
  for (const plan of plans(300)) {
    for (const meanMs of plan.meanMs.values()) {
      expect(meanMs).toBeGreaterThanOrEqual(plan.meanMs.size === 1 ? 125 : 500);
      expect(meanMs).toBeLessThanOrEqual(20_000);
    }
  }
});
