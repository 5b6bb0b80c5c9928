// The runtime of one thread: order, bounds, asks, supervision, watches and timers under a manual clock.
import { describe, expect, test } from 'vitest';
import type { Context, Ref, Signal, SystemOptions } from '../../src/actors/index.ts';
import { actor, ask, createSystem, protocol, tell } from '../../src/actors/index.ts';
import { manualEnvironment } from '../../src/actors/testkit/manual-environment.ts';
import { none, u32 } from '../../src/codec/index.ts';

const Counter = protocol('counter', 1, {
  add: tell(u32),
  total: ask(none, u32),
  boom: tell(none),
  wait: ask(none, u32),
});
type CounterOps = typeof Counter.ops;

const CounterActor = actor(Counter, (_ctx, args: { start: number }) => {
  let total = args.start;
  return {
    add: (n) => {
      total += n;
    },
    total: () => total,
    boom: () => {
      throw new Error('boom');
    },
    wait: () => new Promise<number>(() => undefined),
  };
});

function world(options: Partial<SystemOptions> = {}) {
  const env = manualEnvironment(1);
  const system = createSystem(env, {
    name: 'test',
    node: 1,
    incarnation: 1,
    thread: 0,
    threadCount: 1,
    ...options,
  });
  return { env, system };
}

/** Settles the clock and answers what became of a promise. */
async function outcome<T>(env: ReturnType<typeof manualEnvironment>, promise: Promise<T>) {
  const caught = promise.then(
    (value) => ({ value }),
    (error: { code: string }) => ({ code: error.code }),
  );
  await env.settle();
  return caught;
}

describe.each([{ strict: false }, { strict: true }])('one thread, strict $strict', ({ strict }) => {
  test('tells are handled in order and an ask behind them sees their effect', async () => {
    const { env, system } = world({ strict });
    const counter = system.spawn('c', CounterActor, { start: 5 });
    for (let i = 1; i <= 200; i += 1) counter.tell('add', i);
    const total = counter.ask('total', undefined, { timeoutMs: 100 });
    expect(await outcome(env, total)).toEqual({ value: 5 + (200 * 201) / 2 });
  });

  test('one turn is requested however many messages are told', () => {
    const { env, system } = world({ strict });
    const counter = system.spawn('c', CounterActor, { start: 0 });
    for (let i = 0; i < 500; i += 1) counter.tell('add', 1);
    expect(env.pendingTasks).toBe(1);
  });

  test('a full mailbox refuses, counts, and ready resolves when there is room', async () => {
    const { env, system } = world({ strict });
    const small = actor(Counter, CounterActor.setup, {
      mailbox: { capacity: 4, overflow: 'reject' },
    });
    const counter = system.spawn('c', small, { start: 0 });
    const offers = [1, 2, 3, 4, 5].map((n) => counter.offer('add', n));
    expect(offers).toEqual(['accepted', 'accepted', 'accepted', 'accepted', 'full']);
    counter.tell('add', 9);
    expect(system.deadLetters.counts.full).toBe(1);
    let isReady = false;
    void counter.ready().then(() => {
      isReady = true;
    });
    await Promise.resolve();
    expect(isReady).toBe(false);
    await env.settle();
    expect(isReady).toBe(true);
    expect(counter.offer('add', 1)).toBe('accepted');
  });

  test('an ask times out once and its late slot answers nobody', async () => {
    const { env, system } = world({ strict });
    const counter = system.spawn('c', CounterActor, { start: 0 });
    const slow = counter.ask('wait', undefined, { timeoutMs: 50 });
    const result = outcome(env, slow);
    await env.advanceAsync(49);
    expect(system.asks.openCount).toBe(1);
    await env.advanceAsync(1);
    expect(await result).toEqual({ code: 'ACTOR_ASK_TIMEOUT' });
    expect(system.asks.openCount).toBe(0);
  });

  test('a failing actor is restarted after its back-off with fresh state', async () => {
    const { env, system } = world({ strict });
    const counter = system.spawn('c', CounterActor, { start: 1 });
    counter.tell('add', 10);
    counter.tell('boom', undefined);
    const after = counter.ask('total', undefined, { timeoutMs: 1_000 });
    const result = after.then((value) => value);
    await env.advanceAsync(100);
    expect(await result).toBe(1);
    expect(system.deadLetters.counts.failed).toBe(1);
    expect(system.metrics.of('counter').restarted).toBe(1);
  });
});

const Nothing = protocol('nothing', 1, { poke: tell(none) });

