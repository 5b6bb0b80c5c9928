// A thread in every way it can die: who was waiting hears it, nothing is handled twice, what it had not taken
// comes back, and it starts again under a budget. And what only looks like death: standing still.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterEach, describe, expect, test } from 'vitest';
import type { Later, Ref, Signal } from '../../../src/actors/index.ts';
import { actor, protocol, tell } from '../../../src/actors/index.ts';
import { RestartBudget } from '../../../src/actors/supervise.ts';
import { none } from '../../../src/codec/index.ts';
import type { Connection } from '../../../src/env/environment.ts';
import type { ThreadHandle } from '../../../src/env/threads.ts';
import { runs } from '../../setup/runs.ts';
import type { World } from './support.ts';
import { ASKED_SLOT, ignore, mailbox, Peer, reportOf, until, world } from './support.ts';

const NO_RESTART = {
  maxRestarts: 0,
  windowMs: 1,
  backoff: { minMs: 1, maxMs: 1, jitter: 0 },
};
const FAR = { sampleMs: 60_000, samples: 60 };

function peerOf({ system }: World, thread = 1): Ref<typeof Peer.ops> {
  return system.wellKnown(Peer, { thread, slot: 10 });
}

/** The signals that a watcher of `target` hears. */
function watch({ system }: World, target: Ref<typeof Peer.ops>) {
  const heard = mailbox<Signal>();
  const Watcher = actor(protocol('watcher', 1, { poke: tell(none) }), (ctx, _args: undefined) => {
    ctx.watch(target);
    ctx.onSignal(heard.put);
    return { poke: ignore };
  });
  system.spawn('watcher', Watcher, undefined);
  return heard;
}

/** A connection that was accepted here and not started, and what its client hears. */
async function accepted({ env }: World) {
  const connections = mailbox<Connection>();
  const listener = await env.net.listen({ host: '127.0.0.1', port: 0 }, connections.put);
  const client = env.net.connect(listener.address, { timeoutMs: 5_000 });
  const served = new Promise<string>((resolve) => {
    client.start({
      onBytes: (view) => resolve(new TextDecoder().decode(view)),
      onClose: () => resolve('closed'),
    });
  });
  const connection = await connections.next();
  listener.close();
  return { connection, served, close: () => client.destroy() };
}

/** Serves connections that nobody took. */
function returnedTo({ env }: World): Promise<[string, string]> {
  return new Promise((resolve) => {
    env.threads.onConnection((connection, tag, head) => {
      connection.start({ onBytes: ignore, onClose: ignore });
      connection.write(new TextEncoder().encode('served after all'));
      resolve([tag, new TextDecoder().decode(head)]);
    });
  });
}

// What it was handling is known where the thread ends inside a handler.
test.each([
  ['throw', 'threw', 'thrown on purpose', false],
  ['reject', 'threw', 'rejected on purpose', false],
  ['exit', 'exited', 'code 7', true],
  ['overflow', 'threw', 'Maximum call stack size exceeded', false],
  ['memory', 'out-of-memory', 'memory limit', true],
  ['spin', 'stalled', 'stalled', true],
  ['wait', 'stalled', 'stalled', true],
])(
  '%s is seen as %s: asks fail, watchers hear, connections come back, the next incarnation answers',
  async (how, cause, message, hasSuspect) => {
    const gate = new Int32Array(new SharedArrayBuffer(8));
    const isStall = cause === 'stalled';
    const made = world(2, {
      appData: (thread) => (thread === 1 ? { gate } : {}),
      limits: { heapMegabytesMax: 64 },
      stall: isStall ? { sampleMs: 100, samples: 4 } : FAR,
    });
    const { system, group, env, nextLoss, nextReady } = made;
    await group.start();
    await nextReady();
    await nextReady();
    const peer = peerOf(made);
    const found = await system.find(Peer, 'peer');
    const heard = watch(made, found!);
    const never = peer.ask('never', undefined, { timeoutMs: 600_000 });
    await peer.ask('report', undefined, { timeoutMs: 5_000 });
    const { connection, served, close } = await accepted(made);
    const returned = returnedTo(made);
    if (isStall) Atomics.store(gate, 1, 1);
    peer.tell('die', how);
    for (let sequence = 0; sequence < 3; sequence += 1) {
      peer.tell('take', { sequence, body: new Uint8Array(1) });
    }
    await until(() => Atomics.load(gate, 0) === 1);
    if (env.threads.canHandOver) {
      env.threads.handOver(connection, 1, 'link', new TextEncoder().encode('head'));
    }
    Atomics.store(gate, 1, 1);
    Atomics.notify(gate, 1);

    await expect(never).rejects.toMatchObject({ code: 'ACTOR_THREAD_LOST' });
    const loss = await nextLoss();
    expect(loss).toMatchObject({ thread: 1, exit: { cause } });
    expect(loss.exit.message).toContain(message);
    if (hasSuspect)
      expect(loss.suspect).toEqual({ thread: 1, slot: 10, protocol: 'peer', op: 'die' });
    expect(await heard.next()).toMatchObject({ type: 'terminated', cause: 'thread-lost' });
    if (env.threads.canHandOver) {
      expect(await returned).toEqual(['link', 'head']);
      expect(await served).toBe('served after all');
    }
    close();

    expect(await nextReady()).toEqual({ thread: 1, incarnation: 2 });
    expect(found!.offer('die', 'throw')).toBe('gone');
    await expect(found!.ask('report', undefined, { timeoutMs: 5_000 })).rejects.toMatchObject({
      code: 'ACTOR_GONE',
    });
    // Neither the suspect nor what stood behind it is delivered to the next life.
    const report = await peer.ask('report', undefined, { timeoutMs: 5_000 });
    expect(report).toEqual({ taken: 0, wrong: 0, byteCount: 0 });
    // The survivors have the new rings too.
    peerOf(made, 2).tell('sendTo', { thread: 1, count: 100, sizeMax: 10 });
    expect(await reportOf(system, 1, 100)).toMatchObject({ wrong: 0 });
    expect(group.incarnationOf(1)).toBe(2);
  },
);

