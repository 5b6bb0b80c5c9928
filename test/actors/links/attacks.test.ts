// What comes to the port of the links that is no friend: strangers, other versions, other clusters, who guesses, who
// replays, who lies about credit, who sends and never reads, and very many of them.
import { describe, expect, test } from 'vitest';
import { actor, createSystem, protocol, tell } from '../../../src/actors/index.ts';
import { creditFrame, FRAME_HEADER_BYTES, FRAME_RECORDS } from '../../../src/actors/links/frame.ts';
import {
  encodeAnswer,
  encodeGreeting,
  GREETING_BYTES,
  PROOF_BYTES,
} from '../../../src/actors/links/handshake.ts';
import { Links, type LinksOptions } from '../../../src/actors/links/links.ts';
import {
  KIND_REPLY,
  KIND_TELL,
  paddedSize,
  RECORD_HEADER_BYTES,
  writeRecordHeader,
} from '../../../src/actors/record.ts';
import { manualEnvironment } from '../../../src/actors/testkit/manual-environment.ts';
import { MemoryNet } from '../../../src/actors/testkit/memory-net.ts';
import { bytes, u32, utf8 } from '../../../src/codec/index.ts';
import { concatBytes } from '../../../src/std/byte-ops.ts';
import { GREETING, rawDialer } from './raw-dialer.ts';

const Sink = protocol('sink', 1, { take: tell(bytes), note: tell(u32) });

async function node(options: Partial<LinksOptions> = {}) {
  const base = manualEnvironment(7);
  const net = new MemoryNet(base.runQueue, base.random);
  const env = Object.assign(base, { net });
  const make = (number: number, more: Partial<LinksOptions> = {}) => {
    const system = createSystem(env, {
      name: `n${number}`,
      node: number,
      incarnation: number,
      thread: 0,
      threadCount: 1,
      protocols: [Sink],
    });
    const links = new Links(system, {
      clusterId: 'test-cluster',
      token: 'secret',
      ...options,
      ...more,
    });
    return { system, links };
  };
  const b = make(2);
  const taken: Uint8Array[] = [];
  const SinkActor = actor(
    Sink,
    (_ctx, _args: undefined) => ({ take: (body) => void taken.push(body), note: () => undefined }),
    { mailbox: { capacity: 2_000_000, overflow: 'reject' } },
  );
  b.system.spawnWellKnown(5, 'sink', SinkActor, undefined);
  await b.links.listen({ host: '127.0.0.1', port: 1002 });
  const lines = () => env.lines.filter(({ message }) => message === 'a link was refused');
  /** A friend that is served whatever the others do. */
  const friend = async () => {
    const a = make(9);
    a.links.setAddress(2, { host: '127.0.0.1', port: 1002 });
    const before = taken.length;
    a.system.wellKnown(Sink, { node: 2, thread: 0, slot: 5 }).tell('take', Uint8Array.of(1));
    await env.advanceAsync(100);
    expect(taken.length).toBe(before + 1);
    a.links.close();
  };
  /** Sends `what` as it is, and hears nothing. */
  const raw = (what: Uint8Array) => {
    const heard: Uint8Array[] = [];
    const state = { isClosed: false, heard };
    const connection = net.connect({ host: '127.0.0.1', port: 1002 });
    connection.start({
      onOpen: () => connection.write(what),
      onBytes: (view) => heard.push(view.slice()),
      onClose: () => {
        state.isClosed = true;
      },
    });
    return state;
  };
  return { env, net, make, b, taken, lines, friend, raw };
}

