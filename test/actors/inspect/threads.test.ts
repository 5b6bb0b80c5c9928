// The door over real threads and real sockets: a thread that is blocked is shown as such, with what it is
// handling, and holds up nobody.
import net from 'node:net';
import { afterEach, expect, test, vi } from 'vitest';
import { ask, createSystem, protocol, tell } from '../../../src/actors/index.ts';
import type { Inspection } from '../../../src/actors/inspect/looks.ts';
import { ThreadGroup } from '../../../src/actors/threads/thread-group.ts';
import { none, u32 } from '../../../src/codec/index.ts';
import type { Log } from '../../../src/env/environment.ts';
import { createNodeEnvironment } from '../../../src/env/node/environment.ts';
import { PATIENCE_MS } from '../../setup/patience.ts';

const Job = protocol('job', 1, {
  work: tell(u32),
  block: tell(u32),
  fail: tell(none),
  done: ask(none, u32),
});

const ignore = () => undefined;
const quiet: Log = { debug: ignore, info: ignore, warn: ignore, error: ignore, child: () => quiet };
const ends: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0)) await end();
});

async function world(workers: number) {
  const env = createNodeEnvironment({ log: quiet });
  const system = createSystem(env, {
    name: 'test',
    node: 1,
    incarnation: 9,
    thread: 0,
    threadCount: workers + 1,
    protocols: [Job],
  });
  const group = new ThreadGroup(system, {
    entry: new URL('../workers/inspected.mjs', import.meta.url),
    workers,
    // Whoever stands still is left standing: it is what these tests look at.
    stall: { sampleMs: 600_000, samples: 3 },
  });
  ends.push(async () => {
    await group.stop({ timeoutMs: 200 });
    await system.shutdown({ timeoutMs: 1_000 });
  });
  await group.start();
  return { system, group };
}

async function inspectionOf(url: string): Promise<Inspection> {
  return (await (await fetch(`${url}/inspection`)).json()) as Inspection;
}

test('all threads are shown; one that is blocked is silent, and what it handles is named', async () => {
  const { system } = await world(2);
  const door = await system.inspect({ timeoutMs: 300 });
  // On a busy machine one may not answer in time at first.
  const before = await vi.waitFor(async () => {
    const seen = await inspectionOf(door.url);
    expect(seen.threads.map(({ thread, state }) => [thread, state])).toEqual([
      [0, 'answering'],
      [1, 'answering'],
      [2, 'answering'],
    ]);
    return seen;
  }, PATIENCE_MS);
  const job = before.threads[1]!.info!.actors.find(({ path }) => path === '/job');
  expect(job).toMatchObject({ class: 'job', slot: 10, capacity: 1_024 });
  system.wellKnown(Job, { thread: 2, slot: 10 }).tell('block', 600_000);
  await vi.waitFor(async () => {
    const { threads } = await inspectionOf(door.url);
    expect(threads.map(({ state }) => state)).toEqual(['answering', 'answering', 'silent']);
    expect(threads[2]).toEqual({
      node: 1,
      thread: 2,
      state: 'silent',
      glimpse: {
        isAlive: true,
        incarnation: 1,
        handling: { class: 'job', op: 'block', slot: 10 },
      },
    });
  }, PATIENCE_MS);
});

test('what was slow and what failed on another thread is shown here, and its rates', async () => {
  const { system } = await world(1);
  const job = system.wellKnown(Job, { thread: 1, slot: 10 });
  job.tell('block', 60);
  job.tell('fail', undefined);
  job.tell('work', 1);
  await vi.waitFor(async () => {
    const { info } = (await system.inspectAll()).threads[1]!;
    expect(info!.slowHandlers).toMatchObject([{ class: 'job', op: 'block', count: 1 }]);
    expect(info!.failures).toMatchObject([{ path: '/job', message: 'failed on purpose' }]);
    expect(info!.classes.find(({ name }) => name === 'job')).toMatchObject({ restarted: 1 });
  }, PATIENCE_MS);
});

test('a thread that has ended is shown as lost until it is there again', async () => {
  const { system, group } = await world(1);
  group.kill(1);
  const states = new Set<string>();
  await vi.waitFor(async () => {
    const { state, glimpse } = (await system.inspectAll({ timeoutMs: 200 })).threads[1]!;
    states.add(state);
    expect({ state, incarnation: glimpse?.incarnation }).toEqual({
      state: 'answering',
      incarnation: 2,
    });
  }, PATIENCE_MS);
  expect([...states].every((state) => ['lost', 'answering', 'silent'].includes(state))).toBe(true);
});

test('a thousand connections that say nothing do not keep others out for long, nor the process', async () => {
  const { system } = await world(0);
  const door = await system.inspect();
  const sockets = Array.from({ length: 1_000 }, () =>
    net.connect(door.address.port, '127.0.0.1').on('error', ignore),
  );
  let closed = 0;
  for (const socket of sockets) socket.on('close', () => (closed += 1)).resume();
  // All but those that are kept until their five seconds are over.
  await vi.waitFor(() => expect(closed).toBeGreaterThanOrEqual(1_000 - 32), PATIENCE_MS);
  for (const socket of sockets) socket.destroy();
  await vi.waitFor(async () => {
    expect((await fetch(`${door.url}/inspection`)).status).toBe(200);
  }, PATIENCE_MS);
  door.close();
});
