// rocketmq-client-nodejs as it is against a node of a real cluster in this process: over TCP and HTTP/2, through
// the session and the views of groups, to logs that three nodes replicate.
import { connect } from 'amqplib';
import { Kafka, logLevel } from 'kafkajs';
import { afterEach, expect, test } from 'vitest';
import { hostRefs } from '../../src/assembly/host-refs.ts';
import { autoCreate } from '../../src/assembly/internal-destinations.ts';
import { localShards } from '../../src/assembly/local-shards.ts';
import type { Shards, ShardsOptions } from '../../src/assembly/shards.ts';
import { watchLinks } from '../../src/assembly/watch-links.ts';
import type { StreamMessage } from '../../src/broker/access/stream-api.ts';
import { StreamViews } from '../../src/broker/access/stream-views.ts';
import {
  type ClientBase,
  type ClientClass,
  type ConsumerClient,
  Producer,
  SimpleConsumer,
  silent,
  type View,
} from '../fixtures/rocketmq-client.ts';
import { type TestCluster, testCluster } from './support/cluster.ts';

const TEN_MINUTES_MS = 600_000;

const parts = new Map<number, { options: ShardsOptions; shards: Shards }>();
const clients: ClientBase[] = [];
let cluster: TestCluster | undefined;

afterEach(async () => {
  let areGone = true;
  for (const client of clients.splice(0)) {
    await client.shutdown().catch(() => {
      areGone = false;
    });
  }
  // A client that was shut down no longer listens to its streams: one that ends badly ends the process.
  // (One that cannot say goodbye to a node that is dead is not, and goes on listening.)
  while (areGone && [...parts.values()].some(hasCalls)) await new Promise((r) => setTimeout(r, 5));
  await cluster?.stop();
  cluster = undefined;
  parts.clear();
});

const hasCalls = ({ shards }: { readonly shards: Shards }) =>
  (shards.counters()['rocketmq.callsOpen'] ?? 0) > 0;

async function started(): Promise<TestCluster> {
  const made = await testCluster({
    partsOf: (id) => ({
      makeShards(options: ShardsOptions) {
        const shards = localShards(options);
        parts.set(id, { options, shards });
        return shards;
      },
    }),
  });
  cluster = made;
  await made.ready();
  return made;
}

/** The views of groups as a listener has them, without a client in between: on a node that has no clients. */
function streamsOf(id: number): StreamViews {
  const { options, shards } = parts.get(id)!;
  const { system, replica, links } = options;
  const { view } = replica;
  const refOf = hostRefs(system, replica);
  const streams = new StreamViews({
    system,
    view,
    shard: 0,
    shardIncarnation: shards.incarnations()[0]!,
    leaderHost(logId) {
      const leader = view.log(logId)?.leader ?? -1;
      return leader < 0 ? undefined : refOf(leader, logId);
    },
  });
  watchLinks(links, (node, thread) => streams.linkEnded(node, thread));
  return streams;
}

function kafkaOf({ addresses }: TestCluster): Kafka {
  return new Kafka({
    brokers: addresses.map(({ host, kafkaPort }) => `${host}:${kafkaPort}`),
    logLevel: logLevel.NOTHING,
    retry: { initialRetryTime: 50, retries: 20 },
  });
}

const viewOf = (id: number) => parts.get(id)!.options.replica.view;

async function client<C extends ClientBase>(
  type: ClientClass<C>,
  id: number,
  options: object,
): Promise<C> {
  const { host, rocketmqPort } = cluster!.addresses[id - 1]!;
  const endpoints = `${host}:${rocketmqPort}`;
  const made = new type({ endpoints, namespace: '', requestTimeout: 20_000, ...options });
  clients.push(made);
  await made.startup();
  return made;
}

const producer = (id: number) => client(Producer, id, { topics: ['orders'] });
const consumer = (id: number, consumerGroup = 'readers', filter = '*') =>
  client(SimpleConsumer, id, {
    consumerGroup,
    subscriptions: new Map([['orders', filter]]),
    awaitDuration: 300,
  });

async function receiveAll(from: ConsumerClient, count: number): Promise<View[]> {
  const all: View[] = [];
  while (all.length < count) all.push(...(await from.receive(16, TEN_MINUTES_MS)));
  return all;
}

const bodies = (messages: readonly View[]) => messages.map(({ body }) => body.toString()).sort();
const names = (count: number, prefix = 'm') =>
  Array.from({ length: count }, (_, i) => `${prefix}${i}`).sort();

/** Receives until every name of brokers has said that there is nothing. */
async function nothingLeft(from: ConsumerClient): Promise<boolean> {
  for (let i = 0; i < 6; i += 1) {
    if ((await from.receive(16, TEN_MINUTES_MS)).length > 0) return false;
  }
  return true;
}

