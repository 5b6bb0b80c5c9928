// Folders that were copied, put back, or are in use: what a node may do with one that is not its own any more.
import {
  cpSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Kafka, logLevel } from 'kafkajs';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { NodeEvent, RunningNode } from '../../src/assembly/node-config.ts';
import { type TestCluster, testCluster } from './support/cluster.ts';

let root: string;
let cluster: TestCluster | undefined;
let double: RunningNode | undefined;

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'callboard-folders-'));
});

afterEach(async () => {
  await double?.stop();
  double = undefined;
  await cluster?.stop();
  cluster = undefined;
  rmSync(root, { recursive: true, force: true });
});

const folderOf = (id: number): string => join(root, `node-${id}`);

async function started(nodes = 3): Promise<TestCluster> {
  cluster = await testCluster({ nodes, dataRoot: folderOf });
  await cluster.ready();
  return cluster;
}

async function withKafka<T>(running: TestCluster, work: (kafka: Kafka) => Promise<T>): Promise<T> {
  return work(
    new Kafka({
      brokers: running.addresses.map(({ host, kafkaPort }) => `${host}:${kafkaPort}`),
      logLevel: logLevel.NOTHING,
      retry: { initialRetryTime: 50, maxRetryTime: 500, retries: 30 },
    }),
  );
}

const produce = (running: TestCluster, value: string) =>
  withKafka(running, async (kafka) => {
    const producer = kafka.producer();
    await producer.connect();
    await producer.send({ topic: 'kept', acks: -1, messages: [{ value }] });
    await producer.disconnect();
  });

const makeTopic = (running: TestCluster) =>
  withKafka(running, async (kafka) => {
    const admin = kafka.admin();
    await admin.connect();
    const topics = [{ topic: 'kept', numPartitions: 1, replicationFactor: 3 }];
    await admin.createTopics({ topics, waitForLeaders: true });
    await admin.disconnect();
  });

const read = (running: TestCluster, count: number) =>
  withKafka(running, async (kafka) => {
    const consumer = kafka.consumer({ groupId: `readers-${Math.random()}`, maxWaitTimeInMs: 200 });
    await consumer.connect();
    await consumer.subscribe({ topic: 'kept', fromBeginning: true });
    const got: string[] = [];
    await new Promise<void>((resolve, reject) => {
      const eachMessage = async ({ message }: { message: { value: Buffer | null } }) => {
        got.push(String(message.value));
        if (got.length >= count) resolve();
      };
      consumer.run({ eachMessage }).catch(reject);
    });
    await consumer.disconnect();
    return got;
  });

/** The next event of that kind that the node tells. */
const failureOf = (node: RunningNode): Promise<Extract<NodeEvent, { event: 'failed' }>> =>
  new Promise((resolve) => node.onEvent((event) => event.event === 'failed' && resolve(event)));

const identityIn = (folder: string) =>
  JSON.parse(readFileSync(join(folder, 'node.json'), 'utf8')) as Record<string, unknown>;

test('a second node on a folder in use is refused by name, and does not count itself in', async () => {
  const running = await started(1);
  const before = identityIn(folderOf(1));
  const refused = running.startDouble(1, folderOf(1));
  await expect(refused).rejects.toMatchObject({ code: 'NODE_FOLDER_TAKEN' });
  await expect(refused).rejects.toThrow(`used by process ${process.pid} on `);
  expect(identityIn(folderOf(1))).toEqual(before);
  await running.stopNode(1);
  expect(existsSync(join(folderOf(1), 'LOCK'))).toBe(false);
});

test('of two nodes with one number the later is told so, and the cluster goes on', async () => {
  const running = await started();
  await makeTopic(running);
  await produce(running, 'before');
  const copy = join(root, 'copy');
  cpSync(folderOf(3), copy, { recursive: true });
  // As on another machine, where the process that the locks name is not known.
  for (const part of ['', 'meta', 'shard-000']) rmSync(join(copy, part, 'LOCK'));
  const from = running.events.length;
  double = await running.startDouble(3, copy);
  const failure = await failureOf(double);
  expect(failure).toMatchObject({ code: 'NODE_RUNS_TWICE' });
  expect(failure.message).toMatch(/^node 3 runs already: node [12] is linked to another process/);
  await produce(running, 'after');
  expect(await read(running, 2)).toEqual(['before', 'after']);
  // Nobody was fenced, replaced or renamed.
  const told = running.events.slice(from).map(({ event }) => event.event);
  expect(told.filter((event) => event === 'failed' || event === 'leadersMoved')).toEqual([]);
  expect(identityIn(folderOf(3))).toMatchObject({ bootCounter: 1, dataIncarnation: 1 });
});

