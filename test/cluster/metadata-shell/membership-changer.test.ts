// Who votes in the metadata group: newcomers that metadata knows, and none that it never came to know.
import { beforeEach, expect, test } from 'vitest';
import {
  MembershipChanger,
  type Standing,
  UNKNOWN_GRACE_MS,
} from '../../../src/cluster/metadata-shell/membership-changer.ts';
import { createNodeLog } from '../../../src/env/node/log.ts';
import { configurationOf, peerOf } from '../../../src/raft/index.ts';

const FOUNDERS = [1, 2, 3].map((node) => peerOf(node, 1));
const JOINER = peerOf(4, 77);

let isLeader: boolean;
let voters: readonly number[];
let learners: readonly number[];
let refuses: (voters: readonly number[]) => boolean;
let changer: MembershipChanger;
const standings = new Map<number, Standing>();

beforeEach(() => {
  isLeader = true;
  voters = FOUNDERS;
  learners = [];
  refuses = () => false;
  standings.clear();
  for (const node of [1, 2, 3]) standings.set(node, 'known');
  const group = {
    get isLeader() {
      return isLeader;
    },
    membership: () => configurationOf(voters, learners),
    changeMembership: (nextVoters: readonly number[], nextLearners: readonly number[] = []) => {
      const answer = { index: 1, code: '', message: '', difference: undefined };
      if (refuses(nextVoters)) return Promise.resolve({ ...answer, kind: 'unavailable' } as const);
      voters = nextVoters;
      learners = nextLearners;
      return Promise.resolve({ ...answer, kind: 'done' } as const);
    },
  };
  changer = new MembershipChanger(group, createNodeLog({ level: 'silent' }));
});

const standingOf = (node: number): Standing => standings.get(node) ?? 'unknown';
const look = (nowMs: number) => changer.dropStrangers(standingOf, nowMs);
const join = (isLive: boolean, isRemoved = false) =>
  changer.admit(
    { node: 4, incarnation: 77, role: 'disk' },
    { isRemoved, isLive: () => isLive, roleOf: () => 'disk' },
  );

test('a newcomer votes when its node is live, and not before', async () => {
  expect(await join(false)).toBe(false);
  expect({ voters, learners }).toEqual({ voters: FOUNDERS, learners: [JOINER] });
  standings.set(4, 'known');
  expect(await join(false)).toBe(false);
  expect(voters).toEqual(FOUNDERS);
  expect(await join(true)).toBe(true);
  expect({ voters, learners }).toEqual({ voters: [...FOUNDERS, JOINER], learners: [] });
});

test.each([
  ['learner', false],
  ['learner in the place of a node that was removed', true],
])('a %s that metadata never comes to know leaves after a while', async (_what, isRemoved) => {
  if (isRemoved) standings.set(4, 'removed');
  await join(false, isRemoved);
  await look(1_000);
  await look(1_000 + UNKNOWN_GRACE_MS - 1);
  expect(learners).toEqual([JOINER]);
  await look(1_000 + UNKNOWN_GRACE_MS);
  expect({ voters, learners }).toEqual({ voters: FOUNDERS, learners: [] });
  // It lives after all, and asks again.
  await join(false, isRemoved);
  await look(2_000 + UNKNOWN_GRACE_MS);
  expect(learners).toEqual([JOINER]);
});

test('so does a voter that an earlier version let in', async () => {
  voters = [...FOUNDERS, JOINER];
  await look(0);
  await look(UNKNOWN_GRACE_MS);
  expect(voters).toEqual(FOUNDERS);
});

test('who is known in time stays, and the time is that of one leader', async () => {
  await join(false);
  await look(0);
  isLeader = false;
  await look(10);
  isLeader = true;
  await look(UNKNOWN_GRACE_MS);
  expect(learners).toEqual([JOINER]);
  standings.set(4, 'known');
  await look(2 * UNKNOWN_GRACE_MS);
  standings.delete(4);
  await look(2 * UNKNOWN_GRACE_MS + 1);
  expect(learners).toEqual([JOINER]);
});

