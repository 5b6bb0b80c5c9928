// One topic under three protocols, with the clients as they are: random messages of each are read by all of them, and
// are what was said, but for what docs/reference/mapping.md lists. A key is in one partition whoever says it.
import { type ConfirmChannel, type ConsumeMessage, connect, type Options } from 'amqplib';
import fc from 'fast-check';
import { type IHeaders, Kafka, logLevel, Partitioners } from 'kafkajs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { FieldTable } from '../../src/protocols/amqp/codec/index.ts';
import {
  type ConsumerClient,
  Producer,
  SimpleConsumer,
  type View,
} from '../fixtures/rocketmq-client.ts';
import { lossOf, type Protocol } from '../protocols/mapping/losses.ts';
import { ofAmqp, ofKafka, ofRocket } from '../protocols/mapping/messages.ts';
import { differences, type Neutral, textOf, wordsOf } from '../protocols/mapping/neutral.ts';
import { type TestCluster, testCluster } from './support/cluster.ts';

const TOPIC = 'mixed';
/** A fanout exchange in front of it, so that routing keys are free. */
const EXCHANGE = 'to-mixed';
const PARTITIONS = 3;
/** Of each protocol. */
const COUNT = 24;
const TEN_MINUTES_MS = 600_000;
const PROTOCOLS = ['AMQP', 'Kafka', 'RocketMQ'] as const;
const seed = Math.floor(Math.random() * 2 ** 31);

// ---- What is said -----------------------------------------------------------------------------------

const text = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 10 });
// biome-ignore lint/suspicious/noControlCharactersInRegex: what RocketMQ's clients may not send.
const word = text.filter((each) => each.trim() !== '' && !/[\x00-\x1f\x7f-\x9f|]/.test(each));
/** Few, so that each is said by all. */
const key = fc.constantFrom('one', 'two', 'three', 'schlüssel', '鍵');
const anyKey = fc.option(fc.oneof(key, word), { freq: 2, nil: undefined });
/** Clients keep headers in objects, and what every object has is in their way. */
const free = word.filter((each) => !(each in {}));
const names = fc.oneof(free, fc.constantFrom('TAGS', 'TTL', 'tenant', 'amqp.type', 'amqp.none'));
const maybe = <T>(some: fc.Arbitrary<T>) => fc.option(some, { nil: undefined });
const body = fc.uint8Array({ maxLength: 40 });

const byAmqp = fc.record({
  body,
  key: anyKey,
  // In an object of amqplib, `!` tells the type of a value.
  headers: fc.dictionary(
    names.filter((each) => each !== '!'),
    fc.oneof(text, fc.integer(), fc.boolean()),
    {
      minKeys: 1,
      maxKeys: 4,
      noNullPrototype: true,
    },
  ),
  contentType: maybe(word),
  messageId: maybe(word),
  priority: maybe(fc.nat(9)),
  timestamp: maybe(fc.nat()),
});
const byKafka = fc.record({
  body,
  key: anyKey,
  headers: fc.dictionary(names, text, { maxKeys: 4, noNullPrototype: true }),
  timestampMs: maybe(fc.nat()),
});
const byRocket = fc.record({
  body,
  group: anyKey,
  tag: maybe(word),
  // More are more headers of one name, of which amqplib shows the last.
  keys: fc.array(word, { maxLength: 1 }),
  properties: fc.dictionary(
    names.filter((each) => !/^[A-Z]+$/.test(each)),
    word,
    { maxKeys: 4 },
  ),
});

/** Every body begins with a name of its own. */
function bodyOf(name: string, bytes: Uint8Array): Buffer {
  return Buffer.concat([Buffer.from(`${name}:`), bytes]);
}

function nameIn(bytes: Uint8Array): string {
  const [name] = textOf(bytes).split(':');
  return name!;
}

// ---- The clients ------------------------------------------------------------------------------------

let cluster: TestCluster;
let kafka: Kafka;
let channel: ConfirmChannel;
const endings: (() => Promise<unknown>)[] = [];
/** By name of message. */
const said = new Map<string, { readonly from: Protocol; readonly neutral: Neutral }>();
const seen: { readonly [P in Protocol]: Map<string, Neutral> } = {
  AMQP: new Map(),
  Kafka: new Map(),
  RocketMQ: new Map(),
};
/** By name, where Kafka's client found it. */
const partitions = new Map<string, number>();
let startMs = 0;

beforeAll(async () => {
  cluster = await testCluster();
  await cluster.ready();
  const brokers = cluster.addresses.map(({ host, kafkaPort }) => `${host}:${kafkaPort}`);
  kafka = new Kafka({ brokers, logLevel: logLevel.NOTHING, retry: { initialRetryTime: 50 } });
  const admin = kafka.admin();
  await admin.connect();
  await admin.createTopics({ topics: [{ topic: TOPIC, numPartitions: PARTITIONS }] });
  await admin.disconnect();
  const { host, amqpPort } = cluster.addresses[0]!;
  const connection = await connect(`amqp://${host}:${amqpPort}`);
  endings.push(() => connection.close());
  channel = await connection.createConfirmChannel();
  await channel.assertExchange(EXCHANGE, 'fanout');
  await channel.bindQueue(TOPIC, EXCHANGE, '');
  startMs = Date.now();
  await publishByAmqp();
  await publishByKafka();
  await publishByRocket();
  await Promise.all([readByAmqp(), readByKafka(), readByRocket()]);
}, 120_000);

