import { describe, expect, it } from 'vitest';
import {
  ApiVersions,
  CreateTopics,
  DeleteTopics,
  DescribeCluster,
  DescribeConfigs,
  DescribeGroups,
  Fetch,
  FindCoordinator,
  Heartbeat,
  JoinGroup,
  LeaveGroup,
  ListGroups,
  ListOffsets,
  Metadata,
  OffsetCommit,
  OffsetFetch,
  OffsetForLeaderEpoch,
  Produce,
  type RequestInput,
  SyncGroup,
} from '../../../src/protocols/kafka/codec/index.ts';
import { KafkaErrorCode as E } from '../../../src/protocols/kafka/errors.ts';
import { decodeRecords } from '../../../src/records/records.ts';
import { concatBytes, decodeUtf8, equalBytes } from '../../../src/std/bytes.ts';
import { batchOf, KafkaWorld } from './harness.ts';

function produceBody(
  topic: string,
  batch: Uint8Array,
  acks = -1,
  index = 0,
): RequestInput<typeof Produce> {
  return {
    transactionalId: null,
    acks,
    timeoutMs: 1_000,
    topicData: [{ name: topic, partitionData: [{ index, records: batch }] }],
  };
}

function fetchBody(
  topic: string,
  fetchOffset: number,
  more: Partial<RequestInput<typeof Fetch>> = {},
): RequestInput<typeof Fetch> {
  return {
    maxWaitMs: 0,
    minBytes: 1,
    maxBytes: 1_000_000,
    isolationLevel: 0,
    topics: [{ topic, partitions: [{ partition: 0, fetchOffset, partitionMaxBytes: 1_000_000 }] }],
    ...more,
  };
}

function valuesOf(records: Uint8Array | null): string[] {
  const values: string[] = [];
  let at = 0;
  while (records !== null && at < records.length) {
    const result = decodeRecords(records, at, records.length);
    if (result.kind !== 'ok') throw new Error(result.fault);
    for (const record of result.records) values.push(decodeUtf8(record.value!));
    at += 12 + new DataView(records.buffer, records.byteOffset + at).getInt32(8);
  }
  return values;
}

describe('versions', () => {
  it('lists what is served, in every version of the question', async () => {
    const client = new KafkaWorld().connect();
    for (const version of [0, 1, 2, 3, 4]) {
      const named = { clientSoftwareName: 'tester', clientSoftwareVersion: '1.0' };
      const answer = await client.call(ApiVersions, version, named);
      const byKey = new Map(answer.apiKeys.map((each) => [each.apiKey, each]));
      expect(answer.errorCode).toBe(E.NONE);
      expect(byKey.get(0)).toMatchObject({ minVersion: 0, maxVersion: 11 });
      expect(byKey.get(11)?.minVersion).toBe(0);
      expect(byKey.has(22)).toBe(false);
    }
  });

  it('answers an ApiVersions of the future in version 0 with error 35 and its own range', async () => {
    const client = new KafkaWorld().connect();
    const bytes = client.encode(ApiVersions, 4, {
      clientSoftwareName: 'x',
      clientSoftwareVersion: '1',
    });
    bytes[7] = 9;
    client.sendRaw(bytes);
    await client.world.env.settle();
    const answer = client.next(ApiVersions, 0);
    expect(answer.errorCode).toBe(E.UNSUPPORTED_VERSION);
    expect(answer.apiKeys.some((each) => each.apiKey === ApiVersions.key)).toBe(true);
    expect(client.isClosed).toBe(false);
  });

  it('closes on any other unsupported version or key, and answers what came before', async () => {
    const client = new KafkaWorld().connect();
    const good = client.encode(ApiVersions, 0, {});
    const bad = client.encode(Heartbeat, 4, {
      groupId: 'g',
      generationId: 0,
      memberId: '',
      groupInstanceId: null,
    });
    bad[7] = 77;
    // The second frame is not the first of the connection, so its version is not what unmasks it.
    client.sendRaw(concatBytes([good, bad]));
    await client.world.env.settle();
    expect(client.takeFrames().length).toBe(1);
    expect(client.isClosed).toBe(true);
  });

  it('refuses a software name that is not one', async () => {
    const client = new KafkaWorld().connect();
    const answer = await client.call(ApiVersions, 3, {
      clientSoftwareName: '',
      clientSoftwareVersion: '1',
    });
    expect(answer.errorCode).toBe(E.INVALID_REQUEST);
  });
});

