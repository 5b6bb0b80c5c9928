// `callboard dev` over the real node: what it prints, where it listens, what it leaves on disk. The same
// words over a fake node are in test/cli; here it is the cluster that has to keep them.
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import net from 'node:net';
import { join } from 'node:path';
import { connect } from 'amqplib';
import { Kafka } from 'kafkajs';
import { afterAll, beforeAll, describe, expect, it, test } from 'vitest';
import { frame, Key } from '../../bench/lib/kafka-wire.ts';
import type { ApiDestinations, ApiStatus } from '../../src/admin/api-types.ts';
import { AMQP_PORT, BASE_PORT, ROCKETMQ_PORT } from '../../src/cli/dev/ports.ts';
import { type DevCluster, startDev, until } from '../../tools/lib/dev-cluster.mjs';
import { callboard, freshFolder, isAlive, type ReadyNode, Run } from '../cli/run-dev.ts';
import { Producer, type ProducerClient } from '../fixtures/rocketmq-client.ts';

const DISK_BYTES_MAX = 64 * 1024 * 1024;

/** Asks for ApiVersions: the answer's correlation id. A string: Kafka does not answer at this address. */
function askKafka(host: string, port: number): Promise<number | string> {
  return new Promise((resolve) => {
    const socket = net.connect({ host, port });
    socket.setTimeout(10_000, () => socket.destroy(new Error('no answer')));
    socket.once('connect', () => socket.write(frame(Key.apiVersions, 0, 77, Buffer.alloc(0))));
    socket.once('data', (bytes) => {
      socket.destroy();
      resolve(bytes.readInt32BE(4));
    });
    socket.once('error', (error) => resolve(error.message));
  });
}

/** Sends the protocol header: is it answered with connection.start? */
function greetAmqp(host: string, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = net.connect({ host, port });
    socket.setTimeout(10_000, () => socket.destroy(new Error('no answer')));
    socket.once('connect', () => socket.write('AMQP\x00\x00\x09\x01', 'latin1'));
    socket.once('data', (bytes) => {
      socket.destroy();
      resolve(bytes.readUInt32BE(7) === 0x000a_000a);
    });
    socket.once('error', () => resolve(false));
  });
}

/** Sends HTTP/2's preface and empty settings: is it answered with settings? */
function greetHttp2(host: string, port: number): Promise<boolean> {
  const hello = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0', 'latin1');
  return new Promise((resolve) => {
    const socket = net.connect({ host, port });
    socket.setTimeout(10_000, () => socket.destroy(new Error('no answer')));
    socket.once('connect', () => socket.write(hello));
    socket.once('data', (bytes) => {
      socket.destroy();
      resolve(bytes[3] === 4);
    });
    socket.once('error', () => resolve(false));
  });
}

function portOf(address: string): number {
  return Number(address.slice(address.lastIndexOf(':') + 1));
}

function hasIpv6(): boolean {
  return (
    fs.existsSync('/proc/net/if_inet6') && fs.readFileSync('/proc/net/if_inet6', 'utf8') !== ''
  );
}

/** Bytes of the blocks that the files below a folder take. */
function diskBytes(path: string): number {
  let total = 0;
  for (const entry of fs.readdirSync(path, { withFileTypes: true })) {
    const child = join(path, entry.name);
    total += entry.isDirectory() ? diskBytes(child) : fs.statSync(child).blocks * 512;
  }
  return total;
}

