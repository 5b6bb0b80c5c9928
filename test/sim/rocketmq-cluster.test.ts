import { expect, test } from 'vitest';
import { runSeed } from '../../src/sim/runner.ts';
import { rocketmqCluster } from '../../src/sim/scenarios/rocketmq-cluster.ts';
import { runs } from '../setup/runs.ts';

/** Otherwise that is left to runner.test.ts and its smaller scenario. */
const REPLAYS = runs(1, 0) === 1;

test('groups on three real nodes under faults get what was stored, and replay event for event', async () => {
  const scenario = { ...rocketmqCluster, chaosMs: 12_000 };
  const first = await runSeed(1_001, scenario);
  expect(first.failure).toBeUndefined();
  expect(first.counts.lost).toBe(0);
  expect(first.counts.acknowledged).toBeGreaterThanOrEqual(1_000);
  expect([...first.faults.values()].reduce((a, b) => a + b, 0)).toBeGreaterThanOrEqual(3);
  if (!REPLAYS) return;
  const second = await runSeed(1_001, scenario);
  expect(second.traceHash).toBe(first.traceHash);
}, 600_000);

test('without any fault of the cluster everything is stored but what dies with its producer', async () => {
  const calm = await runSeed(5, { ...rocketmqCluster, chaosMs: 2_000 }, { calm: true });
  expect(calm.failure).toBeUndefined();
  const { operations, acknowledged } = calm.counts;
  expect(acknowledged).toBeGreaterThanOrEqual(1_000);
  expect(operations - acknowledged).toBeLessThan(operations / 50);
}, 600_000);
