// Which handler serves which key: one row for each key that is advertised.
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
} from '../codec/index.ts';
import type { Handler } from '../exchange.ts';
import { alterConfigs, incrementalAlterConfigs } from './alter-configs.ts';
import { apiVersions } from './api-versions.ts';
import { describeConfigs } from './configs.ts';
import { findCoordinator } from './coordinator.ts';
import { offsetCommit, offsetFetch } from './cursors.ts';
import { electLeaders } from './elections.ts';
import { fetch } from './fetch.ts';
import {
  describeGroups,
  heartbeat,
  joinGroup,
  leaveGroup,
  listGroups,
  syncGroup,
} from './groups.ts';
import { describeCluster, metadata } from './metadata.ts';
import { listOffsets, offsetForLeaderEpoch } from './offsets.ts';
import { produce } from './produce.ts';
import { alterReassignments, listReassignments } from './reassignments.ts';
import { deleteRecords } from './records.ts';
import { createTopics, deleteTopics } from './topics.ts';

/** Pairs an API with its handler; from here on its types are known to the pair alone. */
function row<A extends Api>(api: A, handler: Handler<A>): [number, Handler<Api>] {
  return [api.key, handler as unknown as Handler<Api>];
}

export const HANDLERS: ReadonlyMap<number, Handler<Api>> = new Map([
  row(Produce, produce),
  row(Fetch, fetch),
  row(ListOffsets, listOffsets),
  row(Metadata, metadata),
  row(OffsetCommit, offsetCommit),
  row(OffsetFetch, offsetFetch),
  row(FindCoordinator, findCoordinator),
  row(JoinGroup, joinGroup),
  row(Heartbeat, heartbeat),
  row(LeaveGroup, leaveGroup),
  row(SyncGroup, syncGroup),
  row(DescribeGroups, describeGroups),
  row(ListGroups, listGroups),
  row(ApiVersions, apiVersions),
  row(CreateTopics, createTopics),
  row(DeleteTopics, deleteTopics),
  row(DeleteRecords, deleteRecords),
  row(OffsetForLeaderEpoch, offsetForLeaderEpoch),
  row(DescribeConfigs, describeConfigs),
  row(AlterConfigs, alterConfigs),
  row(ElectLeaders, electLeaders),
  row(IncrementalAlterConfigs, incrementalAlterConfigs),
  row(AlterPartitionReassignments, alterReassignments),
  row(ListPartitionReassignments, listReassignments),
  row(DescribeCluster, describeCluster),
]);
