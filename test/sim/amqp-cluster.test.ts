import { expect, test } from 'vitest';
import { runSeed } from '../../src/sim/runner.ts';
import { amqpCluster } from '../../src/sim/scenarios/amqp-cluster.ts';

test('queues on three real nodes under faults keep what was confirmed, and replay event for event', async () => {
  const first = await runSeed(1_001, amqpCluster);
  expect(first.failure).toBeUndefined();
  expect(first.counts.lost).toBe(0);
  expect(first.counts.acknowledged).toBeGreaterThanOrEqual(2_000);
  expect(first.virtualMs).toBeGreaterThanOrEqual(30_000);
  expect([...first.faults.values()].reduce((a, b) => a + b, 0)).toBeGreaterThanOrEqual(3);
  const second = await runSeed(1_001, amqpCluster);
  expect(second.traceHash).toBe(first.traceHash);
}, 120_000);

test('without any fault every publish is confirmed and every confirmed message is consumed', async () => {
  const calm = await runSeed(5, { ...amqpCluster, chaosMs: 2_000 }, { calm: true });
  expect(calm.failure).toBeUndefined();
  expect(calm.counts.acknowledged).toBe(calm.counts.operations);
}, 120_000);
