// Messages of all three protocols, published by their clients as they are, and found by key, tag, message id and time
// through any node: over HTTP and with the command line. In sealed segments and in memory.
import { connect } from 'amqplib';
import { CompressionTypes, Kafka, logLevel } from 'kafkajs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ApiFindQuery, ApiMessage, ApiMessages } from '../../src/admin/api-types.ts';
import { AdminClient } from '../../src/cli/client.ts';
import { callboard } from '../cli/run-dev.ts';
import {
  type ConsumerClient,
  Producer,
  SimpleConsumer,
  type View,
} from '../fixtures/rocketmq-client.ts';
import { type TestCluster, testCluster } from './support/cluster.ts';

const TOPIC = 'found';
const PARTITIONS = 3;
/** Per round; each has a key of its own, and one that is everyone's. */
const COUNT = 60;
const ROUNDS = 12;
const PAD = 'x'.repeat(2500);
const FIRST_MS = 1_700_000_000_000;

let cluster: TestCluster;
let rocketId = '';
const endings: (() => Promise<unknown>)[] = [];

const urlOf = (id: number): string => {
  const { host, httpPort } = cluster.addresses[id - 1]!;
  return `http://${host}:${httpPort}`;
};

/** All of a search, as a client puts it together. */
async function find(query: ApiFindQuery, name = TOPIC, node = 1): Promise<readonly ApiMessage[]> {
  const client = new AdminClient([urlOf(node)]);
  const all: ApiMessage[] = [];
  let from: string | undefined;
  for (;;) {
    const { partition: _, ...again } = query;
    const answer: ApiMessages = await client.messages(
      name,
      from === undefined ? query : { ...again, from },
    );
    all.push(...answer.messages);
    if (answer.isComplete === true) return all;
    from = answer.next.map(({ partition, offset }) => `${partition}:${offset}`).join(',');
  }
}

beforeAll(async () => {
  cluster = await testCluster();
  await cluster.ready();
  const brokers = cluster.addresses.map(({ host, kafkaPort }) => `${host}:${kafkaPort}`);
  const kafka = new Kafka({ brokers, logLevel: logLevel.NOTHING, retry: { initialRetryTime: 50 } });
  const admin = kafka.admin();
  await admin.connect();
  const configEntries = [{ name: 'segment.bytes', value: '40000' }];
  const topics = [TOPIC, 'other'].map((topic) => ({
    ...{ topic, numPartitions: PARTITIONS, configEntries },
  }));
  await admin.createTopics({ topics });
  await admin.disconnect();
  const producer = kafka.producer();
  await producer.connect();
  for (let round = 0; round < ROUNDS; round += 1) {
    const messages = Array.from({ length: COUNT }, (_, i) => ({
      key: i % 20 === 0 ? 'everyone' : `own ${round} ${i}`,
      value: `kafka ${round} ${i} ${PAD}`,
      headers: i % 10 === 3 ? { TAGS: 'rare' } : { TAGS: 'common' },
      timestamp: String(FIRST_MS + 1000 * (round * COUNT + i)),
    }));
    const compression = round % 2 === 0 ? CompressionTypes.GZIP : CompressionTypes.None;
    await producer.send({ topic: TOPIC, messages, compression });
  }
  await producer.disconnect();

  const { host, amqpPort, rocketmqPort } = cluster.addresses[1]!;
  const connection = await connect(`amqp://${host}:${amqpPort}`);
  endings.push(() => connection.close());
  const channel = await connection.createConfirmChannel();
  await channel.assertExchange('to-found', 'fanout');
  await channel.bindQueue(TOPIC, 'to-found', '');
  channel.publish('to-found', 'everyone', Buffer.from('amqp'), { messageId: 'm 1' });
  await channel.assertQueue('waiting');
  channel.publish('', 'waiting', Buffer.from('in a queue'), { messageId: 'm 2' });
  await channel.waitForConfirms();

  const rocket = new Producer({
    endpoints: `${host}:${rocketmqPort}`,
    namespace: '',
    topics: [TOPIC],
  });
  await rocket.startup();
  const body = Buffer.from('rocket');
  const keys = ['order 7', 'everyone'];
  ({ messageId: rocketId } = await rocket.send({ topic: TOPIC, body, keys, tag: 'rare' }));
  await rocket.shutdown();
}, 120_000);

