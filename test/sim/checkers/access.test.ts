import { expect, test } from 'vitest';
import {
  ACCESS_BOUND_MS,
  type AccessAttempt,
  type AccessHistory,
  checkAccess,
  countJudged,
} from '../../../src/sim/checkers/access.ts';

const FROM = 1_000;
const UNTIL = FROM + ACCESS_BOUND_MS + 2_000;

function history(attempts: readonly Partial<AccessAttempt>[]): AccessHistory {
  const base = { user: 'u', vhost: 'v', what: 'publish', beganMs: 0, outcome: 'done' } as const;
  return {
    attempts: attempts.map((each) => ({ ...base, ...each })),
    forbidden: [{ user: 'u', vhost: 'v', fromMs: FROM, untilMs: UNTIL }],
    seen: [],
  };
}

const late = FROM + ACCESS_BOUND_MS;

test('what is done without the right, after the time for it, is a finding', () => {
  const found = checkAccess(history([{ beganMs: late }, { beganMs: UNTIL - 1, what: 'get' }]));
  expect(found.map(({ check }) => check)).toEqual(['access/late-right', 'access/late-right']);
});

test.each<[string, Partial<AccessAttempt>]>([
  ['before', { beganMs: late - 1 }],
  ['after', { beganMs: UNTIL }],
  ['refused', { beganMs: late, outcome: 'refused' }],
  ['unknown', { beganMs: late, outcome: 'unknown' }],
  ['of another user', { beganMs: late, user: 'x' }],
  ['in another vhost', { beganMs: late, vhost: '/' }],
])('what is %s is none', (_, attempt) => {
  expect(checkAccess(history([attempt]))).toEqual([]);
});

test('a message in another vhost is a finding', () => {
  const seen = [
    { vhost: 'v', from: 'v', atMs: 1 },
    { vhost: 'v', from: '/', atMs: 2 },
  ];
  const found = checkAccess({ ...history([]), seen });
  expect(found.map(({ check }) => check)).toEqual(['access/other-vhost']);
});

test('only refusals that were due are counted', () => {
  const attempts = [
    { beganMs: late, outcome: 'refused' },
    { beganMs: 0, outcome: 'refused' },
    { beganMs: 0 },
  ] as const;
  expect(countJudged(history(attempts))).toEqual({ refused: 1, done: 1 });
});
