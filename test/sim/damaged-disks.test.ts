import { expect, test } from 'vitest';
import { runSeed } from '../../src/sim/runner.ts';
import { damagedDisks } from '../../src/sim/scenarios/damaged-disks.ts';

// Seed 300 failed once: a node that was put back was killed before anybody could tell it, and its next start counted as
// one more than the cluster knew. A node that asked only a follower, which lagged, was told nothing either.
test('nodes are put back to earlier states, and killed at once: none speaks from a lost memory', async () => {
  const { faults } = damagedDisks;
  // Few kinds, so that it happens often.
  const kinds = ['kill', 'rollback'] as const;
  const meanMs = [1_500, 3_000] as const;
  const run = await runSeed(300, { ...damagedDisks, faults: { ...faults, kinds, meanMs } });
  expect(run.failure).toBeUndefined();
  expect(run.counts.lost).toBe(0);
  expect(run.faults.get('rollback')).toBeGreaterThan(2);
}, 240_000);
