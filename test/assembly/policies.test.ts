// Policies through real clients: set over HTTP as RabbitMQ's tools do, seen by AMQP and Kafka clients, kept.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type ConfirmChannel, connect } from 'amqplib';
import { ConfigResourceTypes, Kafka, logLevel } from 'kafkajs';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type TestCluster, testCluster } from './support/cluster.ts';

let root: string;
let cluster: TestCluster | undefined;
const ends: (() => Promise<unknown>)[] = [];

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'callboard-policies-'));
});

afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end().catch(() => undefined);
  await cluster?.stop();
  cluster = undefined;
  rmSync(root, { recursive: true, force: true });
});

async function started(nodes: number): Promise<TestCluster> {
  cluster = await testCluster({ nodes, dataRoot: (id) => join(root, `node-${id}`) });
  await cluster.ready();
  return cluster;
}

async function channelOf(running: TestCluster, id = 1): Promise<ConfirmChannel> {
  const { host, amqpPort } = running.addresses[id - 1]!;
  const connection = await connect(`amqp://${host}:${amqpPort}`);
  connection.on('error', () => undefined);
  ends.push(() => connection.close());
  const channel = await connection.createConfirmChannel();
  channel.on('error', () => undefined);
  return channel;
}

interface Answer {
  readonly status: number;
  readonly body: unknown;
}

/** At one node: what it was told, every other knows a moment later. */
async function ask(
  running: TestCluster,
  method: string,
  path: string,
  body?: unknown,
): Promise<Answer> {
  const { host, httpPort } = running.addresses[0]!;
  const sent = body === undefined ? {} : { body: JSON.stringify(body) };
  const answer = await fetch(`http://${host}:${httpPort}/api${path}`, { method, ...sent });
  const text = await answer.text();
  return { status: answer.status, body: text === '' ? undefined : JSON.parse(text) };
}

const says = (durability: string) => ({ 'x-durability': durability });

async function put(running: TestCluster, name: string, fields: object): Promise<number> {
  const { status } = await ask(running, 'PUT', `/policies/%2F/${name}`, fields);
  return status;
}

/** [policy, durability, replicas] */
async function listed(running: TestCluster, name: string): Promise<unknown> {
  const { body } = await ask(running, 'GET', '/destinations');
  const { destinations } = body as {
    destinations: {
      name: string;
      durability: string;
      policy: string | null;
      partitions: { replicas: number[] }[];
    }[];
  };
  const found = destinations.find((one) => one.name === name);
  return [found?.policy, found?.durability, found?.partitions[0]?.replicas.length];
}

test('queues, streams and topics under a policy have its durability, and get a new one with it', async () => {
  const running = await started(3);
  expect(await put(running, 'fast', { pattern: '^f\\.', definition: says('async') })).toBe(201);
  const channel = await channelOf(running);
  await channel.assertQueue('f.q', { durable: true });
  await channel.assertQueue('f.own', { durable: true, arguments: says('replicated') });
  await channel.assertQueue('q', { durable: true });
  const stream = { durable: true, arguments: { 'x-queue-type': 'stream' } };
  await channel.assertQueue('f.s', stream);
  expect(await listed(running, 'f.q')).toEqual(['fast', 'async', 3]);
  expect(await listed(running, 'f.own')).toEqual(['fast', 'replicated', 3]);
  expect(await listed(running, 'q')).toEqual([null, 'sync', 3]);
  expect(await listed(running, 'f.s')).toEqual(['fast', 'async', 3]);
  const { host, kafkaPort } = running.addresses[0]!;
  const kafka = new Kafka({ brokers: [`${host}:${kafkaPort}`], logLevel: logLevel.NOTHING });
  const admin = kafka.admin();
  await admin.connect();
  ends.push(() => admin.disconnect());
  const described = await admin.describeConfigs({
    includeSynonyms: true,
    resources: [{ type: ConfigResourceTypes.TOPIC, name: 'f.s' }],
  });
  const entries = described.resources[0]!.configEntries;
  expect(entries.find(({ configName }) => configName === 'callboard.durability')).toMatchObject({
    configValue: 'async',
    isDefault: false,
    configSource: 3,
  });
  // Declared again as it was, it is there; as something else, it is not.
  await channel.assertQueue('f.q', { durable: true });
  await channel.assertQueue('f.s', stream);
  for (const name of ['f.q', 'f.s']) {
    const other = await channelOf(running);
    const own = name === 'f.s' ? { 'x-queue-type': 'stream' } : {};
    const again = other.assertQueue(name, {
      durable: true,
      arguments: { ...own, ...says('sync') },
    });
    await expect(again).rejects.toThrow(/406.*inequivalent arg 'x-durability'/);
  }
  const changed = { pattern: '^f\\.', definition: says('replicated'), priority: 3 };
  expect(await put(running, 'fast', changed)).toBe(204);
  expect(await listed(running, 'f.q')).toEqual(['fast', 'replicated', 3]);
  expect(await listed(running, 'f.s')).toEqual(['fast', 'replicated', 3]);
  channel.sendToQueue('f.q', Buffer.from('m'), { persistent: true });
  await channel.waitForConfirms();
  expect((await ask(running, 'DELETE', '/policies/%2F/fast')).status).toBe(204);
  expect(await listed(running, 'f.q')).toEqual([null, 'sync', 3]);
  expect(await listed(running, 'f.own')).toEqual([null, 'replicated', 3]);
});

