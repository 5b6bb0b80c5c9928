// Twice 100,000 actors, each with a timer and a watch, some with an open ask or a child; all of
// them stopped again, one in three by failing. Prints what is left after each time. Needs --expose-gc.
import { actor, ask, createSystem, protocol, tell } from '../../../dist/actors/index.js';
import { none, u32 } from '../../../dist/codec/index.js';
import { createActorEnvironment } from '../../../dist/doors/actor-environment.js';

const ROUNDS = 2;
const ACTORS = 100_000;
const nothing = () => undefined;
const log = { debug: nothing, info: nothing, warn: nothing, error: nothing, child: () => log };
const system = createSystem(createActorEnvironment({ log }), {
  name: 'many',
  limits: { asksMax: 200_000 },
});
const P = protocol('many', 1, { boom: tell(none), tick: tell(none), wait: ask(none, u32) });
const supervision = {
  decide: () => 'stop',
  maxRestarts: 0,
  windowMs: 1,
  backoff: { minMs: 1, maxMs: 1, jitter: 0 },
};
const Leaf = actor(P, () => ({ boom: nothing, tick: nothing, wait: () => 1 }));
const Many = actor(
  P,
  (ctx, { watched, hasChild }) => {
    ctx.schedule('tick', 3_600_000, 'tick', undefined);
    if (watched !== undefined) ctx.watch(watched);
    if (hasChild) ctx.spawn('leaf', Leaf, undefined);
    return {
      boom: () => {
        throw new Error('on purpose');
      },
      tick: nothing,
      wait: () => ctx.later(),
    };
  },
  { supervision, mailbox: { capacity: 8, overflow: 'reject' } },
);
const Root = protocol('root', 1, { start: ask(none, none), stop: ask(none, none) });

const settle = async () => {
  while (system.turn.readyCount > 0 || system.turn.isRequested) {
    await new Promise((resolve) => setImmediate(resolve));
  }
};

/** Starts and stops them; nothing of it is left in the hands of the caller. */
async function once() {
  const refs = [];
  const root = system.spawn(
    'root',
    actor(Root, (ctx) => ({
      start: () => {
        for (let i = 0; i < ACTORS; i += 1) {
          const args = { watched: refs[i - 1], hasChild: i % 10 === 0 };
          refs.push(ctx.spawn(`a${i}`, Many, args));
        }
      },
      stop: () => {
        for (let i = 0; i < ACTORS; i += 1) {
          if (i % 3 === 0) refs[i].tell('boom', undefined);
          else ctx.stop(refs[i]);
        }
      },
    })),
    undefined,
  );
  await root.ask('start', undefined, { timeoutMs: 60_000 });
  await settle();
  const asks = [];
  for (let i = 0; i < ACTORS; i += 4) {
    asks.push(refs[i].ask('wait', undefined, { timeoutMs: 3_600_000 }));
  }
  await settle();
  await root.ask('stop', undefined, { timeoutMs: 60_000 });
  await settle();
  const settled = await Promise.allSettled(asks);
  system.sendStop(root.id);
  await settle();
  return { started: refs.length, settled: settled.length };
}

const rounds = [];
for (let round = 0; round < ROUNDS; round += 1) {
  const done = await once();
  await new Promise((resolve) => setTimeout(resolve, 1));
  globalThis.gc();
  const { place } = system;
  rounds.push({
    ...done,
    left: {
      actors: system.actorTree().length,
      deadlines: system.deadlines.count,
      asks: system.asks.openCount,
      watched: system.watches.has(place.node, place.thread) ? 1 : 0,
      classes: system.metrics.snapshot().length - 1,
      ready: system.turn.readyCount,
    },
    heapBytes: process.memoryUsage().heapUsed,
  });
}
console.log(JSON.stringify(rounds));
await system.shutdown({ timeoutMs: 1_000 });
