// Durabilities through real clients: set, shown, refused, and what of a destination in memory is left.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type ConfirmChannel, connect } from 'amqplib';
import { type Admin, ConfigResourceTypes, Kafka, logLevel } from 'kafkajs';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type TestCluster, testCluster } from './support/cluster.ts';

const KEY = 'callboard.durability';
let root: string;
let cluster: TestCluster | undefined;
const ends: (() => Promise<unknown>)[] = [];

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'callboard-durability-'));
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

function kafkaOf(running: TestCluster): Kafka {
  return new Kafka({
    brokers: running.addresses.map(({ host, kafkaPort }) => `${host}:${kafkaPort}`),
    logLevel: logLevel.NOTHING,
    retry: { initialRetryTime: 50, maxRetryTime: 500, retries: 20 },
  });
}

async function adminOf(running: TestCluster): Promise<Admin> {
  const admin = kafkaOf(running).admin();
  await admin.connect();
  ends.push(() => admin.disconnect());
  return admin;
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

async function durabilityOf(admin: Admin, name: string): Promise<string | undefined> {
  const described = await admin.describeConfigs({
    includeSynonyms: true,
    resources: [{ type: ConfigResourceTypes.TOPIC, name }],
  });
  const entries = described.resources[0]!.configEntries;
  return entries.find(({ configName }) => configName === KEY)?.configValue;
}

async function listed(running: TestCluster, name: string): Promise<unknown> {
  const { host, httpPort } = running.addresses[0]!;
  const answer = await fetch(`http://${host}:${httpPort}/api/destinations`);
  const { destinations } = (await answer.json()) as {
    destinations: { name: string; durability: string; partitions: { replicas: number[] }[] }[];
  };
  const found = destinations.find((one) => one.name === name);
  return [found?.durability, found?.partitions[0]?.replicas.length];
}

const refusal = (work: Promise<unknown>): Promise<string> =>
  work.then(
    () => 'accepted',
    (error: unknown) => {
      const { errors, message } = error as Error & { errors?: readonly Error[] };
      return [message, ...(errors ?? []).map((each) => each.message)].join('; ');
    },
  );

test('a topic is made with it, shows it, changes it, and refuses what is none', async () => {
  const running = await started(3);
  const admin = await adminOf(running);
  const entry = (value: string) => [{ name: KEY, value }];
  const create = (topic: string, value: string, replicationFactor = -1) =>
    admin.createTopics({
      topics: [{ topic, numPartitions: 1, replicationFactor, configEntries: entry(value) }],
    });
  for (const mode of ['sync', 'replicated', 'async', 'memory']) {
    await create(`t-${mode}`, mode);
    expect(await durabilityOf(admin, `t-${mode}`)).toBe(mode);
    expect(await listed(running, `t-${mode}`)).toEqual([mode, mode === 'memory' ? 1 : 3]);
    const producer = kafkaOf(running).producer();
    await producer.connect();
    const sent = await producer.send({ topic: `t-${mode}`, messages: [{ value: mode }] });
    expect(sent[0]!.baseOffset).toBe('0');
    await producer.disconnect();
  }
  expect(await refusal(create('bad', 'disk'))).toMatch(/[Cc]onfig/);
  expect(await refusal(create('bad', 'memory', 3))).toMatch(/[Rr]eplication.?factor/);
  const alter = (value: string) =>
    admin.alterConfigs({
      validateOnly: false,
      resources: [{ type: ConfigResourceTypes.TOPIC, name: 't-sync', configEntries: entry(value) }],
    });
  await alter('async');
  expect(await durabilityOf(admin, 't-sync')).toBe('async');
  expect(await listed(running, 't-sync')).toEqual(['async', 3]);
  expect(await refusal(alter('memory'))).toMatch(/[Cc]onfig/);
});

test('a queue and a stream are declared with it, and a queue is not another one afterwards', async () => {
  const running = await started(3);
  const args = (mode: string) => ({ durable: true, arguments: { 'x-durability': mode } });
  for (const mode of ['sync', 'replicated', 'async', 'memory']) {
    const channel = await channelOf(running);
    await channel.assertQueue(`q-${mode}`, args(mode));
    await channel.assertQueue(`q-${mode}`, args(mode));
    expect(await listed(running, `q-${mode}`)).toEqual([mode, mode === 'memory' ? 1 : 3]);
    channel.sendToQueue(`q-${mode}`, Buffer.from('persistent'), { persistent: true });
    channel.sendToQueue(`q-${mode}`, Buffer.from('transient'), { deliveryMode: 1 });
    await channel.waitForConfirms();
    for (const body of ['persistent', 'transient']) {
      let got = await channel.get(`q-${mode}`, { noAck: true });
      // Confirmed early: it is there as soon as it is committed.
      while (got === false) got = await channel.get(`q-${mode}`, { noAck: true });
      expect(got.content.toString()).toBe(body);
    }
    const other = mode === 'sync' ? 'async' : 'sync';
    expect(await refusal(channel.assertQueue(`q-${mode}`, args(other)))).toMatch(
      /406.*inequivalent arg 'x-durability'/,
    );
  }
  const stream = { ...args('async').arguments, 'x-queue-type': 'stream' };
  const channel = await channelOf(running);
  await channel.assertQueue('s', { durable: true, arguments: stream });
  expect(await listed(running, 's')).toEqual(['async', 3]);
  expect(await refusal(channel.assertQueue('bad', args('never')))).toMatch(/406.*x-durability/);
});

test('a topic for clients that cannot say it is made over HTTP, and set there', async () => {
  const running = await started(1);
  const { host, httpPort } = running.addresses[0]!;
  const ask = async (method: string, config: object) => {
    const body = JSON.stringify({ config, ...(method === 'PUT' ? { partitions: 2 } : {}) });
    const answer = await fetch(`http://${host}:${httpPort}/api/topics/r`, { method, body });
    return [answer.status, await answer.json()];
  };
  const topic = { name: 'r', partitions: 2, replicationFactor: 1, policy: null };
  const config = { [KEY]: 'async' };
  expect(await ask('PUT', config)).toEqual([201, { ...topic, durability: 'async', config }]);
  expect(await ask('PUT', config)).toMatchObject([409, { error: { code: 'DESTINATION_EXISTS' } }]);
  expect(await listed(running, 'r')).toEqual(['async', 1]);
  const back = { ...topic, durability: 'sync', config: {} };
  expect(await ask('PATCH', { [KEY]: null })).toEqual([200, back]);
  expect(await ask('PATCH', { [KEY]: 'memory' })).toMatchObject([400, {}]);
  expect(await durabilityOf(await adminOf(running), 'r')).toBe('sync');
});

test('a topic and a queue in memory are empty after a restart, and go on', async () => {
  const running = await started(1);
  const admin = await adminOf(running);
  await admin.createTopics({
    topics: [{ topic: 't', numPartitions: 1, configEntries: [{ name: KEY, value: 'memory' }] }],
  });
  await admin.createTopics({ topics: [{ topic: 'kept', numPartitions: 1 }] });
  const before = await channelOf(running);
  await before.assertQueue('q', { durable: true, arguments: { 'x-durability': 'memory' } });
  for (let i = 0; i < 5; i += 1) before.sendToQueue('q', Buffer.from(`old-${i}`));
  await before.waitForConfirms();
  const send = async (topic: string, value: string) => {
    const producer = kafkaOf(running).producer();
    await producer.connect();
    const [sent] = await producer.send({ topic, messages: [{ value }] });
    await producer.disconnect();
    return sent!.baseOffset;
  };
  expect(await send('t', 'old')).toBe('0');
  expect(await send('t', 'old')).toBe('1');
  expect(await send('kept', 'old')).toBe('0');
  await running.stopNode(1);
  await running.start(1, false);
  await running.ready();
  // What is there is not an old one under the same offset: it is another log.
  expect(await send('kept', 'new')).toBe('1');
  expect(await send('t', 'new')).toBe('0');
  const after = await channelOf(running);
  expect(await after.checkQueue('q')).toMatchObject({ messageCount: 0 });
  after.sendToQueue('q', Buffer.from('new'), { persistent: true });
  await after.waitForConfirms();
  const got = await after.get('q', { noAck: true });
  expect(got === false ? 'nothing' : got.content.toString()).toBe('new');
});
