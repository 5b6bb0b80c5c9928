// One name, one destination, whichever protocol speaks of it: a queue as Kafka's clients see it, on three nodes.
import { type ConfirmChannel, connect } from 'amqplib';
import { CompressionTypes, Kafka, logLevel } from 'kafkajs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ApiDestinations } from '../../src/admin/api-types.ts';
import { topicName } from '../../src/protocols/rocketmq/grpc/names.ts';
import { Refusal } from '../../src/protocols/rocketmq/grpc/refusal.ts';
import { Producer } from '../fixtures/rocketmq-client.ts';
import { type TestCluster, testCluster } from './support/cluster.ts';

let cluster: TestCluster;
const endings: (() => Promise<unknown>)[] = [];

beforeAll(async () => {
  cluster = await testCluster();
  await cluster.ready();
});

afterAll(async () => {
  for (const end of endings) await end();
  await cluster.stop();
});

function kafkaOn(id: number): Kafka {
  const { host, kafkaPort } = cluster.addresses[id - 1]!;
  return new Kafka({ brokers: [`${host}:${kafkaPort}`], logLevel: logLevel.NOTHING });
}

async function channelOn(id: number): Promise<ConfirmChannel> {
  const { host, amqpPort } = cluster.addresses[id - 1]!;
  const connection = await connect(`amqp://${host}:${amqpPort}`);
  connection.on('error', () => undefined);
  endings.push(() => connection.close().catch(() => undefined));
  const channel = await connection.createConfirmChannel();
  channel.on('error', () => undefined);
  return channel;
}

async function adminOn(id: number) {
  const admin = kafkaOn(id).admin();
  await admin.connect();
  endings.push(() => admin.disconnect());
  return admin;
}

async function producerOn(id: number) {
  const producer = kafkaOn(id).producer();
  await producer.connect();
  endings.push(() => producer.disconnect());
  return producer;
}

/** The first `count` values of a topic as a new group reads them. */
async function readByKafka(topic: string, groupId: string, count: number): Promise<string[]> {
  const consumer = kafkaOn(3).consumer({ groupId, maxWaitTimeInMs: 100 });
  await consumer.connect();
  await consumer.subscribe({ topic, fromBeginning: true });
  const values: string[] = [];
  await new Promise<void>((resolve, reject) => {
    consumer
      .run({
        eachMessage: async ({ message }) => {
          values.push(String(message.value));
          if (values.length === count) resolve();
        },
      })
      .catch(reject);
  });
  await consumer.disconnect();
  return values;
}

/** Consumes and acknowledges `count` messages. */
async function takeAll(channel: ConfirmChannel, queue: string, count: number) {
  const messages: { body: string; key: string; headers: object }[] = [];
  await new Promise<void>((resolve, reject) => {
    channel
      .consume(queue, (message) => {
        if (message === null) return;
        channel.ack(message);
        const { content, fields, properties } = message;
        const headers = Object.fromEntries(
          Object.entries(properties.headers ?? {}).map(([name, value]) => [name, String(value)]),
        );
        messages.push({ body: content.toString(), key: fields.routingKey, headers });
        if (messages.length === count) resolve();
      })
      .catch(reject);
  });
  return messages;
}

const messagesOf = (...values: string[]) => values.map((value) => ({ value }));

