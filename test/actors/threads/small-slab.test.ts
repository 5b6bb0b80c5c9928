// Slabs of a few units: what they could never hold is refused, all else gets through in the end, and what was refused
// holds nothing.
import { expect, test } from 'vitest';
import type { OutgoingStream, StreamEnd } from '../../../src/actors/index.ts';
import {
  actor,
  lentAsk,
  lentTell,
  protocol,
  streamAddress,
  tell,
} from '../../../src/actors/index.ts';
import { SLAB_UNIT_BYTES } from '../../../src/actors/threads/slab-pool.ts';
import { bytes, none, u32 } from '../../../src/codec/index.ts';
import { outcomeOf, ringWorld } from '../worlds.ts';

const Sink = protocol('sink', 1, { take: tell(bytes), lend: lentTell(bytes) });
const Reader = protocol('reader', 1, { read: tell(streamAddress) });
const Writer = protocol('writer', 1, { go: tell(none) });
/** Of the codec of `bytes`. */
const SIZE_BYTES = 3;

test('a message that would never fit is refused, and every other is handled: in slabs of any size', async () => {
  for (let units = 1; units <= 9; units += 1) {
    const slabBytes = units * SLAB_UNIT_BYTES;
    const { env, here, there, ref, lentBytes } = ringWorld({ slabBytes });
    const taken: number[] = [];
    const SinkActor = actor(Sink, (_ctx, _args: undefined) => ({
      take: ({ length }) => void taken.push(length),
      lend: ({ length }) => void taken.push(length),
    }));
    there.spawnWellKnown(9, 'sink', SinkActor, undefined);
    const sink = ref(Sink, 9);
    const lentMax = Math.max(1, Math.floor((units * 3) / 4)) * SLAB_UNIT_BYTES - SIZE_BYTES;
    const max = slabBytes - SIZE_BYTES;
    const sent: number[] = [];
    for (const [op, most] of [['lend', lentMax] as const, ['take', max] as const]) {
      for (const length of [40_000, most - SLAB_UNIT_BYTES, most].filter((each) => each > 0)) {
        expect(sink.offer(op, new Uint8Array(length)), `${op} ${length}`).toBe('accepted');
        sent.push(length);
        await env.settle();
        // It is handled, and its memory is free for the next.
        expect([taken, lentBytes()]).toEqual([sent, 0]);
      }
      const before = here.deadLetters.counts.malformed;
      for (let length = most + 1; length < max + SLAB_UNIT_BYTES; length += 10_000) {
        expect(sink.offer(op, new Uint8Array(length)), `${op} ${length}`).toBe('gone');
      }
      expect(here.deadLetters.counts.malformed).toBeGreaterThan(before);
    }
    expect(taken).toEqual(sent);
  }
});

test('a stream goes through the smallest slab, one unit for each chunk', async () => {
  for (const units of [1, 2, 8]) {
    const { env, here, there, ref, lentBytes } = ringWorld({ slabBytes: units * SLAB_UNIT_BYTES });
    let received = 0;
    let lentMax = 0;
    const ReaderActor = actor(Reader, (ctx, _args: undefined) => ({
      read(address) {
        ctx.acceptStream(address, {
          onBytes(view) {
            received += view.length;
            lentMax = Math.max(lentMax, lentBytes());
          },
        });
      },
    }));
    there.spawnWellKnown(9, 'reader', ReaderActor, undefined);
    let out!: OutgoingStream;
    const WriterActor = actor(Writer, (ctx, _args: undefined) => {
      out = ctx.openStream();
      return { go: () => undefined };
    });
    here.spawn('writer', WriterActor, undefined);
    await env.settle();
    ref(Reader, 9).tell('read', out.address);
    await env.settle();
    let end: StreamEnd | undefined;
    void out.done.then((word) => {
      end = word;
    });
    out.write(new Uint8Array(SLAB_UNIT_BYTES));
    await env.settle();
    expect([received, lentMax]).toEqual([SLAB_UNIT_BYTES, SLAB_UNIT_BYTES]);
    out.write(new Uint8Array(1_000_000));
    out.finish();
    for (let i = 0; i < 1_000 && end === undefined; i += 1) await env.advanceAsync(10);
    expect(end).toEqual({ reason: 'complete', detail: '' });
    expect(received).toBe(SLAB_UNIT_BYTES + 1_000_000);
    expect(lentBytes()).toBe(0);
  }
});

test('a lent question where a message is known, or the other way round, is refused and holds nothing', async () => {
  const Told = protocol('told', 1, { lend: lentTell(bytes) });
  const Asked = protocol('asked', 1, { lend: lentAsk(bytes, u32) });
  const { env, there, ref, lentBytes } = ringWorld({});
  const calls: string[] = [];
  const ToldActor = actor(Told, (_ctx, _args: undefined) => ({
    lend: () => void calls.push('told'),
  }));
  const AskedActor = actor(Asked, (_ctx, _args: undefined) => ({
    lend: () => calls.push('asked'),
  }));
  there.spawnWellKnown(8, 'told', ToldActor, undefined);
  there.spawnWellKnown(9, 'asked', AskedActor, undefined);
  await env.settle();
  const body = new Uint8Array(2 * SLAB_UNIT_BYTES);
  // A ref of the wrong protocol: only the other thread can know.
  const answer = ref(Asked, 8).ask('lend', body, { timeoutMs: 1_000 });
  expect(await outcomeOf({ env }, answer)).toMatchObject({ code: 'ACTOR_MISUSE' });
  expect(lentBytes()).toBe(0);
  ref(Told, 9).tell('lend', body);
  await env.settle();
  expect(there.deadLetters.counts['unknown-op']).toBe(1);
  expect(lentBytes()).toBe(0);
  expect(calls).toEqual([]);
});
