// What this listener says it serves. Which versions are named matters as much as how they behave, since
// clients switch features on ranges: Produce starts at 0 although formats before 2 are refused (else
// older librdkafka turns compression off), JoinGroup at 0 (or librdkafka and kafka-go lose groups and
// login), OffsetForLeaderEpoch includes 2 (librdkafka asks for exactly that). Keys with a schema that
// are not served (producer ids, for one) are not in the list.
import {
  AlterConfigs,
  AlterPartitionReassignments,
  type Api,
  ApiVersions,
  CreateTopics,
  DeleteRecords,
  DeleteTopics,
  DescribeCluster,
  DescribeConfigs,
  DescribeGroups,
  ElectLeaders,
  Fetch,
  FindCoordinator,
  Heartbeat,
  IncrementalAlterConfigs,
  JoinGroup,
  LeaveGroup,
  ListGroups,
  ListOffsets,
  ListPartitionReassignments,
  Metadata,
  OffsetCommit,
  OffsetFetch,
  OffsetForLeaderEpoch,
  Produce,
  SyncGroup,
} from './codec/index.ts';

export interface VersionRange {
  readonly api: Api;
  readonly min: number;
  readonly max: number;
}

/** In the order of their keys. */
const ADVERTISED: readonly VersionRange[] = [
  { api: Produce, min: 0, max: 11 },
  { api: Fetch, min: 4, max: 16 },
  { api: ListOffsets, min: 1, max: 9 },
  { api: Metadata, min: 0, max: 13 },
  { api: OffsetCommit, min: 2, max: 9 },
  { api: OffsetFetch, min: 1, max: 9 },
  { api: FindCoordinator, min: 0, max: 6 },
  { api: JoinGroup, min: 0, max: 9 },
  { api: Heartbeat, min: 0, max: 4 },
  { api: LeaveGroup, min: 0, max: 5 },
  { api: SyncGroup, min: 0, max: 5 },
  { api: DescribeGroups, min: 0, max: 6 },
  { api: ListGroups, min: 0, max: 5 },
  { api: ApiVersions, min: 0, max: 4 },
  { api: CreateTopics, min: 2, max: 7 },
  { api: DeleteTopics, min: 1, max: 6 },
  { api: DeleteRecords, min: 0, max: 2 },
  { api: OffsetForLeaderEpoch, min: 2, max: 4 },
  { api: DescribeConfigs, min: 1, max: 4 },
  { api: AlterConfigs, min: 0, max: 2 },
  { api: ElectLeaders, min: 0, max: 2 },
  { api: IncrementalAlterConfigs, min: 0, max: 1 },
  { api: AlterPartitionReassignments, min: 0, max: 0 },
  { api: ListPartitionReassignments, min: 0, max: 0 },
  { api: DescribeCluster, min: 0, max: 2 },
];

const BY_KEY: ReadonlyMap<number, VersionRange> = new Map(
  ADVERTISED.map((range) => [range.api.key, range]),
);

export function isServed(apiKey: number, version: number): boolean {
  const range = BY_KEY.get(apiKey);
  return range !== undefined && version >= range.min && version <= range.max;
}

/** The list as ApiVersions answers it. */
export const API_KEYS = ADVERTISED.map(({ api, min, max }) => ({
  apiKey: api.key,
  minVersion: min,
  maxVersion: max,
}));
