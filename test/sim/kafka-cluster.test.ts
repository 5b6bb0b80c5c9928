import { expect, test } from 'vitest';
import { runSeed } from '../../src/sim/runner.ts';
import { kafkaCluster } from '../../src/sim/scenarios/kafka-cluster.ts';
import { runs } from '../setup/runs.ts';

/** Otherwise that is left to runner.test.ts and its smaller scenario. */
const REPLAYS = runs(1, 0) === 1;

test('three real nodes under faults lose nothing acknowledged, and replay event for event', async () => {
  const first = await runSeed(1_001, kafkaCluster);
  expect(first.failure).toBeUndefined();
  expect(first.counts.lost).toBe(0);
  expect(first.counts.acknowledged).toBeGreaterThanOrEqual(2_000);
  expect(first.virtualMs).toBeGreaterThanOrEqual(30_000);
  expect([...first.faults.values()].reduce((a, b) => a + b, 0)).toBeGreaterThanOrEqual(3);
  if (!REPLAYS) return;
  const second = await runSeed(1_001, kafkaCluster);
  expect(second.traceHash).toBe(first.traceHash);
}, 600_000);

test('a cluster without any fault acknowledges everything that was sent', async () => {
  const calm = await runSeed(5, kafkaCluster, { calm: true });
  expect(calm.failure).toBeUndefined();
  expect(calm.counts.acknowledged).toBe(calm.counts.operations);
}, 600_000);
