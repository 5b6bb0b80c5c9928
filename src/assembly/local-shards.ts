// The shard of a node without worker threads: it shares the main thread with everything else. So run
// the in-process cluster and the simulator.
import type { MemberControl } from '../actors/threads/control.ts';
import { controlService, memberControl } from '../actors/threads/control.ts';
import type { ClusterChanges as Changes } from '../cluster/ports.ts';
import type { Connection, Crew } from '../env/environment.ts';
import { type ProbedReplica, probeLogs } from './probe.ts';
import { type Shard, startShard } from './shard.ts';
import type { ClientProtocol } from './shard-names.ts';
import { changesOf, newLife, type Shards, type ShardsOptions, shardConfig } from './shards.ts';
import { watchLinks } from './watch-links.ts';

/** `shards: 0`: everything on the main thread. */
export class LocalShards implements Shards {
  readonly firstThread = 0;
  readonly changes: Changes;
  readonly #options: ShardsOptions;
  readonly #life: number;
  readonly #ownCrew: Crew | undefined;
  #shard: Shard | undefined;

  /** `ownCrew`: the environment's, if it was made for this node alone: it ends with the shard. */
  constructor(options: ShardsOptions, ownCrew?: Crew) {
    this.#options = options;
    this.#ownCrew = ownCrew;
    this.#life = newLife(options.system);
    this.changes = changesOf(options);
    options.env.threads.serveControl(controlService(options.system));
  }

  async start(): Promise<void> {
    const { system, replica, metadata, links, onFailed } = this.#options;
    const shard = await startShard(system, replica, shardConfig(this.#options, 0, this.#life), {
      send: (command, timeoutMs) => metadata.change(command, timeoutMs),
      propose: (proposal) => metadata.proposeSafeSet(proposal, 0),
      moveLeader: (move) => metadata.moveLeader(move, 0),
      resignLog: (logId, epoch) => metadata.resignLog(logId, epoch),
      onStoreFailure: onFailed,
      ...this.#options.clients,
      kinds: this.#options.kinds,
    });
    this.#shard = shard;
    metadata.onSafeSetRejected((logId, attempt) => shard.host.safeSetRejected(logId, attempt));
    watchLinks(links, (id, thread) => shard.linkEnded(id, thread));
    metadata.onMoveRefused((move) => shard.host.moveRefused(move));
  }

  accept(connection: Connection, protocol: ClientProtocol): void {
    this.#shard?.accept(connection, protocol);
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

  control(thread: number): MemberControl | undefined {
    const { threads } = this.#options.env;
    return thread === 0 ? memberControl(() => threads.control) : undefined;
  }

  /** The replicas as they are now, for a simulation. */
  probe(): Iterable<ProbedReplica> {
    const shard = this.#shard;
    return shard === undefined ? [] : probeLogs(shard);
  }

  async stop(): Promise<void> {
    try {
      await this.#shard?.stop();
    } finally {
      await this.#ownCrew?.close();
    }
  }

  abandon(): void {
    this.#shard?.store.abandon();
  }
}

export function localShards(options: ShardsOptions): Shards {
  return new LocalShards(options);
}