/** What the ready lines say after the name of a client, made as it stands there, and used. */
async function useSnippets(output: string): Promise<void> {
  const made = (label: string, name: string, value: unknown): unknown => {
    const [, code = ''] = new RegExp(`^${label} (.*)$`, 'm').exec(output) ?? [];
    return new Function(name, `return ${code}`)(value);
  };
  const admin = (made('kafkajs', 'Kafka', Kafka) as Kafka).admin();
  await admin.connect();
  expect((await admin.describeCluster()).brokers).toHaveLength(3);
  await admin.disconnect();
  const connection = await (made('amqplib', 'connect', connect) as ReturnType<typeof connect>);
  expect(await (await connection.createChannel()).assertQueue('snippet')).toMatchObject({
    consumerCount: 0,
  });
  await connection.close();
  const producer = made('rocketmq', 'Producer', Producer) as ProducerClient;
  await producer.startup();
  const sent = await producer.send({ topic: 'snippets', body: Buffer.from('hello') });
  expect(sent.messageId).toMatch(/^[0-9A-F]{34}$/);
  await producer.shutdown();
}

async function stopped(run: Run): Promise<number | string> {
  run.child.kill('SIGTERM');
  return run.exited;
}

function dev(folder: string, ...words: string[]): Run {
  const ports = words.includes('--base-port') ? [] : ['--base-port', '0'];
  return callboard(['dev', '--data', join(folder, 'data'), '--json', ...ports, ...words]);
}

test('--json prints one line and nothing else, from the start to the end', async () => {
  const run = dev(freshFolder());
  const nodes = await run.ready();
  expect(nodes.map(({ id }) => id)).toEqual([1, 2, 3]);
  expect(new Set(nodes.map(({ pid }) => pid)).size).toBe(3);
  expect(await stopped(run)).toBe(0);
  expect(run.stdout).toMatch(/^\{"event":"ready","nodes":\[[^\n]*\]\}\n$/);
  expect(run.stderr).toBe('');
  for (const node of nodes)
    expect(Object.keys(node)).toEqual(['id', 'role', 'kafka', 'amqp', 'rocketmq', 'http', 'pid']);
});

test('without a terminal, in colour or not: at most 12 lines, each of which is true', async () => {
  const folder = freshFolder();
  const words = ['dev', '--base-port', '0'];
  const run = callboard(words, { cwd: folder, variables: { NO_COLOR: '1' } });
  await run.saw(/stop {4}Ctrl-C\n/);
  const lines = run.stdout.trimEnd().split('\n');
  expect(lines.length).toBeLessThanOrEqual(12);
  expect(run.stdout).not.toContain('\x1b');
  expect(lines[0]).toMatch(/^Callboard \d+\.\d+\.\d+: 3 nodes ready in (\d+ ms|[\d.]+ s)$/);
  expect(lines[1]?.trim().split(/\s+/)).toEqual([
    'node',
    'Kafka',
    'AMQP',
    'RocketMQ',
    'HTTP',
    'pid',
  ]);
  for (const line of lines.slice(2, 5)) {
    const [, kafka = '', amqp = '', rocketmq = '', http = '', pid = ''] = line.trim().split(/\s+/);
    expect(await askKafka('127.0.0.1', portOf(kafka))).toBe(77);
    expect(await greetAmqp('127.0.0.1', portOf(amqp))).toBe(true);
    expect(await greetHttp2('127.0.0.1', portOf(rocketmq))).toBe(true);
    expect((await fetch(`${http}/api/status`)).status).toBe(200);
    expect(isAlive(Number(pid))).toBe(true);
  }
  expect(run.stdout).toMatch(/^data {4}.*\.callboard \([\d.]+ MiB\)$/m);
  // The lines are for copying: what they say works.
  await useSnippets(run.stdout);
  const [, produce = ''] = /^send {4}(.*)$/m.exec(run.stdout) ?? [];
  const [, consume = ''] = /^read {4}(.*)$/m.exec(run.stdout) ?? [];
  const sent = spawnSync('sh', ['-c', produce], { cwd: folder, encoding: 'utf8' });
  expect(sent.stderr).toBe('');
  expect(sent.stdout).toMatch(/^hello\/\d @ 0\n$/);
  const read = spawnSync('sh', ['-c', `${consume} --max 1`], { cwd: folder, encoding: 'utf8' });
  expect(read.stdout).toBe('first message\n');
  expect(await stopped(run)).toBe(0);
}, 60_000);

