// AMQP 0-9-1 against real node processes: amqplib as applications use it, nodes that die under it, and bytes that are
// none of its.
import fs from 'node:fs';
import { join } from 'node:path';
import { type ChannelModel, type ConfirmChannel, connect } from 'amqplib';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { type DevCluster, delay, startDev, until } from '../../tools/lib/dev-cluster.mjs';
import { destinationOf, untilHealthy } from './support/api.ts';
import { RawSocket } from './support/raw.ts';

/** How soon a peer that does not speak AMQP must be gone. */
const CLOSE_MS = 1_000;

let cluster: DevCluster;
const open: ChannelModel[] = [];

afterEach(async () => {
  for (const connection of open.splice(0)) {
    // amqplib waits for ever for the close of a connection whose socket is gone.
    await Promise.race([connection.close().catch(() => undefined), delay(1_000)]);
  }
});

/** A connection that may die under the test. */
async function dial(id: number): Promise<ChannelModel> {
  const connection = await connect(cluster.nodes[id - 1]!.amqp);
  connection.on('error', () => undefined);
  open.push(connection);
  return connection;
}

async function confirming(id: number): Promise<ConfirmChannel> {
  const channel = await (await dial(id)).createConfirmChannel();
  channel.on('error', () => undefined);
  return channel;
}

/** Takes from a queue, acknowledging, until `isEnough` of what came. */
async function drain(
  channel: ConfirmChannel,
  queue: string,
  isEnough: (bodies: readonly string[]) => boolean,
): Promise<string[]> {
  const bodies: string[] = [];
  const { consumerTag } = await channel.consume(queue, (message) => {
    if (message === null) return;
    bodies.push(message.content.toString());
    channel.ack(message);
  });
  await until(`enough of ${queue}`, () => isEnough(bodies), 40_000);
  await channel.cancel(consumerTag);
  return bodies;
}

