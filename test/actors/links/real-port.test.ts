// The links' port of a real system: strangers on real sockets, while friends are served.
import { connect, type Socket } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { actor, ask, createSystem, protocol } from '../../../src/actors/index.ts';
import { encodeGreeting } from '../../../src/actors/links/handshake.ts';
import { Links } from '../../../src/actors/links/links.ts';
import { u32 } from '../../../src/codec/index.ts';
import type { Log } from '../../../src/env/environment.ts';
import { createNodeEnvironment } from '../../../src/env/node/environment.ts';
import { GREETING } from './raw-dialer.ts';

const Echo = protocol('echo', 1, { echo: ask(u32, u32) });
const ignore = () => undefined;
const quiet: Log = { debug: ignore, info: ignore, warn: ignore, error: ignore, child: () => quiet };
const env = createNodeEnvironment({ log: quiet });
const ends: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

async function node(number: number) {
  const system = createSystem(env, { name: `n${number}`, node: number, protocols: [Echo] });
  const links = new Links(system, { clusterId: 'test-cluster', token: 'secret' });
  const listener = await links.listen({ host: '127.0.0.1', port: 0 });
  const EchoActor = actor(Echo, (_ctx, _args: undefined) => ({ echo: (n) => n }));
  system.spawnWellKnown(1, 'echo', EchoActor, undefined);
  ends.push(async () => {
    listener.close();
    links.close();
    await system.shutdown({ timeoutMs: 2_000 });
  });
  return { system, links, address: listener.address };
}

test('garbage, floods and very many strangers are sent away, and a friend is served meanwhile', async () => {
  const [b, a] = [await node(2), await node(1)];
  a.links.setAddress(2, b.address);
  b.links.setAddress(1, a.address);
  const echo = a.system.wellKnown(Echo, { node: 2, thread: 0, slot: 1 });
  const sockets: Socket[] = [];
  ends.push(() => {
    for (const socket of sockets) socket.destroy();
  });
  const stranger = (first: Uint8Array, reads = true): Promise<void> => {
    const socket = connect(b.address.port, '127.0.0.1');
    sockets.push(socket);
    socket.on('error', ignore);
    if (reads) socket.resume();
    else socket.pause();
    socket.write(first);
    return new Promise((resolve) => {
      socket.on('close', () => resolve());
      if (!reads) socket.on('connect', () => resolve());
    });
  };
  const future = encodeGreeting(GREETING);
  future[4] = 200;
  const gone = [
    stranger(new TextEncoder().encode('GET / HTTP/1.1\r\n\r\n')),
    // A TLS hello, and an AMQP one.
    stranger(Uint8Array.of(0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3)),
    stranger(new TextEncoder().encode('AMQP\0\0\x09\x01')),
    stranger(future),
    // A greeting, and megabytes that nobody asked for.
    stranger(Buffer.concat([encodeGreeting(GREETING), new Uint8Array(4 * 1024 * 1024)])),
    stranger(encodeGreeting({ ...GREETING, clusterId: 'another' })),
  ];
  for (let i = 0; i < 300; i += 1)
    void stranger(i % 2 === 0 ? Uint8Array.of(0x43) : encodeGreeting(GREETING), false);
  for (let n = 0; n < 50; n += 1) {
    expect(await echo.ask('echo', n, { timeoutMs: 30_000 })).toBe(n);
  }
  await Promise.all(gone);
  expect(b.links.counters.refused).toBe(gone.length);
  expect(a.links.epochOf(2, 0)).toBe(1);
});
