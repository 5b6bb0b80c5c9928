import { expect, test } from 'vitest';
import { runSeed } from '../../src/sim/runner.ts';
import { damagedWal } from '../../src/sim/scenarios/damaged-wal.ts';

test('write-ahead logs rot: the replicas are made anew, and nothing acknowledged is lost', async () => {
  const { faults } = damagedWal;
  const kinds = ['rot-at-rest'] as const;
  const meanMs = [1_500, 3_000] as const;
  const run = await runSeed(300, { ...damagedWal, faults: { ...faults, kinds, meanMs } });
  expect(run.failure).toBeUndefined();
  expect(run.counts.lost).toBe(0);
  expect(run.faults.get('rot-at-rest')).toBeGreaterThan(2);
}, 240_000);
