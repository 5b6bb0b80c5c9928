// Schema rows of the keys that describe and change the cluster. Field order is wire order; versions
// follow the message definitions of Apache Kafka (clients/src/main/resources/common/message).
import { api, bool, i8, i16, i32, i64, list, listOf, str, uuid } from './row-types.ts';

/** An authorized-operations bit field that was not asked for. */
const NOT_ASKED = -0x8000_0000;

export const Metadata = api(
  3,
  'Metadata',
  [0, 13],
  9,
  {
    /** Null: all topics; so does an empty array in version 0, which has no null. */
    topics: list({ topicId: uuid.v(10), name: str.nullable(10) }).nullable(1),
    allowAutoTopicCreation: bool.v(4).or(true),
    includeClusterAuthorizedOperations: bool.v(8, 10),
    includeTopicAuthorizedOperations: bool.v(8),
  },
  {
    throttleTimeMs: i32.v(3),
    brokers: list({ nodeId: i32, host: str, port: i32, rack: str.v(1).nullable(1) }),
    clusterId: str.v(2).nullable(2),
    controllerId: i32.v(1).or(-1),
    topics: list({
      errorCode: i16,
      name: str.nullable(12),
      topicId: uuid.v(10),
      isInternal: bool.v(1),
      partitions: list({
        errorCode: i16,
        partitionIndex: i32,
        leaderId: i32,
        leaderEpoch: i32.v(7).or(-1),
        replicaNodes: listOf(i32),
        isrNodes: listOf(i32),
        offlineReplicas: listOf(i32).v(5),
      }),
      topicAuthorizedOperations: i32.v(8).or(NOT_ASKED),
    }),
    clusterAuthorizedOperations: i32.v(8, 10).or(NOT_ASKED),
    errorCode: i16.v(13),
  },
);

export const CreateTopics = api(
  19,
  'CreateTopics',
  [2, 7],
  5,
  {
    topics: list({
      name: str,
      numPartitions: i32,
      replicationFactor: i16,
      assignments: list({ partitionIndex: i32, brokerIds: listOf(i32) }).or([]),
      configs: list({ name: str, value: str.nullable() }).or([]),
    }),
    timeoutMs: i32.or(60_000),
    validateOnly: bool.or(false),
  },
  {
    throttleTimeMs: i32.or(0),
    topics: list({
      name: str,
      topicId: uuid.v(7),
      errorCode: i16,
      errorMessage: str.nullable(),
      topicConfigErrorCode: i16.v(5).tag(0),
      numPartitions: i32.v(5).or(-1),
      replicationFactor: i16.v(5).or(-1),
      configs: list({
        name: str,
        value: str.nullable(),
        readOnly: bool,
        configSource: i8.or(-1),
        isSensitive: bool,
      })
        .v(5)
        .nullable(5),
    }),
  },
);

export const DeleteTopics = api(
  20,
  'DeleteTopics',
  [1, 6],
  4,
  {
    topics: list({ name: str.nullable(), topicId: uuid }).v(6),
    topicNames: listOf(str).v(0, 5),
    timeoutMs: i32,
  },
  {
    throttleTimeMs: i32.or(0),
    responses: list({
      name: str.nullable(6),
      topicId: uuid.v(6),
      errorCode: i16,
      errorMessage: str.v(5).nullable(5),
    }),
  },
);

/** KIP-107. An offset of -1 stands for the high watermark. */
export const DeleteRecords = api(
  21,
  'DeleteRecords',
  [0, 2],
  2,
  {
    topics: list({ name: str, partitions: list({ partitionIndex: i32, offset: i64 }) }),
    timeoutMs: i32,
  },
  {
    throttleTimeMs: i32.or(0),
    topics: list({
      name: str,
      partitions: list({ partitionIndex: i32, lowWatermark: i64, errorCode: i16 }),
    }),
  },
);

export const DescribeConfigs = api(
  32,
  'DescribeConfigs',
  [1, 4],
  4,
  {
    resources: list({
      resourceType: i8,
      resourceName: str,
      configurationKeys: listOf(str).nullable(),
    }),
    includeSynonyms: bool.or(false),
    includeDocumentation: bool.v(3),
  },
  {
    throttleTimeMs: i32.or(0),
    results: list({
      errorCode: i16,
      errorMessage: str.nullable(),
      resourceType: i8,
      resourceName: str,
      configs: list({
        name: str,
        value: str.nullable(),
        readOnly: bool,
        configSource: i8.or(-1),
        isSensitive: bool,
        synonyms: list({ name: str, value: str.nullable(), source: i8 }).or([]),
        configType: i8.v(3),
        documentation: str.v(3).nullable(3),
      }),
    }),
  },
);

