// `callboard status`: nodes, roles and health of a running cluster. Exits 8 when it is not healthy.
import type { Command } from 'commander';
import type { ApiStatus } from '../admin/api-types.ts';
import { EXIT } from './failure.ts';
import {
  addRemoteOptions,
  clientFor,
  printJson,
  printLines,
  type RemoteOptions,
} from './remote-options.ts';
import { durationText, table } from './text.ts';

export function define(program: Command): void {
  addRemoteOptions(program.command('status').description('show nodes, roles and health')).action(
    async (options: RemoteOptions) => {
      const status = await clientFor(options).status();
      if (options.json === true) printJson(status);
      else printLines(statusLines(status));
      if (status.health !== 'ok') process.exitCode = EXIT.unhealthy;
    },
  );
}

function diskLine({ nodeId, diskFreeBytes }: ApiStatus): string {
  const freeMb = (diskFreeBytes / 1e6).toFixed(1);
  return `the disk of node ${nodeId} is too full for publishes: ${freeMb} MB are free`;
}

function statusLines(status: ApiStatus): string[] {
  const rows = status.nodes.map((node) => [
    String(node.id),
    node.isLive ? (node.isController ? 'live, controller' : 'live') : 'dead',
    `${node.host}:${node.kafkaPort}`,
    `${node.host}:${node.amqpPort}`,
    `${node.host}:${node.rocketmqPort}`,
    `${node.host}:${node.httpPort}`,
    String(node.pid),
    String(node.leaderCount),
    `${node.replicaCount - node.outOfSyncCount}/${node.replicaCount}`,
  ]);
  return [
    `cluster ${status.clusterId}: ${status.health}, up ${durationText(status.uptimeMs)}`,
    ...table([
      ['NODE', 'STATE', 'KAFKA', 'AMQP', 'ROCKETMQ', 'HTTP', 'PID', 'LEADS', 'IN SYNC'],
      ...rows,
    ]),
    `${status.destinationCount} destinations, ${status.logCount} logs, ` +
      `${status.leaderlessCount} without a leader, ${status.underReplicatedCount} under-replicated`,
    ...(status.isDiskShort ? [diskLine(status)] : []),
  ];
}
