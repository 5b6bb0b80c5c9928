// What starts a node and what a running node tells its starter. The command line and
// the launcher know this, and nothing else of how a node is put together.
import { PROFILE_NAMES, profileFault } from '../cluster/metadata/cluster-settings.ts';
import { votersFault } from '../cluster/metadata/roles.ts';
import type { NodeRole } from '../cluster/metadata/types.ts';
import type { Environment } from '../env/environment.ts';

export { type NodeRole, PROFILE_NAMES, votersFault };

/** Numbers of nodes go from 1 to this: a peer of the metadata group is one number, made of that of its node. */
export const NODE_ID_MAX = 2 ** 21 - 1;
/** Worker threads that one node may have. */
export const SHARDS_MAX = 64;
/** Replicas that a queue may be given; there are never more than nodes. */
export const QUEUE_REPLICAS_MAX = 64;

/** The whole numbers that a node's settings take, from least to most. */
export const SETTING_BOUNDS = {
  shards: [0, SHARDS_MAX],
  queueReplicas: [1, QUEUE_REPLICAS_MAX],
  diskFreeMinBytes: [0, Number.MAX_SAFE_INTEGER],
  // Of fewer bytes a second than a read brings at once the next read would wait for minutes.
  compactionBytesPerSecond: [65_536, 2 ** 40],
  scrubIntervalMs: [0, 2 ** 48],
  scrubBytesPerSecond: [65_536, 2 ** 40],
} as const satisfies Readonly<Partial<Record<keyof NodeConfig, readonly [number, number]>>>;

/** Where one member of the cluster listens. */
export interface NodeAddress {
  /** From 1 to NODE_ID_MAX. */
  readonly id: number;
  /** What it is for; `disk` if left out. The same in the list of every node, and for as long as the node is there. */
  readonly role?: NodeRole;
  /** A single address that the other nodes can dial. */
  readonly host: string;
  readonly linkPort: number;
  readonly kafkaPort: number;
  readonly amqpPort: number;
  /** RocketMQ over gRPC. */
  readonly rocketmqPort: number;
  readonly httpPort: number;
}

/** Where links of a member are dialled. */
export interface JoinAddress {
  readonly host: string;
  readonly port: number;
}

export interface NodeConfig {
  /** Empty for a node that joins, or has joined: the members tell it, or its folder. */
  readonly clusterId: string;
  readonly nodeId: number;
  /** This node, and in a cluster that is founded with a list of its nodes all of them; in id order. */
  readonly nodes: readonly NodeAddress[];
  /**
   * Links of members of a running cluster, any of which is asked to take this node in: it is in nobody's list. A node
   * that was taken in finds the others again by its folder; it then needs none of these.
   */
  readonly join?: readonly JoinAddress[];
  /** The node's own folder, or undefined: everything in memory. The Environment's disk is rooted here. */
  readonly dataRoot: string | undefined;
  /** Worker threads that own logs and connections; 0 runs everything on the main thread. */
  readonly shards: number;
  /** Where the listeners bind. `localhost` means every loopback address. */
  readonly host: string;
  /** Replicas of the durable queues that are declared on this node; without it as many as topics have. */
  readonly queueReplicas?: number;
  /** Between two passes that read and check all that has settled on disk. Without it seven days; 0: never. */
  readonly scrubIntervalMs?: number;
  /** How fast each shard reads then; at least 65,536. Without it 8 MiB. */
  readonly scrubBytesPerSecond?: number;
  /**
   * While fewer bytes of the disk are free, nothing is published to logs that this node leads, until a fifth more is
   * free; consumers are served. Without it 50,000,000. With 0 only a disk that is full ends publishing.
   */
  readonly diskFreeMinBytes?: number;
  /** What compaction by key reads and writes, of each shard; at least 65,536. Default 32 MiB. */
  readonly compactionBytesPerSecond?: number;
  /**
   * The cluster has not been ready yet: all its nodes make it together. Else a node with an empty folder joins as
   * a newcomer: it must not vote from a memory that it has lost.
   */
  readonly isFounding?: boolean;
  /**
   * URL of a module of the application that exports `kinds`: the kinds of durable actors that this node brings.
   * The main thread and every worker thread import it. Without it the node has no replica of a durable actor.
   */
  readonly durableKinds?: string;
  /** What the node would be lost with, such as a room: replicas of a log lie in as many as there are. */
  readonly rack?: string;
  /**
   * Name of a choice of defaults for the settings of the cluster, see `PROFILE_NAMES`: each start of the node makes it the
   * cluster's. Without it the cluster has what it has, `default` if nobody has said anything.
   */
  readonly profile?: string;
  /** Secret that the nodes of a cluster show each other on their links. */
  readonly token: string;
}