describe('who is not let in', () => {
  test.each([
    ['cluster other there, test-cluster here', { clusterId: 'other' }, 'secret'],
    ['the token is wrong', {}, 'guess'],
    ['the token is wrong', {}, ''],
    ['this is node 2, not 3', { toNode: 3 }, 'secret'],
    ['there is no thread 4 here', { toThread: 4 }, 'secret'],
  ])('%s', async (reason, change, token) => {
    const { env, net, b, lines, friend } = await node();
    const dialer = rawDialer(net, 1002, b.system, change, token);
    await env.settle();
    expect(dialer.isClosed).toBe(true);
    expect(dialer.outcome()).toContain('refused: ');
    expect(lines().map(({ fields }) => fields['reason'])).toEqual([
      expect.stringContaining(reason),
    ]);
    await friend();
  });

  test('the token and what it proves are in no line of the log and in nothing that is sent', async () => {
    const { env, net, b } = await node({ token: 'a-very-secret-token' });
    const dialer = rawDialer(net, 1002, b.system, {}, 'a-very-secret-token');
    rawDialer(net, 1002, b.system, { fromNode: 5 }, 'another-secret');
    await env.settle();
    expect(dialer.outcome()).toBe('open');
    const sent = Buffer.concat(dialer.sent).toString('latin1');
    expect(sent).not.toContain('secret');
    expect(JSON.stringify(env.lines)).not.toContain('secret');
  });

  test('what was seen of one handshake opens no other', async () => {
    const { env, net, b, raw, lines } = await node();
    const dialer = rawDialer(net, 1002, b.system, { fromNode: 5 });
    await env.settle();
    expect(dialer.outcome()).toBe('open');
    const [greeting, proof] = dialer.sent;
    expect(greeting!.length).toBe(GREETING_BYTES);
    expect(proof!.length).toBe(PROOF_BYTES);
    const connection = net.connect({ host: '127.0.0.1', port: 1002 });
    let answers = 0;
    connection.start({
      onOpen: () => connection.write(greeting!),
      onBytes: () => {
        answers += 1;
        if (answers === 1) connection.write(proof!);
      },
      onClose: () => undefined,
    });
    await env.settle();
    expect(lines().at(-1)!.fields['reason']).toContain('the token is wrong');
    // Nor both at once, before the challenge.
    const both = raw(concatBytes([greeting!, proof!]));
    await env.settle();
    expect(both.isClosed).toBe(true);
    expect(lines().at(-1)!.fields['reason']).toContain('out of turn');
  });

  test('an acceptor that does not know the token is not believed', async () => {
    const { env, net, make } = await node();
    const a = make(1);
    // It has heard of challenges, and welcomes everybody.
    await net.listen({ host: '127.0.0.1', port: 1003 }, (connection) => {
      const proof = new Uint8Array(PROOF_BYTES).fill(1);
      const replies = [
        encodeAnswer({ kind: 'challenge', nonce: new Uint8Array(32) }),
        encodeAnswer({ kind: 'welcome', incarnation: 3, creditBytes: 4096, proof }),
      ];
      let count = 0;
      connection.start({
        onBytes: (view) => {
          count += view.length;
          if (replies.length === 2 || count === GREETING_BYTES + PROOF_BYTES) {
            if (count >= GREETING_BYTES) connection.write(replies.shift()!);
          }
        },
        onClose: () => undefined,
      });
    });
    a.links.setAddress(3, { host: '127.0.0.1', port: 1003 });
    a.system.wellKnown(Sink, { node: 3, thread: 0, slot: 5 }).tell('note', 1);
    await env.advanceAsync(200);
    expect(a.links.epochOf(3, 0)).toBe(0);
    const reasons = env.lines
      .filter(({ message }) => message === 'a link was not made')
      .map(({ fields }) => fields['reason']);
    expect(reasons).toContain('the other side does not know the token');
  });

  test.each([
    ['at once', false],
    ['after a challenge', true],
  ])(
    'who has the port of a peer and says %s that this node runs twice is not believed',
    async (_when, isAsked) => {
      const { env, net, make } = await node();
      const a = make(1);
      const twiceBy: number[] = [];
      a.links.onRunsTwice = (by) => void twiceBy.push(by);
      let refusals = 0;
      await net.listen({ host: '127.0.0.1', port: 1003 }, (connection) => {
        const refused = encodeAnswer({
          kind: 'refused',
          reason: 'node 1 has links here already, of another process that lives',
          twiceProof: new Uint8Array(PROOF_BYTES).fill(1),
        });
        let count = 0;
        let isChallenged = false;
        connection.start({
          onBytes: (view) => {
            count += view.length;
            if (isAsked && !isChallenged && count >= GREETING_BYTES) {
              isChallenged = true;
              connection.write(encodeAnswer({ kind: 'challenge', nonce: new Uint8Array(32) }));
            }
            if (count < GREETING_BYTES + (isAsked ? PROOF_BYTES : 0)) return;
            refusals += 1;
            connection.write(refused);
          },
          onClose: () => undefined,
        });
      });
      a.links.setAddress(3, { host: '127.0.0.1', port: 1003 });
      const sink = a.system.wellKnown(Sink, { node: 3, thread: 0, slot: 5 });
      for (let i = 0; i < 100; i += 1) {
        sink.tell('note', 1);
        await env.advanceAsync(100);
      }
      expect(refusals).toBeGreaterThan(5);
      expect(twiceBy).toEqual([]);
      const reasons = env.lines
        .filter(({ message }) => message === 'a link was not made')
        .map(({ fields }) => fields['reason']);
      expect(reasons[0]).toContain('of another process that lives');
    },
  );

  test('a version of the future, and one of the past, are told at once', async () => {
    const { env, raw, lines, friend } = await node();
    for (const version of [1, 3]) {
      const greeting = encodeGreeting(GREETING);
      greeting[4] = version;
      const dialer = raw(greeting.subarray(0, 8));
      await env.settle();
      expect(dialer.isClosed).toBe(true);
      expect(lines().at(-1)!.fields['reason']).toBe(`link version ${version} there, 2 here`);
    }
    await friend();
  });

  test('protocols that differ are named to both, once, however often it is tried', async () => {
    const { env, net, b, lines } = await node();
    const theirs = [
      ...b.system.protocols.slice(0, -1),
      protocol('sink', 1, { take: tell(bytes), note: tell(utf8) }),
    ];
    const dials = () => rawDialer(net, 1002, b.system, {}, 'secret', undefined, theirs);
    const first = dials();
    await env.settle();
    expect(first.outcome()).toBe('refused: protocol sink: op note (1) has another shape there');
    dials();
    await env.settle();
    expect(lines().length).toBe(1);
    expect(lines()[0]!.fields['reason']).toBe('protocol sink: op note (1) has another shape there');
    await env.advanceAsync(60_000);
    dials();
    await env.settle();
    expect(lines().at(-1)!.fields).toMatchObject({ silent: 1 });
  });

  test('a dialer whose protocols differ says so once and does not dial in a storm', async () => {
    const { env, b } = await node();
    const other = createSystem(env, {
      name: 'n1',
      node: 1,
      incarnation: 1,
      thread: 0,
      protocols: [protocol('sink', 2, { take: tell(bytes) })],
    });
    const links = new Links(other, { clusterId: 'test-cluster', token: 'secret' });
    links.setAddress(2, { host: '127.0.0.1', port: 1002 });
    const sink = other.wellKnown(Sink, { node: 2, thread: 0, slot: 5 });
    for (let second = 0; second < 50; second += 1) {
      sink.tell('note', second);
      await env.advanceAsync(1_000);
    }
    const said = env.lines.filter(({ message }) => message === 'a link was not made');
    expect(said.map(({ fields }) => fields['reason'])).toEqual([
      'refused: protocol sink has version 2 here and 1 there',
    ]);
    expect(b.links.counters.refused).toBeLessThan(20);
  });

  test('without a token nobody from elsewhere is let in, and nobody elsewhere is dialled', async () => {
    const { env, net, make } = await node();
    const open = make(3, { token: '' });
    await expect(open.links.listen({ host: '0.0.0.0', port: 1004 })).rejects.toThrow('token');
    await expect(open.links.listen({ host: 'example.org', port: 1004 })).rejects.toThrow('token');
    expect(() => open.links.setAddress(4, { host: '10.0.0.1', port: 1 })).toThrow(
      /stay on this machine.*`token`/,
    );
    await open.links.listen({ host: '127.0.0.1', port: 1004 });
    open.links.setAddress(4, { host: '::1', port: 1 });
    const near = rawDialer(net, 1004, open.system, { toNode: 3 }, '');
    await env.settle();
    expect(near.outcome()).toBe('open');
    // A listener of the application's own, on an address of the world.
    let told = '';
    const far = {
      remote: { host: '10.0.0.9', port: 5 },
      start: () => undefined,
      write: (what: Uint8Array) => {
        told = Buffer.from(what).toString('latin1');
      },
      end: () => undefined,
    };
    open.links.accept(far as never);
    expect(told).toContain('give every node the same token');
  });
});

