import { expect, test } from 'vitest';
import { FailedLogins } from '../../../src/protocols/listening/failed-logins.ts';

const BOUNDS = { failedLoginsMax: 3, failedLoginEveryMs: 500 };

test('an address that failed too often waits, and others do not', () => {
  const logins = new FailedLogins(BOUNDS);
  for (let i = 0; i < 3; i += 1) {
    expect(logins.mayTry('a', 0)).toBe(true);
    logins.failed('a', 0);
  }
  expect(logins.mayTry('a', 0)).toBe(false);
  expect(logins.mayTry('b', 0)).toBe(true);
  expect(logins.mayTry('a', 499)).toBe(true);
});

test('whoever goes on guessing gets one guess for each interval', () => {
  const logins = new FailedLogins(BOUNDS);
  let looked = 0;
  for (let nowMs = 0; nowMs <= 60_000; nowMs += 10) {
    if (!logins.mayTry('a', nowMs)) continue;
    looked += 1;
    logins.failed('a', nowMs);
  }
  expect(looked).toBeGreaterThanOrEqual(120);
  expect(looked).toBeLessThanOrEqual(124);
});

test('failures are forgotten, and so are addresses beyond the bound', () => {
  const logins = new FailedLogins(BOUNDS);
  for (let i = 0; i < 3; i += 1) logins.failed('a', 0);
  expect(logins.mayTry('a', 1_500)).toBe(true);
  for (let i = 0; i < 3; i += 1) logins.failed('first', 2_000);
  for (let i = 0; i < 10_000; i += 1) logins.failed(`other-${i}`, 2_000);
  expect(logins.mayTry('first', 2_000)).toBe(true);
});
