// The simulated transport keeps the promises of env/grpc.ts, as the real one does.
import { expect, test } from 'vitest';
import {
  type GrpcCall,
  type GrpcCallEvents,
  type GrpcLimits,
  type GrpcListener,
  type GrpcService,
  GrpcStatus,
} from '../../../src/env/grpc.ts';
import { GrpcChannel } from '../../../src/sim/net/grpc-channel.ts';
import { simGrpcServer } from '../../../src/sim/net/grpc-server.ts';
import type { SimNode } from '../../../src/sim/node.ts';
import { inWorld } from '../../../src/sim/runner.ts';
import type { World } from '../../../src/sim/world.ts';

const AT = { host: 'n1', port: 9_000 };
const KINDS = { '/unary': 'unary', '/stream': 'server-stream', '/bidi': 'bidi' } as const;

/** Echoes, and answers a message of one byte never. */
class Echo implements GrpcService {
  readonly calls: GrpcCall[] = [];
  readonly heard: string[] = [];

  kindOf(path: string) {
    return KINDS[path as keyof typeof KINDS];
  }

  open(call: GrpcCall): GrpcCallEvents {
    this.calls.push(call);
    return {
      onMessage: (message) => {
        this.heard.push(`${call.path} ${message.length}`);
        if (message.length === 1) return;
        call.send(message);
        if (call.kind === 'server-stream') call.send(message);
        if (call.kind !== 'bidi') call.finish(GrpcStatus.OK, '');
      },
      onHalfClose: () => {
        this.heard.push('half closed');
        call.finish(GrpcStatus.OK, 'bye');
      },
      onCancelled: () => this.heard.push('cancelled'),
    };
  }
}

class Client {
  readonly channel: GrpcChannel;
  readonly got: (string | number)[] = [];

  constructor(node: SimNode) {
    this.channel = new GrpcChannel(node.start().environment, AT);
  }

  call(path: string, message?: Uint8Array, timeoutMs = 5_000, value = 'value'): number {
    const metadata = new Map([['name', value]]);
    const call = this.channel.open(
      { path, timeoutMs, metadata },
      {
        onMessage: (bytes) => this.got.push(bytes.length),
        onEnd: (status, text) => this.got.push(`${status} ${text}`),
      },
    );
    if (message === undefined) return call;
    this.channel.send(call, message);
    if (path !== '/bidi') this.channel.halfClose(call);
    return call;
  }
}

interface Rig {
  readonly world: World;
  readonly echo: Echo;
  readonly listener: GrpcListener;
  readonly client: Client;
}

function withRig(limits: Partial<GrpcLimits>, body: (rig: Rig) => Promise<void>): Promise<void> {
  return inWorld(7, { buggify: false }, async (world) => {
    const echo = new Echo();
    const server = simGrpcServer(world.node('n1').start().environment);
    const listener = await server.listen(AT, echo, limits);
    const client = new Client(world.node('c1', 'client'));
    await body({ world, echo, listener, client });
  });
}

const bytes = (size: number) => new Uint8Array(size).fill(7);

test('calls of each kind get what they have to get', () =>
  withRig({}, async ({ world, echo, client }) => {
    client.call('/unary', bytes(10));
    await world.advance(100);
    expect(client.got.splice(0)).toEqual([10, '0 ']);
    client.call('/stream', bytes(100_000));
    await world.advance(100);
    expect(client.got.splice(0)).toEqual([100_000, 100_000, '0 ']);
    const call = client.call('/bidi', bytes(3));
    client.channel.send(call, bytes(4));
    await world.advance(100);
    expect(client.got.splice(0)).toEqual([3, 4]);
    client.channel.halfClose(call);
    await world.advance(100);
    expect(client.got.splice(0)).toEqual(['0 bye']);
    client.call('/nothing', bytes(3));
    await world.advance(100);
    expect(client.got.splice(0)).toEqual(['12 there is no call /nothing']);
    expect(echo.calls[0]!.authority).toBe('n1:9000');
    expect(echo.calls[0]!.metadata('name')).toBe('value');
    expect(echo.calls[0]!.metadata('other')).toBeUndefined();
  }));

test('a deadline ends the call at both ends', () =>
  withRig({}, async ({ world, echo, listener, client }) => {
    client.call('/unary', bytes(1), 300);
    await world.advance(290);
    expect(client.got).toEqual([]);
    expect(echo.heard).toEqual(['/unary 1']);
    await world.advance(200);
    expect(client.got).toEqual(['4 no answer in time']);
    expect(echo.heard).toEqual(['/unary 1', 'cancelled']);
    expect(listener.counters.callsOpen).toBe(0);
  }));

test('the server ends what is late by itself, where the client is cut off', () =>
  withRig({}, async ({ world, echo, client }) => {
    client.call('/unary', bytes(1), 300);
    await world.advance(50);
    const { host } = world.node('c1', 'client');
    const mend = world.network.block(host, world.node('n1').host);
    await world.advance(1_500);
    expect(echo.heard).toEqual(['/unary 1', 'cancelled']);
    mend();
  }));

