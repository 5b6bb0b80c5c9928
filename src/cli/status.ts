// `callboard status`: nodes, roles and health of a running cluster, and what its nodes do with what is stored. Exits 8
// when it is not healthy.
import type { Command } from 'commander';
import type { ApiStatus } from '../admin/api-types.ts';
import type { AdminClient } from './client.ts';
import { CliFailure, EXIT } from './failure.ts';
import { maintenanceLines, type NodeCounters } from './maintenance.ts';
import {
  addRemoteOptions,
  clientFor,
  printJson,
  printLines,
  type RemoteOptions,
} from './remote-options.ts';
import { durationText, table } from './text.ts';

export function define(program: Command): void {
  addRemoteOptions(program.command('status').description('show nodes, roles and health'))
    .option('--maintenance', 'also compaction, rewriting and scrub, of each node since its start')
    .action(async (options: StatusOptions) => {
      const client = clientFor(options);
      const status = await client.status();
      const nodes = options.maintenance === true ? await countersOf(client, status) : undefined;
      if (options.json === true)
        printJson(nodes === undefined ? status : { ...status, counters: nodes });
      else
        printLines([
          ...statusLines(status),
          ...(nodes === undefined ? [] : maintenanceLines(nodes)),
        ]);
      if (status.health !== 'ok') process.exitCode = EXIT.unhealthy;
    });
}

interface StatusOptions extends RemoteOptions {
  readonly maintenance?: boolean;
}

/** Every node is asked itself: counters are its own. */
function countersOf(client: AdminClient, { nodes }: ApiStatus): Promise<NodeCounters[]> {
  return Promise.all(
    nodes.map(async (node) => {
      if (!node.isLive) return { node: node.id, counters: undefined };
      try {
        return { node: node.id, counters: await client.of(node).counters() };
      } catch (error) {
        if (!(error instanceof CliFailure)) throw error;
        return { node: node.id, counters: undefined };
      }
    }),
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
