// Streams through rings between real threads, and over real sockets: megabytes arrive as they were, and a thread that
// dies ends what it read and wrote.
import { afterEach, expect, test } from 'vitest';
import type { OutgoingStream, StreamEnd, System } from '../../../src/actors/index.ts';
import {
  actor,
  ask,
  createSystem,
  protocol,
  streamAddress,
  tell,
} from '../../../src/actors/index.ts';
import { Links } from '../../../src/actors/links/links.ts';
import { ThreadGroup } from '../../../src/actors/threads/thread-group.ts';
import { none, record, u32, utf8 } from '../../../src/codec/index.ts';
import type { Log } from '../../../src/env/environment.ts';
import { createNodeEnvironment } from '../../../src/env/node/environment.ts';

const Taker = protocol('taker', 1, {
  take: tell(streamAddress),
  give: ask(u32, streamAddress),
  outcome: ask(none, record({ bytes: u32, sum: u32, reason: utf8 })),
  die: tell(none),
});
const Owner = protocol('owner', 1, { go: tell(none), read: tell(streamAddress) });
const ignore = () => undefined;
const quiet: Log = { debug: ignore, info: ignore, warn: ignore, error: ignore, child: () => quiet };
const within = { timeoutMs: 60_000 };
const ends: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

function sumOf(bytes: Uint8Array, from = 0): number {
  let sum = from;
  for (const byte of bytes) sum = (sum * 31 + byte) >>> 0;
  return sum;
}

/** An actor that opens a stream and hands it out, and reads what it is told to. */
async function ownerOf(system: System) {
  let opened: (out: OutgoingStream) => void = ignore;
  const stream = new Promise<OutgoingStream>((resolve) => {
    opened = resolve;
  });
  const read = {
    bytes: 0,
    sum: 0,
    end: undefined as StreamEnd | undefined,
    wake: ignore as () => void,
  };
  const owner = system.spawn(
    `owner-${system.random.u32()}`,
    actor(Owner, (ctx, _args: undefined) => {
      opened(ctx.openStream());
      return {
        go: ignore,
        read(address) {
          ctx.acceptStream(address, {
            onBytes(view) {
              read.bytes += view.length;
              read.sum = sumOf(view, read.sum);
            },
            onEnd(end) {
              read.end = end;
              read.wake();
            },
          });
        },
      };
    }),
    undefined,
  );
  return { owner, out: await stream, read };
}

/** What a backup of a few megabytes looks like: pieces of odd sizes, none of them used again. */
async function writeMegabytes(out: OutgoingStream): Promise<{ bytes: number; sum: number }> {
  let bytes = 0;
  let sum = 0;
  for (let i = 0; i < 60; i += 1) {
    const piece = new Uint8Array(1 + ((i * 7_919) % 300_000)).map((_, at) => at * i + (at >> 7));
    bytes += piece.length;
    sum = sumOf(piece, sum);
    while (out.write(piece) === 'full') await out.ready();
  }
  out.finish();
  return { bytes, sum };
}

async function withWorker() {
  const env = createNodeEnvironment({ log: quiet });
  const system = createSystem(env, { name: 'main', threadCount: 2, protocols: [Taker] });
  const group = new ThreadGroup(system, {
    entry: new URL('../workers/taker.mjs', import.meta.url),
    workers: 1,
    slabBytes: 1024 * 1024,
  });
  ends.push(async () => {
    await group.stop({ timeoutMs: 2_000 });
    await system.shutdown({ timeoutMs: 2_000 });
  });
  await group.start();
  return { system, taker: system.wellKnown(Taker, { thread: 1, slot: 1 }) };
}

test('megabytes go to another thread, and come from it', async () => {
  const { system, taker } = await withWorker();
  const { owner, out, read } = await ownerOf(system);
  taker.tell('take', out.address);
  const sent = await writeMegabytes(out);
  expect(await out.done).toEqual({ reason: 'complete', detail: '' });
  expect(await taker.ask('outcome', undefined, within)).toEqual({ ...sent, reason: 'complete' });
  const heard = new Promise<void>((resolve) => {
    read.wake = resolve;
  });
  owner.tell('read', await taker.ask('give', 3_000_000, within));
  await heard;
  let sum = 0;
  for (let at = 0; at < 30; at += 1) sum = sumOf(new Uint8Array(100_000).fill(at), sum);
  expect([read.end?.reason, read.bytes, read.sum]).toEqual(['complete', 3_000_000, sum]);
});

test('a thread that dies ends what it reads and what it writes', async () => {
  const { system, taker } = await withWorker();
  const { owner, out, read } = await ownerOf(system);
  taker.tell('take', out.address);
  out.write(new Uint8Array(100_000));
  const heard = new Promise<void>((resolve) => {
    read.wake = resolve;
  });
  // More than any window: it is never done.
  owner.tell('read', await taker.ask('give', 4_000_000_000, within));
  while (read.bytes < 1_000_000) await new Promise((resolve) => setImmediate(resolve));
  taker.tell('die', undefined);
  expect((await out.done).reason).toBe('thread-lost');
  await heard;
  expect(read.end?.reason).toBe('thread-lost');
});

test('megabytes go over real sockets to another node', async () => {
  const env = createNodeEnvironment({ log: quiet });
  const make = async (node: number) => {
    const system = createSystem(env, { name: `n${node}`, node, protocols: [Owner] });
    const links = new Links(system, { clusterId: 'real', token: 'a token' });
    const listener = await links.listen({ host: '127.0.0.1', port: 0 });
    ends.push(async () => {
      listener.close();
      links.close();
      await system.shutdown({ timeoutMs: 2_000 });
    });
    return { system, links, address: listener.address };
  };
  const [near, far] = [await make(1), await make(2)];
  near.links.setAddress(2, far.address);
  far.links.setAddress(1, near.address);
  const { out } = await ownerOf(near.system);
  const { owner: reader, read } = await ownerOf(far.system);
  near.system.ref(Owner, reader.id).tell('read', out.address);
  const heard = new Promise<void>((resolve) => {
    read.wake = resolve;
  });
  const sent = await writeMegabytes(out);
  expect(await out.done).toEqual({ reason: 'complete', detail: '' });
  await heard;
  expect([read.bytes, read.sum, read.end?.reason]).toEqual([sent.bytes, sent.sum, 'complete']);
});