test('an answer that comes after the death of its asker is not for the next life', async () => {
  const made = world(1);
  const asked = mailbox<Later<number>>();
  const nothing = () => undefined as never;
  const Asked = actor(Peer, (ctx, _args: undefined) => ({
    take: nothing,
    report: nothing,
    echo: nothing,
    sendTo: nothing,
    die: nothing,
    never: nothing,
    cpuWakes: nothing,
    footprint: nothing,
    afterMs: nothing,
    due: nothing,
    askMain() {
      const later = ctx.later<number>();
      asked.put(later);
      return later;
    },
  }));
  made.system.spawnWellKnown(ASKED_SLOT, 'asked', Asked, undefined);
  await made.group.start();
  await made.nextReady();
  const peer = peerOf(made);
  const lost = peer.ask('askMain', undefined, { timeoutMs: 20_000 });
  const first = await asked.next();
  made.group.kill(1);
  await expect(lost).rejects.toMatchObject({ code: 'ACTOR_THREAD_LOST' });
  await made.nextReady();
  const answer = peer.ask('askMain', undefined, { timeoutMs: 20_000 });
  const second = await asked.next();
  first.ok(1);
  // It has gone the way that the answer will go.
  await peer.ask('report', undefined, { timeoutMs: 20_000 });
  second.ok(2);
  expect(await answer).toBe(2);
});

