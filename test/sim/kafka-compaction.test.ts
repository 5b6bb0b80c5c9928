import { expect, test } from 'vitest';
import { runSeed } from '../../src/sim/runner.ts';
import { kafkaCompaction } from '../../src/sim/scenarios/kafka-compaction.ts';

test('a topic is compacted while nodes fail: the newest record of each key stays', async () => {
  const run = await runSeed(1, kafkaCompaction);
  expect(run.failure).toBeUndefined();
  expect(run.counts.acknowledged).toBeGreaterThanOrEqual(1_500);
  expect([...run.faults.values()].reduce((a, b) => a + b, 0)).toBeGreaterThanOrEqual(3);
}, 240_000);
