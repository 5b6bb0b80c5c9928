// How many 64-byte messages a second go from one thread to another through the shared-memory ring: the
// whole way, from `offer` on a ref to the handler in the worker, which counts them.
import { ask, createSystem, protocol, tell } from '../dist/actors/index.js';
import { ThreadGroup } from '../dist/actors/threads/thread-group.js';
import { bytes, none, u32 } from '../dist/codec/index.js';
import { createNodeEnvironment } from '../dist/env/node/environment.js';
import { run, timed } from './lib/harness.ts';
import { sendAll } from './lib/one-way.ts';

const MESSAGES = 1_000_000;

const Sink = protocol('sink', 1, { take: tell(bytes), taken: ask(none, u32) });
const env = createNodeEnvironment({ logLevel: 'warn' });
const system = createSystem(env, {
  name: 'bench',
  node: 1,
  incarnation: 1,
  thread: 0,
  threadCount: 2,
  protocols: [Sink],
});
const group = new ThreadGroup(system, {
  entry: new URL('../bench/lib/ring-worker.mjs', import.meta.url),
  workers: 1,
});
await group.start();
const sink = system.wellKnown(Sink, { thread: 1, slot: 1 });
// One size byte and 63 bytes: a payload of 64.
const body = new Uint8Array(63).fill(7);
let expected = 0;

await run({
  name: 'ring-two-threads',
  unit: 'msg',
  floor: 1_500_000,
  async round() {
    expected += MESSAGES;
    const ms = await timed(() => sendAll(sink, body, MESSAGES, expected, env.runQueue));
    return { count: MESSAGES, ms };
  },
  async close() {
    const { bells, recordsSent } = group.hub.counters;
    process.stderr.write(`  ${recordsSent} records, ${bells} bells\n`);
    await group.stop({ timeoutMs: 2_000 });
    await system.shutdown({ timeoutMs: 1_000 });
  },
});