describe('one cluster', () => {
  let cluster: DevCluster;
  let data: string;
  let nodes: readonly ReadyNode[];

  beforeAll(async () => {
    // The helper of the command line's tests ends everything after each test; this is for several.
    cluster = await startDev({ shards: 1 });
    ({ data, nodes } = cluster);
  });

  afterAll(() => cluster?.stop());

  it('has taken under 64 MB of disk, measured in blocks', () => {
    const bytes = diskBytes(data);
    expect(bytes).toBeGreaterThan(0);
    expect(bytes).toBeLessThan(DISK_BYTES_MAX);
  });

  it.each(['127.0.0.1', 'localhost', ...(hasIpv6() ? ['::1'] : [])])(
    'serves Kafka, AMQP, RocketMQ and HTTP at %s on every node',
    async (host) => {
      for (const { kafka, amqp, rocketmq, http } of nodes) {
        expect(await askKafka(host, portOf(kafka))).toBe(77);
        expect(await greetAmqp(host, portOf(amqp))).toBe(true);
        expect(await greetHttp2(host, portOf(rocketmq))).toBe(true);
        const inUrl = host.includes(':') ? `[${host}]` : host;
        const answer = await fetch(`http://${inUrl}:${portOf(http)}/api/status`);
        expect(((await answer.json()) as ApiStatus).health).toBe('ok');
      }
    },
  );

  it('serves a page whose script finds every field that it reads', async () => {
    for (const { http, id } of nodes) {
      const page = await fetch(`${http}/`);
      expect(page.headers.get('content-type')).toContain('text/html');
      const html = await page.text();
      expect(html).toContain("fetch('/api/status')");
      const status = (await (await fetch(`${http}/api/status`)).json()) as ApiStatus;
      expect(status.nodeId).toBe(id);
      const all = (await (await fetch(`${http}/api/destinations`)).json()) as ApiDestinations;
      const [destination] = all.destinations;
      const found: Record<string, object> = {
        n: status.nodes[0] ?? {},
        p: destination?.partitions[0] ?? {},
        d: destination ?? {},
        status,
      };
      const reads = [...html.matchAll(/\b(n|p|d|status)\.([a-zA-Z]+)/g)];
      expect(reads.length).toBeGreaterThan(15);
      for (const [text, one = '', field = ''] of reads) {
        if (field === 'toLocaleString') continue;
        expect(Object.keys(found[one] ?? {}), text).toContain(field);
      }
    }
  });

  it('answers ls, produce, consume and status, for people and for programs', async () => {
    const at = ['--data', data];
    const call = async (...words: string[]): Promise<string> => {
      const one = callboard([...words, ...at]);
      expect(await one.exited, one.stderr).toBe(0);
      return one.stdout;
    };
    expect(await call('produce', 'words', '--key', 'k', '--value', 'first')).toMatch(
      /^words\/\d @ 0\n$/,
    );
    const produced = await call('produce', 'words', '--key', 'k', '--value', 'second', '--json');
    expect(JSON.parse(produced)).toMatchObject({ offset: 1 });
    const consume = ['consume', 'words', '--from', 'earliest', '--max', '2'];
    expect(await call(...consume)).toBe('first\nsecond\n');
    const messages = (await call(...consume, '--json')).trimEnd().split('\n');
    expect(messages.map((line) => JSON.parse(line).value)).toEqual(['first', 'second']);
    expect(await call('ls')).toMatch(/^words +stream +3 +2 +9\/9 +sync +-$/m);
    const { destinations } = JSON.parse(await call('ls', '--json')) as ApiDestinations;
    expect(destinations.map(({ name }) => name)).toEqual(['words']);
    expect(await call('status')).toMatch(/: ok, up /);
    const status = JSON.parse(await call('status', '--json')) as ApiStatus;
    expect(status.nodes.map(({ pid }) => pid).sort()).toEqual(nodes.map(({ pid }) => pid).sort());
  });

  it('is shown, and left alone, by a second start on its folder', async () => {
    const second = callboard(['dev', '--data', data]);
    expect(await second.exited).toBe(0);
    expect(second.stdout).toContain(`already running, pid ${cluster.pid}`);
    for (const { kafka, amqp, rocketmq, http, pid } of nodes) {
      expect(second.stdout).toContain(kafka);
      expect(second.stdout).toContain(amqp);
      expect(second.stdout).toContain(rocketmq);
      expect(second.stdout).toContain(http);
      expect(isAlive(pid)).toBe(true);
    }
    const asJson = callboard(['dev', '--data', data, '--json']);
    expect(await asJson.exited).toBe(0);
    expect(JSON.parse(asJson.stdout)).toEqual({ event: 'ready', nodes });
  });
});

