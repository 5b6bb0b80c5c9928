// Streams over whole nodes with real clients: topics that Kafka's clients fill are read through AMQP on every node,
// from all of their partitions, while a node that leads some of them stops.
import { type Channel, type ChannelModel, type ConsumeMessage, connect } from 'amqplib';
import { CompressionTypes, Kafka, logLevel, type Producer } from 'kafkajs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type TestCluster, testCluster } from './support/cluster.ts';

const PARTITIONS = 6;

let cluster: TestCluster;
let producer: Producer;
const open: ChannelModel[] = [];
const closing: (() => Promise<unknown>)[] = [];

beforeAll(async () => {
  cluster = await testCluster({ nodes: 3 });
  await cluster.ready();
  const brokers = cluster.addresses.map(({ host, kafkaPort }) => `${host}:${kafkaPort}`);
  const retry = { retries: 20, initialRetryTime: 50, maxRetryTime: 500 };
  const kafka = new Kafka({ brokers, logLevel: logLevel.NOTHING, retry });
  const admin = kafka.admin();
  await admin.connect();
  for (const topic of ['orders', 'through'])
    await admin.createTopics({ topics: [{ topic, numPartitions: PARTITIONS }] });
  await admin.disconnect();
  producer = kafka.producer({ retry });
  await producer.connect();
  closing.push(() => producer.disconnect());
});

afterAll(async () => {
  for (const connection of open) await connection.close().catch(() => undefined);
  for (const close of closing) await close();
  await cluster.stop();
});

async function channelOn(id: number): Promise<Channel> {
  const { host, amqpPort } = cluster.addresses[id - 1]!;
  const connection = await connect(`amqp://${host}:${amqpPort}`);
  connection.on('error', () => undefined);
  open.push(connection);
  return connection.createChannel();
}

/**
 * Records `p/n` for each partition, n from `from` on. Each in requests of its own: of one that went to several nodes
 * kafkajs forgets the part of a node that died.
 */
async function produce(topic: string, from: number, to: number, isPacked = false): Promise<void> {
  const compression = isPacked ? CompressionTypes.GZIP : CompressionTypes.None;
  for (let n = from; n < to; n += 10) {
    const sends = Array.from({ length: PARTITIONS }, (_, partition) => {
      const values = Array.from({ length: 10 }, (_each, i) => `${partition}/${n + i}`);
      const messages = values.map((value) => ({ partition, value }));
      return producer.send({ topic, messages, acks: -1, compression });
    });
    await Promise.all(sends);
  }
}

class Reading {
  /** By partition, in the order in which they came. */
  readonly bodies = new Map<string, string[]>();
  readonly faults: string[] = [];
  isCancelled = false;

  heard(channel: Channel, message: ConsumeMessage | null): void {
    if (message === null) {
      this.isCancelled = true;
      return;
    }
    const body = message.content.toString();
    const [partition = ''] = body.split('/');
    const offset = message.properties.headers?.['x-stream-offset'];
    const bodies = this.bodies.get(partition) ?? [];
    if (bodies.length !== offset) this.faults.push(`${body} at ${offset}`);
    if (message.fields.redelivered) this.faults.push(`${body} again`);
    bodies.push(body);
    this.bodies.set(partition, bodies);
    channel.ack(message);
  }

  get count(): number {
    return [...this.bodies.values()].reduce((sum, { length }) => sum + length, 0);
  }

  /** Of each partition all up to `end`. A producer that does not count may store some twice. */
  isWhole(end: number): boolean {
    const isThere = (bodies: readonly string[]) => bodies.at(-1)?.endsWith(`/${end - 1}`) === true;
    return this.bodies.size === PARTITIONS && [...this.bodies.values()].every(isThere);
  }
}

/** What was sent to a partition up to `end`, in order, without what came twice. */
function isComplete(bodies: readonly string[], end: number): boolean {
  const numbers = [...new Set(bodies.map((body) => Number(body.split('/')[1])))];
  return numbers.length === end && numbers.every((number, i) => number === i);
}

async function read(id: number, stream: string, prefetch: number): Promise<Reading> {
  const channel = await channelOn(id);
  const reading = new Reading();
  await channel.prefetch(prefetch);
  await channel.consume(stream, (message) => reading.heard(channel, message), {
    arguments: { 'x-stream-offset': 'first' },
  });
  return reading;
}

async function until(isTrue: () => boolean): Promise<void> {
  while (!isTrue()) await new Promise((resolve) => setTimeout(resolve, 20));
}

it('a topic of six partitions is read on every node, packed or not, each partition in order', async () => {
  await produce('orders', 0, 100);
  const readings = await Promise.all([read(1, 'orders', 100), read(2, 'orders', 7)]);
  await produce('orders', 100, 150, true);
  readings.push(await read(3, 'orders', 1_000));
  await until(() => readings.every((reading) => reading.isWhole(150)));
  for (const { faults, bodies } of readings) {
    expect(faults).toEqual([]);
    expect([...bodies.values()].map(({ length }) => length)).toEqual(Array(PARTITIONS).fill(150));
  }
  const checked = await (await channelOn(2)).checkQueue('orders');
  expect(checked).toMatchObject({ messageCount: PARTITIONS * 150, consumerCount: 0 });
});

