// Schema rows of the keys of consumer groups. Field order is wire order; versions follow the
// message definitions of Apache Kafka (clients/src/main/resources/common/message).
import { api, bool, bytes, i8, i16, i32, i64, list, listOf, str } from './row-types.ts';

/** An authorized-operations bit field that was not asked for. */
const NOT_ASKED = -0x8000_0000;

export const OffsetCommit = api(
  8,
  'OffsetCommit',
  [2, 9],
  8,
  {
    groupId: str,
    generationIdOrMemberEpoch: i32.or(-1),
    memberId: str,
    groupInstanceId: str.v(7).nullable(7),
    retentionTimeMs: i64.v(2, 4).or(-1),
    topics: list({
      name: str,
      partitions: list({
        partitionIndex: i32,
        committedOffset: i64,
        committedLeaderEpoch: i32.v(6).or(-1),
        committedMetadata: str.nullable(),
      }),
    }),
  },
  {
    throttleTimeMs: i32.v(3),
    topics: list({
      name: str,
      partitions: list({ partitionIndex: i32, errorCode: i16 }),
    }),
  },
);

export const OffsetFetch = api(
  9,
  'OffsetFetch',
  [1, 9],
  6,
  {
    groupId: str.v(0, 7),
    topics: list({ name: str, partitionIndexes: listOf(i32) })
      .v(0, 7)
      .nullable(2),
    groups: list({
      groupId: str,
      memberId: str.v(9).nullable(9),
      memberEpoch: i32.v(9).or(-1),
      topics: list({ name: str, partitionIndexes: listOf(i32) }).nullable(),
    }).v(8),
    requireStable: bool.v(7),
  },
  {
    throttleTimeMs: i32.v(3),
    topics: list({
      name: str,
      partitions: list({
        partitionIndex: i32,
        committedOffset: i64,
        committedLeaderEpoch: i32.v(5).or(-1),
        metadata: str.nullable(),
        errorCode: i16,
      }),
    }).v(0, 7),
    errorCode: i16.v(2, 7),
    groups: list({
      groupId: str,
      topics: list({
        name: str,
        partitions: list({
          partitionIndex: i32,
          committedOffset: i64,
          committedLeaderEpoch: i32.or(-1),
          metadata: str.nullable(),
          errorCode: i16,
        }),
      }),
      errorCode: i16.or(0),
    }).v(8),
  },
);

export const FindCoordinator = api(
  10,
  'FindCoordinator',
  [0, 6],
  3,
  {
    key: str.v(0, 3),
    keyType: i8.v(1),
    coordinatorKeys: listOf(str).v(4),
  },
  {
    throttleTimeMs: i32.v(1),
    errorCode: i16.v(0, 3),
    errorMessage: str.v(1, 3).nullable(1),
    nodeId: i32.v(0, 3),
    host: str.v(0, 3),
    port: i32.v(0, 3),
    coordinators: list({
      key: str,
      nodeId: i32,
      host: str,
      port: i32,
      errorCode: i16,
      errorMessage: str.nullable(),
    }).v(4),
  },
);

export const JoinGroup = api(
  11,
  'JoinGroup',
  [0, 9],
  6,
  {
    groupId: str,
    sessionTimeoutMs: i32,
    rebalanceTimeoutMs: i32.v(1).or(-1),
    memberId: str,
    groupInstanceId: str.v(5).nullable(5),
    protocolType: str,
    protocols: list({ name: str, metadata: bytes }),
    reason: str.v(8).nullable(8),
  },
  {
    throttleTimeMs: i32.v(2),
    errorCode: i16,
    generationId: i32.or(-1),
    protocolType: str.v(7).nullable(7),
    protocolName: str.nullable(7),
    leader: str,
    skipAssignment: bool.v(9),
    memberId: str,
    members: list({
      memberId: str,
      groupInstanceId: str.v(5).nullable(5),
      metadata: bytes,
    }),
  },
);

export const Heartbeat = api(
  12,
  'Heartbeat',
  [0, 4],
  4,
  {
    groupId: str,
    generationId: i32,
    memberId: str,
    groupInstanceId: str.v(3).nullable(3),
  },
  {
    throttleTimeMs: i32.v(1),
    errorCode: i16,
  },
);

export const LeaveGroup = api(
  13,
  'LeaveGroup',
  [0, 5],
  4,
  {
    groupId: str,
    memberId: str.v(0, 2),
    members: list({
      memberId: str,
      groupInstanceId: str.nullable(),
      reason: str.v(5).nullable(5),
    }).v(3),
  },
  {
    throttleTimeMs: i32.v(1),
    errorCode: i16,
    members: list({ memberId: str, groupInstanceId: str.nullable(), errorCode: i16 }).v(3),
  },
);

export const SyncGroup = api(
  14,
  'SyncGroup',
  [0, 5],
  4,
  {
    groupId: str,
    generationId: i32,
    memberId: str,
    groupInstanceId: str.v(3).nullable(3),
    protocolType: str.v(5).nullable(5),
    protocolName: str.v(5).nullable(5),
    assignments: list({ memberId: str, assignment: bytes }),
  },
  {
    throttleTimeMs: i32.v(1),
    errorCode: i16,
    protocolType: str.v(5).nullable(5),
    protocolName: str.v(5).nullable(5),
    assignment: bytes,
  },
);

export const DescribeGroups = api(
  15,
  'DescribeGroups',
  [0, 6],
  5,
  {
    groups: listOf(str),
    includeAuthorizedOperations: bool.v(3),
  },
  {
    throttleTimeMs: i32.v(1),
    groups: list({
      errorCode: i16,
      errorMessage: str.v(6).nullable(6),
      groupId: str,
      groupState: str,
      protocolType: str,
      protocolData: str,
      members: list({
        memberId: str,
        groupInstanceId: str.v(4).nullable(4),
        clientId: str,
        clientHost: str,
        memberMetadata: bytes,
        memberAssignment: bytes,
      }),
      authorizedOperations: i32.v(3).or(NOT_ASKED),
    }),
  },
);

export const ListGroups = api(
  16,
  'ListGroups',
  [0, 5],
  3,
  {
    statesFilter: listOf(str).v(4),
    typesFilter: listOf(str).v(5),
  },
  {
    throttleTimeMs: i32.v(1),
    errorCode: i16,
    groups: list({
      groupId: str,
      protocolType: str,
      groupState: str.v(4),
      groupType: str.v(5),
    }),
  },
);