test.each([
  ['0', 1],
  ['1', 2],
  ['2', 3],
])('--shards %s: each node has %i threads of its own, and serves', async (shards, threads) => {
  const folder = freshFolder();
  const run = dev(folder, '--nodes', '3', '--shards', shards);
  const nodes = await run.ready();
  for (const { id, kafka } of nodes) {
    expect(await askKafka('127.0.0.1', portOf(kafka))).toBe(77);
    const log = fs.readFileSync(join(folder, `data/logs/node-${id}.log`), 'utf8');
    expect(log).toContain(`"shards":${shards},`);
    const folders = fs.readdirSync(join(folder, `data/node-${id}`));
    expect(folders.filter((name) => name.startsWith('shard-'))).toHaveLength(
      Math.max(1, threads - 1),
    );
  }
  expect(await stopped(run)).toBe(0);
});

test.each([
  ['--memory', ['--memory']],
  ['--memory --in-process', ['--memory', '--in-process']],
])('%s serves, and leaves nothing behind', async (_name, words) => {
  const folder = freshFolder();
  const run = dev(folder, ...words);
  const nodes = await run.ready();
  const at = ['--data', join(folder, 'data')];
  const sent = callboard(['produce', 'gone', '--value', 'soon', ...at]);
  expect(await sent.exited, sent.stderr).toBe(0);
  const own = words.includes('--in-process') ? [run.pid, run.pid, run.pid] : undefined;
  if (own !== undefined) expect(nodes.map(({ pid }) => pid)).toEqual(own);
  expect(fs.existsSync(join(folder, 'data/node-1'))).toBe(false);
  expect(await stopped(run)).toBe(0);
  expect(fs.readdirSync(folder)).toEqual([]);
});

test('--in-process keeps its data, for processes too', async () => {
  const folder = freshFolder();
  const at = ['--data', join(folder, 'data')];
  const first = dev(folder, '--in-process');
  await first.ready();
  const sent = callboard(['produce', 'kept', '--value', 'here', ...at]);
  expect(await sent.exited, sent.stderr).toBe(0);
  expect(await stopped(first)).toBe(0);
  const second = dev(folder);
  await second.ready();
  const read = callboard(['consume', 'kept', '--from', 'earliest', '--no-follow', ...at]);
  expect(await read.exited, read.stderr).toBe(0);
  expect(read.stdout).toBe('here\n');
  expect(await stopped(second)).toBe(0);
}, 60_000);