describe('before anybody is let in', () => {
  test('another protocol is told apart by its first bytes, silence and slowness by a deadline', async () => {
    const { env, raw, b, friend } = await node();
    const http = raw(new TextEncoder().encode('GET'));
    const silent = raw(new Uint8Array(0));
    const slow = raw(encodeGreeting(GREETING).subarray(0, 151));
    const halfway = raw(encodeGreeting(GREETING));
    await env.settle();
    expect([http, silent, slow, halfway].map(({ isClosed }) => isClosed)).toEqual([
      true,
      false,
      false,
      false,
    ]);
    await env.advanceAsync(5_000);
    expect([silent, slow, halfway].every(({ isClosed }) => isClosed)).toBe(true);
    expect(b.links.counters.refused).toBe(4);
    await friend();
  });

  test('of a storm of connections so many wait, the oldest go first, and a friend gets in', async () => {
    const { env, net, raw, b, friend } = await node();
    const storm = Array.from({ length: 5_000 }, () => raw(new Uint8Array(0)));
    await env.settle();
    expect(storm.filter(({ isClosed }) => !isClosed).length).toBe(2_048);
    expect(storm.at(-1)!.isClosed).toBe(false);
    await friend();
    await env.advanceAsync(5_000);
    expect(storm.every(({ isClosed }) => isClosed)).toBe(true);
    expect(b.links.counters.refused).toBe(5_000);
    expect(net.live.size).toBe(0);
    const lines = env.lines.filter(({ message }) => message === 'a link was refused');
    expect(lines.length).toBe(1);
  });

  test('noise of any length harms nobody', async () => {
    const { env, raw, friend } = await node();
    for (let i = 0; i < 200; i += 1) {
      const noise = new Uint8Array(env.random.below(2_000)).map(() => env.random.below(256));
      if (i % 2 === 0) noise.set(encodeGreeting(GREETING).subarray(0, noise.length));
      raw(noise);
    }
    await env.advanceAsync(6_000);
    await friend();
  });
});

