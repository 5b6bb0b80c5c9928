import { createRequire } from 'node:module';
import { describe, expect, it } from 'vitest';
import {
  APIS,
  type Api,
  Fetch,
  JoinGroup,
  KafkaCodec,
  ListOffsets,
  Metadata,
  OffsetFetch,
  Produce,
  WireReader,
  WireWriter,
} from '../../../../src/protocols/kafka/codec/index.ts';
import { decodeRecords, encodeBatch } from '../../../../src/records/records.ts';
import { decodeUtf8, encodeUtf8, toHex } from '../../../../src/std/bytes.ts';
import { crc32c } from '../../../../src/std/crc32c.ts';

// kafkajs has no public encoders; its internal modules are the other party of this conversation.
const require = createRequire(import.meta.url);
const root = require.resolve('kafkajs').replace(/index\.js$/, 'src/');
const buildFrame = require(`${root}protocol/request.js`);
const Encoder = require(`${root}protocol/encoder.js`);

interface KafkajsProtocol {
  readonly request: { encode(): Promise<{ buffer: Buffer }> };
  readonly response: { decode(raw: Buffer): Promise<Record<string, unknown>> };
}

function kafkajs(folder: string, version: number, args: object): KafkajsProtocol {
  return require(`${root}protocol/requests/${folder}/index.js`).protocol({ version })(args);
}

const codec = new KafkaCodec();
const topics = [
  {
    topic: 'tö',
    partitions: [
      {
        partition: 3,
        fetchOffset: '5000000000',
        maxBytes: 77,
        timestamp: '-2',
        offset: '41',
        metadata: 'm',
      },
      { partition: 0, fetchOffset: 0, maxBytes: 1, timestamp: 1_700_000_000_000, offset: 2 },
    ],
  },
];
const group = {
  groupId: 'g',
  groupGenerationId: 7,
  generationId: 7,
  memberId: 'me',
  groupInstanceId: 'i1',
  members: [{ memberId: 'a' }, { memberId: 'b', groupInstanceId: 'ib' }],
};

/** What kafkajs is asked to build, by our name: its folder and arguments that fill every field. */
const conversations: Record<string, [folder: string, args: object]> = {
  Produce: [
    'produce',
    {
      acks: -1,
      timeout: 30_000,
      transactionalId: 'tx',
      producerId: 4,
      producerEpoch: 1,
      topicData: [
        {
          topic: 'a',
          partitions: [
            {
              partition: 1,
              firstSequence: 0,
              messages: [{ key: 'k', value: 'v', headers: {}, timestamp: 5 }],
            },
          ],
        },
        { topic: 'b', partitions: [] },
      ],
    },
  ],
  Fetch: [
    'fetch',
    {
      replicaId: -1,
      maxWaitTime: 500,
      minBytes: 1,
      maxBytes: 9,
      isolationLevel: 1,
      topics,
      forgottenTopics: [{ topic: 'x', partitions: [1, 2] }],
      rackId: 'r',
    },
  ],
  ListOffsets: ['listOffsets', { replicaId: -1, isolationLevel: 1, topics }],
  Metadata: ['metadata', { topics: ['a', 'b'], allowAutoTopicCreation: false }],
  OffsetCommit: ['offsetCommit', { ...group, topics }],
  OffsetFetch: ['offsetFetch', { ...group, topics }],
  FindCoordinator: ['findCoordinator', { coordinatorKey: 'g', groupId: 'g', coordinatorType: 0 }],
  JoinGroup: [
    'joinGroup',
    {
      ...group,
      sessionTimeout: 30_000,
      rebalanceTimeout: 60_000,
      protocolType: 'consumer',
      groupProtocols: [{ name: 'rr', metadata: Buffer.from('meta') }, { name: 'z' }],
    },
  ],
  Heartbeat: ['heartbeat', group],
  LeaveGroup: ['leaveGroup', group],
  SyncGroup: [
    'syncGroup',
    { ...group, groupAssignment: [{ memberId: 'a', memberAssignment: Buffer.from([1, 2]) }] },
  ],
  DescribeGroups: ['describeGroups', { groupIds: ['a', 'b'] }],
  ListGroups: ['listGroups', {}],
  ApiVersions: ['apiVersions', {}],
  CreateTopics: [
    'createTopics',
    {
      timeout: 9,
      validateOnly: true,
      topics: [
        {
          topic: 't',
          numPartitions: 3,
          replicationFactor: 2,
          replicaAssignment: [{ partition: 0, replicas: [1, 2] }],
          configEntries: [
            { name: 'n', value: 'v' },
            { name: 'o', value: null },
          ],
        },
      ],
    },
  ],
  DeleteTopics: ['deleteTopics', { topics: ['t', 'u'], timeout: 9 }],
  DescribeConfigs: [
    'describeConfigs',
    {
      resources: [
        { type: 2, name: 't', configNames: ['a'] },
        { type: 4, name: '1' },
      ],
      includeSynonyms: true,
    },
  ],
  InitProducerId: ['initProducerId', { transactionalId: 'tx', transactionTimeout: 60_000 }],
};

