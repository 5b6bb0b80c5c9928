// When a node with a past may speak in the metadata group: what the others say of it decides, and how long they have.
import { expect, test } from 'vitest';
import {
  KNOWN_GRACE_MS,
  type KnownLife,
  PastCheck,
} from '../../../src/cluster/metadata-shell/past-check.ts';

const OWN_BOOT = 3;

const check = (isFounded = true) =>
  new PastCheck({
    others: [1, 2],
    isFounded,
    isForgotten: ({ bootCounter }) => bootCounter > OWN_BOOT,
  });

const says = (standing: KnownLife['standing'], bootCounter = OWN_BOOT): KnownLife => ({
  incarnation: 1,
  bootCounter,
  standing,
});

const NOTHING: KnownLife = { incarnation: 0, bootCounter: 0, standing: 'blank' };

test('the word of the leader is enough', () => {
  expect(check().heard(1, says('leads'), 0)).toBe('speak');
});

test('where nobody leads all others have to say so, and then nobody waits', () => {
  const past = check();
  expect(past.heard(1, says('alone'), 0)).toBe('ask');
  expect(past.heard(2, says('alone'), 1)).toBe('speak');
});

test('one that starts seconds later than the first may be the only one that knows better', () => {
  const past = check();
  expect(past.heard(1, says('alone'), 0)).toBe('ask');
  expect(past.heard(1, says('alone'), 3_000)).toBe('ask');
  expect(past.heard(2, says('alone', OWN_BOOT + 1), 3_010)).toBe('ask');
  expect(past.isForgotten).toBe(true);
  // Nothing that others say makes it young again.
  expect(past.heard(1, says('leads'), 60_000)).toBe('ask');
  expect(past.heard(2, says('follows', OWN_BOOT + 1), 60_010)).toBe('end');
});

test('one that stays away is not waited for longer than that', () => {
  const past = check();
  expect(past.heard(1, says('alone'), 100)).toBe('ask');
  expect(past.heard(1, says('alone'), 100 + KNOWN_GRACE_MS)).toBe('speak');
});

test('time in which nobody answers is no time that somebody had', () => {
  const past = check();
  past.heard(1, says('alone'), 0);
  past.unheard(1);
  expect(past.heard(1, says('alone'), KNOWN_GRACE_MS)).toBe('ask');
  expect(past.heard(1, says('alone'), 2 * KNOWN_GRACE_MS)).toBe('speak');
});

test('whom a follower follows is asked for as long as it leads', () => {
  const past = check();
  expect(past.heard(1, says('follows'), 0)).toBe('ask');
  expect(past.heard(1, says('follows'), 10 * KNOWN_GRACE_MS)).toBe('ask');
  expect(past.heard(1, says('alone'), 10 * KNOWN_GRACE_MS + 50)).toBe('ask');
  expect(past.heard(1, says('alone'), 11 * KNOWN_GRACE_MS)).toBe('speak');
});

test('a member without metadata knows nothing: its answer begins no time', () => {
  const past = check();
  expect(past.heard(1, NOTHING, 0)).toBe('ask');
  expect(past.heard(1, NOTHING, 10 * KNOWN_GRACE_MS)).toBe('ask');
  expect(past.heard(2, says('alone'), 10 * KNOWN_GRACE_MS)).toBe('speak');
});

test('where there never was a cluster members without metadata are members', () => {
  const past = check(false);
  expect(past.heard(1, NOTHING, 0)).toBe('ask');
  expect(past.heard(1, NOTHING, KNOWN_GRACE_MS)).toBe('speak');
});
