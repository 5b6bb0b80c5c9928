import { createHash } from 'node:crypto';
import fs from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { Address, Connection, Disk, Listener } from '../../../src/env/environment.ts';
import { createNodeDisk } from '../../../src/env/node/disk.ts';
import { createNodeLog } from '../../../src/env/node/log.ts';
import { createMemoryDisk } from '../../../src/env/node/memory-disk.ts';
import { loadNative } from '../../../src/env/node/native.ts';
import { createNodeNet, type NodeNet } from '../../../src/env/node/net.ts';
import { SeededRandom } from '../../../src/std/prng.ts';

const log = createNodeLog({ level: 'silent' });
const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const loopback: Address = { host: '127.0.0.1', port: 0 };

const kinds = [
  ['native calls and a shared buffer', true, 'shared-buffer'],
  ['plain Node and chunks', false, 'chunks'],
] as const;

const listeners: Listener[] = [];
const connections: (Connection | net.Socket)[] = [];
afterEach(() => {
  for (const listener of listeners.splice(0)) listener.close();
  for (const connection of connections.splice(0)) connection.destroy();
});

async function listen(
  on: NodeNet,
  accept: (connection: Connection) => void,
  at: Address = loopback,
): Promise<Address> {
  const listener = await on.listen(at, (connection) => {
    connections.push(connection);
    accept(connection);
  });
  listeners.push(listener);
  return listener.address;
}

/** A plain Node client, so that nothing of ours is on both ends. */
function dial(to: Address): Promise<net.Socket> {
  return new Promise((resolve, reject) => {
    const socket = net.connect({ host: to.host, port: to.port });
    connections.push(socket);
    socket.once('connect', () => resolve(socket));
    socket.once('error', reject);
  });
}

function readAll(socket: net.Socket): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const parts: Buffer[] = [];
    socket.on('data', (part: Buffer) => parts.push(part));
    socket.on('end', () => resolve(Buffer.concat(parts)));
    socket.on('error', reject);
  });
}

/** Started at once; collects copies of what arrives and remembers how it ended. */
function collect(connection: Connection): { text(): string; readonly closed: Promise<unknown> } {
  const parts: Buffer[] = [];
  const closed = new Promise<unknown>((resolve) =>
    connection.start({
      onBytes: (view) => void parts.push(Buffer.from(view)),
      onClose: (error) => resolve(error ?? 'orderly'),
    }),
  );
  return { text: () => Buffer.concat(parts).toString(), closed };
}

