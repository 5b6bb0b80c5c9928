// A simulator is worth what it finds. Each known mistake is switched on in the real nodes and must be found
// within a few seeds, by the invariant that it breaks. A scenario has a file, so that workers share them.
import { expect, test } from 'vitest';
import { runSeed } from '../../../src/sim/runner.ts';
import type { Scenario } from '../../../src/sim/scenario.ts';
import { stories } from '../../../src/sim/scenarios/stories/index.ts';
import { runs } from '../../setup/runs.ts';

const SEEDS_MAX = 3;
/** Virtual time ends a run; this only ends one that computes for ever, however busy the machine is. */
const LIMIT_MS = 600_000;

/** Nothing but processes that stand still for a while: whoever leads goes on when others have led meanwhile. */
export function pausing(scenario: Scenario): Scenario {
  return { ...scenario, faults: { ...scenario.faults, kinds: ['pause'], meanMs: [1_000, 1_500] } };
}

export function story(name: string): Scenario {
  const found = stories.find((each) => each.name === name);
  if (found === undefined) throw new Error(`there is no story ${name}`);
  return found;
}

export interface Mistake {
  readonly bug: string;
  /** What the nodes do then. */
  readonly what: string;
  readonly scenario: Scenario;
  /** The first of the seeds. */
  readonly from: number;
  readonly foundBy: RegExp;
}

/** A test for each; the first one where there is little time. */
export function find(mistakes: readonly Mistake[]): void {
  const table = mistakes.map((mistake) => [mistake.bug, mistake.what, mistake] as const);
  test.each(table.slice(0, runs(table.length, 1)))(
    '%s: %s is found',
    async (bug, _what, { scenario, from, foundBy }) => {
      expect(scenario.bugs).toContain(bug);
      expect(await firstFailure(bug, scenario, from)).toMatch(foundBy);
    },
    LIMIT_MS,
  );
}

async function firstFailure(bug: string, scenario: Scenario, from: number): Promise<string> {
  for (let seed = from; seed < from + SEEDS_MAX; seed += 1) {
    const { failure } = await runSeed(seed, scenario, { bug });
    if (failure !== undefined) return failure.check;
  }
  return 'nothing found';
}
