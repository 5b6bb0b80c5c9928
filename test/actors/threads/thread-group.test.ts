// Real worker threads: order and flow control over small rings, payloads out of band, and survival of
// a thread in every way it can die.
import { afterEach, describe, expect, test } from 'vitest';
import type { Signal, System } from '../../../src/actors/index.ts';
import { actor, ask, createSystem, protocol, tell } from '../../../src/actors/index.ts';
import type { Suspect, ThreadGroupOptions } from '../../../src/actors/threads/thread-group.ts';
import { ThreadGroup } from '../../../src/actors/threads/thread-group.ts';
import { bytes, none, record, u32, utf8 } from '../../../src/codec/index.ts';
import type { Log } from '../../../src/env/environment.ts';
import { createNodeEnvironment } from '../../../src/env/node/environment.ts';
import type { NodeThreads } from '../../../src/env/node/threads.ts';
import type { ThreadExit } from '../../../src/env/threads.ts';
import { runs } from '../../setup/runs.ts';

const Peer = protocol('peer', 1, {
  take: tell(record({ sequence: u32, body: bytes })),
  report: ask(none, record({ taken: u32, wrong: u32, byteCount: u32 })),
  echo: ask(bytes, bytes),
  sendTo: tell(record({ thread: u32, count: u32, sizeMax: u32 })),
  die: tell(utf8),
  never: ask(none, u32),
  cpuWakes: ask(none, u32),
});

const entry = new URL('../workers/member.mjs', import.meta.url);
const ignore = () => undefined;
const quiet: Log = { debug: ignore, info: ignore, warn: ignore, error: ignore, child: () => quiet };

interface Loss {
  readonly thread: number;
  readonly exit: ThreadExit;
  readonly suspect: Suspect | undefined;
}

interface World {
  readonly system: System;
  readonly group: ThreadGroup;
  readonly threads: NodeThreads;
  readonly env: ReturnType<typeof createNodeEnvironment>;
  nextLoss(): Promise<Loss>;
  nextReady(): Promise<{ thread: number; incarnation: number }>;
}

const open: World[] = [];
afterEach(async () => {
  for (const world of open.splice(0)) {
    await world.group.stop({ timeoutMs: 2_000 });
    await world.system.shutdown({ timeoutMs: 1_000 });
  }
});

function mailbox<T>() {
  const items: T[] = [];
  const waiters: ((item: T) => void)[] = [];
  return {
    put(item: T): void {
      const waiter = waiters.shift();
      if (waiter === undefined) items.push(item);
      else waiter(item);
    },
    next: (): Promise<T> =>
      items.length > 0
        ? Promise.resolve(items.shift()!)
        : new Promise((resolve) => waiters.push(resolve)),
  };
}

function world(workers: number, options: Partial<ThreadGroupOptions> = {}): World {
  const env = createNodeEnvironment({ log: quiet });
  const system = createSystem(env, {
    name: 'test',
    node: 1,
    incarnation: 9,
    thread: 0,
    threadCount: workers + 1,
    protocols: [Peer],
  });
  const losses = mailbox<Loss>();
  const readies = mailbox<{ thread: number; incarnation: number }>();
  const group = new ThreadGroup(system, {
    entry,
    workers,
    onThreadLost: (thread, exit, suspect) => losses.put({ thread, exit, suspect }),
    onThreadReady: (thread, incarnation) => readies.put({ thread, incarnation }),
    restart: {
      maxRestarts: 5,
      windowMs: 60_000,
      backoff: { minMs: 1, maxMs: 5, jitter: 0 },
    },
    ...options,
  });
  const made = {
    env,
    system,
    group,
    threads: env.threads,
    nextLoss: losses.next,
    nextReady: readies.next,
  };
  open.push(made);
  return made;
}

/** Asks for the report until `count` messages were taken. */
async function reportOf(system: System, thread: number, count: number) {
  const peer = system.wellKnown(Peer, { thread, slot: 10 });
  for (;;) {
    const report = await peer.ask('report', undefined, { timeoutMs: 10_000 });
    if (report.taken >= count) return report;
  }
}

test.each([0, 0xffff_f000, 0x7fff_f000])(
  'every record arrives once and in order through a small ring from index %i, with stalls',
  async (ringStartIndex) => {
    const { system, group } = world(2, { ringBytes: 8192, ringStartIndex });
    await group.start();
    const first = system.wellKnown(Peer, { thread: 1, slot: 10 });
    first.tell('sendTo', { thread: 2, count: 20_000, sizeMax: 900 });
    for (let sequence = 0; sequence < 20_000; sequence += 1) {
      const body = new Uint8Array(system.random.below(700)).fill(sequence);
      while (first.offer('take', { sequence, body }) !== 'accepted') await first.ready();
    }
    expect(await reportOf(system, 1, 20_000)).toMatchObject({ taken: 20_000, wrong: 0 });
    expect(await reportOf(system, 2, 20_000)).toMatchObject({ taken: 20_000, wrong: 0 });
    expect(system.deadLetters.total).toBe(0);
    expect(group.hub.counters.full).toBeGreaterThan(0);
  },
);