describe('metadata', () => {
  it('makes a missing topic with three partitions unless the client or the operator says no', async () => {
    const world = new KafkaWorld();
    const client = world.connect();
    const topics = [{ name: 'orders' }];
    const no = await client.call(Metadata, 6, { topics, allowAutoTopicCreation: false });
    expect(no.topics[0]).toMatchObject({ errorCode: E.UNKNOWN_TOPIC_OR_PARTITION });
    const yes = await client.call(Metadata, 6, { topics, allowAutoTopicCreation: true });
    expect(yes.topics[0]).toMatchObject({ errorCode: E.NONE, name: 'orders' });
    expect(yes.topics[0]!.partitions.length).toBe(3);
    world.settings.autoCreate = false;
    const off = await client.call(Metadata, 0, { topics: [{ name: 'other' }] });
    expect(off.topics[0]!.errorCode).toBe(E.UNKNOWN_TOPIC_OR_PARTITION);
    expect(world.created).toEqual(['orders']);
  });

  it('names every live node at the host that was dialled', async () => {
    const world = new KafkaWorld();
    const answer = await world.connect().call(Metadata, 12, { topics: [] });
    expect(answer.brokers.map(({ nodeId, host, port }) => [nodeId, host, port])).toEqual([
      [1, '127.0.0.1', 9092],
      [2, '127.0.0.1', 9093],
    ]);
    expect(answer).toMatchObject({ clusterId: 'test-cluster', controllerId: 2, topics: [] });
    const cluster = await world
      .connect()
      .call(DescribeCluster, 1, { includeClusterAuthorizedOperations: false });
    expect(cluster.brokers.length).toBe(2);
  });

  it('names itself as controller while the metadata leader cannot be dialled', async () => {
    const world = new KafkaWorld();
    world.nodes = world.nodes.slice(0, 1);
    expect((await world.connect().call(Metadata, 1, { topics: [] })).controllerId).toBe(1);
  });

  it('lists topics and the group log, and keeps its own internals to itself', async () => {
    const world = new KafkaWorld();
    world.create('orders');
    world.create('__consumer_offsets', 1, { kind: 'group', isInternal: true });
    const [hidden] = world.create('__inner', 1, { isInternal: true });
    const client = world.connect();
    const answer = await client.call(Metadata, 1, { topics: null });
    expect(answer.topics.map(({ name, isInternal }) => [name, isInternal])).toEqual([
      ['orders', false],
      ['__consumer_offsets', true],
    ]);
    const refused = await client.call(Produce, 3, produceBody('__inner', batchOf('a')));
    expect(refused.responses[0]!.partitionResponses[0]!.errorCode).toBe(E.INVALID_TOPIC_EXCEPTION);
    expect(hidden!.end).toBe(0);
  });

  it('nodes on other hosts keep the address they registered', async () => {
    const world = new KafkaWorld();
    const far = new Map([['kafka', { host: '10.0.0.2', port: 9999 }]]);
    world.nodes = [world.nodes[0]!, { ...world.nodes[1]!, endpoints: far }];
    const answer = await world.connect().call(Metadata, 1, { topics: [] });
    expect(answer.brokers[1]).toMatchObject({ host: '10.0.0.2', port: 9999 });
  });

  it('refuses names that could be paths or are no names, and knows topics by id', async () => {
    const world = new KafkaWorld();
    const client = world.connect();
    const names = ['..', '/', '.', 'a/b', '\u{1f600}', 'x'.repeat(250), ''];
    const answer = await client.call(Metadata, 9, { topics: names.map((name) => ({ name })) });
    for (const topic of answer.topics) expect(topic.errorCode).toBe(E.INVALID_TOPIC_EXCEPTION);
    const proto = await client.call(Metadata, 9, { topics: [{ name: '__proto__' }] });
    expect(proto.topics[0]).toMatchObject({ errorCode: E.NONE, name: '__proto__' });
    const { id } = world.destinations.get('__proto__')!;
    const byId = await client.call(Metadata, 12, { topics: [{ topicId: id, name: null }] });
    expect(byId.topics[0]).toMatchObject({ errorCode: E.NONE, name: '__proto__' });
    const nobody = new Uint8Array(16).fill(99);
    const missing = await client.call(Metadata, 12, { topics: [{ topicId: nobody, name: null }] });
    expect(missing.topics[0]!.errorCode).toBe(E.UNKNOWN_TOPIC_ID);
  });
});