afterAll(async () => {
  for (const end of endings) await end();
  await cluster.stop();
});

const valuesOf = (messages: readonly ApiMessage[]): string[] =>
  messages.map(({ value }) => value!.replace(` ${PAD}`, ''));
const expectedEveryone = Array.from({ length: ROUNDS }, (_, round) =>
  [0, 20, 40].map((i) => `kafka ${round} ${i}`),
).flat();

describe('a message is found', () => {
  it('by its key, through any node, newest first and oldest first', async () => {
    for (const node of [1, 2, 3]) {
      const newest = valuesOf(await find({ key: 'everyone' }, TOPIC, node));
      expect(newest.slice(0, 2).sort()).toEqual(['amqp', 'rocket']);
      expect(newest.slice(2)).toEqual([...expectedEveryone].reverse());
      const oldest = valuesOf(await find({ key: 'everyone', order: 'oldest' }, TOPIC, node));
      expect(oldest.slice(0, -2)).toEqual(expectedEveryone);
    }
    expect(valuesOf(await find({ key: 'own 3 17' }))).toEqual(['kafka 3 17']);
    expect(await find({ key: 'own 3 1' })).toHaveLength(1);
    expect(await find({ key: 'own' })).toEqual([]);
  });

  it('in parts as in one, and of one partition', async () => {
    const all = await find({ key: 'everyone' });
    expect(await find({ key: 'everyone', max: 5 })).toEqual(all);
    const oldest = await find({ key: 'everyone', order: 'oldest' });
    expect(await find({ key: 'everyone', order: 'oldest', max: 7 })).toEqual(oldest);
    const parts = await Promise.all(
      Array.from({ length: PARTITIONS }, (_, partition) => find({ key: 'everyone', partition })),
    );
    expect(parts.flat()).toHaveLength(all.length);
    for (const [partition, part] of parts.entries()) {
      for (const message of part) expect(message.partition).toBe(partition);
    }
  });

  it('by its tag, within a time', async () => {
    const rare = Array.from({ length: ROUNDS }, (_, round) =>
      [3, 13, 23, 33, 43, 53].map((i) => `kafka ${round} ${i}`),
    ).flat();
    const tagged = valuesOf(await find({ tag: 'rare', order: 'oldest' }));
    expect(tagged).toEqual([...rare, 'rocket']);
    const since = FIRST_MS + 1000 * (4 * COUNT + 3);
    const until = FIRST_MS + 1000 * (6 * COUNT + 3);
    const some = await find({ tag: 'rare', since, until, order: 'oldest' });
    expect(valuesOf(some)).toEqual(rare.slice(24, 37));
    expect(await find({ tag: 'rare', since: since + 1, until: since + 9999 })).toEqual([]);
  });

  it('by the id that its client gave it, and by the one that says where it is', async () => {
    expect(valuesOf(await find({ id: 'm 1' }))).toEqual(['amqp']);
    expect(valuesOf(await find({ id: rocketId }))).toEqual(['rocket']);
    expect(valuesOf(await find({ id: 'm 2' }, 'waiting', 3))).toEqual(['in a queue']);
    expect(await find({ id: 'm 2' })).toEqual([]);
    const { messageId, body } = await receivedOfKafka();
    const [kafka] = await find({ id: messageId });
    expect(kafka?.value).toBe(Buffer.from(body).toString());
  });

  it('by indexes of what is sealed', async () => {
    let made = 0;
    for (const id of [1, 2, 3]) {
      const counters = (await (await fetch(`${urlOf(id)}/api/counters`)).json()) as Record<
        string,
        number
      >;
      for (const [name, count] of Object.entries(counters)) {
        if (name.endsWith('search.indexesMade')) made += count;
      }
    }
    expect(made).toBeGreaterThan(PARTITIONS);
  });
});