const pairs = APIS.flatMap((api) => {
  const conversation = conversations[api.name];
  if (conversation === undefined) return [];
  const [folder, args] = conversation;
  const versions: string[] = require(`${root}protocol/requests/${folder}/index.js`).versions;
  return versions
    .map(Number)
    .filter((version) => version >= Math.max(api.versionMin, api.name === 'Produce' ? 3 : 0))
    .map((version) => ({ api, version, folder, args, title: `${api.name} v${version}` }));
});

describe('requests of kafkajs', () => {
  it('cover all keys that kafkajs knows of ours', () => {
    expect(new Set(pairs.map((pair) => pair.api.name)).size).toBe(18);
  });

  it.each(pairs)(
    '$title: we read all of it and encode the same bytes',
    async ({ api, version, folder, args }) => {
      const { request } = kafkajs(folder, version, args);
      const frame = new Uint8Array(
        (await buildFrame({ correlationId: 99, clientId: 'me', request })).buffer,
      );
      const header = codec.readRequestHeader(frame, 4, frame.length);
      expect(header).toMatchObject({ kind: 'request', version, correlationId: 99, clientId: 'me' });
      if (header.kind !== 'request') return;
      expect(header.api).toBe(api);
      const reader = new WireReader(frame, header.bodyAt);
      codec.requestPart(api, version).read(reader);
      expect(reader.at).toBe(frame.length);

      const body = codec.decodeRequest(api, version, frame, header.bodyAt, frame.length);
      const writer = new WireWriter();
      codec.encodeRequest(api as Api, version, 99, 'me', body, writer);
      expect(toHex(writer.finish())).toBe(toHex(frame));
    },
  );

  it('mean what they say', async () => {
    const { request } = kafkajs('produce', 7, conversations['Produce']![1]);
    const frame = new Uint8Array(
      (await buildFrame({ correlationId: 1, clientId: null, request })).buffer,
    );
    const header = codec.readRequestHeader(frame, 4, frame.length);
    if (header.kind !== 'request') throw new Error('not a request');
    expect(header.clientId).toBe(null);
    const produce = codec.decodeRequest(Produce, 7, frame, header.bodyAt, frame.length);
    expect(produce).toMatchObject({ acks: -1, timeoutMs: 30_000, transactionalId: 'tx' });
    expect(produce.topicData.map((topic) => topic.name)).toEqual(['a', 'b']);
    const records = produce.topicData[0]!.partitionData[0]!.records!;
    expect(records.buffer).toBe(frame.buffer);
    const decoded = decodeRecords(records, 0, records.length);
    expect(decoded.kind === 'ok' && decodeUtf8(decoded.records[0]!.value!)).toBe('v');
  });
});

