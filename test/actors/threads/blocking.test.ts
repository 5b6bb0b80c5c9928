// Workers that block in Atomics.wait when they are idle: whatever wakes a worker that sleeps in its event loop
// wakes these too, and they wake for nothing else more than a few times a second.
import { expect, test } from 'vitest';
import { createSystem } from '../../../src/actors/index.ts';
import { STATUS_TURNS, STATUS_WORDS } from '../../../src/actors/status.ts';
import { manualEnvironment } from '../../../src/actors/testkit/index.ts';
import { Heartbeat } from '../../../src/actors/threads/heartbeat.ts';
import { Standstill } from '../../../src/actors/threads/standstill.ts';
import { entry, ignore, mailbox, Peer, reportOf, world } from './support.ts';

const BLOCK = { entry, idle: 'block' } as const;
const WAIT = { timeoutMs: 10_000 };

test.each([0, 0xffff_f000])(
  'every record arrives once and in order among blocking workers, from index %i',
  async (ringStartIndex) => {
    const { system, group, threads } = world(2, { ...BLOCK, ringBytes: 8192, ringStartIndex });
    await group.start();
    const before = threads.counters.bellsRung;
    const peers = [1, 2].map((thread) => system.wellKnown(Peer, { thread, slot: 10 }));
    peers[0]!.tell('sendTo', { thread: 2, count: 10_000, sizeMax: 900 });
    for (let sequence = 0; sequence < 10_000; sequence += 1) {
      const body = new Uint8Array(system.random.below(700)).fill(sequence);
      while (peers[0]!.offer('take', { sequence, body }) !== 'accepted') await peers[0]!.ready();
    }
    expect(await reportOf(system, 1, 10_000)).toMatchObject({ taken: 10_000, wrong: 0 });
    expect(await reportOf(system, 2, 10_000)).toMatchObject({ taken: 10_000, wrong: 0 });
    expect(system.deadLetters.total).toBe(0);
    // Not one of their bells was a message on a port.
    expect(group.hub.counters.bells).toBeGreaterThan(0);
    expect(threads.counters.bellsRung).toBe(before);
  },
);

test('timers of actors and control messages wake a worker that blocks', async () => {
  const heard = mailbox<unknown>();
  const { system, group } = world(1, { ...BLOCK, onMessage: (_thread, body) => heard.put(body) });
  await group.start();
  const peer = system.wellKnown(Peer, { thread: 1, slot: 10 });
  for (let round = 0; round < 20; round += 1) {
    await peer.ask('afterMs', 3, WAIT);
    group.post(1, { round });
    expect(await heard.next()).toEqual({ echoed: { round } });
  }
  expect((await group.control(1).counters(WAIT)).asksOpen).toBe(0);
});

test('a worker that blocks and is idle takes few turns, and is not taken for one that stands still', async () => {
  // It blocks for 250 ms at a time, so some of these see it twice in the same rest.
  const { system, group, env } = world(1, { ...BLOCK, stall: { sampleMs: 120, samples: 1 } });
  await group.start();
  const peer = system.wellKnown(Peer, { thread: 1, slot: 10 });
  await peer.ask('report', undefined, WAIT);
  await new Promise<void>((resolve) => {
    env.timers.at(env.clock.monotonicMs() + 1_200, resolve);
  });
  expect(group.incarnationOf(1)).toBe(1);
  const quiet = world(1, BLOCK);
  await quiet.group.start();
  const other = quiet.system.wellKnown(Peer, { thread: 1, slot: 10 });
  const before = await other.ask('cpuWakes', undefined, WAIT);
  await new Promise<void>((resolve) => {
    env.timers.at(env.clock.monotonicMs() + 1_000, resolve);
  });
  // Each ask takes a few turns. Nobody samples faster than every 500 ms.
  expect((await other.ask('cpuWakes', undefined, WAIT)) - before).toBeLessThan(15);
});

test('a thread that says that it rests is not judged, however busy its loop seems; one that works is', () => {
  const env = manualEnvironment(1);
  const system = createSystem(env, { name: 'test', thread: 0 });
  const standstill = new Standstill(system);
  const status = new Int32Array(STATUS_WORDS);
  const heart = new Heartbeat(status, STATUS_TURNS);
  let judged = 0;
  const thread = {
    status: () => status,
    utilization: () => 1,
    ring: ignore,
    standsStill: () => {
      judged += 1;
    },
  };
  heart.rest();
  standstill.watch(1, thread, { sampleMs: 10, samples: 1 });
  env.advance(1_000);
  expect(judged).toBe(0);
  heart.beat();
  env.advance(30);
  expect(judged).toBeGreaterThan(0);
});

test.each([
  ['exit', 'exited'],
  ['spin', 'stalled'],
])(
  'a blocking worker that ends (%s) is replaced, and its peers find the next one',
  async (how, cause) => {
    const { system, group, nextLoss, nextReady } = world(2, {
      ...BLOCK,
      stall: { sampleMs: 100, samples: 4 },
    });
    await group.start();
    await nextReady();
    await nextReady();
    const peer = system.wellKnown(Peer, { thread: 1, slot: 10 });
    const never = peer.ask('never', undefined, { timeoutMs: 60_000 });
    await peer.ask('report', undefined, WAIT);
    peer.tell('die', how);
    await expect(never).rejects.toMatchObject({ code: 'ACTOR_THREAD_LOST' });
    expect(await nextLoss()).toMatchObject({ thread: 1, exit: { cause } });
    expect(await nextReady()).toEqual({ thread: 1, incarnation: 2 });
    const other = system.wellKnown(Peer, { thread: 2, slot: 10 });
    other.tell('sendTo', { thread: 1, count: 100, sizeMax: 10 });
    expect(await reportOf(system, 1, 100)).toMatchObject({ wrong: 0 });
  },
);
