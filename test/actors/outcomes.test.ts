// What becomes of everything that can go wrong with a message, in every place it can cross: the table of
// docs/reference/actors.md names these tests.
import { describe, expect, test } from 'vitest';
import type { Context, Later } from '../../src/actors/index.ts';
import { ActorError, actor, ask, protocol, tell } from '../../src/actors/index.ts';
import { bytes, defineCodec, none, u32, utf8 } from '../../src/codec/index.ts';
import type { World } from './worlds.ts';
import { makeWorld, outcomeOf, PLACES, SLAB_BYTES } from './worlds.ts';

/** The value that a codec below stumbles over, by what goes wrong. */
const FAULTS = { size: 1, encode: 2, decode: 3, tooLong: 4, tooShort: 5, endless: 6 } as const;
type Fault = keyof typeof FAULTS;
const faulty = defineCodec<number>({
  shape: 'faulty',
  sizeMin: 4,
  size: (value) => {
    if (value === FAULTS.size) throw new Error('size failed');
    return value === FAULTS.tooShort ? 8 : value === FAULTS.endless ? Number.NaN : 4;
  },
  encode: (value, out, at) => {
    if (value === FAULTS.encode) throw new Error('encode failed');
    new DataView(out.buffer, out.byteOffset).setUint32(at, value, true);
    return at + (value === FAULTS.tooLong ? 12 : 4);
  },
  read: (reader) => {
    const value = reader.u32le();
    if (value === FAULTS.decode) throw new Error('decode failed');
    return value;
  },
});

/** 128 KiB, beyond a quarter of the ring, whose encoding fails half way if its first byte is 1. */
const largeFaulty = defineCodec<Uint8Array>({
  shape: 'large-faulty',
  sizeMin: 4,
  size: (value) => value.length,
  encode: (value, out, at) => {
    out.set(value, at);
    if (value[0] === 1) throw new Error('encode failed');
    return at + value.length;
  },
  read: (reader) => reader.view(reader.end - reader.at),
});

const Work = protocol('work', 1, {
  tellIt: tell(faulty),
  askIt: ask(faulty, u32),
  replyWith: ask(u32, faulty),
  big: tell(bytes),
  bigAsk: ask(bytes, u32),
  bigReply: ask(u32, bytes),
  large: tell(largeFaulty),
  fail: ask(utf8, none),
  later: ask(none, u32),
  hold: ask(none, u32),
  told: ask(none, u32),
});

interface Seen {
  lives: number;
  later: Later<number> | undefined;
  /** What `ctx.cancelled` of the last held ask tells. */
  cancelled: AbortSignal | undefined;
  finish: (value: number) => void;
}

const SLOT = 9;
const within = { timeoutMs: 1_000 };

function makeActor(world: World) {
  const seen: Seen = { lives: 0, later: undefined, cancelled: undefined, finish: () => undefined };
  const WorkActor = actor(Work, (ctx: Context<typeof Work.ops>, _args: undefined) => {
    seen.lives += 1;
    let told = 0;
    return {
      tellIt: () => {
        told += 1;
      },
      askIt: (value) => value,
      replyWith: (value) => value,
      big: () => {
        told += 1;
      },
      bigAsk: (body) => body.length,
      bigReply: (length) => new Uint8Array(length),
      large: () => {
        told += 1;
      },
      fail: (how) => {
        throw thrown(how);
      },
      later: () => {
        seen.later = ctx.later<number>();
        return seen.later;
      },
      hold: async () => {
        seen.cancelled = ctx.cancelled;
        return new Promise<number>((resolve) => {
          seen.finish = resolve;
        });
      },
      told: () => told,
    };
  });
  world.there.spawnWellKnown(SLOT, 'work', WorkActor, undefined);
  return { ...world, seen, work: world.ref(Work, SLOT) };
}