test('no message byte crosses by postMessage and bells are fewer than records', async () => {
  const { system, group, threads } = world(1);
  await group.start();
  const peer = system.wellKnown(Peer, { thread: 1, slot: 10 });
  const before = threads.counters.posts;
  for (let sequence = 0; sequence < 10_000; sequence += 1) {
    const input = { sequence, body: new Uint8Array(64).fill(sequence) };
    while (peer.offer('take', input) !== 'accepted') await peer.ready();
  }
  await reportOf(system, 1, 10_000);
  expect(threads.counters.postedBytes).toBe(0);
  expect(threads.counters.posts).toBe(before);
  expect(group.hub.counters.bells).toBeLessThan(500);
});

test('payloads beyond a quarter of the ring go out of band, keep their place and give their slab back', async () => {
  const { system, group } = world(1, { ringBytes: 8192, slabBytes: 1024 * 1024 });
  await group.start();
  const peer = system.wellKnown(Peer, { thread: 1, slot: 10 });
  for (let sequence = 0; sequence < 200; sequence += 1) {
    const size = sequence % 3 === 0 ? 300_000 : 100;
    const input = { sequence, body: new Uint8Array(size).fill(sequence) };
    while (peer.offer('take', input) !== 'accepted') await peer.ready();
  }
  expect(await reportOf(system, 1, 200)).toMatchObject({ taken: 200, wrong: 0 });
  const echoed = await peer.ask('echo', new Uint8Array(500_000).fill(7), { timeoutMs: 5_000 });
  expect(echoed.length).toBe(500_000);
  expect(echoed.every((byte) => byte === 7)).toBe(true);
  expect(group.hub.counters.outOfBandBytes).toBeGreaterThan(60 * 300_000);
  await reportOf(system, 1, 200);
  expect(group.hub.slab.usedBytes).toBe(0);
});

describe('a thread that ends is survived', () => {
  test.each([
    ['throw', 'threw'],
    ['reject', 'threw'],
    ['exit', 'exited'],
    ['overflow', 'threw'],
    ['memory', 'out-of-memory'],
    ['spin', 'stalled'],
    ['wait', 'stalled'],
  ])(
    '%s is seen as %s: asks fail, watchers hear, the next incarnation answers',
    async (how, cause) => {
      const { system, group, nextLoss, nextReady } = world(2, {
        limits: { heapMegabytesMax: 64 },
        // Filling the heap takes a while, and that thread is not standing still.
        stall: { sampleMs: 100, samples: how === 'memory' ? 200 : 4 },
      });
      await group.start();
      await nextReady();
      await nextReady();
      const peer = system.wellKnown(Peer, { thread: 1, slot: 10 });
      const found = await system.find(Peer, 'peer');
      const heard = mailbox<Signal>();
      const Watcher = actor(
        protocol('watcher', 1, { poke: tell(none) }),
        (ctx, _args: undefined) => {
          ctx.watch(found!);
          ctx.onSignal(heard.put);
          return { poke: ignore };
        },
      );
      system.spawn('watcher', Watcher, undefined);
      const never = peer.ask('never', undefined, { timeoutMs: 60_000 });
      await peer.ask('report', undefined, { timeoutMs: 5_000 });
      peer.tell('die', how);
      await expect(never).rejects.toMatchObject({ code: 'ACTOR_THREAD_LOST' });
      const loss = await nextLoss();
      expect(loss).toMatchObject({ thread: 1, exit: { cause } });
      if (how === 'spin' || how === 'wait' || how === 'memory' || how === 'exit') {
        expect(loss.suspect).toMatchObject({ protocol: 'peer', op: 'die', slot: 10 });
      }
      expect(await heard.next()).toMatchObject({ type: 'terminated', cause: 'thread-lost' });
      expect(await nextReady()).toEqual({ thread: 1, incarnation: 2 });
      expect(found!.offer('die', 'throw')).toBe('gone');
      const report = await peer.ask('report', undefined, { timeoutMs: 5_000 });
      expect(report).toEqual({ taken: 0, wrong: 0, byteCount: 0 });
      // The survivors have the new rings too.
      const other = system.wellKnown(Peer, { thread: 2, slot: 10 });
      other.tell('sendTo', { thread: 1, count: 100, sizeMax: 10 });
      expect(await reportOf(system, 1, 100)).toMatchObject({ wrong: 0 });
    },
  );

  test('many kills under load: the process lives and the last incarnation answers', async () => {
    const { system, group, nextLoss, nextReady } = world(1, {
      restart: { maxRestarts: 30, windowMs: 60_000, backoff: { minMs: 1, maxMs: 1, jitter: 0 } },
    });
    await group.start();
    await nextReady();
    const peer = system.wellKnown(Peer, { thread: 1, slot: 10 });
    const kills = runs(20, 6);
    for (let round = 1; round <= kills; round += 1) {
      for (let sequence = 0; sequence < 500; sequence += 1) {
        peer.tell('take', { sequence, body: new Uint8Array(100).fill(sequence) });
      }
      group.kill(1);
      await nextLoss();
      await nextReady();
    }
    expect(group.incarnationOf(1)).toBe(kills + 1);
    const report = await peer.ask('report', undefined, { timeoutMs: 5_000 });
    expect(report.wrong).toBe(0);
  });

  test('a thread that fails again and again is given up after its budget', async () => {
    const given = mailbox<number>();
    const { system, group, nextLoss, nextReady } = world(1, {
      restart: { maxRestarts: 1, windowMs: 60_000, backoff: { minMs: 1, maxMs: 1, jitter: 0 } },
      onGivenUp: given.put,
    });
    await group.start();
    await nextReady();
    group.kill(1);
    await nextLoss();
    await nextReady();
    group.kill(1);
    expect(await given.next()).toBe(1);
    const peer = system.wellKnown(Peer, { thread: 1, slot: 10 });
    await expect(peer.ask('report', undefined, { timeoutMs: 1_000 })).rejects.toMatchObject({
      code: 'ACTOR_UNREACHABLE',
    });
  });
});

