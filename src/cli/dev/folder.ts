// The data folder of `dev`: whose cluster it holds (cluster.json), who runs it now (dev.lock and, once
// ready, dev.json), a folder per node and their logs. With --memory the same files, minus the data.
import { randomBytes, randomUUID } from 'node:crypto';
import fs from 'node:fs';
import { join, resolve } from 'node:path';
import type { NodeRole } from '../../assembly/node-config.ts';
import { lockHolder, takeLock } from '../../env/node/lock.ts';
import { CliFailure, EXIT, usageFailure } from '../failure.ts';
import { ALL_DISKS, checkRoles, type DevRoles, defaultNodes, rolesText } from './roles.ts';

export const DEFAULT_FOLDER = '.callboard';

/** Version of cluster.json and of the layout around it. */
const FOLDER_FORMAT = 1;
/** The same with roles, where not all nodes are disk nodes: who does not know them must not start these. */
const FORMAT_WITH_ROLES = 2;

/** What makes these folders one cluster; written once. */
export interface ClusterIdentity {
  readonly format: number;
  readonly clusterId: string;
  readonly token: string;
  readonly nodes: number;
  /** Of format 2. */
  readonly roles?: DevRoles;
  /** The cluster was ready once: from then on a node without data is a newcomer, not a founder. */
  readonly isFounded: boolean;
}

/** What runs now; other commands and a second `dev` read it. */
export interface RunState {
  readonly pid: number;
  readonly version: string;
  readonly readyMs: number;
  readonly isMemory: boolean;
  readonly isInProcess: boolean;
  /** Worker threads per node. */
  readonly shards: number;
  readonly host: string;
  /** Null: as many as topics have. */
  readonly queueReplicas: number | null;
  /** What it was started with; null: nothing was said. */
  readonly profile: string | null;
  /** Null: never. */
  readonly restartAfterMs: number | null;
  readonly nodes: readonly RunningEntry[];
}

export interface RunningEntry {
  readonly id: number;
  readonly role: NodeRole;
  /** HOST:PORT. */
  readonly kafka: string;
  readonly rocketmq: string;
  /** URLs. */
  readonly amqp: string;
  readonly http: string;
  readonly pid: number;
}

export class DevFolder {
  readonly path: string;
  readonly #lock: { release(): void };

  private constructor(path: string, lock: { release(): void }) {
    this.path = path;
    this.#lock = lock;
  }

  /**
   * Makes and takes the folder; undefined if a live `dev` has it.
   *
   * @throws CliFailure (5) if the folder cannot be made or written.
   */
  static take(folder: string): DevFolder | undefined {
    const path = resolve(folder);
    try {
      fs.mkdirSync(join(path, 'logs'), { recursive: true });
      const lock = takeLock(join(path, 'dev.lock'), 'callboard dev');
      return lock === undefined ? undefined : new DevFolder(path, lock);
    } catch (error) {
      throw folderFailure(path, error);
    }
  }

  nodeRoot(id: number): string {
    return join(this.path, `node-${id}`);
  }

  logPath(id: number): string {
    return join(this.path, 'logs', `node-${id}.log`);
  }

  /** Removes every node's data and the identity; logs stay. */
  reset(): void {
    for (const name of fs.readdirSync(this.path)) {
      if (/^node-\d+$/.test(name) || name === 'cluster.json') {
        fs.rmSync(join(this.path, name), { recursive: true, force: true });
      }
    }
  }

  /**
   * The cluster in this folder, made for `nodes` (default: three that vote) with these roles if there is none.
   *
   * @throws CliFailure if the folder belongs to another number of nodes or a newer Callboard.
   */
  identity(nodes: number | undefined, roles: DevRoles | undefined): ClusterIdentity {
    const path = join(this.path, 'cluster.json');
    if (fs.existsSync(path)) return checkedIdentity(path, this.path, nodes, roles);
    const made = newIdentity(nodes, roles);
    writeWhole(path, made);
    return made;
  }

  /** Written when the cluster was ready for the first time. */
  markFounded(identity: ClusterIdentity): void {
    if (!identity.isFounded) {
      writeWhole(join(this.path, 'cluster.json'), { ...identity, isFounded: true });
    }
  }

  publish(state: RunState): void {
    writeWhole(join(this.path, 'dev.json'), state);
  }