describe('a cluster', () => {
  beforeAll(async () => {
    cluster = await startDev();
  });

  afterAll(() => cluster?.stop());

  it('carries messages from publishers on one node to consumers on another', async () => {
    const publisher = await confirming(1);
    await publisher.assertExchange('shop', 'topic', { durable: true });
    await publisher.assertQueue('orders', { durable: true });
    await publisher.bindQueue('orders', 'shop', 'order.#');
    const sent = Array.from({ length: 2_000 }, (_, i) => `${i}`);
    for (const body of sent)
      publisher.publish('shop', 'order.new', Buffer.from(body), { persistent: true });
    await publisher.waitForConfirms();
    const consumer = await confirming(3);
    await consumer.prefetch(100);
    const got = await drain(consumer, 'orders', (bodies) => bodies.length >= sent.length);
    expect(got).toEqual(sent);
    await until(
      'nothing is left',
      async () => (await publisher.checkQueue('orders')).messageCount === 0,
    );
  });

  it('gives what a consumer held that vanished to the next, in its order', async () => {
    const publisher = await confirming(2);
    await publisher.assertQueue('held', { durable: true });
    for (let i = 0; i < 20; i += 1) publisher.sendToQueue('held', Buffer.from(`${i}`));
    await publisher.waitForConfirms();
    const raw = (await dial(1)) as unknown as {
      connection: { stream: { destroy(): void } };
    } & ChannelModel;
    const victim = await raw.createChannel();
    await victim.prefetch(7);
    let seen = 0;
    await victim.consume('held', () => {
      seen += 1;
    });
    await until('it holds some', () => seen === 7);
    raw.connection.stream.destroy();
    const got = await drain(await confirming(3), 'held', (bodies) => bodies.length >= 20);
    expect(got).toEqual(Array.from({ length: 20 }, (_, i) => `${i}`));
  });

  it('removes exclusive queues with their connection, before it says that it is closed', async () => {
    for (let round = 0; round < 20; round += 1) {
      const connection = await connect(cluster.nodes[round % 3]!.amqp);
      const channel = await connection.createChannel();
      await channel.assertQueue('mine', { exclusive: true });
      await connection.close();
    }
  });

  it('lets a user into its vhost at every node, and refuses it where its rights have gone', async () => {
    const put = async (path: string, body: object): Promise<void> => {
      const answer = await fetch(`${cluster.nodes[0]!.http}/api/${path}`, {
        method: 'PUT',
        body: JSON.stringify(body),
      });
      expect(answer.status, path).toBeLessThan(300);
    };
    const rights = (write: string) =>
      put('permissions/apart/ann', { configure: '.*', write, read: '.*' });
    await put('users/ann', { password: 'secret' });
    await put('vhosts/apart', {});
    await rights('.*');
    await delay(1_000);
    const urls = cluster.nodes.map(({ amqp }) => `${amqp.replace('//', '//ann:secret@')}/apart`);
    const channels: ConfirmChannel[] = [];
    // More connections than threads: some are on each.
    for (const url of [...urls, ...urls, ...urls]) {
      const connection = await connect(url);
      connection.on('error', () => undefined);
      open.push(connection);
      const channel = await connection.createConfirmChannel();
      channel.on('error', () => undefined);
      channels.push(channel);
    }
    await channels[0]!.assertQueue('orders', { durable: true });
    await delay(500);
    for (const channel of channels) {
      channel.sendToQueue('orders', Buffer.from('apart'), { persistent: true });
      await channel.waitForConfirms();
    }
    expect((await channels[1]!.checkQueue('orders')).messageCount).toBe(channels.length);
    const refused = channels.map(
      (channel) => new Promise<Error>((resolve) => channel.once('error', resolve)),
    );
    await rights('');
    await delay(1_000);
    for (const channel of channels) channel.sendToQueue('orders', Buffer.from('late'));
    for (const error of await Promise.all(refused)) expect(error.message).toContain('403');
  });

  it('says of a body that is cut that there was none', async () => {
    const channel = await confirming(1);
    await channel.assertQueue('ghosts');
    const start = Buffer.from('AMQP\0\0\x09\x01', 'latin1');
    const startOk = Buffer.from(
      '000a000b0000000005504c41494e0000000c00677565737400677565737405656e5f5553',
      'hex',
    );
    const tuneOk = Buffer.from('000a001f07ff000200000000', 'hex');
    const openVhost = Buffer.from('000a0028012f0000', 'hex');
    const frame = (type: number, number: number, payload: Uint8Array): Buffer => {
      const head = Buffer.alloc(7);
      head.writeUInt8(type, 0);
      head.writeUInt16BE(number, 1);
      head.writeUInt32BE(payload.length, 3);
      return Buffer.concat([head, payload, Buffer.from([0xce])]);
    };
    const publish = Buffer.concat([
      frame(1, 1, Buffer.concat([Buffer.from('003c002800000006', 'hex'), Buffer.from('ghosts\0')])),
      frame(2, 1, Buffer.from('003c000000000000000000080000', 'hex')),
      frame(3, 1, Buffer.from('half')),
    ]);
    const address = new URL(cluster.nodes[0]!.amqp).host;
    const raw = (await RawSocket.connect(address)).listen();
    raw.send(
      Buffer.concat([start, frame(1, 0, startOk), frame(1, 0, tuneOk), frame(1, 0, openVhost)]),
    );
    raw.send(Buffer.concat([frame(1, 1, Buffer.from('0014000a00', 'hex')), publish]));
    await until('the channel is open', () => raw.receivedBytes > 400);
    raw.destroy();
    const whole = (await RawSocket.connect(address)).listen();
    whole.send(
      Buffer.concat([start, frame(1, 0, startOk), frame(1, 0, tuneOk), frame(1, 0, openVhost)]),
    );
    whole.send(
      Buffer.concat([
        frame(1, 1, Buffer.from('0014000a00', 'hex')),
        publish,
        frame(3, 1, Buffer.from('more')),
      ]),
    );
    await until(
      'a whole one is there',
      async () => (await channel.checkQueue('ghosts')).messageCount > 0,
    );
    expect(await channel.checkQueue('ghosts')).toMatchObject({ messageCount: 1 });
    whole.destroy();
    const message = await channel.get('ghosts', { noAck: true });
    expect(message !== false && message.content.toString()).toBe('halfmore');
  });

  it.each([
    ['HTTP', 'GET / HTTP/1.1\r\nHost: localhost\r\n\r\n'],
    ['TLS', Buffer.from([0x16, 3, 1, 0, 0xf0, 1, 0, 0, 0xec, 3, 3, ...Array(32).fill(7)])],
    ['SSH', 'SSH-2.0-OpenSSH_9.6\r\n'],
    ['Kafka', Buffer.from('0000001000120003000000010003617070010131', 'hex')],
  ])(
    '%s on its port is closed within a second, and one log line says what it was',
    async (name, hello) => {
      const lines = (): string[] =>
        fs
          .readFileSync(join(cluster.data, 'logs', 'node-1.log'), 'utf8')
          .split('\n')
          .filter((line) => line.includes(`${name} was spoken to the AMQP port`));
      const { amqp, http } = cluster.nodes[0]!;
      const raw = (await RawSocket.connect(new URL(amqp).host)).listen().send(hello);
      expect(await raw.closedWithin(CLOSE_MS)).toBeDefined();
      expect(raw.receivedBytes).toBe(8);
      await until('the log tells', () => lines().length > 0, 2_000);
      expect(lines()).toHaveLength(1);
      if (name === 'HTTP') expect(lines()[0]).toContain(new URL(http).port);
    },
  );
});

