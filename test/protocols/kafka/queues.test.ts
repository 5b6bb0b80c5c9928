// Queues among topics: which are shown, under which names, and what is answered where there is none to see.
import { gzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import type { QueueView } from '../../../src/broker/ports.ts';
import {
  CreateTopics,
  DeleteTopics,
  DescribeConfigs,
  Fetch,
  ListOffsets,
  Metadata,
  OffsetCommit,
  OffsetFetch,
  OffsetForLeaderEpoch,
  Produce,
} from '../../../src/protocols/kafka/codec/index.ts';
import { KafkaErrorCode as E } from '../../../src/protocols/kafka/errors.ts';
import { ATTRIBUTES_AT, BATCH_HEADER_BYTES, sealBatch } from '../../../src/records/batch.ts';
import { decodeRecords } from '../../../src/records/records.ts';
import { decodeUtf8, equalBytes } from '../../../src/std/bytes.ts';
import { crc32c } from '../../../src/std/crc32c.ts';
import { batchOf, KafkaWorld } from './harness.ts';

const OWNER = { node: 1, incarnation: 1, shard: 0, shardIncarnation: 1, connection: 9 };

function queue(more: Partial<QueueView> = {}): { kind: string; queue: QueueView } {
  const rules = { durable: true, autoDelete: false, owner: undefined, ...more };
  return { kind: 'queue', queue: { ...rules, arguments: new Uint8Array(0), compared: [] } };
}

/** Queues of every sort, and a stream whose name is none of Kafka's. */
function world(): KafkaWorld {
  const made = new KafkaWorld();
  made.create('stream', 2);
  made.create('tasks', 1, queue());
  made.create('mine', 1, queue({ owner: OWNER }));
  made.create('amq.gen-abc', 1, queue());
  made.create('two words', 1, queue());
  made.create('a%b', 1);
  return made;
}

const produceBody = (name: string, batch: Uint8Array) => ({
  transactionalId: null,
  acks: -1,
  timeoutMs: 1_000,
  topicData: [{ name, partitionData: [{ index: 0, records: batch }] }],
});

/** Record bytes behind the header replaced, with the codec in the attributes. */
function squeezed(batch: Uint8Array, codec: number, squeeze: (bytes: Uint8Array) => Uint8Array) {
  const body = squeeze(batch.subarray(BATCH_HEADER_BYTES));
  const all = new Uint8Array(BATCH_HEADER_BYTES + body.length);
  all.set(batch.subarray(0, BATCH_HEADER_BYTES));
  all.set(body, BATCH_HEADER_BYTES);
  const view = new DataView(all.buffer);
  view.setInt32(8, all.length - 12);
  view.setInt16(ATTRIBUTES_AT, codec);
  sealBatch(all, 0, crc32c);
  return all;
}

/** What each request says of a topic of this name. */
async function codesOf(name: string): Promise<Record<string, number>> {
  const client = world().connect();
  const partitions = [{ partitionIndex: 0, currentLeaderEpoch: -1, timestamp: -1 }];
  const located = await client.call(ListOffsets, 5, {
    replicaId: -1,
    isolationLevel: 0,
    topics: [{ name, partitions }],
  });
  const epochs = await client.call(OffsetForLeaderEpoch, 3, {
    replicaId: -1,
    topics: [
      { topic: name, partitions: [{ partition: 0, currentLeaderEpoch: -1, leaderEpoch: 3 }] },
    ],
  });
  const fetched = await client.call(Fetch, 11, {
    maxWaitMs: 0,
    minBytes: 1,
    maxBytes: 1_000,
    isolationLevel: 0,
    topics: [
      { topic: name, partitions: [{ partition: 0, fetchOffset: 0, partitionMaxBytes: 1_000 }] },
    ],
  });
  const produced = await client.call(Produce, 8, produceBody(name, batchOf('x')));
  const named = await client.call(Metadata, 9, { topics: [{ name }] });
  const described = await client.call(DescribeConfigs, 2, {
    resources: [{ resourceType: 2, resourceName: name, configurationKeys: null }],
  });
  const deleted = await client.call(DeleteTopics, 4, {
    topicNames: [name],
    timeoutMs: 1_000,
    topics: [],
  } as never);
  return {
    metadata: named.topics[0]!.errorCode,
    locate: located.topics[0]!.partitions[0]!.errorCode,
    epochs: epochs.topics[0]!.partitions[0]!.errorCode,
    fetch: fetched.responses[0]!.partitions[0]!.errorCode,
    produce: produced.responses[0]!.partitionResponses[0]!.errorCode,
    describe: described.results[0]!.errorCode,
    delete: deleted.responses[0]!.errorCode,
  };
}

const everywhere = (code: number) => ({
  metadata: code,
  locate: code,
  epochs: code,
  fetch: code,
  produce: code,
  describe: code,
  delete: code,
});

describe('queues as topics', () => {
  it('are listed unless they are exclusive, were named by the server or have no name for Kafka', async () => {
    const answer = await world().connect().call(Metadata, 9, { topics: null });
    expect(answer.topics.map(({ name }) => name)).toEqual(['stream', 'tasks']);
    expect(answer.topics[1]!.partitions).toMatchObject([
      { errorCode: E.NONE, partitionIndex: 0, leaderId: 1, replicaNodes: [1, 2] },
    ]);
  });

  it('answer every request by their name, and say why where they do not', async () => {
    expect(await codesOf('tasks')).toEqual(everywhere(E.NONE));
    expect(await codesOf('amq.gen-abc')).toEqual(everywhere(E.NONE));
    expect(await codesOf('mine')).toEqual(everywhere(E.TOPIC_AUTHORIZATION_FAILED));
    expect(await codesOf('two words')).toEqual(everywhere(E.INVALID_TOPIC_EXCEPTION));
    expect(await codesOf('a%b')).toEqual(everywhere(E.INVALID_TOPIC_EXCEPTION));
  });

  it('are known by their ids, as far as they are known by their names', async () => {
    const made = world();
    const client = made.connect();
    const codes: number[] = [];
    for (const name of ['tasks', 'mine', 'two words']) {
      const topicId = made.destinations.get(name)!.id;
      const answer = await client.call(Metadata, 12, { topics: [{ topicId, name: null }] });
      codes.push(answer.topics[0]!.errorCode);
    }
    expect(codes).toEqual([E.NONE, E.TOPIC_AUTHORIZATION_FAILED, E.INVALID_TOPIC_EXCEPTION]);
  });

  it('take cursors of groups', async () => {
    const made = world();
    made.create('__consumer_offsets', 1, { kind: 'group', isInternal: true });
    const client = made.connect();
    const partition = { partitionIndex: 0, committedOffset: 5, committedMetadata: '' };
    const committed = await client.call(OffsetCommit, 3, {
      groupId: 'g',
      generationIdOrMemberEpoch: -1,
      memberId: '',
      topics: ['tasks', 'mine'].map((name) => ({ name, partitions: [partition] })),
    });
    const codes = committed.topics.map(({ partitions }) => partitions[0]!.errorCode);
    expect(codes).toEqual([E.NONE, E.UNKNOWN_TOPIC_OR_PARTITION]);
    const read = await client.call(OffsetFetch, 3, {
      groupId: 'g',
      topics: ['tasks', 'mine'].map((name) => ({ name, partitionIndexes: [0] })),
    });
    const offsets = read.topics!.map(({ partitions }) => partitions[0]!.committedOffset);
    expect(offsets).toEqual([5, -1]);
  });

  it('keep their name: whoever creates or asks for one gets what is there', async () => {
    const made = world();
    const client = made.connect();
    const names = ['tasks', 'mine', 'amq.gen-abc'];
    const more = { numPartitions: 1, replicationFactor: 1, assignments: [], configs: [] };
    const topics = names.map((name) => ({ name, ...more }));
    const created = await client.call(CreateTopics, 5, { topics });
    expect(created.topics.map(({ errorCode }) => errorCode)).toEqual(
      names.map(() => E.TOPIC_ALREADY_EXISTS),
    );
    expect(created.topics[0]!.errorMessage).toBe('queue "tasks" exists');
    await client.call(Metadata, 9, { topics: names.map((name) => ({ name })) });
    expect(made.created).toEqual([]);
  });

  it('say what they are', async () => {
    const answer = await world()
      .connect()
      .call(DescribeConfigs, 2, {
        resources: ['tasks', 'stream'].map((resourceName) => {
          return { resourceType: 2, resourceName, configurationKeys: null };
        }),
      });
    const [ofQueue, ofStream] = answer.results.map(({ configs }) =>
      Object.fromEntries(configs.map(({ name, value }) => [name, value])),
    );
    expect(ofQueue).toEqual({
      'callboard.durability': 'sync',
      'callboard.kind': 'queue',
      'callboard.queue.durable': 'true',
      'callboard.queue.auto.delete': 'false',
      'min.insync.replicas': '1',
    });
    expect(ofStream).toMatchObject({ 'callboard.kind': 'stream', 'retention.ms': '604800000' });
  });

  it('that another has replaced is not deleted', async () => {
    const made = world();
    made.metadataResult = { kind: 'refused', code: 'stale-log', message: 'is now log 9' };
    const topicNames = ['tasks'];
    const gone = await made
      .connect()
      .call(DeleteTopics, 4, { topicNames, timeoutMs: 1_000, topics: [] } as never);
    expect(gone.responses[0]!.errorCode).toBe(E.UNKNOWN_TOPIC_OR_PARTITION);
  });
});

describe('compressed batches to a queue', () => {
  const packed = squeezed(batchOf('a', 'b'), 1, (bytes) => new Uint8Array(gzipSync(bytes)));

  async function produce(made: KafkaWorld, topic: string, batch: Uint8Array): Promise<number> {
    const answer = await made.connect().call(Produce, 8, produceBody(topic, batch));
    return answer.responses[0]!.partitionResponses[0]!.errorCode;
  }

  it('are unpacked, and those to a stream are not', async () => {
    const made = new KafkaWorld();
    const [ofQueue] = made.create('tasks', 1, queue());
    const [ofStream] = made.create('stream');
    expect(await produce(made, 'stream', packed)).toBe(E.NONE);
    expect(equalBytes(ofStream!.batches[0]!.bytes.subarray(21), packed.subarray(21))).toBe(true);
    expect(await produce(made, 'tasks', packed)).toBe(E.NONE);
    const { bytes } = ofQueue!.batches[0]!;
    const decoded = decodeRecords(bytes, 0, bytes.length);
    if (decoded.kind !== 'ok') throw new Error(decoded.fault);
    expect(decoded.records.map(({ value }) => decodeUtf8(value!))).toEqual(['a', 'b']);
  });

  it('are refused if they cannot be: nothing is stored', async () => {
    const made = new KafkaWorld();
    const [log] = made.create('tasks', 1, queue());
    const junk = squeezed(batchOf('a'), 1, (bytes) => bytes.slice());
    expect(await produce(made, 'tasks', junk)).toBe(E.INVALID_RECORD);
    const snappy = squeezed(batchOf('a'), 2, (bytes) => bytes.slice());
    expect(await produce(made, 'tasks', snappy)).toBe(E.UNSUPPORTED_COMPRESSION_TYPE);
    expect(log!.end).toBe(0);
  });

  it('of idempotent producers come as they are, for the log to refuse', async () => {
    const made = new KafkaWorld();
    const [log] = made.create('tasks', 1, queue());
    const batch = packed.slice();
    const view = new DataView(batch.buffer);
    view.setBigInt64(43, 7n);
    view.setInt16(51, 0);
    view.setInt32(53, 0);
    sealBatch(batch, 0, crc32c);
    await produce(made, 'tasks', batch);
    expect(equalBytes(log!.batches[0]!.bytes.subarray(21), batch.subarray(21))).toBe(true);
  });
});
