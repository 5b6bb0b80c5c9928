// Two of three nodes are gone, and with them the quorum of the metadata. What the third one leads goes on; every change
// is answered in the words of its protocol, long before the timeout that it was given. One test for each row of
// docs/reference/without-a-quorum.md; that the wait is below a second is shown in virtual time, by patience.test.ts.
import { type Channel, type ChannelModel, type ConfirmChannel, connect } from 'amqplib';
import { afterAll, beforeAll, describe, expect, it, test } from 'vitest';
import {
  AlterConfigs,
  AlterPartitionReassignments,
  type Api,
  CreateTopics,
  DeleteTopics,
  ElectLeaders,
  Fetch,
  FindCoordinator,
  IncrementalAlterConfigs,
  Metadata,
  Produce,
  type RequestInput,
} from '../../src/protocols/kafka/codec/index.ts';
import { KafkaErrorCode as E } from '../../src/protocols/kafka/errors.ts';
import { Code } from '../../src/protocols/rocketmq/grpc/schema/enums.ts';
import { METHODS, RocketCaller } from '../e2e/support/rocketmq.ts';
import { batchOf } from '../protocols/kafka/harness.ts';
import { type TestCluster, testCluster } from './support/cluster.ts';
import { KafkaCaller } from './support/kafka-caller.ts';

/** A fraction of what the changes are allowed to take, and far above what they do. */
const ANSWER_MS = 4_000;
const ALLOWED_MS = 30_000;
const TOPIC = 2;

let cluster: TestCluster;
let amqp: ChannelModel;
/** Declared what ends with its consumer, or with its connection. */
let owned: Channel;
let rocket: RocketCaller;

const home = () => cluster.addresses[0]!;
const api = (path: string, method: string, body?: object) =>
  fetch(`http://${home().host}:${home().httpPort}/api${path}`, {
    method,
    signal: AbortSignal.timeout(ANSWER_MS),
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });

/** On a connection of its own: one that is shared answers in turn. */
async function callKafka<A extends Api>(request: A, version: number, body: RequestInput<A>) {
  const caller = new KafkaCaller(home());
  try {
    return await caller.call(request, version, body);
  } finally {
    caller.close();
  }
}

async function within<T>(work: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error('no answer in time')), ANSWER_MS);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}

beforeAll(async () => {
  // Queues are on the node that they are declared on, as topics with an assignment are.
  cluster = await testCluster({ queueReplicas: () => 1 });
  await cluster.ready();
  rocket = new RocketCaller(`${home().host}:${home().rocketmqPort}`, 'c');
  const topics = ['here', 'other', 'lost'].map((name) => {
    const assignments = [{ partitionIndex: 0, brokerIds: [name === 'lost' ? 2 : 1] }];
    return { name, numPartitions: -1, replicationFactor: -1, assignments, configs: [] };
  });
  await callKafka(CreateTopics, 5, { topics, timeoutMs: ALLOWED_MS });
  amqp = await connect(`amqp://${home().host}:${home().amqpPort}`);
  const channel = await amqp.createChannel();
  await channel.assertQueue('work', { durable: true });
  await channel.assertQueue('s', { durable: true, arguments: { 'x-queue-type': 'stream' } });
  await channel.assertExchange('shop', 'topic');
  await channel.bindQueue('work', 'shop', 'a.*');
  await channel.assertQueue('mine', { exclusive: true });
  await channel.assertQueue('passing', { autoDelete: true });
  await channel.consume('passing', () => undefined, { consumerTag: 'last' });
  owned = channel;
  const answer = await api('/policies/%2F/p', 'PUT', {
    pattern: '^none$',
    definition: { 'x-durability': 'async' },
  });
  expect(answer.status).toBe(201);
  await cluster.stopNode(2);
  // While there is a quorum the cluster notices: what was on node 2 alone has no leader.
  for (let leader = 2; leader >= 0; ) {
    const known = await callKafka(Metadata, 5, { topics: [{ name: 'lost' }] });
    leader = known.topics[0]!.partitions[0]!.leaderId;
  }
  await cluster.stopNode(3);
}, 60_000);

