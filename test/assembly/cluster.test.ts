import { Kafka, logLevel } from 'kafkajs';
import { afterEach, expect, test } from 'vitest';
import { type TestCluster, testCluster } from './support/cluster.ts';

let cluster: TestCluster | undefined;
afterEach(async () => {
  await cluster?.stop();
  cluster = undefined;
});

function kafkaOf(running: TestCluster): Kafka {
  return new Kafka({
    brokers: running.addresses.map(({ host, kafkaPort }) => `${host}:${kafkaPort}`),
    logLevel: logLevel.NOTHING,
    retry: { initialRetryTime: 50, retries: 20 },
  });
}

test('three nodes in one process become ready: a record was committed and read back on each', async () => {
  cluster = await testCluster();
  await cluster.ready();
  expect(cluster.events.filter((each) => each.event.event === 'failed')).toEqual([]);
});

test('what kafkajs produced with acks=all, a group of kafkajs reads, in order per partition', async () => {
  cluster = await testCluster();
  await cluster.ready();
  const kafka = kafkaOf(cluster);
  const admin = kafka.admin();
  await admin.connect();
  await admin.createTopics({ topics: [{ topic: 'orders', numPartitions: 3 }] });
  const producer = kafka.producer();
  await producer.connect();
  const sent = Array.from({ length: 300 }, (_, index) => ({
    key: `k${index % 7}`,
    value: `v${index}`,
  }));
  await producer.send({ topic: 'orders', acks: -1, messages: sent });
  const consumer = kafka.consumer({ groupId: 'readers', maxWaitTimeInMs: 200 });
  await consumer.connect();
  await consumer.subscribe({ topic: 'orders', fromBeginning: true });
  const got: { partition: number; key: string; value: string }[] = [];
  await new Promise<void>((resolve, reject) => {
    consumer
      .run({
        eachMessage: async ({ partition, message }) => {
          got.push({ partition, key: String(message.key), value: String(message.value) });
          if (got.length === sent.length) resolve();
        },
      })
      .catch(reject);
  });
  expect(got.map((each) => each.value).sort()).toEqual(sent.map((each) => each.value).sort());
  for (const key of new Set(sent.map((each) => each.key))) {
    const inOrder = got.filter((each) => each.key === key).map((each) => each.value);
    expect(inOrder).toEqual(sent.filter((each) => each.key === key).map((each) => each.value));
  }
  await consumer.disconnect();
  await producer.disconnect();
  await admin.disconnect();
});
