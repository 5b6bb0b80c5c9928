// Reading from the replica near a consumer over whole nodes, each in a rack of its own: by kafkajs, which follows where
// the leader sends it, and by requests that show who gave what.
import { Kafka, logLevel } from 'kafkajs';
import { afterEach, expect, test } from 'vitest';
import { Fetch, Metadata } from '../../src/protocols/kafka/codec/index.ts';
import { type TestCluster, testCluster } from './support/cluster.ts';
import { KafkaCaller } from './support/kafka-caller.ts';

let cluster: TestCluster | undefined;

afterEach(async () => {
  await cluster?.stop();
  cluster = undefined;
});

const COUNT = 200;

test('a consumer of a rack is given everything by the replica there', async () => {
  const made = await testCluster({ rackOf: (id) => `rack-${id}` });
  cluster = made;
  await made.ready();
  const kafka = new Kafka({
    brokers: made.addresses.map(({ host, kafkaPort }) => `${host}:${kafkaPort}`),
    logLevel: logLevel.NOTHING,
    retry: { initialRetryTime: 50, retries: 20 },
  });
  const admin = kafka.admin();
  await admin.connect();
  const configEntries = [{ name: 'callboard.read.from', value: 'replica' }];
  await admin.createTopics({ topics: [{ topic: 't', numPartitions: 1, configEntries }] });
  await admin.disconnect();
  const producer = kafka.producer();
  await producer.connect();
  const messages = Array.from({ length: COUNT }, (_, i) => ({ value: `v${i}` }));
  await producer.send({ topic: 't', acks: -1, messages });
  await producer.disconnect();

  const first = new KafkaCaller(made.addresses[0]!);
  const known = await first.call(Metadata, 5, { topics: [{ name: 't' }] });
  first.close();
  expect(known.brokers.map(({ rack }) => rack).sort()).toEqual(['rack-1', 'rack-2', 'rack-3']);
  const { leaderId, isrNodes } = known.topics[0]!.partitions[0]!;
  const near = isrNodes.find((node) => node !== leaderId)!;

  const partitions = [{ partition: 0, fetchOffset: 0, partitionMaxBytes: 1_000_000 }];
  const ask = async (node: number, rackId: string) => {
    const caller = new KafkaCaller(made.addresses[node - 1]!);
    const limits = { maxWaitMs: 10_000, minBytes: 1, maxBytes: 1_000_000, isolationLevel: 0 };
    const answer = await caller.call(Fetch, 11, {
      ...limits,
      rackId,
      topics: [{ topic: 't', partitions }],
    });
    caller.close();
    return answer.responses[0]!.partitions[0]!;
  };
  const sent = await ask(leaderId, `rack-${near}`);
  expect([sent.preferredReadReplica, sent.records?.length ?? 0]).toEqual([near, 0]);
  const given = await ask(near, `rack-${near}`);
  expect(given).toMatchObject({ errorCode: 0, preferredReadReplica: -1, highWatermark: COUNT });
  expect(given.records!.length).toBeGreaterThan(COUNT);

  const group = { groupId: 'g', rackId: `rack-${near}`, maxWaitTimeInMs: 200 };
  const consumer = kafka.consumer(group);
  await consumer.connect();
  await consumer.subscribe({ topic: 't', fromBeginning: true });
  const got: string[] = [];
  await new Promise<void>((resolve, reject) => {
    const eachMessage = async ({ message }: { message: { value: Buffer | null } }) => {
      got.push(String(message.value));
      if (got.length === COUNT) resolve();
    };
    consumer.run({ eachMessage }).catch(reject);
  });
  expect(got).toEqual(messages.map(({ value }) => value));
  await consumer.disconnect();
});
