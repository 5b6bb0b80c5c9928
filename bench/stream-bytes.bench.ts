// How many megabytes a second does a stream carry from one actor to another: to a thread through a ring, and to another
// node over a link on this machine (both nodes share the thread, so that figure includes what both do)? Pieces of
// 256 KiB, a window of 1 MiB; the reader looks at one byte of each piece.
import {
  actor,
  createSystem,
  protocol,
  type Ref,
  type System,
  tell,
} from '../dist/actors/index.js';
import { Links } from '../dist/actors/links/links.js';
import { ThreadGroup } from '../dist/actors/threads/thread-group.js';
import { none } from '../dist/codec/index.js';
import { createNodeEnvironment } from '../dist/env/node/environment.js';
import { run, timed } from './lib/harness.ts';
import { StreamSink, StreamSinkActor } from './lib/stream-sink.ts';

const PIECES = 1_000;
const PIECE = new Uint8Array(256 * 1024).fill(7);
const BYTES = PIECES * PIECE.length;
const MB = 1e6;
const HOST = '127.0.0.1';

const env = createNodeEnvironment({ logLevel: 'warn' });
const Owner = protocol('stream-owner', 1, { go: tell(none) });
let rounds = 0;

/** One stream of an actor of its own, from its opening until its reader has handled all of it. */
async function carry(system: System, sink: Ref<(typeof StreamSink)['ops']>): Promise<void> {
  rounds += 1;
  await new Promise<void>((resolve, reject) => {
    const OwnerActor = actor(Owner, (ctx, _args: undefined) => {
      const out = ctx.openStream();
      const write = async (): Promise<void> => {
        const read = sink.ask('read', out.address, { timeoutMs: 60_000 });
        for (let i = 0; i < PIECES; i += 1) {
          while (out.write(PIECE) === 'full') await out.ready();
        }
        out.finish();
        const bytes = await read;
        ctx.stop();
        if (bytes !== BYTES) throw new Error(`${bytes} bytes arrived of ${BYTES}`);
      };
      write().then(resolve, reject);
      return { go: () => undefined };
    });
    system.spawn(`owner-${rounds}`, OwnerActor, undefined);
  });
}

const protocols = [StreamSink];
const main = createSystem(env, { name: 'bench', threadCount: 2, protocols });
const group = new ThreadGroup(main, {
  entry: new URL('../bench/lib/stream-worker.mjs', import.meta.url),
  workers: 1,
});
await group.start();
const overRing = main.wellKnown(StreamSink, { thread: 1, slot: 1 });
await run({
  name: 'stream-bytes ring',
  unit: 'MB',
  floor: 500,
  async round() {
    return { count: BYTES / MB, ms: await timed(() => carry(main, overRing)) };
  },
});
await group.stop({ timeoutMs: 2_000 });
await main.shutdown({ timeoutMs: 1_000 });

const nodes = [1, 2].map((node) => {
  const system = createSystem(env, { name: `n${node}`, node, protocols });
  return { system, links: new Links(system, { clusterId: 'bench', token: 'bench' }) };
});
const [from, to] = [nodes[0]!, nodes[1]!];
const listeners = await Promise.all(
  nodes.map(({ links }) => links.listen({ host: HOST, port: 0 })),
);
from.links.setAddress(2, listeners[1]!.address);
to.links.setAddress(1, listeners[0]!.address);
to.system.spawnWellKnown(1, 'sink', StreamSinkActor, undefined);
const overLink = from.system.wellKnown(StreamSink, { node: 2, thread: 0, slot: 1 });
await run({
  name: 'stream-bytes link',
  unit: 'MB',
  floor: 200,
  async round() {
    return { count: BYTES / MB, ms: await timed(() => carry(from.system, overLink)) };
  },
  async close() {
    for (const { links, system } of nodes) {
      links.close();
      await system.shutdown({ timeoutMs: 1_000 });
    }
    for (const listener of listeners) listener.close();
  },
});