/** As RocketMQ's clients see a message that has no id of its own. */
async function receivedOfKafka(): Promise<View> {
  const { host, rocketmqPort } = cluster.addresses[2]!;
  const consumer = new SimpleConsumer({
    endpoints: `${host}:${rocketmqPort}`,
    namespace: '',
    consumerGroup: 'readers',
    subscriptions: new Map([[TOPIC, '*']]),
    awaitDuration: 300,
  }) as ConsumerClient;
  await consumer.startup();
  for (;;) {
    const views = await consumer.receive(8, 600_000);
    const view = views.find(({ body }) => Buffer.from(body).toString().startsWith('kafka'));
    if (view === undefined) continue;
    await consumer.shutdown();
    return view;
  }
}

describe('the command line', () => {
  const ask = async (...words: string[]) => {
    const run = callboard(['find', ...words, '--url', urlOf(2)]);
    const code = await run.exited;
    return { code, stdout: run.stdout, stderr: run.stderr };
  };

  it('prints what it finds, and says when there is nothing', async () => {
    const { code, stdout } = await ask(
      TOPIC,
      '--key',
      'everyone',
      '--limit',
      '3',
      '--oldest-first',
    );
    expect(code).toBe(0);
    const lines = stdout
      .trim()
      .split('\n')
      .map((line) => line.replace(` ${PAD}`, '').split('\t'));
    expect(lines.map(([, time, key, value]) => [time, key, value])).toEqual(
      [0, 20, 40].map((i) => [
        new Date(FIRST_MS + 1000 * i).toISOString(),
        'everyone',
        `kafka 0 ${i}`,
      ]),
    );
    const json = await ask(TOPIC, '--id', rocketId, '--json', '--since', '10m');
    expect(JSON.parse(json.stdout)).toMatchObject({ value: 'rocket', key: null });
    const none = await ask(TOPIC, '--tag', 'nobody has it', '--until', '2024-01-01');
    expect(none).toMatchObject({ code: 4, stdout: '' });
    expect(none.stderr).toContain('no message of found has the tag');
    expect(await ask('no such topic', '--key', 'k')).toMatchObject({ code: 4 });
    expect(await ask(TOPIC)).toMatchObject({ code: 2 });
    expect(await ask(TOPIC, '--key', 'a', '--tag', 'b')).toMatchObject({ code: 2 });
    expect(await ask(TOPIC, '--key', 'a', '--since', 'soon')).toMatchObject({ code: 2 });
  }, 60_000);
});

describe('a search that is not one', () => {
  it.each([
    ['key=a&tag=b', 'one of key, tag and id'],
    ['key=', 'key must not be empty'],
    ['since=5', 'since goes with one of'],
    ['order=newest', 'order goes with one of'],
    ['key=a&order=random', 'order must be'],
    ['key=a&waitMs=5', 'does not wait'],
    ['key=a&from=earliest', 'partition:offset'],
    ['key=a&from=0:1&partition=0', 'names partitions itself'],
    ['key=a&max=0', 'from 1 to 1000'],
    ['key=a&max=1001', 'from 0 to 1000'],
    ['key=a&until=soon', 'until must be a number'],
  ])('is refused: %s', async (query, because) => {
    const response = await fetch(`${urlOf(1)}/api/destinations/${TOPIC}/messages?${query}`);
    expect(response.status).toBe(400);
    const { error } = (await response.json()) as { error: { message: string } };
    expect(error.message).toContain(because);
  });

  it('names a destination and partitions that are there', async () => {
    const at = (path: string) => fetch(`${urlOf(1)}/api/destinations/${path}`);
    expect((await at('nothing/messages?key=a')).status).toBe(404);
    expect((await at(`${TOPIC}/messages?key=a&partition=9`)).status).toBe(404);
    expect((await at(`${TOPIC}/messages?key=a&from=9:0`)).status).toBe(404);
  });
});