test('a mirrored queue is on all nodes, keeps what was confirmed, and goes on without one of them', async () => {
  const running = await started(3);
  const definition = { 'ha-mode': 'all', 'ha-sync-mode': 'automatic' };
  await put(running, 'ha', { pattern: '^ha', definition, 'apply-to': 'classic_queues' });
  const channel = await channelOf(running);
  await channel.assertQueue('ha', { durable: true });
  expect(await listed(running, 'ha')).toEqual(['ha', 'sync', 3]);
  for (let i = 0; i < 5; i += 1) channel.sendToQueue('ha', Buffer.from(`${i}`));
  await channel.waitForConfirms();
  const { body } = await ask(running, 'GET', '/policies/%2F/ha');
  expect(body).toEqual({
    vhost: '/',
    name: 'ha',
    pattern: '^ha',
    'apply-to': 'classic_queues',
    definition,
    priority: 0,
    notes: [expect.stringContaining('those that are there move')],
  });
  await running.stopNode(3);
  for (let i = 5; i < 10; i += 1) channel.sendToQueue('ha', Buffer.from(`${i}`));
  await channel.waitForConfirms();
  for (let i = 0; i < 10; i += 1) {
    const got = await channel.get('ha', { noAck: true });
    expect(got === false ? 'nothing' : got.content.toString()).toBe(`${i}`);
  }
});

test('a queue that is there becomes mirrored, follows its policy, and is as others again without one', async () => {
  const running = await started(3);
  const channel = await channelOf(running);
  await channel.assertQueue('q', { durable: true });
  const sent: string[] = [];
  const send = async () => {
    for (let i = 0; i < 5; i += 1) {
      sent.push(`${sent.length}`);
      channel.sendToQueue('q', Buffer.from(sent.at(-1)!));
    }
    await channel.waitForConfirms();
  };
  interface Listed {
    readonly node: string;
    readonly slave_nodes?: readonly string[];
    readonly synchronised_slave_nodes?: readonly string[];
  }
  const queue = async () => (await ask(running, 'GET', '/queues/%2F/q')).body as Listed;
  const nodes = async () => {
    const { node, slave_nodes: others, synchronised_slave_nodes: synchronised } = await queue();
    if (others === undefined || others.length !== synchronised!.length) return 'not in sync';
    return [node, ...others].sort().join(' ');
  };
  const kind = async () => {
    const { body } = await ask(running, 'GET', '/destinations');
    const { destinations } = body as { destinations: { name: string; type: string }[] };
    return destinations.find(({ name }) => name === 'q')?.type;
  };
  await send();
  expect(await kind()).toBe('classic');
  expect(await queue()).not.toHaveProperty('slave_nodes');
  const mirror = (definition: object) => put(running, 'ha', { pattern: '^q$', definition });
  await mirror({ 'ha-mode': 'exactly', 'ha-params': 2 });
  expect(await kind()).toBe('mirrored');
  await send();
  await expect.poll(nodes, { timeout: 30_000 }).toMatch(/^n\d n\d$/);
  await mirror({ 'ha-mode': 'nodes', 'ha-params': ['n2', 'n3'] });
  await send();
  await expect.poll(nodes, { timeout: 30_000 }).toBe('n2 n3');
  await mirror({ 'ha-mode': 'all' });
  await expect.poll(nodes, { timeout: 30_000 }).toBe('n1 n2 n3');
  await send();
  expect((await ask(running, 'DELETE', '/policies/%2F/ha')).status).toBe(204);
  await send();
  expect(await kind()).toBe('classic');
  expect(await listed(running, 'q')).toEqual([null, 'sync', 3]);
  const other = await channelOf(running, 2);
  for (const body of sent) {
    await expect
      .poll(async () => {
        const got = await other.get('q', { noAck: true });
        return got === false ? 'nothing' : got.content.toString();
      })
      .toBe(body);
  }
}, 120_000);

test('policies outlive a restart, and what is asked wrongly is refused in the words of RabbitMQ', async () => {
  const running = await started(1);
  await put(running, 'all', { pattern: '', definition: says('async') });
  const bad: [string, string, unknown, number, RegExp | string][] = [
    ['PUT', '/policies/%2F/p', { pattern: '(', definition: says('sync') }, 400, /\( without \)/],
    ['PUT', '/policies/%2F/p', { pattern: '', definition: { expires: 1 } }, 400, /not honoured/],
    ['PUT', '/policies/%2F/p', { pattern: '', definition: says('x') }, 400, /one of sync/],
    ['PUT', '/policies/%2F/p', { pattern: '' }, 400, /definition/],
    ['PUT', '/policies/%2F/p', { definition: says('sync') }, 400, /pattern/],
    ['PUT', '/policies/%2F/p', [], 400, /object/],
    ['PUT', '/policies/other/p', { pattern: '', definition: says('sync') }, 404, 'Not Found'],
    ['GET', '/policies/%2F/none', undefined, 404, 'Not Found'],
    ['DELETE', '/policies/%2F/none', undefined, 404, 'Not Found'],
    ['POST', '/policies', {}, 405, /served/],
  ];
  for (const [method, path, body, status, reason] of bad) {
    const answer = await ask(running, method, path, body);
    expect([path, body, answer.status]).toEqual([path, body, status]);
    const error = { 400: 'bad_request', 404: 'Object Not Found' }[status] ?? 'Method Not Allowed';
    expect(answer.body).toEqual({ error, reason: expect.stringMatching(reason) as string });
  }
  await running.stopNode(1);
  await running.start(1, false);
  await running.ready();
  const { body } = await ask(running, 'GET', '/policies/%2F');
  expect(body).toEqual([
    {
      vhost: '/',
      name: 'all',
      pattern: '',
      'apply-to': 'all',
      definition: says('async'),
      priority: 0,
      notes: [],
    },
  ]);
  expect((await ask(running, 'GET', '/policies')).body).toEqual(body);
  await (await channelOf(running)).assertQueue('q', { durable: true });
  expect(await listed(running, 'q')).toEqual(['all', 'async', 1]);
});
