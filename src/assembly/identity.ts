// Who this node is, as its folder remembers it: cluster, node, the incarnation of its data, and how often
// it was started. The file is replaced as a whole at every start and at every clean stop.
import type { Environment } from '../env/environment.ts';
import { decodeUtf8, encodeUtf8 } from '../std/bytes.ts';
import { BrokerError } from '../std/errors.ts';

const FILE = 'node.json';
const FORMAT = 1;
/** What JSON may end with. */
const SPACE = 0x20;
/** The incarnation of nodes that found a cluster: known to all of them without asking. */
export const FOUNDING_INCARNATION = 1;

export interface NodeIdentity {
  readonly clusterId: string;
  readonly nodeId: number;
  /** Of this folder: names the node's peer in the metadata group. */
  readonly incarnation: number;
  /** Of the data in the logs: another one since something acknowledged may have been lost. */
  readonly dataIncarnation: number;
  /** What this data went by before, 0 for a new folder. */
  readonly previousIncarnation: number;
  readonly bootCounter: number;
  /** The last stop was orderly. */
  readonly isClean: boolean;
  readonly osBootId: string;
  readonly isNewFolder: boolean;
}

class IdentityError extends BrokerError {
  readonly code = 'NODE_FOLDER_FOREIGN';
}

interface Stored {
  readonly format: number;
  readonly clusterId: string;
  readonly nodeId: number;
  readonly incarnation: number;
  readonly dataIncarnation?: number;
  readonly bootCounter: number;
  readonly isClean: boolean;
  readonly osBootId: string;
}

function parse(bytes: Uint8Array, root: string): Stored {
  let stored: Partial<Stored>;
  try {
    stored = JSON.parse(decodeUtf8(bytes)) as Partial<Stored>;
  } catch (error) {
    throw new IdentityError(`${FILE} in ${root} cannot be read`, { root }, error);
  }
  if (typeof stored.format !== 'number' || stored.format > FORMAT) {
    throw new IdentityError(
      `the folder ${root} was written by a newer version (format ${stored.format}, known: ${FORMAT})`,
      { root },
    );
  }
  return stored as Stored;
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
): NodeIdentity {
  const osBootId = env.facts?.osBootId ?? '';
  const bytes = env.disk.readFile(FILE);
  const { root } = env.disk;
  if (bytes === undefined) {
    const incarnation = isFounder ? FOUNDING_INCARNATION : 2 + env.random.below(0x7fff_fff0);
    const identity: NodeIdentity = {
      clusterId,
      nodeId,
      incarnation,
      dataIncarnation: incarnation,
      previousIncarnation: 0,
      bootCounter: 1,
      isClean: true,
      osBootId,
      isNewFolder: true,
    };
    writeIdentity(env, identity, false);
    return identity;
  }
  const stored = parse(bytes, root);
  if (stored.clusterId !== clusterId || stored.nodeId !== nodeId) {
    throw new IdentityError(
      `the folder ${root} belongs to node ${stored.nodeId} of cluster ${stored.clusterId}, ` +
        `not to node ${nodeId} of cluster ${clusterId}`,
      { root },
    );
  }
  const identity: NodeIdentity = {
    clusterId,
    nodeId,
    incarnation: stored.incarnation,
    dataIncarnation: stored.dataIncarnation ?? stored.incarnation,
    previousIncarnation: stored.dataIncarnation ?? stored.incarnation,
    bootCounter: stored.bootCounter + 1,
    isClean: stored.isClean,
    osBootId,
    isNewFolder: false,
  };
  writeIdentity(env, identity, false);
  return identity;
}

export function writeIdentity(env: Environment, identity: NodeIdentity, isClean: boolean): void {
  const { clusterId, nodeId, incarnation, dataIncarnation, bootCounter, osBootId } = identity;
  const stored: Stored = {
    format: FORMAT,
    clusterId,
    nodeId,
    incarnation,
    dataIncarnation,
    bootCounter,
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