test('a connection that breaks ends every call: UNAVAILABLE here, cancelled there', () =>
  withRig({}, async ({ world, echo, listener, client }) => {
    client.call('/unary', bytes(1));
    client.call('/bidi', bytes(1));
    await world.advance(50);
    expect(world.network.resetOne(world.faults, () => true)).toBe(true);
    await world.advance(50);
    expect(client.got).toEqual(['14 the connection is gone', '14 the connection is gone']);
    expect(echo.heard.filter((each) => each === 'cancelled')).toHaveLength(2);
    expect(listener.counters).toMatchObject({ callsOpen: 0, connectionsOpen: 0, heldBytes: 0 });
    expect(client.channel.isOver).toBe(true);
    client.call('/unary', bytes(2));
    await world.advance(50);
    expect(client.got.at(-1)).toBe('14 the connection is gone');
  }));

test('who gives a call up hears nothing more of it, and the other end is told', () =>
  withRig({}, async ({ world, echo, client }) => {
    const call = client.call('/unary', bytes(1));
    await world.advance(50);
    client.channel.cancel(call);
    expect(client.got).toEqual(['1 cancelled']);
    await world.advance(50);
    expect(echo.heard).toEqual(['/unary 1', 'cancelled']);
    echo.calls[0]!.send(bytes(2));
    echo.calls[0]!.finish(GrpcStatus.OK, '');
    await world.advance(50);
    expect(client.got).toEqual(['1 cancelled']);
  }));

test('messages beyond the limit are refused unread, and the connection goes on', () =>
  withRig({ messageBytesMax: 1_000 }, async ({ world, echo, client }) => {
    client.call('/unary', bytes(1_001));
    client.call('/unary', bytes(1_000));
    await world.advance(100);
    const text = 'a message has 1001 bytes; up to 1000 are taken';
    expect(client.got).toEqual([`8 ${text}`, 1_000, '0 ']);
    expect(echo.heard).toEqual(['/unary 1000']);
  }));

test('calls, connections and headers are bounded', () =>
  withRig(
    { callsPerConnectionMax: 2, connectionsPerAddressMax: 1, headerBytesMax: 400 },
    async ({ world, listener, client }) => {
      client.call('/bidi', bytes(1));
      client.call('/bidi', bytes(1));
      client.call('/unary', bytes(2));
      await world.advance(100);
      expect(client.got.splice(0)).toEqual(['14 this connection takes no more calls']);
      const other = new GrpcChannel(world.node('c1', 'client').process!.environment, AT);
      await world.advance(100);
      expect(other.isOver).toBe(true);
      expect(listener.counters.connectionsRefused).toBe(1);
      const next = new Client(world.node('c2', 'client'));
      next.call('/unary', bytes(2), 5_000, 'x'.repeat(400));
      next.call('/unary', bytes(2));
      await world.advance(100);
      expect(next.got[0]).toBe('13 the headers of the call are too large');
      expect(next.got.slice(1)).toEqual([2, '0 ']);
    },
  ));

test('requests that are not whole in time are refused, and who says nothing is closed', () =>
  withRig({ requestTimeoutMs: 2_000, idleTimeoutMs: 4_000 }, async ({ world, client }) => {
    client.call('/unary', undefined, 60_000);
    await world.advance(3_500);
    expect(client.got).toEqual(['4 no whole request in 2000 ms']);
    expect(client.channel.isOver).toBe(false);
    await world.advance(6_000);
    expect(client.channel.isOver).toBe(true);
  }));

test('a listener that closes ends calls with UNAVAILABLE, streams with OK, and every connection', () =>
  withRig({}, async ({ world, echo, listener, client }) => {
    client.call('/unary', bytes(1));
    client.call('/bidi', bytes(1));
    await world.advance(50);
    listener.close();
    await world.advance(2_000);
    expect(client.got).toEqual(['14 the listener ends', '0 ']);
    expect(echo.heard).toEqual(['/unary 1', '/bidi 1', 'cancelled', 'cancelled']);
    expect(client.channel.isOver).toBe(true);
    expect(listener.counters.connectionsOpen).toBe(0);
    const late = new Client(world.node('c2', 'client'));
    late.call('/unary', bytes(2));
    await world.advance(2_000);
    expect(late.got).toEqual(['14 the connection is gone']);
  }));

test('a peer that answers no ping is given up', () =>
  withRig(
    { pingIntervalMs: 1_000, pingTimeoutMs: 2_000 },
    async ({ world, echo, listener, client }) => {
      client.call('/bidi', bytes(1));
      await world.advance(10_000);
      expect(listener.counters.connectionsOpen).toBe(1);
      world.node('c1', 'client').pause();
      await world.advance(10_000);
      expect(listener.counters.connectionsOpen).toBe(0);
      expect(echo.heard).toEqual(['/bidi 1', 'cancelled']);
      world.node('c1', 'client').resume();
    },
  ));
