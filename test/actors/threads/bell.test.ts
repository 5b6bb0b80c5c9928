// When a bell is heard: a thread that slept takes its turn at once, one that works shares its next with all other
// events, and however many bells there are, they keep nobody waiting.
import { expect, test } from 'vitest';
import { actor, ask, createSystem, protocol } from '../../../src/actors/index.ts';
import { manualEnvironment } from '../../../src/actors/testkit/index.ts';
import { createRing } from '../../../src/actors/threads/ring.ts';
import { RingHub } from '../../../src/actors/threads/ring-hub.ts';
import { createSlab, SlabPool } from '../../../src/actors/threads/slab-pool.ts';
import { none, u32 } from '../../../src/codec/index.ts';
import type { Threads } from '../../../src/env/threads.ts';

const Quiet = protocol('quiet', 1, { never: ask(none, u32) });

/** A thread with one peer, whose bell the test rings. */
function thread() {
  const env = manualEnvironment(1);
  const system = createSystem(env, { name: 'test', thread: 0, threadCount: 2 });
  let ring: () => void = () => undefined;
  const threads = {
    doorbell: () => ({ ring: () => undefined }),
    onBell: (handle: (peer: number) => void) => {
      ring = () => handle(1);
    },
  };
  const slab = new SlabPool(createSlab(65_536));
  const hub = new RingHub(system, threads as unknown as Threads, slab);
  hub.attach(1, {
    incarnation: 1,
    incoming: createRing(4096),
    outgoing: createRing(4096),
    slab: slab.buffer,
  });
  env.run();
  return { env, system, ring: () => ring() };
}

test('a thread that slept takes its turn at once, and bells that follow share the next', () => {
  const { env, system, ring } = thread();
  for (let round = 0; round < 3; round += 1) {
    env.advance(1);
    const { count } = system.turn;
    ring();
    expect(system.turn.count).toBe(count + 1);
    for (let bell = 0; bell < 1_000; bell += 1) ring();
    expect(system.turn.count).toBe(count + 1);
    env.run();
    expect(system.turn.count).toBe(count + 2);
  }
});

test('a thread whose turn is on its way does not take it sooner, and none begins within another', () => {
  const { env, system, ring } = thread();
  env.advance(1);
  const { count } = system.turn;
  system.turn.request();
  ring();
  expect(system.turn.count).toBe(count);
  env.run();
  expect(system.turn.count).toBe(count + 1);
  const seen: number[] = [];
  const stop = system.turn.onPoll(() => {
    ring();
    seen.push(system.turn.count);
  });
  env.advance(1);
  ring();
  stop();
  env.run();
  expect(seen).toEqual([count + 2]);
});

test('a short sleep is one for whoever waits for an answer only', () => {
  const { env, system, ring } = thread();
  const nap = () => {
    env.advance(0.05);
    const { count } = system.turn;
    ring();
    const isAtOnce = system.turn.count > count;
    env.run();
    return isAtOnce;
  };
  expect(nap()).toBe(false);
  const QuietActor = actor(Quiet, (ctx, _args: undefined) => ({
    never: () => ctx.later<number>(),
  }));
  const quiet = system.spawn('quiet', QuietActor, undefined);
  void quiet.ask('never', undefined, { timeoutMs: 60_000 });
  env.run();
  expect(nap()).toBe(true);
});
