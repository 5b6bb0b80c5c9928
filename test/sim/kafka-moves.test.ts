import { expect, test } from 'vitest';
import { runSeed } from '../../src/sim/runner.ts';
import { kafkaMoves } from '../../src/sim/scenarios/kafka-moves.ts';

test('leaders move as planned and nodes are stopped under faults: nothing that was answered is lost', async () => {
  const run = await runSeed(1, kafkaMoves);
  expect(run.failure).toBeUndefined();
  expect(run.counts.lost).toBe(0);
  expect(run.counts.acknowledged).toBeGreaterThanOrEqual(1_000);
}, 600_000);
