import { expect, test } from 'vitest';
import { runSeed } from '../../src/sim/runner.ts';
import { durableActors } from '../../src/sim/scenarios/durable-actors.ts';
import { runs } from '../setup/runs.ts';

/** Otherwise that is left to runner.test.ts and its smaller scenario. */
const REPLAYS = runs(1, 0) === 1;

test('accounts on three real nodes under faults keep their books, and replay event for event', async () => {
  const scenario = { ...durableActors, chaosMs: 12_000 };
  const first = await runSeed(1_001, scenario);
  expect(first.failure).toBeUndefined();
  expect(first.counts.lost).toBe(0);
  expect(first.counts.acknowledged).toBeGreaterThanOrEqual(600);
  expect([...first.faults.values()].reduce((a, b) => a + b, 0)).toBeGreaterThanOrEqual(3);
  if (!REPLAYS) return;
  const second = await runSeed(1_001, scenario);
  expect(second.traceHash).toBe(first.traceHash);
}, 600_000);

test('without any fault every command is answered', async () => {
  const calm = await runSeed(5, { ...durableActors, chaosMs: 2_000 }, { calm: true });
  expect(calm.failure).toBeUndefined();
  expect(calm.counts.acknowledged).toBe(calm.counts.operations);
  expect(calm.counts.acknowledged).toBeGreaterThanOrEqual(600);
}, 600_000);
