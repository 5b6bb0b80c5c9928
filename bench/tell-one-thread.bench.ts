// How many messages a second does one actor take from outside on its own thread, through the bounded
// mailbox and the turn? The sender waits for room, so nothing is dropped; what arrived is counted.
import { actor, ask, createSystem, protocol, tell } from '../dist/actors/index.js';
import { none, u32 } from '../dist/codec/index.js';
import { createNodeEnvironment } from '../dist/env/node/environment.js';
import { run, timed } from './lib/harness.ts';

const MESSAGES = 4_000_000;
const BATCH = 1000;

const Sink = protocol('sink', 1, { take: tell(u32), taken: ask(none, u32) });
const env = createNodeEnvironment({ logLevel: 'warn' });
const system = createSystem(env, {
  name: 'bench',
  node: 1,
  incarnation: 1,
  thread: 0,
  threadCount: 1,
});
let sum = 0;
const SinkActor = actor(Sink, (_ctx, _args: undefined) => {
  let taken = 0;
  return {
    take(n) {
      sum += n;
      taken += 1;
    },
    taken: () => taken,
  };
});
const sink = system.spawn('sink', SinkActor, undefined);
let expected = 0;

await run({
  name: 'tell-one-thread',
  unit: 'msg',
  floor: 8_000_000,
  async round() {
    const ms = await timed(
      () =>
        new Promise<void>((resolve) => {
          let sent = 0;
          const stop = system.turn.onPhase('flush', () => {
            if (sent === MESSAGES) {
              stop();
              resolve();
              return;
            }
            for (let i = 0; i < BATCH; i += 1) sink.tell('take', 1);
            sent += BATCH;
          });
          system.turn.request();
        }),
    );
    expected += MESSAGES;
    const taken = await sink.ask('taken', undefined, { timeoutMs: 5_000 });
    if (taken !== expected || sum !== expected) throw new Error(`${taken} of ${expected} arrived`);
    return { count: MESSAGES, ms };
  },
  close: () => system.shutdown({ timeoutMs: 1_000 }),
});
