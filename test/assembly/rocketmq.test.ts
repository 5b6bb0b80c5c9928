// rocketmq-client-nodejs as it is against a node of a real cluster in this process: over TCP and HTTP/2, through
// the session and the views of groups, to logs that three nodes replicate. The test starts the listener.
import { createRequire } from 'node:module';
import { Kafka, logLevel } from 'kafkajs';
import { afterEach, expect, test } from 'vitest';
import { hostRefs } from '../../src/assembly/host-refs.ts';
import { localShards } from '../../src/assembly/local-shards.ts';
import { changesOf, type Shards, type ShardsOptions } from '../../src/assembly/shards.ts';
import { watchLinks } from '../../src/assembly/watch-links.ts';
import type { StreamMessage } from '../../src/broker/access/stream-api.ts';
import { StreamViews } from '../../src/broker/access/stream-views.ts';
import { createGrpcServer } from '../../src/env/node/grpc.ts';
import type { NodeNet } from '../../src/env/node/net.ts';
import { createRocketBroker, handleKeyOf } from '../../src/protocols/rocketmq/grpc/broker.ts';
import { createRocketGrpcService } from '../../src/protocols/rocketmq/grpc/listener.ts';
import { type TestCluster, testCluster } from './support/cluster.ts';

interface View {
  readonly messageId: string;
  readonly body: Buffer;
  readonly tag?: string;
  readonly properties: ReadonlyMap<string, string>;
  readonly deliveryAttempt: number;
}

interface ClientBase {
  startup(): Promise<void>;
  shutdown(): Promise<void>;
}
interface ProducerClient extends ClientBase {
  send(message: object): Promise<{ readonly messageId: string; readonly offset: number }>;
}
interface ConsumerClient extends ClientBase {
  receive(count: number, invisibleMs: number): Promise<View[]>;
  ack(message: View): Promise<void>;
  changeInvisibleDuration(message: View, invisibleMs: number): Promise<void>;
}
type ClientClass<C> = new (options: object) => C;

const require = createRequire(import.meta.url);
const { Producer, SimpleConsumer } = require('rocketmq-client-nodejs') as {
  Producer: ClientClass<ProducerClient>;
  SimpleConsumer: ClientClass<ConsumerClient>;
};

const silent = (): void => undefined;
const logger = { debug: silent, info: silent, warn: silent, error: silent };
const TEN_MINUTES_MS = 600_000;

interface Listening {
  readonly endpoints: string;
  readonly streams: StreamViews;
  readonly options: ShardsOptions;
  close(): Promise<void>;
}

const parts = new Map<number, { options: ShardsOptions; shards: Shards }>();
const clients: ClientBase[] = [];
const listeners: Listening[] = [];
let cluster: TestCluster | undefined;

afterEach(async () => {
  for (const client of clients.splice(0)) await client.shutdown().catch(silent);
  for (const listener of listeners.splice(0)) await listener.close();
  await cluster?.stop();
  cluster = undefined;
  parts.clear();
});

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

/** A RocketMQ listener on a node, as a node will start it. */
async function listen(id: number): Promise<Listening> {
  const { options, shards } = parts.get(id)!;
  const { system, replica, env, links, config } = options;
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
  watchLinks(links, id, config.nodes, (node, thread) => streams.linkEnded(node, thread));
  const broker = createRocketBroker({
    view,
    metadata: changesOf(options),
    settings: { autoCreate: true, defaultPartitions: 3 },
    streams,
    crc32c: env.crc32c.bind(env),
  });
  const { log } = env;
  const handleKey = handleKeyOf(config.clusterId);
  const service = createRocketGrpcService({ env, log, broker, handleKey });
  const grpc = createGrpcServer({
    net: env.net as NodeNet,
    clock: env.clock,
    timers: env.timers,
    log,
  });
  const limits = { messageBytesMax: 8 * 1024 * 1024 };
  const listener = await grpc.listen({ host: '127.0.0.1', port: 0 }, service, limits);
  const listening = {
    endpoints: `127.0.0.1:${listener.address.port}`,
    streams,
    options,
    async close() {
      // A client that shuts down no longer listens to its streams: one that ends badly ends the process.
      while (listener.counters.callsOpen > 0) await new Promise((r) => setTimeout(r, 5));
      listener.close();
      service.close();
    },
  };
  listeners.push(listening);
  return listening;
}

async function client<C extends ClientBase>(
  type: ClientClass<C>,
  { endpoints }: Listening,
  options: object,
): Promise<C> {
  const made = new type({ endpoints, namespace: '', logger, requestTimeout: 20_000, ...options });
  clients.push(made);
  await made.startup();
  return made;
}

const producer = (at: Listening) => client(Producer, at, { topics: ['orders'] });
const consumer = (at: Listening, consumerGroup = 'readers', filter = '*') =>
  client(SimpleConsumer, at, {
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
  const at = await listen(1);
  const sender = await producer(at);
  for (const name of names(20)) {
    await sender.send({ topic: 'orders', tag: 't', body: Buffer.from(name) });
  }
  const first = await consumer(at);
  const messages = await receiveAll(first, 20);
  expect(bodies(messages)).toEqual(names(20));
  expect(messages.every(({ deliveryAttempt }) => deliveryAttempt === 1)).toBe(true);
  for (const message of messages) await first.ack(message);
  // It has nothing left, even on another node; another group has everything.
  const elsewhere = await listen(2);
  expect(await nothingLeft(await consumer(elsewhere))).toBe(true);
  const other = await receiveAll(await consumer(elsewhere, 'others'), 20);
  expect(bodies(other)).toEqual(names(20));
});

