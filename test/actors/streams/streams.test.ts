// Streams between actors of one thread (strict and not) and of two nodes over a net in memory: order, back-pressure,
// every end from either side, and what is lost with the way. All under a manual clock.
import { describe, expect, it } from 'vitest';
import {
  actor,
  ask,
  type Context,
  createSystem,
  type IncomingStream,
  type OutgoingStream,
  protocol,
  type StreamEnd,
  type StreamReader,
  type System,
  streamAddress,
  tell,
} from '../../../src/actors/index.ts';
import { Links } from '../../../src/actors/links/links.ts';
import { StreamWriterProtocol } from '../../../src/actors/streams/protocols.ts';
import { manualEnvironment } from '../../../src/actors/testkit/manual-environment.ts';
import { MemoryNet } from '../../../src/actors/testkit/memory-net.ts';
import { none, record, u32 } from '../../../src/codec/index.ts';

const Taker = protocol('taker', 1, {
  take: tell(record({ stream: streamAddress, windowBytes: u32 })),
  ping: ask(none, u32),
});
const Giver = protocol('giver', 1, { go: tell(none) });

type Where = 'one thread' | 'strict' | 'two nodes';
const PLACES: readonly Where[] = ['one thread', 'strict', 'two nodes'];

/** Two actors, one that writes and one that reads, and what they see. */
function world(where: Where, seed = 1) {
  const base = manualEnvironment(seed);
  const net = new MemoryNet(base.runQueue, base.random);
  const env = Object.assign(base, { net });
  const make = (node: number, streamsMax?: number) =>
    createSystem(env, {
      name: `n${node}`,
      node,
      incarnation: 1,
      thread: 0,
      strict: where === 'strict',
      protocols: [Taker],
      ...(streamsMax === undefined ? {} : { streamsMax }),
    });
  const near = make(1);
  const far = where === 'two nodes' ? make(2) : near;
  const links = new Map<System, Links>();
  if (far !== near) {
    for (const system of [near, far]) {
      const own = new Links(system, { clusterId: 'streams', token: 'secret' });
      links.set(system, own);
      const { node } = system.place;
      void own.listen({ host: '127.0.0.1', port: 1000 + node });
      own.setAddress(3 - node, { host: '127.0.0.1', port: 1003 - node });
    }
  }
  const received: Uint8Array[] = [];
  const reading = {
    onBytes: (view: Uint8Array): void | Promise<void> => void received.push(view.slice()),
    ends: [] as StreamEnd[],
    incoming: undefined as IncomingStream | undefined,
    ctx: undefined as Context<(typeof Taker)['ops']> | undefined,
  };
  const reader: StreamReader = {
    onBytes: (view) => reading.onBytes(view),
    onEnd: (end) => void reading.ends.push(end),
  };
  const TakerActor = actor(Taker, (ctx, _args: undefined) => {
    reading.ctx = ctx;
    return {
      take({ stream, windowBytes }) {
        reading.incoming = ctx.acceptStream(stream, reader, { windowBytes });
      },
      ping: () => received.length,
    };
  });
  const taker = far.spawnWellKnown(5, 'taker', TakerActor, undefined);
  const writing = {
    ctx: undefined as Context<(typeof Giver)['ops']> | undefined,
    out: undefined as OutgoingStream | undefined,
    ends: [] as StreamEnd[],
  };
  const toTaker = near.wellKnown(Taker, { node: far.place.node, thread: 0, slot: 5 });
  const open = async (windowBytes = 64 * 1024, sends = true) => {
    const GiverActor = actor(Giver, (ctx, _args: undefined) => {
      writing.ctx = ctx;
      const out = ctx.openStream();
      writing.out = out;
      void out.done.then((end) => writing.ends.push(end));
      return { go: () => undefined };
    });
    near.spawn(`giver-${env.random.u32()}`, GiverActor, undefined);
    await env.settle();
    const out = writing.out!;
    if (sends) toTaker.tell('take', { stream: out.address, windowBytes });
    return out;
  };
  const bytesReceived = () => Buffer.concat(received);
  return {
    env,
    net,
    near,
    far,
    links,
    received,
    reading,
    writing,
    open,
    bytesReceived,
    taker,
    toTaker,
  };
}

const ignore = () => undefined;

