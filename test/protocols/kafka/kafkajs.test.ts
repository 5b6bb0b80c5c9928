// The most used Node client, unmodified, over a real socket. The logs behind the listener are in memory.
import { ConfigResourceTypes, Kafka, logLevel, type Producer } from 'kafkajs';
import { afterEach, describe, expect, it } from 'vitest';
import { createNodeEnvironment, type NodeEnvironment } from '../../../src/env/node/environment.ts';
import { FakeNode } from './harness.ts';

const closing: (() => Promise<void> | void)[] = [];

afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

async function start(): Promise<{ node: FakeNode<NodeEnvironment>; kafka: Kafka }> {
  const quiet = { debug: none, info: none, warn: none, error: none, child: () => quiet };
  const env = createNodeEnvironment({ log: quiet });
  const node = new FakeNode(env);
  node.nodes = node.nodes.slice(0, 1);
  const listener = await env.net.listen({ host: '127.0.0.1', port: 0 }, (connection) => {
    node.listener.accept(connection);
  });
  closing.push(() => {
    listener.close();
    node.listener.close();
  });
  const brokers = [`127.0.0.1:${listener.address.port}`];
  const retry = { initialRetryTime: 50, retries: 3 };
  return {
    node,
    kafka: new Kafka({ clientId: 'app', brokers, retry, logLevel: logLevel.NOTHING }),
  };
}

function none(): void {
  // A quiet log.
}

async function producing(kafka: Kafka): Promise<Producer> {
  const producer = kafka.producer();
  closing.push(() => producer.disconnect());
  await producer.connect();
  return producer;
}

