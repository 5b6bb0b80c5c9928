// A compacted topic in a real cluster, as kafkajs sees it: from the start the newest record of each key and the
// tombstones, in order and at their offsets; the folders of all nodes shrink; the work is done on a thread of its own.
import fs from 'node:fs';
import { join } from 'node:path';
import { ConfigResourceTypes } from 'kafkajs';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { type DevCluster, freshFolder, startDev, until } from '../../tools/lib/dev-cluster.mjs';
import { KafkaUser } from './support/kafka.ts';

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

const TOPIC = 'tables';
const SETTINGS = {
  'cleanup.policy': 'compact',
  'segment.bytes': '262144',
  'min.cleanable.dirty.ratio': '0.01',
  'delete.retention.ms': '3600000',
};

/** Bytes of the segments of each node. A file may go while we look. */
function segmentBytes(): number[] {
  const nodes = fs.readdirSync(data).filter((name) => /^node-\d+$/.test(name));
  return nodes.map((node) => {
    const names = fs.readdirSync(join(data, node), { recursive: true, encoding: 'utf8' });
    const sizeOf = (name: string) =>
      fs.statSync(join(data, node, name), { throwIfNoEntry: false })?.size ?? 0;
    return names
      .filter((name) => name.endsWith('.seg'))
      .reduce((sum, name) => sum + sizeOf(name), 0);
  });
}

interface Read {
  readonly offset: number;
  readonly key: string;
  readonly value: string | null;
}

/** Everything from the start up to the high watermark, by a consumer of a new group. */
async function readAll(mine: KafkaUser, groupId: string): Promise<Read[]> {
  const admin = await mine.admin();
  const end = Number((await admin.fetchTopicOffsets(TOPIC))[0]!.high);
  const found: Read[] = [];
  const consumer = mine.kafka.consumer({ groupId, maxWaitTimeInMs: 200 });
  await consumer.connect();
  await consumer.subscribe({ topic: TOPIC, fromBeginning: true });
  await consumer.run({
    eachMessage: async ({ message }) => {
      const { key, value, offset } = message;
      found.push({
        offset: Number(offset),
        key: String(key),
        value: value === null ? null : String(value),
      });
    },
  });
  await until('all is read', () => (found.at(-1)?.offset ?? -1) === end - 1);
  await consumer.disconnect();
  return found;
}

it('a compacted topic is read from its start: newest records, tombstones, offsets as they were', {
  timeout: 240_000,
  retry: 0,
}, async () => {
  cluster = await startDev({ data });
  const mine = new KafkaUser(cluster.brokers);
  user = mine;
  const admin = await mine.admin();
  const configEntries = Object.entries(SETTINGS).map(([name, value]) => ({ name, value }));
  const create = (topic: string, entries: { name: string; value: string }[]) =>
    admin.createTopics({
      waitForLeaders: true,
      topics: [{ topic, numPartitions: 1, replicationFactor: 3, configEntries: entries }],
    });
  await create(TOPIC, configEntries);
  for (const [name, value] of [
    ['cleanup.policy', 'tidy'],
    ['min.cleanable.dirty.ratio', '2'],
    ['delete.retention.ms', '-5'],
  ] as const) {
    await expect(create(`bad-${name}`, [{ name, value }])).rejects.toMatchObject({
      errors: [{ type: 'INVALID_CONFIG' }],
    });
  }
  const { resources } = await admin.describeConfigs({
    includeSynonyms: false,
    resources: [{ type: ConfigResourceTypes.TOPIC, name: TOPIC }],
  });
  const shown = new Map(
    resources[0]!.configEntries.map((each) => [each.configName, each.configValue]),
  );
  for (const [name, value] of Object.entries(SETTINGS)) expect(shown.get(name)).toBe(value);
  expect(shown.get('max.compaction.lag.ms')).toBe('9223372036854775807');

  const producer = await mine.producer();
  const keyless = { topic: TOPIC, acks: -1, messages: [{ value: 'no key' }] };
  await expect(producer.send(keyless)).rejects.toMatchObject({ type: 'INVALID_RECORD' });
  const sent = new Map<string, { offset: number; value: string | null }>();
  let offset = 0;
  const send = async (messages: { key: string; value: string | null }[], compression = 0) => {
    await producer.send({ topic: TOPIC, acks: -1, compression, messages });
    for (const { key, value } of messages) {
      sent.set(key, { offset, value });
      offset += 1;
    }
  };
  const total = 24_000_000;
  for (let round = 0; offset * 2_000 < total; round += 1) {
    const messages = Array.from({ length: 100 }, (_, i) => ({
      key: `user-${(round * 7 + i) % 300}`,
      value: (round + i) % 97 === 0 ? null : `${round} ${i} ${'x'.repeat(2_000)}`,
    }));
    // Some of it packed: it must be packed again.
    await send(messages, round % 5 === 0 ? 1 : 0);
  }
  await until(
    'the folders of all nodes shrink',
    () => {
      const all = segmentBytes();
      return all.length === 3 && all.every((bytes) => bytes < 0.2 * total);
    },
    150_000,
  );

  const found = await readAll(mine, 'g1');
  expect(found.length).toBeLessThan(offset / 3);
  const newest = new Map<string, Read>();
  let last = -1;
  for (const each of found) {
    expect(each.offset).toBeGreaterThan(last);
    last = each.offset;
    newest.set(each.key, each);
  }
  expect(newest.size).toBe(sent.size);
  for (const [key, { offset: at, value }] of sent) {
    expect(newest.get(key), key).toEqual({ key, offset: at, value });
  }
  expect([...sent.values()].some(({ value }) => value === null)).toBe(true);
  await expect(
    admin.deleteTopicRecords({ topic: TOPIC, partitions: [{ partition: 0, offset: '5' }] }),
  ).rejects.toThrow();
});