describe('boot', () => {
  test('a worker whose module throws is reported with its message', async () => {
    const { group } = world(1, {
      appData: () => ({ mode: 'boot-throw' }),
      restart: { maxRestarts: 0, windowMs: 1, backoff: { minMs: 1, maxMs: 1, jitter: 0 } },
    });
    await expect(group.start()).rejects.toThrow('no boot today');
  });

  test('a worker with other protocols is refused and the difference is named', async () => {
    const { group } = world(1, {
      appData: () => ({ mode: 'wrong-protocol' }),
      restart: { maxRestarts: 0, windowMs: 1, backoff: { minMs: 1, maxMs: 1, jitter: 0 } },
    });
    await expect(group.start()).rejects.toThrow('protocol peer has version 2 here and 1 there');
  });

  test('control messages reach the application on both sides', async () => {
    const heard = mailbox<unknown>();
    const { group } = world(1, { onMessage: (thread, body) => heard.put({ thread, body }) });
    await group.start();
    group.post(1, { hello: 1 });
    expect(await heard.next()).toEqual({ thread: 1, body: { echoed: { hello: 1 } } });
  });
});

test('an idle worker is not woken', async () => {
  const { system, group, env } = world(1);
  await group.start();
  const peer = system.wellKnown(Peer, { thread: 1, slot: 10 });
  const before = await peer.ask('cpuWakes', undefined, { timeoutMs: 5_000 });
  await new Promise<void>((resolve) => {
    env.timers.at(env.clock.monotonicMs() + 500, resolve);
  });
  const after = await peer.ask('cpuWakes', undefined, { timeoutMs: 5_000 });
  // The two asks themselves take a few turns; half a second of idling must take next to none.
  expect(after - before).toBeLessThan(5);
});

test('a connection is handed over with what was read of it', async () => {
  const { group, env } = world(1);
  if (!env.threads.canHandOver) return;
  await group.start();
  const listener = await env.net.listen({ host: '127.0.0.1', port: 0 }, (connection) => {
    connection.start({
      onBytes(view) {
        connection.pauseReading();
        env.threads.handOver(connection, 1, 'link', view.slice());
      },
      onClose: ignore,
    });
  });
  const client = env.net.connect(listener.address, { timeoutMs: 1_000 });
  const received = await new Promise<string>((resolve) => {
    let text = '';
    client.start({
      onOpen: () => client.write(new TextEncoder().encode('head')),
      onBytes(view) {
        text += new TextDecoder().decode(view);
        if (text === '1:link:head') client.write(new TextEncoder().encode('!more'));
        if (text === '1:link:head!more') resolve(text);
      },
      onClose: () => resolve(text),
    });
  });
  expect(received).toBe('1:link:head!more');
  client.destroy();
  listener.close();
});

test('a connection that its thread had not taken when it died comes back', async () => {
  const { system, group, env } = world(1, { stall: { sampleMs: 60_000, samples: 60 } });
  if (!env.threads.canHandOver) return;
  await group.start();
  const peer = system.wellKnown(Peer, { thread: 1, slot: 10 });
  const returned = new Promise<[string, string]>((resolve) => {
    env.threads.onConnection((connection, tag, head) => {
      connection.start({ onBytes: ignore, onClose: ignore });
      connection.write(new TextEncoder().encode('served after all'));
      resolve([tag, new TextDecoder().decode(head)]);
    });
  });
  // A thread that does nothing else any more takes no connections.
  peer.tell('die', 'wait');
  await expect(peer.ask('echo', new Uint8Array(1), { timeoutMs: 1_000 })).rejects.toThrow();
  const listener = await env.net.listen({ host: '127.0.0.1', port: 0 }, (connection) => {
    env.threads.handOver(connection, 1, 'link', new TextEncoder().encode('head'));
    group.kill(1);
  });
  const client = env.net.connect(listener.address, { timeoutMs: 1_000 });
  const served = new Promise<string>((resolve) => {
    client.start({
      onBytes: (view) => resolve(new TextDecoder().decode(view)),
      onClose: () => resolve('closed'),
    });
  });
  expect(await returned).toEqual(['link', 'head']);
  expect(await served).toBe('served after all');
  client.destroy();
  listener.close();
});
