import { expect, test } from 'vitest';
import { runSeed } from '../../src/sim/runner.ts';
import {
  amqpCluster,
  amqpHeld,
  amqpKinds,
  amqpNormalMode,
} from '../../src/sim/scenarios/amqp-cluster.ts';
import { runs } from '../setup/runs.ts';

/** Otherwise that is left to runner.test.ts and its smaller scenario. */
const REPLAYS = runs(1, 0) === 1;

test('queues on three real nodes under faults keep what was confirmed, and replay event for event', async () => {
  const first = await runSeed(1_001, amqpCluster);
  expect(first.failure).toBeUndefined();
  expect(first.counts.lost).toBe(0);
  expect(first.counts.acknowledged).toBeGreaterThanOrEqual(2_000);
  expect(first.virtualMs).toBeGreaterThanOrEqual(30_000);
  expect([...first.faults.values()].reduce((a, b) => a + b, 0)).toBeGreaterThanOrEqual(3);
  if (!REPLAYS) return;
  const second = await runSeed(1_001, amqpCluster);
  expect(second.traceHash).toBe(first.traceHash);
}, 600_000);

test('without any fault every publish is confirmed and every confirmed message is consumed', async () => {
  const calm = await runSeed(5, { ...amqpCluster, chaosMs: 2_000 }, { calm: true });
  expect(calm.failure).toBeUndefined();
  expect(calm.counts.acknowledged).toBe(calm.counts.operations);
}, 600_000);

test('queues on one node each keep what was confirmed through the deaths of that node', async () => {
  const { failure, counts } = await runSeed(2_003, { ...amqpNormalMode, chaosMs: 12_000 });
  expect(failure).toBeUndefined();
  expect(counts.lost).toBe(0);
  // Some were refused: their node was down.
  expect(counts.acknowledged).toBeGreaterThanOrEqual(2_000);
  expect(counts.acknowledged).toBeLessThan(counts.operations);
}, 600_000);

test('quorum queues drop what comes back too often and nothing else, and their counts never fall', async () => {
  const { failure, counts } = await runSeed(500, amqpKinds);
  expect(failure).toBeUndefined();
  expect(counts.lost).toBe(0);
}, 600_000);

test('what is acknowledged behind held messages goes from the disks of nodes that fail, and nothing else does', async () => {
  const { failure, counts } = await runSeed(1_000, amqpHeld);
  expect(failure).toBeUndefined();
  expect(counts.lost).toBe(0);
}, 600_000);