afterAll(async () => {
  for (const end of endings) await end();
  await cluster.stop();
});

const sample = <T>(of: fc.Arbitrary<T>): T[] => fc.sample(of, { numRuns: COUNT, seed });

async function publishByAmqp(): Promise<void> {
  for (const [i, message] of sample(byAmqp).entries()) {
    const { key: routingKey = '', body: bytes, ...properties } = message;
    const content = bodyOf(`a${i}`, bytes);
    // That of BCC stays between its publisher and the broker.
    const options = { ...defined(properties), deliveryMode: 2, BCC: ['nobody'] };
    channel.publish(EXCHANGE, routingKey, content, options);
    const neutral = ofAmqplib(content, { exchange: EXCHANGE, routingKey }, options);
    said.set(`a${i}`, { from: 'AMQP', neutral });
  }
  await channel.waitForConfirms();
}

function defined<T extends object>(some: T): { [N in keyof T]: Exclude<T[N], undefined> } {
  return Object.fromEntries(
    Object.entries(some).filter(([, value]) => value !== undefined),
  ) as never;
}

async function publishByKafka(): Promise<void> {
  const producer = kafka.producer({ createPartitioner: Partitioners.DefaultPartitioner });
  await producer.connect();
  const messages = sample(byKafka).map(({ body: bytes, key: own, headers, timestampMs }, i) => {
    const value = bodyOf(`k${i}`, bytes);
    const time = timestampMs ?? startMs;
    said.set(`k${i}`, { from: 'Kafka', neutral: ofKafkajs(own, value, headers, time) });
    return { value, key: own ?? null, headers, timestamp: String(time) };
  });
  await producer.send({ topic: TOPIC, messages });
  await producer.disconnect();
}

async function publishByRocket(): Promise<void> {
  const producer = new Producer({ endpoints: rocketOf(2), namespace: '', topics: [TOPIC] });
  await producer.startup();
  for (const [i, message] of sample(byRocket).entries()) {
    const { body: bytes, group: messageGroup, tag, keys, properties } = message;
    const content = bodyOf(`r${i}`, bytes);
    const all = new Map(Object.entries(properties));
    const more = defined({ tag, messageGroup });
    const sent = { topic: TOPIC, body: content, keys, properties: all, ...more };
    const { messageId } = await producer.send(sent);
    const mine = { body: content, isPacked: false, messageId, group: messageGroup, tag, keys };
    // Time and host are the client's own business.
    const own = { bornHost: '', born: undefined, due: undefined, trace: undefined };
    said.set(`r${i}`, {
      from: 'RocketMQ',
      neutral: ofRocket({ ...mine, ...own, properties: all }),
    });
  }
  await producer.shutdown();
}

function rocketOf(id: number): string {
  const { host, rocketmqPort } = cluster.addresses[id - 1]!;
  return `${host}:${rocketmqPort}`;
}

async function readByAmqp(): Promise<void> {
  await channel.prefetch(100);
  await new Promise<void>((resolve, reject) => {
    const take = (message: ConsumeMessage | null) => {
      if (message === null) return;
      channel.ack(message);
      const { content, fields, properties } = message;
      seen.AMQP.set(nameIn(content), ofAmqplib(content, fields, defined(properties)));
      if (seen.AMQP.size === PROTOCOLS.length * COUNT) resolve();
    };
    channel.consume(TOPIC, take, { arguments: { 'x-stream-offset': 'first' } }).catch(reject);
  });
}

async function readByKafka(): Promise<void> {
  const consumer = kafka.consumer({ groupId: 'readers', maxWaitTimeInMs: 100 });
  await consumer.connect();
  await consumer.subscribe({ topic: TOPIC, fromBeginning: true });
  await new Promise<void>((resolve, reject) => {
    const eachMessage = async ({
      partition,
      message,
    }: {
      partition: number;
      message: { key: Buffer | null; value: Buffer | null; headers?: IHeaders; timestamp: string };
    }) => {
      const { key: own, value, headers = {}, timestamp } = message;
      const name = nameIn(value!);
      partitions.set(name, partition);
      seen.Kafka.set(name, ofKafkajs(own ?? undefined, value!, headers, Number(timestamp)));
      if (seen.Kafka.size === PROTOCOLS.length * COUNT) resolve();
    };
    consumer.on(consumer.events.CRASH, ({ payload }) => reject(payload.error));
    consumer.run({ eachMessage }).catch(reject);
  });
  await consumer.disconnect();
}

