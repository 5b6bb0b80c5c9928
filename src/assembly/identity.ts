// Who this node is, as its folder remembers it: cluster, node, the incarnation of its data, and how often
// it was started. The file is replaced as a whole at every start and at every clean stop, by the one process
// that holds the folder's LOCK; a refused folder is left as it was.

import type { NodeRole } from '../cluster/metadata/types.ts';
import {
  decodeNodeFile,
  NODE_FILE as FILE,
  FOUNDING_INCARNATION,
  NODE_FILE_FORMAT,
  type NodeFile,
} from '../cluster/node-file.ts';
import type { Environment } from '../env/environment.ts';
import { encodeUtf8 } from '../std/bytes.ts';
import { BrokerError, messageOf } from '../std/errors.ts';

const LOCK = 'LOCK';
/** The store of the metadata group's log: what this node has promised there. */
export const META = 'meta';
const RENAME_STEP_MAX = 0x1_0000;
/** What JSON may end with. */
const SPACE = 0x20;

export interface NodeIdentity {
  readonly clusterId: string;
  readonly nodeId: number;
  readonly role: NodeRole;
  /** Of this folder: names the node's peer in the metadata group. */
  readonly incarnation: number;
  /** Of the data in the logs: another one since something acknowledged may have been lost. */
  readonly dataIncarnation: number;
  /** What this data went by before, 0 for a new folder. */
  readonly previousIncarnation: number;
  readonly bootCounter: number;
  /** The last start that the cluster may have been told of: a folder that was put back may be started, and end untold. */
  readonly toldBoot: number;
  /** The `incarnation` under which the cluster was told of it last, 0 for none: that peer has metadata, and has voted. */
  readonly toldAs: number;
  /** The last stop was orderly. For people who look into the folder: what is on disk counts either way. */
  readonly isClean: boolean;
  /** Of this start of the operating system; empty where it is not told. */
  readonly osBootId: string;
  readonly isNewFolder: boolean;
}

export type FolderErrorCode =
  /** Of another cluster or node, of a newer version, or its identity cannot be read. */
  | 'NODE_FOLDER_FOREIGN'
  /** Another live process of this machine has it. */
  | 'NODE_FOLDER_TAKEN'
  /** Read-only, or not ours to write. */
  | 'NODE_FOLDER_UNWRITABLE';

class FolderError extends BrokerError {
  readonly code: FolderErrorCode;

  constructor(code: FolderErrorCode, message: string, root: string, cause?: unknown) {
    super(message, { root }, cause);
    this.code = code;
  }
}

const UNWRITABLE: ReadonlySet<unknown> = new Set(['EROFS', 'EACCES', 'EPERM', 'ENOTDIR']);

/**
 * Takes the folder for this process, before anything in it is read: two processes that start on it at once must
 * not both count themselves in. Throws NODE_FOLDER_TAKEN, NODE_FOLDER_UNWRITABLE, DiskError.
 */
export function takeFolder({ disk }: Environment, nodeId: number): { release(): void } {
  const { root } = disk;
  let lock: { release(): void } | undefined;
  try {
    lock = disk.lock(LOCK, `node ${nodeId}`);
  } catch (error) {
    const { code } = error as { readonly code?: unknown };
    if (!UNWRITABLE.has(code)) throw error;
    const why = code === 'EROFS' ? 'it is on a read-only mount' : messageOf(error);
    const what = 'a node must write there: mount it writable, or give the node another folder';
    throw new FolderError(
      'NODE_FOLDER_UNWRITABLE',
      `the folder ${root} cannot be written (${why}); ${what}`,
      root,
      error,
    );
  }
  if (lock !== undefined) return lock;
  const holder = disk.lockedBy(LOCK) ?? 'another process';
  throw new FolderError(
    'NODE_FOLDER_TAKEN',
    `the folder ${root} is used by ${holder}; stop that process, or give this node a folder of its own`,
    root,
  );
}

function parse(bytes: Uint8Array, root: string): NodeFile {
  const read = decodeNodeFile(bytes);
  if (read.kind === 'ok') return read.file;
  const what = `${FILE} in ${root}`;
  if (read.kind === 'newer') {
    throw new FolderError('NODE_FOLDER_FOREIGN', `${what} ${read.because}`, root);
  }
  throw new FolderError(
    'NODE_FOLDER_FOREIGN',
    `${what} cannot be read; without that folder the node joins as a newcomer`,
    root,
    read.cause,
  );
}

/**
 * Reads the identity and counts this start. A folder of another cluster or node is refused. `isFounder`:
 * the cluster is being made now, by all its nodes together; else a new folder is a new incarnation.
 */