describe.each(kinds)('the net over %s', (_name, isNative, reading) => {
  let base: string;
  let disk: Disk;
  const make = (): NodeNet => createNodeNet({ native: loadNative(isNative).calls, log, reading });

  beforeAll(() => {
    base = fs.mkdtempSync(join(tmpdir(), 'callboard-net-'));
    disk = createNodeDisk(base);
  });
  afterAll(() => fs.rmSync(base, { recursive: true, force: true }));

  test('nothing is read before start, and then what was sent arrives whole', async () => {
    const on = make();
    const accepted = new Promise<Connection>(
      (resolve) => void listen(on, resolve).then(dialAndSay),
    );
    async function dialAndSay(at: Address): Promise<void> {
      (await dial(at)).end('early words');
    }
    const connection = await accepted;
    await new Promise((resolve) => setImmediate(resolve));
    expect(on.counters.bytesIn).toBe(0);
    expect(connection.remote.host).toBe('127.0.0.1');
    const got = collect(connection);
    expect(await got.closed).toBe('orderly');
    expect(got.text()).toBe('early words');
    expect(on.counters.bytesIn).toBe(11);
  });

  test('a port that is none is a failure of the connection, and throws at nobody', async () => {
    const client = make().connect({ host: '127.0.0.1', port: 70_000 }, { timeoutMs: 5000 });
    expect(await collect(client).closed).toMatchObject({ code: 'ERR_SOCKET_BAD_PORT' });
  });

  test('an outgoing connection opens, echoes and closes in order on both sides', async () => {
    const on = make();
    const at = await listen(on, (connection) => {
      connection.start({
        onBytes: (view) => connection.write(view.slice()),
        onClose: () => undefined,
      });
    });
    const events: string[] = [];
    const client = on.connect(at, { timeoutMs: 5000 });
    expect(client.queuedBytes).toBe(0);
    await new Promise<void>((resolve) => {
      client.start({
        onOpen: () => {
          events.push('open');
          client.write(bytes('ping'), () => events.push('taken'));
        },
        onBytes: (view) => {
          events.push(Buffer.from(view).toString());
          client.end();
        },
        onClose: (error) => {
          events.push(`close ${error?.message ?? ''}`);
          resolve();
        },
      });
    });
    expect(events).toEqual(['open', 'taken', 'ping', 'close ']);
    expect(client.local.port).toBeGreaterThan(0);
    expect(on.counters).toMatchObject({ accepted: 1, connected: 1, bytesIn: 8, bytesOut: 8 });
  });

  test('one call of write is one write of the socket', async () => {
    const on = make();
    const at = await listen(on, (connection) => {
      connection.start({ onBytes: () => undefined, onClose: () => undefined });
      for (let i = 0; i < 50; i += 1) connection.write(bytes(`line ${i}\n`));
      connection.end();
    });
    const all = await readAll(await dial(at));
    expect(all.toString().split('\n')).toHaveLength(51);
    expect(on.counters.socketWrites).toBe(50);
  });

  test('a refused and an unanswered connect are told by onClose with a code', async () => {
    const on = make();
    const at = await listen(on, () => undefined);
    listeners.pop()?.close();
    const refused = collect(on.connect(at, { timeoutMs: 5000 }));
    expect(await refused.closed).toMatchObject({ code: 'ECONNREFUSED' });
    // 192.0.2.0/24 is reserved for documentation: nobody answers, or the network says so at once.
    const unanswered = collect(on.connect({ host: '192.0.2.1', port: 9 }, { timeoutMs: 50 }));
    expect(await unanswered.closed).toMatchObject({
      code: expect.stringMatching(/ETIMEDOUT|ENETUNREACH|EHOSTUNREACH|EACCES|EPERM|ECONNREFUSED/),
    });
    expect(on.connectionCount).toBe(0);
  });

  test('every write is answered once and before onClose, also when the peer resets', async () => {
    const on = make();
    const accepted = new Promise<Connection>((resolve) => void listen(on, resolve).then(dial));
    const connection = await accepted;
    const order: string[] = [];
    const big = new Uint8Array(64 << 20);
    await new Promise<void>((resolve) => {
      connection.start({
        onBytes: () => undefined,
        onClose: () => {
          order.push('close');
          resolve();
        },
      });
      connection.write(big, () => order.push('big'));
      connection.write(bytes('x'), () => order.push('small'));
      connection.sendFile(fileOf(1000), 0, 1000, () => order.push('file'));
      expect(connection.queuedBytes).toBeGreaterThan(1000);
      connection.destroy();
      expect(order).toEqual([]);
    });
    const late = new Promise<void>((resolve) => connection.write(bytes('late'), resolve));
    await late;
    expect(order).toEqual(['big', 'small', 'file', 'close']);
  });

  test('drain is told once when a backlog is gone, and not for a write that went at once', async () => {
    const on = make();
    let drained = 0;
    const accepted = new Promise<Connection>((resolve) => void listen(on, resolve).then(peer));
    async function peer(at: Address): Promise<void> {
      (await dial(at)).resume();
    }
    const connection = await accepted;
    const isDrained = new Promise<void>((resolve) => {
      connection.start({
        onBytes: () => undefined,
        onClose: () => undefined,
        onDrain: () => {
          drained += 1;
          resolve();
        },
      });
    });
    await new Promise<void>((resolve) => connection.write(bytes('small'), resolve));
    expect(drained).toBe(0);
    connection.write(new Uint8Array(32 << 20));
    expect(connection.queuedBytes).toBeGreaterThan(0);
    await isDrained;
    expect(connection.queuedBytes).toBe(0);
    await new Promise((resolve) => setImmediate(resolve));
    expect(drained).toBe(1);
  });

  test('pausing stops the bytes, resuming brings all of them', async () => {
    const on = make();
    const accepted = new Promise<Connection>((resolve) => void listen(on, resolve).then(peer));
    const data = new Uint8Array(3 << 20).map((_, i) => i & 0xff);
    async function peer(at: Address): Promise<void> {
      (await dial(at)).end(data);
    }
    const connection = await accepted;
    const hash = createHash('sha1');
    let pauses = 0;
    let isPaused = false;
    let isWrong = false;
    await new Promise<void>((resolve) => {
      connection.start({
        onBytes: (view) => {
          isWrong ||= isPaused;
          hash.update(view);
          isPaused = true;
          connection.pauseReading();
          pauses += 1;
          setImmediate(() => {
            isPaused = false;
            connection.resumeReading();
          });
        },
        onClose: () => resolve(),
      });
    });
    expect(isWrong).toBe(false);
    expect(pauses).toBeGreaterThan(5);
    expect(hash.digest('hex')).toBe(createHash('sha1').update(data).digest('hex'));
  });

  test('many connections read at once and never see each other’s bytes', async () => {
    const on = make();
    const results: Promise<[string, unknown]>[] = [];
    const at = await listen(on, (connection) => {
      const got = collect(connection);
      results.push(got.closed.then((end) => [got.text(), end]));
    });
    const letters = 'abcdefghijklmnop';
    const clients = await Promise.all([...letters].map(() => dial(at)));
    clients.forEach((client, i) => {
      for (let k = 0; k < 20; k += 1) client.write((letters[i] ?? '?').repeat(5000 + k));
      client.end();
    });
    await Promise.all(
      clients.map((client) => new Promise((resolve) => client.once('close', resolve))),
    );
    const texts = (await Promise.all(results)).map(([text]) => text);
    expect(texts.map((text) => text[0]).sort()).toEqual([...letters]);
    for (const text of texts) {
      expect(text).toHaveLength(100_190);
      expect(new Set(text).size).toBe(1);
    }
  });

  let files = 0;
  function fileOf(size: number, from: Disk = disk): ReturnType<Disk['open']> {
    const random = new SeededRandom(size);
    const content = new Uint8Array(size).map(() => random.u32());
    files += 1;
    const file = from.open(`file-${files}`, { mode: 'create' });
    file.writeSync(content, 0);
    return file;
  }

  test('headers and file ranges of all sizes leave in the order they were queued', async () => {
    const on = make();
    const random = new SeededRandom(7);
    const size = 4 << 20;
    const file = fileOf(size);
    const content = new Uint8Array(size);
    file.readSync(content, 0);
    const memory = fileOf(300_000, createMemoryDisk());
    const inMemory = new Uint8Array(300_000);
    memory.readSync(inMemory, 0);
    const expected = createHash('sha1');
    let dones = 0;
    const at = await listen(on, (connection) => {
      connection.start({ onBytes: () => undefined, onClose: () => undefined });
      for (let i = 0; i < 60; i += 1) {
        const head = new Uint8Array(1 + random.below(20_000)).fill(i);
        connection.write(head, () => {
          dones += 1;
        });
        expected.update(head);
        const length = [0, 1, 17, 60_000, 65_536, 700_000, 3_000_000][random.below(7)] ?? 0;
        const position = random.below(size - length + 1);
        connection.sendFile(file, position, length, () => {
          dones += 1;
        });
        expected.update(content.subarray(position, position + length));
      }
      connection.sendFile(memory, 0, 300_000, () => {
        dones += 1;
      });
      expected.update(inMemory);
      connection.end();
    });
    const socket = await dial(at);
    const got = createHash('sha1');
    await new Promise<void>((resolve) => {
      let chunks = 0;
      socket.on('data', (chunk) => {
        got.update(chunk);
        chunks += 1;
        // A reader that stops now and then, so that the kernel's buffer runs full.
        if (chunks % 50 === 0) {
          socket.pause();
          setTimeout(() => socket.resume(), 2);
        }
      });
      socket.on('end', resolve);
    });
    expect(got.digest('hex')).toBe(expected.digest('hex'));
    expect(dones).toBe(121);
    if (isNative && process.platform === 'linux') {
      expect(on.counters.sendfileBytes).toBeGreaterThan(on.counters.copiedBytes);
    } else expect(on.counters.sendfileBytes).toBe(0);
    file.close();
  });

  test('a file that ends before the range does takes the connection with it', async () => {
    const on = make();
    const file = fileOf(100_000);
    const ended = new Promise<unknown>((resolve) => {
      void listen(on, (connection) => {
        connection.start({ onBytes: () => undefined, onClose: resolve });
        connection.sendFile(file, 0, 100_001, () => undefined);
      })
        .then(dial)
        .then((socket) => socket.resume());
    });
    expect(await ended).toMatchObject({ message: expect.stringContaining('too early') });
    file.close();
  });

  test('a peer that says goodbye and stays silent does not keep an ended connection', async () => {
    const on = make();
    const closed = new Promise<unknown>((resolve) => {
      void listen(on, (connection) => {
        connection.start({ onBytes: () => undefined, onClose: (error) => resolve(error ?? 'ok') });
        connection.write(bytes('bye'));
        connection.end();
      }).then((at) => {
        const socket = net.connect({ host: at.host, port: at.port, allowHalfOpen: true });
        connections.push(socket);
        socket.resume();
      });
    });
    expect(await closed).toBe('ok');
  });

  test('a taken port is refused with EADDRINUSE', async () => {
    const on = make();
    const at = await listen(on, () => undefined);
    await expect(on.listen(at, () => undefined)).rejects.toMatchObject({ code: 'EADDRINUSE' });
  });

  test('localhost listens on every loopback address under one port', async () => {
    const on = make();
    const at = await listen(on, (connection) => connection.end(), { host: 'localhost', port: 0 });
    for (const host of ['127.0.0.1', 'localhost', ...ipv6Loopback()]) {
      const socket = await dial({ host, port: at.port });
      await readAll(socket);
    }
    expect(on.counters.accepted).toBeGreaterThan(1);
  });
});

