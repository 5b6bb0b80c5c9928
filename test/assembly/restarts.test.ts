// What a cluster keeps over the ends of its nodes: records, committed offsets, membership.
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Kafka, logLevel } from 'kafkajs';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { NodeEvent } from '../../src/assembly/node-config.ts';
import { type TestCluster, testCluster } from './support/cluster.ts';

let root: string;
let cluster: TestCluster | undefined;

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'callboard-restarts-'));
});

afterEach(async () => {
  await cluster?.stop();
  cluster = undefined;
  rmSync(root, { recursive: true, force: true });
});

const CLEAR_ERRORS = [
  'NOT_ENOUGH_REPLICAS',
  'NOT_LEADER_FOR_PARTITION',
  'LEADER_NOT_AVAILABLE',
  'REQUEST_TIMED_OUT',
];

const folderOf = (id: number): string => join(root, `node-${id}`);

async function startAll(): Promise<TestCluster> {
  cluster = await testCluster({ dataRoot: folderOf });
  await cluster.ready();
  return cluster;
}

function kafkaOf(running: TestCluster, retries = 30): Kafka {
  return new Kafka({
    brokers: running.addresses.map(({ host, kafkaPort }) => `${host}:${kafkaPort}`),
    logLevel: logLevel.NOTHING,
    retry: { initialRetryTime: 50, maxRetryTime: 500, retries },
  });
}

async function makeTopic(running: TestCluster, topic: string, partitions = 3): Promise<void> {
  const admin = kafkaOf(running).admin();
  await admin.connect();
  await admin.createTopics({ topics: [{ topic, numPartitions: partitions }] });
  await admin.disconnect();
}

/** Sends with acks=all and answers the values that were acknowledged. */
async function produce(running: TestCluster, topic: string, values: string[]): Promise<string[]> {
  const producer = kafkaOf(running).producer();
  await producer.connect();
  await producer.send({
    topic,
    acks: -1,
    messages: values.map((value) => ({ key: value, value })),
  });
  await producer.disconnect();
  return values;
}

/**
 * Reads from the group's offsets until all that is wanted is there, then commits and leaves. What came
 * twice counts once: a producer without a sequence repeats what it was not told of.
 */
async function consume(
  running: TestCluster,
  topic: string,
  groupId: string,
  wanted: readonly string[],
): Promise<string[]> {
  const consumer = kafkaOf(running).consumer({ groupId, maxWaitTimeInMs: 200 });
  await consumer.connect();
  await consumer.subscribe({ topic, fromBeginning: true });
  const got = new Set<string>();
  const missing = new Set(wanted);
  await new Promise<void>((resolve, reject) => {
    const eachMessage = async ({ message }: { message: { value: Buffer | null } }) => {
      got.add(String(message.value));
      missing.delete(String(message.value));
      if (missing.size === 0) resolve();
    };
    consumer.run({ eachMessage }).catch(reject);
  });
  await consumer.disconnect();
  return [...got].sort();
}

const values = (name: string, count: number): string[] =>
  Array.from({ length: count }, (_, index) => `${name}-${String(index).padStart(3, '0')}`);

test('all nodes stop and start on their folders: every record and every committed offset is there', async () => {
  const running = await startAll();
  await makeTopic(running, 'kept');
  const first = await produce(running, 'kept', values('a', 60));
  expect(await consume(running, 'kept', 'readers', first)).toEqual(first);
  const second = await produce(running, 'kept', values('b', 40));
  await Promise.all([1, 2, 3].map((id) => running.stopNode(id)));
  await Promise.all([1, 2, 3].map((id) => running.start(id, false)));
  await running.ready();
  expect(await consume(running, 'kept', 'readers', second)).toEqual(second);
  const all = [...first, ...second];
  expect(await consume(running, 'kept', 'others', all)).toEqual(all);
});

