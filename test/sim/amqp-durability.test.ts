import { expect, test } from 'vitest';
import { runSeed } from '../../src/sim/runner.ts';
import { amqpDurability } from '../../src/sim/scenarios/amqp-durability.ts';

test('queues of every durability lose what it names and nothing else, and publishers go on after low disks', async () => {
  const run = await runSeed(1_000, amqpDurability);
  expect(run.failure).toBeUndefined();
  expect(run.counts.lost).toBe(0);
  // Were nothing lost that may be, the rules would have judged nothing.
  expect(run.counts.allowed).toBeGreaterThan(0);
  expect(run.counts.acknowledged).toBeGreaterThanOrEqual(2_000);
  expect(run.faults.get('disk-low')).toBeGreaterThan(0);
}, 600_000);
