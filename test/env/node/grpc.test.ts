import net from 'node:net';
import { gzipSync } from 'node:zlib';
import { afterEach, describe, expect, it } from 'vitest';
import type { Address, Connection, Listener } from '../../../src/env/environment.ts';
import {
  type GrpcCall,
  type GrpcCallEvents,
  type GrpcLimits,
  type GrpcListener,
  type GrpcService,
  GrpcStatus,
} from '../../../src/env/grpc.ts';
import { createNodeClock } from '../../../src/env/node/clock.ts';
import { createGrpcServer } from '../../../src/env/node/grpc.ts';
import { createNodeLog } from '../../../src/env/node/log.ts';
import { loadNative } from '../../../src/env/node/native.ts';
import { createNodeNet } from '../../../src/env/node/net.ts';
import { NodeTimers } from '../../../src/env/node/timers.ts';
import { SeededRandom } from '../../../src/std/prng.ts';
import { answerOf, Client, frame } from './grpc-client.ts';

const log = createNodeLog({ level: 'silent' });
const clock = createNodeClock();
const { calls: native } = loadNative(true);
const nodeNet = createNodeNet({ native, log });
const server = createGrpcServer({ net: nodeNet, clock, timers: new NodeTimers(clock), log });
const loopback: Address = { host: '127.0.0.1', port: 0 };
const text = (message: Uint8Array): string => Buffer.from(message).toString();

/** What was heard of each call, in order. */
const heard: string[] = [];
const calls: GrpcCall[] = [];
const KINDS = {
  '/t/Echo': 'unary',
  '/t/Many': 'server-stream',
  '/t/Chat': 'bidi',
  '/t/Wait': 'unary',
  '/t/Feed': 'server-stream',
};

const service: GrpcService = {
  kindOf: (path) => KINDS[path as keyof typeof KINDS] as ReturnType<GrpcService['kindOf']>,
  open(call): GrpcCallEvents {
    calls.push(call);
    heard.push(`open ${call.path}`);
    return {
      onMessage(message) {
        heard.push(`message ${message.length > 40 ? message.length : text(message)}`);
        if (call.path === '/t/Echo') {
          call.send(message);
          call.finish(GrpcStatus.OK, '');
        } else if (call.path === '/t/Many') {
          for (let i = 0; i < Number(text(message)); i += 1) call.send(Buffer.from(`m${i}`));
          call.finish(GrpcStatus.OK, 'done');
        } else if (call.path === '/t/Chat') call.send(message);
      },
      onHalfClose() {
        heard.push('half close');
        call.finish(GrpcStatus.OK, '');
      },
      onCancelled: () => heard.push('cancelled'),
    };
  },
};

const open: { close(): void }[] = [];
afterEach(() => {
  for (const each of open.splice(0)) each.close();
  heard.length = 0;
  calls.length = 0;
});

async function listen(limits: Partial<GrpcLimits> = {}): Promise<GrpcListener & Listener> {
  const listener = await server.listen(loopback, service, limits);
  open.push(listener);
  return listener;
}

function dial(to: Listener, options = {}): Client {
  const client = new Client(to.address, options);
  open.push(client);
  return client;
}

async function until(isTrue: () => boolean): Promise<void> {
  while (!isTrue()) await new Promise((resolve) => setTimeout(resolve, 5));
}