test('with one of three nodes down acks=all goes on; with two down it fails clearly, and recovers', async () => {
  const running = await startAll();
  await makeTopic(running, 'hurt');
  await produce(running, 'hurt', values('a', 10));
  await running.stopNode(3);
  await produce(running, 'hurt', values('b', 10));
  await running.stopNode(2);
  const producer = kafkaOf(running, 0).producer({ retry: { retries: 0 } });
  const refused = (async () => {
    await producer.connect();
    await producer.send({
      topic: 'hurt',
      acks: -1,
      timeout: 3_000,
      messages: [{ value: 'unheard' }],
    });
  })();
  const error = await refused.then(
    () => undefined,
    (thrown: unknown) => thrown as { type?: string; cause?: { type?: string } },
  );
  // A broker said so, in the time the client gave it; no connection was left to hang or to break.
  expect(CLEAR_ERRORS).toContain(error?.cause?.type ?? error?.type);
  await producer.disconnect();
  await Promise.all([2, 3].map((id) => running.start(id, false)));
  await running.ready([2, 3]);
  await produce(running, 'hurt', values('c', 10));
  const acked = [...values('a', 10), ...values('b', 10), ...values('c', 10)];
  // The refused record may be there too: nobody said that it is not.
  const got = await consume(running, 'hurt', 'all', acked);
  expect(got.filter((value) => value !== 'unheard')).toEqual(acked);
});

test('a node whose folder was lost comes back as a newcomer that votes, and holds everything again', async () => {
  const running = await startAll();
  await makeTopic(running, 'copied');
  const before = await produce(running, 'copied', values('a', 50));
  await running.stopNode(3);
  rmSync(folderOf(3), { recursive: true });
  const from = running.events.length;
  await running.start(3, false);
  await running.ready([3]);
  await running.told((event) => event.event === 'inSync' && event.node === 3, from);
  // From here on the majority of the metadata group, and every set of replicas, needs the newcomer.
  await running.stopNode(1);
  const after = await produce(running, 'copied', values('b', 50));
  const leaving = running.events.length;
  await running.start(1, false);
  await running.told((event) => event.event === 'inSync' && event.node === 1, leaving);
  await running.stopNode(2);
  const all = [...before, ...after];
  expect(await consume(running, 'copied', 'late', all)).toEqual(all);
});

test('the folders of a deleted topic are gone on every node', async () => {
  const running = await startAll();
  const count = (id: number): number => {
    const logs = join(folderOf(id), 'shard-000', 'logs');
    return readdirSync(logs, { withFileTypes: true })
      .filter((group) => group.isDirectory())
      .reduce((sum, group) => sum + readdirSync(join(logs, group.name)).length, 0);
  };
  await makeTopic(running, 'gone', 4);
  await produce(running, 'gone', values('a', 40));
  // A clean stop settles what is committed: only then a log has a folder.
  await Promise.all([1, 2, 3].map((id) => running.stopNode(id)));
  const before = [1, 2, 3].map(count);
  await Promise.all([1, 2, 3].map((id) => running.start(id, false)));
  await running.ready();
  const admin = kafkaOf(running).admin();
  await admin.connect();
  await admin.deleteTopics({ topics: ['gone'] });
  await admin.disconnect();
  await Promise.all([1, 2, 3].map((id) => running.stopNode(id)));
  const left = [1, 2, 3].map((id, at) => (before[at] ?? 0) - count(id));
  for (const freed of left) expect(freed).toBeGreaterThanOrEqual(4);
});

test('a node that stops gives its leaders away first, and does not wait for what nobody can take', async () => {
  // Far longer than the test may take: a stop that waits for its time is seen.
  const partsOf = (id: number) => (id === 2 ? { timing: { resignMs: 600_000 } } : {});
  const running = await testCluster({ partsOf });
  cluster = running;
  await running.ready();
  const admin = kafkaOf(running).admin();
  await admin.connect();
  const replicaAssignment = [{ partition: 0, replicas: [2] }];
  await admin.createTopics({
    waitForLeaders: true,
    topics: [
      { topic: 'shared', numPartitions: 6, replicationFactor: 3 },
      { topic: 'alone', numPartitions: -1, replicationFactor: -1, replicaAssignment },
    ],
  });
  const leadersOf = async (topic: string) => {
    const { topics } = await admin.fetchTopicMetadata({ topics: [topic] });
    return topics.flatMap((one) => one.partitions.map(({ leader }) => leader));
  };
  expect(await leadersOf('shared')).toContain(2);
  expect(await leadersOf('alone')).toEqual([2]);
  await running.stopNode(2);
  const isGone = (event: NodeEvent) => event.event === 'leadersMoved' && event.node === 2;
  await running.told(isGone);
  // When it was found to be gone there was nothing left to move.
  expect(running.events.map(({ event }) => event).find(isGone)).toMatchObject({ count: 0 });
  await admin.disconnect();
});
