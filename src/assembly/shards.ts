// The shards of a node as the main thread sees them: one on this very thread, or worker threads. Both
// take connections, count, report failed syncs, and are stopped in order.
import type { Links } from '../actors/links/links.ts';
import type { System } from '../actors/system.ts';
import { ThreadGroup } from '../actors/threads/thread-group.ts';
import { MetadataChanges } from '../cluster/metadata-shell/changes.ts';
import type { MetadataReplica } from '../cluster/metadata-shell/metadata-replica.ts';
import type { MetadataService } from '../cluster/metadata-shell/metadata-service.ts';
import type { MetadataService as Changes } from '../cluster/ports.ts';
import type { Connection, Environment } from '../env/environment.ts';
import type { ShardStoreOptions } from '../storage/api.ts';
import type { NodeAddress, NodeConfig } from './node-config.ts';
import { type Shard, type ShardConfig, startShard } from './shard.ts';
import type { FromWorker, WorkerBoot } from './worker-boot.ts';

export interface ShardsOptions {
  readonly system: System;
  readonly env: Environment;
  readonly links: Links;
  readonly replica: MetadataReplica;
  readonly metadata: MetadataService;
  readonly config: NodeConfig;
  readonly httpPort: number;
  readonly autoCreate: boolean;
  readonly store: Partial<ShardStoreOptions>;
  onFailed(error: Error): void;
}

export interface Shards {
  readonly firstThread: number;
  readonly changes: Changes;
  start(): Promise<void>;
  accept(connection: Connection): void;
  /** The present life of each shard, by shard number. */
  incarnations(): readonly number[];
  hasFailedSync(): boolean;
  counters(): Record<string, number>;
  stop(): Promise<void>;
  abandon(): void;
}

/** More shard threads than any node may have. */
const THREADS_MAX = 16;

/** Tells the shard's log host when the way to or from a thread of another node was lost. */
export function watchLinks(
  links: Links,
  nodeId: number,
  nodes: readonly NodeAddress[],
  shard: Shard,
): void {
  for (const { id } of nodes) {
    if (id === nodeId) continue;
    for (let thread = 0; thread <= THREADS_MAX; thread += 1) {
      links.onEpochEnd(id, thread, () => shard.host.linkEnded(id, thread));
    }
  }
}

function newLife(system: System): number {
  return 1 + system.random.below(0x7fff_fffe);
}

function shardConfig(options: ShardsOptions, shard: number, shardIncarnation: number): ShardConfig {
  const { config, httpPort, autoCreate, store } = options;
  const { clusterId, nodeId: node } = config;
  const defaultPartitions = 3;
  return {
    clusterId,
    node,
    shard,
    shardIncarnation,
    httpPort,
    autoCreate,
    defaultPartitions,
    store,
  };
}

function changesOf(options: ShardsOptions): Changes {
  const { replica, metadata, system } = options;
  const send = (command: Uint8Array, timeoutMs: number) => metadata.change(command, timeoutMs);
  return new MetadataChanges(replica.image, send, system.random.fork('node-changes'));
}

/** `shards: 0`: everything on the main thread. */
export class LocalShards implements Shards {
  readonly firstThread = 0;
  readonly changes: Changes;
  readonly #options: ShardsOptions;
  readonly #life: number;
  #shard: Shard | undefined;

  constructor(options: ShardsOptions) {
    this.#options = options;
    this.#life = newLife(options.system);
    this.changes = changesOf(options);
  }

  async start(): Promise<void> {
    const { system, replica, metadata, links, onFailed } = this.#options;
    const shard = await startShard(system, replica, shardConfig(this.#options, 0, this.#life), {
      send: (command, timeoutMs) => metadata.change(command, timeoutMs),
      propose: (proposal) => metadata.proposeSafeSet(proposal, 0),
      onStoreFailure: onFailed,
    });
    this.#shard = shard;
    metadata.onSafeSetRejected((logId, attempt) => shard.host.safeSetRejected(logId, attempt));
    const { nodeId, nodes } = this.#options.config;
    watchLinks(links, nodeId, nodes, shard);
  }

  accept(connection: Connection): void {
    this.#shard?.kafka.accept(connection);
  }