describe('calls', () => {
  it('one message each way: metadata, authority, addresses, deadline, status', async () => {
    const listener = await listen();
    const client = dial(listener);
    const before = clock.monotonicMs();
    const answer = await client.ask('/t/Echo', frame('hello'), {
      'x-mq-client-id': 'me',
      'grpc-timeout': '90S',
    });
    expect(answer).toMatchObject({ httpStatus: 200, messages: ['hello'], status: 0, text: '' });
    expect(answer.headers['content-type']).toBe('application/grpc');
    const call = calls[0]!;
    expect(call.metadata('x-mq-client-id')).toBe('me');
    expect(call.metadata('x-missing')).toBe(undefined);
    expect(call.authority).toBe(`127.0.0.1:${listener.address.port}`);
    expect(call.local).toEqual(listener.address);
    expect(call.deadlineMs - before).toBeGreaterThanOrEqual(90_000);
    expect(heard).toEqual(['open /t/Echo', 'message hello']);
    await client.ask('/t/Echo', frame('x'));
    expect(calls[1]!.deadlineMs).toBe(Number.POSITIVE_INFINITY);
  });

  it('one message and many back, in order, behind a peer that reads late', async () => {
    const client = dial(await listen());
    const answer = await client.ask('/t/Many', frame('20000'));
    expect(answer.messages).toHaveLength(20_000);
    expect(answer.messages[19_999]).toBe('m19999');
    expect(answer).toMatchObject({ status: 0, text: 'done' });
  });

  it('many messages each way, until the client is done', async () => {
    const client = dial(await listen());
    const stream = client.start('/t/Chat');
    const answer = answerOf(stream);
    stream.write(frame('one'));
    await until(() => heard.includes('message one'));
    // Two and a half messages in one frame of HTTP/2, the rest byte by byte.
    const rest = Buffer.concat([frame('two'), frame(''), frame('three')]);
    stream.write(rest.subarray(0, 15));
    for (const byte of rest.subarray(15)) stream.write(Buffer.from([byte]));
    stream.end();
    expect(await answer).toMatchObject({ messages: ['one', 'two', '', 'three'], status: 0 });
    expect(heard.at(-1)).toBe('half close');
  });

  it('texts of a status are any text', async () => {
    const client = dial(await listen());
    const answer = client.ask('/t/Wait', frame('x'));
    await until(() => calls.length === 1);
    calls[0]!.finish(GrpcStatus.INVALID_ARGUMENT, '100 % schön\n🙂');
    calls[0]!.finish(GrpcStatus.OK, 'too late');
    calls[0]!.send(Buffer.from('too late'));
    expect(await answer).toMatchObject({ status: 3, text: '100 % schön\n🙂', messages: [] });
    const long = client.ask('/t/Wait', frame('x'));
    await until(() => calls.length === 2);
    calls[1]!.finish(GrpcStatus.INTERNAL, `x${'é'.repeat(2000)}`);
    expect((await long).text).toMatch(/^xé{511}$/);
  });

  it('large messages, both in one piece and slowly', async () => {
    const client = dial(await listen());
    const body = 'x'.repeat(3_000_000);
    expect((await client.ask('/t/Echo', frame(body))).messages).toEqual([body]);
    const stream = client.start('/t/Echo');
    const answer = answerOf(stream);
    const whole = frame(body);
    for (let at = 0; at < whole.length; at += 100_001)
      stream.write(whole.subarray(at, at + 100_001));
    stream.end();
    expect((await answer).messages).toEqual([body]);
  });

  it('a client that goes away cancels, once', async () => {
    const listener = await listen();
    const client = dial(listener);
    const stream = client.start('/t/Wait');
    stream.end(frame('x'));
    await until(() => calls.length === 1);
    stream.close(8);
    await until(() => heard.includes('cancelled'));
    client.start('/t/Chat').write(frame('y'));
    await until(() => heard.includes('message y'));
    client.close();
    await until(() => heard.filter((each) => each === 'cancelled').length === 2);
    await until(() => listener.counters.connectionsOpen === 0);
    expect(listener.counters.callsOpen).toBe(0);
  });
});

