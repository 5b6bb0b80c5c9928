// `callboard server`: one node in this process. Started by `dev` (configuration in the environment,
// events over the IPC channel) or by hand. Ends when told to, when its starter is gone, or when the
// node cannot go on; the exit code says which.
import { readFileSync } from 'node:fs';
import type { Command } from 'commander';
import type {
  NodeConfig,
  NodeEntry,
  NodeEvent,
  NodeRole,
  RunningNode,
} from '../assembly/node-config.ts';
import { PROFILE_NAMES, QUEUE_REPLICAS_MAX, roleOf, SHARDS_MAX } from '../assembly/node-config.ts';
import type { Log, LogLevel } from '../env/environment.ts';
import { createNodeEnvironment } from '../env/node/environment.ts';
import { createNodeLog, LOG_LEVEL_VARIABLE } from '../env/node/log.ts';
import { collectStartGarbage } from '../env/node/start-garbage.ts';
import { messageOf } from '../std/errors.ts';
import type { CliContext } from './context.ts';
import { AMQP_PORT, BASE_PORT, HTTP_ABOVE, LINK_ABOVE, ROCKETMQ_PORT } from './dev/ports.ts';
import { watchStarter } from './dev/starter-watch.ts';
import { EXIT, exitCodeOfNode, factsOfFailedStart, usageFailure } from './failure.ts';
import { integerIn, nodeNumber, oneOf, repeated } from './parse.ts';
import { CONFIG_VARIABLE, parseNodeConfig } from './server-config.ts';
import {
  configFromOptions,
  type JoinOptions,
  joinOf,
  rememberConfig,
  TOKEN_VARIABLE,
  tokenOf,
} from './server-join.ts';

const port = integerIn(1, 65_535);
const ONLY_BY_OPTIONS = [
  ...(['id', 'data', 'memory', 'advertise', 'rack'] as const),
  ...(['linkPort', 'kafkaPort', 'amqpPort', 'rocketmqPort', 'httpPort'] as const),
];

/** How long a stop may take before the process ends anyway; storage survives that. */
const STOP_TIMEOUT_MS = 1900;

interface ServerOptions extends JoinOptions {
  readonly config?: string;
  readonly shards?: number;
  readonly ram?: boolean;
  readonly queueReplicas?: number;
  readonly profile?: string;
  readonly logLevel: LogLevel;
  readonly nodeEntry?: string;
}

export function define(program: Command, context: CliContext): void {
  const command = program
    .command('server')
    .description('run one node in this process')
    .option('--config <file>', `JSON configuration; default: the variable ${CONFIG_VARIABLE}`)
    .option('--join <host:port>', 'links of members to join a running cluster by', repeated)
    .option('--token <token>', `of the cluster; default: the variable ${TOKEN_VARIABLE}`)
    .option('--token-file <file>', 'where the token is')
    .option('--id <n>', 'number of a node that joins', nodeNumber)
    .option('--data <dir>', 'data folder of a node that joins, or has joined')
    .option('--memory', 'a node that joins and keeps nothing on disk')
    .option('--advertise <host>', 'where other nodes dial this one (default: the listen address)')
    .option('--rack <name>', 'what the node would be lost with')
    .option('--link-port <n>', `default ${BASE_PORT + LINK_ABOVE}, one more for each number`, port)
    .option('--kafka-port <n>', `default ${BASE_PORT}, and so on`, port)
    .option('--amqp-port <n>', `default ${AMQP_PORT}`, port)
    .option('--rocketmq-port <n>', `default ${ROCKETMQ_PORT}`, port)
    .option('--http-port <n>', `default ${BASE_PORT + HTTP_ABOVE}`, port)
    .option('--shards <n>', 'worker threads, 0 for none', integerIn(0, SHARDS_MAX))
    .option('--host <address>', 'listen address')
    .option('--ram', 'keep everything in memory, and do not vote')
    .option(
      '--queue-replicas <n>',
      'replicas of durable AMQP queues declared here (default as topics; 1: on this node alone)',
      integerIn(1, QUEUE_REPLICAS_MAX),
    )
    .option(
      '--profile <name>',
      `defaults of the settings of the cluster: ${PROFILE_NAMES.join(', ')}`,
      oneOf(...PROFILE_NAMES),
    )
    .option(
      '--log-level <level>',
      'debug, info, warn, error or silent',
      oneOf<LogLevel>('debug', 'info', 'warn', 'error', 'silent'),
      'info',
    );
  command.addOption(command.createOption('--node-entry <url>').hideHelp());
  command.action((options: ServerOptions) => serve(options, context));
}

