// Large payloads that are read where their sender wrote them: valid until the handler returns, longer for who
// retains, poisoned in strict mode, and bounded whoever keeps what. The receiver is an actor of this thread.
import { afterEach, expect, test } from 'vitest';
import type { Context, Ref } from '../../../src/actors/index.ts';
import { actor, createSystem } from '../../../src/actors/index.ts';
import { SLAB_UNIT_BYTES } from '../../../src/actors/threads/slab-pool.ts';
import { ThreadGroup } from '../../../src/actors/threads/thread-group.ts';
import type { Log } from '../../../src/env/environment.ts';
import { createNodeEnvironment } from '../../../src/env/node/environment.ts';
import { Lender, Receiver, type ReceiverOps } from '../workers/lending.mjs';

const POISON = 0xdd;
const LARGE = 100_000;
const UNITS = 16;
const WAIT = { timeoutMs: 10_000 };
const ignore = () => undefined;
const quiet: Log = { debug: ignore, info: ignore, warn: ignore, error: ignore, child: () => quiet };

interface Behaviour {
  readonly onBody: (ctx: Context<ReceiverOps>, body: Uint8Array) => void | Promise<void>;
  readonly onPoke?: (ctx: Context<ReceiverOps>) => void;
  readonly onAsk?: (ctx: Context<ReceiverOps>, body: Uint8Array) => number | Promise<number>;
  readonly capacity?: number;
}

const open: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of open.splice(0)) await close();
});

async function world(behaviour: Behaviour, isStrict = true) {
  const env = createNodeEnvironment({ log: quiet });
  const system = createSystem(env, {
    name: 'test',
    threadCount: 2,
    strict: isStrict,
    protocols: [Receiver, Lender],
  });
  let restarted: () => void = ignore;
  const group = new ThreadGroup(system, {
    entry: new URL('../workers/lender.mjs', import.meta.url),
    workers: 1,
    ringBytes: 64 * 1024,
    slabBytes: UNITS * SLAB_UNIT_BYTES,
    restart: { maxRestarts: 5, windowMs: 60_000, backoff: { minMs: 1, maxMs: 1, jitter: 0 } },
    onThreadReady: () => restarted(),
  });
  const { onBody, onPoke = ignore, onAsk = () => 0, capacity = 1000 } = behaviour;
  const ReceiverActor = actor(
    Receiver,
    (ctx) => ({
      take: (body) => onBody(ctx, body),
      lend: (body) => onBody(ctx, body),
      lendAsk: (body) => onAsk(ctx, body),
      poke: () => onPoke(ctx),
    }),
    {
      mailbox: { capacity, overflow: 'reject' },
      supervision: {
        decide: () => 'resume',
        maxRestarts: 1,
        windowMs: 1,
        backoff: { minMs: 1, maxMs: 1, jitter: 0 },
      },
    },
  );
  const receiver = system.spawnWellKnown(
    11,
    'receiver',
    ReceiverActor,
    undefined,
  ) as Ref<ReceiverOps>;
  open.push(async () => {
    await group.stop({ timeoutMs: 2_000 });
    await system.shutdown({ timeoutMs: 1_000 });
  });
  await group.start();
  const lender = system.wellKnown(Lender, { thread: 1, slot: 10 });
  const usedBytes = () => lender.ask('usedBytes', undefined, WAIT);
  return {
    system,
    group,
    receiver,
    lender,
    usedBytes,
    /** Sends, and resolves when what was accepted has been handled: this comes behind it. */
    async send(size: number, count: number, isLent = true): Promise<number> {
      const accepted = await lender.ask('send', { size, count, isLent: isLent ? 1 : 0 }, WAIT);
      await usedBytes();
      return accepted;
    },
    nextReady: () => new Promise<void>((resolve) => (restarted = resolve)),
  };
}

const all = (body: Uint8Array, value: number) => body.every((byte) => byte === value);

test('a large lent body is the memory of its sender, and free when the handler has returned', async () => {
  const seen: boolean[] = [];
  const { send, usedBytes, group } = await world(
    {
      onBody: (_ctx, body) =>
        void seen.push(body.buffer instanceof SharedArrayBuffer && all(body, seen.length + 1)),
    },
    false,
  );
  expect(await send(LARGE, 4)).toBe(4);
  expect(seen).toEqual([true, true, true, true]);
  expect(await usedBytes()).toBe(0);
  expect(group.hub.counters.heldBytes).toBe(0);
  // Small ones, and what was not lent, are the receiver's own.
  seen.length = 0;
  expect([await send(10, 1), await send(LARGE, 1, false)]).toEqual([1, 1]);
  expect(seen).toEqual([false, false]);
});