describe('ports', () => {
  function hold(port: number): Promise<net.Server | undefined> {
    const server = net.createServer();
    return new Promise((resolve) => {
      server.once('error', () => resolve(undefined));
      server.listen({ port, host: '127.0.0.1', exclusive: true }, () => resolve(server));
    });
  }

  it('that are the default and taken move as a block, and dev says so', async () => {
    // Whoever has the port already serves as well.
    const held = await hold(BASE_PORT);
    const folder = freshFolder();
    const run = callboard(['dev', '--nodes', '3', '--data', join(folder, 'd')]);
    await run.saw(/stop {4}Ctrl-C\n/);
    expect(run.stdout).toMatch(new RegExp(`${BASE_PORT}.*taken`));
    const rows = [
      ...run.stdout.matchAll(
        / localhost:(\d+) +amqp:\/\/localhost:(\d+) +localhost:(\d+) +http:\/\/localhost:(\d+)/g,
      ),
    ];
    const kafka = rows.map(([, port]) => Number(port));
    const amqp = rows.map(([, , port]) => Number(port));
    const rocketmq = rows.map(([, , , port]) => Number(port));
    const http = rows.map(([, , , , port]) => Number(port));
    const base = kafka[0] ?? 0;
    expect(base).toBeGreaterThan(BASE_PORT);
    expect((base - BASE_PORT) % 10).toBe(0);
    expect(kafka).toEqual([base, base + 1, base + 2]);
    const moved = AMQP_PORT + base - BASE_PORT;
    expect(amqp).toEqual([moved, moved + 1, moved + 2]);
    expect(rocketmq).toEqual([0, 1, 2].map((n) => ROCKETMQ_PORT + n + base - BASE_PORT));
    expect(http).toEqual([base + 100, base + 101, base + 102]);
    expect(await stopped(run)).toBe(0);
    held?.close();
  });

  it('that were asked for and are taken: exit 5, by name, and nothing is left', async () => {
    const held = net.createServer();
    await new Promise<void>((resolve) => held.listen(0, '127.0.0.1', resolve));
    const { port } = held.address() as net.AddressInfo;
    for (const option of [
      '--base-port',
      '--kafka-port',
      '--amqp-port',
      '--rocketmq-port',
      '--http-port',
    ]) {
      const folder = freshFolder();
      const run = callboard(['dev', '--data', join(folder, 'd'), option, String(port)]);
      expect(await run.exited).toBe(5);
      expect(run.stderr).toContain(`port ${port}`);
      expect(run.stdout).toBe('');
    }
    held.close();
  });

  it('that are the default and taken are exit 5 with --strict-ports', async () => {
    const held = await hold(BASE_PORT);
    const run = callboard(['dev', '--data', join(freshFolder(), 'd'), '--strict-ports']);
    expect(await run.exited).toBe(5);
    expect(run.stderr).toContain(String(BASE_PORT));
    held?.close();
  });
});

const PROGRAM = new URL('../../bin/callboard.cjs', import.meta.url).pathname;
const AS_NOBODY = ['--reuid=65534', '--regid=65534', '--clear-groups', process.execPath];
// Also where there is setpriv, a clone below a folder of root's own cannot be read by anybody else.
const canDropRoot =
  process.getuid?.() === 0 &&
  spawnSync('setpriv', [...AS_NOBODY, PROGRAM, '--version'], { cwd: '/' }).status === 0;

test.skipIf(!canDropRoot && process.getuid?.() === 0)(
  'runs as a user without rights (skipped where root cannot become one that can read this clone)',
  async () => {
    const folder = freshFolder();
    const words = [PROGRAM, 'dev', '--json', '--base-port', '0', '--data', join(folder, 'data')];
    fs.chmodSync(folder, 0o777);
    const run = canDropRoot
      ? new Run('setpriv', [...AS_NOBODY, ...words], {
          cwd: folder,
          env: { PATH: process.env['PATH'], HOME: folder },
        })
      : new Run(process.execPath, words, { cwd: folder });
    const nodes = await run.ready();
    if (canDropRoot) {
      for (const { pid } of nodes) expect(fs.statSync(`/proc/${pid}`).uid).toBe(65_534);
    }
    expect(await askKafka('127.0.0.1', portOf(nodes[0]?.kafka ?? ''))).toBe(77);
    expect(await stopped(run)).toBe(0);
    await until('all nodes end', () => !nodes.some(({ pid }) => isAlive(pid)));
  },
);
