// Fewer replicas are in sync than a topic wants: what each protocol is told of a send, and of one to a partition that
// nobody leads. What AMQP clients are told after 30 s has its tests where time is virtual (publishing.test.ts).
import { afterAll, beforeAll, expect, it } from 'vitest';
import { CreateTopics, Metadata, Produce } from '../../src/protocols/kafka/codec/index.ts';
import { KafkaErrorCode as E } from '../../src/protocols/kafka/errors.ts';
import { Code } from '../../src/protocols/rocketmq/grpc/schema/enums.ts';
import { METHODS, RocketCaller } from '../e2e/support/rocketmq.ts';
import { batchOf } from '../protocols/kafka/harness.ts';
import { type TestCluster, testCluster } from './support/cluster.ts';
import { KafkaCaller } from './support/kafka-caller.ts';

const ALLOWED_MS = 30_000;
let cluster: TestCluster;
let kafka: KafkaCaller;

/** `few` is led by node 1 and wants node 2 as well; `lost` was on node 2 alone. */
beforeAll(async () => {
  cluster = await testCluster();
  await cluster.ready();
  kafka = new KafkaCaller(cluster.addresses[0]!);
  const topic = (name: string, brokerIds: readonly number[], minInsync: number) => ({
    name,
    numPartitions: -1,
    replicationFactor: -1,
    assignments: [{ partitionIndex: 0, brokerIds }],
    configs: [{ name: 'min.insync.replicas', value: String(minInsync) }],
  });
  const topics = [topic('few', [1, 2], 2), topic('lost', [2], 1)];
  await kafka.call(CreateTopics, 5, { topics, timeoutMs: ALLOWED_MS });
  await cluster.stopNode(2);
  for (;;) {
    const answer = await kafka.call(Metadata, 5, { topics: [{ name: 'few' }, { name: 'lost' }] });
    const [few, lost] = answer.topics.map(({ partitions }) => partitions[0]!);
    if (few!.isrNodes.length === 1 && lost!.leaderId < 0) break;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}, 60_000);

afterAll(async () => {
  kafka.close();
  await cluster.stop();
});

async function produced(topic: string, acks: number): Promise<number> {
  const topicData = [{ name: topic, partitionData: [{ index: 0, records: batchOf('v') }] }];
  const answer = await kafka.call(Produce, 7, { acks, timeoutMs: ALLOWED_MS, topicData });
  return answer.responses[0]!.partitionResponses[0]!.errorCode;
}

it('Kafka: acks=all is NOT_ENOUGH_REPLICAS, long before its timeout; acks=1 is taken', async () => {
  expect(await produced('few', -1)).toBe(E.NOT_ENOUGH_REPLICAS);
  expect(await produced('few', 1)).toBe(E.NONE);
}, 5_000);

it('Kafka: a partition without a leader is NOT_LEADER_OR_FOLLOWER, at every level', async () => {
  expect(await produced('lost', -1)).toBe(E.NOT_LEADER_OR_FOLLOWER);
  expect(await produced('lost', 1)).toBe(E.NOT_LEADER_OR_FOLLOWER);
}, 5_000);

it('HTTP: 503 of either', async () => {
  const { host, httpPort } = cluster.addresses[0]!;
  const codes: unknown[] = [];
  for (const name of ['few', 'lost']) {
    const answer = await fetch(`http://${host}:${httpPort}/api/destinations/${name}/messages`, {
      method: 'POST',
      body: JSON.stringify({ value: 'v' }),
    });
    const { error } = (await answer.json()) as { error: { code: string } };
    codes.push([answer.status, error.code]);
  }
  expect(codes).toEqual([
    [503, 'LOG_NOT_ENOUGH_REPLICAS'],
    [503, 'LOG_TIMED_OUT'],
  ]);
}, 15_000);

it('RocketMQ: the send waits for its time, and clients repeat what it is told then', async () => {
  const { host, rocketmqPort } = cluster.addresses[0]!;
  const rocket = new RocketCaller(`${host}:${rocketmqPort}`, 'c');
  try {
    const systemProperties = { messageId: 'id', messageType: 1 };
    const body = Buffer.from('v');
    const messages = [{ topic: { name: 'few' }, body, systemProperties }];
    const request = { messages };
    const code = await rocket.codeOf(METHODS.sendMessage, request, { 'grpc-timeout': '2S' });
    expect([Code.HA_NOT_AVAILABLE, Code.PROXY_TIMEOUT]).toContain(code);
  } finally {
    rocket.client.close();
  }
}, 15_000);