function ipv6Loopback(): string[] {
  return fs.existsSync('/proc/net/if_inet6') &&
    fs.readFileSync('/proc/net/if_inet6', 'utf8').includes('00000000000000000000000000000001')
    ? ['::1']
    : [];
}

describe.runIf(process.platform === 'linux')('a connection handed over by its descriptor', () => {
  test.each(['shared-buffer', 'chunks'] as const)(
    'lives on unread with the taker: %s',
    async (reading) => {
      const giver = createNodeNet({ native: loadNative().calls, log });
      const taker = createNodeNet({ native: loadNative().calls, log, reading });
      let closes = 0;
      const at = await listen(giver, (connection) => {
        const { fd, remote, local } = giver.release(connection);
        const adopted = taker.adopt(fd, remote, local);
        connections.push(adopted);
        expect(adopted.remote).toEqual(connection.remote);
        adopted.start({
          onBytes: (view) => adopted.write(view.slice()),
          onClose: () => {
            closes += 1;
          },
        });
      });
      for (let i = 0; i < 20; i += 1) {
        const socket = await dial(at);
        socket.end('handed over');
        expect((await readAll(socket)).toString()).toBe('handed over');
      }
      expect(taker.counters.bytesIn).toBe(220);
      expect(giver.counters.bytesIn).toBe(0);
      expect(giver.connectionCount).toBe(0);
      await expect.poll(() => closes).toBe(20);
    },
  );
});