function recordsFrame(crc32c: (b: Uint8Array, s: number, e: number) => number, body: Uint8Array) {
  const length = RECORD_HEADER_BYTES + 4 + body.length;
  const frame = new Uint8Array(FRAME_HEADER_BYTES + paddedSize(length));
  const view = new DataView(frame.buffer);
  const at = FRAME_HEADER_BYTES;
  const target = { node: 2, incarnation: 0, thread: 0, slot: 5, generation: 0 };
  writeRecordHeader(
    view,
    at,
    length,
    KIND_TELL,
    0,
    0,
    target,
    { node: 1, incarnation: 1, thread: 0 },
    0,
    0,
  );
  frame[at + RECORD_HEADER_BYTES] = body.length;
  frame.set(body, at + RECORD_HEADER_BYTES + 1);
  view.setUint32(at, RECORD_HEADER_BYTES + 1 + body.length, true);
  view.setUint32(0, frame.length - FRAME_HEADER_BYTES, true);
  view.setUint32(8, FRAME_RECORDS, true);
  view.setUint32(4, crc32c(frame, FRAME_HEADER_BYTES, frame.length), true);
  return frame;
}

describe('who is in and does wrong', () => {
  test('frames that are none end the link, are said once, and harm nobody', async () => {
    const { env, net, b, friend } = await node();
    const frames = [
      new Uint8Array(FRAME_HEADER_BYTES).fill(0xff),
      Uint8Array.of(8, 0, 0, 0, 1, 2, 3, 4, 1, 0, 0, 0, ...new Array(8).fill(0)),
      Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0),
      // 1 MiB and one byte.
      Uint8Array.of(1, 0, 0x10, 0, 0, 0, 0, 0, 1, 0, 0, 0),
      creditFrame((each, start, end) => env.crc32c(each, start, end), 1, 1),
    ];
    for (const [i, frame] of [...frames, ...frames].entries()) {
      const dialer = rawDialer(net, 1002, b.system, { fromNode: 77 }, 'secret', (connection) =>
        connection.write(frame),
      );
      await env.settle();
      expect([i, dialer.isClosed]).toEqual([i, true]);
    }
    expect(b.links.counters.malformed).toBe(10);
    const said = env.lines.filter(({ message }) =>
      message.startsWith('a link sent what is no frame'),
    );
    expect(said.length).toBe(frames.length);
    await friend();
  });

  test('credit for what was never sent ends the link', async () => {
    const { env, net, make } = await node();
    const a = make(1);
    const real = make(3);
    let connection: { write(bytes: Uint8Array): void } | undefined;
    await net.listen({ host: '127.0.0.1', port: 1003 }, (accepted) => {
      connection = accepted;
      real.links.accept(accepted);
    });
    a.links.setAddress(3, { host: '127.0.0.1', port: 1003 });
    a.system.wellKnown(Sink, { node: 3, thread: 0, slot: 5 }).tell('note', 1);
    await env.advanceAsync(1_500);
    expect(a.links.epochOf(3, 0)).toBe(1);
    connection!.write(creditFrame((each, start, end) => env.crc32c(each, start, end), 1, 0));
    await env.settle();
    expect(a.links.counters.malformed).toBe(1);
    const said = env.lines.filter(({ message }) => message === 'a link ended');
    expect(said[0]!.fields['reason']).toBe('credit for what was never sent');
  });

  test('a hundred thousand tiny frames are messages like others', async () => {
    const { env, net, b, taken } = await node();
    const frame = recordsFrame(
      (each, start, end) => env.crc32c(each, start, end),
      Uint8Array.of(9),
    );
    const thousand = concatBytes(Array.from({ length: 1_000 }, () => frame));
    rawDialer(net, 1002, b.system, { fromNode: 77 }, 'secret', (connection) => {
      for (let i = 0; i < 100; i += 1) connection.write(thousand);
    });
    await env.advanceAsync(100);
    expect(taken.length).toBe(100_000);
    expect(taken.every((each) => each.length === 1 && each[0] === 9)).toBe(true);
  });

  test('who sends without credit is not read beyond two windows, and loses nothing', async () => {
    const { env, net, b, taken } = await node({ windowBytes: 64 * 1024 });
    const frame = recordsFrame(
      (each, start, end) => env.crc32c(each, start, end),
      new Uint8Array(100).fill(3),
    );
    const piece = concatBytes(Array.from({ length: 1_000 }, () => frame));
    let pauses = 0;
    let most = 0;
    await net.listen({ host: '127.0.0.1', port: 1005 }, (connection) => {
      const pause = connection.pauseReading.bind(connection);
      connection.pauseReading = () => {
        pauses += 1;
        pause();
      };
      b.links.accept(connection);
    });
    rawDialer(net, 1005, b.system, { fromNode: 77 }, 'secret', (connection) => {
      for (let i = 0; i < 20; i += 1) connection.write(piece);
    });
    const { counters } = b.links;
    for (let i = 0; i < 5_000 && taken.length < 20_000; i += 1) {
      most = Math.max(most, counters.bytesReceived - taken.length * frame.length);
      await env.advanceAsync(1);
    }
    expect(taken.length).toBe(20_000);
    expect(pauses).toBeGreaterThan(0);
    // Two windows and the one piece that was being read.
    expect(most).toBeLessThan(2 * 64 * 1024 + piece.length + 4 * frame.length);
  });
});