/** Bytes that tell their place. */
function pattern(length: number, from = 0): Uint8Array {
  return new Uint8Array(length).map((_, i) => (from + i) * 31 + ((from + i) >>> 8));
}

async function writeAll(
  env: { advanceAsync(ms: number): Promise<void> },
  out: OutgoingStream,
  pieces: readonly Uint8Array[],
): Promise<number> {
  let waits = 0;
  for (const piece of pieces) {
    while (out.write(piece) === 'full') {
      waits += 1;
      let isReady = false;
      void out.ready().then(() => {
        isReady = true;
      });
      for (let i = 0; i < 1_000 && !isReady; i += 1) await env.advanceAsync(1);
      expect(isReady).toBe(true);
    }
  }
  return waits;
}

const COMPLETE: StreamEnd = { reason: 'complete', detail: '' };

describe.each(PLACES)('%s', (where) => {
  it('brings every byte once and in order, in pieces of any size, and both sides hear that it is complete', async () => {
    for (const seed of [1, 2, 3]) {
      const { env, open, bytesReceived, reading, writing, near, far } = world(where, seed);
      const out = await open();
      const pieces: Uint8Array[] = [];
      let length = 0;
      for (let i = 0; i < 60; i += 1) {
        const size = i % 3 === 0 ? env.random.below(200_000) : env.random.below(100);
        pieces.push(pattern(size, length));
        length += size;
      }
      const waits = await writeAll(env, out, pieces);
      expect(waits).toBeGreaterThan(0);
      out.finish();
      expect(out.write(Uint8Array.of(1))).toBe('ended');
      await env.advanceAsync(3_000);
      expect(bytesReceived().equals(pattern(length))).toBe(true);
      expect([reading.ends, writing.ends]).toEqual([[COMPLETE], [COMPLETE]]);
      // The hidden children are gone, and so are their seats.
      expect([near.streams.count, far.streams.count]).toEqual([0, 0]);
      const paths = [...near.actorTree(), ...far.actorTree()].map(({ path }) => path);
      expect(paths.filter((path) => path.includes('stream-'))).toEqual([]);
    }
  });

  it('stops who writes when the reader is slow: what waits is bounded by the window', async () => {
    const { env, open, reading, received } = world(where);
    const release: (() => void)[] = [];
    let handled = 0;
    reading.onBytes = (view) => {
      handled += view.length;
      received.push(view.slice());
      return new Promise((resolve) => release.push(resolve));
    };
    const windowBytes = 128 * 1024;
    const out = await open(windowBytes);
    await env.advanceAsync(100);
    let written = 0;
    while (out.write(new Uint8Array(10_000)) === 'accepted') written += 10_000;
    await env.advanceAsync(100);
    // The window, what the last chunk goes beyond it, and the one piece that waits here.
    expect(written).toBeLessThanOrEqual(windowBytes + 3 * 10_000);
    expect(written).toBeGreaterThanOrEqual(windowBytes);
    expect(handled).toBe(10_000);
    for (let i = 0; i < 4 * written && release.length > 0; i += 10_000) {
      release.shift()!();
      await env.advanceAsync(10);
    }
    expect(out.write(new Uint8Array(10_000))).toBe('accepted');
    // Of tiny pieces so many wait as the window has room for their least cost.
    let tiny = 0;
    while (out.write(Uint8Array.of(1)) === 'accepted') tiny += 1;
    expect(tiny).toBeLessThanOrEqual(windowBytes / 256 + 2);
  });

  it('an abort is heard with its words, and what was not sent is dropped', async () => {
    const { env, open, reading, writing, bytesReceived } = world(where);
    const out = await open();
    await writeAll(env, out, [pattern(1_000)]);
    await env.advanceAsync(100);
    out.abort('the disk is full');
    expect(out.write(Uint8Array.of(1))).toBe('ended');
    await env.advanceAsync(100);
    const end = { reason: 'aborted', detail: 'the disk is full' };
    expect([reading.ends, writing.ends]).toEqual([[end], [end]]);
    expect(bytesReceived().length).toBe(1_000);
  });

  it('a cancel is heard with its words, and no byte comes behind it', async () => {
    const { env, open, reading, writing, received } = world(where);
    const out = await open(4_096);
    out.write(pattern(100_000));
    reading.onBytes = (view) => {
      received.push(view.slice());
      reading.incoming!.cancel('that is enough');
    };
    await env.advanceAsync(100);
    const end = { reason: 'cancelled', detail: 'that is enough' };
    expect([reading.ends, writing.ends]).toEqual([[end], [end]]);
    expect(received.length).toBe(1);
    expect(out.write(Uint8Array.of(1))).toBe('ended');
  });

  it.each(['throws', 'rejects'])(
    'a reader that %s fails the stream, not its actor',
    async (how) => {
      const { env, open, reading, writing, toTaker } = world(where);
      const out = await open();
      reading.onBytes = () => {
        if (how === 'rejects') return Promise.reject(new Error('bad bytes'));
        throw new Error('bad bytes');
      };
      out.write(pattern(10));
      await env.advanceAsync(100);
      const end = { reason: 'failed', detail: 'bad bytes' };
      expect([reading.ends, writing.ends]).toEqual([[end], [end]]);
      const answer = toTaker.ask('ping', undefined, { timeoutMs: 1_000 });
      await env.advanceAsync(100);
      expect(await answer).toBe(0);
    },
  );

  it('ends when the actor of either side stops', async () => {
    for (const side of ['writer', 'reader'] as const) {
      const { env, open, reading, writing } = world(where);
      const out = await open();
      out.write(pattern(10));
      await env.advanceAsync(100);
      if (side === 'writer') writing.ctx!.stop();
      else reading.ctx!.stop();
      await env.advanceAsync(100);
      expect(reading.ends).toMatchObject([{ reason: 'stopped' }]);
      expect(writing.ends).toMatchObject([{ reason: 'stopped' }]);
      expect(out.write(Uint8Array.of(1))).toBe('ended');
    }
  });

  it('is unclaimed when nobody comes, taken by the first, and gone for who is late', async () => {
    const { env, open, writing, reading, toTaker } = world(where);
    const alone = await open(4_096, false);
    expect(alone.write(pattern(10))).toBe('accepted');
    expect(alone.write(pattern(10))).toBe('full');
    let isReady = false;
    void alone.ready().then(() => {
      isReady = true;
    });
    await env.advanceAsync(9_000);
    expect(writing.ends).toEqual([]);
    await env.advanceAsync(2_000);
    expect(writing.ends).toMatchObject([{ reason: 'unclaimed' }]);
    expect(isReady).toBe(true);
    toTaker.tell('take', { stream: alone.address, windowBytes: 4_096 });
    await env.advanceAsync(100);
    expect(reading.ends).toMatchObject([{ reason: 'stopped' }]);

    const out = await open();
    await env.advanceAsync(100);
    toTaker.tell('take', { stream: out.address, windowBytes: 4_096 });
    await env.advanceAsync(100);
    expect(reading.ends.at(-1)).toEqual({
      reason: 'aborted',
      detail: 'the stream has a reader already',
    });
    // The first does not care.
    expect(writing.ends.length).toBe(1);
    out.write(pattern(10));
    out.finish();
    await env.advanceAsync(100);
    expect(writing.ends.at(-1)).toEqual(COMPLETE);
  });

  it('given up before it has begun, it is over for both all the same', async () => {
    const { env, near, open, writing, reading } = world(where);
    const out = await open(4_096, false);
    out.abort('never mind');
    await env.advanceAsync(100);
    expect(writing.ends).toEqual([{ reason: 'aborted', detail: 'never mind' }]);
    const again = await open(4_096, false);
    reading.incoming = reading.ctx!.acceptStream(again.address, {
      onBytes: () => undefined,
      onEnd: (end) => void reading.ends.push(end),
    });
    reading.incoming.cancel('never mind either');
    await env.advanceAsync(100);
    expect(writing.ends.at(-1)).toEqual({ reason: 'cancelled', detail: 'never mind either' });
    expect(near.streams.count).toBe(0);
  });

  it('a thread has so many streams and no more, and a window is a window', async () => {
    const { env, writing, open, near } = world(where);
    const out = await open(4_096, false);
    const more: OutgoingStream[] = [];
    while (near.streams.count < 4_096) more.push(writing.ctx!.openStream());
    expect(() => writing.ctx!.openStream()).toThrow(/4096 streams/);
    expect(() => writing.ctx!.acceptStream(out.address, { onBytes: () => undefined })).toThrow(
      /4096 streams/,
    );
    for (const each of more) each.abort('');
    await env.advanceAsync(100);
    expect(near.streams.count).toBe(1);
    for (const windowBytes of [0, 4_095, 17 * 1024 * 1024, Number.NaN]) {
      const reader = { onBytes: () => undefined };
      expect(() => writing.ctx!.acceptStream(out.address, reader, { windowBytes })).toThrow(
        /window/,
      );
    }
    expect(() => writing.ctx!.openStream({ claimTimeoutMs: 0 })).toThrow(/no time/);
    expect(near.streams.count).toBe(1);
  });
});