test('what a producer sends every group gets once, and acknowledges for itself', async () => {
  await started();
  const sender = await producer(1);
  for (const name of names(20)) {
    await sender.send({ topic: 'orders', tag: 't', body: Buffer.from(name) });
  }
  const first = await consumer(1);
  const messages = await receiveAll(first, 20);
  expect(bodies(messages)).toEqual(names(20));
  expect(messages.every(({ deliveryAttempt }) => deliveryAttempt === 1)).toBe(true);
  for (const message of messages) await first.ack(message);
  // It has nothing left, even on another node; another group has everything.
  expect(await nothingLeft(await consumer(2))).toBe(true);
  const other = await receiveAll(await consumer(2, 'others'), 20);
  expect(bodies(other)).toEqual(names(20));
});

test('messages wake whoever waits, leases end when they are told to, and filters leave out', async () => {
  await started();
  const sender = await producer(1);
  await sender.send({ topic: 'orders', tag: 'other', body: Buffer.from('no') });
  const receiver = await consumer(1, 'picky', 'wanted');
  const waiting = receiveAll(receiver, 1);
  await sender.send({ topic: 'orders', tag: 'wanted', body: Buffer.from('yes') });
  const [message] = await waiting;
  expect(message).toMatchObject({ tag: 'wanted', deliveryAttempt: 1 });
  expect(await nothingLeft(receiver)).toBe(true);
  await receiver.changeInvisibleDuration(message!, 0);
  const [again] = await receiveAll(receiver, 1);
  expect(again).toMatchObject({ messageId: message!.messageId, deliveryAttempt: 2 });
  await expect(receiver.ack(message!)).rejects.toThrow(/receipt handle/);
  await receiver.ack(again!);
  expect(await nothingLeft(receiver)).toBe(true);
});

test('what kafkajs produced is there, with its key and headers, packed or not', async () => {
  const kafka = kafkaOf(await started());
  const admin = kafka.admin();
  await admin.connect();
  await admin.createTopics({ topics: [{ topic: 'orders', numPartitions: 9 }] });
  await admin.disconnect();
  const sender = kafka.producer();
  await sender.connect();
  for (const compression of [0, 1]) {
    const messages = names(30, compression === 0 ? 'a' : 'b').map((value) => ({
      value,
      headers: { colour: 'blue' },
    }));
    await sender.send({ topic: 'orders', acks: -1, compression, messages });
  }
  await sender.disconnect();
  const receiver = await consumer(1);
  const got = await receiveAll(receiver, 60);
  expect(bodies(got)).toEqual([...names(30, 'a'), ...names(30, 'b')].sort());
  expect(got[0]!.properties.get('colour')).toBe('blue');
});

function receiveOf(
  streams: StreamViews,
  logIds: readonly number[],
  waitMs: number,
  then: (stop: () => void) => void = silent,
): Promise<readonly StreamMessage[]> {
  return new Promise((resolve, reject) => {
    const limits = { messagesMax: 16, bytesMax: 1_000_000, leaseMs: TEN_MINUTES_MS };
    const wish = { group: 'g', logIds, ...limits, waitMs };
    const stop = streams.receive(wish, (result, messages) => {
      if (result === 'ok') resolve(messages);
      else reject(new Error(result));
    });
    then(stop);
  });
}

interface Filled {
  readonly streams: StreamViews;
  readonly logs: readonly { readonly logId: number; readonly leader: number }[];
  /** Spread over the logs. */
  send(bodies: readonly string[]): Promise<void>;
}

/** The topic, and the views of groups of node 1, without a client. */
async function withoutClients(): Promise<Filled> {
  await started();
  const streams = streamsOf(1);
  const { shards } = parts.get(1)!;
  await autoCreate(shards.changes, 'orders', 10_000);
  const { logs } = viewOf(1).destination('orders')!;
  const send = async (bodies: readonly string[]) => {
    const sender = kafkaOf(cluster!).producer();
    await sender.connect();
    const messages = bodies.map((value, at) => ({ value, partition: at % logs.length }));
    await sender.send({ topic: 'orders', messages });
    await sender.disconnect();
  };
  return { streams, logs, send };
}

test('an answer that got lost takes back nothing that was heard before', async () => {
  const { streams, logs, send } = await withoutClients();
  await send(names(3));
  const { logId, leader } = logs.find((log) => log.leader !== 1)!;
  const received = await receiveOf(streams, [logId], 10_000);
  expect(received).toHaveLength(1);
  const loses = () => setTimeout(() => streams.linkEnded(leader, 0), 100);
  await expect(receiveOf(streams, [logId], TEN_MINUTES_MS, loses)).rejects.toThrow('not-available');
  expect(await receiveOf(streams, [logId], 500)).toEqual([]);
});