test('of two nodes one votes: the second waits for a third that is live', async () => {
  voters = FOUNDERS.slice(0, 1);
  const [second, third] = [peerOf(2, 5), peerOf(3, 6)];
  const live = new Set([2]);
  const ask = (node: number, incarnation: number) =>
    changer.admit(
      { node, incarnation, role: 'disk' },
      { isRemoved: false, isLive: (each) => live.has(each), roleOf: () => 'disk' },
    );
  expect(await ask(2, 5)).toBe(false);
  expect(await ask(3, 6)).toBe(false);
  expect({ voters, learners }).toEqual({
    voters: FOUNDERS.slice(0, 1),
    learners: [second, third],
  });
  // The second is gone when the third is there.
  live.delete(2);
  live.add(3);
  expect(await ask(3, 6)).toBe(false);
  live.add(2);
  expect(await ask(3, 6)).toBe(true);
  expect({ voters, learners }).toEqual({
    voters: [FOUNDERS[0], second, third],
    learners: [],
  });
});

test('who lost its folder takes the place of its old peer when it votes, not before', async () => {
  const again = peerOf(3, 9);
  const ask = (isLive: boolean) =>
    changer.admit(
      { node: 3, incarnation: 9, role: 'disk' },
      { isRemoved: false, isLive: () => isLive, roleOf: () => 'disk' },
    );
  expect(await ask(false)).toBe(false);
  expect({ voters, learners }).toEqual({ voters: FOUNDERS, learners: [again] });
  expect(await ask(true)).toBe(true);
  expect({ voters, learners }).toEqual({ voters: [...FOUNDERS.slice(0, 2), again], learners: [] });
});

test('a RAM node learns in each of its lives, and never votes', async () => {
  const ask = (incarnation: number) =>
    changer.admit(
      { node: 4, incarnation, role: 'ram' },
      { isRemoved: false, isLive: () => true, roleOf: () => 'ram' },
    );
  expect(await ask(77)).toBe(true);
  expect(await ask(78)).toBe(true);
  expect({ voters, learners }).toEqual({ voters: FOUNDERS, learners: [peerOf(4, 78)] });
});

test('who waited takes the place of its own old peer, also where another asks last', async () => {
  const [second, third] = [peerOf(2, 8), peerOf(3, 9)];
  const ask = (node: number, incarnation: number) =>
    changer.admit(
      { node, incarnation, role: 'disk' },
      { isRemoved: false, isLive: () => true, roleOf: () => 'disk' },
    );
  // It may vote, and the change that is to make it so is not done.
  refuses = (next) => next.includes(second);
  expect(await ask(2, 8)).toBe(false);
  refuses = () => false;
  expect(await ask(3, 9)).toBe(true);
  expect({ voters, learners }).toEqual({ voters: [FOUNDERS[0], second, third], learners: [] });
});

test('who comes in another role than that of its number does not vote', async () => {
  const roleOf = () => 'ram' as const;
  const ask = () =>
    changer.admit(
      { node: 4, incarnation: 77, role: 'disk' },
      { isRemoved: false, isLive: () => true, roleOf },
    );
  for (let times = 0; times < 2; times += 1) expect(await ask()).toBe(false);
  expect({ voters, learners }).toEqual({ voters: FOUNDERS, learners: [JOINER] });
});

test('who votes alone is known, and is alone no more when others vote', () => {
  voters = [peerOf(1, 1)];
  learners = [peerOf(2, 5)];
  expect([1, 2].map((node) => changer.votesAlone(node))).toEqual([true, false]);
  voters = FOUNDERS;
  expect(changer.votesAlone(1)).toBe(false);
});

test('a founder votes before it has ever come, and leaves when it is removed', async () => {
  standings.delete(3);
  await look(0);
  await look(10 * UNKNOWN_GRACE_MS);
  expect(voters).toEqual(FOUNDERS);
  standings.set(3, 'removed');
  await look(10 * UNKNOWN_GRACE_MS + 1);
  expect(voters).toEqual(FOUNDERS.slice(0, 2));
});
