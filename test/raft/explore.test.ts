// Every state of small scopes (src/sim/explore) keeps the rules of Raft, and an exploration finds each known mistake
// that its scope can show. `npm run raft:explore` visits all scopes.
import { describe, expect, test } from 'vitest';
import { explore, NO_BOUNDS } from '../../src/sim/explore/explore.ts';
import { SCOPES, SHOWN } from '../../src/sim/explore/scopes.ts';
import { Visited } from '../../src/sim/explore/visited.ts';
import { runs } from '../setup/runs.ts';

const LIMIT_MS = 600_000;

describe('no history breaks a rule', () => {
  const quick = SCOPES.filter(({ isQuick }) => isQuick);
  test.each(quick.map(({ what, bounds }) => [what, bounds] as const))(
    '%s: every one',
    (what, bounds) => {
      const explored = explore(bounds);
      console.log(`${what}: ${explored.states} states, ${explored.acts} acts`);
      expect(explored.broken).toBeUndefined();
      expect(explored.isComplete).toBe(true);
      expect(explored.commits).toBeGreaterThan(1_000);
    },
    LIMIT_MS,
  );
});

describe('a mistake that a scope can show is found', () => {
  const mistakes = SHOWN.filter(({ isQuick }) => isQuick || runs(1, 0) > 0);
  test.each(mistakes.map((mistake) => [mistake.fault, mistake] as const))(
    '%s',
    (fault, { bounds, foundBy }) => {
      const found = explore(bounds, { faults: { [fault]: true }, keepsHistory: true });
      expect(found.broken).toMatch(foundBy);
      expect(found.history[0]).toBe('start');
      expect(found.history.at(-1)).toContain(found.broken);
    },
    LIMIT_MS,
  );
});

describe('states', () => {
  test('mirror images are one: three that may stand count as one', () => {
    const { states, depth } = explore({ ...NO_BOUNDS, isDiskInstant: true }, { statesMax: 2 });
    expect(states).toBe(2);
    expect(depth).toBe(1);
  });

  test('a limit ends an exploration, and says so', () => {
    const { isComplete, broken } = explore(NO_BOUNDS, { statesMax: 50 });
    expect(isComplete).toBe(false);
    expect(broken).toBeUndefined();
  });

  test('a name is there once, through every growth of the set', () => {
    const visited = new Visited();
    let added = 0;
    for (let i = 0; i < 400_000; i += 1) {
      const name = i % 200_000;
      if (visited.add([name, name % 7, 3])) added += 1;
    }
    expect(added).toBe(200_000);
    expect(visited.count).toBe(200_000);
  });
});