describe('a queue for Kafka clients', () => {
  it('is a topic of one partition with a leader, and what Kafka sends its consumers get', async () => {
    const channel = await channelOn(1);
    await channel.assertQueue('tasks', { durable: true });
    const admin = await adminOn(2);
    expect(await admin.listTopics()).toContain('tasks');
    const { topics } = await admin.fetchTopicMetadata({ topics: ['tasks'] });
    expect(topics[0]!.partitions).toHaveLength(1);
    expect(topics[0]!.partitions[0]).toMatchObject({ partitionErrorCode: 0 });
    expect(topics[0]!.partitions[0]!.replicas).toHaveLength(3);
    const producer = await producerOn(3);
    const taken = takeAll(channel, 'tasks', 5);
    await producer.send({
      topic: 'tasks',
      messages: [{ key: 'k', value: 'one', headers: { tenant: 'acme' } }, { value: null }],
    });
    channel.sendToQueue('tasks', Buffer.from('amqp'));
    await channel.waitForConfirms();
    await producer.send({
      topic: 'tasks',
      compression: CompressionTypes.GZIP,
      messages: [{ key: 'z', value: 'packed' }],
    });
    await producer.send({ topic: 'tasks', acks: 1, messages: messagesOf('last') });
    expect(await taken).toEqual([
      { body: 'one', key: 'k', headers: { tenant: 'acme' } },
      { body: '', key: '', headers: {} },
      { body: 'amqp', key: 'tasks', headers: {} },
      { body: 'packed', key: 'z', headers: {} },
      { body: 'last', key: '', headers: {} },
    ]);
  });

  it('is browsed without any effect, by groups with cursors, and ends where its messages are let go', async () => {
    const channel = await channelOn(2);
    await channel.assertQueue('browsed', { durable: true });
    const values = Array.from({ length: 30 }, (_, i) => `m${i}`);
    for (const value of values) channel.sendToQueue('browsed', Buffer.from(value));
    await channel.waitForConfirms();
    expect(await readByKafka('browsed', 'browsers', 30)).toEqual(values);
    expect(await channel.checkQueue('browsed')).toMatchObject({ messageCount: 30 });
    const admin = await adminOn(1);
    const [offsets] = await admin.fetchOffsets({ groupId: 'browsers', topics: ['browsed'] });
    expect(offsets!.partitions).toMatchObject([{ partition: 0, offset: '30' }]);
    expect((await takeAll(channel, 'browsed', 30)).map(({ body }) => body)).toEqual(values);
    // What is acknowledged is let go a moment later.
    await expect
      .poll(async () => (await admin.fetchTopicOffsets('browsed'))[0], { timeout: 10_000 })
      .toMatchObject({ low: '30', high: '30' });
    channel.sendToQueue('browsed', Buffer.from('new'));
    await channel.waitForConfirms();
    expect(await readByKafka('browsed', 'late', 1)).toEqual(['new']);
  });

  it('is hidden if it is exclusive or was named by the server, and described as what it is', async () => {
    const channel = await channelOn(1);
    await channel.assertQueue('mine', { exclusive: true });
    const { queue: madeUp } = await channel.assertQueue('', { exclusive: false });
    await channel.assertQueue('name with blanks');
    const admin = await adminOn(1);
    const listed = await admin.listTopics();
    expect(listed).not.toContain('mine');
    expect(listed).not.toContain(madeUp);
    expect(listed).not.toContain('name with blanks');
    const producer = await producerOn(1);
    await producer.send({ topic: madeUp, messages: messagesOf('by name') });
    expect(await channel.checkQueue(madeUp)).toMatchObject({ messageCount: 1 });
    await expect(producer.send({ topic: 'mine', messages: messagesOf('x') })).rejects.toThrow(
      'Not authorized to access topics',
    );
    const { resources } = await admin.describeConfigs({
      includeSynonyms: false,
      resources: [{ type: 2, name: madeUp }],
    });
    const entries = resources[0]!.configEntries.map((e) => [e.configName, e.configValue]);
    expect(Object.fromEntries(entries)).toMatchObject({ 'callboard.kind': 'queue' });
  });

  it('cannot be made again, and is deleted as a topic with its consumers told', async () => {
    const channel = await channelOn(2);
    await channel.assertQueue('short-lived', { durable: true });
    const admin = await adminOn(3);
    expect(await admin.createTopics({ topics: [{ topic: 'short-lived' }] })).toBe(false);
    const told = new Promise((resolve, reject) => {
      channel.consume('short-lived', (message) => message === null && resolve(null)).catch(reject);
    });
    await admin.deleteTopics({ topics: ['short-lived'] });
    expect(await told).toBe(null);
    expect(await admin.listTopics()).not.toContain('short-lived');
  });
});

/** How many partitions a node says the destination has; 0: it does not know it. */
async function partitionsOn(id: number, name: string): Promise<number> {
  const { host, httpPort } = cluster.addresses[id - 1]!;
  const answer = await fetch(`http://${host}:${httpPort}/api/destinations`);
  const { destinations } = (await answer.json()) as ApiDestinations;
  return destinations.find((each) => each.name === name)?.partitions.length ?? 0;
}

const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