describe('what is refused ends its own stream only', () => {
  it.each<[string, string, Uint8Array, { [name: string]: string }, number, RegExp]>([
    ['an unknown call', '/t/None', frame('x'), {}, 12, /no call \/t\/None/],
    ['no message', '/t/Echo', Buffer.alloc(0), {}, 12, /none came/],
    ['two messages', '/t/Echo', Buffer.concat([frame('a'), frame('b')]), {}, 12, /second/],
    ['a message that is cut', '/t/Echo', frame('abc').subarray(0, 7), {}, 13, /inside a message/],
    ['a prefix that is cut', '/t/Echo', frame('abc').subarray(0, 3), {}, 13, /inside a message/],
    ['a wrong size', '/t/Echo', Buffer.from([0, 0, 0, 0, 9, 1]), {}, 13, /inside a message/],
    ['a flag beyond 1', '/t/Echo', frame('x', 2), {}, 13, /begins with 2/],
    ['a flag without an encoding', '/t/Echo', frame('x', 1), {}, 13, /does not say how/],
    [
      'identity that is compressed',
      '/t/Echo',
      frame('x', 1),
      { 'grpc-encoding': 'identity' },
      13,
      /how/,
    ],
    ['an unknown encoding', '/t/Echo', frame('x', 1), { 'grpc-encoding': 'zstd' }, 12, /zstd/],
    ['no gzip', '/t/Echo', frame('x', 1), { 'grpc-encoding': 'gzip' }, 13, /unpacked/],
    ['a timeout that is none', '/t/Echo', frame('x'), { 'grpc-timeout': '1d' }, 13, /timeout/],
    ['a giant claim', '/t/Echo', Buffer.from([0, 255, 255, 255, 255]), {}, 8, /4294967295/],
    ['a giant claim, of bidi', '/t/Chat', Buffer.from([0, 255, 255, 255, 255]), {}, 8, /4194304/],
  ])('%s', async (_what, path, body, headers, status, reason) => {
    const listener = await listen();
    const client = dial(listener);
    const answer = await client.ask(path, body, headers);
    expect(answer).toMatchObject({ httpStatus: 200, status, messages: [] });
    expect(answer.text).toMatch(reason);
    expect(answer.headers['grpc-accept-encoding']).toBe('identity,gzip');
    expect(listener.counters.callsRefused).toBe(1);
    expect(await client.ask('/t/Echo', frame('still here'))).toMatchObject({ status: 0 });
    expect(listener.counters.connectionsAccepted).toBe(1);
  });

  it('gzip is taken, and what it unpacks to is bounded', async () => {
    const client = dial(await listen({ messageBytesMax: 100_000 }));
    const gzip = { 'grpc-encoding': 'gzip' };
    const small = await client.ask('/t/Echo', frame(gzipSync('unpacked'), 1), gzip);
    expect(small.messages).toEqual(['unpacked']);
    const plain = await client.ask('/t/Echo', frame('plain', 0), gzip);
    expect(plain.messages).toEqual(['plain']);
    const bomb = await client.ask('/t/Echo', frame(gzipSync(Buffer.alloc(50_000_000)), 1), gzip);
    expect(bomb).toMatchObject({ status: 8, messages: [] });
  });

  it('a giant message is refused before it is sent, and the client told to stop', async () => {
    const listener = await listen();
    const client = dial(listener);
    const stream = client.start('/t/Echo');
    const answer = answerOf(stream);
    stream.write(Buffer.from([0, 0x7f, 255, 255, 255]));
    expect(await answer).toMatchObject({ status: 8, resetCode: 0 });
    expect(listener.counters.heldBytes).toBe(0);
    expect(await client.ask('/t/Echo', frame('x'))).toMatchObject({ status: 0 });
  });

  it('what is not gRPC gets a status of HTTP', async () => {
    const client = dial(await listen());
    expect(await client.ask('/t/Echo', frame('x'), { 'content-type': 'text/html' })).toMatchObject({
      httpStatus: 415,
      status: -1,
    });
    const got = client.session.request({ ':path': '/t/Echo' });
    expect(await answerOf(got)).toMatchObject({ httpStatus: 405 });
  });
});

