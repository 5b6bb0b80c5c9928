// Listeners of a process whose descriptors are used up by connections.
import { type ChildProcess, spawn } from 'node:child_process';
import net from 'node:net';
import { fileURLToPath } from 'node:url';
import { afterEach, expect, it, vi } from 'vitest';
import type { Log } from '../../../src/env/environment.ts';
import { createHttpServer } from '../../../src/env/node/http.ts';
import { createNodeLog } from '../../../src/env/node/log.ts';
import { loadNative } from '../../../src/env/node/native.ts';
import { createNodeNet } from '../../../src/env/node/net.ts';

const program = fileURLToPath(new URL('./workers/few-descriptors.mjs', import.meta.url));
const MANY = 100;

interface Said {
  readonly ports?: readonly [number, number];
  readonly level?: string;
  readonly text?: string;
}

const ends: (() => void)[] = [];
afterEach(() => {
  vi.restoreAllMocks();
  for (const end of ends.splice(0)) end();
});

interface Client {
  readonly socket: net.Socket;
  echoed: string;
  isClosed: boolean;
}

function dial(port: number): Client {
  const socket = net.connect({ host: '127.0.0.1', port });
  const client: Client = { socket, echoed: '', isClosed: false };
  ends.push(() => socket.destroy());
  socket.on('data', (bytes) => {
    client.echoed += bytes.toString();
  });
  // Told by the close that follows.
  socket.on('error', () => undefined);
  socket.on('close', () => {
    client.isClosed = true;
  });
  socket.write('hello');
  return client;
}

const until = (isSo: () => boolean) =>
  vi.waitFor(() => expect(isSo()).toBe(true), { timeout: 20_000, interval: 10 });

async function servesHttp(port: number): Promise<boolean> {
  const response = await fetch(`http://127.0.0.1:${port}/`, { headers: { connection: 'close' } });
  return (await response.text()) === 'served\n';
}

it.skipIf(process.platform !== 'linux')(
  'refuse connections while none is free, tell it once, and serve again when others have closed',
  async () => {
    const said: Said[] = [];
    const child: ChildProcess = spawn(
      'sh',
      ['-c', 'ulimit -n 64 && exec "$0" "$@"', process.execPath, program],
      { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] },
    );
    ends.push(() => child.kill('SIGKILL'));
    child.on('message', (message) => said.push(message as Said));
    await until(() => said.some(({ ports }) => ports !== undefined));
    const [echo, http] = said.find(({ ports }) => ports !== undefined)!.ports!;
    expect(await servesHttp(http)).toBe(true);
    const clients = Array.from({ length: MANY }, () => dial(echo));
    await until(() => clients.every(({ echoed, isClosed }) => isClosed || echoed === 'hello'));
    const served = clients.filter(({ isClosed }) => !isClosed);
    expect(served.length).toBeGreaterThan(10);
    expect(served.length).toBeLessThan(64);
    await expect(servesHttp(http)).rejects.toThrow();
    const told = () => said.filter(({ text }) => text?.startsWith('descriptors are used up'));
    await until(() => told().length > 0);
    // Who was served before still is.
    for (const { socket } of served) socket.write(', again');
    await until(() => served.every(({ echoed }) => echoed === 'hello, again'));
    for (const { socket } of served) socket.destroy();
    await vi.waitFor(async () => expect(await servesHttp(http)).toBe(true), { timeout: 20_000 });
    const next = dial(echo);
    await until(() => next.echoed === 'hello');
    expect([child.exitCode, child.signalCode]).toEqual([null, null]);
    expect(told()).toHaveLength(1);
    expect(said.filter(({ level }) => level === 'error')).toEqual([]);
  },
);

it('go on after an accept that failed, and tell it once', async () => {
  const lines: string[] = [];
  const quiet = createNodeLog({ level: 'silent' });
  const log: Log = {
    debug: quiet.debug,
    info: quiet.info,
    child: () => log,
    warn: (text) => lines.push(`warn ${text}`),
    error: (text) => lines.push(`error ${text}`),
  };
  const servers: net.Server[] = [];
  const listen = net.Server.prototype.listen;
  vi.spyOn(net.Server.prototype, 'listen').mockImplementation(function (
    this: net.Server,
    ...args: unknown[]
  ) {
    servers.push(this);
    return Reflect.apply(listen, this, args) as net.Server;
  });
  const at = { host: '127.0.0.1', port: 0 };
  const tcp = createNodeNet({ native: loadNative(false).calls, log });
  const plain = await tcp.listen(at, (connection) => connection.destroy());
  const http = await createHttpServer({ log, names: [] }).serve(at, () =>
    Promise.resolve({ status: 200, contentType: 'text/plain', body: 'served\n' }),
  );
  ends.push(
    () => plain.close(),
    () => http.close(),
  );
  expect(servers).toHaveLength(2);
  for (const server of servers) {
    lines.length = 0;
    for (let i = 0; i < 100; i += 1) {
      server.emit('error', Object.assign(new Error('accept EMFILE'), { code: 'EMFILE' }));
    }
    expect(lines).toEqual([
      'warn descriptors are used up: connections are refused until others close',
    ]);
    server.emit('error', Object.assign(new Error('accept EPERM'), { code: 'EPERM' }));
    expect(lines.slice(1)).toEqual(['error a listener failed']);
  }
  expect(await servesHttp(http.address.port)).toBe(true);
});