describe('topics', () => {
  it('creates, refuses and deletes, each topic for itself', async () => {
    const world = new KafkaWorld();
    const client = world.connect();
    const topic = (name: string, more: object = {}) => ({
      name,
      numPartitions: 2,
      replicationFactor: 1,
      assignments: [],
      configs: [],
      ...more,
    });
    const topics = [
      topic('good', { configs: [{ name: 'max.message.bytes', value: '5000' }] }),
      topic('bad name'),
      topic('zero', { numPartitions: 0 }),
      topic('many', { replicationFactor: 9 }),
      topic('config', { configs: [{ name: 'no.such', value: '1' }] }),
      topic('ignored', { configs: [{ name: 'cleanup.policy', value: 'squeeze' }] }),
      topic('placed', {
        numPartitions: -1,
        replicationFactor: -1,
        assignments: [{ partitionIndex: 1, brokerIds: [1] }],
      }),
    ];
    const answer = await client.call(CreateTopics, 7, { topics });
    expect(answer.topics.map((each) => each.errorCode)).toEqual([
      E.NONE,
      E.INVALID_TOPIC_EXCEPTION,
      E.INVALID_PARTITIONS,
      E.INVALID_REPLICATION_FACTOR,
      E.INVALID_CONFIG,
      E.INVALID_CONFIG,
      E.INVALID_REPLICA_ASSIGNMENT,
    ]);
    expect(answer.topics[0]).toMatchObject({ numPartitions: 2, replicationFactor: 2 });
    const again = await client.call(CreateTopics, 3, { topics: [topic('good')] });
    expect(again.topics[0]!.errorCode).toBe(E.TOPIC_ALREADY_EXISTS);
    const configs = await client.call(DescribeConfigs, 2, {
      resources: [
        { resourceType: 2, resourceName: 'good', configurationKeys: ['max.message.bytes'] },
      ],
    });
    expect(configs.results[0]!.configs).toMatchObject([
      { name: 'max.message.bytes', value: '5000', configSource: 1 },
    ]);
    const gone = await client.call(DeleteTopics, 1, {
      topicNames: ['good', 'nope'],
      timeoutMs: 1_000,
      topics: [],
    } as never);
    expect(gone.responses.map((each) => each.errorCode)).toEqual([
      E.NONE,
      E.UNKNOWN_TOPIC_OR_PARTITION,
    ]);
    expect(world.destinations.has('good')).toBe(false);
  });
});