describe('limits', () => {
  it('of bytes that are being received count over all calls', async () => {
    const listener = await listen({ heldBytesMax: 100_000 });
    const client = dial(listener);
    const slow = client.start('/t/Echo');
    slow.write(frame('x'.repeat(90_000)).subarray(0, 60_000));
    await until(() => listener.counters.heldBytes > 0);
    const refused = client.start('/t/Echo');
    const answer = answerOf(refused);
    refused.write(frame('x'.repeat(90_000)).subarray(0, 60_000));
    expect(await answer).toMatchObject({ status: 8 });
    slow.close(8);
    await until(() => listener.counters.heldBytes === 0);
    const after = await client.ask('/t/Echo', frame('x'.repeat(90_000)));
    expect(after).toMatchObject({ status: 0 });
  });

  it('of calls per connection and of headers are told to the client', async () => {
    const client = dial(await listen({ callsPerConnectionMax: 3, headerBytesMax: 4096 }));
    await client.ask('/t/Echo', frame('x'));
    expect(client.session.remoteSettings).toMatchObject({
      maxConcurrentStreams: 3,
      maxHeaderListSize: 4096,
    });
    const large = await client.ask('/t/Echo', frame('x'), { 'x-large': 'x'.repeat(8000) });
    expect(large.status).toBe(-1);
    expect(calls).toHaveLength(1);
    expect(await client.ask('/t/Echo', frame('x'))).toMatchObject({ status: 0 });
  });

  it('of connections, in all and of one address', async () => {
    const listener = await listen({ connectionsPerAddressMax: 2 });
    const [first, second] = [dial(listener), dial(listener)];
    await first.ask('/t/Echo', frame('x'));
    await second.ask('/t/Echo', frame('x'));
    await dial(listener).closed;
    expect(listener.counters).toMatchObject({ connectionsOpen: 2, connectionsRefused: 1 });
    first.close();
    await until(() => listener.counters.connectionsOpen === 1);
    expect(await dial(listener).ask('/t/Echo', frame('x'))).toMatchObject({ status: 0 });
    const few = await listen({ connectionsMax: 1 });
    await dial(few).ask('/t/Echo', frame('x'));
    await dial(few).closed;
    expect(few.counters.connectionsRefused).toBe(1);
  });

  it('of answers that nobody reads: new calls of that connection are refused', async () => {
    const listener = await listen({ unsentBytesMax: 100_000 });
    const client = dial(listener, { settings: { initialWindowSize: 1000 } });
    const stream = client.start('/t/Feed');
    stream.end(frame('x'));
    await until(() => calls.length === 1);
    calls[0]!.send(Buffer.alloc(300_000));
    expect(calls[0]!.queuedBytes).toBeGreaterThan(200_000);
    expect(await client.ask('/t/Echo', frame('x'))).toMatchObject({ status: 8 });
    expect(await dial(listener).ask('/t/Echo', frame('x'))).toMatchObject({ status: 0 });
    const answer = answerOf(stream);
    await until(() => calls[0]!.queuedBytes === 0);
    calls[0]!.finish(GrpcStatus.OK, '');
    expect(await answer).toMatchObject({ status: 0 });
    expect(await client.ask('/t/Echo', frame('x'))).toMatchObject({ status: 0 });
  });

  it('of time: no settings, no request, no call, a deadline, an answer that is not taken', async () => {
    const listener = await listen({
      handshakeTimeoutMs: 1,
      requestTimeoutMs: 1,
      lingerTimeoutMs: 1,
    });
    const silent = net.connect(listener.address.port, listener.address.host);
    silent.resume();
    await new Promise((resolve) => silent.once('close', resolve));
    expect(listener.counters.handshakesFailed).toBe(1);

    const client = dial(listener, { settings: { initialWindowSize: 1000 } });
    const slow = client.start('/t/Echo');
    const slowAnswer = answerOf(slow);
    slow.write(frame('never whole').subarray(0, 8));
    expect(await slowAnswer).toMatchObject({ status: 4, text: 'no whole request in 1 ms' });

    const late = await client.ask('/t/Wait', frame('x'), { 'grpc-timeout': '10m' });
    expect(late).toMatchObject({ status: 4 });
    expect(heard).toEqual(['open /t/Wait', 'message x', 'cancelled']);

    const unread = client.start('/t/Wait');
    unread.pause();
    unread.end(frame('x'));
    await until(() => calls.length === 2);
    calls[1]!.send(Buffer.alloc(10_000));
    calls[1]!.finish(GrpcStatus.OK, '');
    await until(() => listener.counters.callsOpen === 0);

    const idle = await listen({ idleTimeoutMs: 1 });
    const resting = dial(idle);
    await resting.ask('/t/Echo', frame('x'));
    await resting.closed;
    expect(idle.counters.connectionsOpen).toBe(0);
  });

  it('of pings: a peer that does not answer is gone', async () => {
    const listener = await listen({ pingIntervalMs: 1, pingTimeoutMs: 1 });
    const socket = net.connect(listener.address.port, listener.address.host);
    // The preface of a client and empty settings, and nothing after them.
    socket.write('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
    socket.write(Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0]));
    socket.resume();
    await new Promise((resolve) => socket.once('close', resolve));
    expect(listener.counters).toMatchObject({ connectionsOpen: 0, handshakesFailed: 0 });
  });
});

