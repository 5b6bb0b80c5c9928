// Links between two nodes over a net in memory: order, large records, credit, epochs, refusals and the
// two kinds of loss (a broken socket, a dead node), all under a manual clock.
import { describe, expect, test } from 'vitest';
import type { Later, Signal, System } from '../../../src/actors/index.ts';
import { actor, ask, createSystem, lentTell, protocol, tell } from '../../../src/actors/index.ts';
import type { LinksOptions } from '../../../src/actors/links/links.ts';
import { Links } from '../../../src/actors/links/links.ts';
import type { AnyProtocol } from '../../../src/actors/protocol.ts';
import { manualEnvironment } from '../../../src/actors/testkit/manual-environment.ts';
import { MemoryNet } from '../../../src/actors/testkit/memory-net.ts';
import { bytes, none, record, u32 } from '../../../src/codec/index.ts';
import { rawDialer } from './raw-dialer.ts';

const Sink = protocol('sink', 1, {
  take: tell(record({ sequence: u32, body: bytes })),
  taken: ask(none, u32),
  echo: ask(bytes, bytes),
  never: ask(none, u32),
  bulk: lentTell(bytes),
  keep: tell(bytes),
});
/** Bulk with an answer. */
const Heap = protocol('heap', 1, { never: ask(bytes, u32) }, { isBulk: true });
const identity = { clusterId: 'test-cluster', token: 'secret' };
function makeWorld(
  seed = 1,
  options: Partial<LinksOptions> = {},
  protocols: readonly AnyProtocol[] = [],
) {
  // The net needs the environment's run queue, and the environment its net.
  const base = manualEnvironment(seed);
  const net = new MemoryNet(base.runQueue, base.random);
  const env = Object.assign(base, { net });
  const received: number[] = [];
  const wrong: number[] = [];
  const kept: Uint8Array[] = [];
  const SinkActor = actor(
    Sink,
    (ctx, _args: undefined) => ({
      take({ sequence, body }) {
        received.push(sequence);
        if (!body.every((byte) => byte === (sequence & 0xff))) wrong.push(sequence);
      },
      taken: () => received.length,
      echo: (body) => body,
      never: () => ctx.later<number>(),
      // Against the rules for a lent message: the test looks at what becomes of its memory.
      bulk: (body) => void kept.push(body),
      keep: (body) => void kept.push(body),
    }),
    { mailbox: { capacity: 100_000, overflow: 'reject' } },
  );
  const node = (number: number, incarnation: number, more: Partial<LinksOptions> = {}) => {
    const system = createSystem(env, {
      name: `n${number}`,
      node: number,
      incarnation,
      thread: 0,
      threadCount: 1,
      protocols: [Sink, ...protocols],
    });
    return { system, links: new Links(system, { ...identity, ...options, ...more }) };
  };
  const listen = async (port: number, links: () => Links) =>
    net.listen({ host: '127.0.0.1', port }, (connection) => links().accept(connection));
  return { env, net, received, wrong, kept, SinkActor, node, listen };
}

async function pair(
  seed = 1,
  options: Partial<LinksOptions> = {},
  incarnationOfB = 1,
  more: readonly AnyProtocol[] = [],
) {
  const world = makeWorld(seed, options, more);
  const a = world.node(1, 1);
  const b = world.node(2, incarnationOfB);
  await world.listen(1001, () => a.links);
  await world.listen(1002, () => b.links);
  a.links.setAddress(2, { host: '127.0.0.1', port: 1002 });
  b.links.setAddress(1, { host: '127.0.0.1', port: 1001 });
  b.system.spawnWellKnown(5, 'sink', world.SinkActor, undefined);
  const sink = a.system.wellKnown(Sink, { node: 2, thread: 0, slot: 5 });
  return { ...world, a, b, sink };
}

async function outcome<T>(env: { settle(): Promise<void> }, promise: Promise<T>) {
  const caught = promise.then(
    (value) => ({ value }),
    (error: { code: string }) => ({ code: error.code }),
  );
  await env.settle();
  return caught;
}