describe('one name, asked for as a queue and as a topic at once', () => {
  it('is one of them on every node, and the other client is told so', async () => {
    const admins = [await adminOn(1), await adminOn(2), await adminOn(3)];
    const wins = { queue: 0, topic: 0 };
    // Whoever lost starts a little earlier the next time: so they keep close, and each wins now and then.
    let headStartMs = 0;
    for (let round = 0; round < 30 || Math.min(wins.queue, wins.topic) < 3; round += 1) {
      const name = `wanted-${round}`;
      const channel = await channelOn(1 + (round % 3));
      const admin = admins[(round + 1) % 3]!;
      const creating = pause(-headStartMs).then(() =>
        admin.createTopics({ topics: [{ topic: name, numPartitions: 2 }] }),
      );
      const outcome = await pause(headStartMs)
        .then(() => channel.assertQueue(name, { durable: true }))
        .then(
          () => 'made',
          (error: Error) => error.message,
        );
      const isTopic = await creating;
      wins[isTopic ? 'topic' : 'queue'] += 1;
      headStartMs += isTopic ? -1 : 1;
      if (isTopic) {
        expect(outcome).toContain(
          `406 (PRECONDITION-FAILED) with message "PRECONDITION_FAILED - inequivalent arg 'x-queue-type' for queue '${name}' in vhost '/': received none but current is the value 'stream' of type 'longstr'"`,
        );
      } else expect(outcome).toBe('made');
      for (const id of [1, 2, 3]) {
        await expect.poll(() => partitionsOn(id, name)).toBe(isTopic ? 2 : 1);
      }
    }
  });

  it('takes what producers send who only name it, whatever it is', async () => {
    const kafka = await producerOn(2);
    for (let round = 0; round < 5; round += 1) {
      const name = `named-${round}`;
      const channel = await channelOn(1);
      const declaring = channel.assertQueue(name, { durable: true }).catch(() => undefined);
      const { host, rocketmqPort } = cluster.addresses[2]!;
      const endpoints = `${host}:${rocketmqPort}`;
      const rocket = new Producer({ endpoints, namespace: '', topics: [name] });
      const starting = rocket.startup();
      await kafka.send({ topic: name, messages: messagesOf('from Kafka') });
      await starting;
      await rocket.send({ topic: name, body: Buffer.from('from RocketMQ') });
      await rocket.shutdown();
      await declaring;
      const values = await readByKafka(name, `readers-${round}`, 2);
      expect(values.sort()).toEqual(['from Kafka', 'from RocketMQ']);
    }
  });
});

describe('names', () => {
  const ILLEGAL = 'INVALID_TOPIC_EXCEPTION';

  // A row of docs/reference/mapping.md each: what AMQP answers to a declaration, what Kafka to the name, listed or not.
  it.each<[name: string, amqp: string, kafka: string, isOfRocket: boolean]>([
    ['plain-name_1.x', 'made', 'listed', true],
    ['x'.repeat(128), 'made', 'listed', false],
    ['y'.repeat(249), 'made', 'listed', false],
    ['with%percent', 'made', ILLEGAL, true],
    ['with|bar', 'made', ILLEGAL, true],
    ['zwei Wörter', 'made', ILLEGAL, false],
    ['z'.repeat(250), 'made', ILLEGAL, false],
    ['control\u0001', '406', ILLEGAL, false],
    ['.', '406', ILLEGAL, true],
    ['..', '406', ILLEGAL, true],
    ['amq.mine', '403', 'UNKNOWN_TOPIC_OR_PARTITION', true],
    ['__mine', 'made', 'listed', true],
    ['__consumer_offsets', '406', 'listed', true],
    ['__callboard_probe', '406', 'hidden', true],
  ])('%j: %s to AMQP, %s to Kafka', async (name, amqp, kafka, isOfRocket) => {
    const channel = await channelOn(1);
    const declared = await channel.assertQueue(name).then(
      () => 'made',
      (error: Error) => /\d{3}/.exec(error.message)![0],
    );
    expect(declared).toBe(amqp);
    const admin = await adminOn(1);
    const listed = (await admin.listTopics()).includes(name);
    expect(listed).toBe(kafka === 'listed');
    const seen = await admin.fetchTopicMetadata({ topics: [name] }).then(
      ({ topics }) => (topics[0]!.partitions.length > 0 ? 'there' : 'empty'),
      (error: { type?: string }) => error.type,
    );
    expect(seen).toBe(kafka === 'listed' || kafka === 'hidden' ? 'there' : kafka);
    const rocket = topicName({ resourceNamespace: '', name });
    expect(rocket instanceof Refusal).toBe(!isOfRocket);
  });
});
