// The property that matters: cut the power, or kill the process, at any moment of a random run.
import { describe, expect, it } from 'vitest';
import { runs } from '../setup/runs.ts';
import { powerRun } from './support/power-run.ts';

const CUTS = 25;

describe('power cuts', () => {
  const seeds = Number(process.env['STORAGE_SEEDS'] ?? runs(12, 3));
  const base = Number(process.env['STORAGE_SEED'] ?? 1);

  it(`loses nothing that was durable in ${seeds} runs of many cuts`, {
    timeout: 600_000,
  }, async () => {
    let boots = 0;
    for (let seed = base; seed < base + seeds; seed += 1) {
      try {
        boots += await powerRun(seed, CUTS);
      } catch (error) {
        throw new Error(`seed ${seed}: ${(error as Error).stack}`, { cause: error });
      }
    }
    expect(boots).toBeGreaterThan(seeds * CUTS);
  });

  // Seeds that have found something, and what.
  const found = [
    [4, 'a start gave away WAL files that the older checkpoint needed'],
    [34, 'an error of the sync behind a checkpoint ended the process'],
    [202, 'a segment that a killed run had removed came back behind a power cut'],
    [36, 'a segment below the log start came back without its bytes'],
    [398, 'frames whose cut was lost were below the replay of a checkpoint'],
    [351, 'a checkpoint slot was damaged at one start and sound at the next'],
  ] as const;
  it.each(found.slice(0, runs(found.length, 2)))(
    'seed %i: %s',
    { timeout: 60_000 },
    async (seed) => {
      expect(await powerRun(seed, CUTS, undefined, false)).toBeGreaterThan(CUTS);
    },
  );
});
