// Seeds that failed once, each with what it found and the kinds of faults there were then: a kind more in a
// policy changes what a seed means. They stay. A scenario has a file, so that workers share them.
import { expect, test } from 'vitest';
import { CRASH_KINDS, type FaultKind, LOSS_KINDS } from '../../../src/sim/faults/policy.ts';
import { runSeed } from '../../../src/sim/runner.ts';
import type { Scenario } from '../../../src/sim/scenario.ts';
import { runs } from '../../setup/runs.ts';

/** Virtual time ends a run; this only ends one that computes for ever, however busy the machine is. */
const LIMIT_MS = 600_000;

export const CRASHES: readonly FaultKind[] = CRASH_KINDS;
export const LOSSES: readonly FaultKind[] = [...CRASH_KINDS, ...LOSS_KINDS];

/** Seed, what it found, and the faults of then. */
export type OldSeed = readonly [seed: number, found: string, kinds: readonly FaultKind[]];

/** A test for each; the first one where there is little time. */
export function replay(scenario: Scenario, seeds: readonly OldSeed[]): void {
  test.each(seeds.slice(0, runs(seeds.length, 1)))(
    `${scenario.name} seed %i: %s`,
    async (seed, _found, kinds) => {
      const faults = { ...scenario.faults, kinds };
      const { failure } = await runSeed(seed, { ...scenario, faults });
      expect(failure).toBeUndefined();
    },
    LIMIT_MS,
  );
}