function watcherOf(system: System, target: Parameters<Parameters<typeof actor>[1]>[0]['self']) {
  const heard: Signal[] = [];
  const Watcher = actor(protocol('watcher', 1, { poke: tell(none) }), (ctx, _args: undefined) => {
    ctx.watch(target);
    ctx.onSignal((signal) => heard.push(signal));
    return { poke: () => undefined };
  });
  system.spawn('watcher', Watcher, undefined);
  return heard;
}

test('inspection of one node shows the other, and that it cannot be reached when it is cut off', async () => {
  const { env, net, a } = await pair();
  const seen = a.system.inspectAll({ timeoutMs: 1_000 });
  await env.settle();
  expect((await seen).threads).toMatchObject([
    { node: 1, thread: 0, state: 'answering' },
    { node: 2, thread: 0, state: 'answering', info: { node: 2, threadCount: 1 } },
  ]);
  net.isCut = true;
  net.cut();
  await env.settle();
  const later = a.system.inspectAll({ timeoutMs: 1_000 });
  await env.advanceAsync(1_000);
  const [here, there] = (await later).threads;
  expect(here!.state).toBe('answering');
  expect(['silent', 'unreachable']).toContain(there!.state);
});

describe('messages', () => {
  test('arrive once, in order, whatever pieces the net cuts, in one write per turn', async () => {
    for (const seed of [1, 2, 3, 4, 5]) {
      const { env, a, sink, received, wrong } = await pair(seed);
      for (let sequence = 0; sequence < 3_000; sequence += 1) {
        sink.tell('take', { sequence, body: new Uint8Array(sequence % 300).fill(sequence) });
      }
      await env.advanceAsync(100);
      expect(received).toEqual([...received.keys()]);
      expect(received.length).toBe(3_000);
      expect(wrong).toEqual([]);
      expect(a.links.counters.writes).toBeLessThan(10);
    }
  });

  test('memory of lent messages goes around, that of others stays with whoever got it', async () => {
    const { env, b, sink, kept } = await pair();
    const send = async (op: 'bulk' | 'keep', fill: number) => {
      sink.tell(op, new Uint8Array(100_000).fill(fill));
      await env.advanceAsync(100);
    };
    await send('bulk', 1);
    await send('bulk', 2);
    await send('bulk', 3);
    expect(kept[1]!.buffer === kept[0]!.buffer).toBe(true);
    expect(kept[2]!.buffer === kept[0]!.buffer).toBe(true);
    expect(kept[2]!.every((byte) => byte === 3)).toBe(true);
    expect(b.links.buffers.idleBytes).toBeGreaterThan(100_000);
    kept.length = 0;
    for (const fill of [4, 5, 6]) await send('keep', fill);
    await send('bulk', 7);
    expect(kept.map((each) => each[0])).toEqual([4, 5, 6, 7]);
    expect(kept.slice(0, 3).every((each) => each.every((byte) => byte === each[0]))).toBe(true);
  });

  test('an ask crosses and its reply comes back on the other link', async () => {
    const { env, sink } = await pair();
    const echoed = sink.ask('echo', Uint8Array.of(1, 2, 3), { timeoutMs: 1_000 });
    expect(await outcome(env, echoed)).toEqual({ value: Uint8Array.of(1, 2, 3) });
  });

  test('a record of 64 MiB crosses in frames and keeps its place', async () => {
    const { env, sink, received, wrong } = await pair();
    const large = new Uint8Array(64 * 1024 * 1024 - 64).fill(1);
    sink.tell('take', { sequence: 0, body: new Uint8Array(10) });
    sink.tell('take', { sequence: 1, body: large });
    await env.advanceAsync(100);
    while (sink.offer('take', { sequence: 2, body: new Uint8Array(10).fill(2) }) === 'full') {
      await env.advanceAsync(10);
    }
    await env.advanceAsync(100);
    expect(received).toEqual([0, 1, 2]);
    expect(wrong).toEqual([]);
  });

  test('the window bounds what is under way and ready resolves with the credit', async () => {
    const { env, a, sink } = await pair(1, { windowBytes: 64 * 1024 });
    sink.tell('take', { sequence: 0, body: new Uint8Array(0) });
    await env.advanceAsync(50);
    let accepted = 0;
    const input = { sequence: 1, body: new Uint8Array(1000).fill(1) };
    while (sink.offer('take', input) === 'accepted') accepted += 1;
    expect(accepted).toBeGreaterThan(55);
    expect(accepted).toBeLessThan(66);
    const ready = outcome(env, sink.ready());
    await env.advanceAsync(50);
    expect(await ready).toEqual({ value: undefined });
    expect(sink.offer('take', input)).toBe('accepted');
    expect(a.links.counters.full).toBe(1);
  });
});

