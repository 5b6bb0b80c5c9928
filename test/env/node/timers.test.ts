import { describe, expect, test } from 'vitest';
import { createNodeClock } from '../../../src/env/node/clock.ts';
import { LONGEST_TIMEOUT_MS, NodeTimers } from '../../../src/env/node/timers.ts';

const clock = createNodeClock();

/** Resolves when a timer of `timers` at `dueMs` fires. */
function due(timers: NodeTimers, dueMs: number): Promise<void> {
  return new Promise((resolve) => void timers.at(dueMs, resolve));
}

describe('timers of the real world', () => {
  test('fire in the order of due time, then of creation, and never early', async () => {
    const timers = new NodeTimers(clock);
    const nowMs = clock.monotonicMs();
    const fired: string[] = [];
    const early: string[] = [];
    const set = (name: string, dueMs: number): void => {
      timers.at(dueMs, () => {
        fired.push(name);
        if (clock.monotonicMs() < dueMs) early.push(name);
      });
    };
    set('c', nowMs + 20);
    set('a', nowMs - 5);
    set('d', nowMs + 20);
    set('b', nowMs + 5);
    await due(timers, nowMs + 20);
    expect(fired).toEqual(['a', 'b', 'c', 'd']);
    expect(early).toEqual([]);
  });

  test('a cancelled timer does not fire, and cancelling again changes nothing', async () => {
    const timers = new NodeTimers(clock);
    const nowMs = clock.monotonicMs();
    const fired: string[] = [];
    const cancel = timers.at(nowMs + 1, () => fired.push('cancelled'));
    cancel();
    cancel();
    const cancelLater = timers.at(nowMs + 2, () => fired.push('kept'));
    await due(timers, nowMs + 3);
    cancelLater();
    expect(fired).toEqual(['kept']);
    expect(timers.pendingCount).toBe(0);
  });

  test('a wait longer than setTimeout can express does not fire at once', async () => {
    const timers = new NodeTimers(clock);
    const nowMs = clock.monotonicMs();
    let isFired = false;
    const cancel = timers.at(nowMs + LONGEST_TIMEOUT_MS * 3, () => {
      isFired = true;
    });
    await due(timers, nowMs + 5);
    expect(isFired).toBe(false);
    expect(timers.pendingCount).toBe(1);
    cancel();
    expect(timers.pendingCount).toBe(0);
  });

  test('a timer that re-arms itself for now lets others and the loop have their turn', async () => {
    const timers = new NodeTimers(clock);
    let rounds = 0;
    let isStopped = false;
    const again = (): void => {
      rounds += 1;
      if (!isStopped) timers.at(clock.monotonicMs() - 1, again);
    };
    timers.at(0, again);
    await due(timers, clock.monotonicMs() + 10);
    await new Promise((resolve) => setImmediate(resolve));
    isStopped = true;
    expect(rounds).toBeGreaterThan(1);
  });

  test('ten thousand cancelled timers do not stay in memory until they are due', () => {
    const timers = new NodeTimers(clock);
    const farMs = clock.monotonicMs() + 3_600_000;
    const cancels = Array.from({ length: 10_000 }, () => timers.at(farMs, () => undefined));
    const keep = timers.at(farMs, () => undefined);
    for (const cancel of cancels) cancel();
    expect(timers.pendingCount).toBe(1);
    expect(timers.heldCount).toBeLessThan(200);
    keep();
  });

  test('a timer that throws does not take the later ones with it', async () => {
    const timers = new NodeTimers(clock);
    const nowMs = clock.monotonicMs();
    const seen: unknown[] = [];
    const listeners = process.listeners('uncaughtException');
    process.removeAllListeners('uncaughtException');
    process.once('uncaughtException', (error) => seen.push(error.message));
    timers.at(nowMs, () => {
      throw new Error('broken timer');
    });
    await due(timers, nowMs + 1);
    for (const listener of listeners) process.on('uncaughtException', listener);
    expect(seen).toEqual(['broken timer']);
  });
});
