// Schema rows of the keys that move and find records. Field order is wire order; versions follow
// the message definitions of Apache Kafka (clients/src/main/resources/common/message).
import {
  api,
  bool,
  i8,
  i16,
  i32,
  i64,
  list,
  listOf,
  records,
  str,
  struct,
  uuid,
} from './row-types.ts';

const leaderIdAndEpoch = { leaderId: i32.or(-1), leaderEpoch: i32.or(-1) };
const nodeEndpoints = list({ nodeId: i32, host: str, port: i32, rack: str.nullable() });

export const Produce = api(
  0,
  'Produce',
  [0, 11],
  9,
  {
    transactionalId: str.v(3).nullable(3),
    acks: i16,
    timeoutMs: i32,
    topicData: list({
      name: str,
      partitionData: list({ index: i32, records }),
    }),
  },
  {
    responses: list({
      name: str,
      partitionResponses: list({
        index: i32,
        errorCode: i16,
        baseOffset: i64,
        logAppendTimeMs: i64.v(2).or(-1),
        logStartOffset: i64.v(5).or(-1),
        recordErrors: list({
          batchIndex: i32,
          batchIndexErrorMessage: str.nullable(),
        }).v(8),
        errorMessage: str.v(8).nullable(8),
        currentLeader: struct(leaderIdAndEpoch).v(10).tag(0),
      }),
    }),
    throttleTimeMs: i32.v(1),
    nodeEndpoints: nodeEndpoints.v(10).tag(0),
  },
);

export const Fetch = api(
  1,
  'Fetch',
  [4, 16],
  12,
  {
    clusterId: str.v(12).nullable(12).tag(0),
    replicaId: i32.v(0, 14).or(-1),
    replicaState: struct({ replicaId: i32.or(-1), replicaEpoch: i64.or(-1) })
      .v(15)
      .tag(1),
    maxWaitMs: i32,
    minBytes: i32,
    maxBytes: i32,
    isolationLevel: i8,
    sessionId: i32.v(7),
    sessionEpoch: i32.v(7).or(-1),
    topics: list({
      topic: str.v(0, 12),
      topicId: uuid.v(13),
      partitions: list({
        partition: i32,
        currentLeaderEpoch: i32.v(9).or(-1),
        fetchOffset: i64,
        lastFetchedEpoch: i32.v(12).or(-1),
        logStartOffset: i64.v(5).or(-1),
        partitionMaxBytes: i32,
      }),
    }),
    forgottenTopicsData: list({
      topic: str.v(7, 12),
      topicId: uuid.v(13),
      partitions: listOf(i32),
    }).v(7),
    rackId: str.v(11),
  },
  {
    throttleTimeMs: i32.or(0),
    errorCode: i16.v(7),
    sessionId: i32.v(7),
    responses: list({
      topic: str.v(0, 12),
      topicId: uuid.v(13),
      partitions: list({
        partitionIndex: i32,
        errorCode: i16,
        highWatermark: i64,
        lastStableOffset: i64.or(-1),
        logStartOffset: i64.v(5).or(-1),
        divergingEpoch: struct({ epoch: i32.or(-1), endOffset: i64.or(-1) })
          .v(12)
          .tag(0),
        currentLeader: struct(leaderIdAndEpoch).v(12).tag(1),
        snapshotId: struct({ endOffset: i64.or(-1), epoch: i32.or(-1) })
          .v(12)
          .tag(2),
        abortedTransactions: list({ producerId: i64, firstOffset: i64 }).nullable().or(null),
        preferredReadReplica: i32.v(11).or(-1),
        records,
      }),
    }),
    nodeEndpoints: nodeEndpoints.v(16).tag(0),
  },
);

export const ListOffsets = api(
  2,
  'ListOffsets',
  [1, 9],
  6,
  {
    replicaId: i32.or(-1),
    isolationLevel: i8.v(2),
    topics: list({
      name: str,
      partitions: list({
        partitionIndex: i32,
        currentLeaderEpoch: i32.v(4).or(-1),
        timestamp: i64,
      }),
    }),
  },
  {
    throttleTimeMs: i32.v(2),
    topics: list({
      name: str,
      partitions: list({
        partitionIndex: i32,
        errorCode: i16,
        timestamp: i64.or(-1),
        offset: i64.or(-1),
        leaderEpoch: i32.v(4).or(-1),
      }),
    }),
  },
);

export const OffsetForLeaderEpoch = api(
  23,
  'OffsetForLeaderEpoch',
  [2, 4],
  4,
  {
    replicaId: i32.v(3).or(-2),
    topics: list({
      topic: str,
      partitions: list({ partition: i32, currentLeaderEpoch: i32.or(-1), leaderEpoch: i32 }),
    }),
  },
  {
    throttleTimeMs: i32.or(0),
    topics: list({
      topic: str,
      partitions: list({
        errorCode: i16,
        partition: i32,
        leaderEpoch: i32.or(-1),
        endOffset: i64.or(-1),
      }),
    }),
  },
);

export const InitProducerId = api(
  22,
  'InitProducerId',
  [0, 5],
  2,
  {
    transactionalId: str.nullable(),
    transactionTimeoutMs: i32,
    producerId: i64.v(3).or(-1),
    producerEpoch: i16.v(3).or(-1),
  },
  {
    throttleTimeMs: i32.or(0),
    errorCode: i16,
    producerId: i64.or(-1),
    producerEpoch: i16.or(-1),
  },
);

export const ApiVersions = api(
  18,
  'ApiVersions',
  [0, 4],
  3,
  {
    clientSoftwareName: str.v(3),
    clientSoftwareVersion: str.v(3),
  },
  {
    errorCode: i16,
    apiKeys: list({ apiKey: i16, minVersion: i16, maxVersion: i16 }),
    throttleTimeMs: i32.v(1),
    supportedFeatures: list({ name: str, minVersion: i16, maxVersion: i16 }).v(3).tag(0),
    finalizedFeaturesEpoch: i64.v(3).or(-1).tag(1),
    finalizedFeatures: list({ name: str, maxVersionLevel: i16, minVersionLevel: i16 }).v(3).tag(2),
    zkMigrationReady: bool.v(3).tag(3),
  },
);