describe('epochs', () => {
  test('a cut fails asks, counts what was under way, and the next send opens a new epoch', async () => {
    const { env, net, a, sink, received } = await pair();
    let ends = 0;
    a.links.onEpochEnd(2, 0, () => {
      ends += 1;
    });
    sink.tell('take', { sequence: 0, body: new Uint8Array(1) });
    // Long enough that even a little credit is back: the first record is known to have arrived.
    await env.advanceAsync(1_200);
    expect(a.links.epochOf(2, 0)).toBe(1);
    const never = outcome(env, sink.ask('never', undefined, { timeoutMs: 60_000 }));
    await env.settle();
    net.cut();
    await env.settle();
    expect(await never).toEqual({ code: 'ACTOR_UNREACHABLE' });
    expect(ends).toBeGreaterThan(0);
    expect(a.links.counters.recordsLost).toBe(1);
    await env.advanceAsync(3_000);
    sink.tell('take', { sequence: 7, body: new Uint8Array(1).fill(7) });
    await env.advanceAsync(100);
    expect(received).toEqual([0, 7]);
    expect(a.links.epochOf(2, 0)).toBe(2);
  });

  test('the end of the bulk connection is none of the messages: their asks stay open, and nobody greets anew', async () => {
    const { env, net, a, b, sink } = await pair(1, {}, 1, [Heap]);
    const laters: Later<number>[] = [];
    const HeapActor = actor(Heap, (ctx, _args: undefined) => ({
      never: () => {
        laters.push(ctx.later<number>());
        return laters.at(-1)!;
      },
    }));
    b.system.spawnWellKnown(6, 'heap', HeapActor, undefined);
    // Answers that are due, of either actor.
    const due = () =>
      [5, 6].map((slot) => b.system.cellOf({ ...b.system.place, slot, generation: 0 })!.asksOpen);
    const heap = a.system.wellKnown(Heap, { node: 2, thread: 0, slot: 6 });
    const ended: string[] = [];
    a.links.onEpochEnd(2, 0, () => void ended.push('messages'));
    a.links.onEpochEnd(2, 0, () => void ended.push('bulk'), 1);
    const open = new Map<string, string>();
    const asked = (name: string, work: Promise<number>) => {
      open.set(name, 'open');
      work.catch((error: { code: string }) => open.set(name, error.code));
    };
    // The messages have a connection each way before there is one for bulk.
    await outcome(env, sink.ask('taken', undefined, { timeoutMs: 1_000 }));
    const ofMessages = new Set(net.live);
    asked('message', sink.ask('never', undefined, { timeoutMs: 60_000 }));
    asked('bulk', heap.ask('never', new Uint8Array(10), { timeoutMs: 60_000 }));
    await env.advanceAsync(100);
    const ofBulk = [...net.live].filter((each) => !ofMessages.has(each));
    expect([ofMessages.size, ofBulk.length]).toEqual([4, 2]);
    expect(due()).toEqual([1, 1]);
    for (const each of ofBulk) each.fail(new Error('cut by the test'));
    await env.settle();
    expect([due(), laters[0]!.isCancelled]).toEqual([[1, 0], true]);
    expect([...open]).toEqual([
      ['message', 'open'],
      ['bulk', 'ACTOR_UNREACHABLE'],
    ]);
    expect(ended).toEqual(['bulk']);
    // The answer to bulk would have come with the messages: their end is its end, too.
    await env.advanceAsync(5_000);
    asked('bulk', heap.ask('never', new Uint8Array(10), { timeoutMs: 60_000 }));
    await env.advanceAsync(100);
    expect(due()).toEqual([1, 1]);
    for (const each of ofMessages) each.fail(new Error('cut by the test'));
    await env.settle();
    // Nobody can be told: nothing is kept for them.
    expect([due(), laters[1]!.isCancelled]).toEqual([[0, 0], true]);
    expect([...open.values()]).toEqual(['ACTOR_UNREACHABLE', 'ACTOR_UNREACHABLE']);
    expect(new Set(ended.slice(1))).toEqual(new Set(['messages']));
  });

  test('a connection that the peer gave up unheard ends for us with its next one', async () => {
    const { env, net, b, sink, received } = await pair();
    sink.tell('take', { sequence: 0, body: new Uint8Array(0) });
    await env.advanceAsync(100);
    let ends = 0;
    b.links.onEpochEnd(1, 0, () => {
      ends += 1;
    });
    // Node 1 greets again; that its first connection is over was not heard.
    rawDialer(net, 1002, b.system);
    await env.settle();
    expect([received, ends]).toEqual([[0], 1]);
  });

  test('while the way is down tells are dead letters and an offer says full until it is back', async () => {
    const { env, net, a, sink, received } = await pair();
    net.isCut = true;
    sink.tell('take', { sequence: 0, body: new Uint8Array(1) });
    await env.settle();
    sink.tell('take', { sequence: 1, body: new Uint8Array(1) });
    expect(a.system.deadLetters.counts.unreachable).toBe(2);
    const input = { sequence: 2, body: new Uint8Array(1).fill(2) };
    expect(sink.offer('take', input)).toBe('full');
    const ready = outcome(env, sink.ready());
    await env.advanceAsync(5_000);
    net.isCut = false;
    await env.advanceAsync(5_000);
    expect(await ready).toEqual({ value: undefined });
    expect(sink.offer('take', input)).toBe('accepted');
    await env.advanceAsync(100);
    expect(received).toEqual([2]);
  });
});