test('a wait that is given up takes nothing with it, and what was given back is as new', async () => {
  const { streams, logs, send } = await withoutClients();
  await send(['first']);
  const logIds = logs.map(({ logId }) => logId);
  const receive = (waitMs: number, isStopped = false) =>
    receiveOf(streams, logIds, waitMs, (stop) => {
      if (isStopped) setTimeout(stop, 100);
    });
  const [first] = await receive(10_000);
  expect(first).toMatchObject({ returns: 0 });
  const given = await new Promise<readonly boolean[]>((resolve) => {
    const verdict = { kind: 'give-back' } as const;
    const done = (_: string, held: readonly boolean[]) => resolve(held);
    streams.settle('g', first!.logId, verdict, [first!], 10_000, done);
  });
  expect(given).toEqual([true]);
  expect(await receive(10_000)).toMatchObject([{ offset: first!.offset, returns: 0 }]);
  expect(await receive(TEN_MINUTES_MS, true)).toEqual([]);
  await send(names(3));
  const rest: string[] = [];
  while (rest.length < 3) {
    rest.push(...(await receive(10_000)).map(({ value }) => Buffer.from(value!).toString()));
  }
  expect(rest.sort()).toEqual(names(3));
});

test('a leader dies: what was acknowledged stays so, what was out comes again', async () => {
  const running = await started();
  const sender = await producer(1);
  for (const name of names(12)) await sender.send({ topic: 'orders', body: Buffer.from(name) });
  const receiver = await consumer(1);
  const messages = await receiveAll(receiver, 12);
  const isEven = (_: View, i: number) => i % 2 === 0;
  for (const message of messages.filter(isEven)) await receiver.ack(message);
  const view = viewOf(1);
  const logs = () => view.destination('orders')!.logs;
  const victim = logs().find(({ leader }) => leader !== 1)!.leader;
  await running.stopNode(victim);
  while (logs().some(({ leader }) => leader === victim || leader < 0)) {
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  const out = messages.filter((message, i) => !isEven(message, i));
  // Clients ask for routes every half minute; a new one of the group knows the new one at once.
  const second = await consumer(1);
  const again: View[] = [];
  for (let empty = 0; empty < 8; ) {
    const more = await second.receive(16, TEN_MINUTES_MS);
    empty = more.length === 0 ? empty + 1 : 0;
    again.push(...more);
  }
  // Those of the log that moved, once; leases of the others go on.
  const came = bodies(again);
  expect(came.length).toBeGreaterThan(0);
  expect(new Set(came).size).toBe(came.length);
  expect(bodies(out)).toEqual(expect.arrayContaining(came));
  // Late acknowledgements of what was out before count where nobody else has the message.
  for (const message of again) await second.ack(message);
  const rest = out.filter((message) => !came.includes(message.body.toString()));
  for (const message of rest) await second.ack(message);
  expect(await nothingLeft(second)).toBe(true);
});

test('a queue of AMQP is a topic: its messages go to whoever asks, of any group and protocol', async () => {
  const { addresses } = await started();
  const { host, amqpPort } = addresses[1]!;
  const connection = await connect(`amqp://${host}:${amqpPort}`);
  const channel = await connection.createConfirmChannel();
  await channel.assertQueue('tasks', { durable: true });
  const taker = (consumerGroup: string, filter = '*') =>
    client(SimpleConsumer, 1, {
      consumerGroup,
      subscriptions: new Map([['tasks', filter]]),
      awaitDuration: 300,
    });
  // What AMQP publishes, one group takes and the other does not get.
  for (const name of names(6)) channel.sendToQueue('tasks', Buffer.from(name));
  await channel.waitForConfirms();
  const [first, second] = [await taker('first'), await taker('second')];
  const taken = await first.receive(4, TEN_MINUTES_MS);
  const rest = await second.receive(16, TEN_MINUTES_MS);
  expect(bodies([...taken, ...rest])).toEqual(names(6));
  for (const message of rest) await second.ack(message);
  await first.ack(taken[0]!);
  // What is given back an AMQP consumer gets, marked; what is out it does not.
  await first.changeInvisibleDuration(taken[1]!, 0);
  const got: { readonly body: string; readonly again: boolean }[] = [];
  await channel.consume('tasks', (message) => {
    if (message === null) return;
    got.push({ body: message.content.toString(), again: message.fields.redelivered });
    channel.ack(message);
  });
  await expect.poll(() => got).toEqual([{ body: taken[1]!.body.toString(), again: true }]);
  expect(await channel.checkQueue('tasks')).toMatchObject({ messageCount: 0, consumerCount: 1 });
  // What RocketMQ sends its consumer gets.
  const sender = await client(Producer, 3, { topics: ['tasks'] });
  await sender.send({ topic: 'tasks', body: Buffer.from('sent') });
  await expect.poll(() => got.map(({ body }) => body)).toContain('sent');
  for (const message of taken.slice(2)) await first.ack(message);
  await connection.close();
  // Filters would lose messages to others.
  const picky = await taker('picky', 'wanted');
  await expect(picky.receive(1, TEN_MINUTES_MS)).rejects.toThrow(/filters are for topics/);
});