describe('a stream that AMQP declares', () => {
  let channel: Channel;

  beforeAll(async () => {
    const { host, amqpPort } = cluster.addresses[0]!;
    const connection = await connect(`amqp://${host}:${amqpPort}`);
    open.push(connection);
    const publisher = await connection.createConfirmChannel();
    channel = publisher;
    const args = { durable: true, arguments: { 'x-queue-type': 'stream' } };
    await channel.assertQueue('log', args);
    await channel.assertExchange('news', 'fanout');
    await channel.bindQueue('log', 'news', '');
    for (let i = 0; i < 10; i += 1) {
      channel.publish('news', '', Buffer.from(`${i}`), { headers: { n: i } });
      await publisher.waitForConfirms();
    }
    expect(await channel.assertQueue('log', args)).toMatchObject({ messageCount: 10 });
  });

  it.each([
    ['first', 'first', 0],
    ['last', 'last', 9],
    ['a number', 4, 4],
    ['a number that is not there yet', 12, 12],
    ['a time', { '!': 'timestamp', value: 1 }, 0],
    ['a time to come', { '!': 'timestamp', value: 4_000_000_000 }, 10],
    ['an interval', '1h', 0],
    ['next', 'next', 10],
    ['nothing', undefined, 10],
  ])('is read from %s', async (name, offset, first) => {
    const reader = await channelOn(3);
    await reader.prefetch(3);
    const got: [string, number, number][] = [];
    const options = offset === undefined ? {} : { arguments: { 'x-stream-offset': offset } };
    // As many as are there whichever was tried before.
    const { messageCount } = await channel.checkQueue('log');
    const added = messageCount - 10;
    const { consumerTag } = await reader.consume(
      'log',
      (message) => {
        const { headers } = message!.properties;
        got.push([message!.content.toString(), headers?.['x-stream-offset'], headers?.['n']]);
        reader.ack(message!);
      },
      options,
    );
    const isAtEnd = name === 'next' || name === 'nothing' || name === 'a time to come';
    const isLast = name === 'last' && added > 0;
    const from = isAtEnd ? first + added : isLast ? messageCount - 1 : first;
    for (let i = messageCount; i < Math.max(messageCount, from) + 2; i += 1)
      channel.publish('news', '', Buffer.from(`${i}`), { headers: { n: i } });
    const end = Math.max(messageCount, from) + 2;
    await until(() => got.at(-1)?.[0] === `${end - 1}`);
    expect(got).toEqual(
      Array.from({ length: end - from }, (_, i) => [`${from + i}`, from + i, from + i]),
    );
    await reader.cancel(consumerTag);
  });

  it('is a topic to Kafka’s clients, and ends for its readers when it is deleted', async () => {
    const [metadata] = await producer.send({ topic: 'log', messages: [{ value: 'by kafka' }] });
    const reading: string[] = [];
    const reader = await channelOn(2);
    await reader.prefetch(10);
    let isCancelled = false;
    await reader.consume(
      'log',
      (message) => {
        if (message === null) isCancelled = true;
        else reading.push(message.content.toString());
      },
      { arguments: { 'x-stream-offset': Number(metadata!.baseOffset) } },
    );
    await until(() => reading.length === 1);
    expect(reading).toEqual(['by kafka']);
    await channel.deleteQueue('log');
    await until(() => isCancelled);
  });
});

it('what has settled in segments is read too, where it is led and elsewhere', async () => {
  const { host, amqpPort } = cluster.addresses[0]!;
  const connection = await connect(`amqp://${host}:${amqpPort}`);
  open.push(connection);
  const channel = await connection.createConfirmChannel();
  await channel.assertQueue('large', { durable: true, arguments: { 'x-queue-type': 'stream' } });
  const body = (i: number) => Buffer.alloc(50_000, `${i} `);
  for (let i = 0; i < 60; i += 1) channel.sendToQueue('large', body(i));
  await channel.waitForConfirms();
  for (const id of [1, 2, 3]) {
    const reader = await channelOn(id);
    await reader.prefetch(8);
    let count = 0;
    await reader.consume(
      'large',
      (message) => {
        if (message?.content.equals(body(count)) === true) count += 1;
        reader.ack(message!);
      },
      { arguments: { 'x-stream-offset': 'first' } },
    );
    await until(() => count === 60);
  }
});

it('a node that leads some of the partitions stops: its readers go on at the next offset', async () => {
  const readings = await Promise.all([read(1, 'through', 20), read(3, 'through', 50)]);
  await produce('through', 0, 30);
  await until(() => readings.every(({ count }) => count > 60));
  const stopping = cluster.stopNode(2);
  await produce('through', 30, 60);
  await stopping;
  await produce('through', 60, 80);
  await until(() => readings.every((reading) => reading.isWhole(80)));
  for (const { faults, bodies } of readings) {
    expect(faults).toEqual([]);
    expect(Object.fromEntries(bodies)).toEqual(Object.fromEntries(readings[0]!.bodies));
    for (const each of bodies.values()) expect(isComplete(each, 80)).toBe(true);
  }
});