describe('produce', () => {
  it('appends the very bytes it was sent and answers their offset', async () => {
    const world = new KafkaWorld();
    const [log] = world.create('t');
    const client = world.connect();
    const batch = batchOf('a', 'b');
    for (const version of [3, 7, 9, 11]) {
      const answer = await client.call(Produce, version, produceBody('t', batch));
      const partition = answer.responses[0]!.partitionResponses[0]!;
      expect(partition).toMatchObject({ index: 0, errorCode: E.NONE });
    }
    expect(log!.end).toBe(8);
    expect(equalBytes(log!.batches[3]!.bytes.subarray(16), batch.subarray(16))).toBe(true);
  });

  it('names what is wrong with a batch', async () => {
    const world = new KafkaWorld();
    world.create('t');
    world.create('elsewhere');
    world.setLeader('elsewhere', 2);
    world.create('__consumer_offsets', 1, { kind: 'group', isInternal: true });
    const client = world.connect();
    const code = async (topic: string, batch: Uint8Array, acks = -1, index = 0) => {
      const answer = await client.call(Produce, 8, produceBody(topic, batch, acks, index));
      return answer.responses[0]!.partitionResponses[0]!.errorCode;
    };
    const good = batchOf('a');
    const flipped = good.slice();
    flipped[flipped.length - 1]! ^= 1;
    const old = good.slice();
    old[16] = 1;
    expect(await code('t', flipped)).toBe(E.CORRUPT_MESSAGE);
    expect(await code('t', good.subarray(0, good.length - 1))).toBe(E.CORRUPT_MESSAGE);
    expect(await code('t', old)).toBe(E.UNSUPPORTED_FOR_MESSAGE_FORMAT);
    expect(await code('t', concatBytes([good, good]))).toBe(E.INVALID_RECORD);
    expect(await code('t', new Uint8Array(0))).toBe(E.INVALID_RECORD);
    expect(await code('t', good, 2)).toBe(E.INVALID_REQUIRED_ACKS);
    expect(await code('t', good, -1, 5)).toBe(E.UNKNOWN_TOPIC_OR_PARTITION);
    expect(await code('nope', good)).toBe(E.UNKNOWN_TOPIC_OR_PARTITION);
    expect(await code('elsewhere', good)).toBe(E.NOT_LEADER_OR_FOLLOWER);
    expect(await code('__consumer_offsets', good)).toBe(E.INVALID_TOPIC_EXCEPTION);
    expect(world.logs.get(1)!.end).toBe(0);
  });

  it('refuses what finds no room on the disk with an error that passes', async () => {
    const world = new KafkaWorld();
    const [log] = world.create('t');
    log!.appendResult = 'no-space';
    const answer = await world.connect().call(Produce, 7, produceBody('t', batchOf('a'), -1));
    expect(answer.responses[0]!.partitionResponses[0]!.errorCode).toBe(E.KAFKA_STORAGE_ERROR);
  });

  it('says nothing to acks=0 when all is well and closes when it is not', async () => {
    const world = new KafkaWorld();
    const [log] = world.create('t');
    const client = world.connect();
    client.send(Produce, 7, produceBody('t', batchOf('a'), 0));
    client.send(ApiVersions, 0, {});
    await world.env.settle();
    expect(client.takeFrames().length).toBe(1);
    expect(log!.end).toBe(1);
    log!.appendResult = 'not-leader';
    client.send(Produce, 7, produceBody('t', batchOf('a'), 0));
    await world.env.settle();
    expect(client.isClosed).toBe(true);
  });

  it('times out by itself when the log host is gone', async () => {
    const world = new KafkaWorld();
    const [log] = world.create('t');
    log!.isMute = true;
    const client = world.connect();
    client.send(Produce, 8, produceBody('t', batchOf('a')));
    await world.env.advanceAsync(3_100);
    const answer = client.next(Produce, 8);
    expect(answer.responses[0]!.partitionResponses[0]!.errorCode).toBe(E.REQUEST_TIMED_OUT);
  });
});

