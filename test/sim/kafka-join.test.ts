import { expect, test } from 'vitest';
import { runSeed } from '../../src/sim/runner.ts';
import { kafkaJoin } from '../../src/sim/scenarios/kafka-join.ts';

test('a node that is in nobody’s list joins under faults and leads its share; the same seed is the same run', async () => {
  const run = await runSeed(2, kafkaJoin);
  expect(run.failure).toBeUndefined();
  expect(run.counts.lost).toBe(0);
  expect(run.counts.acknowledged).toBeGreaterThanOrEqual(400);
  const again = await runSeed(2, kafkaJoin);
  expect(again.traceHash).toBe(run.traceHash);
}, 600_000);

// The folder knew whose it was before it knew any member: started again, the node had nobody to ask, and spoke no more.
test('a node that dies as it joins finds the members again', async () => {
  const run = await runSeed(14, kafkaJoin);
  expect(run.failure).toBeUndefined();
}, 600_000);

// It knew the founders alone, none of which led: the leader had come later, and nobody told it of the newcomer.
test('a founder that lost its folder finds its way back while a node leads that it does not know', async () => {
  const run = await runSeed(1_004, kafkaJoin);
  expect(run.failure).toBeUndefined();
}, 600_000);