it.each(['one thread', 'strict'] as const)(
  '%s: a stream ends when the other end is nowhere to be found, whichever end that is',
  async (where) => {
    const { env, near, open, writing, reading } = world(where);
    const out = await open(4_096, false);
    // A node that nobody knows a way to.
    const nowhere = { ...out.address, node: 99, incarnation: 3 };
    reading.ctx!.acceptStream(nowhere, { onBytes: ignore, onEnd: (end) => reading.ends.push(end) });
    near.ref(StreamWriterProtocol, out.address).tell('attach', {
      reader: nowhere,
      windowBytes: 4_096,
    });
    await env.advanceAsync(100);
    out.write(pattern(10));
    await env.advanceAsync(100);
    const lost = { reason: 'unreachable' };
    expect([reading.ends, writing.ends]).toMatchObject([[lost], [lost]]);
    expect(out.write(Uint8Array.of(1))).toBe('ended');
    expect(near.streams.count).toBe(0);
  },
);

describe('between nodes', () => {
  it('a cut ends it for both sides at once, whatever was under way; a new stream takes a new epoch', async () => {
    for (const seed of [1, 2, 3, 4, 5, 6]) {
      const { env, net, open, reading, writing, bytesReceived } = world('two nodes', seed);
      const out = await open();
      await env.advanceAsync(50);
      out.write(pattern(300_000));
      for (let i = 0; i < seed; i += 1) await env.advanceAsync(0);
      net.cut();
      await env.advanceAsync(50);
      expect(reading.ends).toMatchObject([{ reason: 'unreachable' }]);
      expect(writing.ends).toMatchObject([{ reason: 'unreachable' }]);
      const got = bytesReceived();
      expect(got.equals(pattern(got.length))).toBe(true);
      await env.advanceAsync(5_000);
      const next = await open();
      await writeAll(env, next, [pattern(100_000)]);
      next.finish();
      await env.advanceAsync(3_000);
      expect(reading.ends.at(-1)).toEqual(COMPLETE);
    }
  });

  it('a node that is lost ends it, and says so', async () => {
    const { env, links, near, open, writing, reading } = world('two nodes');
    const out = await open();
    out.write(pattern(10));
    await env.advanceAsync(100);
    links.get(near)!.nodeLost(2);
    await env.advanceAsync(100);
    expect(writing.ends).toMatchObject([{ reason: 'node-lost' }]);
    expect(reading.ends).toMatchObject([{ reason: 'unreachable' }]);
  });

  it('messages do not wait behind its bytes: those have a connection of their own', async () => {
    const { env, far, links, open, toTaker, received, net } = world('two nodes');
    // The connection of the bulk lane is not read from at all.
    const paused: { resumeReading(): void }[] = [];
    const own = links.get(far)!;
    const accept = own.accept.bind(own);
    own.accept = (connection) => {
      const start = connection.start.bind(connection);
      let count = 0;
      connection.start = (events) =>
        start({
          ...events,
          onBytes: (view) => {
            // Of a greeting the lane is byte 62; the proof follows, and then bytes of frames.
            if (count <= 62 && count + view.length > 62 && view[62 - count] === 1) {
              paused.push(connection);
            }
            count += view.length;
            events.onBytes(view);
            if (paused.includes(connection) && count >= 184) connection.pauseReading();
          },
        });
      accept(connection);
    };
    const out = await open(1024 * 1024);
    await env.advanceAsync(100);
    out.write(pattern(900_000));
    await env.advanceAsync(1_000);
    expect(net.live.size).toBe(6);
    expect(paused.length).toBe(1);
    expect(received.length).toBeLessThan(2);
    const answer = toTaker.ask('ping', undefined, { timeoutMs: 1_000 });
    await env.advanceAsync(10);
    expect(await answer).toBe(received.length);
    expect(out.write(Uint8Array.of(1))).toBe('accepted');
  });
});