describe('fetch', () => {
  it('gives committed batches only and respects the limits', async () => {
    const world = new KafkaWorld();
    const [log] = world.create('t');
    for (const value of ['a', 'b', 'c']) log!.append(batchOf(value));
    log!.held = 2;
    const client = world.connect();
    for (const version of [4, 7, 11, 12]) {
      const answer = await client.call(Fetch, version, fetchBody('t', 0));
      const partition = answer.responses[0]!.partitions[0]!;
      expect(partition).toMatchObject({ errorCode: E.NONE, highWatermark: 2, lastStableOffset: 2 });
      expect(valuesOf(partition.records)).toEqual(['a', 'b']);
    }
    const one = await client.call(Fetch, 11, fetchBody('t', 0, { maxBytes: 1 }));
    expect(valuesOf(one.responses[0]!.partitions[0]!.records)).toEqual(['a']);
    const out = await client.call(Fetch, 11, fetchBody('t', 99));
    expect(out.responses[0]!.partitions[0]!.errorCode).toBe(E.OFFSET_OUT_OF_RANGE);
    expect(world.released).toBe(world.pinned);
  });

  it('keeps the limit over all partitions, however many are read at once', async () => {
    const world = new KafkaWorld();
    const logs = world.create('t', 3);
    for (const log of logs) log.append(batchOf('x'.repeat(1_000)));
    const partitions = [0, 1, 2].map((partition) => ({
      partition,
      fetchOffset: 0,
      partitionMaxBytes: 1_000_000,
    }));
    const body = fetchBody('', 0, { topics: [{ topic: 't', partitions }], maxBytes: 2_500 });
    const answer = await world.connect().call(Fetch, 11, body);
    const sizes = answer.responses[0]!.partitions.map(({ records }) => records!.length);
    expect(sizes.filter((size) => size > 0).length).toBe(2);
    expect(sizes[0]! + sizes[1]! + sizes[2]!).toBeLessThanOrEqual(2_500);
    for (const each of answer.responses[0]!.partitions) expect(each.highWatermark).toBe(1);
    expect(world.released).toBe(world.pinned);
  });

  it('waits for the first record and answers at once when it is committed', async () => {
    const world = new KafkaWorld();
    const [log] = world.create('t');
    const consumer = world.connect();
    consumer.send(Fetch, 11, fetchBody('t', 0, { maxWaitMs: 500 }));
    await world.env.advanceAsync(200);
    expect(consumer.takeFrames().length).toBe(0);
    await world.connect().call(Produce, 7, produceBody('t', batchOf('now')));
    const answer = consumer.next(Fetch, 11);
    expect(valuesOf(answer.responses[0]!.partitions[0]!.records)).toEqual(['now']);
    expect(log!.reads).toBe(2);
  });

  it('answers empty when the time is up, and one registration per log is all that stays behind', async () => {
    const world = new KafkaWorld();
    const [log] = world.create('t');
    const consumer = world.connect();
    for (let i = 0; i < 5; i += 1) {
      consumer.send(Fetch, 11, fetchBody('t', 0, { maxWaitMs: 500 }));
      await world.env.advanceAsync(499);
      expect(consumer.takeFrames().length).toBe(0);
      await world.env.advanceAsync(2);
      expect(valuesOf(consumer.next(Fetch, 11).responses[0]!.partitions[0]!.records)).toEqual([]);
    }
    expect(log!.waiters.length).toBe(1);
  });

  it('waits until the least bytes are there', async () => {
    const world = new KafkaWorld();
    const [log] = world.create('t');
    const consumer = world.connect();
    consumer.send(Fetch, 11, fetchBody('t', 0, { maxWaitMs: 5_000, minBytes: 150 }));
    const producer = world.connect();
    await producer.call(Produce, 7, produceBody('t', batchOf('a')));
    expect(consumer.takeFrames().length).toBe(0);
    await producer.call(Produce, 7, produceBody('t', batchOf('b')));
    await producer.call(Produce, 7, produceBody('t', batchOf('c')));
    const answer = consumer.next(Fetch, 11);
    expect(valuesOf(answer.responses[0]!.partitions[0]!.records)).toEqual(['a', 'b', 'c']);
    expect(log!.end).toBe(3);
    expect(world.released).toBe(world.pinned);
  });

  it('sends file ranges in their place between the bytes, and releases them after', async () => {
    const world = new KafkaWorld();
    const [log] = world.create('t');
    log!.append(batchOf('in memory'));
    log!.append(batchOf('x'.repeat(50_000)));
    world.fileFrom = 10_000;
    const client = world.connect();
    client.connection.isStuck = true;
    const answer = await client.call(Fetch, 12, fetchBody('t', 0));
    expect(valuesOf(answer.responses[0]!.partitions[0]!.records)).toEqual([
      'in memory',
      'x'.repeat(50_000),
    ]);
    expect(client.connection.files).toBe(1);
    expect(world.released).toBe(0);
    client.connection.drain();
    expect(world.released).toBe(1);
  });

  it('gives back what it holds when the connection ends first', async () => {
    const world = new KafkaWorld();
    const [log] = world.create('t');
    log!.append(batchOf('a'));
    const client = world.connect();
    client.send(Fetch, 12, fetchBody('t', 0, { maxWaitMs: 5_000, minBytes: 1_000 }));
    await world.env.settle();
    expect(world.released).toBe(0);
    client.connection.destroy();
    await world.env.settle();
    expect(world.released).toBe(world.pinned);
    expect(world.listener.counters.open).toBe(0);
  });

  it('gives back what a log sends to a connection that has gone meanwhile', async () => {
    const world = new KafkaWorld();
    const [log] = world.create('t');
    log!.append(batchOf('a'));
    log!.isSlow = true;
    const client = world.connect();
    client.send(Fetch, 12, fetchBody('t', 0));
    await world.env.settle();
    client.connection.destroy();
    await world.env.settle();
    expect([world.pinned, world.released]).toEqual([1, 0]);
    for (const tell of log!.heldBack) tell();
    await world.env.settle();
    expect(world.released).toBe(1);
    expect(world.system.deadLetters.total).toBe(0);
  });

  it('declines sessions, knows topics by id, and names the leader of what it does not lead', async () => {
    const world = new KafkaWorld();
    const [log] = world.create('t');
    log!.append(batchOf('a'));
    const client = world.connect();
    const session = await client.call(
      Fetch,
      11,
      fetchBody('t', 0, { sessionId: 5, sessionEpoch: 1 }),
    );
    expect(session.errorCode).toBe(E.FETCH_SESSION_ID_NOT_FOUND);
    const first = await client.call(
      Fetch,
      11,
      fetchBody('t', 0, { sessionId: 0, sessionEpoch: 0 }),
    );
    expect(first).toMatchObject({ errorCode: E.NONE, sessionId: 0 });
    const topicId = world.destinations.get('t')!.id;
    const partitions = [{ partition: 0, fetchOffset: 0, partitionMaxBytes: 1_000 }];
    const byId = await client.call(
      Fetch,
      16,
      fetchBody('', 0, { topics: [{ topicId, partitions }] }),
    );
    expect(valuesOf(byId.responses[0]!.partitions[0]!.records)).toEqual(['a']);
    world.setLeader('t', 2);
    const moved = await client.call(Fetch, 12, fetchBody('t', 0));
    expect(moved.responses[0]!.partitions[0]).toMatchObject({
      errorCode: E.NOT_LEADER_OR_FOLLOWER,
      currentLeader: { leaderId: 2 },
    });
  });
});