  incarnations(): readonly number[] {
    return [this.#life];
  }

  hasFailedSync(): boolean {
    return this.#shard?.store.failedSync ?? false;
  }

  counters(): Record<string, number> {
    return this.#shard?.counters() ?? {};
  }

  async stop(): Promise<void> {
    await this.#shard?.stop();
  }

  abandon(): void {
    this.#shard?.store.abandon();
  }
}

interface Worker {
  readonly thread: number;
  life: number;
  isUp: boolean;
  hasFailedSync: boolean;
  connections: number;
  counters: Record<string, number>;
}

/** Worker threads: replaced when they die, each start a new life with new grants. */
export class WorkerShards implements Shards {
  readonly firstThread = 1;
  readonly changes: Changes;
  readonly #options: ShardsOptions & { readonly workerEntry: URL };
  readonly #workers: Worker[] = [];
  readonly #group: ThreadGroup;

  constructor(options: ShardsOptions & { readonly workerEntry: URL }) {
    this.#options = options;
    this.changes = changesOf(options);
    for (let thread = 1; thread <= options.config.shards; thread += 1) {
      const life = newLife(options.system);
      const base = { isUp: false, hasFailedSync: false, connections: 0, counters: {} };
      this.#workers.push({ thread, life, ...base });
    }
    this.#group = new ThreadGroup(options.system, {
      entry: options.workerEntry,
      workers: options.config.shards,
      appData: (thread, incarnation) => this.#boot(thread, incarnation),
      onThreadReady: (thread) => this.#up(thread),
      onThreadLost: (thread, exit, suspect) => {
        options.env.log.error('a shard thread ended', { thread, ...exit, suspect });
        this.#lost(thread);
      },
      onGivenUp: (thread, exit) =>
        options.onFailed(new Error(`shard thread ${thread} keeps dying: ${exit.message}`)),
      onMessage: (thread, body) => this.#message(thread, body as FromWorker),
    });
  }

  async start(): Promise<void> {
    await this.#group.start();
  }

  #boot(thread: number, incarnation: number): WorkerBoot {
    const worker = this.#worker(thread);
    if (incarnation > 1) worker.life = newLife(this.#options.system);
    const { config } = this.#options;
    return {
      dataRoot: config.dataRoot,
      shard: shardConfig(this.#options, thread - 1, worker.life),
      clusterId: config.clusterId,
      token: config.token,
      nodes: config.nodes,
    };
  }

  #worker(thread: number): Worker {
    const worker = this.#workers[thread - 1];
    if (worker === undefined) throw new Error(`there is no shard thread ${thread}`);
    return worker;
  }

  #up(thread: number): void {
    this.#worker(thread).isUp = true;
    this.#options.metadata.shardStarted(thread);
  }

  #lost(thread: number): void {
    const worker = this.#worker(thread);
    worker.isUp = false;
    worker.connections = 0;
    this.#options.metadata.shardLost(thread);
  }

  #message(thread: number, message: FromWorker): void {
    const worker = this.#worker(thread);
    switch (message.kind) {
      case 'status':
        worker.connections = message.connections;
        worker.hasFailedSync = message.hasFailedSync;
        worker.counters = message.counters;
        return;
      case 'failed':
        this.#options.onFailed(new Error(message.message));
        return;
    }
  }

  /** To the shard with the fewest connections. */
  accept(connection: Connection): void {
    let best: Worker | undefined;
    for (const worker of this.#workers) {
      if (worker.isUp && (best === undefined || worker.connections < best.connections))
        best = worker;
    }
    if (best === undefined) {
      connection.destroy();
      return;
    }
    best.connections += 1;
    this.#options.env.threads.handOver(connection, best.thread, 'kafka');
  }

  incarnations(): readonly number[] {
    return this.#workers.map((worker) => worker.life);
  }

  hasFailedSync(): boolean {
    return this.#workers.some((worker) => worker.hasFailedSync);
  }

  counters(): Record<string, number> {
    const sum: Record<string, number> = {};
    for (const { counters } of this.#workers) {
      for (const [name, value] of Object.entries(counters)) sum[name] = (sum[name] ?? 0) + value;
    }
    return sum;
  }

  /** Ends one shard thread as if it had crashed; it is replaced. For tests and fault injection. */
  kill(thread: number): void {
    this.#group.kill(thread);
  }

  async stop(): Promise<void> {
    await this.#group.stop({ timeoutMs: 5_000 });
  }

  abandon(): void {
    for (const { thread } of this.#workers) this.#group.kill(thread);
  }
}
