// What a thread shows of itself, under the manual clock: exact times, and bounds that no flood moves.
import { describe, expect, test } from 'vitest';
import { actor, ask, protocol, tell } from '../../../src/actors/index.ts';
import type { ThreadInfo } from '../../../src/actors/inspect/snapshot.ts';
import { Timing } from '../../../src/actors/inspect/timing.ts';
import { fixture } from '../../../src/actors/testkit/index.ts';
import { none, u32, utf8 } from '../../../src/codec/index.ts';

const Work = protocol('work', 1, {
  take: tell(none),
  /** Lets the clock go on by so many milliseconds while it is handled. */
  block: tell(u32),
  fail: tell(utf8),
  aside: tell(none),
  wait: ask(none, u32),
  never: ask(none, u32),
});

function world(capacity = 1_024, overflow: 'reject' | 'drop-oldest' | 'drop-newest' = 'reject') {
  const f = fixture(1, {
    system: { strict: false, limits: { messagesPerDrain: 1_024, messagesPerCell: 64 } },
  });
  let release: (n: number) => void = () => undefined;
  const Worker = actor(
    Work,
    (ctx) => ({
      take: () => undefined,
      block: (ms) => {
        f.env.nowMs += ms;
      },
      fail: (why) => {
        throw new Error(why);
      },
      aside: () => void ctx.stash(),
      wait: () =>
        new Promise<number>((resolve) => {
          release = resolve;
        }),
      never: () => ctx.later<number>(),
    }),
    { mailbox: { capacity, overflow } },
  );
  const seen = (): ThreadInfo => JSON.parse(f.system.inspectJson()) as ThreadInfo;
  return {
    f,
    Worker,
    spawn: (name: string) => f.spawn(name, Worker, undefined),
    seen,
    work: () => seen().classes.find(({ name }) => name === 'work')!,
    release: (n: number) => release(n),
  };
}

describe('one actor', () => {
  test('its figures are exact', async () => {
    const { f, seen, spawn, work } = world(4);
    const one = spawn('one');
    for (let i = 0; i < 3; i += 1) one.tell('take', undefined);
    f.stepUntilIdle();
    one.tell('fail', 'no luck');
    f.advance(100);
    one.tell('aside', undefined);
    const open = one.ask('never', undefined, { timeoutMs: 5_000 });
    f.stepUntilIdle();
    for (let i = 0; i < 5; i += 1) one.offer('take', undefined);
    const [figures] = seen().actors.filter(({ path }) => path === '/one');
    expect(figures).toMatchObject({
      class: 'work',
      state: 'running',
      depth: 4,
      depthMax: 4,
      capacity: 4,
      handled: 6,
      failed: 1,
      restarts: 1,
      dropped: 0,
      stash: 1,
      asksOpen: 1,
    });
    const { actors, depth, failed, restarted, stash, asksOpen } = work();
    expect({ actors, depth, failed, restarted, stash, asksOpen }).toEqual({
      actors: 1,
      depth: 4,
      failed: 1,
      restarted: 1,
      stash: 1,
      asksOpen: 1,
    });
    expect(seen()).toMatchObject({ asksOpen: 1, asks: { asked: 1 } });
    f.system.sendStop(one.id);
    f.stepUntilIdle();
    await expect(open).rejects.toThrow('stopped');
    expect(seen()).toMatchObject({ asksOpen: 0 });
  });

  test('what its overflow policy drops is counted for it and for its class', () => {
    const { f, seen, spawn, work } = world(2, 'drop-oldest');
    const one = spawn('one');
    for (let i = 0; i < 5; i += 1) one.tell('take', undefined);
    f.stepUntilIdle();
    expect(seen().actors.find(({ path }) => path === '/one')).toMatchObject({ dropped: 3 });
    expect(work()).toMatchObject({ dropped: 3, depthMax: 2 });
  });
});

