// The shards of a node as the main thread sees them. Two kinds: one on this very thread
// (local-shards.ts) or worker threads (worker-shards.ts). Both take connections, count, report failed
// syncs, and are stopped in order. A node that has worker threads loads nothing of what runs on them.

import type { AnyDurableActor } from '../actors/durable/event-sourced.ts';
import type { Links } from '../actors/links/links.ts';
import type { System } from '../actors/system.ts';
import type { MemberControl } from '../actors/threads/control.ts';
import type { QueueConfig } from '../broker/view/config.ts';
import { MetadataChanges } from '../cluster/metadata-shell/changes.ts';
import type { MetadataReplica } from '../cluster/metadata-shell/metadata-replica.ts';
import type { MetadataService } from '../cluster/metadata-shell/metadata-service.ts';
import type { ClusterChanges as Changes } from '../cluster/ports.ts';
import type { CompactionOptions } from '../cluster/replica/compactions.ts';
import type { Connection, Environment } from '../env/environment.ts';
import type { ShardStoreOptions } from '../storage/api.ts';
import type { LoadClients } from './client-protocols.ts';
import type { Remembered } from './members.ts';
import type { NodeConfig } from './node-config.ts';
import type { ProbedReplica } from './probe.ts';
import type { ListenerPorts, ShardConfig } from './shard.ts';
import type { ClientProtocol } from './shard-names.ts';

export interface ShardsOptions {
  readonly system: System;
  readonly env: Environment;
  readonly links: Links;
  readonly replica: MetadataReplica;
  readonly metadata: MetadataService;
  readonly config: NodeConfig;
  readonly ports: ListenerPorts;
  readonly autoCreate: boolean;
  readonly store: Partial<ShardStoreOptions>;
  readonly queues: Partial<QueueConfig>;
  readonly compaction: CompactionOptions;
  /** Of durable actors. Threads import them anew. */
  readonly kinds: readonly AnyDurableActor[];
  /** For shards on this thread; those on others have their own. */
  readonly clients: LoadClients;
  /** Members that no configuration has. */
  remembered(): Remembered;
  /** A shard lives anew: metadata must know before anything is hosted there. */
  onRestarted(): void;
  onFailed(error: Error): void;
  /** A shard lives (again). */
  onShardUp(): void;
}

export interface Shards {
  readonly firstThread: number;
  readonly changes: Changes;
  start(): Promise<void>;
  accept(connection: Connection, protocol: ClientProtocol): void;
  /** The present life of each shard, by shard number. */
  incarnations(): readonly number[];
  hasFailedSync(): boolean;
  counters(): Record<string, number>;
  /** Of a thread of the node, 0 the main one; undefined if there is no such thread. */
  control(thread: number): MemberControl | undefined;
  /** Only where the shards run on this very thread. */
  probe?(): Iterable<ProbedReplica>;
  stop(): Promise<void>;
  abandon(): void;
}

/** Makes the shards of a node; which kind is the choice of the composition root. */
export type MakeShards = (options: ShardsOptions) => Shards;

/** RabbitMQ's `disk_free_limit`. */
const DISK_FREE_MIN_BYTES = 50_000_000;

/** A life of a shard: drawn anew at every start of its thread. */
export function newLife(system: System): number {
  return 1 + system.random.below(0x7fff_fffe);
}

export function shardConfig(
  options: ShardsOptions,
  shard: number,
  shardIncarnation: number,
): ShardConfig {
  const { config, ports, autoCreate, store, queues, compaction } = options;
  const { clusterId, nodeId: node, queueReplicas } = config;
  const defaultPartitions = 3;
  return {
    clusterId,
    node,
    shard,
    shardIncarnation,
    ports,
    autoCreate,
    defaultPartitions,
    store: { freeBytesMin: config.diskFreeMinBytes ?? DISK_FREE_MIN_BYTES, ...store },
    queues,
    compaction: { ...rateOf(config), ...compaction },
    ...(queueReplicas === undefined ? {} : { queueReplicas }),
  };
}

function rateOf({ compactionBytesPerSecond }: NodeConfig): CompactionOptions {
  return compactionBytesPerSecond === undefined ? {} : { bytesPerSecond: compactionBytesPerSecond };
}

export function changesOf(options: ShardsOptions): Changes {
  const { replica, metadata, system } = options;
  const send = (command: Uint8Array, timeoutMs: number) => metadata.change(command, timeoutMs);
  return new MetadataChanges(replica.image, send, system.random.fork('node-changes'));
}