async function readByRocket(): Promise<void> {
  const consumer = new SimpleConsumer({
    endpoints: rocketOf(3),
    namespace: '',
    consumerGroup: 'readers',
    subscriptions: new Map([[TOPIC, '*']]),
    awaitDuration: 300,
  }) as ConsumerClient;
  await consumer.startup();
  while (seen.RocketMQ.size < PROTOCOLS.length * COUNT) {
    for (const view of await consumer.receive(32, TEN_MINUTES_MS)) {
      seen.RocketMQ.set(nameIn(view.body), ofView(view as WholeView));
      await consumer.ack(view);
    }
  }
  await consumer.shutdown();
}

// ---- In neutral words -------------------------------------------------------------------------------

function ofAmqplib(
  content: Uint8Array,
  { exchange, routingKey }: { readonly exchange: string; readonly routingKey: string },
  { headers = {}, BCC: _, ...properties }: Options.Publish,
): Neutral {
  const table: FieldTable = Object.entries(headers as Record<string, unknown>).map(
    ([name, value]) => {
      if (typeof value === 'string') return { name, value: { type: 'longstr', value } };
      if (typeof value === 'boolean') return { name, value: { type: 'bool', value } };
      if (typeof value === 'number') return { name, value: { type: 'signedint', value } };
      return { name, value: { type: 'void' } };
    },
  );
  const known = { ...properties, headers: table } as Parameters<typeof ofAmqp>[0]['properties'];
  return ofAmqp({ exchange, routingKey: wordsOf(routingKey), properties: known, body: content });
}

function ofKafkajs(
  own: string | Buffer | undefined,
  value: Uint8Array,
  headers: IHeaders,
  timestampMs: number,
): Neutral {
  const all = Object.entries(headers).flatMap(([name, values]) =>
    [values].flat().map((each) => ({ name, value: each === undefined ? null : Buffer.from(each) })),
  );
  const bytes = own === undefined ? null : Buffer.from(own);
  return ofKafka({ key: bytes, value, headers: all, timestampMs });
}

interface WholeView extends View {
  readonly keys: readonly string[];
  readonly messageGroup?: string;
  readonly bornHost: string;
  readonly bornTimestamp: Date;
}

function ofView(view: WholeView): Neutral {
  const { body: bytes, messageId, messageGroup, tag, keys, bornHost, bornTimestamp } = view;
  const bornMs = bornTimestamp.getTime();
  // Its client says '' for what is not there.
  const some = (words: string | undefined) => (words === '' ? undefined : words);
  return ofRocket({
    body: bytes,
    isPacked: false,
    messageId,
    group: some(messageGroup),
    tag: some(tag),
    keys,
    bornHost,
    born: { seconds: Math.floor(bornMs / 1000), nanos: (bornMs % 1000) * 1_000_000 },
    due: undefined,
    trace: undefined,
    properties: view.properties,
  });
}

/** Without what the client of RocketMQ adds by itself, which is what it should be. */
function withoutOwn(from: Protocol, neutral: Neutral): Neutral {
  if (from !== 'RocketMQ') return neutral;
  const { timeMs, headers } = neutral;
  if (timeMs !== null) expect(Math.abs(timeMs - startMs)).toBeLessThan(600_000);
  return { ...neutral, timeMs: null, headers: headers.filter(({ name }) => name !== '__BORNHOST') };
}

// ---- The same ---------------------------------------------------------------------------------------

const ways = PROTOCOLS.flatMap((from) => PROTOCOLS.map((to) => ({ from, to })));

describe.each(ways)('what $from says', ({ from, to }) => {
  it(`is what ${to} reads, but for what the table has`, () => {
    const own = [...said].filter(([, each]) => each.from === from);
    expect(own.length).toBe(COUNT);
    for (const [name, { neutral }] of own) {
      const got = withoutOwn(from, seen[to].get(name)!);
      const defects = differences(neutral, got).filter((difference) => {
        // Properties are a map to RocketMQ: its client sends them in an order of its own.
        if (from === 'RocketMQ' && difference.part === 'order') return false;
        if (from !== to) {
          return lossOf(difference, { from, to }, neutral, got, { frameBytesMax: 0 }) === undefined;
        }
        // A stream says where a message is.
        const isPlace = 'header' in difference && difference.header.name === 'x-stream-offset';
        return to !== 'AMQP' || !isPlace;
      });
      expect(defects, `${name}, seed ${seed}`).toEqual([]);
    }
  });
});

it('a key is in one partition, whoever says it, and what has none is in all', () => {
  const byKey = new Map<string, Set<number>>();
  for (const [name, { neutral }] of said) {
    const own = neutral.key ?? '';
    byKey.set(own, (byKey.get(own) ?? new Set()).add(partitions.get(name)!));
  }
  const spread = byKey.get('')!;
  byKey.delete('');
  expect(byKey.size).toBeGreaterThan(4);
  for (const [own, where] of byKey) expect([...where], `${own}, seed ${seed}`).toHaveLength(1);
  expect(spread.size).toBe(PARTITIONS);
});