describe('durations', () => {
  test('a message that waits behind others is followed to its handler', () => {
    const { f, spawn, work } = world();
    const one = spawn('one');
    one.tell('take', undefined);
    f.stepUntilIdle();
    expect(work().wait.samples).toBe(0);
    one.tell('block', 30);
    one.tell('take', undefined);
    f.stepUntilIdle();
    // The first of the two is the one that was followed.
    expect(work().wait).toMatchObject({ samples: 1, maxMs: 0 });
    f.advance(1_000);
    one.tell('take', undefined);
    f.env.nowMs += 70;
    f.stepUntilIdle();
    expect(work().wait).toMatchObject({ samples: 2, maxMs: 70 });
  });

  test('a followed message of a mailbox that waits for an async handler shows how long it waited', async () => {
    const { f, spawn, work, release } = world();
    const one = spawn('one');
    f.stepUntilIdle();
    const answer = one.ask('wait', undefined, { timeoutMs: 10_000 });
    f.stepUntilIdle();
    one.tell('take', undefined);
    await f.advanceAsync(2_000);
    expect(work().depth).toBe(1);
    release(7);
    await f.advanceAsync(0);
    expect(await answer).toBe(7);
    expect(work().wait.maxMs).toBe(2_000);
    expect(work().handler).toMatchObject({ maxMs: 2_000 });
  });

  test('a burst is sampled, not timed whole, and the counts stay exact', () => {
    const { f, spawn, work } = world(100_000);
    let reads = 0;
    const { clock } = f.env;
    const read = clock.monotonicMs.bind(clock);
    clock.monotonicMs = () => {
      reads += 1;
      return read();
    };
    const one = spawn('one');
    f.stepUntilIdle();
    reads = 0;
    for (let i = 0; i < 64_000; i += 1) one.tell('take', undefined);
    f.stepUntilIdle();
    expect(work().handled).toBe(64_000);
    expect(work().handler.samples).toBeGreaterThan(10);
    // Two for each drain of 1,024 messages, and the samples: no message has a look at the clock of its own.
    expect(reads).toBeLessThan(640);
  });

  test('quantiles are upper bounds, at most twice the exact value', () => {
    const timing = new Timing();
    expect(timing.info()).toEqual({ samples: 0, meanMs: 0, p50Ms: 0, p99Ms: 0, maxMs: 0 });
    for (let ms = 1; ms <= 100; ms += 1) timing.add(ms);
    const { samples, meanMs, p50Ms, p99Ms, maxMs } = timing.info();
    expect({ samples, meanMs, maxMs }).toEqual({ samples: 100, meanMs: 50.5, maxMs: 100 });
    expect(p50Ms).toBeGreaterThanOrEqual(50);
    expect(p50Ms).toBeLessThanOrEqual(100);
    expect(p99Ms).toBeGreaterThanOrEqual(99);
    expect(p99Ms).toBeLessThanOrEqual(100);
    timing.add(Number.MAX_SAFE_INTEGER);
    timing.add(-1);
    expect(timing.info().samples).toBe(102);
  });
});

describe('slow handlers', () => {
  test('the only message of a drain is named at once, with its operation and its path', () => {
    const { f, spawn, seen } = world();
    const one = spawn('one');
    f.stepUntilIdle();
    for (let i = 0; i < 2_000; i += 1) {
      one.tell('take', undefined);
      f.stepUntilIdle();
    }
    one.tell('block', 80);
    f.stepUntilIdle();
    const { slowHandlers, slowDrains, slowMs, atMs } = seen();
    expect(slowMs).toBe(50);
    expect(slowHandlers).toEqual([
      {
        class: 'work',
        op: 'block',
        count: 1,
        longestMs: 80,
        recent: [{ atMs, ms: 80, path: '/one' }],
      },
    ]);
    expect(slowDrains).toEqual({ count: 1, longestMs: 80, unattributed: 0 });
  });

  test('one among many is counted at once and named the next time', () => {
    const { f, spawn, seen } = world();
    const one = spawn('one');
    f.stepUntilIdle();
    const burst = (): void => {
      for (let i = 0; i < 40; i += 1) {
        if (i === 39) one.tell('block', 60);
        else one.tell('take', undefined);
      }
      f.stepUntilIdle();
    };
    burst();
    expect(seen().slowDrains).toMatchObject({ count: 1, longestMs: 60, unattributed: 1 });
    burst();
    const { slowHandlers, slowDrains } = seen();
    expect(slowHandlers).toMatchObject([{ class: 'work', op: 'block', count: 1, longestMs: 60 }]);
    expect(slowDrains).toMatchObject({ count: 2, unattributed: 1 });
  });

  test('an async handler is slow by the time until its promise settles', async () => {
    const { f, spawn, seen, release } = world();
    const one = spawn('one');
    const answer = one.ask('wait', undefined, { timeoutMs: 10_000 });
    f.stepUntilIdle();
    await f.advanceAsync(120);
    release(1);
    await f.advanceAsync(0);
    expect(await answer).toBe(1);
    expect(seen().slowHandlers).toMatchObject([{ op: 'wait', count: 1, longestMs: 120 }]);
    expect(seen().slowDrains.count).toBe(0);
  });

  test('a setup that blocks is seen as such', () => {
    const { f, seen } = world();
    const Late = actor(Work, () => {
      f.env.nowMs += 90;
      const nothing = () => undefined;
      return {
        take: nothing,
        block: nothing,
        fail: nothing,
        aside: nothing,
        wait: () => 0,
        never: () => 0,
      };
    });
    f.spawn('late', Late, undefined);
    f.stepUntilIdle();
    expect(seen().slowHandlers).toMatchObject([{ op: '(setup or signal)', longestMs: 90 }]);
  });

  test('the last eight of an operation are kept, and 256 operations', () => {
    const { f, spawn, seen } = world();
    const one = spawn('one');
    for (let ms = 51; ms < 71; ms += 1) {
      one.tell('block', ms);
      f.stepUntilIdle();
    }
    const [slow] = seen().slowHandlers;
    expect(slow).toMatchObject({ count: 20, longestMs: 70 });
    expect(slow!.recent.map(({ ms }) => ms)).toEqual([63, 64, 65, 66, 67, 68, 69, 70]);
    for (let i = 0; i < 300; i += 1) {
      const Other = protocol(`other-${i}`, 1, { go: tell(none) });
      const Blocked = actor(Other, () => ({
        go: () => {
          f.env.nowMs += 51;
        },
      }));
      const other = f.spawn(`other-${i}`, Blocked, undefined);
      f.stepUntilIdle();
      other.tell('go', undefined);
      f.stepUntilIdle();
    }
    expect(seen().slowHandlers.length).toBe(256);
  });
});

