import { expect, test } from 'vitest';
import { runSeed } from '../../src/sim/runner.ts';
import { kafkaReplicaReads } from '../../src/sim/scenarios/kafka-replica-reads.ts';

test('consumers read from replicas of their rack under faults: what is committed, all of it, and nothing else', async () => {
  const run = await runSeed(3, kafkaReplicaReads);
  expect(run.failure).toBeUndefined();
  expect(run.counts.lost).toBe(0);
}, 600_000);
