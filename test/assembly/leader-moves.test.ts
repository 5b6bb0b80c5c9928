// Leaders that move as planned, in whole nodes and under clients that know nothing of it: queues under amqplib, topics
// under the RocketMQ client. Replicas are put into another order, and the first one is handed the log.
import { connect } from 'amqplib';
import { afterEach, expect, test } from 'vitest';
import type { ProbedNode } from '../../src/assembly/probe.ts';
import { DEFAULT_TIMING } from '../../src/assembly/timing.ts';
import {
  CreateTopics,
  ElectLeaders,
  ListOffsets,
  Produce,
} from '../../src/protocols/kafka/codec/index.ts';
import { KafkaErrorCode as E } from '../../src/protocols/kafka/errors.ts';
import { type ClientBase, Producer, SimpleConsumer } from '../fixtures/rocketmq-client.ts';
import { batchOf } from '../protocols/kafka/harness.ts';
import { type TestCluster, testCluster } from './support/cluster.ts';
import { KafkaCaller } from './support/kafka-caller.ts';

const ORDERS = [
  [2, 1, 3],
  [3, 2, 1],
  [1, 2, 3],
  [2, 3, 1],
];
const CHANGE_MS = 5_000;
const TEN_MINUTES_MS = 600_000;

const clients: ClientBase[] = [];
let cluster: TestCluster | undefined;
/** By log: the epochs that ended as planned. */
let moved = new Map<number, Set<number>>();
let heard: (() => void)[] = [];

afterEach(async () => {
  for (const client of clients.splice(0)) await client.shutdown().catch(() => undefined);
  await cluster?.stop();
  cluster = undefined;
  moved = new Map();
  heard = [];
});

async function started(preferredIntervalMs = 100): Promise<TestCluster> {
  const { controller } = DEFAULT_TIMING;
  cluster = await testCluster({
    parts: {
      timing: { controller: { ...controller, preferredIntervalMs } },
      onMetadata(changes) {
        for (const change of changes) {
          if (change.kind !== 'leader-moved') continue;
          const epochs = moved.get(change.logId) ?? new Set();
          moved.set(change.logId, epochs.add(change.epoch));
        }
        for (const wake of heard.splice(0)) wake();
      },
    },
  });
  await cluster.ready();
  return cluster;
}

const probeOf = (id: number) => (cluster!.nodes.get(id) as ProbedNode).probe();

/** Every log of the destination is led by each node in turn. */
async function moveAround(destination: string, logs: number): Promise<void> {
  const logIds = Array.from({ length: logs }, (_, at) => probeOf(1).logOf(destination, at)!);
  for (const replicas of ORDERS) {
    for (const logId of logIds) {
      const answer = await probeOf(1).operations!.reassign(logId, replicas, CHANGE_MS);
      expect(answer.kind).toBe('ok');
    }
    const first = replicas[0]!;
    const isThere = (logId: number) => probeOf(1).leaderOf(logId) === first;
    while (!logIds.every(isThere)) await new Promise<void>((resolve) => heard.push(resolve));
  }
}

test('a queue moves under publishes and a consumer: all is confirmed, and comes in order', async () => {
  const { addresses } = await started();
  const urlOf = (id: number) => `amqp://${addresses[id - 1]!.host}:${addresses[id - 1]!.amqpPort}`;
  const [to, from] = [await connect(urlOf(1)), await connect(urlOf(2))];
  const channel = await to.createConfirmChannel();
  const reader = await from.createChannel();
  await channel.assertQueue('orders', { durable: true });
  const got: number[] = [];
  const again = new Set<number>();
  let cancelled = false;
  let wake: () => void = () => undefined;
  await reader.prefetch(10);
  await reader.consume('orders', (message) => {
    if (message === null) {
      cancelled = true;
      return;
    }
    const value = Number(message.content.toString());
    if (message.fields.redelivered) again.add(value);
    else got.push(value);
    reader.ack(message);
    wake();
  });
  let isMoving = true;
  let sent = 0;
  const refused: number[] = [];
  const publishing = (async () => {
    while (isMoving) {
      const value = sent;
      sent += 1;
      await new Promise<void>((resolve) => {
        channel.sendToQueue('orders', Buffer.from(`${value}`), { persistent: true }, (error) => {
          if (error !== null) refused.push(value);
          resolve();
        });
      });
    }
  })();
  await moveAround('orders', 1);
  isMoving = false;
  await publishing;
  const isAll = () => new Set([...got, ...again]).size === sent;
  while (!isAll()) {
    await new Promise<void>((resolve) => {
      wake = resolve;
    });
  }
  expect(refused).toEqual([]);
  expect(cancelled).toBe(false);
  expect(got).toEqual([...got].sort((a, b) => a - b));
  expect(new Set(got).size).toBe(got.length);
  expect(moved.get(probeOf(1).logOf('orders', 0)!)!.size).toBeGreaterThanOrEqual(3);
  await to.close();
  await from.close();
});