describe('failures', () => {
  test('are kept with message, directive and time, and only the last 32', () => {
    const { f, spawn, seen } = world();
    const one = spawn('one');
    one.tell('fail', 'first');
    f.stepUntilIdle();
    expect(seen().failures).toEqual([
      { atMs: 0, path: '/one', class: 'work', message: 'first', directive: 'restart', restarts: 0 },
    ]);
    for (let i = 0; i < 50; i += 1) {
      const next = spawn(`next-${i}`);
      next.tell('fail', `${i} ${'x'.repeat(10_000)}`);
      f.stepUntilIdle();
    }
    const { failures } = seen();
    expect(failures.length).toBe(32);
    expect(failures.at(-1)!.message).toMatch(/^49 x+…$/);
    expect(failures.at(-1)!.message.length).toBe(256);
  });

  test('whatever is thrown is shown', () => {
    const f = fixture(1);
    const Odd = actor(Work, () => ({
      take: () => {
        const odd = new Error('odd');
        Object.defineProperty(odd, 'message', {
          get() {
            throw new Error('not to be seen');
          },
        });
        throw odd;
      },
      block: () => undefined,
      fail: () => undefined,
      aside: () => undefined,
      wait: () => 0,
      never: () => 0,
    }));
    f.spawn('odd', Odd, undefined).tell('take', undefined);
    f.stepUntilIdle();
    expect(f.system.inspection().failures).toMatchObject([
      { path: '/odd', message: 'something that cannot be shown' },
    ]);
  });
});

describe('bounds', () => {
  test('a million dead letters are counted, and 64 kinds are kept', () => {
    const { f, seen } = world();
    const { deadLetters } = f.system;
    for (let i = 0; i < 1_000_000; i += 1) deadLetters.add(`/gone/${i}`, 'take', 'gone');
    f.env.nowMs = 5;
    deadLetters.add('/gone/999990', 'take', 'gone', 3);
    const { total, byReason, recent } = seen().deadLetters;
    expect({ total, gone: byReason.gone, kept: recent.length }).toEqual({
      total: 1_000_003,
      gone: 1_000_003,
      kept: 64,
    });
    expect(recent[0]).toEqual({
      target: '/gone/999990',
      op: 'take',
      reason: 'gone',
      count: 4,
      firstMs: 0,
      lastMs: 5,
    });
    expect(recent[1]).toMatchObject({ target: '/gone/999999' });
    expect(deadLetters.recent.length).toBe(64);
    expect(deadLetters.recent.at(-1)!.target).toBe('/gone/999990');
    deadLetters.add('/'.padEnd(1_000_000, 'x'), 'take', 'gone');
    expect(seen().deadLetters.recent[0]!.target.length).toBe(256);
  });

  test('of 100,000 actors a thousand are in the tree, and the one that matters is shown apart', () => {
    const { f, spawn, seen, work } = world();
    for (let i = 0; i < 100_000; i += 1) spawn(`w${i}`);
    f.stepUntilIdle();
    f.advance(500);
    const last = spawn('deep');
    f.stepUntilIdle();
    for (let i = 0; i < 9; i += 1) last.tell('take', undefined);
    const text = f.system.inspectJson();
    expect(text.length).toBeLessThan(600_000);
    const info = seen();
    expect(info.actors.length).toBe(1_001);
    expect(info.omitted).toEqual({ work: 99_001 });
    expect(info.busiest[0]).toMatchObject({ path: '/deep', depth: 9 });
    expect(info.busiest.length).toBeLessThanOrEqual(96);
    expect(work()).toMatchObject({ actors: 100_001, depth: 9 });
  });

  test('actors that come and go leave nothing behind but their counts', () => {
    const { f, spawn, seen, work } = world();
    for (let i = 0; i < 20_000; i += 1) {
      const one = spawn('one');
      one.tell('take', undefined);
      f.stepUntilIdle();
      one.tell('take', undefined);
      f.system.sendStop(one.id);
      f.stepUntilIdle();
    }
    expect(seen().actors.map(({ path }) => path)).toEqual(['/runtime']);
    expect(work()).toMatchObject({ spawned: 20_000, stopped: 20_000, actors: 0 });
    expect(f.system.metrics.of('work').stamped).toBeUndefined();
  });
});
