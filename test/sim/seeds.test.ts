// Seeds that failed once, each with what it found. They stay.
import { expect, test } from 'vitest';
import { runSeed } from '../../src/sim/runner.ts';
import { kafkaCluster } from '../../src/sim/scenarios/kafka-cluster.ts';

test.each([
  [
    1_920_010_809,
    'groups stood still while the wall clock of a new leader was behind the log: nothing came due',
  ],
])(
  'seed %i: %s',
  async (seed) => {
    const { failure } = await runSeed(seed, kafkaCluster, {});
    expect(failure).toBeUndefined();
  },
  120_000,
);