function thrown(how: string): unknown {
  if (how === 'coded') {
    return Object.assign(new Error('no such thing'), { code: 'SHOP_NONE', item: 'tea', left: 0 });
  }
  if (how === 'actor-error') return new ActorError('SHOP_SHUT', 'shut', { until: 9, deep: {} });
  if (how === 'huge') return new Error('x'.repeat(4 * SLAB_BYTES));
  if (how === 'text') return 'just a text';
  if (how === 'unreadable') {
    return Object.defineProperty(new Error('?'), 'code', {
      get: () => {
        throw new Error('not even this');
      },
    });
  }
  return new Error(how);
}

/** Nothing is left behind, the actor is in its first life, and the way still works. */
async function isSound(world: ReturnType<typeof makeActor>, told: number): Promise<void> {
  expect(await outcomeOf(world, world.work.ask('told', undefined, within))).toEqual({
    value: told,
  });
  expect(world.seen.lives).toBe(1);
  expect(world.here.asks.openCount).toBe(0);
  expect(world.lentBytes()).toBe(0);
}

describe.each(PLACES)('%s', (place) => {
  const crosses = place !== 'one thread';

  describe('a codec that fails', () => {
    test.each(Object.keys(FAULTS) as Fault[])('in %s of a tell: a dead letter', async (fault) => {
      const world = makeActor(makeWorld(place));
      await outcomeOf(world, world.work.ask('told', undefined, within));
      world.work.tell('tellIt', FAULTS[fault]);
      await world.env.settle();
      const letters =
        world.here.deadLetters.counts.malformed +
        (world.here === world.there ? 0 : world.there.deadLetters.counts.malformed);
      expect(letters).toBe(crosses ? 1 : 0);
      await isSound(world, crosses ? 0 : 1);
    });

    test.each(Object.keys(FAULTS) as Fault[])('in %s of an ask: it is rejected', async (fault) => {
      const world = makeActor(makeWorld(place));
      const answer = await outcomeOf(world, world.work.ask('askIt', FAULTS[fault], within));
      if (crosses) expect(answer).toMatchObject({ code: 'ACTOR_MALFORMED' });
      else expect(answer).toEqual({ value: FAULTS[fault] });
      await isSound(world, 0);
    });

    test.each(Object.keys(FAULTS) as Fault[])('in %s of a reply: it is rejected', async (fault) => {
      const world = makeActor(makeWorld(place));
      const answer = await outcomeOf(world, world.work.ask('replyWith', FAULTS[fault], within));
      if (crosses) expect(answer).toMatchObject({ code: 'ACTOR_MALFORMED' });
      else expect(answer).toEqual({ value: FAULTS[fault] });
      await isSound(world, 0);
    });

    test('half way through a large message: no memory stays lent', async () => {
      const world = makeActor(makeWorld(place));
      await outcomeOf(world, world.work.ask('told', undefined, within));
      for (let i = 0; i < 20; i += 1) {
        world.work.tell('large', new Uint8Array(128 * 1024).fill(1));
        await world.env.settle();
      }
      expect(world.here.deadLetters.counts.malformed).toBe(crosses ? 20 : 0);
      world.work.tell('large', new Uint8Array(128 * 1024));
      await isSound(world, crosses ? 1 : 21);
    });
  });

  test('a message larger than everything it must cross is refused, and says how large it may be', async () => {
    const world = makeActor(makeWorld(place));
    await outcomeOf(world, world.work.ask('told', undefined, within));
    const isBounded = place === 'ring' || place === 'link';
    const length = place === 'ring' ? SLAB_BYTES + 1 : isBounded ? 64 * 1024 * 1024 + 1 : 1_000;
    const body = new Uint8Array(length);
    world.work.tell('big', body);
    const asked = await outcomeOf(world, world.work.ask('bigAsk', body, within));
    const answered = await outcomeOf(world, world.work.ask('bigReply', length, within));
    if (isBounded) {
      expect(asked).toMatchObject({ code: 'ACTOR_MALFORMED' });
      expect(answered).toMatchObject({ code: 'ACTOR_MALFORMED' });
      expect('error' in asked && asked.error.message).toMatch(/ bytes are more than the \d+ /);
      expect(world.here.deadLetters.counts.malformed).toBe(1);
      expect(world.work.offer('big', body)).toBe('gone');
    } else expect([asked, 'value' in answered]).toEqual([{ value: length }, true]);
    await isSound(world, isBounded ? 0 : 1);
  });

  test.each([
    ['coded', { code: 'SHOP_NONE', message: 'no such thing', details: { item: 'tea', left: 0 } }],
    ['actor-error', { code: 'SHOP_SHUT', message: 'shut', details: { until: 9 } }],
    ['text', { code: 'ACTOR_FAILED', message: 'just a text', details: {} }],
    ['unreadable', { code: 'ACTOR_FAILED', message: 'an error that cannot be read' }],
  ])('an error thrown by a handler (%s) is rebuilt by code and fields', async (how, facts) => {
    const world = makeActor(makeWorld(place));
    const answer = world.work.ask('fail', how, within);
    const settled = answer.catch((error: unknown) => error);
    await world.env.settle();
    const error = (await settled) as { code?: string; details?: object };
    expect(error).toBeInstanceOf(Error);
    // Within one thread, and not strict, it is the very object that was thrown.
    if (crosses) expect({ ...error, message: (error as Error).message }).toMatchObject(facts);
  });

  test('an error with megabytes of text is cut, and answered', async () => {
    const world = makeActor(makeWorld(place));
    const answer = await outcomeOf(world, world.work.ask('fail', 'huge', within));
    const length = 'error' in answer ? answer.error.message.length : 0;
    expect(length).toBe(crosses ? 4096 : 4 * SLAB_BYTES);
  });

  test('a handler that never resolves: its ask times out, the mailbox waits, and it can be stopped', async () => {
    const world = makeActor(makeWorld(place));
    const held = world.work.ask('hold', undefined, { timeoutMs: 50 });
    const behind = world.work.ask('told', undefined, { timeoutMs: 60_000 });
    const outcomes = Promise.allSettled([held, behind]);
    await world.env.advanceAsync(51);
    const ref = world.there.wellKnown(Work, {
      node: world.there.place.node,
      thread: world.there.place.thread,
      slot: SLOT,
    });
    await world.env.settle();
    world.there.sendStop(ref.id);
    await world.env.settle();
    const settled = await outcomes;
    expect(
      settled.map((each) => each.status === 'rejected' && (each.reason as ActorError).code),
    ).toEqual(['ACTOR_ASK_TIMEOUT', 'ACTOR_STOPPED']);
    expect(world.here.asks.openCount).toBe(0);
  });

  test.each(['timeout', 'signal'] as const)(
    'a handler sees that its asker gave up by %s, awaiting or answering later',
    async (how) => {
      const world = makeActor(makeWorld(place));
      const abort = new AbortController();
      const options = { timeoutMs: 100, signal: abort.signal };
      const later = world.work.ask('later', undefined, options);
      const hold = world.work.ask('hold', undefined, options);
      const outcomes = Promise.allSettled([later, hold]);
      await world.env.advanceAsync(50);
      expect([world.seen.later?.isCancelled, world.seen.cancelled?.aborted]).toEqual([
        false,
        false,
      ]);
      if (how === 'signal') abort.abort();
      await world.env.advanceAsync(60);
      expect([world.seen.later?.isCancelled, world.seen.cancelled?.aborted]).toEqual([true, true]);
      // Both answer all the same: late replies, which answer nobody and are counted.
      world.seen.later!.ok(1);
      world.seen.finish(2);
      await world.env.settle();
      const code = how === 'signal' ? 'ACTOR_CANCELLED' : 'ACTOR_ASK_TIMEOUT';
      for (const each of await outcomes) expect(each).toMatchObject({ reason: { code } });
      expect(world.here.asks.counters.late).toBe(2);
      await isSound(world, 0);
    },
  );

  test('an ask that was given up while it waited is cancelled when its handler begins', async () => {
    const world = makeActor(makeWorld(place));
    const first = world.work.ask('hold', undefined, { timeoutMs: 60_000 });
    const abort = new AbortController();
    const second = world.work.ask('hold', undefined, { timeoutMs: 60_000, signal: abort.signal });
    const third = world.work.ask('later', undefined, { timeoutMs: 60_000, signal: abort.signal });
    const outcomes = Promise.allSettled([first, second, third]);
    await world.env.settle();
    const { finish } = world.seen;
    abort.abort();
    await world.env.settle();
    finish(1);
    await world.env.settle();
    expect(world.seen.cancelled?.aborted).toBe(true);
    world.seen.finish(2);
    await world.env.settle();
    expect(world.seen.later?.isCancelled).toBe(true);
    world.seen.later!.ok(3);
    expect((await outcomes).map((each) => each.status)).toEqual([
      'fulfilled',
      'rejected',
      'rejected',
    ]);
    await isSound(world, 0);
  });

  test('a reply after its timeout answers nobody, and not the next ask in its slot either', async () => {
    const world = makeActor(makeWorld(place));
    const slow = world.work.ask('later', undefined, { timeoutMs: 10 });
    const lost = slow.catch((error: ActorError) => error.code);
    await world.env.advanceAsync(11);
    expect(await lost).toBe('ACTOR_ASK_TIMEOUT');
    const old = world.seen.later!;
    const next = world.work.ask('later', undefined, within);
    await world.env.settle();
    old.ok(1);
    await world.env.settle();
    world.seen.later!.ok(2);
    expect(await outcomeOf(world, next)).toEqual({ value: 2 });
    expect(world.here.asks.counters).toMatchObject({ late: 1, timedOut: 1, answered: 1 });
  });

  test('shutdown with asks in flight: each is rejected, none is left', async () => {
    const world = makeActor(makeWorld(place));
    const asks = [
      world.work.ask('hold', undefined, { timeoutMs: 60_000 }),
      world.work.ask('told', undefined, { timeoutMs: 60_000 }),
      world.work.ask('later', undefined, { timeoutMs: 60_000 }),
    ];
    const outcomes = Promise.allSettled(asks);
    await world.env.settle();
    const down = world.here.shutdown({ timeoutMs: 1_000 });
    await world.env.settle();
    await down;
    for (const each of await outcomes) {
      expect(each).toMatchObject({ status: 'rejected', reason: { code: 'ACTOR_STOPPED' } });
    }
    expect(world.here.asks.openCount).toBe(0);
    expect(world.here.deadlines.count).toBe(0);
  });

  test('a ref after the shutdown of its system: tells are dead letters, asks rejected, no timer set', async () => {
    const world = makeActor(makeWorld(place));
    await outcomeOf(world, world.work.ask('told', undefined, within));
    const down = world.here.shutdown({ timeoutMs: 1_000 });
    await world.env.settle();
    await down;
    const before = world.here.deadLetters.total;
    world.work.tell('tellIt', 9);
    expect(world.work.offer('tellIt', 9)).toBe('gone');
    await world.work.ready();
    expect(world.here.deadLetters.total).toBe(before + 1);
    const answer = outcomeOf(world, world.work.ask('told', undefined, within));
    expect(await answer).toMatchObject({ code: 'ACTOR_STOPPED' });
    expect(world.here.deadlines.count).toBe(0);
    expect(() =>
      world.here.spawn(
        'late',
        actor(Work, () => ({}) as never),
        undefined,
      ),
    ).toThrow('shut down');
    // A second shutdown is the same one.
    await world.here.shutdown({ timeoutMs: 1 });
  });
});
