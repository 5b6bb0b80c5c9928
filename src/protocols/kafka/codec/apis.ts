// All API keys that have a schema here, and how to find one. What a listener advertises is the
// session's choice; a key or version that is not in this table cannot be spoken at all.
import {
  AlterConfigs,
  AlterPartitionReassignments,
  CreateTopics,
  DeleteRecords,
  DeleteTopics,
  DescribeCluster,
  DescribeConfigs,
  ElectLeaders,
  IncrementalAlterConfigs,
  ListPartitionReassignments,
  Metadata,
} from './admin-apis.ts';
import {
  ApiVersions,
  Fetch,
  InitProducerId,
  ListOffsets,
  OffsetForLeaderEpoch,
  Produce,
} from './data-apis.ts';
import {
  DescribeGroups,
  FindCoordinator,
  Heartbeat,
  JoinGroup,
  LeaveGroup,
  ListGroups,
  OffsetCommit,
  OffsetFetch,
  SyncGroup,
} from './group-apis.ts';
import type { Api } from './row-types.ts';

export * from './admin-apis.ts';
export * from './data-apis.ts';
export * from './group-apis.ts';

/** In the order of their keys. */
export const APIS: readonly Api[] = Object.freeze([
  Produce,
  Fetch,
  ListOffsets,
  Metadata,
  OffsetCommit,
  OffsetFetch,
  FindCoordinator,
  JoinGroup,
  Heartbeat,
  LeaveGroup,
  SyncGroup,
  DescribeGroups,
  ListGroups,
  ApiVersions,
  CreateTopics,
  DeleteTopics,
  DeleteRecords,
  InitProducerId,
  OffsetForLeaderEpoch,
  DescribeConfigs,
  AlterConfigs,
  ElectLeaders,
  IncrementalAlterConfigs,
  AlterPartitionReassignments,
  ListPartitionReassignments,
  DescribeCluster,
]);

const API_BY_KEY: readonly (Api | undefined)[] = Object.freeze(indexByKey(APIS));

function indexByKey(apis: readonly Api[]): (Api | undefined)[] {
  const byKey: (Api | undefined)[] = [];
  for (const api of apis) byKey[api.key] = api;
  return byKey;
}

export function apiByKey(key: number): Api | undefined {
  return API_BY_KEY[key];
}

export function isFlexible(api: Api, version: number): boolean {
  return version >= api.flexibleFrom;
}

/**
 * A response header has tagged fields in flexible versions, except that of ApiVersions (KIP-511).
 */
export function hasFlexibleResponseHeader(api: Api, version: number): boolean {
  return api.key !== ApiVersions.key && isFlexible(api, version);
}