describe('watching another node', () => {
  test('an end is heard, a cut is not an end, and a lost node is', async () => {
    const { env, net, a, b, sink } = await pair();
    const heard = watcherOf(a.system, sink as never);
    await env.advanceAsync(100);
    net.cut();
    await env.advanceAsync(5_000);
    expect(heard).toEqual([]);
    // The watch was sent again with the new epoch: the end that follows is heard.
    for (const info of b.system.actorTree()) {
      if (info.path !== '/sink') continue;
      b.system.sendStop({ node: 2, incarnation: 0, thread: 0, slot: 5, generation: 0 });
    }
    await env.advanceAsync(100);
    expect(heard).toMatchObject([{ type: 'terminated', cause: 'stopped' }]);

    b.system.spawnWellKnown(
      5,
      'sink',
      actor(Sink, (ctx, _args: undefined) => ({
        take: () => undefined,
        taken: () => 0,
        echo: (body) => body,
        never: () => ctx.later<number>(),
        bulk: () => undefined,
        keep: () => undefined,
      })),
      undefined,
    );
    const second = makeWatcher(a.system, sink);
    await env.advanceAsync(100);
    const never = outcome(env, sink.ask('never', undefined, { timeoutMs: 60_000 }));
    await env.settle();
    a.links.nodeLost(2);
    await env.settle();
    expect(second).toMatchObject([{ type: 'terminated', cause: 'node-lost' }]);
    expect(await never).toMatchObject({ code: expect.stringMatching(/UNREACHABLE|NODE_LOST/) });
    // The node was only silent: it is found again, by a connection of its own epoch.
    const before = a.links.epochOf(2, 0);
    await env.advanceAsync(5_000);
    sink.tell('take', { sequence: 9, body: new Uint8Array(0) });
    expect(await outcome(env, sink.ask('echo', Uint8Array.of(9), { timeoutMs: 1_000 }))).toEqual({
      value: Uint8Array.of(9),
    });
    expect(a.links.epochOf(2, 0)).toBe(before + 1);
    expect(second.length).toBe(1);
  });

  test('a fence ends links that hang half-open, on both halves, once', async () => {
    const { env, net, a, b, sink } = await pair();
    b.system.wellKnown(Sink, { node: 1, thread: 0, slot: 5 }).tell('take', {
      sequence: 0,
      body: new Uint8Array(0),
    });
    expect(await outcome(env, sink.ask('taken', undefined, { timeoutMs: 1_000 }))).toEqual({
      value: 0,
    });
    const open = net.live.size;
    let ends = 0;
    a.links.onEpochEnd(2, 0, () => {
      ends += 1;
    });
    // Nothing of the other side is heard, not even that it is gone.
    b.system.turn.close();
    await env.advanceAsync(10_000);
    expect([ends, net.live.size]).toEqual([0, open]);
    a.links.nodeLost(2);
    await env.settle();
    expect([ends, net.live.size]).toEqual([2, 0]);
    a.links.nodeLost(2);
    await env.settle();
    expect(ends).toBe(2);
  });
});

