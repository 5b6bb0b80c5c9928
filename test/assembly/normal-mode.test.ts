// Queues with one replica, RabbitMQ's normal mode, on three real nodes with folders: where their bodies are, what is
// said while the home of one is down, and that it is all there again afterwards.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type ChannelModel, type ConfirmChannel, connect } from 'amqplib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ApiDestinations } from '../../src/admin/api-types.ts';
import { type TestCluster, testCluster } from './support/cluster.ts';

const HOME = 2;
const DOWN =
  /404 .*home node 'node-2' of durable queue 'jobs' in vhost '\/' is down or inaccessible/;

let root: string;
let cluster: TestCluster;
const open: ChannelModel[] = [];

beforeAll(async () => {
  root = mkdtempSync(join(tmpdir(), 'callboard-normal-'));
  cluster = await testCluster({
    dataRoot: (id) => join(root, `node-${id}`),
    queueReplicas: () => 1,
  });
  await cluster.ready();
});

afterAll(async () => {
  for (const connection of open) await connection.close().catch(() => undefined);
  await cluster.stop();
  rmSync(root, { recursive: true, force: true });
});

async function channelOn(id: number, of = cluster): Promise<ConfirmChannel> {
  const { host, amqpPort } = of.addresses[id - 1]!;
  const connection = await connect(`amqp://${host}:${amqpPort}`);
  connection.on('error', () => undefined);
  open.push(connection);
  const channel = await connection.createConfirmChannel();
  channel.on('error', () => undefined);
  return channel;
}

async function ask<T>(id: number, path: string, of = cluster): Promise<T> {
  const { host, httpPort } = of.addresses[id - 1]!;
  return (await (await fetch(`http://${host}:${httpPort}${path}`)).json()) as T;
}

const walBytes = (id: number): Promise<number> =>
  ask<Record<string, number>>(id, '/api/counters').then((all) => all['storage.walBytes']!);

/** Nodes of the one log of each queue. */
async function replicasOf(of = cluster): Promise<Record<string, readonly number[] | undefined>> {
  const { destinations } = await ask<ApiDestinations>(1, '/api/destinations', of);
  return Object.fromEntries(
    destinations.map(({ name, partitions }) => [name, partitions[0]?.replicas]),
  );
}

/** Publishes and answers which were confirmed, in order. */
async function publish(
  channel: ConfirmChannel,
  exchange: string,
  key: string,
  bodies: readonly (string | Buffer)[],
  mandatory = false,
): Promise<boolean[]> {
  const outcomes = bodies.map(
    (body) =>
      new Promise<boolean>((resolve) => {
        channel.publish(
          exchange,
          key,
          Buffer.from(body),
          { mandatory, persistent: true },
          (error) => resolve(error === null || error === undefined),
        );
      }),
  );
  return Promise.all(outcomes);
}

async function isKnown(id: number, queue: string): Promise<boolean> {
  const channel = await channelOn(id);
  return channel.checkQueue(queue).then(
    () => true,
    () => false,
  );
}

async function until(isTrue: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await isTrue())) await new Promise((resolve) => setTimeout(resolve, 10));
}

