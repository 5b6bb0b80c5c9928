// Quorum queues through amqplib over three whole nodes: on a majority, with a delivery limit of their own or of a
// policy, and what their listing says.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type ConfirmChannel, connect, type GetMessage } from 'amqplib';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type TestCluster, testCluster } from './support/cluster.ts';

let root: string;
let cluster: TestCluster;
const ends: (() => Promise<unknown>)[] = [];

beforeEach(async () => {
  root = mkdtempSync(join(tmpdir(), 'callboard-quorum-'));
  cluster = await testCluster({
    nodes: 3,
    dataRoot: (id) => join(root, `node-${id}`),
    // Of classic queues alone.
    queueReplicas: () => 1,
  });
  await cluster.ready();
});

afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end().catch(() => undefined);
  await cluster.stop();
  rmSync(root, { recursive: true, force: true });
});

async function channelOf(id = 1): Promise<ConfirmChannel> {
  const { host, amqpPort } = cluster.addresses[id - 1]!;
  const connection = await connect(`amqp://${host}:${amqpPort}`);
  connection.on('error', () => undefined);
  ends.push(() => connection.close());
  const channel = await connection.createConfirmChannel();
  channel.on('error', () => undefined);
  return channel;
}

async function api(path: string, method = 'GET', body?: unknown): Promise<unknown> {
  const { host, httpPort } = cluster.addresses[0]!;
  const sent = body === undefined ? {} : { body: JSON.stringify(body) };
  const answer = await fetch(`http://${host}:${httpPort}/api${path}`, { method, ...sent });
  const text = await answer.text();
  return text === '' ? answer.status : JSON.parse(text);
}

const quorum = (more: object = {}) => ({
  durable: true,
  arguments: { 'x-queue-type': 'quorum', ...more },
});