test('messages wake whoever waits, leases end when they are told to, and filters leave out', async () => {
  await started();
  const at = await listen(1);
  const sender = await producer(at);
  await sender.send({ topic: 'orders', tag: 'other', body: Buffer.from('no') });
  const receiver = await consumer(at, 'picky', 'wanted');
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
  const { addresses } = await started();
  const at = await listen(1);
  const kafka = new Kafka({
    brokers: addresses.map(({ host, kafkaPort }) => `${host}:${kafkaPort}`),
    logLevel: logLevel.NOTHING,
    retry: { initialRetryTime: 50, retries: 20 },
  });
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
  const receiver = await consumer(at);
  const got = await receiveAll(receiver, 60);
  expect(bodies(got)).toEqual([...names(30, 'a'), ...names(30, 'b')].sort());
  expect(got[0]!.properties.get('colour')).toBe('blue');
});

function receiveOf(
  { streams }: Listening,
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

test('an answer that got lost takes back nothing that was heard before', async () => {
  await started();
  const at = await listen(1);
  const sender = await producer(at);
  for (const name of names(3)) await sender.send({ topic: 'orders', body: Buffer.from(name) });
  const { view } = at.options.replica;
  const { logId, leader } = view.destination('orders')!.logs.find((log) => log.leader !== 1)!;
  const received = await receiveOf(at, [logId], 10_000);
  expect(received).toHaveLength(1);
  const loses = () => setTimeout(() => at.streams.linkEnded(leader, 0), 100);
  await expect(receiveOf(at, [logId], TEN_MINUTES_MS, loses)).rejects.toThrow('not-available');
  expect(await receiveOf(at, [logId], 500)).toEqual([]);
});

test('a wait that is given up takes nothing with it, and what was given back is as new', async () => {
  await started();
  const at = await listen(1);
  const sender = await producer(at);
  await sender.send({ topic: 'orders', body: Buffer.from('first') });
  const { view } = at.options.replica;
  const logIds = view.destination('orders')!.logs.map(({ logId }) => logId);
  const receive = (waitMs: number, isStopped = false) =>
    receiveOf(at, logIds, waitMs, (stop) => {
      if (isStopped) setTimeout(stop, 100);
    });
  const [first] = await receive(10_000);
  expect(first).toMatchObject({ returns: 0 });
  const given = await new Promise<readonly boolean[]>((resolve) => {
    const verdict = { kind: 'give-back' } as const;
    const done = (_: string, held: readonly boolean[]) => resolve(held);
    at.streams.settle('g', first!.logId, verdict, [first!], 10_000, done);
  });
  expect(given).toEqual([true]);
  expect(await receive(10_000)).toMatchObject([{ offset: first!.offset, returns: 0 }]);
  expect(await receive(TEN_MINUTES_MS, true)).toEqual([]);
  for (const name of names(3)) await sender.send({ topic: 'orders', body: Buffer.from(name) });
  const rest: string[] = [];
  while (rest.length < 3) {
    rest.push(...(await receive(10_000)).map(({ value }) => Buffer.from(value!).toString()));
  }
  expect(rest.sort()).toEqual(names(3));
});

test('a leader dies: what was acknowledged stays so, what was out comes again', async () => {
  const running = await started();
  const at = await listen(1);
  const sender = await producer(at);
  for (const name of names(12)) await sender.send({ topic: 'orders', body: Buffer.from(name) });
  const receiver = await consumer(at);
  const messages = await receiveAll(receiver, 12);
  const isEven = (_: View, i: number) => i % 2 === 0;
  for (const message of messages.filter(isEven)) await receiver.ack(message);
  const { view } = at.options.replica;
  const logs = () => view.destination('orders')!.logs;
  const victim = logs().find(({ leader }) => leader !== 1)!.leader;
  await running.stopNode(victim);
  while (logs().some(({ leader }) => leader === victim || leader < 0)) {
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  const out = messages.filter((message, i) => !isEven(message, i));
  const again: View[] = [];
  for (let empty = 0; empty < 8; ) {
    const more = await receiver.receive(16, TEN_MINUTES_MS).catch(() => [] as View[]);
    empty = more.length === 0 ? empty + 1 : 0;
    again.push(...more);
  }
  // Those of the log that moved, once; leases of the others go on.
  const came = bodies(again);
  expect(came.length).toBeGreaterThan(0);
  expect(new Set(came).size).toBe(came.length);
  expect(bodies(out)).toEqual(expect.arrayContaining(came));
  // Late acknowledgements of what was out before count where nobody else has the message.
  for (const message of again) await receiver.ack(message);
  const rest = out.filter((message) => !came.includes(message.body.toString()));
  for (const message of rest) await receiver.ack(message);
  expect(await nothingLeft(receiver)).toBe(true);
});
