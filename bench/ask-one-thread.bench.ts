// How many questions a second are answered on one thread, 64 in flight, each with a promise, a reply
// slot and a deadline? Every reply is checked.
import { actor, ask, createSystem, protocol } from '../dist/actors/index.js';
import { u32 } from '../dist/codec/index.js';
import { createNodeEnvironment } from '../dist/env/node/environment.js';
import { run, timed } from './lib/harness.ts';

const ASKS = 400_000;
const IN_FLIGHT = 64;

const Echo = protocol('echo', 1, { echo: ask(u32, u32) });
const env = createNodeEnvironment({ logLevel: 'warn' });
const system = createSystem(env, {
  name: 'bench',
  node: 1,
  incarnation: 1,
  thread: 0,
  threadCount: 1,
});
const echo = system.spawn(
  'echo',
  actor(Echo, (_ctx, _args: undefined) => ({ echo: (n) => n + 1 })),
  undefined,
);

await run({
  name: 'ask-one-thread',
  unit: 'asks',
  floor: 500_000,
  async round() {
    let answered = 0;
    const lane = async () => {
      for (let i = 0; i < ASKS / IN_FLIGHT; i += 1) {
        const reply = await echo.ask('echo', i, { timeoutMs: 5_000 });
        if (reply === i + 1) answered += 1;
      }
    };
    const ms = await timed(async () => {
      await Promise.all(Array.from({ length: IN_FLIGHT }, lane));
    });
    if (answered !== ASKS) throw new Error(`${answered} of ${ASKS} were answered`);
    return { count: ASKS, ms };
  },
  close: () => system.shutdown({ timeoutMs: 1_000 }),
});
