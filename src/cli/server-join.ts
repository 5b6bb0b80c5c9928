// `callboard server` without a configuration file: a node that joins a running cluster by options, and its restart. What
// it was started with the first time stays in its folder (`server.json`, which is a configuration file as any; the token
// is in it, so only its owner may read it): after that `--data` is enough.
import fs from 'node:fs';
import { join, resolve } from 'node:path';
import type { NodeAddress, NodeConfig } from '../assembly/node-config.ts';
import { AMQP_PORT, BASE_PORT, HTTP_ABOVE, LINK_ABOVE, ROCKETMQ_PORT } from './dev/ports.ts';
import { CliFailure, EXIT, usageFailure } from './failure.ts';
import { joinAddress, nodeConfigText, parseNodeConfig, serverShards } from './server-config.ts';

/** Where the token may be instead of on the command line, which other users of the machine can read. */
export const TOKEN_VARIABLE = 'CALLBOARD_TOKEN';
export const SERVER_FILE = 'server.json';

export interface JoinOptions {
  readonly join?: readonly string[];
  readonly token?: string;
  readonly tokenFile?: string;
  readonly id?: number;
  readonly data?: string;
  readonly memory?: boolean;
  readonly host?: string;
  /** Where the other nodes dial this one. */
  readonly advertise?: string;
  readonly rack?: string;
  readonly linkPort?: number;
  readonly kafkaPort?: number;
  readonly amqpPort?: number;
  readonly rocketmqPort?: number;
  readonly httpPort?: number;
}

/** Members that are named on the command line are asked before those of a file. */
export function joinOf(options: JoinOptions): Pick<NodeConfig, 'join'> {
  if (options.join === undefined) return {};
  const join = options.join
    .flatMap((text) => text.split(','))
    .map((text) => {
      const address = joinAddress(text.trim());
      if (address === undefined) {
        throw usageFailure(
          `--join ${text} is not HOST:PORT`,
          'It is the LINK of `callboard cluster info`.',
        );
      }
      return address;
    });
  return { join };
}

/** What says the token, or undefined. @throws CliFailure (2) if a file cannot be read. */
export function tokenOf(options: JoinOptions, env: NodeJS.ProcessEnv): string | undefined {
  if (options.token !== undefined) return options.token;
  const { tokenFile } = options;
  if (tokenFile === undefined) return env[TOKEN_VARIABLE];
  try {
    return fs.readFileSync(tokenFile, 'utf8').trim();
  } catch (error) {
    throw usageFailure(`cannot read ${tokenFile}: ${(error as Error).message}`);
  }
}

/**
 * The configuration that options say, over what the folder remembers.
 *
 * @throws CliFailure (2) naming what is missing.
 */
export function configFromOptions(options: JoinOptions, env: NodeJS.ProcessEnv): NodeConfig {
  if ((options.memory === true) === (options.data !== undefined)) {
    throw usageFailure('a node that joins needs either --data DIR or --memory');
  }
  const dataRoot = options.data === undefined ? undefined : resolve(options.data);
  const before = dataRoot === undefined ? undefined : rememberedConfig(dataRoot, options);
  if (before === undefined && options.join === undefined) {
    throw usageFailure(
      `${options.data ?? 'memory'} has no ${SERVER_FILE}: no node has joined with it`,
      'Name a member with --join HOST:PORT; `callboard cluster add` prints the whole command.',
    );
  }
  const nodeId = options.id ?? before?.nodeId;
  if (nodeId === undefined) throw usageFailure('a node that joins needs its number: --id N');
  const token = tokenOf(options, env) ?? before?.token;
  if (token === undefined || token === '') {
    throw usageFailure(
      `a node that joins needs the token of the cluster: --token-file FILE, or the variable ${TOKEN_VARIABLE}`,
      '`callboard cluster token` prints it on a machine that has it.',
    );
  }
  const host = options.host ?? before?.host ?? 'localhost';
  const { rack } = { rack: before?.rack, ...options };
  return {
    ...before,
    clusterId: '',
    nodeId,
    nodes: [
      addressOf(
        nodeId,
        host,
        options,
        before?.nodes.find(({ id }) => id === nodeId),
      ),
    ],
    dataRoot,
    shards: before?.shards ?? serverShards(),
    host,
    token,
    isFounding: false,
    ...(rack === undefined ? {} : { rack }),
    ...joinOf(options),
  };
}

/** Ports are those of `dev`, one further for each number: nodes of one machine do not meet. */
function addressOf(
  id: number,
  host: string,
  options: JoinOptions,
  before: NodeAddress | undefined,
): NodeAddress {
  const isAny = host === '0.0.0.0' || host === '::';
  const dialled = options.advertise ?? (options.host === undefined ? before?.host : undefined);
  if (isAny && dialled === undefined) {
    throw usageFailure(
      `--host ${host} is no address that other nodes could dial`,
      'Give the one that they can with --advertise HOST.',
    );
  }
  const next = id - 1;
  const port = (wish: number | undefined, known: number | undefined, usual: number): number =>
    wish ?? known ?? usual + next;
  return {
    id,
    host: dialled ?? (host === 'localhost' ? '127.0.0.1' : host),
    linkPort: port(options.linkPort, before?.linkPort, BASE_PORT + LINK_ABOVE),
    kafkaPort: port(options.kafkaPort, before?.kafkaPort, BASE_PORT),
    amqpPort: port(options.amqpPort, before?.amqpPort, AMQP_PORT),
    rocketmqPort: port(options.rocketmqPort, before?.rocketmqPort, ROCKETMQ_PORT),
    httpPort: port(options.httpPort, before?.httpPort, BASE_PORT + HTTP_ABOVE),
  };
}

function rememberedConfig(folder: string, { join: members }: JoinOptions): NodeConfig | undefined {
  const path = join(folder, SERVER_FILE);
  let text: string;
  try {
    text = fs.readFileSync(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw new CliFailure(`cannot read ${path}: ${(error as Error).message}`, {
      exitCode: EXIT.taken,
      code: 'NODE_FOLDER_UNWRITABLE',
      cause: error,
    });
  }
  try {
    // Where the folder is now counts, not where it was.
    const written = JSON.parse(text) as object;
    return parseNodeConfig(JSON.stringify({ ...written, dataRoot: folder }), path);
  } catch (error) {
    // Who joins again says all that is needed, and it is written anew.
    if (members !== undefined) return undefined;
    throw usageFailure(
      `${path} cannot be read: ${(error as Error).message}`,
      'Name a member with --join HOST:PORT, and --id, token and ports as at the first start.',
    );
  }
}

/** Written when the cluster has taken the node in: who was refused leaves nothing. */
export function rememberConfig(config: NodeConfig): void {
  const { dataRoot } = config;
  if (dataRoot === undefined) return;
  const { join: _members, ...own } = config;
  const path = join(dataRoot, SERVER_FILE);
  const text = `${nodeConfigText(own)}\n`;
  const temporary = `${path}.tmp`;
  fs.rmSync(temporary, { force: true });
  fs.writeFileSync(temporary, text, { mode: 0o600, flag: 'wx', flush: true });
  fs.renameSync(temporary, path);
  syncFolder(dataRoot);
}

/** The new name lasts as the bytes do. */
function syncFolder(folder: string): void {
  const handle = fs.openSync(folder, 'r');
  try {
    fs.fsyncSync(handle);
  } finally {
    fs.closeSync(handle);
  }
}
