// Users, vhosts and permissions through real clients of whole nodes: made over HTTP at one node, in force at the others.
import { type Channel, type ChannelModel, connect } from 'amqplib';
import { Kafka, logLevel } from 'kafkajs';
import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest';
import { type TestCluster, testCluster } from './support/cluster.ts';

let cluster: TestCluster;
const ends: (() => Promise<unknown>)[] = [];

beforeAll(async () => {
  cluster = await testCluster({ nodes: 3 });
  await cluster.ready();
});

afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end().catch(() => undefined);
});

afterAll(() => cluster?.stop());

async function api(method: string, path: string, body?: object): Promise<unknown> {
  const { host, httpPort } = cluster.addresses[0]!;
  const sent = body === undefined ? {} : { body: JSON.stringify(body) };
  const answer = await fetch(`http://${host}:${httpPort}/api${path}`, { method, ...sent });
  const text = await answer.text();
  expect(answer.status, `${method} ${path}: ${text}`).toBeLessThan(300);
  return text === '' ? undefined : JSON.parse(text);
}

const all = { configure: '.*', write: '.*', read: '.*' };

/** At one node; other nodes know a moment later. */
async function opened(node: number, login: string, vhost = '%2F'): Promise<ChannelModel> {
  const { host, amqpPort } = cluster.addresses[node - 1]!;
  const connection = await vi.waitFor(
    () => connect(`amqp://${login}@${host}:${amqpPort}/${vhost}`),
    { timeout: 10_000, interval: 100 },
  );
  connection.on('error', () => undefined);
  ends.push(() => connection.close());
  return connection;
}

async function channelOf(connection: ChannelModel): Promise<Channel> {
  const channel = await connection.createConfirmChannel();
  channel.on('error', () => undefined);
  return channel;
}

async function user(name: string): Promise<void> {
  await api('PUT', `/users/${name}`, { password: 'secret', tags: [] });
}

test('one name in two vhosts is two queues, and only that of / is a topic', async () => {
  await user('two');
  await api('PUT', '/vhosts/apart', {});
  for (const vhost of ['%2F', 'apart']) await api('PUT', `/permissions/${vhost}/two`, all);
  const here = await channelOf(await opened(1, 'two:secret'));
  const there = await channelOf(await opened(2, 'two:secret', 'apart'));
  const far = await channelOf(await opened(3, 'two:secret', 'apart'));
  await here.assertQueue('same', { durable: true });
  await there.assertQueue('same', { durable: true });
  await there.assertQueue('apart-only', { durable: true });
  for (let i = 0; i < 3; i += 1) there.sendToQueue('same', Buffer.from(`there ${i}`));
  here.sendToQueue('same', Buffer.from('here'));
  await Promise.all([here, there].map((each) => (each as never as Confirming).waitForConfirms()));
  const got: string[] = [];
  await far.consume('same', (message) => got.push(String(message?.content)), { noAck: true });
  await vi.waitFor(() => expect(got).toEqual(['there 0', 'there 1', 'there 2']), 10_000);
  expect(String(((await here.get('same', { noAck: true })) as { content: Buffer }).content)).toBe(
    'here',
  );
  const { host, kafkaPort } = cluster.addresses[0]!;
  const kafka = new Kafka({ brokers: [`${host}:${kafkaPort}`], logLevel: logLevel.NOTHING });
  const admin = kafka.admin();
  await admin.connect();
  ends.push(() => admin.disconnect());
  const { topics } = await admin.fetchTopicMetadata();
  const names = topics.map(({ name }) => name);
  expect(names).toContain('same');
  expect(names).not.toContain('apart-only');
  const queues = (await api('GET', '/queues/apart')) as { name: string; vhost: string }[];
  expect(queues.map(({ name, vhost }) => [name, vhost])).toEqual([
    ['apart-only', 'apart'],
    ['same', 'apart'],
  ]);
});

interface Confirming {
  waitForConfirms(): Promise<void>;
}

test('rights that are taken away count at every node within a second', async () => {
  await user('less');
  await api('PUT', '/permissions/%2F/less', all);
  const channels = await Promise.all(
    [1, 2, 3].map(async (node) => channelOf(await opened(node, 'less:secret'))),
  );
  await channels[0]!.assertQueue('kept', { durable: true });
  const errors = channels.map(
    (channel) => new Promise<Error>((resolve) => channel.once('error', resolve)),
  );
  await api('PUT', '/permissions/%2F/less', { ...all, write: '' });
  await new Promise((resolve) => setTimeout(resolve, 1_000));
  for (const channel of channels) channel.sendToQueue('kept', Buffer.from('too late'));
  for (const error of await Promise.all(errors)) {
    expect(error.message).toContain(
      "ACCESS_REFUSED - write access to exchange 'amq.default' in vhost '/' refused for user 'less'",
    );
  }
  const { messageCount } = await (await channelOf(await opened(1, 'guest:guest'))).checkQueue(
    'kept',
  );
  expect(messageCount).toBe(0);
});

test('a vhost that is deleted closes its connections, and what was in it is gone', async () => {
  await user('gone');
  await api('PUT', '/vhosts/v', {});
  await api('PUT', '/permissions/v/gone', all);
  const connection = await opened(2, 'gone:secret', 'v');
  // What an operator ends is no error to amqplib.
  const closed = new Promise<Error>((resolve) => connection.once('close', resolve));
  await (await channelOf(connection)).assertQueue('q', { durable: true });
  await api('DELETE', '/vhosts/v');
  expect((await closed).message).toContain("CONNECTION_FORCED - vhost 'v' is deleted");
  await api('PUT', '/vhosts/v', {});
  expect(await api('GET', '/queues/v')).toEqual([]);
  const { host, amqpPort } = cluster.addresses[0]!;
  await expect(connect(`amqp://gone:secret@${host}:${amqpPort}/v`)).rejects.toThrow(
    'Expected ConnectionOpenOk; got <ConnectionClose',
  );
  // Made again it is another one, also where the first one was used.
  await api('PUT', '/permissions/v/gone', all);
  const again = await channelOf(await opened(2, 'gone:secret', 'v'));
  await again.assertQueue('q', { durable: true });
  again.sendToQueue('q', Buffer.from('anew'));
  await (again as never as Confirming).waitForConfirms();
  const got = (await again.get('q', { noAck: true })) as { content: Buffer };
  expect(String(got.content)).toBe('anew');
  expect((await again.checkQueue('q')).messageCount).toBe(0);
});

test('another password is refused', async () => {
  await user('ann');
  const { host, amqpPort } = cluster.addresses[0]!;
  await expect(connect(`amqp://ann:other@${host}:${amqpPort}`)).rejects.toThrow(/ACCESS_REFUSED/);
});