describe('positions', () => {
  it('answers earliest, latest, by time and where an epoch ends', async () => {
    const world = new KafkaWorld();
    const [log] = world.create('t');
    log!.append(batchOf('a', 'b'));
    const client = world.connect();
    const at = async (timestamp: number, version = 5) => {
      const partitions = [{ partitionIndex: 0, timestamp }];
      const answer = await client.call(ListOffsets, version, {
        topics: [{ name: 't', partitions }],
      } as never);
      return answer.topics[0]!.partitions[0]!;
    };
    expect(await at(-1)).toMatchObject({ errorCode: 0, offset: 2, timestamp: -1, leaderEpoch: 3 });
    expect(await at(-2)).toMatchObject({ offset: 0 });
    expect(await at(500)).toMatchObject({ offset: 0, timestamp: 1_000 });
    expect(await at(5_000)).toMatchObject({ errorCode: 0, offset: -1, timestamp: -1 });
    expect(await at(-5, 9)).toMatchObject({ errorCode: 0, offset: -1 });
    expect(await at(-77, 1)).toMatchObject({ errorCode: E.INVALID_REQUEST });
    const ends = await client.call(OffsetForLeaderEpoch, 2, {
      topics: [
        {
          topic: 't',
          partitions: [
            { partition: 0, leaderEpoch: 3 },
            { partition: 9, leaderEpoch: 0 },
          ],
        },
      ],
    });
    expect(ends.topics[0]!.partitions).toMatchObject([
      { errorCode: 0, leaderEpoch: 3, endOffset: 2 },
      { errorCode: E.UNKNOWN_TOPIC_OR_PARTITION, endOffset: -1 },
    ]);
  });
});