test('a node that was put back to an earlier state votes for nothing, and joins as a newcomer', async () => {
  const running = await started();
  await makeTopic(running);
  await produce(running, 'before');
  await running.stopNode(3);
  const backup = join(root, 'backup');
  cpSync(folderOf(3), backup, { recursive: true });
  await running.start(3, false);
  await running.ready([3]);
  await produce(running, 'lost in the backup');
  await running.stopNode(3);
  rmSync(folderOf(3), { recursive: true });
  cpSync(backup, folderOf(3), { recursive: true });
  const old = identityIn(folderOf(3));
  let from = running.events.length;
  await running.start(3, false);
  await running.told((event) => event.event === 'failed', from);
  const told = running.events.slice(from).find(({ event }) => event.event === 'failed');
  expect(told).toMatchObject({ node: 3, event: { code: 'NODE_ROLLED_BACK' } });
  await running.stopNode(3);
  const renamed = identityIn(folderOf(3));
  expect(renamed['incarnation']).not.toBe(old['incarnation']);
  expect(renamed['dataIncarnation']).toBeGreaterThan(Number(old['dataIncarnation']));
  expect(readdirSync(folderOf(3))).toContain(`meta-set-aside-${Number(old['bootCounter']) + 1}`);
  from = running.events.length;
  await running.start(3, false);
  await running.ready([3]);
  await running.told((event) => event.event === 'inSync' && event.node === 3, from);
  // From here on the metadata group and every set of replicas need the newcomer.
  await running.stopNode(1);
  await produce(running, 'after');
  expect(await read(running, 3)).toEqual(['before', 'lost in the backup', 'after']);
});

/** A bit of the first group of what Raft has written: others follow it, so it is no unfinished end. */
function damageMetadata(folder: string): void {
  const wals = readdirSync(join(folder, 'meta'), { recursive: true })
    .map(String)
    .filter((file) => file.endsWith('.wal'))
    .sort();
  const path = join(folder, 'meta', wals[0]!);
  const bytes = readFileSync(path);
  bytes[4096 + 100]! ^= 1;
  writeFileSync(path, bytes);
}

test.each([
  ['damaged', damageMetadata],
  ['gone', (folder: string) => rmSync(join(folder, 'meta'), { recursive: true })],
])('a node whose metadata is %s votes for nothing, and joins as a newcomer', async (_how, lose) => {
  const running = await started();
  await makeTopic(running);
  await produce(running, 'before');
  await running.stopNode(3);
  lose(folderOf(3));
  const old = identityIn(folderOf(3));
  let from = running.events.length;
  await running.start(3, false);
  await running.told((event) => event.event === 'failed', from);
  const told = running.events.slice(from).find(({ event }) => event.event === 'failed');
  expect(told).toMatchObject({ node: 3, event: { code: 'NODE_METADATA_LOST' } });
  await running.stopNode(3);
  expect(identityIn(folderOf(3))['incarnation']).not.toBe(old['incarnation']);
  from = running.events.length;
  await running.start(3, false);
  await running.ready([3]);
  await running.told((event) => event.event === 'inSync' && event.node === 3, from);
  // From here on the metadata group needs the newcomer.
  await running.stopNode(1);
  await produce(running, 'after');
  expect(await read(running, 2)).toEqual(['before', 'after']);
});

test('the metadata of a cluster of one is not made anew when it is lost', async () => {
  const running = await started(1);
  await running.stopNode(1);
  damageMetadata(folderOf(1));
  await expect(running.start(1, false)).rejects.toMatchObject({ code: 'NODE_METADATA_LOST' });
});