describe('a queue with one replica', () => {
  it('lives where it was declared, and its bodies nowhere else', async () => {
    const channels = [await channelOn(1), await channelOn(2), await channelOn(3)];
    const home = channels[HOME - 1]!;
    await home.assertQueue('jobs', { durable: true });
    await home.assertExchange('shop', 'topic', { durable: true });
    await home.bindQueue('jobs', 'shop', 'order.#');
    for (const [i, name] of ['one', 'two', 'three'].entries()) {
      await channels[i]!.assertQueue(name, { durable: true });
      // All nodes hear of everything, in order and each in its time.
      for (const id of [1, 2, 3]) await until(() => isKnown(id, name));
    }
    const replicas = await replicasOf();
    expect(replicas).toMatchObject({ one: [1], two: [2], three: [3], jobs: [HOME] });

    const before = await Promise.all([1, 2, 3].map(walBytes));
    const body = Buffer.alloc(10_000, 7);
    for (const channel of channels) {
      const stored = await publish(channel, 'shop', 'order.new', new Array(50).fill(body));
      expect(stored.every(Boolean)).toBe(true);
    }
    const after = await Promise.all([1, 2, 3].map(walBytes));
    const grown = after.map((bytes, i) => bytes - before[i]!);
    expect(grown[HOME - 1]).toBeGreaterThan(150 * body.length);
    // What two nodes keep meanwhile is less than one body.
    for (const id of [1, 3]) expect(grown[id - 1]).toBeLessThan(body.length);
    expect(await channels[2]!.purgeQueue('jobs')).toEqual({ messageCount: 150 });
  });

  it('says that its home is down, and goes on with all it had when that is back', async () => {
    const channel = await channelOn(1);
    const consumer = await channelOn(3);
    const bodies = Array.from({ length: 200 }, (_, i) => `${i}`);
    expect(await publish(channel, 'shop', 'order.new', bodies)).not.toContain(false);
    const got: string[] = [];
    await consumer.prefetch(10);
    await consumer.consume('jobs', (message) => {
      // Nobody cancels it.
      got.push(message === null ? 'cancelled' : message.content.toString());
    });
    await until(() => got.length === 10);

    await cluster.stopNode(HOME);
    const returned: string[] = [];
    channel.on('return', ({ content }) => returned.push(content.toString()));
    // This one was on its way before anybody knew: a negative acknowledgement says no more than that.
    expect(await publish(channel, 'shop', 'order.new', ['x'])).toEqual([false]);
    expect(await publish(channel, '', 'jobs', ['y', 'z'], true)).toEqual([false, false]);
    expect(returned).toEqual(['y', 'z']);
    // Those of other nodes are there.
    expect(await publish(channel, '', 'three', ['here'], true)).toEqual([true]);
    for (const refused of [
      (on: ConfirmChannel) => on.checkQueue('jobs'),
      (on: ConfirmChannel) => on.assertQueue('jobs', { durable: true }),
      (on: ConfirmChannel) => on.consume('jobs', () => undefined),
      (on: ConfirmChannel) => on.get('jobs'),
      (on: ConfirmChannel) => on.purgeQueue('jobs'),
    ]) {
      await expect(refused(await channelOn(1))).rejects.toThrow(DOWN);
    }

    await cluster.start(HOME, false);
    await cluster.ready([HOME]);
    // What is refused while the node is known to be down is never stored, so it can be tried again.
    for (const body of ['200', '201']) {
      await until(async () => (await publish(channel, 'shop', 'order.new', [body]))[0]!);
    }
    // What it settles now counts, though another life of the queue had given it out.
    consumer.ackAll();
    await until(() => got.length === 20);
    expect(got).toEqual(bodies.slice(0, 20));
    consumer.ackAll();
    await consumer.close();
    const rest: string[] = [];
    await channel.consume('jobs', (message) => {
      rest.push(message!.content.toString());
    });
    await until(() => rest.includes('201'));
    expect(rest.filter((body) => body !== 'x')).toEqual([...bodies, '200', '201'].slice(20));
  });
});

it('a home that comes back without its disk has lost its queues: they can be deleted and declared again', async () => {
  await cluster.stopNode(3);
  rmSync(join(root, 'node-3'), { recursive: true });
  await cluster.start(3, false);
  await cluster.ready([3]);
  // On every node, also on the one that should have it.
  for (const id of [1, 3]) {
    const channel = await channelOn(id);
    await expect(channel.checkQueue('three')).rejects.toThrow(/404 .*home node 'node-3'/);
  }
  const channel = await channelOn(3);
  await channel.deleteQueue('three');
  await channel.assertQueue('three', { durable: true });
  expect(await publish(channel, '', 'three', ['again'])).toEqual([true]);
  expect(await replicasOf()).toMatchObject({ three: [3] });
});

it('the node that declares decides, once: queues keep what they have', async () => {
  const mixed = await testCluster({ queueReplicas: (id) => (id === 1 ? 1 : undefined) });
  try {
    await mixed.ready();
    const [first, second] = [await channelOn(1, mixed), await channelOn(2, mixed)];
    await first.assertQueue('alone', { durable: true });
    await second.assertQueue('both', { durable: true });
    await second.assertQueue('alone', { durable: true });
    await first.assertQueue('both', { durable: true });
    const { alone, both } = await replicasOf(mixed);
    expect([alone, [...both!].sort()]).toEqual([[1], [1, 2, 3]]);
  } finally {
    await mixed.stop();
  }
});
