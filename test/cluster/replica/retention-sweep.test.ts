// When logs are looked at, and what is kept for that.
import { expect, test } from 'vitest';
import type { HostedLog } from '../../../src/cluster/replica/hosted-log.ts';
import { RetentionSweep } from '../../../src/cluster/replica/retention-sweep.ts';

const WEEK_MS = 7 * 24 * 3_600_000;

/** A log that is due when `inMs` says so; each look is noted. */
class Subject {
  inMs = WEEK_MS;
  looks = 0;
  readonly limits = { ageMs: WEEK_MS, bytes: 1, stepBytes: 1 };

  retentionDueInMs(): number {
    return this.inMs;
  }

  retain(): number {
    this.looks += 1;
    this.inMs = WEEK_MS;
    return WEEK_MS;
  }

  get asLog(): HostedLog {
    return this as unknown as HostedLog;
  }
}

function start() {
  const at = { nowMs: 0 };
  const timers: { dueMs: number; fire: () => void }[] = [];
  const sweep = new RetentionSweep({
    nowMs: () => at.nowMs,
    after: (delayMs, fire) => void timers.push({ dueMs: at.nowMs + delayMs, fire }),
    guard: (_hosted, work) => work(),
  });
  const advance = (ms: number): void => {
    const endMs = at.nowMs + ms;
    for (;;) {
      timers.sort((a, b) => a.dueMs - b.dueMs);
      if (timers.length === 0 || timers[0]!.dueMs > endMs) break;
      const { dueMs, fire } = timers.shift()!;
      at.nowMs = dueMs;
      fire();
    }
    at.nowMs = endMs;
  };
  return { sweep, advance };
}

test('looks at a log when it is due, and no more when it is forgotten', () => {
  const { sweep, advance } = start();
  const [kept, gone] = [new Subject(), new Subject()];
  kept.inMs = gone.inMs = 5_000;
  sweep.touch(kept.asLog);
  sweep.touch(gone.asLog);
  sweep.forget(gone.asLog);
  advance(4_900);
  expect(kept.looks).toBe(0);
  advance(200);
  expect([kept.looks, gone.looks]).toEqual([1, 0]);
  expect(sweep.size).toBe(1);
});

test('a busy log that is looked at every second leaves no entry for each look', () => {
  const { sweep, advance } = start();
  const busy = new Subject();
  for (let i = 0; i < 1_000; i += 1) {
    busy.inMs = 0;
    sweep.touch(busy.asLog);
    advance(1_100);
  }
  expect(busy.looks).toBe(1_000);
  expect(sweep.size).toBe(1);
  expect(sweep.entries).toBeLessThan(100);
});

test('logs that were deleted are kept by nothing until they would have been due', () => {
  const { sweep } = start();
  for (let i = 0; i < 1_000; i += 1) {
    const subject = new Subject();
    sweep.touch(subject.asLog);
    sweep.forget(subject.asLog);
  }
  expect(sweep.size).toBe(0);
  expect(sweep.entries).toBeLessThan(100);
});
