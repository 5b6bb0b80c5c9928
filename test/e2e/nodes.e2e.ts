// Five nodes as processes: one is drained and taken out while kafkajs writes and reads, and its folder is refused.
import { execFileSync, spawnSync } from 'node:child_process';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { ApiCluster } from '../../src/admin/api-types.ts';
import { BIN, type DevCluster, startDev, until } from '../../tools/lib/dev-cluster.mjs';
import { KafkaUser } from './support/kafka.ts';

const LEAVING = 5;
const PARTITIONS = 5;

let cluster: DevCluster;
let user: KafkaUser;

beforeAll(async () => {
  cluster = await startDev({ nodes: 5, restart: '500ms' });
  user = new KafkaUser(cluster.brokers);
}, 120_000);

afterAll(async () => {
  await user?.close();
  await cluster?.stop();
});

function run(...args: string[]): ApiCluster {
  const words = [BIN, 'cluster', ...args, '--json', '--data', cluster.data];
  return JSON.parse(execFileSync(process.execPath, words, { encoding: 'utf8' }));
}

it('a node is drained and removed under writes: nothing acknowledged is lost, and nobody waits for it', async () => {
  await user.topic('t', PARTITIONS);
  const producer = await user.producer({ retry: { retries: 20, maxRetryTime: 3_000 } });
  const sent: string[] = [];
  const state = { isOver: false };
  const writing = (async () => {
    for (let i = 0; !state.isOver; i += 1) {
      const value = `m${i}`;
      await producer.send({ topic: 't', messages: [{ value, partition: i % PARTITIONS }] });
      sent.push(value);
    }
  })();
  await until('some are written', () => sent.length > 20, 60_000);
  expect(run('info').nodes.map(({ state: is }) => is)).toEqual(Array(5).fill('live'));
  const early = spawnSync(process.execPath, [
    BIN,
    'cluster',
    'remove',
    '5',
    '--data',
    cluster.data,
  ]);
  expect(early.status).toBe(1);
  expect(String(early.stderr)).toContain('CLUSTER_NODE_IN_USE');
  const drained = run('drain', `${LEAVING}`, '--wait');
  expect(drained.nodes.find(({ id }) => id === LEAVING)).toMatchObject({
    state: 'drained',
    replicaCount: 0,
    leaderCount: 0,
  });
  const removed = run('remove', `${LEAVING}`);
  expect(removed.removedNodes).toEqual([LEAVING]);
  expect(removed.nodes.map(({ id }) => id)).toEqual([1, 2, 3, 4]);
  await until('it ends', () => cluster.logOf(LEAVING).includes('NODE_REMOVED'), 30_000);
  const before = sent.length;
  await until('writes go on', () => sent.length > before + 20, 60_000);
  state.isOver = true;
  await writing;
  const admin = await user.admin();
  const { topics } = await admin.fetchTopicMetadata({ topics: ['t'] });
  for (const { replicas, isr } of topics[0]!.partitions) {
    expect(replicas).not.toContain(LEAVING);
    expect(isr).toHaveLength(3);
  }
  const offsets = await admin.fetchTopicOffsets('t');
  const stored = offsets.reduce((sum, { high }) => sum + Number(high), 0);
  expect(stored).toBeGreaterThanOrEqual(sent.length);
  const got = new Set<string>();
  const consumer = await user.consumer({ groupId: 'reader' });
  await consumer.subscribe({ topic: 't', fromBeginning: true });
  await consumer.run({
    eachMessage: async ({ message }) => {
      got.add(String(message.value));
    },
  });
  await until('all are read', () => sent.every((value) => got.has(value)), 60_000);
}, 240_000);
