// How much goes from one thread to another through shared memory: the whole way, from `offer` on a ref to the
// handler in the worker, which counts messages and looks at one byte of each page. Small messages lie in
// the ring; the largest lie in the slab and are read there.
import { createSystem } from '../dist/actors/index.js';
import { ThreadGroup } from '../dist/actors/threads/thread-group.js';
import { createNodeEnvironment } from '../dist/env/node/environment.js';
import { run, timed } from './lib/harness.ts';
import { sendAll } from './lib/one-way.ts';
import { Sink } from './lib/ring-sink.ts';

const KIB = 1024;
const MB = 1e6;

interface Row {
  readonly name: string;
  readonly op: 'take' | 'lend';
  /** A varint of the size and the body are the payload. */
  readonly bodyBytes: number;
  readonly messages: number;
  /** Messages a second, or megabytes a second of a row that counts them. */
  readonly floor: number;
  readonly countsBytes?: boolean;
}

const ROWS: readonly Row[] = [
  { name: '64 B', op: 'take', bodyBytes: 63, messages: 1_000_000, floor: 1_500_000 },
  { name: '1 KiB', op: 'take', bodyBytes: KIB - 2, messages: 400_000, floor: 700_000 },
  {
    name: '64 KiB',
    op: 'take',
    bodyBytes: 64 * KIB - 3,
    messages: 20_000,
    floor: 500,
    countsBytes: true,
  },
  {
    name: '64 KiB lent',
    op: 'lend',
    bodyBytes: 64 * KIB - 3,
    messages: 20_000,
    floor: 500,
    countsBytes: true,
  },
  {
    name: '1 MiB',
    op: 'take',
    bodyBytes: KIB * KIB - 3,
    messages: 2_000,
    floor: 500,
    countsBytes: true,
  },
  {
    name: '1 MiB lent',
    op: 'lend',
    bodyBytes: KIB * KIB - 3,
    messages: 2_000,
    floor: 500,
    countsBytes: true,
  },
];

const env = createNodeEnvironment({ logLevel: 'warn' });
const system = createSystem(env, { name: 'bench', threadCount: 2, protocols: [Sink] });
const group = new ThreadGroup(system, {
  entry: new URL('../bench/lib/ring-worker.mjs', import.meta.url),
  workers: 1,
});
await group.start();
const sink = system.wellKnown(Sink, { thread: 1, slot: 1 });
let expected = 0;

for (const { name, op, bodyBytes, messages, floor, countsBytes = false } of ROWS) {
  const body = new Uint8Array(bodyBytes).fill(7);
  await run({
    name: `ring-two-threads ${name}`,
    unit: countsBytes ? 'MB' : 'msg',
    floor,
    async round() {
      expected += messages;
      const ms = await timed(() => sendAll(sink, body, messages, expected, env.runQueue, op));
      return { count: countsBytes ? (messages * bodyBytes) / MB : messages, ms };
    },
  });
}
const { bells, recordsSent } = group.hub.counters;
process.stderr.write(`  ${recordsSent} records, ${bells} bells\n`);
await group.stop({ timeoutMs: 2_000 });
await system.shutdown({ timeoutMs: 1_000 });