export function openIdentity(
  env: Environment,
  clusterId: string,
  nodeId: number,
  isFounder: boolean,
  role: NodeRole = 'disk',
): NodeIdentity {
  const osBootId = env.facts?.osBootId ?? '';
  const bytes = env.disk.readFile(FILE);
  const { root } = env.disk;
  if (bytes === undefined) {
    // A RAM node begins anew with each start: it is no founder, of whom there is one life.
    const isOnce = isFounder && role !== 'ram';
    const incarnation = isOnce ? FOUNDING_INCARNATION : newcomerIncarnation(env);
    const identity: NodeIdentity = {
      clusterId,
      nodeId,
      role,
      incarnation,
      dataIncarnation: incarnation,
      previousIncarnation: 0,
      bootCounter: 1,
      toldBoot: 0,
      toldAs: 0,
      isClean: true,
      osBootId,
      isNewFolder: true,
    };
    writeIdentity(env, identity, false);
    return identity;
  }
  const stored = parse(bytes, root);
  if (stored.clusterId !== clusterId || stored.nodeId !== nodeId) {
    throw new FolderError(
      'NODE_FOLDER_FOREIGN',
      `the folder ${root} belongs to node ${stored.nodeId} of cluster ${stored.clusterId}, ` +
        `not to node ${nodeId} of cluster ${clusterId}; start it with the configuration of its own node, ` +
        'or give this node another folder (an empty one: it joins as a newcomer)',
      root,
    );
  }
  const { role: known = 'disk' } = stored;
  if (known !== role) {
    throw new FolderError(
      'NODE_FOLDER_FOREIGN',
      `the folder ${root} belongs to node ${nodeId} as a ${known} node, and it is started as a ${role} node; ` +
        'a role is kept: remove the node from the cluster, and add it with an empty folder',
      root,
    );
  }
  const identity: NodeIdentity = {
    clusterId,
    nodeId,
    role,
    incarnation: stored.incarnation,
    dataIncarnation: stored.dataIncarnation ?? stored.incarnation,
    previousIncarnation: stored.dataIncarnation ?? stored.incarnation,
    bootCounter: stored.bootCounter + 1,
    toldBoot: stored.toldBoot ?? stored.bootCounter,
    toldAs: stored.toldAs ?? 0,
    isClean: stored.isClean,
    osBootId,
    isNewFolder: false,
  };
  writeIdentity(env, identity, false);
  return identity;
}

/**
 * The cluster knows of a later past of this node: the folder is an older state of it, put back. What it promised
 * in the metadata group since is forgotten, so its peer there ends, and a newcomer will take its place (the old log
 * is set aside); its data goes by a later name than `knownIncarnation`, so that nobody counts on what it may have lost.
 */
export function forgetPast(
  env: Environment,
  identity: NodeIdentity,
  knownIncarnation: number,
): NodeIdentity {
  const next: NodeIdentity = {
    ...identity,
    incarnation: newcomerIncarnation(env),
    dataIncarnation: laterIncarnation(env, Math.max(knownIncarnation, identity.dataIncarnation)),
  };
  // First the name: a peer under its old name that remembers nothing would be worse than this.
  writeIdentity(env, next, false);
  // Kept for whoever has to put a cluster together that lost more than one node.
  if (env.disk.exists(META)) env.disk.rename(META, `${META}-set-aside-${identity.bootCounter}`);
  return next;
}

/** Never that of a founder. */
function newcomerIncarnation(env: Environment): number {
  return 2 + env.random.below(0x7fff_fff0);
}

/** Incarnations grow, by steps that two copies of one folder do not take alike. */
export function laterIncarnation(env: Pick<Environment, 'random'>, incarnation: number): number {
  return incarnation + 1 + env.random.below(RENAME_STEP_MAX);
}

export function writeIdentity(env: Environment, identity: NodeIdentity, isClean: boolean): void {
  const { clusterId, nodeId, incarnation, dataIncarnation, osBootId } = identity;
  const { bootCounter, toldBoot, toldAs, role } = identity;
  const before = env.disk.readFile(FILE);
  const stored: NodeFile = {
    // Members that only a newer build knows, and can do without: it finds them again.
    ...(before === undefined ? {} : parse(before, env.disk.root)),
    format: NODE_FILE_FORMAT,
    clusterId,
    nodeId,
    incarnation,
    dataIncarnation,
    bootCounter,
    toldBoot,
    ...(toldAs === 0 ? {} : { toldAs }),
    ...(role === 'disk' ? {} : { role }),
    isClean,
    osBootId,
  };
  const bytes = encodeUtf8(`${JSON.stringify(stored)}\n`);
  try {
    env.disk.replaceFile(FILE, bytes);
  } catch (error) {
    if ((error as { code?: unknown }).code !== 'ENOSPC' || !env.disk.exists(FILE)) throw error;
    writeInPlace(env, bytes);
  }
}

/** A full disk has no room for a second file, but the first has its block: a node starts with no byte free. */
function writeInPlace(env: Environment, bytes: Uint8Array): void {
  const file = env.disk.open(FILE, { mode: 'write', dsync: true });
  try {
    const whole = new Uint8Array(Math.max(bytes.length, file.size())).fill(SPACE);
    whole.set(bytes);
    file.writeSync(whole, 0);
  } finally {
    file.close();
  }
}
