import { expect, test } from 'vitest';
import { runSeed } from '../../src/sim/runner.ts';
import { kafkaRetention } from '../../src/sim/scenarios/kafka-retention.ts';

test('records go by age, by size and on demand while nodes fail, and nothing else does', async () => {
  const run = await runSeed(1_001, kafkaRetention);
  expect(run.failure).toBeUndefined();
  expect(run.counts.lost).toBe(0);
  expect(run.counts.acknowledged).toBeGreaterThanOrEqual(1_500);
  expect([...run.faults.values()].reduce((a, b) => a + b, 0)).toBeGreaterThanOrEqual(3);
}, 600_000);