// Incarnations are random: a later one may be the smaller number.
test.each([
  [1, 2],
  [5, 2],
])(
  'a restarted node (%i, then %i) is found at its address, old refs are gone and their watchers hear it',
  async (before, after) => {
    const { env, net, a, b, node, SinkActor, listen, received } = await pair(1, {}, before);
    const id = b.system.findHere({ protocol: 'sink', name: 'sink' })!;
    const old = a.system.ref(Sink, id);
    const heard = makeWatcher(a.system, old);
    await env.advanceAsync(100);
    // The process of node 2 dies and comes back as another incarnation on another port.
    b.links.close();
    b.system.turn.close();
    net.cut();
    const again = node(2, after);
    again.system.spawnWellKnown(5, 'sink', SinkActor, undefined);
    await listen(2002, () => again.links);
    again.links.setAddress(1, { host: '127.0.0.1', port: 1001 });
    a.links.setAddress(2, { host: '127.0.0.1', port: 2002 });
    await env.advanceAsync(3_000);
    expect(heard).toMatchObject([{ type: 'terminated', cause: 'node-lost' }]);
    expect(old.offer('take', { sequence: 1, body: new Uint8Array(0) })).toBe('gone');
    const known = a.system.wellKnown(Sink, { node: 2, thread: 0, slot: 5 });
    known.tell('take', { sequence: 3, body: new Uint8Array(0) });
    await env.advanceAsync(100);
    expect(received).toEqual([3]);
  },
);

test.each([
  [1, 2],
  [5, 2],
])(
  'a life of a node (%i) that ended unheard does not hide the next one (%i)',
  async (before, after) => {
    const { env, a, sink, node, SinkActor, listen, received } = await pair(1, {}, before);
    sink.tell('take', { sequence: 1, body: new Uint8Array(0) });
    await env.advanceAsync(100);
    // The old process is gone, but the connection to it never says so.
    const again = node(2, after);
    again.system.spawnWellKnown(5, 'sink', SinkActor, undefined);
    await listen(2002, () => again.links);
    again.links.setAddress(1, { host: '127.0.0.1', port: 1001 });
    a.links.setAddress(2, { host: '127.0.0.1', port: 2002 });
    const hello = again.system.wellKnown(Sink, { node: 1, thread: 0, slot: 5 });
    hello.tell('take', { sequence: 0, body: new Uint8Array(0) });
    await env.advanceAsync(100);
    const id = again.system.findHere({ protocol: 'sink', name: 'sink' })!;
    expect(received).toEqual([1]);
    a.system.ref(Sink, id).tell('take', { sequence: 2, body: new Uint8Array(0) });
    await env.advanceAsync(100);
    expect(received).toEqual([1, 2]);
  },
);

