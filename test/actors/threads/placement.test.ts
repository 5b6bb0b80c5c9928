// Actors on other threads and other nodes' threads: spawned by name, supervised, stopped and found from
// afar, and reached through links that one thread accepts and another owns.
import { afterEach, expect, test } from 'vitest';
import type { Context, Ref, Signal } from '../../../src/actors/index.ts';
import {
  actor,
  ask,
  createSystem,
  protocol,
  tell,
  threadOfKey,
} from '../../../src/actors/index.ts';
import { Links } from '../../../src/actors/links/links.ts';
import { ThreadGroup } from '../../../src/actors/threads/thread-group.ts';
import { none, record, u32, utf8 } from '../../../src/codec/index.ts';
import type { Log } from '../../../src/env/environment.ts';
import { createNodeEnvironment } from '../../../src/env/node/environment.ts';

const Child = protocol('child', 1, {
  boom: tell(none),
  where: ask(none, record({ thread: u32, label: utf8 })),
});
type ChildOps = typeof Child.ops;
const ignore = () => undefined;
const quiet: Log = { debug: ignore, info: ignore, warn: ignore, error: ignore, child: () => quiet };

/** The main thread's half of the manifest: the workers have the same name. */
const ChildActor = actor(
  Child,
  (_ctx, label: string) => ({ boom: ignore, where: () => ({ thread: 0, label }) }),
  { args: utf8 },
);
const entry = new URL('../workers/node.mjs', import.meta.url);
const ends: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

function makeNode(node: number, workers: number, appData?: () => unknown) {
  const env = createNodeEnvironment({ log: quiet });
  const system = createSystem(env, {
    name: `n${node}`,
    node,
    incarnation: 1,
    thread: 0,
    threadCount: workers + 1,
    protocols: [Child],
    manifest: { ChildActor },
  });
  const group = new ThreadGroup(system, {
    entry,
    workers,
    slabBytes: 1024 * 1024,
    ...(appData === undefined ? {} : { appData }),
  });
  ends.push(async () => {
    await group.stop({ timeoutMs: 2_000 });
    await system.shutdown({ timeoutMs: 2_000 });
  });
  return { env, system, group };
}

const within = { timeoutMs: 5_000 };

test('an actor is spawned by name on another thread, and its ref works at once', async () => {
  const { system, group } = makeNode(1, 2);
  await group.start();
  const far = system.spawn('far', ChildActor, 'x', { thread: 2 });
  expect(await far.ask('where', undefined, within)).toEqual({ thread: 2, label: 'x' });
  const keyed = system.spawn('keyed', ChildActor, 'k', { key: 'orders/0' });
  const expected = threadOfKey('orders/0', 3);
  expect((await keyed.ask('where', undefined, within)).thread).toBe(expected);
  const spread = [0, 1, 2, 3, 4, 5, 6].map((n) => system.spawn(`any${n}`, ChildActor, 'a', 'any'));
  const threads = await Promise.all(spread.map((each) => each.ask('where', undefined, within)));
  expect(new Set(threads.map((each) => each.thread)).size).toBe(3);
  expect(() => system.spawn('far', ChildActor, 'y', { thread: 1 })).toThrow('taken');
  expect(() => system.spawn('lost', ChildActor, 'y', { thread: 9 })).toThrow('no thread 9');
});

test('what cannot cross is refused with the reason', async () => {
  const { system, group } = makeNode(1, 1);
  await group.start();
  const Local = actor(Child, (_ctx, _args: undefined) => ({
    boom: ignore,
    where: () => ({ thread: 0, label: '' }),
  }));
  expect(() => system.spawn('a', Local, undefined, { thread: 1 })).toThrow('not in the manifest');
});

test('a child on another thread fails, ends and stops with its parent as a near one does', async () => {
  const { env, system, group } = makeNode(1, 1);
  await group.start();
  const heard: string[] = [];
  let child: Ref<ChildOps> | undefined;
  let onHeard: () => void = ignore;
  const Boss = protocol('boss', 1, { fire: tell(none) });
  const BossActor = actor(Boss, (ctx: Context<typeof Boss.ops>, _args: undefined) => {
    child = ctx.spawn('child', ChildActor, 'c', { thread: 1 });
    ctx.watch(child);
    ctx.onSignal((signal: Signal) => {
      heard.push(signal.type === 'terminated' ? `terminated ${signal.cause}` : signal.type);
      onHeard();
    });
    return { fire: () => child!.tell('boom', undefined) };
  });
  const boss = system.spawn('boss', BossActor, undefined);
  const until = (count: number) =>
    new Promise<void>((resolve) => {
      onHeard = () => heard.length >= count && resolve();
      onHeard();
    });
  boss.tell('fire', undefined);
  await until(2);
  expect(heard).toEqual(['child-failed', 'terminated failed']);

  const second = system.spawn('second', BossActor, undefined);
  await new Promise<void>((resolve) => env.runQueue.soon(resolve));
  await child!.ask('where', undefined, within);
  system.sendStop(second.id);
  await until(3);
  expect(heard[2]).toBe('stopping');
  await expect(child!.ask('where', undefined, within)).rejects.toMatchObject({
    code: expect.stringMatching(/^ACTOR_(STOPPED|GONE)$/),
  });
});

test('find looks on every thread', async () => {
  const { system, group } = makeNode(1, 2);
  await group.start();
  const found = await system.find(Child, 'resident');
  expect(await found?.ask('where', undefined, within)).toMatchObject({ thread: 1 });
  expect(await system.find(Child, 'nobody')).toBeUndefined();
});

test('a link to a worker is accepted by the main thread and owned by the worker', async () => {
  const identity = { clusterId: 'c', token: 't' };
  const first = makeNode(1, 0);
  if (!first.env.threads.canHandOver) return;
  const links = new Links(first.system, identity);
  const home = await first.env.net.listen({ host: '127.0.0.1', port: 0 }, (connection) =>
    links.accept(connection),
  );
  const addresses = [{ node: 1, address: home.address }];
  const second = makeNode(2, 1, () => ({ identity, addresses }));
  const mainLinks = new Links(second.system, identity);
  const listener = await second.env.net.listen({ host: '127.0.0.1', port: 0 }, (connection) =>
    mainLinks.accept(connection),
  );
  await second.group.start();
  links.setAddress(2, listener.address);
  const resident = first.system.wellKnown(Child, { node: 2, thread: 1, slot: 3 });
  expect(await resident.ask('where', undefined, within)).toEqual({ thread: 1, label: 'resident' });
  expect(second.env.threads.counters.handedOver).toBe(1);

  // The worker dies: asks fail as unreachable, and the next incarnation is reached again.
  second.group.kill(1);
  for (;;) {
    const answer = await resident.ask('where', undefined, within).catch(() => undefined);
    if (answer !== undefined && second.group.incarnationOf(1) === 2) break;
    await Promise.race([
      resident.ready(),
      new Promise<void>((resolve) => {
        first.env.timers.at(first.env.clock.monotonicMs() + 20, resolve);
      }),
    ]);
  }
  links.close();
  mainLinks.close();
  home.close();
  listener.close();
});
