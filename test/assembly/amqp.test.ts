// AMQP clients over whole nodes: the real queues, on one node and across three, beside Kafka's clients.
import { connect } from 'amqplib';
import { Kafka, logLevel } from 'kafkajs';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { amqplibSuite } from '../protocols/amqp/amqplib-suite.ts';
import { type TestCluster, testCluster } from './support/cluster.ts';

const urlOf = (cluster: TestCluster, id: number): string => {
  const { host, amqpPort } = cluster.addresses[id - 1]!;
  return `amqp://${host}:${amqpPort}`;
};

async function running(nodes: number): Promise<TestCluster> {
  const cluster = await testCluster({ nodes });
  await cluster.ready();
  return cluster;
}

describe('one node', () => {
  let cluster: TestCluster | undefined;

  afterEach(async () => {
    await cluster?.stop();
    cluster = undefined;
  });

  amqplibSuite('amqplib', async () => {
    cluster = await running(1);
    return { url: urlOf(cluster, 1) };
  });
});

describe('three nodes', () => {
  let cluster: TestCluster;

  beforeAll(async () => {
    cluster = await running(3);
  });

  afterAll(() => cluster?.stop());

  async function channelOn(id: number) {
    const connection = await connect(urlOf(cluster, id));
    return { connection, channel: await connection.createConfirmChannel() };
  }

  it('a queue is reached from every node', async () => {
    const [first, second, third] = [await channelOn(1), await channelOn(2), await channelOn(3)];
    await first.channel.assertQueue('everywhere', { durable: true });
    const sent: string[] = [];
    for (const { channel } of [first, second, third]) {
      for (let i = 0; i < 20; i += 1) {
        sent.push(`${sent.length}`);
        channel.sendToQueue('everywhere', Buffer.from(`${sent.length - 1}`), { persistent: true });
      }
      await channel.waitForConfirms();
    }
    const got: string[] = [];
    await third.channel.prefetch(7);
    await new Promise<void>((resolve, reject) => {
      third.channel
        .consume('everywhere', (message) => {
          if (message === null) return;
          got.push(message.content.toString());
          third.channel.ack(message);
          if (got.length === sent.length) resolve();
        })
        .catch(reject);
    });
    expect(got).toEqual(sent);
    expect(await second.channel.checkQueue('everywhere')).toMatchObject({ consumerCount: 1 });
    for (const { connection } of [first, second, third]) await connection.close();
  });

  it('a message that AMQP published to a topic is read by a Kafka client, with key and headers', async () => {
    const { host, kafkaPort } = cluster.addresses[0]!;
    const kafka = new Kafka({ brokers: [`${host}:${kafkaPort}`], logLevel: logLevel.NOTHING });
    const admin = kafka.admin();
    await admin.connect();
    await admin.createTopics({ topics: [{ topic: 'orders', numPartitions: 1 }] });
    await admin.disconnect();
    const { connection, channel } = await channelOn(2);
    await channel.assertExchange('shop', 'topic');
    await channel.bindQueue('orders', 'shop', 'eu.*');
    channel.publish('shop', 'eu.new', Buffer.from('one'), {
      contentType: 'text/plain',
      headers: { tenant: 'acme' },
    });
    await channel.waitForConfirms();
    await connection.close();
    const consumer = kafka.consumer({ groupId: 'readers', maxWaitTimeInMs: 200 });
    await consumer.connect();
    await consumer.subscribe({ topic: 'orders', fromBeginning: true });
    const record = await new Promise<{ key: string; value: string; headers: object }>(
      (resolve, reject) => {
        consumer
          .run({
            eachMessage: async ({ message }) => {
              const headers = Object.entries(message.headers ?? {}).map(([name, v]) => [
                name,
                String(v),
              ]);
              resolve({
                key: String(message.key),
                value: String(message.value),
                headers: Object.fromEntries(headers),
              });
            },
          })
          .catch(reject);
      },
    );
    await consumer.disconnect();
    expect(record).toEqual({
      key: 'eu.new',
      value: 'one',
      headers: {
        'amqp.exchange': 'shop',
        'amqp.content-type': 'text/plain',
        tenant: 'acme',
      },
    });
  });

  it('an exclusive queue of one node is locked for clients of another, and goes with its connection', async () => {
    const owner = await channelOn(1);
    await owner.channel.assertQueue('mine', { exclusive: true });
    const other = await channelOn(2);
    other.channel.on('error', () => undefined);
    await expect(other.channel.checkQueue('mine')).rejects.toThrow(/405/);
    await owner.connection.close();
    const again = await other.connection.createChannel();
    again.on('error', () => undefined);
    await expect(again.checkQueue('mine')).rejects.toThrow(/404/);
    await other.connection.close();
  });
});