/** The first setting whose value a node does not take, as a sentence, or undefined. */
export function refuseConfig(config: NodeConfig): string | undefined {
  for (const [name, [least, most]] of Object.entries(SETTING_BOUNDS)) {
    const value: unknown = config[name as keyof typeof SETTING_BOUNDS];
    if (value === undefined) continue;
    const isGood = Number.isInteger(value) && Number(value) >= least && Number(value) <= most;
    if (!isGood) return `${name} is a whole number from ${least} to ${most}, not ${String(value)}`;
  }
  const { nodeId, nodes, join = [], isFounding, profile } = config;
  const fault = profile === undefined ? undefined : profileFault(profile);
  if (fault !== undefined) return fault;
  if (join.length > 0 && isFounding === true) return 'a node founds a cluster or joins one';
  const bad = nodes.find(({ id }) => !Number.isInteger(id) || id < 1 || id > NODE_ID_MAX);
  if (bad !== undefined) return `numbers of nodes go from 1 to ${NODE_ID_MAX}: ${bad.id} is none`;
  if (!nodes.some(({ id }) => id === nodeId)) return `node ${nodeId} is not in the list of nodes`;
  return refuseRoles(config);
}

/** What this node is for. */
export function roleOf({ nodeId, nodes }: Pick<NodeConfig, 'nodeId' | 'nodes'>): NodeRole {
  return nodes.find(({ id }) => id === nodeId)?.role ?? 'disk';
}

function refuseRoles(config: NodeConfig): string | undefined {
  const role = roleOf(config);
  if (config.nodes.some((node) => node.role === 'witness')) {
    return 'a node is a disk node or a RAM node: witnesses are not started by this version';
  }
  if (role === 'ram' && config.dataRoot !== undefined) {
    return `node ${config.nodeId} is a RAM node, which keeps nothing on disk: it has no data folder`;
  }
  return undefined;
}

/** Why the nodes of this configuration cannot found a cluster; not for a node that has its folder: it did once. */
export function refuseFounding(config: NodeConfig): string | undefined {
  if (config.isFounding !== true) return undefined;
  const fault = votersFault(config.nodes.map((node) => node.role ?? 'disk'));
  return fault === undefined ? undefined : `these nodes cannot found a cluster: ${fault}`;
}

/** What a node tells whoever started it. Everything can be sent over a process boundary as JSON. */
export type NodeEvent =
  /** The listeners accept. */
  | {
      readonly event: 'listening';
      readonly ports: {
        readonly kafka: number;
        readonly amqp: number;
        readonly rocketmq: number;
        readonly http: number;
        readonly link: number;
      };
    }
  /**
   * Once: a metadata leader is known, all nodes are registered and unfenced, and an internal write
   * to a replicated log was committed and read back.
   */
  | { readonly event: 'ready' }
  /** Another node was fenced and all logs that it led, `count` of them, have a leader again. */
  | { readonly event: 'leadersMoved'; readonly node: number; readonly count: number }
  /** Every replica on `node` is in sync again. Any node may say it, of itself or of another. */
  | { readonly event: 'inSync'; readonly node: number }
  /** The node cannot go on; it ends after this. `code` is an errno name or AREA_WHAT. */
  | { readonly event: 'failed'; readonly code: string; readonly message: string };

export interface RunningNode {
  /** Events that happened before the call are told first, in order. One handler. */
  onEvent(handle: (event: NodeEvent) => void): void;
  /** Moves leaderships away where it can, flushes, closes. Resolves when nothing runs any more. */
  stop(): Promise<void>;
}

/**
 * Starts one node over any Environment. Rejects if the node cannot start: with an error carrying
 * `code` (EADDRINUSE, EACCES, AREA_WHAT) where the reason is known.
 */
export type StartNode = (env: Environment, config: NodeConfig) => Promise<RunningNode>;

/** What the module that composes a node exports. */
export interface NodeEntry {
  readonly startNode: StartNode;
}
