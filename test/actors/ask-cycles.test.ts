// Asks that wait for each other in a circle are found and named, whatever way they wait; asks that hold
// nobody up are not.
import { expect, test } from 'vitest';
import type { Context, Later, Ref } from '../../src/actors/index.ts';
import { actor, ask, protocol, refId, tell } from '../../src/actors/index.ts';
import type { Fixture } from '../../src/actors/testkit/index.ts';
import { fixture } from '../../src/actors/testkit/index.ts';
import { none, u32 } from '../../src/codec/index.ts';

const Peer = protocol('peer', 1, {
  knows: tell(refId),
  start: tell(none),
  first: ask(none, u32),
  second: ask(none, u32),
  plain: ask(none, u32),
  piped: tell(u32),
});
type PeerOps = typeof Peer.ops;
type PeerContext = Context<PeerOps>;
const within = { timeoutMs: 1_000 };

type Way = (to: Ref<PeerOps>, ctx: PeerContext) => number | Promise<number> | Later<number>;

/** An actor that knows others in order, and does `way` with the first of them on `start` and `first`. */
function peer(f: Fixture, name: string, way: Way, second: Way = () => 2): Ref<PeerOps> {
  const PeerActor = actor(Peer, (ctx: PeerContext, _args: undefined) => {
    const known: Ref<PeerOps>[] = [];
    const go = (each: Way) => each(known[0]!, ctx);
    return {
      knows: (id) => void known.push(ctx.ref(Peer, id)),
      start: async () => {
        await go(way);
      },
      first: () => go(way) as never,
      second: () => second(known.at(-1)!, ctx) as never,
      plain: () => 1,
      piped: () => undefined,
    };
  });
  return f.spawn(name, PeerActor, undefined);
}

const awaits =
  (op: 'first' | 'second' | 'plain'): Way =>
  async (to) =>
    (await to.ask(op, undefined, within)) + 1;

/** Each knows the next one, and the last one the first. */
function circle(f: Fixture, ...peers: Ref<PeerOps>[]): void {
  peers.forEach((each, i) => {
    each.tell('knows', peers[(i + 1) % peers.length]!.id);
  });
  f.stepUntilIdle();
}

async function seen(f: Fixture): Promise<string[]> {
  await f.env.settle();
  return f.askCycles.map(({ text }) => text);
}

test('A asks B asks A', async () => {
  const f = fixture(1);
  const a = peer(f, 'a', awaits('first'));
  const b = peer(f, 'b', awaits('plain'));
  circle(f, a, b);
  a.tell('start', undefined);
  expect(await seen(f)).toEqual(['/a asks first of /b asks plain of /a']);
  expect(f.askCycles[0]!.asks).toEqual([
    { from: '/a', to: '/b', op: 'first' },
    { from: '/b', to: '/a', op: 'plain' },
  ]);
  // It ends by its timeouts, and is told once however often it comes.
  await f.advanceAsync(2_000);
  expect(f.system.asks.openCount).toBe(0);
  a.tell('start', undefined);
  expect((await seen(f)).length).toBe(1);
});

test('an actor asks itself', async () => {
  const f = fixture(1);
  const a = peer(f, 'a', awaits('plain'));
  circle(f, a);
  a.tell('start', undefined);
  expect(await seen(f)).toEqual(['/a asks plain of /a']);
});

test('through three, one of which answers later', async () => {
  const f = fixture(1);
  const a = peer(f, 'a', awaits('first'));
  const b = peer(f, 'b', (to, ctx) => {
    const later = ctx.later<number>();
    void to.ask('first', undefined, within).then(
      (n) => later.ok(n),
      (error: Error) => later.fail(error),
    );
    return later;
  });
  const c = peer(f, 'c', awaits('plain'));
  circle(f, a, b, c);
  a.tell('start', undefined);
  expect(await seen(f)).toEqual(['/a asks first of /b asks first of /c asks plain of /a']);
});

test('two that cross, each busy with a message of its own', async () => {
  const f = fixture(1);
  const a = peer(f, 'a', awaits('plain'));
  const b = peer(f, 'b', awaits('plain'));
  circle(f, a, b);
  a.tell('start', undefined);
  b.tell('start', undefined);
  expect(await seen(f)).toEqual(['/a asks plain of /b asks plain of /a']);
});

test('behind the await of an ask that was answered', async () => {
  const f = fixture(1);
  const a = peer(f, 'a', async (to) => {
    await to.ask('plain', undefined, within);
    await to.ask('plain', undefined, within);
    return to.ask('second', undefined, within);
  });
  const b = peer(f, 'b', () => 0, awaits('plain'));
  circle(f, a, b);
  a.tell('start', undefined);
  expect(await seen(f)).toEqual(['/a asks second of /b asks plain of /a']);
});

test('over threads and nodes', async () => {
  for (const options of [{ threads: 2 }, { nodes: 2 }]) {
    const far = { where: undefined as Ref<PeerOps> | undefined };
    const f = fixture(1, options);
    const [here, there] = f.systems;
    const a = peer(f, 'a', awaits('first'));
    const FarActor = actor(Peer, (ctx: PeerContext, to: Ref<PeerOps>) => ({
      knows: () => undefined,
      start: () => undefined,
      first: async () => (await ctx.ref(Peer, to.id).ask('plain', undefined, within)) + 1,
      second: () => 0,
      plain: () => 0,
      piped: () => undefined,
    }));
    far.where = there!.spawn('far', FarActor, a);
    a.tell('knows', far.where.id);
    f.stepUntilIdle();
    a.tell('start', undefined);
    expect(await seen(f)).toEqual(['/a asks first of /far asks plain of /a']);
    expect(here!.asks.openCount).toBe(1);
  }
});

test('what holds nobody up is no circle', async () => {
  const f = fixture(1);
  // The one that is asked answers at once, and has the answer to its own question brought as a message.
  const pipes: Way = (to, ctx) => {
    ctx.pipe(to.ask('plain', undefined, within), 'piped', () => 0);
    return 7;
  };
  const a = peer(f, 'a', awaits('first'));
  const b = peer(f, 'b', pipes);
  const c = peer(f, 'c', awaits('plain'));
  circle(f, a, b);
  c.tell('knows', a.id);
  for (const each of [a, c, a, c]) each.tell('start', undefined);
  expect(await seen(f)).toEqual([]);
  await f.advanceAsync(5_000);
  expect(f.system.asks.counters).toMatchObject({ timedOut: 0, failed: 0 });
});
