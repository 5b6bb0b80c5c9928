import { expect, test } from 'vitest';
import { runSeed } from '../../src/sim/runner.ts';
import { kafkaReassign } from '../../src/sim/scenarios/kafka-reassign.ts';

test('replicas change and nodes are drained under faults: nothing acknowledged is lost, what left is gone', async () => {
  const run = await runSeed(2, kafkaReassign);
  expect(run.failure).toBeUndefined();
  expect(run.counts.lost).toBe(0);
  expect(run.counts.acknowledged).toBeGreaterThanOrEqual(600);
}, 600_000);