describe('groups', () => {
  const join = (memberId: string): RequestInput<typeof JoinGroup> => ({
    groupId: 'g',
    sessionTimeoutMs: 10_000,
    rebalanceTimeoutMs: 20_000,
    memberId,
    groupInstanceId: null,
    protocolType: 'consumer',
    protocols: [{ name: 'range', metadata: Uint8Array.of(1, 2) }],
  });

  it('goes through the life of a member: find, join, sync, heartbeat, commit, fetch, leave', async () => {
    const world = new KafkaWorld();
    world.create('t');
    const client = world.connect();
    const found = await client.call(FindCoordinator, 2, { key: 'g', keyType: 0 });
    expect(found).toMatchObject({ errorCode: E.NONE, nodeId: 1, host: '127.0.0.1', port: 9092 });
    expect(world.created).toEqual(['__consumer_offsets']);
    const first = await client.call(JoinGroup, 5, join(''));
    expect(first.errorCode).toBe(E.MEMBER_ID_REQUIRED);
    expect(first.memberId).toMatch(/^tester-[0-9a-f]{32}$/);
    const { memberId } = first;
    client.send(JoinGroup, 5, join(memberId));
    await world.env.advanceAsync(150);
    const joined = client.next(JoinGroup, 5);
    expect(joined).toMatchObject({
      errorCode: E.NONE,
      generationId: 1,
      leader: memberId,
      protocolName: 'range',
    });
    expect(joined.members.map((member) => member.memberId)).toEqual([memberId]);
    const member = { groupId: 'g', memberId, groupInstanceId: null };
    const assignments = [{ memberId, assignment: Uint8Array.of(7) }];
    const synced = await client.call(SyncGroup, 3, { ...member, generationId: 1, assignments });
    expect([...synced.assignment]).toEqual([7]);
    const beat = await client.call(Heartbeat, 3, { ...member, generationId: 1 });
    expect(beat.errorCode).toBe(E.NONE);
    const partitions = [
      { partitionIndex: 0, committedOffset: 42, committedMetadata: 'note' },
      { partitionIndex: 9, committedOffset: 1, committedMetadata: null },
    ];
    const committed = await client.call(OffsetCommit, 5, {
      ...member,
      generationIdOrMemberEpoch: 1,
      topics: [{ name: 't', partitions }],
    });
    expect(committed.topics[0]!.partitions.map((each) => each.errorCode)).toEqual([
      E.NONE,
      E.UNKNOWN_TOPIC_OR_PARTITION,
    ]);
    const wanted = [{ name: 't', partitionIndexes: [0, 9] }];
    const fetched = await client.call(OffsetFetch, 4, { groupId: 'g', topics: wanted });
    expect(fetched.topics[0]!.partitions).toMatchObject([
      { partitionIndex: 0, committedOffset: 42, metadata: 'note', errorCode: 0 },
      { partitionIndex: 9, committedOffset: -1, errorCode: 0 },
    ]);
    const batched = await client.call(OffsetFetch, 8, {
      groups: [
        { groupId: 'g', topics: null },
        { groupId: 'other', topics: wanted },
      ],
    });
    expect(batched.groups[0]!.topics).toMatchObject([
      { name: 't', partitions: [{ committedOffset: 42 }] },
    ]);
    expect(batched.groups[1]!.topics[0]!.partitions[0]!.committedOffset).toBe(-1);
    const listed = await client.call(ListGroups, 4, { statesFilter: ['Stable'] });
    expect(listed.groups).toMatchObject([
      { groupId: 'g', groupState: 'Stable', protocolType: 'consumer' },
    ]);
    const described = await client.call(DescribeGroups, 5, { groups: ['g', 'nope'] });
    expect(described.groups.map((each) => each.groupState)).toEqual(['Stable', 'Dead']);
    const left = await client.call(LeaveGroup, 3, {
      groupId: 'g',
      members: [{ memberId, groupInstanceId: null }],
    });
    expect(left.members[0]!.errorCode).toBe(E.NONE);
    const after = await client.call(Heartbeat, 3, { ...member, generationId: 1 });
    expect(after.errorCode).toBe(E.UNKNOWN_MEMBER_ID);
  });

  it('shows no cursor of a topic that was deleted and made again', async () => {
    const world = new KafkaWorld();
    world.create('t');
    world.create('__consumer_offsets', 8, { kind: 'group', isInternal: true });
    const client = world.connect();
    const partitions = [{ partitionIndex: 0, committedOffset: 42, committedMetadata: '' }];
    const all = async () =>
      (await client.call(OffsetFetch, 7, { groupId: 'g', topics: null })).topics;
    const commit = { groupId: 'g', memberId: '', topics: [{ name: 't', partitions }] };
    await client.call(OffsetCommit, 6, { ...commit, groupInstanceId: null });
    expect(await all()).toMatchObject([{ name: 't', partitions: [{ committedOffset: 42 }] }]);
    world.destinations.delete('t');
    expect(await all()).toEqual([]);
    world.create('t');
    expect(await all()).toEqual([]);
    const topics = [{ name: 't', partitionIndexes: [0] }];
    const named = await client.call(OffsetFetch, 7, { groupId: 'g', topics });
    expect(named.topics[0]!.partitions[0]).toMatchObject({ committedOffset: -1, errorCode: 0 });
  });

  it('lets members be while their coordinator loads, and makes all others come again', async () => {
    const world = new KafkaWorld();
    for (const log of world.create('__consumer_offsets', 8, { kind: 'group', isInternal: true })) {
      log.commandResult = 'not-available';
    }
    const client = world.connect();
    const beat = { groupId: 'g', generationId: 1, memberId: 'm', groupInstanceId: null };
    expect((await client.call(Heartbeat, 4, beat)).errorCode).toBe(E.NONE);
    const joined = await client.call(JoinGroup, 0, join(''));
    expect(joined.errorCode).toBe(E.COORDINATOR_LOAD_IN_PROGRESS);
  });

  it('sends clients away from a node that does not coordinate their group', async () => {
    const world = new KafkaWorld();
    world.create('__consumer_offsets', 8, { kind: 'group', isInternal: true });
    world.setLeader('__consumer_offsets', 2);
    const client = world.connect();
    const beat = { groupId: 'g', generationId: 1, memberId: 'm', groupInstanceId: null };
    expect((await client.call(Heartbeat, 4, beat)).errorCode).toBe(E.NOT_COORDINATOR);
    expect((await client.call(JoinGroup, 0, join(''))).errorCode).toBe(E.NOT_COORDINATOR);
    const found = await client.call(FindCoordinator, 4, { coordinatorKeys: ['g'], keyType: 0 });
    expect(found.coordinators[0]).toMatchObject({ nodeId: 2, port: 9093 });
    world.setLeader('__consumer_offsets', -1);
    const none = await client.call(FindCoordinator, 1, { key: 'g', keyType: 0 });
    expect(none.errorCode).toBe(E.COORDINATOR_NOT_AVAILABLE);
    const txn = await client.call(FindCoordinator, 1, { key: 'x', keyType: 1 });
    expect(txn.errorCode).toBe(E.INVALID_REQUEST);
  });
});
