// Durable actors in a folder: a store, a log host over it, and for each actor that is asked an actor in the
// application's system that sends its asks to the log. The host has a system of its own on the same thread, so
// that all well-known slots of the application stay free.
import {
  type AnyDurableActor,
  type Asks,
  type DurableActor,
  decodeAnswer,
  encodeCommand,
} from '../../actors/durable/event-sourced.ts';
import { frontOf } from '../../actors/durable/front.ts';
import { ActorError } from '../../actors/errors.ts';
import type { Ops } from '../../actors/protocol.ts';
import type { Ref } from '../../actors/ref.ts';
import { createSystem, type System } from '../../actors/system.ts';
import { LogHost, spawnLogHost } from '../../cluster/replica/log-host.ts';
import type { Environment } from '../../env/environment.ts';
import type { ShardStore } from '../../storage/api.ts';
import { openShardStore } from '../../storage/store.ts';
import { Commands } from './commands.ts';
import { LOCAL_NODE, LocalDirectory } from './local-directory.ts';
import { Registry } from './registry.ts';

const STORE_FOLDER = 'logs';
const IDENTITY = { clusterId: 'callboard-durable', nodeId: LOCAL_NODE, shard: 0 };
const STOP_TIMEOUT_MS = 5_000;

export interface DurableActorsOptions {
  /** Every kind that the folder may hold. */
  readonly kinds: readonly AnyDurableActor[];
  /** The disk failed: nothing more is kept, every ask fails. Default: only the log says so. */
  readonly onFailure?: (error: Error) => void;
}

/** The durable actors of a folder. */
export interface DurableActors {
  /** Names of a kind, in the order in which they were made. */
  names(kind: AnyDurableActor): readonly string[];
  /**
   * The actor of that name in an application's system, made on the disk if there is none. What was answered is
   * kept through crashes; an ask that failed may have happened. Stopping the ref's actor changes nothing on disk.
   *
   * @throws ActorError for a kind that was not given, or if the system has an actor of that name.
   */
  spawn<O extends Asks & Ops>(system: System, kind: DurableActor<O>, name: string): Ref<O>;
  /** Deletes an actor's log for ever: what is asked of its refs makes a new one. */
  remove(kind: AnyDurableActor, name: string): void;
  /** Writes what is pending and gives the folder back. */
  close(): Promise<void>;
}

/**
 * Opens the folder of `env`, recovers every actor in it, and leads their logs. One process at a time has a folder.
 *
 * @throws DurableFolderError if the folder is of another version or holds a kind that is not given.
 */
export async function openDurableActors(
  env: Environment,
  options: DurableActorsOptions,
): Promise<DurableActors> {
  let host: LogHost | undefined;
  const { store } = await openShardStore(env, {
    directory: STORE_FOLDER,
    identity: IDENTITY,
    onSnapshotWanted: (logId) => host?.snapshotWanted(logId),
  });
  try {
    const actors = new FolderOfActors(env, store, options);
    host = actors.host;
    return actors;
  } catch (error) {
    await store.close();
    throw error;
  }
}

class FolderOfActors implements DurableActors {
  readonly host: LogHost;
  readonly #system: System;
  readonly #store: ShardStore;
  readonly #registry: Registry;
  readonly #directory: LocalDirectory;
  readonly #commands: Commands;
  readonly #kinds: ReadonlyMap<string, AnyDurableActor>;
  #isClosed = false;

  constructor(env: Environment, store: ShardStore, options: DurableActorsOptions) {
    this.#store = store;
    this.#kinds = new Map(options.kinds.map((each) => [each.kind, each]));
    this.#registry = new Registry(env.disk);
    for (const { kind, name } of this.#registry.logs()) {
      if (this.#kinds.has(kind)) continue;
      throw new ActorError('ACTOR_MISUSE', `${name} is a ${kind}, which is not among the kinds`);
    }
    // A write that failed in an earlier run was answered to nobody.
    if (store.failedSync) store.forgetFailedSync();
    this.#directory = new LocalDirectory(this.#registry);
    this.#system = createSystem(env, { name: 'durable', node: LOCAL_NODE, thread: 0 });
    this.host = new LogHost({
      system: this.#system,
      node: LOCAL_NODE,
      shardIncarnation: this.#registry.opened,
      store,
      directory: this.#directory,
      log: env.log,
      faults: undefined,
      trustsWallClock: true,
      behaviorOf: (kind) => this.#kinds.get(kind)?.behavior,
      propose: (proposal) => this.host.safeSetRejected(proposal.logId, proposal.attempt),
      resignLog: (logId, epoch) => env.log.error('a durable log gave up', { logId, epoch }),
      onStoreFailure: (error) => {
        env.log.error('the disk of the durable actors failed', { error });
        options.onFailure?.(error);
      },
    });
    spawnLogHost(this.host);
    this.#commands = new Commands(this.#system);
  }

  names(kind: AnyDurableActor): readonly string[] {
    return this.#registry
      .logs()
      .filter((log) => log.kind === kind.kind)
      .map(({ name }) => name);
  }

  spawn<O extends Asks & Ops>(system: System, kind: DurableActor<O>, name: string): Ref<O> {
    this.#check(kind);
    const front = frontOf(kind, async (op, input) => {
      const { logId } = this.#logOf(kind, name);
      return decodeAnswer(op, await this.#commands.send(logId, encodeCommand(op, input)));
    });
    const ref = system.spawn(name, front, undefined);
    this.#logOf(kind, name);
    return ref;
  }

  remove(kind: AnyDurableActor, name: string): void {
    this.#check(kind);
    const log = this.#registry.find(kind.kind, name);
    if (log === undefined) return;
    this.#registry.remove(log);
    this.#directory.removed(log.logId);
    this.#commands.forget(log.logId);
  }

  #check(kind: AnyDurableActor): void {
    if (this.#isClosed) throw new ActorError('ACTOR_STOPPED', 'the durable actors were closed');
    if (this.#kinds.get(kind.kind) === kind) return;
    throw new ActorError('ACTOR_MISUSE', `${kind.kind} is not among the kinds of this folder`);
  }

  #logOf({ kind }: AnyDurableActor, name: string) {
    const known = this.#registry.find(kind, name);
    if (known !== undefined) return known;
    const made = this.#registry.add(kind, name);
    this.#directory.added(made.logId);
    return made;
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.host.stop();
    this.#commands.close();
    await this.#system.shutdown({ timeoutMs: STOP_TIMEOUT_MS });
    await this.#store.close();
  }
}