  /** Says that nothing runs here any more. A cluster in memory leaves no trace of itself. */
  release(isMemory: boolean): void {
    fs.rmSync(join(this.path, 'dev.json'), { force: true });
    this.#lock.release();
    if (!isMemory || fs.existsSync(join(this.path, 'cluster.json'))) return;
    fs.rmSync(join(this.path, 'logs'), { recursive: true, force: true });
    if (fs.readdirSync(this.path).length === 0) fs.rmdirSync(this.path);
  }

  /** Bytes on disk below the folder. */
  sizeBytes(): number {
    return folderSizeBytes(this.path);
  }
}

export function newIdentity(asked: number | undefined, roles = ALL_DISKS): ClusterIdentity {
  const nodes = asked ?? defaultNodes(roles);
  const hasRoles = checkRoles(roles, nodes).ram.length > 0;
  return {
    format: hasRoles ? FORMAT_WITH_ROLES : FOLDER_FORMAT,
    clusterId: Buffer.from(randomUUID().replaceAll('-', ''), 'hex').toString('base64url'),
    token: randomBytes(24).toString('base64url'),
    nodes,
    ...(hasRoles ? { roles } : {}),
    isFounded: false,
  };
}

/** What runs on the folder now, or undefined: a state file of a dead `dev` does not count. */
export function readRunState(folder: string): RunState | undefined {
  const path = resolve(folder);
  const holder = lockHolder(join(path, 'dev.lock'));
  if (holder === undefined) return undefined;
  try {
    const state = JSON.parse(fs.readFileSync(join(path, 'dev.json'), 'utf8')) as RunState;
    return state.pid === holder.pid ? state : undefined;
  } catch {
    return undefined;
  }
}

/** The process id of the `dev` that has the folder, ready or not. */
export function folderHolder(folder: string): number | undefined {
  return lockHolder(join(resolve(folder), 'dev.lock'))?.pid;
}

function checkedIdentity(
  path: string,
  folder: string,
  nodes: number | undefined,
  roles: DevRoles | undefined,
): ClusterIdentity {
  let found: ClusterIdentity;
  try {
    found = JSON.parse(fs.readFileSync(path, 'utf8')) as ClusterIdentity;
  } catch (error) {
    throw folderFailure(folder, error);
  }
  if (found.format !== FOLDER_FORMAT && found.format !== FORMAT_WITH_ROLES) {
    throw new CliFailure(`${folder} was written in format ${found.format} by another Callboard`, {
      exitCode: EXIT.failure,
      code: 'DEV_FOLDER_FORMAT',
      hint: `This one reads up to format ${FORMAT_WITH_ROLES}. Use its Callboard, another --data, or --reset.`,
    });
  }
  if (nodes !== undefined && nodes !== found.nodes) {
    throw usageFailure(
      `${folder} holds a cluster of ${found.nodes} nodes, not ${nodes}`,
      `Leave --nodes out, choose another --data, or start over with --reset.`,
    );
  }
  const known = rolesText(found.roles ?? ALL_DISKS);
  if (roles !== undefined && rolesText(roles) !== known) {
    throw usageFailure(
      `${folder} holds a cluster with ${known}, not with ${rolesText(roles)}`,
      'Leave --ram out, choose another --data, or start over with --reset.',
    );
  }
  return found;
}

function folderFailure(folder: string, error: unknown): CliFailure {
  return new CliFailure(`cannot use the data folder ${folder}: ${(error as Error).message}`, {
    exitCode: EXIT.taken,
    code: 'DEV_FOLDER_UNUSABLE',
    hint: 'Choose another one with --data, or run in memory with --memory.',
    cause: error,
  });
}

/** The token inside is a secret: only the owner may read it. */
function writeWhole(path: string, value: object): void {
  fs.writeFileSync(`${path}.tmp`, `${JSON.stringify(value, null, 2)}\n`, { mode: 0o600 });
  fs.renameSync(`${path}.tmp`, path);
}

/** Bytes that the files below a folder take on disk. */
export function folderSizeBytes(path: string): number {
  let total = 0;
  for (const entry of fs.readdirSync(path, { withFileTypes: true })) {
    const child = join(path, entry.name);
    try {
      // 512-byte blocks: what the files take, not what they claim.
      total += entry.isDirectory() ? folderSizeBytes(child) : fs.statSync(child).blocks * 512;
    } catch {
      // Removed while we looked.
    }
  }
  return total;
}
