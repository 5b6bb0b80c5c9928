// The data folder of a node that is not running, read as a start would read it: metadata from its Raft log,
// the logs of every shard recovered, all over a disk that keeps what is written to itself. What the other
// replicas have is not known here: frames that this node does not know to be committed are marked.

import type { AnyDurableBehavior } from '../actors/durable/behavior.ts';
import { createQueueBehavior, QUEUE_KIND } from '../broker/view/behavior.ts';
import { QUEUE_DEFAULTS } from '../broker/view/config.ts';
import type { QueueState } from '../broker/view/queue-state.ts';
import type { DestinationRecord, LogRecord } from '../cluster/metadata/types.ts';
import { MetadataReplica } from '../cluster/metadata-shell/metadata-replica.ts';
import { RaftStore } from '../cluster/metadata-shell/raft-store.ts';
import { Machine } from '../cluster/replica/machine.ts';
import type { Environment } from '../env/environment.ts';
import { BrokerError } from '../std/errors.ts';
import type { ShardStore, StoredLog } from '../storage/api.ts';
import { openShardStore } from '../storage/store.ts';
import { readSuperblock } from '../storage/store-files.ts';

const META = 'meta';
const RAFT_LOG_ID = 1;
const SHARD = /^shard-(\d{3})$/;

class InspectError extends BrokerError {
  readonly code: string;

  constructor(code: string, message: string) {
    super(message);
    this.code = code;
  }
}

/** A log of this folder, and where its files are. */
export interface FoundLog {
  readonly record: LogRecord | undefined;
  readonly stored: StoredLog;
  /** Relative to the data folder; the folder is there once something has settled. */
  readonly folder: string;
  readonly shard: number;
}

function nobody(): never {
  throw new Error('nothing is led in a stopped folder');
}

/** For what is the host's in a log's frames: the moves of its start. */
const NO_BEHAVIOR: AnyDurableBehavior = {
  kind: 'none',
  initial: () => undefined,
  apply: () => undefined,
  snapshot: () => new Uint8Array(0),
  restore: () => undefined,
  promote: nobody,
  demote: nobody,
  decide: nobody,
  nextDueMs: nobody,
  tick: nobody,
};

export class StoppedFolder {
  readonly #env: Environment;
  readonly #stores = new Map<string, ShardStore>();
  readonly #replica: MetadataReplica;
  /** The last changes of the metadata, which are stored here and shown, but not known here to be committed. */
  readonly uncommittedEntries: number;
  readonly #shards: readonly string[];

  private constructor(env: Environment, replica: MetadataReplica, uncommittedEntries: number) {
    this.#env = env;
    this.#replica = replica;
    this.uncommittedEntries = uncommittedEntries;
    this.#shards = env.disk
      .list('')
      .map(({ name }) => name)
      .filter((name) => SHARD.test(name));
  }

  /**
   * @param env its disk is an overlay over the folder: recovery writes.
   * @throws InspectError if it is no folder of a node; StorageError if a store cannot be recovered.
   */
  static async open(env: Environment): Promise<StoppedFolder> {
    if (!env.disk.exists(META) || !env.disk.exists('node.json')) {
      throw new InspectError(
        'INSPECT_NO_NODE',
        `${env.disk.root} is not the data folder of a node`,
      );
    }
    const store = await openStore(env, META);
    const replica = new MetadataReplica(0);
    let waiting = 0;
    const stored = store.log(RAFT_LOG_ID);
    if (stored !== undefined) {
      const recovered = await new RaftStore(stored, () => undefined).recover();
      const { snapshot, entries, hardState } = recovered;
      if (snapshot !== undefined) replica.restore(snapshot.data);
      for (const entry of entries) {
        if (entry.index <= (snapshot?.index ?? 0) || entry.kind !== 'command') continue;
        // The commit index is written with other things only: the last changes are rarely known to be in.
        if (entry.index > hardState.commit) waiting += 1;
        replica.apply(entry.data, entry.index);
      }
    }
    store.abandon();
    return new StoppedFolder(env, replica, waiting);
  }

  /** In order of vhost and name. */
  destinations(): readonly DestinationRecord[] {
    return this.#replica.image.destinations();
  }

  destination(vhost: string, name: string): DestinationRecord | undefined {
    return this.#replica.image.destination(vhost, name);
  }

  /** Undefined where this node has no replica, or never stored a frame of it. */
  async log(logId: number): Promise<FoundLog | undefined> {
    for (const directory of this.#shards) {
      const stored = (await this.#store(directory)).log(logId);
      if (stored === undefined) continue;
      // The checkpoint's start may be older than what the log itself says: a node would serve from there.
      await new Machine(NO_BEHAVIOR, stored).applyColdThrough(stored.committedSeq);
      const low = (logId % 256).toString(16).padStart(2, '0');
      return {
        record: this.#replica.image.log(logId),
        stored,
        folder: `${directory}/logs/${low}/${logId}`,
        shard: Number(SHARD.exec(directory)![1]),
      };
    }
    return undefined;
  }

  /** The queue's state after everything that is stored here. */
  async queueState({ record, stored }: FoundLog): Promise<QueueState | undefined> {
    if (record?.kind !== QUEUE_KIND) return undefined;
    const machine = new Machine(createQueueBehavior(QUEUE_DEFAULTS), stored);
    await machine.applyColdThrough(stored.endSeq);
    return machine.state as QueueState;
  }

  close(): void {
    for (const store of this.#stores.values()) store.abandon();
    this.#stores.clear();
  }

  async #store(directory: string): Promise<ShardStore> {
    const known = this.#stores.get(directory);
    if (known !== undefined) return known;
    const store = await openStore(this.#env, directory);
    this.#stores.set(directory, store);
    return store;
  }
}

/** The store of a folder, whoever it belongs to. */
async function openStore(env: Environment, directory: string): Promise<ShardStore> {
  const identity = readSuperblock(env, directory);
  if (identity === undefined) {
    throw new InspectError('INSPECT_NO_STORE', `${directory} has no store.super`);
  }
  return (await openShardStore(env, { directory, identity })).store;
}