test('a topic moves under RocketMQ sends and receives: each is stored once, and comes once', async () => {
  const { addresses } = await started();
  const { host, rocketmqPort } = addresses[0]!;
  const base = { endpoints: `${host}:${rocketmqPort}`, namespace: '', requestTimeout: 20_000 };
  const producer = new Producer({ ...base, topics: ['orders'] });
  clients.push(producer);
  await producer.startup();
  const sent: string[] = [];
  const send = async () => {
    const body = `m${sent.length}`;
    await producer.send({ topic: 'orders', tag: 't', body: Buffer.from(body) });
    sent.push(body);
  };
  await send();
  const consumer = new SimpleConsumer({
    ...base,
    consumerGroup: 'readers',
    subscriptions: new Map([['orders', '*']]),
    awaitDuration: 300,
  });
  clients.push(consumer);
  await consumer.startup();
  const got: string[] = [];
  let isMoving = true;
  const sending = (async () => {
    while (isMoving) await send();
  })();
  const receiving = (async () => {
    while (isMoving || got.length < sent.length) {
      for (const message of await consumer.receive(16, TEN_MINUTES_MS)) {
        got.push(message.body.toString());
        await consumer.ack(message);
      }
    }
  })();
  await moveAround('orders', 3);
  isMoving = false;
  await sending;
  await receiving;
  expect(got.sort()).toEqual(sent.sort());
  expect(moved.size).toBeGreaterThanOrEqual(3);
});

/** What only the leader answers for, as fast as it does, until it is told to end. */
async function producing(topic: string, isGoingOn: () => boolean): Promise<number[]> {
  const sent: number[] = [];
  const callers = cluster!.addresses.map((address) => new KafkaCaller(address));
  while (isGoingOn()) {
    const value = sent.length;
    const records = batchOf(`${value}`);
    const topicData = [{ name: topic, partitionData: [{ index: 0, records }] }];
    const body = { acks: 1, timeoutMs: CHANGE_MS, topicData };
    const at = (probeOf(1).leaderOf(probeOf(1).logOf(topic, 0)!) ?? 1) - 1;
    const answer = await callers[Math.max(at, 0)]!.call(Produce, 7, body);
    if (answer.responses[0]!.partitionResponses[0]!.errorCode === E.NONE) sent.push(value);
  }
  for (const caller of callers) caller.close();
  return sent;
}

/** Offsets that the present leader has, once it leads. */
async function endOf(topic: string): Promise<number> {
  for (;;) {
    const offset = await endNow(topic);
    if (offset >= 0) return offset;
  }
}

async function endNow(topic: string): Promise<number> {
  const leader = probeOf(1).leaderOf(probeOf(1).logOf(topic, 0)!)!;
  const caller = new KafkaCaller(cluster!.addresses[leader - 1]!);
  const partitions = [{ partitionIndex: 0, timestamp: -1 }];
  const answer = await caller.call(ListOffsets, 2, {
    replicaId: -1,
    isolationLevel: 0,
    topics: [{ name: topic, partitions }],
  });
  caller.close();
  return answer.topics[0]!.partitions[0]!.offset;
}

async function makeTopic(name: string, brokerIds: readonly number[]): Promise<number> {
  const caller = new KafkaCaller(cluster!.addresses[0]!);
  const assignments = [{ partitionIndex: 0, brokerIds: [...brokerIds] }];
  const topic = { name, numPartitions: -1, replicationFactor: -1, assignments, configs: [] };
  await caller.call(CreateTopics, 5, { topics: [topic], timeoutMs: CHANGE_MS });
  caller.close();
  return probeOf(1).logOf(name, 0)!;
}

test('the first replica that is elected is handed the topic: what the leader alone answered is there', async () => {
  await started(TEN_MINUTES_MS);
  const logId = await makeTopic('t', [1, 2, 3]);
  let isMoving = true;
  const sending = producing('t', () => isMoving);
  for (const replicas of ORDERS) {
    await probeOf(1).operations!.reassign(logId, replicas, CHANGE_MS);
    const caller = new KafkaCaller(cluster!.addresses[0]!);
    const topicPartitions = [{ topic: 't', partitions: [0] }];
    const body = { electionType: 0, topicPartitions, timeoutMs: 30_000 };
    const answer = await caller.call(ElectLeaders, 2, body);
    caller.close();
    expect(answer.replicaElectionResults[0]!.partitionResult[0]!.errorCode).toBe(E.NONE);
    expect(probeOf(1).leaderOf(logId)).toBe(replicas[0]);
  }
  isMoving = false;
  const sent = await sending;
  expect(moved.get(logId)!.size).toBe(ORDERS.length);
  expect(await endOf('t')).toBe(sent.length);
});

test('the only replica of a topic moves: its leader hands over to the newcomer', async () => {
  await started(TEN_MINUTES_MS);
  const logId = await makeTopic('t', [1]);
  let isMoving = true;
  const sending = producing('t', () => isMoving);
  for (const node of [2, 3, 1]) {
    await probeOf(1).operations!.reassign(logId, [node], CHANGE_MS);
    while (probeOf(1).leaderOf(logId) !== node) {
      await new Promise<void>((resolve) => heard.push(resolve));
    }
  }
  isMoving = false;
  const sent = await sending;
  expect(moved.get(logId)!.size).toBe(3);
  expect(await endOf('t')).toBe(sent.length);
});