it('kill -9 of the node that leads a queue loses nothing that was confirmed, and doubles nothing', async () => {
  cluster = await startDev({ restart: '1s' });
  try {
    const publisher = await confirming(1);
    await publisher.assertQueue('safe', { durable: true });
    const { partitions } = await destinationOf(cluster.nodes[0]!, 'safe');
    const { leader } = partitions[0]!;
    // A publisher elsewhere than on the node that dies.
    const home = leader === 1 ? 2 : 1;
    const channel = await confirming(home);
    const confirmed: string[] = [];
    let count = 0;
    let isOver = false;
    const publishing = (async () => {
      while (!isOver) {
        const body = `${count}`;
        count += 1;
        channel.sendToQueue('safe', Buffer.from(body), { persistent: true }, (error) => {
          if (error === null || error === undefined) confirmed.push(body);
        });
        if (count % 50 === 0) await new Promise((resolve) => setTimeout(resolve, 5));
      }
    })();
    await until('some are confirmed', () => confirmed.length > 500);
    await cluster.kill(leader);
    const before = confirmed.length;
    await until('others are confirmed behind it', () => confirmed.length > before + 500, 40_000);
    isOver = true;
    await publishing;
    await channel.waitForConfirms();
    await untilHealthy(cluster);
    const got = await drain(channel, 'safe', (bodies) => bodies.length >= count);
    expect(got).toEqual(Array.from({ length: count }, (_, i) => `${i}`));
    expect(confirmed.length).toBe(count);
  } finally {
    await cluster.stop();
  }
}, 120_000);