test.each([
  ['lent, in the slab', LARGE, true],
  ['lent, in the ring', 100, true],
  ['in the slab', LARGE, false],
  ['in the ring', 100, false],
])(
  'strict: a view that was kept reads poison, one that was retained does not: %s',
  async (_how, size, isLent) => {
    const kept: Uint8Array[] = [];
    const releases: (() => void)[] = [];
    const { send, usedBytes } = await world({
      onBody(ctx, body) {
        expect(all(body, kept.length + 1)).toBe(true);
        if (kept.length === 1) releases.push(ctx.retain(), ctx.retain());
        kept.push(body);
      },
    });
    expect(await send(size, 3, isLent)).toBe(3);
    expect(kept.map((body) => body[size >> 1])).toEqual([POISON, 2, POISON]);
    expect(all(kept[0]!, POISON)).toBe(true);
    releases[0]!();
    releases[0]!();
    expect(all(kept[1]!, 2)).toBe(true);
    releases[1]!();
    expect(all(kept[1]!, POISON)).toBe(true);
    expect(await usedBytes()).toBe(0);
  },
);

test('an async handler has the bytes until its first await, and longer if it retains', async () => {
  const seen: number[] = [];
  // What a handler throws is its actor's failure, not the test's.
  const tooLate: string[] = [];
  const { send, usedBytes } = await world({
    async onBody(ctx, body) {
      const isOdd = body[0]! % 2 === 1;
      const release = isOdd ? ctx.retain() : ignore;
      await Promise.resolve();
      seen.push(body[0]!);
      if (isOdd) release();
      else {
        try {
          ctx.retain();
          tooLate.push('retained');
        } catch (error) {
          tooLate.push((error as Error).message);
        }
      }
    },
  });
  await send(LARGE, 4);
  // A handler that awaits holds its mailbox, so the last may still be waiting.
  while (seen.length < 4) await usedBytes();
  expect(seen).toEqual([1, POISON, 3, POISON]);
  const refusal = expect.stringContaining('before the first await');
  expect(tooLate).toEqual([refusal, refusal]);
  expect(await usedBytes()).toBe(0);
});

test('a question may be lent: its bytes are there until it is answered, if they are retained', async () => {
  const { lender, usedBytes } = await world({
    onBody: ignore,
    async onAsk(ctx, body) {
      const release = ctx.retain();
      await Promise.resolve();
      const sum = body.reduce((total, byte) => total + byte, 0);
      release();
      return sum;
    },
  });
  expect(await lender.ask('question', LARGE, WAIT)).toBe(LARGE);
  expect(await usedBytes()).toBe(0);
});

test('who retains for ever makes its sender see full, while answers get through', async () => {
  const releases: (() => void)[] = [];
  const { send, usedBytes, lender, group } = await world({
    onBody: (ctx) => void releases.push(ctx.retain()),
  });
  const most = (UNITS * 3) / 4;
  expect(await send(SLAB_UNIT_BYTES - 8, 1000)).toBe(most);
  expect(await send(SLAB_UNIT_BYTES - 8, 1000)).toBe(0);
  expect(await usedBytes()).toBe(most * SLAB_UNIT_BYTES);
  expect(group.hub.counters.heldBytes).toBeGreaterThan((most - 1) * SLAB_UNIT_BYTES);
  expect((await lender.ask('large', 3 * SLAB_UNIT_BYTES, WAIT)).length).toBe(3 * SLAB_UNIT_BYTES);
  expect(await send(10, 5)).toBe(5);
  for (const release of releases.splice(0)) release();
  expect(await usedBytes()).toBe(0);
  expect(await send(SLAB_UNIT_BYTES - 8, 3)).toBe(3);
});

test('a sender that waits for room hears of a release, wherever it comes from', async () => {
  const { system, group, lender } = await world({ onBody: ignore });
  const body = new Uint8Array(SLAB_UNIT_BYTES - 8);
  let sent = 0;
  while (lender.offer('hoard', body) === 'accepted') sent += 1;
  expect(sent).toBe((UNITS * 3) / 4);
  // All is held by the other thread, for ever: only its end helps.
  const next = (async () => {
    while (lender.offer('hoard', body) !== 'accepted') await lender.ready();
  })();
  const refused = group.hub.counters.full;
  for (let turn = 0; turn < 100; turn += 1) await lender.ask('usedBytes', undefined, WAIT);
  expect(group.hub.slab.usedBytes).toBe(sent * SLAB_UNIT_BYTES);
  // It is tried again when there is a reason, and every 100 ms without one: not in every turn.
  expect(group.hub.counters.full - refused).toBeLessThan(50);
  group.kill(1);
  await next;
  expect(group.hub.slab.usedBytes).toBe(SLAB_UNIT_BYTES);
  expect(system.deadLetters.total).toBe(0);
});