describe('connections', () => {
  it('are taken from any listener of the net, and from another thread', async () => {
    const grpc = server.serve(service);
    open.push(grpc);
    const port = await nodeNet.listen(loopback, (connection) => {
      if (!nodeNet.canRelease) return grpc.accept(connection);
      // What a thread does with a connection that another one gave it.
      const { fd, remote, local } = nodeNet.release(connection);
      grpc.accept(nodeNet.adopt(fd, remote, local));
    });
    open.push(port);
    const client = dial(port);
    expect(await client.ask('/t/Echo', frame('moved'))).toMatchObject({ messages: ['moved'] });
    client.close();
    await until(() => grpc.counters.connectionsOpen === 0 && nodeNet.connectionCount === 0);
  });

  it('that speak something else are closed and counted', async () => {
    const listener = await listen();
    for (const first of [
      'GET / HTTP/1.1\r\n\r\n',
      '\x16\x03\x01\x02\x00\x01\x00\x01',
      '\0\0\0\x10',
    ]) {
      const socket = net.connect(listener.address.port, listener.address.host);
      socket.on('error', () => undefined);
      socket.resume();
      socket.end(first.padEnd(64, '\0'));
      await new Promise((resolve) => socket.once('close', resolve));
    }
    await until(() => listener.counters.connectionsOpen === 0);
    expect(listener.counters.handshakesFailed).toBe(3);
    expect(await dial(listener).ask('/t/Echo', frame('x'))).toMatchObject({ status: 0 });
  });

  it('that speak nonsense behind a true beginning end alone', async () => {
    const listener = await listen();
    const random = new SeededRandom(7);
    for (let round = 0; round < 60; round += 1) {
      const socket = net.connect(listener.address.port, listener.address.host);
      socket.on('error', () => undefined);
      socket.resume();
      socket.write('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
      const noise = Buffer.from(Array.from({ length: 300 }, () => random.below(256)));
      // Half of them begin with frames that look true: a size, a type, a stream.
      if (round % 2 === 0) noise.set([0, 0, 40, round % 10, 5, 0, 0, 0, 1], 0);
      socket.end(noise);
      await new Promise((resolve) => socket.once('close', resolve));
    }
    await until(() => listener.counters.connectionsOpen === 0);
    expect(listener.counters).toMatchObject({ callsOpen: 0, heldBytes: 0 });
    expect(await dial(listener).ask('/t/Echo', frame('x'))).toMatchObject({ status: 0 });
  });

  it('are told to go when the listener closes, and their calls end with UNAVAILABLE', async () => {
    const listener = await listen();
    const client = dial(listener);
    const answer = client.ask('/t/Wait', frame('x'));
    await until(() => calls.length === 1);
    listener.close();
    expect(await answer).toMatchObject({ status: 14 });
    await client.closed;
    expect(heard.at(-1)).toBe('cancelled');
    await until(() => listener.counters.connectionsOpen === 0);
  });

  it('end standing streams with OK when the listener closes', async () => {
    const listener = await listen();
    const client = dial(listener);
    const stream = client.start('/t/Chat');
    const answer = answerOf(stream);
    stream.write(frame('one'));
    await until(() => heard.includes('message one'));
    listener.close();
    expect(await answer).toMatchObject({ messages: ['one'], status: 0 });
    await client.closed;
    expect(heard.at(-1)).toBe('cancelled');
    await until(() => listener.counters.connectionsOpen === 0);
  });
});

describe('connections that are gone before they are served', () => {
  it('leave nothing behind', async () => {
    const grpc = server.serve(service);
    open.push(grpc);
    const taken: Connection[] = [];
    const port = await nodeNet.listen(loopback, (connection) => taken.push(connection));
    open.push(port);
    const socket = net.connect(port.address.port, port.address.host);
    await until(() => taken.length === 1);
    taken[0]!.destroy();
    grpc.accept(taken[0]!);
    await until(() => grpc.counters.connectionsOpen === 0);
    socket.destroy();
    expect(await dial(await listen()).ask('/t/Echo', frame('x'))).toMatchObject({ status: 0 });
  });
});
