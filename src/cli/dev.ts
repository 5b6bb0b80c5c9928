// `callboard dev`: a whole cluster with one command. This file reads the options; dev/launcher.ts acts.
import { availableParallelism } from 'node:os';
import type { Command } from 'commander';
import { PROFILE_NAMES, QUEUE_REPLICAS_MAX, SHARDS_MAX } from '../assembly/node-config.ts';
import type { CliContext } from './context.ts';
import { DEFAULT_FOLDER } from './dev/folder.ts';
import { Launcher } from './dev/launcher.ts';
import { AMQP_PORT, BASE_PORT, ROCKETMQ_PORT } from './dev/ports.ts';
import { nodeNumbers } from './dev/roles.ts';
import { usageFailure } from './failure.ts';
import { integerIn, oneOf } from './parse.ts';
import { devShards } from './server-config.ts';
import { parseDurationMs } from './text.ts';

const NODES_MAX = 16;
const RESTART_DEFAULT = '3s';
const port = integerIn(0, 65_535);

export interface DevOptions {
  readonly nodes?: number;
  readonly ram?: readonly number[];
  readonly data: string;
  readonly memory?: boolean;
  readonly inProcess?: boolean;
  readonly shards?: number;
  readonly host?: string;
  readonly queueReplicas?: number;
  readonly profile?: string;
  readonly basePort?: number;
  readonly kafkaPort?: number;
  readonly amqpPort?: number;
  readonly rocketmqPort?: number;
  readonly httpPort?: number;
  readonly strictPorts?: boolean;
  readonly restart?: string;
  readonly reset?: boolean;
  readonly json?: boolean;
  readonly nodeEntry?: string;
}

export function define(program: Command, context: CliContext): void {
  const command = program
    .command('dev')
    .description('start a cluster on this machine')
    .option('--nodes <n>', 'how many nodes (default 3 that vote)', integerIn(1, NODES_MAX))
    .option('--ram <nodes>', 'RAM nodes, as n2,n3: they keep nothing and do not vote', nodeNumbers)
    .option('--data <dir>', 'data folder', DEFAULT_FOLDER)
    .option('--memory', 'keep nothing on disk')
    .option('--in-process', 'all nodes in this process')
    .option('--shards <n>', 'worker threads per node', integerIn(0, SHARDS_MAX))
    .option('--host <address>', 'listen address (default localhost)')
    .option(
      '--queue-replicas <n>',
      'replicas of durable AMQP queues (default as topics; 1: on the node that declares)',
      integerIn(1, QUEUE_REPLICAS_MAX),
    )
    .option(
      '--profile <name>',
      `defaults of the settings of the cluster: ${PROFILE_NAMES.join(', ')}`,
      oneOf(...PROFILE_NAMES),
    )
    .option('--base-port <n>', `first port of the block (default ${BASE_PORT}; 0: any)`, port)
    .option('--kafka-port <n>', 'Kafka port of node 1; the others follow', port)
    .option(
      '--amqp-port <n>',
      `AMQP port of node 1; the others follow (default ${AMQP_PORT})`,
      port,
    )
    .option(
      '--rocketmq-port <n>',
      `RocketMQ port of node 1; the others follow (default ${ROCKETMQ_PORT})`,
      port,
    )
    .option('--http-port <n>', 'HTTP port of node 1; the others follow', port)
    .option('--strict-ports', 'fail when a default port is taken, instead of moving')
    .option('--restart <when>', '`never`, or how long after a death (default 3s)')
    .option('--reset', 'remove the data of an earlier run first')
    .option('--json', 'print one line when ready, and nothing else');
  command.addOption(command.createOption('--node-entry <url>').hideHelp());
  command.action(async (options: DevOptions) => {
    if (options.inProcess === true && options.restart !== undefined) {
      throw usageFailure('--restart is for node processes, and --in-process has none');
    }
    const launcher = new Launcher(
      {
        ...options,
        asked: options,
        host: options.host ?? 'localhost',
        restartAfterMs: restartAfterMs(options.restart ?? RESTART_DEFAULT),
        shardsOf: (nodes) => options.shards ?? defaultShards(nodes, options.inProcess === true),
      },
      options.nodeEntry === undefined ? context : { ...context, nodeEntry: options.nodeEntry },
    );
    await launcher.run();
  });
}

function defaultShards(nodes: number, isInProcess: boolean): number {
  return isInProcess ? 0 : devShards(nodes, availableParallelism());
}

function restartAfterMs(text: string): number | undefined {
  if (text === 'never') return undefined;
  const ms = parseDurationMs(text);
  if (ms === undefined)
    throw usageFailure(`--restart ${text} is neither "never" nor a time like 3s`);
  return ms;
}
