// Records that go, in a real cluster: the folders of all nodes shrink, and what was deleted stays deleted when every
// process is killed.
import fs from 'node:fs';
import { join } from 'node:path';
import { type Admin, ConfigResourceTypes } from 'kafkajs';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { type DevCluster, freshFolder, startDev, until } from '../../tools/lib/dev-cluster.mjs';
import { KafkaUser, numbered, take, untilTaken } from './support/kafka.ts';

const MB = 1_000_000;

let data: string;
let cluster: DevCluster | undefined;
let user: KafkaUser | undefined;

beforeEach(() => {
  data = freshFolder();
});

afterEach(async () => {
  await user?.close();
  await cluster?.stop();
  fs.rmSync(data, { recursive: true, force: true });
});

async function start(): Promise<KafkaUser> {
  cluster = await startDev({ data });
  user = new KafkaUser(cluster.brokers);
  return user;
}

/** Bytes of the segments of each node. A file may go while we look. */
function segmentBytes(): number[] {
  const nodes = fs.readdirSync(data).filter((name) => /^node-\d+$/.test(name));
  return nodes.map((node) => {
    const names = fs.readdirSync(join(data, node), { recursive: true, encoding: 'utf8' });
    const segments = names.filter((name) => name.endsWith('.seg'));
    const sizeOf = (name: string) =>
      fs.statSync(join(data, node, name), { throwIfNoEntry: false })?.size ?? 0;
    return segments.reduce((sum, name) => sum + sizeOf(name), 0);
  });
}

async function lows(admin: Admin, topic: string): Promise<number[]> {
  const offsets = await admin.fetchTopicOffsets(topic);
  return offsets.sort((a, b) => a.partition - b.partition).map(({ low }) => Number(low));
}

it('50 MB become 6 on every node when a topic is told to keep less', async () => {
  const { topic, bytes } = { topic: 'shrinks', bytes: 50 * MB };
  const mine = await start();
  const admin = await mine.admin();
  await admin.createTopics({
    waitForLeaders: true,
    topics: [
      {
        topic,
        numPartitions: 2,
        replicationFactor: 3,
        configEntries: [{ name: 'segment.bytes', value: '400000' }],
      },
    ],
  });
  const producer = await mine.producer();
  const value = Buffer.alloc(100_000, 'x');
  for (let sent = 0; sent < bytes; sent += 16 * value.length) {
    const messages = Array.from({ length: 16 }, (_, i) => ({ value, partition: i % 2 }));
    await producer.send({ topic, acks: -1, messages });
  }
  await until('all of it is in segments, on every node', () => {
    const all = segmentBytes();
    return all.length === 3 && all.every((each) => each > 0.9 * bytes);
  });
  expect(await lows(admin, topic)).toEqual([0, 0]);
  await admin.alterConfigs({
    validateOnly: false,
    resources: [
      {
        type: ConfigResourceTypes.TOPIC,
        name: topic,
        configEntries: [
          { name: 'retention.bytes', value: String(2 * MB) },
          { name: 'segment.bytes', value: '400000' },
        ],
      },
    ],
  });
  await until('every folder has shrunk', () => segmentBytes().every((each) => each < 8 * MB));
  const starts = await lows(admin, topic);
  for (const low of starts) expect(low).toBeGreaterThan(200);
  const ends = await admin.fetchTopicOffsets(topic);
  for (const { low, high } of ends) {
    expect((Number(high) - Number(low)) * value.length).toBeGreaterThanOrEqual(2 * MB);
  }
  const consumer = await mine.consumer({ groupId: topic });
  const taken = await take(consumer, topic);
  await untilTaken(taken, 40);
  const firsts = [0, 1].map((each) => taken.find(({ partition }) => partition === each)?.offset);
  for (const [partition, low] of starts.entries()) {
    expect(firsts[partition]).toBeGreaterThanOrEqual(low);
  }
}, 120_000);

it('records that were deleted are gone after kill -9 of all nodes, and all others are there', async () => {
  const topic = 'deleted';
  const mine = await start();
  await mine.topic(topic, 3, 3);
  const producer = await mine.producer();
  for (const partition of [0, 1, 2]) {
    const messages = numbered(50, `${partition}-`).map((each) => ({ ...each, partition }));
    await producer.send({ topic, acks: -1, messages });
  }
  const admin = await mine.admin();
  await admin.fetchTopicOffsets(topic);
  const partitions = [
    { partition: 0, offset: '20' },
    { partition: 1, offset: '-1' },
  ];
  await admin.deleteTopicRecords({ topic, partitions });
  expect(await lows(admin, topic)).toEqual([20, 50, 0]);
  await expect(
    admin.deleteTopicRecords({ topic, partitions: [{ partition: 2, offset: '51' }] }),
  ).rejects.toThrow();
  await mine.close();
  await cluster!.killAll();
  const again = await start();
  const taken = await take(await again.consumer({ groupId: topic }), topic);
  await untilTaken(taken, 80);
  expect(await lows(await again.admin(), topic)).toEqual([20, 50, 0]);
  const expected = [...numbered(50, '0-').slice(20), ...numbered(50, '2-')];
  expect(taken.map(({ value }) => value).sort()).toEqual(expected.map(({ value }) => value).sort());
}, 120_000);