describe('life and death', () => {
  test('watchers hear of an end with its cause, also when the target is already gone', async () => {
    const { env, system } = world();
    const heard: Signal[] = [];
    const target = system.spawn('t', CounterActor, { start: 0 });
    const Watcher = actor(Nothing, (ctx: Context<typeof Nothing.ops>, of: Ref<CounterOps>) => {
      ctx.watch(of);
      ctx.onSignal((signal) => heard.push(signal));
      return { poke: () => undefined };
    });
    system.spawn('w1', Watcher, target);
    env.run();
    system.sendStop(target.id);
    env.run();
    system.spawn('w2', Watcher, target);
    env.run();
    expect(heard.map((each) => each.type === 'terminated' && each.cause)).toEqual([
      'stopped',
      'stopped',
    ]);
    expect(target.offer('add', 1)).toBe('gone');
    expect(await outcome(env, target.ask('total', undefined, { timeoutMs: 9 }))).toEqual({
      code: 'ACTOR_GONE',
    });
  });

  test('too many restarts stop the actor as failed', () => {
    const { env, system } = world();
    const fragile = actor(Counter, CounterActor.setup, {
      supervision: {
        decide: () => 'restart',
        maxRestarts: 2,
        windowMs: 1_000,
        backoff: { minMs: 1, maxMs: 1, jitter: 0 },
      },
    });
    const counter = system.spawn('c', fragile, { start: 0 });
    for (let i = 0; i < 3; i += 1) {
      counter.tell('boom', undefined);
      env.advance(2);
    }
    expect(counter.offer('add', 1)).toBe('gone');
    expect(system.metrics.of('counter')).toMatchObject({ restarted: 2, stopped: 1, failed: 3 });
  });

  test('keyed timers replace each other, fire once and end with the actor', () => {
    const { env, system } = world();
    const fired: number[] = [];
    const Timed = protocol('timed', 1, { tick: tell(u32), stop: tell(none) });
    const timed = system.spawn(
      'timed',
      actor(Timed, (ctx, _args: undefined) => {
        ctx.schedule('a', 10, 'tick', 1);
        ctx.schedule('a', 20, 'tick', 2);
        ctx.schedule('b', 15, 'tick', 3);
        ctx.schedule('c', 30, 'tick', 4);
        return { tick: (n) => void fired.push(n), stop: () => ctx.stop() };
      }),
      undefined,
    );
    env.advance(25);
    expect(fired).toEqual([3, 2]);
    timed.tell('stop', undefined);
    env.advance(100);
    expect(fired).toEqual([3, 2]);
    expect(system.deadlines.count).toBe(0);
  });

  test('a well-known slot can be named before its actor exists', async () => {
    const { env, system } = world();
    const early = system.wellKnown(Counter, { thread: 0, slot: 7 });
    expect(early.offer('add', 1)).toBe('gone');
    system.spawnWellKnown(7, 'log-host', CounterActor, { start: 3 });
    expect(await outcome(env, early.ask('total', undefined, { timeoutMs: 5 }))).toEqual({
      value: 3,
    });
    expect(() => system.spawnWellKnown(7, 'other', CounterActor, { start: 0 })).toThrow('taken');
  });

  test('the phases of a turn run in their order, after the actors', () => {
    const { env, system } = world();
    const order: string[] = [];
    system.turn.onPhase('publish', () => order.push('publish'));
    system.turn.onPhase('flush', () => order.push('flush'));
    system.turn.onPhase('durable', () => order.push('durable'));
    const poke = actor(Nothing, (_ctx, _args: undefined) => ({
      poke: () => void order.push('actor'),
    }));
    env.run();
    order.length = 0;
    system.spawn('p', poke, undefined).tell('poke', undefined);
    env.run();
    expect(order).toEqual(['actor', 'durable', 'flush', 'publish']);
  });

  test('shutdown stops children before parents and leaves no turn behind', async () => {
    const { env, system } = world();
    const ends: string[] = [];
    const leaf = actor(Nothing, (ctx, name: string) => {
      ctx.onSignal((signal) => signal.type === 'stopping' && ends.push(name));
      return { poke: () => undefined };
    });
    const Parent = actor(Nothing, (ctx: Context<typeof Nothing.ops>, _args: undefined) => {
      const child = ctx.spawn('child', leaf, 'child');
      ctx.watch(child);
      ctx.onSignal((signal) => ends.push(signal.type));
      return { poke: () => undefined };
    });
    system.spawn('parent', Parent, undefined);
    env.run();
    const done = system.shutdown({ timeoutMs: 100 });
    await env.settle();
    await done;
    expect(ends).toEqual(['stopping', 'child']);
    expect(system.actorTree()).toEqual([]);
    expect(env.pendingTasks).toBe(0);
  });
});
