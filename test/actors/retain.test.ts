// Received bytes in every place that a message can cross: in strict mode a view that was kept reads poison as soon
// as the handler has returned, and one that was retained when it is released.
import { expect, test } from 'vitest';
import { actor, lentAsk, lentTell, protocol, tell } from '../../src/actors/index.ts';
import { bytes, u32 } from '../../src/codec/index.ts';
import { makeWorld, PLACES } from './worlds.ts';

const POISON = 0xdd;
const SLOT = 7;
const Keeper = protocol('keeper', 1, {
  take: tell(bytes),
  lend: lentTell(bytes),
  question: lentAsk(bytes, u32),
});

const strictPlaces = PLACES.filter((place) => place !== 'one thread');
const CASES = strictPlaces.flatMap((place) =>
  (['take', 'lend'] as const).flatMap((op) =>
    [20, 100_000].map((size) => [place, op, size] as const),
  ),
);

test.each(CASES)('kept and retained bytes: %s, %s, %i bytes', async (place, op, size) => {
  const { env, there, ref, lentBytes } = makeWorld(place, { strict: true, protocols: [Keeper] });
  const kept: Uint8Array[] = [];
  const releases: (() => void)[] = [];
  const handle = (ctx: { retain(): () => void }, body: Uint8Array): void => {
    expect(body.every((byte) => byte === kept.length + 1)).toBe(true);
    // The first one: the memory of one that is not retained is used again by the next.
    if (kept.length === 0) releases.push(ctx.retain(), ctx.retain());
    kept.push(body);
  };
  const KeeperActor = actor(Keeper, (ctx, _args: undefined) => ({
    take: (body) => handle(ctx, body),
    lend: (body) => handle(ctx, body),
    question: () => 0,
  }));
  there.spawnWellKnown(SLOT, 'keeper', KeeperActor, undefined);
  const keeper = ref(Keeper, SLOT);
  const looks = (): (number | undefined)[] => kept.map((body) => body[size - 1]);
  for (const fill of [1, 2]) {
    keeper.tell(op, new Uint8Array(size).fill(fill));
    await env.advanceAsync(50);
  }
  expect(looks()).toEqual([1, POISON]);
  releases[0]!();
  releases[0]!();
  expect(looks()).toEqual([1, POISON]);
  releases[1]!();
  expect(looks()).toEqual([POISON, POISON]);
  expect(lentBytes()).toBe(0);
});

test.each(PLACES)(
  'an answer may be given later from bytes that are retained: %s',
  async (place) => {
    const { env, there, ref, lentBytes } = makeWorld(place, { protocols: [Keeper] });
    const KeeperActor = actor(Keeper, (ctx, _args: undefined) => ({
      take: () => undefined,
      lend: () => undefined,
      question(body) {
        const release = ctx.retain();
        const later = ctx.later<number>();
        env.timers.at(env.clock.monotonicMs() + 20, () => {
          later.ok(body.reduce((sum, byte) => sum + byte, 0));
          release();
        });
        return later;
      },
    }));
    there.spawnWellKnown(SLOT, 'keeper', KeeperActor, undefined);
    const answer = ref(Keeper, SLOT).ask('question', new Uint8Array(100_000).fill(3), {
      timeoutMs: 1_000,
    });
    await env.advanceAsync(10);
    expect(lentBytes()).toBe(place === 'ring' ? 128 * 1024 : 0);
    await env.advanceAsync(100);
    expect(await answer).toBe(300_000);
    expect(lentBytes()).toBe(0);
  },
);