describe('two lives of one node at once', () => {
  /** Node 1, and node 2 with links both ways; then another life of node 2 that dials node 1. */
  async function doubled(options: Partial<LinksOptions> = {}) {
    const { env, net, a, b, sink, node, received, listen } = await pair(1, options);
    const toA = (from: { system: System }) =>
      from.system.wellKnown(Sink, { node: 1, thread: 0, slot: 5 });
    a.system.spawnWellKnown(
      5,
      'sink',
      actor(Sink, (ctx, _args: undefined) => ({
        take: ({ sequence }) => void received.push(sequence),
        taken: () => received.length,
        echo: (body) => body,
        never: () => ctx.later<number>(),
        bulk: () => undefined,
        keep: () => undefined,
      })),
      undefined,
    );
    const say = (from: { system: System }, sequence: number) =>
      toA(from).tell('take', { sequence, body: new Uint8Array(0) });
    say(b, 1);
    sink.tell('take', { sequence: 2, body: new Uint8Array(0) });
    await env.advanceAsync(100);
    expect(received.sort()).toEqual([1, 2]);
    const again = node(2, 77);
    again.links.setAddress(1, { host: '127.0.0.1', port: 1001 });
    const refusedBy: number[] = [];
    again.links.onRunsTwice = (by) => void refusedBy.push(by);
    return { env, net, a, b, again, received, say, refusedBy, listen };
  }

  test('the later one is refused before it has said a word, and hears why', async () => {
    const { env, a, b, again, received, say, refusedBy } = await doubled();
    const before = a.links.epochOf(2, 0);
    for (let i = 0; i < 60; i += 1) {
      say(again, 66);
      await env.advanceAsync(100);
    }
    expect(new Set(refusedBy)).toEqual(new Set([1]));
    say(b, 3);
    await env.advanceAsync(100);
    expect(received.sort()).toEqual([1, 2, 3]);
    expect(a.links.epochOf(2, 0)).toBe(before);
  });

  test('without a token it is refused, and no peer can end it', async () => {
    const { env, again, received, say, refusedBy } = await doubled({ token: '' });
    for (let i = 0; i < 60; i += 1) {
      say(again, 66);
      await env.advanceAsync(100);
    }
    expect(refusedBy).toEqual([]);
    expect(received.sort()).toEqual([1, 2]);
    const reasons = env.lines
      .filter(({ message }) => message === 'a link was not made')
      .map(({ fields }) => fields['reason']);
    expect(reasons).toContain(
      'refused: node 2 has links here already, of another process that lives',
    );
  });

  test('refusals count only if nothing else came between them', async () => {
    const { env, a, again, say, refusedBy } = await doubled();
    let isReachable = true;
    const accept = a.links.accept.bind(a.links);
    a.links.accept = (connection) => (isReachable ? accept(connection) : connection.destroy());
    let refused = 0;
    const before = () => a.links.counters.refused;
    for (let i = 0; i < 100; i += 1) {
      if (isReachable && before() > refused) {
        refused = before();
        isReachable = false;
      } else isReachable = true;
      // Long enough for a dial after each pause, and its answer.
      for (let j = 0; j < 120; j += 1) {
        say(again, 66);
        await env.advanceAsync(100);
        if (isReachable && before() > refused) break;
      }
    }
    expect(refused).toBeGreaterThan(10);
    expect(refusedBy).toEqual([]);
  });

  test('one that gives no sign of life is over, and the later one is let in', async () => {
    const { env, b, again, received, say, refusedBy } = await doubled();
    // Its connections stay open, and nothing comes of them, not even credit that is due.
    await env.advanceAsync(2_000);
    b.system.turn.close();
    say(again, 4);
    await env.advanceAsync(900);
    expect(received.sort()).toEqual([1, 2]);
    await env.advanceAsync(200);
    expect(received.sort()).toEqual([1, 2, 4]);
    expect(refusedBy).toEqual([]);
  });
});

function makeWatcher(system: System, target: unknown): Signal[] {
  const heard: Signal[] = [];
  const Watcher = actor(protocol('watcher2', 1, { poke: tell(none) }), (ctx, _args: undefined) => {
    ctx.watch(target as never);
    ctx.onSignal((signal) => heard.push(signal));
    return { poke: () => undefined };
  });
  system.spawn('watcher2', Watcher, undefined);
  return heard;
}
