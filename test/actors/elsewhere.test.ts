// Children on another thread of the node, over rings under a manual clock: they fail, escalate, end and
// are refused as near ones are.
import { expect, test } from 'vitest';
import { Children } from '../../src/actors/children.ts';
import type { AnyRef, Context, Directive, Ref, Signal } from '../../src/actors/index.ts';
import { actor, ask, protocol, tell } from '../../src/actors/index.ts';
import { RemoteSpawns } from '../../src/actors/remote-spawns.ts';
import { defineCodec, none, utf8 } from '../../src/codec/index.ts';
import type { World } from './worlds.ts';
import { makeWorld, outcomeOf } from './worlds.ts';

const Child = protocol('child', 1, { boom: tell(none), hello: ask(none, utf8) });
type ChildOps = typeof Child.ops;

/** `unreadable` cannot be encoded, `poison` not decoded. */
const args = defineCodec<string>({
  shape: 'args',
  sizeMin: 1,
  size: (value) => utf8.size(value),
  encode: (value, out, at) => {
    if (value === 'unreadable') throw new Error('cannot be encoded');
    return utf8.encode(value, out, at);
  },
  read: (reader) => {
    const value = utf8.read(reader);
    if (value === 'poison') throw new Error('cannot be decoded');
    return value;
  },
});

function supervised(directive: Directive, ends: string[] = []) {
  return actor(
    Child,
    (ctx: Context<ChildOps>, name: string) => {
      ctx.onSignal(({ type }) => ends.push(`${name} ${type}`));
      return {
        boom: () => {
          throw Object.assign(new Error('boom'), { code: 'CHILD_BOOM', depth: 3 });
        },
        hello: () => name,
      };
    },
    {
      args,
      supervision: {
        decide: () => directive,
        maxRestarts: 1,
        windowMs: 1_000,
        backoff: { minMs: 1, maxMs: 1, jitter: 0 },
      },
    },
  );
}

/** A parent here, and its child on the other thread. */
function family(directive: Directive) {
  const ends: string[] = [];
  const Kid = supervised(directive, ends);
  const world: World = makeWorld('ring', { manifest: { Kid } });
  const signals: Signal[] = [];
  let child: Ref<ChildOps> | undefined;
  const Parent = actor(
    Child,
    (ctx: Context<ChildOps>, _args: undefined) => {
      child = ctx.spawn('kid', Kid, 'kid', { thread: 1 });
      ctx.watch(child);
      ctx.onSignal((signal) => {
        signals.push(signal);
        if (signal.type === 'stopping') ends.push('parent stopping');
      });
      return { boom: () => undefined, hello: () => 'parent' };
    },
    {
      supervision: {
        decide: () => 'stop',
        maxRestarts: 0,
        windowMs: 1,
        backoff: { minMs: 1, maxMs: 1, jitter: 0 },
      },
    },
  );
  const parent = world.here.spawn('parent', Parent, undefined);
  world.env.run();
  return { ...world, ends, signals, parent, child: child! };
}

test('a failure that a child elsewhere escalates is its parent’s', () => {
  const { env, parent, child, signals, here } = family('escalate');
  child.tell('boom', undefined);
  env.run();
  const heard = signals.map((each) => (each.type === 'terminated' ? each.cause : each.type));
  expect(heard).toEqual(['child-failed', 'failed', 'stopping']);
  expect(signals[0]).toMatchObject({ error: { code: 'CHILD_BOOM', details: { depth: 3 } } });
  expect(parent.offer('boom', undefined)).toBe('gone');
  expect(here.metrics.of('child')).toMatchObject({ failed: 1, stopped: 1 });
});

test('a parent ends when its child elsewhere has ended, and shutdown waits for both', async () => {
  const { env, here, there, ends } = family('stop');
  const down = here.shutdown({ timeoutMs: 1_000 });
  await env.settle();
  await down;
  expect(ends).toEqual(['parent stopping', 'kid stopping']);
  expect(there.actorTree().map(({ path }) => path)).toEqual(['/runtime']);
});

test('a thread that is lost ends the wait of a parent for its child there', async () => {
  const { env, here, child } = family('stop');
  const ended = here.shutdown({ timeoutMs: 1_000 });
  // The stop has left, and the thread is lost before it does anything.
  env.step();
  here.threadLost(1, 1, () => true, 'thread-lost');
  await env.settle();
  await ended;
  expect(child.offer('boom', undefined)).toBe('gone');
});

test('arguments that cannot be encoded make spawn throw, those that cannot be decoded end the child', async () => {
  const Kid = supervised('stop');
  const world = makeWorld('ring', { manifest: { Kid } });
  const spawn = (name: string, value: string) => world.here.spawn(name, Kid, value, { thread: 1 });
  expect(() => spawn('a', 'unreadable')).toThrow('the arguments of a cannot be encoded');
  const poisoned = spawn('b', 'poison');
  expect(() => spawn('b', 'again')).toThrow('taken');
  const answer = await outcomeOf(world, poisoned.ask('hello', undefined, { timeoutMs: 100 }));
  expect(answer).toMatchObject({ code: 'ACTOR_GONE' });
  // Its end was told, so its name is free; the name of what was never sent always was.
  for (const name of ['a', 'b']) {
    const again = spawn(name, name);
    expect(await outcomeOf(world, again.ask('hello', undefined, { timeoutMs: 100 }))).toEqual({
      value: name,
    });
  }
});

test('the end of one among many elsewhere looks at no other, of the top and of a parent', () => {
  let looks = 0;
  const refAt = (slot: number): AnyRef => {
    const id = { node: 1, incarnation: 1, thread: 1, generation: 1, slot };
    return {
      path: `/n${slot}`,
      get id() {
        looks += 1;
        return id;
      },
    };
  };
  const top = new RemoteSpawns({ node: 1, incarnation: 1, thread: 0 }, 1, {});
  const children = new Children();
  for (let slot = 0; slot < 1_000; slot += 1) {
    top.addTop(`n${slot}`, refAt(slot));
    children.addElsewhere(`n${slot}`, refAt(slot));
  }
  const id = (slot: number) => ({ node: 1, incarnation: 1, thread: 1, generation: 1, slot });
  looks = 0;
  for (const slot of [3, 3, 2_000, 999]) {
    top.ended(id(slot));
    children.endedElsewhere(id(slot));
  }
  expect(looks).toBe(0);
  for (const names of [top.top, children.elsewhere]) {
    expect([names.size, names.has('n3'), names.has('n999')]).toEqual([998, false, false]);
  }
  const stopped: number[] = [];
  children.retire(({ slot }) => stopped.push(slot));
  looks = 0;
  for (const slot of stopped.slice(1)) children.endedElsewhere(id(slot));
  expect([looks, children.haveEnded]).toEqual([0, false]);
  children.endedElsewhere(({ slot }) => slot === stopped[0]);
  top.ended(({ slot }) => slot > 0);
  expect([children.haveEnded, [...top.top.keys()]]).toEqual([true, ['n0']]);
});
