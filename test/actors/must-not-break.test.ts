// What the runtime must survive: floods, volleys, and actors by the hundred thousand. Work and memory are
// counted, in the tables of the runtime and, for one of them, in a process of its own with its heap.
import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import type { Context, Ref, System } from '../../src/actors/index.ts';
import { actor, ask, createSystem, protocol, tell } from '../../src/actors/index.ts';
import { bytes, none, record, u32 } from '../../src/codec/index.ts';
import type { Log } from '../../src/env/environment.ts';
import { createNodeEnvironment } from '../../src/env/node/environment.ts';
import { makeWorld, PLACES, SLAB_BYTES } from './worlds.ts';

const ignore = () => undefined;
const quiet: Log = { debug: ignore, info: ignore, warn: ignore, error: ignore, child: () => quiet };

const Slow = protocol('slow', 1, {
  take: tell(record({ n: u32, body: bytes })),
  taken: ask(none, u32),
});
const CAPACITY = 100;
const SLOT = 9;

describe.each(PLACES)('a flood to a slow actor, %s', (place) => {
  test.each([
    ['reject', 'full'],
    ['drop-oldest', 'dropped'],
    ['drop-newest', 'dropped'],
  ] as const)(
    '%s: memory is bounded, and every message is handled, waits or is counted',
    async (overflow, reason) => {
      const world = makeWorld(place);
      const { env, here, there } = world;
      const handled: number[] = [];
      let finish: () => void = ignore;
      const SlowActor = actor(
        Slow,
        (_ctx, _args: undefined) => ({
          // One message at a time, each only when the test lets it end.
          take: ({ n }) => {
            handled.push(n);
            return new Promise<void>((done) => {
              finish = done;
            });
          },
          taken: () => handled.length,
        }),
        { mailbox: { capacity: CAPACITY, overflow } },
      );
      there.spawnWellKnown(SLOT, 'slow', SlowActor, undefined);
      const slow = world.ref(Slow, SLOT);
      const depth = () => there.cellOf(slow.id)!.lane.count;
      const letters = () => here.deadLetters.total + (here === there ? 0 : there.deadLetters.total);
      const SENT = 20_000;
      let deepest = 0;
      let lent = 0;
      for (let n = 0; n < SENT; n += 1) {
        // Every hundredth is a large one, which no ring carries itself.
        slow.tell('take', { n, body: new Uint8Array(n % 100 === 0 ? 16 * 1024 : 8) });
        if (n % 1_000 !== 0) continue;
        await env.settle();
        deepest = Math.max(deepest, depth());
        lent = Math.max(lent, world.lentBytes());
      }
      await env.settle();
      expect(deepest).toBeLessThanOrEqual(CAPACITY);
      expect(lent).toBeLessThanOrEqual(SLAB_BYTES);
      expect(handled.length + depth() + letters()).toBe(SENT);
      expect(letters()).toBeGreaterThan(SENT - 20 * CAPACITY);
      const counted =
        here.deadLetters.counts[reason] + (here === there ? 0 : there.deadLetters.counts[reason]);
      expect(counted).toBeGreaterThan(0);
      // Those counted are kept in a list of 64.
      expect(there.deadLetters.recent.length).toBeLessThanOrEqual(64);
      // What waited is handled in its order, when the actor gets on.
      for (let i = 0; i < 2 * CAPACITY; i += 1) {
        finish();
        await env.settle();
      }
      expect(depth()).toBe(0);
      expect(handled.length + letters()).toBe(SENT);
      expect(handled).toEqual([...handled].sort((a, b) => a - b));
      expect(world.lentBytes()).toBe(0);
    },
  );
});

describe('two volleying actors', () => {
  const Ball = protocol('ball', 1, { hit: tell(none), knows: tell(none) });

  /** Two actors that hit a ball to each other until `isOver`. */
  function volley(system: System, isOver: () => boolean): { count(): number } {
    let hits = 0;
    const others: Ref<typeof Ball.ops>[] = [];
    const Player = actor(Ball, (_ctx, index: number) => ({
      hit: () => {
        hits += 1;
        if (!isOver()) others[1 - index]!.tell('hit', undefined);
      },
      knows: ignore,
    }));
    for (const index of [0, 1]) others.push(system.spawn(`player${index}`, Player, index));
    others[0]!.tell('hit', undefined);
    return { count: () => hits };
  }

  test('a due timer is delivered after at most one drain', async () => {
    const real = createNodeEnvironment({ log: quiet });
    let atDue = 0;
    // Notes how many drains there were when the loop got to a due timer.
    const at = (dueMs: number, fire: () => void) =>
      real.timers.at(dueMs, () => {
        atDue = system.turn.count;
        fire();
      });
    const system: System = createSystem({ ...real, timers: { at } }, { name: 'volley' });
    const Timed = protocol('timed', 1, { tick: tell(none) });
    const drains: number[] = [];
    let isDone: () => void = ignore;
    const done = new Promise<void>((resolve) => {
      isDone = resolve;
    });
    const TimedActor = actor(Timed, (ctx: Context<typeof Timed.ops>, _args: undefined) => {
      const next = () => ctx.schedule('tick', 2, 'tick', undefined);
      next();
      return {
        tick: () => {
          drains.push(system.turn.count - atDue);
          if (drains.length < 50) next();
          else isDone();
        },
      };
    });
    const game = volley(system, () => drains.length >= 50);
    system.spawn('timed', TimedActor, undefined);
    await done;
    expect(game.count()).toBeGreaterThan(1_000);
    expect(Math.max(...drains)).toBeLessThanOrEqual(1);
    await system.shutdown({ timeoutMs: 1_000 });
  });

  test('sockets are served between the drains', async () => {
    const env = createNodeEnvironment({ log: quiet });
    const system = createSystem(env, { name: 'volley' });
    let echoes = 0;
    const listener = await env.net.listen({ host: '127.0.0.1', port: 0 }, (connection) => {
      connection.start({ onBytes: (view) => connection.write(view.slice()), onClose: ignore });
    });
    const game = volley(system, () => echoes >= 200);
    const before = game.count();
    const client = env.net.connect(listener.address, { timeoutMs: 5_000 });
    await new Promise<void>((resolve) => {
      client.start({
        onOpen: () => client.write(Uint8Array.of(1)),
        onBytes: () => {
          echoes += 1;
          if (echoes < 200) client.write(Uint8Array.of(1));
          else resolve();
        },
        onClose: ignore,
      });
    });
    // The volley went on all the time: a drain between every two looks at the sockets.
    expect(game.count() - before).toBeGreaterThan(10_000);
    client.destroy();
    listener.close();
    await system.shutdown({ timeoutMs: 1_000 });
  });
});

test('100,000 actors started and stopped leave nothing behind: no slot, timer, watch, ask or memory', () => {
  const program = fileURLToPath(new URL('./workers/hundred-thousand.mjs', import.meta.url));
  const args = ['--expose-gc', program];
  const rounds = JSON.parse(execFileSync(process.execPath, args, { encoding: 'utf8' })) as {
    readonly started: number;
    readonly left: Readonly<Record<string, number>>;
    readonly heapBytes: number;
  }[];
  expect(rounds.length).toBe(2);
  for (const { started, left } of rounds) {
    expect(started).toBe(100_000);
    expect(left).toEqual({ actors: 1, deadlines: 0, asks: 0, watched: 0, classes: 2, ready: 0 });
  }
  // Tables keep the size that they once had, and no more comes to it. Less than 10 bytes an actor.
  expect(rounds[1]!.heapBytes - rounds[0]!.heapBytes).toBeLessThan(1_000_000);
}, 240_000);