test('a sender that waits for room goes on when the receiver releases', async () => {
  const held: (() => void)[] = [];
  const { lender, usedBytes, group } = await world({
    onBody(ctx) {
      held.push(ctx.retain());
      // Never all of the slab: one is let go for each that comes, outside of a turn.
      if (held.length >= 8) setImmediate(held.shift()!);
    },
  });
  await lender.ask('sendAll', { size: SLAB_UNIT_BYTES - 8, count: 300, isLent: 1 }, WAIT);
  for (const release of held) release();
  expect(await usedBytes()).toBe(0);
  expect(group.hub.counters.heldBytes).toBe(0);
});

test('more than three quarters of a slab are not lent, and nothing is left of the attempt', async () => {
  const { lender, group, system } = await world({ onBody: ignore });
  lender.tell('hoard', new Uint8Array(UNITS * SLAB_UNIT_BYTES * 0.8));
  expect(system.deadLetters.total).toBe(1);
  expect(group.hub.slab.usedBytes).toBe(0);
});

test('a handler that throws, a full mailbox and an actor that stops let go of their memory', async () => {
  const reasons: string[] = [];
  const { send, usedBytes, receiver, system } = await world({
    capacity: 2,
    onBody() {
      throw new Error('thrown on purpose');
    },
    onPoke: (ctx) => ctx.stop(),
  });
  await send(LARGE, 1);
  expect(await usedBytes()).toBe(0);
  // Two wait, three are refused here.
  await send(LARGE, 5);
  expect(await usedBytes()).toBe(0);
  receiver.tell('poke', undefined);
  await send(LARGE, 3);
  expect(await usedBytes()).toBe(0);
  for (const each of system.deadLetters.recent) reasons.push(each.reason);
  expect(new Set(reasons)).toEqual(new Set(['failed', 'full', 'gone']));
});

test('a message that is put aside keeps its memory until it was handled', async () => {
  const seen: number[] = [];
  let isOpen = false;
  const { send, usedBytes, receiver } = await world({
    onBody(ctx, body) {
      if (isOpen) seen.push(body[LARGE - 1]!);
      else ctx.stash();
    },
    onPoke(ctx) {
      isOpen = true;
      ctx.unstash();
    },
  });
  await send(LARGE, 2);
  expect(await usedBytes()).toBe(4 * SLAB_UNIT_BYTES);
  receiver.tell('poke', undefined);
  await send(LARGE, 1);
  expect(seen).toEqual([1, 2, 3]);
  expect(await usedBytes()).toBe(0);
});

test('what was retained of a thread that died stays as it is, and its next incarnation has a new slab', async () => {
  const kept: Uint8Array[] = [];
  const releases: (() => void)[] = [];
  const { send, lender, group, nextReady, usedBytes } = await world({
    onBody(ctx, body) {
      kept.push(body);
      releases.push(ctx.retain());
    },
  });
  await send(LARGE, 2);
  const ready = nextReady();
  lender.tell('die', undefined);
  await ready;
  expect(await usedBytes()).toBe(0);
  // The new thread counts from 1 again.
  expect(await send(LARGE, 1)).toBe(1);
  expect(kept.map((body) => body[7])).toEqual([1, 2, 1]);
  expect(all(kept[1]!, 2)).toBe(true);
  releases[0]!();
  releases[1]!();
  expect(await usedBytes()).toBe(2 * SLAB_UNIT_BYTES);
  expect(kept[2]![7]).toBe(1);
  releases[2]!();
  expect(await usedBytes()).toBe(0);
  expect(group.hub.counters.heldBytes).toBe(0);
});

test("what a thread held when it died is its sender's again", async () => {
  const { lender, group, nextReady } = await world({ onBody: ignore });
  lender.tell('hoard', new Uint8Array(LARGE));
  await lender.ask('usedBytes', undefined, WAIT);
  expect(group.hub.slab.usedBytes).toBe(2 * SLAB_UNIT_BYTES);
  const ready = nextReady();
  group.kill(1);
  await ready;
  expect(group.hub.slab.usedBytes).toBe(0);
});

test('retain is for handlers', async () => {
  let context: Context<ReceiverOps> | undefined;
  const { receiver, system } = await world({
    onBody(ctx) {
      context = ctx;
    },
  });
  receiver.tell('take', new Uint8Array(3));
  await new Promise<void>((resolve) => system.env.runQueue.soon(resolve));
  expect(() => context!.retain()).toThrow(expect.objectContaining({ code: 'ACTOR_MISUSE' }));
});