/** The configs are the whole of each resource: what is not named goes back to its default. */
export const AlterConfigs = api(
  33,
  'AlterConfigs',
  [0, 2],
  2,
  {
    resources: list({
      resourceType: i8,
      resourceName: str,
      configs: list({ name: str, value: str.nullable() }),
    }),
    validateOnly: bool,
  },
  {
    throttleTimeMs: i32.or(0),
    responses: list({
      errorCode: i16,
      errorMessage: str.nullable(),
      resourceType: i8,
      resourceName: str,
    }),
  },
);

/** KIP-183 and KIP-460. Types: 0 preferred, 1 unclean. Topics of null: all. */
export const ElectLeaders = api(
  43,
  'ElectLeaders',
  [0, 2],
  2,
  {
    electionType: i8.v(1),
    topicPartitions: list({ topic: str, partitions: listOf(i32) }).nullable(),
    timeoutMs: i32.or(60_000),
  },
  {
    throttleTimeMs: i32.or(0),
    errorCode: i16.v(1),
    replicaElectionResults: list({
      topic: str,
      partitionResult: list({
        partitionId: i32,
        errorCode: i16,
        errorMessage: str.nullable(),
      }),
    }),
  },
);

/** KIP-339. Operations: 0 set, 1 delete, 2 append, 3 subtract; the last two of lists. */
export const IncrementalAlterConfigs = api(
  44,
  'IncrementalAlterConfigs',
  [0, 1],
  1,
  {
    resources: list({
      resourceType: i8,
      resourceName: str,
      configs: list({ name: str, configOperation: i8, value: str.nullable() }),
    }),
    validateOnly: bool,
  },
  {
    throttleTimeMs: i32.or(0),
    responses: list({
      errorCode: i16,
      errorMessage: str.nullable(),
      resourceType: i8,
      resourceName: str,
    }),
  },
);

/** KIP-455. A replica list of null cancels. */
export const AlterPartitionReassignments = api(
  45,
  'AlterPartitionReassignments',
  [0, 0],
  0,
  {
    timeoutMs: i32.or(60_000),
    topics: list({
      name: str,
      partitions: list({ partitionIndex: i32, replicas: listOf(i32).nullable() }),
    }),
  },
  {
    throttleTimeMs: i32.or(0),
    errorCode: i16,
    errorMessage: str.nullable(),
    responses: list({
      name: str,
      partitions: list({ partitionIndex: i32, errorCode: i16, errorMessage: str.nullable() }),
    }),
  },
);

/** Topics of null: all. */
export const ListPartitionReassignments = api(
  46,
  'ListPartitionReassignments',
  [0, 0],
  0,
  {
    timeoutMs: i32.or(60_000),
    topics: list({ name: str, partitionIndexes: listOf(i32) }).nullable(),
  },
  {
    throttleTimeMs: i32.or(0),
    errorCode: i16,
    errorMessage: str.nullable(),
    topics: list({
      name: str,
      partitions: list({
        partitionIndex: i32,
        replicas: listOf(i32),
        addingReplicas: listOf(i32),
        removingReplicas: listOf(i32),
      }),
    }),
  },
);

export const DescribeCluster = api(
  60,
  'DescribeCluster',
  [0, 2],
  0,
  {
    includeClusterAuthorizedOperations: bool,
    endpointType: i8.v(1).or(1),
    includeFencedBrokers: bool.v(2),
  },
  {
    throttleTimeMs: i32.or(0),
    errorCode: i16,
    errorMessage: str.nullable(),
    endpointType: i8.v(1).or(1),
    clusterId: str,
    controllerId: i32.or(-1),
    brokers: list({
      brokerId: i32,
      host: str,
      port: i32,
      rack: str.nullable(),
      isFenced: bool.v(2),
    }),
    clusterAuthorizedOperations: i32.or(NOT_ASKED),
  },
);