async function got(channel: ConfirmChannel, queue: string): Promise<GetMessage> {
  for (let i = 0; i < 200; i += 1) {
    const message = await channel.get(queue);
    if (message !== false) return message;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  throw new Error(`nothing comes from ${queue}`);
}

const countOf = ({ properties }: GetMessage): unknown =>
  properties.headers?.['x-delivery-count'] as unknown;

test('a quorum queue keeps what was confirmed through the loss of any one node, transient messages too', async () => {
  const channel = await channelOf();
  await channel.assertQueue('q', quorum());
  await channel.assertQueue('q', quorum());
  const queue = (await api('/queues/%2F/q')) as { leader: string };
  expect(queue).toMatchObject({
    name: 'q',
    type: 'quorum',
    durability: 'sync',
    delivery_limit: 20,
    members: expect.arrayContaining(['n1', 'n2', 'n3']) as string[],
    online: expect.arrayContaining(['n1', 'n2', 'n3']) as string[],
    messages: 0,
    consumers: 0,
  });
  for (let i = 0; i < 20; i += 1) {
    channel.sendToQueue('q', Buffer.from(`${i}`), { persistent: i % 2 === 0 });
  }
  await channel.waitForConfirms();
  const leader = Number(queue.leader.slice(1));
  await cluster.stopNode(leader);
  const other = await channelOf(leader === 3 ? 2 : 3);
  for (let i = 20; i < 25; i += 1) other.sendToQueue('q', Buffer.from(`${i}`));
  await other.waitForConfirms();
  const bodies: string[] = [];
  for (let i = 0; i < 25; i += 1) {
    const message = await got(other, 'q');
    bodies.push(message.content.toString());
    other.ack(message);
  }
  expect(bodies).toEqual(Array.from({ length: 25 }, (_, i) => `${i}`));
});

test('a message that came back more often than the queue allows is gone, and is counted', async () => {
  const channel = await channelOf();
  await channel.assertQueue('q', quorum({ 'x-delivery-limit': 2 }));
  channel.sendToQueue('q', Buffer.from('poison'), { headers: { own: 'x' } });
  channel.sendToQueue('q', Buffer.from('good'));
  await channel.waitForConfirms();
  const counts: unknown[] = [];
  for (const giveBack of ['nack', 'reject'] as const) {
    const message = await got(channel, 'q');
    expect(message.content.toString()).toBe('poison');
    counts.push(countOf(message));
    channel[giveBack](message, ...(giveBack === 'nack' ? [false, true] : [true]));
  }
  // A connection that ends without a word gives back too, and that counts.
  const last = await channelOf(2);
  const message = await got(last, 'q');
  expect(message.properties.headers).toEqual({ own: 'x', 'x-delivery-count': 2 });
  counts.push(countOf(message));
  expect(counts).toEqual([undefined, 1, 2]);
  await ends.pop()!();
  const next = await got(channel, 'q');
  expect([next.content.toString(), countOf(next)]).toEqual(['good', undefined]);
  channel.ack(next);
  await expect.poll(() => api('/queues/%2F/q')).toMatchObject({ messages: 0, messages_dropped: 1 });
  expect(await api('/queues')).toHaveLength(1);
  expect(await api('/queues/%2F/other')).toMatchObject({ error: 'Object Not Found' });
});

test('a policy gives queues that are there another limit, and takes it away', async () => {
  const channel = await channelOf();
  await channel.assertQueue('q', quorum({ 'x-delivery-limit': 9 }));
  await channel.assertQueue('c', { durable: true });
  const policy = { pattern: '', definition: { 'delivery-limit': 0 }, 'apply-to': 'quorum_queues' };
  expect(await api('/policies/%2F/strict', 'PUT', policy)).toBe(201);
  expect(await api('/queues/%2F/q')).toMatchObject({ policy: 'strict', delivery_limit: 0 });
  expect(await api('/queues/%2F/c')).toMatchObject({ policy: null, type: 'classic' });
  channel.sendToQueue('q', Buffer.from('a'));
  await channel.waitForConfirms();
  channel.nack(await got(channel, 'q'), false, true);
  await expect.poll(() => api('/queues/%2F/q')).toMatchObject({ messages: 0, messages_dropped: 1 });
  expect(await api('/policies/%2F/strict', 'DELETE')).toBe(204);
  expect(await api('/queues/%2F/q')).toMatchObject({ policy: null, delivery_limit: 9 });
  channel.sendToQueue('q', Buffer.from('b'));
  await channel.waitForConfirms();
  channel.nack(await got(channel, 'q'), false, true);
  expect(countOf(await got(channel, 'q'))).toBe(1);
});

test('a limit or a priority beyond what any number here holds counts as the last one, also after a restart', async () => {
  const channel = await channelOf();
  const limits = { most: 2 ** 60, least: -(2 ** 63) };
  for (const [name, limit] of Object.entries(limits)) {
    await channel.assertQueue(name, quorum({ 'x-delivery-limit': limit }));
    await channel.assertQueue(name, quorum({ 'x-delivery-limit': limit }));
  }
  await channel.assertQueue('next', quorum());
  await channel.consume('next', () => undefined, { priority: 2 ** 60 });
  const listed = {
    most: Number.MAX_SAFE_INTEGER,
    least: 'unlimited',
  };
  for (const [name, limit] of Object.entries(listed)) {
    expect(await api(`/queues/%2F/${name}`)).toMatchObject({ name, delivery_limit: limit });
  }
  const policy = { pattern: '', definition: { 'delivery-limit': 3 }, priority: 2 ** 60 };
  expect(await api('/policies/%2F/far', 'PUT', policy)).toMatchObject({ error: 'bad_request' });
  for (const end of ends.splice(0)) await end();
  await cluster.stop();
  await Promise.all([1, 2, 3].map((id) => cluster.start(id, false)));
  await cluster.ready();
  const again = await channelOf();
  await again.assertQueue('most', quorum({ 'x-delivery-limit': limits.most }));
  again.sendToQueue('most', Buffer.from('a'));
  await again.waitForConfirms();
  const other = await channelOf(2);
  await expect(other.assertQueue('most', quorum({ 'x-delivery-limit': 2 ** 61 }))).rejects.toThrow(
    /received '2305843009213693952' but current is '1152921504606846976'/,
  );
});

test('two members are a majority of two: what one alone has is not confirmed', async () => {
  const channel = await channelOf();
  await channel.assertQueue('q', quorum({ 'x-quorum-initial-group-size': 2 }));
  channel.sendToQueue('q', Buffer.from('both'));
  await channel.waitForConfirms();
  const { leader, members } = (await api('/queues/%2F/q')) as {
    leader: string;
    members: readonly string[];
  };
  expect(members).toHaveLength(2);
  const numberOf = (node: string) => Number(node.slice(1));
  const follower = members.find((node) => node !== leader)!;
  const other = await channelOf(numberOf(leader));
  await cluster.stopNode(numberOf(follower));
  const confirmed: string[] = [];
  for (const body of ['a', 'b']) {
    other.sendToQueue('q', Buffer.from(body), {}, (error: unknown) => {
      confirmed.push(error === null ? 'ack' : 'nack');
    });
  }
  await expect.poll(() => confirmed, { timeout: 60_000 }).toEqual(['nack', 'nack']);
  // The other one comes back: there is a majority again.
  await cluster.start(numberOf(follower), false);
  const send = async () => {
    other.sendToQueue('q', Buffer.from('c'));
    await other.waitForConfirms().catch(() => undefined);
    return other.get('q', { noAck: true });
  };
  await expect.poll(send, { timeout: 30_000 }).not.toBe(false);
}, 120_000);