describe('kafkajs', () => {
  it('produces to a topic that it makes by the way and consumes all of it in a group', async () => {
    const { kafka } = await start();
    const producer = await producing(kafka);
    const sent: string[] = [];
    for (let i = 0; i < 30; i += 1) {
      const value = `message ${i}`;
      sent.push(value);
      await producer.send({
        topic: 'orders',
        acks: i % 2 === 0 ? -1 : 1,
        messages: [{ key: `${i}`, value }],
      });
    }
    const consumer = kafka.consumer({ groupId: 'g', maxWaitTimeInMs: 200 });
    closing.push(() => consumer.disconnect());
    await consumer.connect();
    await consumer.subscribe({ topic: 'orders', fromBeginning: true });
    const seen: string[] = [];
    await new Promise<void>((resolve, reject) => {
      consumer.on(consumer.events.CRASH, ({ payload }) => reject(payload.error));
      consumer
        .run({
          eachMessage: async ({ message }) => {
            seen.push(message.value!.toString());
            if (seen.length === sent.length) resolve();
          },
        })
        .catch(reject);
    });
    expect([...seen].sort()).toEqual([...sent].sort());
  });

  it('deletes records, and changes what a topic keeps', async () => {
    const { kafka, node } = await start();
    node.create('t', 2);
    const producer = await producing(kafka);
    for (const partition of [0, 1]) {
      const messages = Array.from({ length: 10 }, (_, i) => ({ partition, value: `v${i}` }));
      await producer.send({ topic: 't', messages });
    }
    const admin = kafka.admin();
    closing.push(() => admin.disconnect());
    await admin.connect();
    const partitions = [
      { partition: 0, offset: '4' },
      { partition: 1, offset: '-1' },
    ];
    // It looks for leaders in what it has asked before.
    await admin.fetchTopicOffsets('t');
    await admin.deleteTopicRecords({ topic: 't', partitions });
    const offsets = await admin.fetchTopicOffsets('t');
    expect(offsets.sort((a, b) => a.partition - b.partition).map(({ low }) => low)).toEqual([
      '4',
      '10',
    ]);
    const beyond = [{ partition: 0, offset: '11' }];
    await expect(admin.deleteTopicRecords({ topic: 't', partitions: beyond })).rejects.toThrow();
    const type = ConfigResourceTypes.TOPIC;
    const configEntries = [{ name: 'retention.ms', value: '1000' }];
    const resources = [{ type, name: 't', configEntries }];
    await admin.alterConfigs({ validateOnly: false, resources });
    const described = await admin.describeConfigs({
      includeSynonyms: false,
      resources: [{ type, name: 't', configNames: ['retention.ms', 'retention.bytes'] }],
    });
    const entries = described.resources[0]!.configEntries;
    expect(
      entries.map(({ configName, configValue, isDefault }) => [configName, configValue, isDefault]),
    ).toEqual([
      ['retention.bytes', '-1', true],
      ['retention.ms', '1000', false],
    ]);
    const bad = [{ type, name: 't', configEntries: [{ name: 'no.such', value: '1' }] }];
    await expect(admin.alterConfigs({ validateOnly: false, resources: bad })).rejects.toThrow();
  });

  it('goes on in a second life of the group where the first had committed', async () => {
    const { kafka, node } = await start();
    node.create('t', 1);
    const producer = await producing(kafka);
    await producer.send({
      topic: 't',
      compression: 1,
      messages: ['a', 'b', 'c'].map((value) => ({ value })),
    });
    const consume = async (count: number): Promise<string[]> => {
      const consumer = kafka.consumer({ groupId: 'g', maxWaitTimeInMs: 200 });
      await consumer.connect();
      await consumer.subscribe({ topic: 't', fromBeginning: true });
      const seen: string[] = [];
      await new Promise<void>((resolve) => {
        void consumer.run({
          eachMessage: async ({ message }) => {
            seen.push(message.value!.toString());
            if (seen.length === count) resolve();
          },
        });
      });
      await consumer.disconnect();
      return seen;
    };
    expect(await consume(3)).toEqual(['a', 'b', 'c']);
    await producer.send({ topic: 't', acks: 1, messages: [{ value: 'd' }] });
    expect(await consume(1)).toEqual(['d']);
  });

  it('administers: creates, lists, describes, reads offsets and groups, deletes', async () => {
    const { kafka, node } = await start();
    const admin = kafka.admin();
    closing.push(() => admin.disconnect());
    await admin.connect();
    expect(
      await admin.createTopics({
        topics: [{ topic: 'x', numPartitions: 2, replicationFactor: 1 }],
      }),
    ).toBe(true);
    expect(await admin.createTopics({ topics: [{ topic: 'x' }] })).toBe(false);
    expect(await admin.listTopics()).toEqual(['x']);
    const { topics } = await admin.fetchTopicMetadata({ topics: ['x'] });
    expect(topics[0]!.partitions.length).toBe(2);
    expect(await admin.fetchTopicOffsets('x')).toMatchObject([
      { high: '0', low: '0' },
      { high: '0', low: '0' },
    ]);
    await admin.setOffsets({
      groupId: 'g',
      topic: 'x',
      partitions: [{ partition: 1, offset: '5' }],
    });
    const offsets = await admin.fetchOffsets({ groupId: 'g', topics: ['x'] });
    expect(offsets[0]!.partitions.find(({ partition }) => partition === 1)).toMatchObject({
      offset: '5',
    });
    expect((await admin.listGroups()).groups.map(({ groupId }) => groupId)).toEqual(['g']);
    const configs = await admin.describeConfigs({
      includeSynonyms: false,
      resources: [{ type: 2, name: 'x' }],
    });
    expect(configs.resources[0]!.configEntries.length).toBeGreaterThan(3);
    expect((await admin.describeCluster()).brokers.length).toBe(1);
    await admin.deleteTopics({ topics: ['x'] });
    expect(node.destinations.has('x')).toBe(false);
  });

  it('two consumers of one group share the partitions and take over when one leaves', async () => {
    const { kafka, node } = await start();
    node.create('t', 2);
    const join = async (): Promise<{
      consumer: ReturnType<Kafka['consumer']>;
      assigned: () => Promise<number>;
    }> => {
      const consumer = kafka.consumer({
        groupId: 'g',
        heartbeatInterval: 50,
        maxWaitTimeInMs: 50,
      });
      closing.push(() => consumer.disconnect());
      let count = -1;
      let changed: () => void = none;
      consumer.on(consumer.events.GROUP_JOIN, ({ payload }) => {
        count = (payload.memberAssignment['t'] ?? []).length;
        changed();
      });
      await consumer.connect();
      await consumer.subscribe({ topic: 't' });
      await consumer.run({ eachMessage: async () => none() });
      const assigned = async (): Promise<number> => {
        if (count < 0)
          await new Promise<void>((resolve) => {
            changed = resolve;
          });
        const found = count;
        count = -1;
        return found;
      };
      return { consumer, assigned };
    };
    const first = await join();
    expect(await first.assigned()).toBe(2);
    const second = await join();
    expect(await second.assigned()).toBe(1);
    expect(await first.assigned()).toBe(1);
    await first.consumer.disconnect();
    expect(await second.assigned()).toBe(2);
  });
});