describe('responses to kafkajs', () => {
  /** Our response as kafkajs decodes it; the frame carries our size and header. */
  async function reply<A extends Api>(
    folder: string,
    api: A,
    version: number,
    body: Parameters<typeof codec.encodeResponse<A>>[3],
  ): Promise<Record<string, unknown>> {
    const writer = new WireWriter();
    codec.encodeResponse(api, version, 12, body, writer);
    const raw = Buffer.from(writer.finish());
    expect(raw.readInt32BE(0)).toBe(raw.length - 4);
    expect(raw.readInt32BE(4)).toBe(12);
    return kafkajs(folder, version, conversations[api.name]![1]).response.decode(raw.subarray(8));
  }

  it('Fetch v11, with records', async () => {
    const batch = encodeBatch([{ timestampMs: 9, key: null, value: encodeUtf8('hello') }], crc32c, {
      baseOffset: 41,
    });
    const decoded = await reply('fetch', Fetch, 11, {
      sessionId: 0,
      errorCode: 0,
      throttleTimeMs: 3,
      responses: [
        {
          topic: 't',
          partitions: [
            {
              partitionIndex: 1,
              errorCode: 0,
              highWatermark: 42,
              lastStableOffset: 42,
              logStartOffset: 2,
              records: batch,
            },
            { partitionIndex: 2, errorCode: 6, highWatermark: -1, records: null },
          ],
        },
      ],
    });
    expect(decoded).toMatchObject({
      clientSideThrottleTime: 3,
      responses: [
        {
          topicName: 't',
          partitions: [
            {
              partition: 1,
              errorCode: 0,
              highWatermark: '42',
              messages: [{ offset: '41', value: Buffer.from('hello') }],
            },
            { partition: 2, errorCode: 6, messages: [] },
          ],
        },
      ],
    });
  });

  it('Produce v7', async () => {
    expect(
      await reply('produce', Produce, 7, {
        responses: [
          {
            name: 't',
            partitionResponses: [
              { index: 4, errorCode: 0, baseOffset: 5_000_000_000, logStartOffset: 7 },
            ],
          },
        ],
      }),
    ).toMatchObject({
      topics: [
        {
          topicName: 't',
          partitions: [
            {
              partition: 4,
              errorCode: 0,
              baseOffset: '5000000000',
              logAppendTime: '-1',
              logStartOffset: '7',
            },
          ],
        },
      ],
    });
  });

  it('Metadata v6', async () => {
    expect(
      await reply('metadata', Metadata, 6, {
        brokers: [{ nodeId: 1, host: 'h', port: 9092, rack: null }],
        clusterId: 'c',
        controllerId: 1,
        topics: [
          {
            errorCode: 0,
            name: 't',
            isInternal: true,
            partitions: [
              {
                errorCode: 5,
                partitionIndex: 0,
                leaderId: 1,
                replicaNodes: [1, 2],
                isrNodes: [1],
                offlineReplicas: [2],
              },
            ],
          },
        ],
      }),
    ).toMatchObject({
      brokers: [{ nodeId: 1, host: 'h', port: 9092, rack: null }],
      clusterId: 'c',
      controllerId: 1,
      topicMetadata: [
        {
          topic: 't',
          isInternal: true,
          partitionMetadata: [
            {
              partitionErrorCode: 5,
              partitionId: 0,
              leader: 1,
              replicas: [1, 2],
              isr: [1],
              offlineReplicas: [2],
            },
          ],
        },
      ],
    });
  });

  it('JoinGroup v5', async () => {
    expect(
      await reply('joinGroup', JoinGroup, 5, {
        errorCode: 0,
        generationId: 3,
        protocolName: 'rr',
        leader: 'a',
        memberId: 'b',
        members: [{ memberId: 'a', groupInstanceId: null, metadata: Uint8Array.of(1, 2) }],
      }),
    ).toMatchObject({
      generationId: 3,
      groupProtocol: 'rr',
      leaderId: 'a',
      memberId: 'b',
      members: [{ memberId: 'a', groupInstanceId: null, memberMetadata: Buffer.from([1, 2]) }],
    });
  });

  it('ListOffsets v3 and OffsetFetch v4', async () => {
    expect(
      await reply('listOffsets', ListOffsets, 3, {
        topics: [
          {
            name: 't',
            partitions: [{ partitionIndex: 1, errorCode: 0, timestamp: -1, offset: 99 }],
          },
        ],
      }),
    ).toMatchObject({
      responses: [{ topic: 't', partitions: [{ partition: 1, timestamp: '-1', offset: '99' }] }],
    });
    expect(
      await reply('offsetFetch', OffsetFetch, 4, {
        errorCode: 0,
        topics: [
          {
            name: 't',
            partitions: [{ partitionIndex: 1, committedOffset: 8, metadata: 'm', errorCode: 0 }],
          },
        ],
      }),
    ).toMatchObject({
      errorCode: 0,
      responses: [{ topic: 't', partitions: [{ partition: 1, offset: '8', metadata: 'm' }] }],
    });
  });

  it('the other way round: we read a response that kafkajs encodes', () => {
    const raw = new Encoder()
      .writeInt32(7)
      .writeInt16(0)
      .writeInt32(2)
      .writeInt16(0)
      .writeInt16(0)
      .writeInt16(9)
      .writeInt16(18)
      .writeInt16(0)
      .writeInt16(3)
      .writeInt32(5).buffer;
    const api = APIS.find((candidate) => candidate.name === 'ApiVersions')!;
    expect(codec.decodeResponse(api, 2, new Uint8Array(raw), 0, raw.length)).toMatchObject({
      correlationId: 7,
      body: {
        errorCode: 0,
        throttleTimeMs: 5,
        apiKeys: [
          { apiKey: 0, minVersion: 0, maxVersion: 9 },
          { apiKey: 18, minVersion: 0, maxVersion: 3 },
        ],
      },
    });
  });
});