async function serve(options: ServerOptions, context: CliContext): Promise<void> {
  const config = readConfig(options);
  // Worker threads make their own logs and read the level from here.
  process.env[LOG_LEVEL_VARIABLE] = options.logLevel;
  const log = createNodeLog({ level: options.logLevel }).child({ node: config.nodeId });
  const life = new ServerLife(log);
  life.guard();
  try {
    const entry = (await import(options.nodeEntry ?? context.nodeEntry)) as NodeEntry;
    const env = createNodeEnvironment({
      ...(config.dataRoot === undefined ? {} : { dataRoot: config.dataRoot }),
      log,
    });
    log.info('starting', {
      version: context.version,
      pid: process.pid,
      shards: config.shards,
      data: config.dataRoot ?? '(memory)',
      threadPool: process.env['UV_THREADPOOL_SIZE'] ?? '4',
      capabilities: env.capabilities.map(({ name, isUsed, note }) =>
        isUsed ? name : `no ${name}: ${note}`,
      ),
    });
    const node = await entry.startNode(env, config);
    if (isByOptions(options)) remember(config, log);
    life.run(node);
  } catch (error) {
    life.fail(error);
  }
}

function readConfig(options: ServerOptions): NodeConfig {
  const config = isByOptions(options)
    ? configFromOptions(options, process.env)
    : withJoin(
        options.config === undefined ? configFromVariable() : configFromFile(options.config),
        options,
      );
  return {
    ...withRole(config, options),
    ...(options.shards === undefined ? {} : { shards: options.shards }),
    ...(options.host === undefined ? {} : { host: options.host }),
    ...(options.queueReplicas === undefined ? {} : { queueReplicas: options.queueReplicas }),
    ...(options.profile === undefined ? {} : { profile: options.profile }),
  };
}

/** Without it the node runs, and its next start needs all options again. */
function remember(config: NodeConfig, log: Log): void {
  try {
    rememberConfig(config);
  } catch (error) {
    log.warn('the configuration cannot be written down', { error: messageOf(error) });
  }
}

/** A configuration file has all that these options say, but for whom to ask and the secret. */
function isByOptions({ config, join, data }: ServerOptions): boolean {
  return config === undefined && (join !== undefined || data !== undefined);
}

function withJoin(config: NodeConfig, options: ServerOptions): NodeConfig {
  for (const name of ONLY_BY_OPTIONS) {
    if (options[name] === undefined) continue;
    const what = name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
    throw usageFailure(`--${what} is for a node without a configuration file: write it there`);
  }
  const isTokenAsked = options.token !== undefined || options.tokenFile !== undefined;
  const token = isTokenAsked ? tokenOf(options, process.env) : undefined;
  return { ...config, ...joinOf(options), ...(token === undefined ? {} : { token }) };
}

/** The role of this node alone: whoever founds a cluster must know those of all. */
function withRole(config: NodeConfig, { ram }: ServerOptions): NodeConfig {
  if (ram !== true || roleOf(config) === 'ram') return config;
  const role: NodeRole = 'ram';
  if (config.isFounding === true && config.nodes.length > 1) {
    throw usageFailure(
      '--ram: the nodes that found a cluster must all know who is what',
      `Say "role": "ram" of node ${config.nodeId} in the configuration of every node.`,
    );
  }
  if (config.dataRoot !== undefined) {
    throw usageFailure(
      '--ram: a RAM node keeps nothing on disk, and this one has a dataRoot',
      'Say "memory": true in its place.',
    );
  }
  const { nodeId } = config;
  const nodes = config.nodes.map((node) => (node.id === nodeId ? { ...node, role } : node));
  return { ...config, nodes };
}