describe('who is not there any more', () => {
  test('a peer that takes nothing of what it is sent is half-open, and ends', async () => {
    const { env, b, make } = await node();
    const a = make(1);
    a.links.setAddress(2, { host: '127.0.0.1', port: 1002 });
    const sink = a.system.wellKnown(Sink, { node: 2, thread: 0, slot: 5 });
    sink.tell('note', 1);
    await env.advanceAsync(1_500);
    let ends = 0;
    a.links.onEpochEnd(2, 0, () => {
      ends += 1;
    });
    // It hangs: nothing of it runs, and its socket says nothing.
    b.system.turn.close();
    b.links.accept = () => undefined;
    b.system.deadlines.close();
    sink.tell('note', 2);
    await env.advanceAsync(10_000);
    expect(ends).toBe(0);
    await env.advanceAsync(20_000);
    expect(ends).toBe(1);
    const said = env.lines.filter(({ message }) => message === 'a link ended');
    expect(said.map(({ fields }) => fields['reason'])).toContain('no sign of life');
  });

  test('a link without traffic lives as long as its peer, on a few wake-ups a minute', async () => {
    const { env, b, make, net } = await node();
    const a = make(1);
    a.links.setAddress(2, { host: '127.0.0.1', port: 1002 });
    a.system.wellKnown(Sink, { node: 2, thread: 0, slot: 5 }).tell('note', 1);
    await env.advanceAsync(1_500);
    const writes = () => a.links.counters.writes + b.links.counters.writes;
    const before = writes();
    const turns = a.system.turn.count + b.system.turn.count;
    await env.advanceAsync(600_000);
    expect(a.links.epochOf(2, 0)).toBe(1);
    expect(net.live.size).toBe(2);
    // One sign of life in ten seconds, and its acknowledgement, whose bytes count as well: this one sends nothing else.
    expect(writes() - before).toBeLessThanOrEqual(60);
    expect(b.links.counters.bytesSent).toBeGreaterThan(0);
    expect(a.system.turn.count + b.system.turn.count - turns).toBeLessThan(300);
  });

  test('an incoming link from which nothing is heard ends too', async () => {
    const { env, net, b } = await node();
    let ends = 0;
    b.links.onEpochEnd(77, 0, () => {
      ends += 1;
    });
    const dialer = rawDialer(net, 1002, b.system, { fromNode: 77 });
    await env.advanceAsync(30_000);
    expect([dialer.outcome(), ends]).toEqual(['open', 0]);
    await env.advanceAsync(20_000);
    expect([dialer.isClosed, ends]).toEqual([true, 1]);
  });

  test('answers for a peer that takes none are bounded, and then it is given up', async () => {
    const { env, make, net } = await node();
    const a = make(1);
    const real = make(3);
    // It welcomes, and from then on nothing reaches it; the system takes what is written.
    let isDeaf = false;
    await net.listen({ host: '127.0.0.1', port: 1003 }, (accepted) => real.links.accept(accepted));
    const connect = net.connect.bind(net);
    net.connect = (to) => {
      const connection = connect(to);
      const write = connection.write.bind(connection);
      connection.write = (what, done) => {
        if (!isDeaf) write(what, done);
        else if (done !== undefined) env.runQueue.soon(done);
      };
      return connection;
    };
    a.links.setAddress(3, { host: '127.0.0.1', port: 1003 });
    a.system.wellKnown(Sink, { node: 3, thread: 0, slot: 5 }).tell('note', 1);
    await env.advanceAsync(1_500);
    isDeaf = true;
    const route = a.system.routeTo(3, 0)!;
    const id = { node: 3, incarnation: 3, thread: 0, slot: 9, generation: 1 };
    const answer = new Uint8Array(16 * 1024 * 1024);
    const outcomes: string[] = [];
    for (let i = 0; i < 20; i += 1) {
      outcomes.push(route.send(KIND_REPLY, 0, id, 0, 0, bytes as never, answer));
      // A slow system: the turn that writes them does not come.
    }
    expect(outcomes.filter((each) => each === 'accepted').length).toBe(16);
    await env.advanceAsync(10);
    const said = env.lines.filter(({ message }) => message === 'a link ended');
    expect(said.map(({ fields }) => fields['reason'])).toEqual([
      'it takes nothing of what it is sent',
    ]);
    expect(a.links.counters.recordsLost).toBe(16);
  });
});
