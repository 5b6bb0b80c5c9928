// Topics as kafkajs administers them, on three nodes.
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type DevCluster, startDev, until } from '../../tools/lib/dev-cluster.mjs';
import { KafkaUser, numbered } from './support/kafka.ts';

let cluster: DevCluster;
let user: KafkaUser;

beforeAll(async () => {
  cluster = await startDev();
  user = new KafkaUser(cluster.brokers);
});

afterAll(async () => {
  await user?.close();
  await cluster?.stop();
});

it('describes the cluster: three brokers on the ports that dev printed, one of them controller', async () => {
  const admin = await user.admin();
  const { brokers, controller, clusterId } = await admin.describeCluster();
  // Hosts are answered as they were dialled, which for `localhost` is one of the loopback addresses.
  const ports = brokers.map(({ port }) => port).sort();
  expect(ports).toEqual(cluster.brokers.map((broker) => Number(broker.split(':').at(-1))).sort());
  expect(brokers.map(({ nodeId }) => nodeId)).toContain(controller);
  expect(clusterId).not.toBe('');
});

it('creates a topic whose partitions are spread over all nodes, each with three replicas in sync', async () => {
  const admin = await user.admin();
  await user.topic('spread', 6);
  const { topics } = await admin.fetchTopicMetadata({ topics: ['spread'] });
  const partitions = topics[0]?.partitions ?? [];
  expect(partitions).toHaveLength(6);
  expect(new Set(partitions.map(({ leader }) => leader)).size).toBe(3);
  for (const { replicas } of partitions) expect(new Set(replicas).size).toBe(3);
  await until('all replicas are in sync', async () => {
    const now = await admin.fetchTopicMetadata({ topics: ['spread'] });
    return now.topics[0]?.partitions.every(({ isr }) => isr.length === 3);
  });
});

it('refuses a second topic of a name, too many replicas and a partition count of 0', async () => {
  const admin = await user.admin();
  await user.topic('once');
  const again = { topic: 'once', numPartitions: 1 };
  expect(await admin.createTopics({ topics: [again] })).toBe(false);
  const fat = { topic: 'fat', numPartitions: 1, replicationFactor: 4 };
  await expect(admin.createTopics({ topics: [fat] })).rejects.toMatchObject({
    errors: [{ type: 'INVALID_REPLICATION_FACTOR' }],
  });
  const none = { topic: 'none', numPartitions: 0 };
  await expect(admin.createTopics({ topics: [none] })).rejects.toMatchObject({
    errors: [{ type: 'INVALID_PARTITIONS' }],
  });
});

it('makes a topic with three partitions when somebody first produces to it', async () => {
  const producer = await user.producer();
  await producer.send({ topic: 'made-on-the-way', messages: numbered(3) });
  const admin = await user.admin();
  const { topics } = await admin.fetchTopicMetadata({ topics: ['made-on-the-way'] });
  expect(topics[0]?.partitions).toHaveLength(3);
});

it('makes no topic for a client that switches that off', async () => {
  const producer = await user.producer({
    allowAutoTopicCreation: false,
    retry: { retries: 1, initialRetryTime: 50 },
  });
  const sending = producer.send({ topic: 'not-made', messages: numbered(1) });
  await expect(sending).rejects.toThrow(/does not host this topic/);
  const admin = await user.admin();
  expect(await admin.listTopics()).not.toContain('not-made');
});

it('lists first and next offsets, also by time', async () => {
  await user.topic('offsets');
  const producer = await user.producer();
  const beforeMs = Date.now();
  await producer.send({ topic: 'offsets', messages: numbered(7) });
  const admin = await user.admin();
  const [found] = await admin.fetchTopicOffsets('offsets');
  expect(found).toMatchObject({ partition: 0, low: '0', high: '7', offset: '7' });
  expect(await admin.fetchTopicOffsetsByTimestamp('offsets', beforeMs)).toEqual([
    { partition: 0, offset: '0' },
  ]);
});

it('deletes a topic: it is gone from the list, and one made again under its name is empty', async () => {
  await user.topic('fleeting');
  const producer = await user.producer();
  await producer.send({ topic: 'fleeting', messages: numbered(5) });
  const admin = await user.admin();
  await admin.deleteTopics({ topics: ['fleeting'] });
  expect(await admin.listTopics()).not.toContain('fleeting');
  await user.topic('fleeting');
  const [found] = await admin.fetchTopicOffsets('fleeting');
  expect(found?.high).toBe('0');
  await producer.send({ topic: 'fleeting', messages: numbered(2) });
  expect((await admin.fetchTopicOffsets('fleeting'))[0]?.high).toBe('2');
});
