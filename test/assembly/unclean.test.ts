// A partition whose in-sync replicas are all gone, over whole nodes: it waits, until somebody says that loss is better;
// then it goes on, and what was lost is told to whoever asks.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { ApiReplicas } from '../../src/admin/api-types.ts';
import { replicaLines } from '../../src/cli/topic.ts';
import { CreateTopics, ElectLeaders, Produce } from '../../src/protocols/kafka/codec/index.ts';
import { KafkaErrorCode as E } from '../../src/protocols/kafka/errors.ts';
import { batchOf } from '../protocols/kafka/harness.ts';
import { type TestCluster, testCluster } from './support/cluster.ts';
import { KafkaCaller } from './support/kafka-caller.ts';

const UNCLEAN = 1;
let root: string;
let cluster: TestCluster | undefined;

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'callboard-unclean-'));
});

afterEach(async () => {
  await cluster?.stop();
  cluster = undefined;
  rmSync(root, { recursive: true, force: true });
});

type Partition = ApiReplicas['partitions'][number];

async function replicas(): Promise<ApiReplicas> {
  const { host, httpPort } = cluster!.addresses[0]!;
  const answer = await fetch(`http://${host}:${httpPort}/api/topics/t/replicas`);
  return (await answer.json()) as ApiReplicas;
}

async function until(isSo: (partition: Partition) => boolean): Promise<Partition> {
  for (;;) {
    const [partition] = (await replicas()).partitions;
    if (partition !== undefined && isSo(partition)) return partition;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

async function produce(node: number, value: string): Promise<void> {
  const caller = new KafkaCaller(cluster!.addresses[node - 1]!);
  const partitionData = [{ index: 0, records: batchOf(value) }];
  const topicData = [{ name: 't', partitionData }];
  const answer = await caller.call(Produce, 7, { acks: -1, timeoutMs: 30_000, topicData });
  caller.close();
  expect(answer.responses[0]!.partitionResponses[0]!.errorCode).toBe(E.NONE);
}

test('ElectLeaders of type unclean: who is left leads, and the loss is told', async () => {
  const made = await testCluster({ dataRoot: (id) => join(root, `node-${id}`) });
  cluster = made;
  await made.ready();
  const first = new KafkaCaller(made.addresses[0]!);
  const assignments = [{ partitionIndex: 0, brokerIds: [2, 3] }];
  const configs = [{ name: 'min.insync.replicas', value: '1' }];
  const topic = { name: 't', numPartitions: -1, replicationFactor: -1, assignments, configs };
  await first.call(CreateTopics, 5, { topics: [topic], timeoutMs: 30_000 });
  await until(({ leader, endOffset }) => leader === 2 && endOffset !== null);
  for (const value of ['a', 'b']) await produce(2, value);
  await until(({ replicas: all }) => all.every(({ endOffset }) => endOffset === 2));
  await made.stopNode(3);
  const alone = await until(({ inSync }) => inSync.length === 1);
  expect(alone).toMatchObject({ assigned: [2, 3], inSync: [2], outOfSync: [3], minInsync: 1 });
  for (const value of ['c', 'd', 'e']) await produce(2, value);
  await made.stopNode(2);
  await made.start(3, false);
  await made.ready([3]);
  await until(({ leader, replicas: all }) => leader === null && all[1]!.state === 'out of sync');

  const body = { electionType: UNCLEAN, topicPartitions: [{ topic: 't', partitions: [0] }] };
  const answer = await first.call(ElectLeaders, 2, { ...body, timeoutMs: 30_000 });
  first.close();
  expect(answer.replicaElectionResults[0]!.partitionResult[0]).toMatchObject({ errorCode: E.NONE });
  const led = await until(({ leader, uncleanFrom }) => leader === 3 && uncleanFrom !== null);
  expect(led).toMatchObject({ uncleanFrom: 2, endOffset: 2, inSync: [3], outOfSync: [2] });
  await produce(3, 'new c');

  await made.start(2, false);
  await made.ready([2]);
  await until(({ inSync }) => inSync.length === 2);
  const told = await until(({ replicas: all }) => all.some(({ lost }) => lost !== null));
  expect(told.replicas[0]).toMatchObject({
    node: 2,
    state: 'in sync',
    endOffset: 3,
    lag: 0,
    lost: { from: 2, to: 5 },
  });
  const lines = replicaLines(await replicas()).join('\n');
  expect(lines).toMatch(/LOG +EPOCH +ISR +OSR +NODE +STATE +START +HW +LEO +LAG/);
  expect(lines).toContain(
    't-0: node 3 was elected at the price of loss: another history from 2 on',
  );
  expect(lines).toContain('t-0: node 2 had 3 records from 2 on that are lost');
}, 180_000);
