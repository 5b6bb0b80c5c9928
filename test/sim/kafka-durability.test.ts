import { expect, test } from 'vitest';
import { runSeed } from '../../src/sim/runner.ts';
import { kafkaDurability } from '../../src/sim/scenarios/kafka-durability.ts';

test('topics of every durability lose what it names and nothing else', async () => {
  const run = await runSeed(1_000, kafkaDurability);
  expect(run.failure).toBeUndefined();
  expect(run.counts.lost).toBe(0);
  // Were nothing lost that may be, the rules would have judged nothing.
  expect(run.counts.allowed).toBeGreaterThan(0);
  expect(run.counts.acknowledged).toBeGreaterThanOrEqual(2_000);
  expect([...run.faults.values()].reduce((a, b) => a + b, 0)).toBeGreaterThanOrEqual(3);
}, 300_000);