afterAll(async () => {
  rocket.client.close();
  await amqp.close().catch(() => undefined);
  await cluster.stop();
});

describe('traffic goes on', () => {
  it('of Kafka', async () => {
    const [message] = ['one'];
    const partitions = [{ index: 0, records: batchOf(message!) }];
    const topicData = [{ name: 'here', partitionData: partitions }];
    const body = { acks: -1, timeoutMs: ALLOWED_MS, topicData };
    const produced = await within(callKafka(Produce, 7, body));
    expect(produced.responses[0]!.partitionResponses[0]).toMatchObject({ errorCode: E.NONE });
    const wanted = { partition: 0, fetchOffset: 0, partitionMaxBytes: 1_000_000 };
    const read = await within(
      callKafka(Fetch, 5, {
        maxWaitMs: 100,
        minBytes: 1,
        maxBytes: 1_000_000,
        isolationLevel: 0,
        topics: [{ topic: 'here', partitions: [wanted] }],
      }),
    );
    expect(read.responses[0]!.partitions[0]).toMatchObject({ errorCode: E.NONE, highWatermark: 1 });
  });

  it('of AMQP, also of clients that connect anew and declare what is there', async () => {
    const connection = await connect(`amqp://${home().host}:${home().amqpPort}`);
    const channel = await connection.createConfirmChannel();
    await within(channel.assertQueue('work', { durable: true }));
    await within(channel.assertExchange('shop', 'topic'));
    await within(channel.bindQueue('work', 'shop', 'a.*'));
    await within(channel.checkQueue('work'));
    channel.publish('shop', 'a.b', Buffer.from('one'), { persistent: true });
    await within(channel.waitForConfirms());
    const message = await within(channel.get('work'));
    if (message === false) throw new Error('nothing is in the queue');
    expect(message.content.toString()).toBe('one');
    channel.ack(message);
    expect(await within(channel.purgeQueue('work'))).toEqual({ messageCount: 0 });
    await connection.close();
  });

  it('of RocketMQ', async () => {
    expect(await within(rocket.send('other', 'one'))).toBe(Code.OK);
  });

  it('over HTTP', async () => {
    expect((await api('/destinations/here/messages', 'POST', { value: 'v' })).status).toBe(200);
    expect((await api('/destinations/here/messages', 'GET')).status).toBe(200);
  });
});

