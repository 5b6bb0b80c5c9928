// Random clusters (random-cluster.ts) keep every rule of Raft, and each known mistake breaks one that is watched.
import { describe, expect, test } from 'vitest';
import { runs } from '../setup/runs.ts';
import { type Mistakes, noTotals, runRandomCluster } from './random-cluster.ts';

const FIRST_SEED = Number(process.env['RAFT_SEED'] ?? 1);
const SEEDS = Number(process.env['RAFT_SEEDS'] ?? runs(40, 12));

describe('a random cluster', () => {
  test('keeps every rule of Raft through faults, and heals', { timeout: 180_000 }, () => {
    const totals = noTotals();
    for (let seed = FIRST_SEED; seed < FIRST_SEED + SEEDS; seed += 1) {
      try {
        runRandomCluster(seed, totals);
      } catch (thrown) {
        throw new Error(`seed ${seed}`, { cause: thrown });
      }
    }
    // The run must have been eventful, or it proves nothing.
    const floor = (inForty: number) => (inForty * SEEDS) / 40;
    expect(totals.committed).toBeGreaterThan(floor(2000));
    expect(totals.leaders).toBeGreaterThan(floor(150));
    expect(totals.crashes).toBeGreaterThan(floor(200));
    expect(totals.changes).toBeGreaterThan(floor(12));
    expect(totals.snapshots).toBeGreaterThan(floor(20));
    expect(totals.reads).toBeGreaterThan(floor(20));
  });
});

const SEEDS_MAX = 12;

/** The mistake, the first of the seeds (each is found within the first 300), and what finds it. */
const MISTAKES: readonly (readonly [keyof Mistakes, number, RegExp])[] = [
  ['ackBeforeDurable', 1, /durable on 1 only/],
  ['countUnwritten', 1, /durable on 1 only/],
  ['wipeKeepsName', 1, /still here|misses committed/],
  ['witnessLeads', 1, /a witness leads/],
  ['noLease', 1, /a leader with a quorum is deposed/],
  ['readyAtOnce', 1, /stale read/],
  ['voteForBehind', 1, /misses committed/],
  ['forgetVote', 85, /two leaders/],
  ['snapshotForgetsMembers', 60, /misses committed/],
  ['readUnconfirmed', 224, /stale read/],
];

describe('a known mistake is found', () => {
  test.each(MISTAKES.slice(0, runs(MISTAKES.length, 6)))(
    '%s',
    { timeout: 600_000 },
    (mistake, from, foundBy) => {
      let found = 'nothing found';
      let seed = from;
      for (; seed < from + SEEDS_MAX && found === 'nothing found'; seed += 1) {
        try {
          runRandomCluster(seed, noTotals(), { [mistake]: true });
        } catch (thrown) {
          found = (thrown as Error).message;
        }
      }
      expect(found).toMatch(foundBy);
    },
  );
});
