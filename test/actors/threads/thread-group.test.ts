// Real worker threads: order and flow control over small rings, payloads out of band, and connections that
// change threads. How a thread's death is survived is in thread-death.test.ts.
import { expect, test } from 'vitest';
import { ignore, mailbox, Peer, reportOf, world } from './support.ts';

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
  expect(threads.counters.controlCalls).toBe(0);
  // The first control call, and it says of itself that it is.
  const { counters } = await group.control(1).facts({ timeoutMs: 5_000 });
  expect(counters).toMatchObject({ postedBytes: 0, controlCalls: 1 });
  expect(threads.counters.controlCalls).toBe(1);
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

test('an idle thread is woken less than ten times a second, by nothing of the runtime', async () => {
  const { group, env } = world(2, { stall: { sampleMs: 100, samples: 3 } });
  await group.start();
  const within = { timeoutMs: 10_000 };
  const look = async (thread: number) => {
    const control = group.control(thread);
    // In this order, so that the second look ends the interval as early as the first began it.
    const { loopCount, counters } = await control.facts(within);
    const { turns, deadlines } = await control.counters(within);
    return { loopCount, bells: counters['bellsHeard']!, turns, deadlines };
  };
  await look(1);
  await look(2);
  const before = [await look(1), await look(2)];
  const seconds = 2;
  await new Promise<void>((resolve) => {
    env.timers.at(env.clock.monotonicMs() + seconds * 1_000, resolve);
  });
  const after = [await look(1), await look(2)];
  for (const [at, was] of before.entries()) {
    const now = after[at]!;
    // Nobody asked for a turn, nobody rang, and no timer waits. This thread looked at both all the time.
    expect({ ...now, loopCount: 0 }).toEqual({ ...was, loopCount: 0, deadlines: 0 });
    if (now.loopCount === undefined) continue;
    expect(now.loopCount).toBeGreaterThan(was.loopCount!);
    // The looks themselves are a few of these.
    expect(now.loopCount - was.loopCount!).toBeLessThan(10 * seconds);
  }
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

test('control messages reach the application on both sides', async () => {
  const heard = mailbox<unknown>();
  const { group } = world(1, { onMessage: (thread, body) => heard.put({ thread, body }) });
  await group.start();
  group.post(1, { hello: 1 });
  expect(await heard.next()).toEqual({ thread: 1, body: { echoed: { hello: 1 } } });
});