describe.concurrent('Kafka', () => {
  const asked = { name: 'new', numPartitions: 1, replicationFactor: 1 };

  test('CreateTopics: REQUEST_TIMED_OUT', async () => {
    const topics = [{ ...asked, assignments: [], configs: [] }];
    const answer = await within(callKafka(CreateTopics, 5, { topics, timeoutMs: ALLOWED_MS }));
    expect(answer.topics[0]).toMatchObject({
      errorCode: E.REQUEST_TIMED_OUT,
      errorMessage: expect.stringContaining('quorum'),
    });
  });

  test('CreateTopics that only asks: as with a quorum', async () => {
    const topics = [{ ...asked, assignments: [], configs: [] }];
    const body = { topics, timeoutMs: ALLOWED_MS, validateOnly: true };
    const answer = await within(callKafka(CreateTopics, 5, body));
    expect(answer.topics[0]!.errorCode).toBe(E.NONE);
  });

  test('DeleteTopics: REQUEST_TIMED_OUT, of a queue as well', async () => {
    const body = { topicNames: ['other', 'work'], timeoutMs: ALLOWED_MS };
    const answer = await within(callKafka(DeleteTopics, 5, body));
    expect(answer.responses.map(({ errorCode }) => errorCode)).toEqual([
      E.REQUEST_TIMED_OUT,
      E.REQUEST_TIMED_OUT,
    ]);
  });

  const resource = { resourceType: TOPIC, resourceName: 'other' };
  const value = { name: 'retention.ms', value: '1000' };

  test('AlterConfigs: REQUEST_TIMED_OUT', async () => {
    const body = { resources: [{ ...resource, configs: [value] }], validateOnly: false };
    const answer = await within(callKafka(AlterConfigs, 1, body));
    expect(answer.responses[0]!.errorCode).toBe(E.REQUEST_TIMED_OUT);
  });

  test('IncrementalAlterConfigs: REQUEST_TIMED_OUT', async () => {
    const configs = [{ ...value, configOperation: 0 }];
    const body = { resources: [{ ...resource, configs }], validateOnly: false };
    const answer = await within(callKafka(IncrementalAlterConfigs, 0, body));
    expect(answer.responses[0]!.errorCode).toBe(E.REQUEST_TIMED_OUT);
  });

  test('AlterPartitionReassignments: REQUEST_TIMED_OUT', async () => {
    const partitions = [{ partitionIndex: 0, replicas: [1, 2] }];
    const body = { timeoutMs: ALLOWED_MS, topics: [{ name: 'other', partitions }] };
    const answer = await within(callKafka(AlterPartitionReassignments, 0, body));
    expect(answer.responses[0]!.partitions[0]!.errorCode).toBe(E.REQUEST_TIMED_OUT);
  });

  test('ElectLeaders: what needs no change or is impossible is said at once', async () => {
    const topicPartitions = [
      { topic: 'other', partitions: [0] },
      { topic: 'lost', partitions: [0] },
    ];
    const body = { electionType: 1, topicPartitions, timeoutMs: ALLOWED_MS };
    const answer = await within(callKafka(ElectLeaders, 2, body));
    const codes = answer.replicaElectionResults.map((each) => each.partitionResult[0]!.errorCode);
    // One is led, and of the other one no replica is live. What would need a change: elections.test.ts.
    expect(codes).toEqual([E.ELECTION_NOT_NEEDED, E.ELIGIBLE_LEADERS_NOT_AVAILABLE]);
  });

  test('Metadata that makes a topic: LEADER_NOT_AVAILABLE; of what is there: as ever', async () => {
    const topics = [{ name: 'made-by-asking' }, { name: 'here' }];
    const answer = await within(callKafka(Metadata, 5, { topics, allowAutoTopicCreation: true }));
    expect(answer.topics.map(({ errorCode }) => errorCode)).toEqual([
      E.LEADER_NOT_AVAILABLE,
      E.NONE,
    ]);
  });

  test('FindCoordinator: whoever leads the group log, or COORDINATOR_NOT_AVAILABLE', async () => {
    const body = { coordinatorKeys: ['g'], keyType: 0 };
    const answer = await within(callKafka(FindCoordinator, 4, body));
    expect([E.NONE, E.COORDINATOR_NOT_AVAILABLE]).toContain(answer.coordinators![0]!.errorCode);
  });
});

