// Status and destinations as JSON, from the metadata of this node and what the leaders say.
import type { DestinationView, LogView, MetadataView, ReplicaStatus } from '../cluster/ports.ts';
import type { ApiDestination, ApiNode, ApiPartition, ApiStatus } from './api-types.ts';
import type { AdminPorts } from './ports.ts';
import { kindOf } from './queues.ts';

function logsOf(view: MetadataView): LogView[] {
  return view.destinations().flatMap((destination) => [...destination.logs]);
}

function nodesOf(view: MetadataView, logs: readonly LogView[]): ApiNode[] {
  return view.nodes().map((node) => ({
    id: node.id,
    role: node.role,
    host: node.endpoints.get('kafka')?.host ?? '',
    kafkaPort: node.endpoints.get('kafka')?.port ?? 0,
    amqpPort: node.endpoints.get('amqp')?.port ?? 0,
    rocketmqPort: node.endpoints.get('rocketmq-grpc')?.port ?? 0,
    httpPort: node.endpoints.get('http')?.port ?? 0,
    pid: node.pid,
    isLive: node.isLive,
    isController: node.id === view.controllerId,
    leaderCount: logs.filter((log) => log.leader === node.id).length,
    replicaCount: logs.filter((log) => log.replicas.includes(node.id)).length,
    outOfSyncCount: logs.filter((log) => log.replicas.includes(node.id) && isAway(log, node.id))
      .length,
  }));
}

/** It could be in sync, and is not: copies in the memory of RAM nodes never are. */
function isAway({ isr, observers }: LogView, node: number): boolean {
  return !isr.includes(node) && !observers.includes(node);
}

/** Of those that it had before a reassignment, which ends when the new ones are in sync. */
function missesReplica(log: LogView): boolean {
  return log.replicas.some((node) => isAway(log, node) && !log.adding.includes(node));
}

export function statusOf(ports: AdminPorts): ApiStatus {
  const { view } = ports;
  const logs = logsOf(view);
  const leaderlessCount = logs.filter((log) => log.leader < 0).length;
  const underReplicatedCount = logs.filter((log) => missesReplica(log)).length;
  const { freeBytes, isShort } = ports.disk();
  const isDown = leaderlessCount > 0 || view.controllerId < 0;
  return {
    clusterId: view.clusterId,
    version: ports.version,
    nodeId: view.nodeId,
    controllerId: view.controllerId,
    health: isDown ? 'down' : underReplicatedCount > 0 || isShort ? 'degraded' : 'ok',
    nodes: nodesOf(view, logs),
    destinationCount: view.destinations().length,
    logCount: logs.length,
    leaderlessCount,
    underReplicatedCount,
    diskFreeBytes: freeBytes,
    isDiskShort: isShort,
    uptimeMs: Math.floor(ports.uptimeMs()),
  };
}

function partitionOf(log: LogView, { leaders, failed }: ReplicaStatus): ApiPartition {
  const status = leaders.get(log.logId);
  return {
    partition: log.partition,
    leader: log.leader,
    epoch: log.epoch,
    replicas: log.replicas,
    isr: log.isr,
    observers: log.observers,
    failed: failed.get(log.logId) ?? [],
    startOffset: status?.startOffset ?? -1,
    highWatermark: status?.committedOffset ?? -1,
    logEndOffset: status?.endOffset ?? -1,
  };
}

export async function destinationsOf(ports: AdminPorts): Promise<ApiDestination[]> {
  const status = await ports.replicaStatus();
  const describe = (destination: DestinationView): ApiDestination => ({
    name: destination.name,
    isInternal: destination.isInternal,
    type: kindOf(destination),
    durability: destination.logs[0]?.durability ?? 'sync',
    policy: destination.policy ?? null,
    partitions: destination.logs.map((log) => partitionOf(log, status)),
  });
  return ports.view.destinations().map(describe);
}
