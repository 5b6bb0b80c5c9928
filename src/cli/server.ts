// `callboard server`: one node in this process. Started by `dev` (configuration in the environment,
// events over the IPC channel) or by hand. Ends when told to, when its starter is gone, or when the
// node cannot go on; the exit code says which.
import { readFileSync } from 'node:fs';
import type { Command } from 'commander';
import type { NodeConfig, NodeEntry, NodeEvent, RunningNode } from '../assembly/node-config.ts';
import { QUEUE_REPLICAS_MAX, SHARDS_MAX } from '../assembly/node-config.ts';
import type { Log, LogLevel } from '../env/environment.ts';
import { createNodeEnvironment } from '../env/node/environment.ts';
import { createNodeLog, LOG_LEVEL_VARIABLE } from '../env/node/log.ts';
import { collectStartGarbage } from '../env/node/start-garbage.ts';
import { messageOf } from '../std/errors.ts';
import type { CliContext } from './context.ts';
import { watchStarter } from './dev/starter-watch.ts';
import { EXIT, exitCodeOfNode, factsOfFailedStart, usageFailure } from './failure.ts';
import { integerIn, oneOf } from './parse.ts';
import { CONFIG_VARIABLE, parseNodeConfig } from './server-config.ts';

/** How long a stop may take before the process ends anyway; storage survives that. */
const STOP_TIMEOUT_MS = 1900;

interface ServerOptions {
  readonly config?: string;
  readonly shards?: number;
  readonly host?: string;
  readonly queueReplicas?: number;
  readonly logLevel: LogLevel;
  readonly nodeEntry?: string;
}

export function define(program: Command, context: CliContext): void {
  const command = program
    .command('server')
    .description('run one node in this process')
    .option('--config <file>', `JSON configuration; default: the variable ${CONFIG_VARIABLE}`)
    .option('--shards <n>', 'worker threads, 0 for none', integerIn(0, SHARDS_MAX))
    .option('--host <address>', 'listen address')
    .option(
      '--queue-replicas <n>',
      'replicas of durable AMQP queues declared here (default as topics; 1: on this node alone)',
      integerIn(1, QUEUE_REPLICAS_MAX),
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
    life.run(await entry.startNode(env, config));
  } catch (error) {
    life.fail(error);
  }
}

function readConfig(options: ServerOptions): NodeConfig {
  const config =
    options.config === undefined ? configFromVariable() : configFromFile(options.config);
  return {
    ...config,
    ...(options.shards === undefined ? {} : { shards: options.shards }),
    ...(options.host === undefined ? {} : { host: options.host }),
    ...(options.queueReplicas === undefined ? {} : { queueReplicas: options.queueReplicas }),
  };
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
      `Give --config FILE or the variable ${CONFIG_VARIABLE}; \`callboard dev\` does it for you.`,
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