it('kill -9 of the home of a queue without replicas: refused meanwhile, and all that was confirmed is there again', async () => {
  cluster = await startDev({ restart: '4s', args: ['--queue-replicas', '1'] });
  try {
    const home = await confirming(2);
    await home.assertExchange('shop', 'fanout', { durable: true });
    await home.assertQueue('alone', { durable: true });
    await home.bindQueue('alone', 'shop', '');
    const { partitions } = await destinationOf(cluster.nodes[1]!, 'alone');
    expect(partitions.map(({ leader, replicas }) => [leader, replicas])).toEqual([[2, [2]]]);
    const channel = await confirming(1);
    await until('the exchange is known', async () =>
      (await confirming(1)).checkExchange('shop').then(
        () => true,
        () => false,
      ),
    );
    const confirmed: string[] = [];
    const refused: string[] = [];
    const returned: string[] = [];
    channel.on('return', ({ content }) => returned.push(content.toString()));
    let count = 0;
    let isOver = false;
    const publishing = (async () => {
      while (!isOver) {
        const body = `${count}`;
        count += 1;
        const options = { persistent: true, mandatory: true };
        channel.publish('shop', '', Buffer.from(body), options, (error) => {
          (error === null || error === undefined ? confirmed : refused).push(body);
        });
        if (count % 20 === 0) await delay(5);
      }
    })();
    await until('some are confirmed', () => confirmed.length > 500);
    await cluster.kill(2);
    await until('some come back', () => returned.length > 20 && refused.length > 20, 10_000);
    // Not after some time-out: as long as the node is away, each one at once.
    await expect((await confirming(3)).get('alone')).rejects.toThrow(/404 .*home node 'node-2'/);
    await expect((await confirming(1)).checkQueue('alone')).rejects.toThrow(/404 .*home node/);
    const before = confirmed.length;
    await until('others are confirmed behind it', () => confirmed.length > before + 500, 40_000);
    isOver = true;
    await publishing;
    await until('each has an answer', () => confirmed.length + refused.length === count);
    const last = confirmed.at(-1)!;
    const got = await drain(await confirming(3), 'alone', (bodies) => bodies.includes(last));
    const isConfirmed = new Set(confirmed);
    expect(got.filter((body) => isConfirmed.has(body))).toEqual(confirmed);
    expect(new Set(got).size).toBe(got.length);
    // What came back was not stored.
    const back = new Set(returned);
    expect(got.filter((body) => back.has(body))).toEqual([]);
    expect(returned.every((body) => !isConfirmed.has(body))).toBe(true);
  } finally {
    await cluster.stop();
  }
}, 120_000);

it('kill -9 of a node that leads logs of a stream: its readers miss nothing, and get nothing twice', async () => {
  cluster = await startDev({ restart: '1s' });
  try {
    const maker = await confirming(1);
    await maker.assertQueue('ledger', {
      durable: true,
      arguments: { 'x-queue-type': 'stream', 'x-partitions': 6 },
    });
    const { partitions } = await destinationOf(cluster.nodes[0]!, 'ledger');
    const { leader: victim } = partitions[0]!;
    const others = [1, 2, 3].filter((id) => id !== victim);
    await maker.bindQueue('ledger', 'amq.topic', '#');
    const seen = others.map(() => [] as { readonly body: string; readonly offset: number }[]);
    for (const [i, id] of others.entries()) {
      const reader = await confirming(id);
      await reader.prefetch(i === 0 ? 10 : 500);
      await reader.consume(
        'ledger',
        (message) => {
          if (message === null) return;
          const offset = message.properties.headers?.['x-stream-offset'] as number;
          seen[i]!.push({ body: message.content.toString(), offset });
          reader.ack(message);
        },
        { arguments: { 'x-stream-offset': 'first' } },
      );
    }
    const channel = await confirming(others[0]!);
    let count = 0;
    let confirmed = 0;
    let isOver = false;
    const publishing = (async () => {
      while (!isOver) {
        for (let i = 0; i < 20; i += 1) {
          channel.publish(
            'amq.topic',
            `key.${count % 40}`,
            Buffer.from(`${count}`),
            {},
            (error) => {
              if (error === null || error === undefined) confirmed += 1;
            },
          );
          count += 1;
        }
        await delay(5);
      }
    })();
    await until('some are read', () => seen.every(({ length }) => length > 500), 40_000);
    await cluster.kill(victim);
    const before = confirmed;
    await until('others are confirmed behind it', () => confirmed > before + 500, 40_000);
    isOver = true;
    await publishing;
    await channel.waitForConfirms();
    expect(confirmed).toBe(count);
    await until('all are read', () => seen.every(({ length }) => length >= count), 40_000);
    await untilHealthy(cluster);
    for (const deliveries of seen) {
      expect(new Set(deliveries.map(({ body }) => body)).size).toBe(count);
      expect(deliveries).toHaveLength(count);
      for (let key = 0; key < 40; key += 1) {
        const ofKey = deliveries.filter(({ body }) => Number(body) % 40 === key);
        // Those of one key are in one log, in their order.
        for (const [i, { body, offset }] of ofKey.entries()) {
          expect(Number(body)).toBe(key + 40 * i);
          expect(offset).toBeGreaterThan(ofKey[i - 1]?.offset ?? -1);
        }
      }
    }
  } finally {
    await cluster.stop();
  }
}, 120_000);
