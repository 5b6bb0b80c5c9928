import { expect, test } from 'vitest';
import { inWorld } from '../../src/sim/runner.ts';

test('timers of one process fire in order of due time, then of creation, never early', async () => {
  for (let seed = 0; seed < 20; seed += 1) {
    await inWorld(seed, {}, async (world) => {
      const { clock, timers } = world.node('n1').start().environment;
      const startMs = clock.monotonicMs();
      const fired: string[] = [];
      const note = (name: string, dueMs: number) => () => {
        expect(clock.monotonicMs()).toBeGreaterThanOrEqual(startMs + dueMs);
        fired.push(name);
      };
      timers.at(startMs + 20, note('c', 20));
      timers.at(startMs + 10, note('a', 10));
      timers.at(startMs + 10, note('b', 10));
      timers.at(startMs - 5, note('past', -5));
      const cancel = timers.at(startMs + 15, note('cancelled', 15));
      cancel();
      await world.advance(100);
      expect(fired).toEqual(['past', 'a', 'b', 'c']);
    });
  }
});

test('a changed clock rate moves timers that are set, and the clock never goes back', async () => {
  await inWorld(1, {}, async (world) => {
    const node = world.node('n1');
    const { clock, timers } = node.start().environment;
    const startMs = clock.monotonicMs();
    let firedAtMs = 0;
    timers.at(startMs + 1_000, () => {
      firedAtMs = world.nowMs;
    });
    node.setClockRate(2);
    await world.advance(300);
    node.setClockRate(0.5);
    node.clock.jumpWall(-1e9);
    expect(clock.monotonicMs()).toBeGreaterThan(startMs + 599);
    await world.advance(2_000);
    expect(firedAtMs).toBeGreaterThanOrEqual(1_100);
    expect(firedAtMs).toBeLessThan(1_120);
  });
});

test('soon runs tasks in order, after the present event, and tasks they add later still', async () => {
  await inWorld(1, {}, async (world) => {
    const { runQueue } = world.node('n1').start().environment;
    const ran: number[] = [];
    runQueue.soon(() => {
      ran.push(1);
      runQueue.soon(() => ran.push(3));
    });
    runQueue.soon(() => ran.push(2));
    expect(ran).toEqual([]);
    await world.advance(1);
    expect(ran).toEqual([1, 2, 3]);
  });
});

test('of a dead process nothing fires again, and its calls fail the run', async () => {
  await inWorld(1, {}, async (world) => {
    const node = world.node('n1');
    const { clock, disk, runQueue, timers } = node.start().environment;
    let fired = 0;
    const fire = (): void => {
      fired += 1;
    };
    timers.at(clock.monotonicMs() + 5, fire);
    runQueue.soon(fire);
    disk.open('f', { mode: 'create' }).write(new Uint8Array(1), 0, fire);
    disk.removeTree('g').then(fire, fire);
    node.kill();
    await world.advance(1_000);
    expect(fired).toBe(0);
    expect(world.failure).toBeUndefined();
    expect(() => timers.at(1, fire)).toThrow('n1#1 is dead');
    expect(world.failure?.check).toBe('dead-process');
  });
});

test('a paused process does nothing, then all that waited in its order', async () => {
  await inWorld(2, {}, async (world) => {
    const node = world.node('n1');
    const { clock, timers } = node.start().environment;
    const fired: number[] = [];
    for (const delay of [30, 10, 20])
      timers.at(clock.monotonicMs() + delay, () => fired.push(delay));
    node.pause();
    await world.advance(100);
    expect(fired).toEqual([]);
    node.resume();
    await world.advance(10);
    expect(fired).toEqual([10, 20, 30]);
  });
});

test('chains of promises, however long, are run before the next event', async () => {
  await inWorld(3, {}, async (world) => {
    const { clock, timers } = world.node('n1').start().environment;
    const order: string[] = [];
    const chain = async (): Promise<void> => {
      for (let i = 0; i < 500; i += 1) await undefined;
      order.push('chain');
    };
    timers.at(clock.monotonicMs() + 1, () => {
      order.push('first');
      void chain();
    });
    timers.at(clock.monotonicMs() + 1, () => order.push('second'));
    await world.advance(50);
    expect(order).toEqual(['first', 'chain', 'second']);
  });
});

test('what a process throws fails the run and names the process', async () => {
  await inWorld(4, {}, async (world) => {
    world
      .node('n1')
      .start()
      .environment.runQueue.soon(() => {
        throw new Error('boom');
      });
    await world.advance(10);
    expect(world.failure).toMatchObject({
      check: 'uncaught',
      message: expect.stringContaining('n1#1: Error: boom'),
    });
  });
});

test('two starts have unlike random streams and unrelated monotonic clocks', async () => {
  await inWorld(5, {}, async (world) => {
    const node = world.node('n1');
    const first = node.start().environment;
    const draws = [first.random.u32(), first.random.u32()];
    const clock = first.clock.monotonicMs();
    node.kill();
    const second = node.start().environment;
    expect([second.random.u32(), second.random.u32()]).not.toEqual(draws);
    expect(second.clock.monotonicMs()).not.toBe(clock);
    expect(node.starts).toBe(2);
    expect(node.systemBoots).toBe(1);
  });
});

test('buggify is armed for about a quarter of the sites and fires a quarter of the time', async () => {
  await inWorld(6, {}, async (world) => {
    const { buggify } = world.node('n1').start().environment;
    for (let i = 0; i < 400; i += 1) for (let n = 0; n < 100; n += 1) buggify(`site ${i}`);
    const counts = world.buggifyCounts();
    const armed = counts.filter((site) => site.isArmed);
    expect(armed.length).toBeGreaterThan(60);
    expect(armed.length).toBeLessThan(140);
    const fires = armed.reduce((sum, site) => sum + site.fires, 0) / (armed.length * 100);
    expect(fires).toBeGreaterThan(0.2);
    expect(fires).toBeLessThan(0.3);
  });
});

test('a bug site is on only when asked for, whatever else is armed', async () => {
  await inWorld(7, { bug: 'lie' }, async (world) => {
    const { buggify } = world.node('n1').start().environment;
    expect([buggify('bug.lie'), buggify('bug.lie'), buggify('bug.other')]).toEqual([
      true,
      true,
      false,
    ]);
  });
});

test('threads are refused with a sentence', async () => {
  await inWorld(8, {}, async (world) => {
    const { threads } = world.node('n1').start().environment;
    expect(threads.boot.index).toBe(0);
    expect(threads.canHandOver).toBe(false);
    expect(() => threads.start(new URL('file:///x.js'), 1, undefined)).toThrow('set shards to 0');
  });
});