describe.concurrent('AMQP: 541 INTERNAL_ERROR, which ends the connection', () => {
  const cells: readonly [string, (channel: Channel) => PromiseLike<unknown>][] = [
    ['exchange.declare', (channel) => channel.assertExchange('new', 'direct')],
    ['exchange.delete', (channel) => channel.deleteExchange('shop')],
    ['exchange.bind', (channel) => channel.bindExchange('amq.topic', 'shop', 'b')],
    ['exchange.unbind', (channel) => channel.unbindExchange('amq.topic', 'shop', 'b')],
    ['queue.declare', (channel) => channel.assertQueue('new', { durable: true })],
    ['queue.declare, exclusive', (channel) => channel.assertQueue('', { exclusive: true })],
    [
      'queue.declare of a stream',
      (channel) =>
        channel.assertQueue('new', { durable: true, arguments: { 'x-queue-type': 'stream' } }),
    ],
    ['queue.bind', (channel) => channel.bindQueue('work', 'shop', 'new.*')],
    ['queue.unbind', (channel) => channel.unbindQueue('work', 'shop', 'a.*')],
    ['queue.delete', (channel) => channel.deleteQueue('work')],
    ['queue.delete of a stream', (channel) => channel.deleteQueue('s')],
  ];

  it.each(cells)('%s', async (name, change) => {
    const connection = await connect(`amqp://${home().host}:${home().amqpPort}`);
    const ended = new Promise<Error & { readonly code?: number }>((resolve) => {
      connection.on('error', resolve);
    });
    const channel: ConfirmChannel = await connection.createConfirmChannel();
    channel.on('error', () => undefined);
    const outcome = Promise.resolve(change(channel)).then(
      () => 'done',
      () => 'failed',
    );
    // A binding that was never made is as good as removed.
    if (name === 'exchange.unbind') {
      expect(await within(outcome)).toBe('done');
      await connection.close();
      return;
    }
    expect(await within(ended)).toMatchObject({ code: 541 });
    expect((await ended).message).toContain('the metadata of the cluster cannot be changed now');
    expect(await within(outcome)).toBe('failed');
  });
});

describe('RocketMQ', () => {
  it('a topic that is to be made: HA_NOT_AVAILABLE, which clients repeat', async () => {
    const topic = { name: 'made-by-route' };
    const code = await within(rocket.codeOf(METHODS.queryRoute, { topic }));
    expect(code).toBe(Code.HA_NOT_AVAILABLE);
    expect(await within(rocket.send('made-by-sending', 'x'))).toBe(Code.HA_NOT_AVAILABLE);
  });
});

describe.concurrent('HTTP: 503 METADATA_UNAVAILABLE', () => {
  const settings = { name: 'replica.replace.after.ms', value: 1_000 };
  it.each([
    ['a topic that is made', '/topics/new', 'PUT', {}],
    [
      'settings of a topic',
      '/topics/other',
      'PATCH',
      { config: { 'min.insync.replicas': '1', 'retention.ms': '5' } },
    ],
    ['a drain', '/cluster/nodes/2/drain', 'POST', {}],
    ['a removal', '/cluster/nodes/2/remove', 'POST', {}],
    ['a rebalance', '/cluster/rebalance', 'POST', {}],
    ['an unclean election', '/cluster/elect', 'POST', { destination: 'lost', unclean: true }],
    [
      'a reassignment',
      '/cluster/reassign',
      'POST',
      { destination: 'other', partition: 0, replicas: [1, 2] },
    ],
    ['a setting of the cluster', '/cluster/settings', 'POST', settings],
  ])('%s', async (_what, path, method, body) => {
    const answer = await api(path, method, body);
    expect(answer.status).toBe(503);
    expect(await answer.json()).toMatchObject({ error: { code: 'METADATA_UNAVAILABLE' } });
  });

  it('policies in the words of RabbitMQ’s management: 503 service_unavailable', async () => {
    const definition = { 'x-durability': 'async' };
    const put = await api('/policies/%2F/new', 'PUT', { pattern: '^x$', definition });
    expect([put.status, await put.json()]).toMatchObject([503, { error: 'service_unavailable' }]);
    const gone = await api('/policies/%2F/p', 'DELETE');
    expect([gone.status, await gone.json()]).toMatchObject([503, { error: 'service_unavailable' }]);
  });

  it('a message to a destination that is to be made: 503 LOG_NOT_AVAILABLE, and nothing is stored', async () => {
    const answer = await api('/destinations/made-by-post/messages', 'POST', { value: 'v' });
    expect(answer.status).toBe(503);
    expect(await answer.json()).toMatchObject({ error: { code: 'LOG_NOT_AVAILABLE' } });
  });
});

it('what would go with its consumer or its connection stays; nobody waits for it', async () => {
  await within(owned.cancel('last'));
  await within(amqp.close());
  for (const name of ['passing', 'mine']) {
    expect((await api(`/topics/${name}`, 'GET')).status).toBe(200);
  }
});
