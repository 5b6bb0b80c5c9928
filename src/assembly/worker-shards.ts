// The shards of a node as worker threads: replaced when they die, each start a new life with new grants.
import type { RestartPolicy } from '../actors/supervise.ts';
import type { MemberControl } from '../actors/threads/control.ts';
import { ThreadGroup } from '../actors/threads/thread-group.ts';
import type { ClusterChanges as Changes } from '../cluster/ports.ts';
import type { Connection } from '../env/environment.ts';
import { releaseDeadStore } from '../storage/store.ts';
import { kindOf } from './durable-kinds.ts';
import { type ClientProtocol, isClientProtocol, shardDirectory } from './shard-names.ts';
import { changesOf, newLife, type Shards, type ShardsOptions, shardConfig } from './shards.ts';
import type { FromWorker, WorkerBoot } from './worker-boot.ts';

/** A shard that dies is no reason to give up the node, one that cannot live at all is. */
const RESTART: RestartPolicy = {
  maxRestarts: 40,
  windowMs: 60_000,
  backoff: { minMs: 50, maxMs: 500, jitter: 0.2 },
};

/** A shard reads its logs before it is ready: a full disk takes minutes, and no start would be faster. */
const BOOT_TIMEOUT_MS = 600_000;

/** Connections that wait for a shard to come back; more are closed. */
const WAITING_MAX = 1_024;

interface Worker {
  readonly thread: number;
  life: number;
  isUp: boolean;
  hasFailedSync: boolean;
  connections: number;
  counters: Record<string, number>;
}

interface Waiting {
  readonly connection: Connection;
  readonly protocol: ClientProtocol;
}

/** Worker threads: replaced when they die, each start a new life with new grants. */
export class WorkerShards implements Shards {
  readonly firstThread = 1;
  readonly changes: Changes;
  readonly #options: ShardsOptions & { readonly workerEntry: URL };
  readonly #workers: Worker[] = [];
  readonly #group: ThreadGroup;
  /** Accepted while no shard is up. */
  #waiting: Waiting[] = [];
  #isStopped = false;

  constructor(options: ShardsOptions & { readonly workerEntry: URL }) {
    this.#options = options;
    this.changes = changesOf(options);
    for (let thread = 1; thread <= options.config.shards; thread += 1) {
      const life = newLife(options.system);
      const base = { isUp: false, hasFailedSync: false, connections: 0, counters: {} };
      this.#workers.push({ thread, life, ...base });
    }
    // A shard that ends gives back the connections that it had not taken.
    options.links.takeHandedOver();
    options.env.threads.onConnection((connection, tag) => {
      if (isClientProtocol(tag)) this.accept(connection, tag);
    });
    this.#group = new ThreadGroup(options.system, {
      entry: options.workerEntry,
      restart: RESTART,
      bootTimeoutMs: BOOT_TIMEOUT_MS,
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
    if (incarnation > 1) {
      worker.life = newLife(this.#options.system);
      this.#options.onRestarted();
    }
    const { config } = this.#options;
    return {
      dataRoot: config.dataRoot,
      shard: shardConfig(this.#options, thread - 1, worker.life),
      clusterId: config.clusterId,
      token: config.token,
      nodes: config.nodes,
      remembered: this.#options.remembered(),
      kinds:
        config.durableKinds === undefined
          ? undefined
          : { url: config.durableKinds, expected: this.#options.kinds.map(kindOf) },
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
    this.#options.onShardUp();
    for (const { connection, protocol } of this.#waiting.splice(0)) {
      this.accept(connection, protocol);
    }
  }

  #lost(thread: number): void {
    const worker = this.#worker(thread);
    worker.isUp = false;
    worker.connections = 0;
    releaseDeadStore(this.#options.env, shardDirectory(thread - 1));
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

  /** To the shard with the fewest connections. While there is none, they wait for one to come back. */
  accept(connection: Connection, protocol: ClientProtocol): void {
    let best: Worker | undefined;
    for (const worker of this.#workers) {
      if (worker.isUp && (best === undefined || worker.connections < best.connections))
        best = worker;
    }
    if (best !== undefined) this.#give(connection, protocol, best);
    else if (this.#isStopped || this.#waiting.length >= WAITING_MAX) connection.destroy();
    else this.#waiting.push({ connection, protocol });
  }

  #give(connection: Connection, protocol: ClientProtocol, worker: Worker): void {
    const { threads, log } = this.#options.env;
    try {
      threads.handOver(connection, worker.thread, protocol);
      worker.connections += 1;
    } catch (error) {
      // No descriptor is free, perhaps: one client less is better than a node less.
      log.error('a connection could not be handed over', { thread: worker.thread, error });
      connection.destroy();
    }
  }

  #end(): void {
    this.#isStopped = true;
    for (const { connection } of this.#waiting.splice(0)) connection.destroy();
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

  control(thread: number): MemberControl | undefined {
    return thread > this.#workers.length ? undefined : this.#group.control(thread);
  }

  /** Ends one shard thread as if it had crashed; it is replaced. For tests and fault injection. */
  kill(thread: number): void {
    this.#group.kill(thread);
  }

  async stop(): Promise<void> {
    this.#end();
    await this.#group.stop({ timeoutMs: 5_000 });
  }

  abandon(): void {
    this.#end();
    for (const { thread } of this.#workers) this.#group.kill(thread);
  }
}

/** `entry`: compiled module of the worker threads. */
export function workerShards(entry: URL): (options: ShardsOptions) => WorkerShards {
  return (options) => new WorkerShards({ ...options, workerEntry: entry });
}
