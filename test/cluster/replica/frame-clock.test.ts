// How much of a new leader's log time is not known to have passed.
import { expect, test } from 'vitest';
import { FrameClock } from '../../../src/cluster/replica/frame-clock.ts';

function start(lastLogTimeMs: number, endSeq: number) {
  const stored = { lastLogTimeMs, endSeq };
  const at = { nowMs: 1_000.5 };
  const clock = new FrameClock(stored, () => at.nowMs);
  const frame = (logTimeMs: number): void => {
    stored.lastLogTimeMs = logTimeMs;
    stored.endSeq += 1;
    clock.look();
  };
  return { stored, at, clock, frame };
}

test('is nothing where the clock went on with what passed since the last frame', () => {
  const { at, clock, frame } = start(0, 0);
  expect(clock.skewMs(123_456)).toBe(0);
  frame(50_000);
  at.nowMs += 700;
  expect(clock.skewMs(50_700)).toBe(0);
  expect(clock.skewMs(90_700)).toBe(40_000);
  expect(clock.skewMs(50_000)).toBe(-700);
});

test('counts from the start of the process at most, and from what was missed not at all', () => {
  const { at, clock, stored } = start(50_000, 7);
  at.nowMs += 300;
  expect(clock.skewMs(60_000)).toBe(9_700);
  stored.endSeq = 9;
  expect(clock.skewMs(60_000)).toBe(10_000);
});

test('counts no time twice where an epoch begins in the millisecond of the frame before', () => {
  const { at, clock, frame } = start(0, 0);
  frame(50_000);
  at.nowMs += 500;
  expect(clock.skewMs(50_000)).toBe(-500);
  // The begin of the epoch, by a clock that is behind.
  frame(50_000);
  at.nowMs += 200;
  expect(clock.skewMs(50_000)).toBe(-200);
});
