import { expect, test } from 'vitest';
import type { SeedResult } from '../../src/sim/runner.ts';
import { Tally } from '../../src/sim/tally.ts';

function seed(allowed?: number): SeedResult {
  const counts = {
    operations: 9,
    acknowledged: 7,
    lost: 0,
    ...(allowed === undefined ? {} : { allowed }),
  };
  const run = { scenario: 's', seed: 1, bug: undefined, traceHash: '', checkpoints: [], events: 5 };
  return { ...run, virtualMs: 1_000, counts, faults: new Map(), failure: undefined, report: [] };
}

test('seeds that lose nothing of what may be lost are tame when they are many, and one that loses is enough', () => {
  const tally = new Tally();
  const isTame = () => [{}, { tameAfter: 2 }].map((scenario) => tally.isTame(scenario));
  tally.add(seed(0));
  expect(isTame()).toEqual([false, false]);
  tally.add(seed());
  expect(isTame()).toEqual([false, true]);
  expect(tally.line()).not.toContain('allowed');
  tally.add(seed(3));
  expect(isTame()).toEqual([false, false]);
  expect(tally.line()).toContain('gone as allowed 3');
});
