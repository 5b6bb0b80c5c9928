// The real cores in a small cluster at random: with the rules as they are no walk may lose, fork or
// uncover a committed frame, and every walk must make progress once faults end; with one rule of
// the cores switched off some walk must be caught by a checker that shares nothing with them.
import { expect, test } from 'vitest';
import { World, type WorldRules } from './world.ts';

const ALL: WorldRules = { mode: 'all', nodes: 3, replicas: 3, minInsync: 2, steps: 1_500 };
const QUORUM: WorldRules = { ...ALL, mode: 'quorum' };
const SOUND_WALKS = 100;
const FAULTY_WALKS_MAX = 3_000;

function search(rules: WorldRules, walks: number): string | undefined {
  for (let seed = 1; seed <= walks; seed += 1) {
    const violation = new World(rules, seed).walk();
    if (violation !== undefined) return `seed ${seed}: ${violation}`;
  }
  return undefined;
}

test.each<[string, WorldRules]>([
  ['all', ALL],
  ['all, m 1', { ...ALL, minInsync: 1 }],
  ['all, 3 replicas on 4 nodes', { ...ALL, nodes: 4 }],
  ['all, cuts reported when logged', { ...ALL, cutsAtOnce: true }],
  ['quorum', QUORUM],
  ['quorum, cuts reported when logged', { ...QUORUM, cutsAtOnce: true }],
  ['quorum, 3 replicas on 4 nodes', { ...QUORUM, nodes: 4 }],
  ['quorum, 5 replicas', { ...QUORUM, nodes: 5, replicas: 5, minInsync: 3 }],
])('the cores keep every invariant and recover: %s', (_name, rules) => {
  expect(search(rules, SOUND_WALKS)).toBeUndefined();
});

const UNJUDGED = { judgesAlarms: false, judgesWriters: false };

test.each<[string, WorldRules]>([
  [
    'commit under the old set only, all',
    { ...ALL, ...UNJUDGED, minInsync: 1, faults: { commitUnderOldSetOnly: true } },
  ],
  ['members that need not hold, all', { ...ALL, ...UNJUDGED, faults: { noHoldRule: true } }],
  [
    'members that need not hold, quorum',
    { ...QUORUM, ...UNJUDGED, nodes: 4, faults: { noHoldRule: true } },
  ],
  ['no recovery read, quorum', { ...QUORUM, ...UNJUDGED, faults: { noRecoveryRead: true } }],
  ['the same epoch, all', { ...ALL, ...UNJUDGED, faults: { sameEpochAfterRestart: true } }],
  ['the same epoch, quorum', { ...QUORUM, ...UNJUDGED, faults: { sameEpochAfterRestart: true } }],
  ['cuts below committed', { ...ALL, ...UNJUDGED, faults: { truncateBelowCommitted: true } }],
  ['acks before durable, all', { ...ALL, ...UNJUDGED, faults: { ackBeforeDurable: true } }],
  ['acks before durable, quorum', { ...QUORUM, ...UNJUDGED, faults: { ackBeforeDurable: true } }],
  ['committed of a stale epoch', { ...ALL, ...UNJUDGED, faults: { hwFromStaleEpoch: true } }],
])('a rule of the cores switched off is caught: %s', (_name, rules) => {
  expect(search(rules, FAULTY_WALKS_MAX)).toMatch(/^seed \d+: /);
});