test('many kills under load: the process lives and the last incarnation answers', async () => {
  const made = world(1, {
    restart: { maxRestarts: 30, windowMs: 60_000, backoff: { minMs: 1, maxMs: 1, jitter: 0 } },
  });
  const { group, nextLoss, nextReady } = made;
  await group.start();
  await nextReady();
  const peer = peerOf(made);
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

describe('restarts', () => {
  test('a thread that fails again and again is given up after its budget', async () => {
    const given = mailbox<{ thread: number; cause: string }>();
    const made = world(1, {
      restart: { maxRestarts: 1, windowMs: 60_000, backoff: { minMs: 1, maxMs: 1, jitter: 0 } },
      onGivenUp: (thread, { cause }) => given.put({ thread, cause }),
    });
    const { group, nextLoss, nextReady } = made;
    await group.start();
    await nextReady();
    group.kill(1);
    await nextLoss();
    await nextReady();
    const peer = peerOf(made);
    const heard = watch(made, peer);
    // Answered when the watch, which went before it, is in place.
    await peer.ask('report', undefined, { timeoutMs: 5_000 });
    peer.tell('die', 'exit');
    expect(await given.next()).toEqual({ thread: 1, cause: 'exited' });
    expect(await heard.next()).toMatchObject({ type: 'terminated', cause: 'thread-lost' });
    expect(group.incarnationOf(1)).toBeUndefined();
    await expect(peer.ask('report', undefined, { timeoutMs: 1_000 })).rejects.toMatchObject({
      code: 'ACTOR_UNREACHABLE',
    });
  });

  test('each start within the window waits twice as long as the one before, up to a limit', () => {
    const random = { u32: () => 0x8000_0000, below: () => 0, fork: () => random };
    const budget = new RestartBudget({
      maxRestarts: 4,
      windowMs: 1_000,
      backoff: { minMs: 10, maxMs: 50, jitter: 0.2 },
    });
    const delays = [0, 0, 0, 0, 0].map((_, at) => budget.next(at, random));
    // Half of the jitter is taken off.
    expect(delays).toEqual([9, 18, 36, 45, undefined]);
    expect(budget.next(1_003, random)).toBe(9);
  });
});

describe('a thread that does not boot names its module and why', () => {
  const folders: string[] = [];
  afterEach(() => {
    for (const folder of folders.splice(0)) rmSync(folder, { recursive: true });
  });

  function entryOf(text: string): URL {
    const folder = mkdtempSync(join(tmpdir(), 'callboard-boot-'));
    folders.push(folder);
    writeFileSync(join(folder, 'entry.mjs'), text);
    return pathToFileURL(join(folder, 'entry.mjs'));
  }

  test.each([
    [
      'imports a module that is not there',
      "import './not-there.mjs';",
      /not-there\.mjs.* imported/,
    ],
    ['has a syntax error', 'let a = ;', /SyntaxError: Unexpected token[\s\S]*node --check/],
    [
      'throws at its top level',
      "throw new Error('no boot today');",
      /no boot today[\s\S]*entry\.mjs:1/,
    ],
    ['throws what is no error', 'throw { a: 1 };', /thrown: \{ a: 1 \}/],
    ['ends before it is ready', '', /exited with code 0/],
    ['exits', 'process.exit(3);', /exited with code 3/],
  ])('a module that %s', async (_what, text, why) => {
    const entry = entryOf(text);
    const { group, nextLoss } = world(1, { entry, restart: NO_RESTART });
    await expect(group.start()).rejects.toThrow(why);
    const { exit, suspect } = await nextLoss();
    expect(exit.cause).toBe('boot-failed');
    expect(exit.message).toContain(`thread 1 did not boot from ${entry.href}: `);
    expect(suspect).toBeUndefined();
  });

  test('a member that throws', async () => {
    const { group } = world(1, { appData: () => ({ mode: 'boot-throw' }), restart: NO_RESTART });
    await expect(group.start()).rejects.toThrow(
      /member\.mjs: Error: no boot today[\s\S]*member\.mjs:/,
    );
  });

  test('a member with other protocols, and the difference is named', async () => {
    const { group } = world(1, {
      appData: () => ({ mode: 'wrong-protocol' }),
      restart: NO_RESTART,
    });
    await expect(group.start()).rejects.toThrow(
      /member\.mjs: [\s\S]*protocol peer has version 2 here and 1 there/,
    );
  });

  test.each(['never-ready', 'boot-spin'])('a member that does not get ready: %s', async (mode) => {
    const made = world(1, { appData: () => ({ mode }), bootTimeoutMs: 1_000, restart: NO_RESTART });
    await expect(made.group.start()).rejects.toThrow(/member\.mjs: not ready after 1000 ms/);
    expect((await made.nextLoss()).exit.cause).toBe('boot-failed');
  });
});

describe('standstill', () => {
  /** Calls `onBusy` whenever a sample says that the thread is busy. */
  function onBusySample({ threads }: World, onBusy: () => void): void {
    const start = threads.start.bind(threads);
    threads.start = (...args): ThreadHandle => {
      const handle = start(...args);
      const utilization = handle.utilization.bind(handle);
      handle.utilization = () => {
        const busy = utilization();
        if (busy >= 0.999) onBusy();
        return busy;
      };
      return handle;
    };
  }

  // Long beside what a loaded machine takes from a thread.
  const STALL = { sampleMs: 150, samples: 4 };

  test('an endless loop under load ends the thread', async () => {
    const made = world(1, { stall: STALL });
    await made.group.start();
    const peer = peerOf(made);
    peer.tell('die', 'spin');
    let isLost = false;
    const loss = made.nextLoss().finally(() => {
      isLost = true;
    });
    let offered = 0;
    while (!isLost) {
      const input = { sequence: offered, body: new Uint8Array(100) };
      // Its ring fills up: then nothing but the loop of this thread goes on.
      while (peer.offer('take', input) === 'accepted') offered += 1;
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(await loss).toMatchObject({ exit: { cause: 'stalled' }, suspect: { op: 'die' } });
    expect(offered).toBeGreaterThan(100);
  });

  test.each([
    ['slow handlers, many of them in one turn', { slowMs: 100 }, 'take'],
    ['work that is no actor', {}, 'busy'],
  ])('a thread that is busy and gets on is left alone: %s', async (_what, app, how) => {
    const made = world(1, { stall: STALL, appData: () => app });
    let busySamples = 0;
    onBusySample(made, () => {
      busySamples += 1;
    });
    await made.group.start();
    const peer = peerOf(made);
    if (how === 'busy') peer.tell('die', 'busy');
    const count = how === 'take' ? 24 : 0;
    for (let sequence = 0; sequence < count; sequence += 1) {
      peer.tell('take', { sequence, body: new Uint8Array(1).fill(sequence) });
    }
    await until(() => busySamples >= 2 * STALL.samples);
    expect(made.group.incarnationOf(1)).toBe(1);
    const report = await peer.ask('report', undefined, { timeoutMs: 20_000 });
    expect(report).toMatchObject({ taken: count, wrong: 0 });
  });
});