function configFromFile(path: string): NodeConfig {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    throw usageFailure(`cannot read ${path}: ${(error as Error).message}`);
  }
  return parseNodeConfig(text, path);
}

function configFromVariable(): NodeConfig {
  const text = process.env[CONFIG_VARIABLE];
  if (text === undefined) {
    throw usageFailure(
      'a node needs its configuration',
      `Give --config FILE or the variable ${CONFIG_VARIABLE}, or --join HOST:PORT; \`callboard dev\` does it for you.`,
    );
  }
  return parseNodeConfig(text, CONFIG_VARIABLE);
}

/** Why and how this process ends. */
class ServerLife {
  readonly #log: Log;
  #node: RunningNode | undefined;
  #isStopping = false;

  constructor(log: Log) {
    this.#log = log;
  }

  /** From the first moment on nothing may outlive the starter, also while the node is starting. */
  guard(): void {
    const stop = (why: string) => () => this.stop(why);
    const isChild = process.send !== undefined;
    process.on('SIGTERM', stop('SIGTERM'));
    // A terminal sends these to the whole group; a child leaves the order of things to its launcher.
    process.on('SIGINT', isChild ? () => undefined : stop('SIGINT'));
    process.on('SIGHUP', isChild ? () => undefined : stop('SIGHUP'));
    if (isChild) {
      process.on('message', (message) => {
        if ((message as { readonly type?: unknown }).type === 'stop') this.stop('asked by dev');
      });
      process.on('disconnect', stop('dev is gone'));
      watchStarter(stop('dev is gone'));
    }
    const die = (error: unknown): void => {
      this.#log.error('uncaught', { error });
      process.exit(EXIT.failure);
    };
    process.on('uncaughtException', die);
    process.on('unhandledRejection', die);
  }

  run(node: RunningNode): void {
    this.#node = node;
    node.onEvent((event) => this.#tell(event));
    if (this.#isStopping) void this.#stopNode(node);
  }

  /** The node did not start. */
  fail(error: unknown): void {
    const { code } = error as NodeJS.ErrnoException;
    const message = messageOf(error);
    this.#log.error('the node did not start', factsOfFailedStart(error));
    const exitCode = exitCodeOfNode(code);
    if (process.send === undefined || !process.connected) process.exit(exitCode);
    const event = { event: 'failed', code: code ?? 'NODE_START_FAILED', message } as const;
    this.#send(event, () => process.exit(exitCode));
  }

  stop(why: string): void {
    if (this.#isStopping) return;
    this.#isStopping = true;
    this.#log.info('stopping', { why });
    setTimeout(() => process.exit(EXIT.failure), STOP_TIMEOUT_MS).unref();
    if (this.#node !== undefined) void this.#stopNode(this.#node);
  }

  async #stopNode(node: RunningNode): Promise<void> {
    try {
      await node.stop();
      this.#log.info('stopped');
      process.exit(EXIT.ok);
    } catch (error) {
      this.#log.error('the stop failed', { error });
      process.exit(EXIT.failure);
    }
  }

  #tell(event: NodeEvent): void {
    this.#log.info(event.event, { ...event });
    this.#send(event, () => undefined);
    if (event.event === 'ready') collectStartGarbage();
    if (event.event === 'failed' && !this.#isStopping) {
      this.#isStopping = true;
      const end = (): never => process.exit(exitCodeOfNode(event.code));
      setTimeout(end, STOP_TIMEOUT_MS).unref();
      this.#node?.stop().then(end, end);
    }
  }

  #send(event: NodeEvent, sent: () => void): void {
    // The channel may close between the check and the call: then the launcher is gone anyway.
    if (process.connected) process.send?.(event, undefined, undefined, sent);
    else sent();
  }
}
