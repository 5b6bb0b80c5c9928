// Threads in one call: a system on this thread and workers that all load one module of the application, the
// manifest. The worker's file belongs to the runtime, so there is none to write. Not here: how modules are loaded.
import { ActorError } from '../actors/errors.ts';
import type { System } from '../actors/system.ts';
import { createSystem } from '../actors/system.ts';
import type { SystemLimits, SystemOptions } from '../actors/system-options.ts';
import type { ThreadGroupOptions } from '../actors/threads/thread-group.ts';
import { ThreadGroup } from '../actors/threads/thread-group.ts';
import type { Environment } from '../env/environment.ts';
import type { ThreadLimits } from '../env/threads.ts';
import type { ActorSummary } from './manifest.ts';
import { actorSummaries, readManifest } from './manifest.ts';

type OfSystem = Pick<SystemOptions, 'name' | 'node' | 'incarnation' | 'strict' | 'limits'>;
type OfGroup = Omit<
  ThreadGroupOptions,
  'entry' | 'loads' | 'appData' | 'limits' | 'ringStartIndex'
>;

export interface ThreadsOptions extends OfSystem, OfGroup {
  /**
   * The module whose exported actors may be spawned on any thread: `new URL('./actors.js', import.meta.url)`.
   * Every worker imports it. If there is only `actors.ts`, that is loaded, with the application's tsx or by
   * Node itself.
   */
  readonly manifest: URL;
  /** The same module as this thread has imported it: `import * as actors from './actors.js'`. */
  readonly actors: object;
  /** What each worker may use. */
  readonly threadLimits?: ThreadLimits;
}

/** A system with its workers, all of them ready. */
export interface RunningThreads {
  readonly system: System;
  readonly group: ThreadGroup;
  /** Asks the workers to end in order, ends what has not after `timeoutMs`, then shuts this thread's system down. */
  stop(options: { readonly timeoutMs: number }): Promise<void>;
}

/** The boot data of `thread.ts`. */
export interface ManifestBoot {
  readonly manifest: string;
  readonly actors: readonly ActorSummary[];
  readonly limits: Partial<SystemLimits>;
}

/**
 * Starts a system on this thread and `workers` more. What happens to a worker is logged here; what a worker itself
 * has to say, warnings and errors, goes to stderr.
 *
 * @throws ActorError for a manifest that is none. Rejects with what a worker says that cannot load it or
 *   whose actors differ; then everything has ended.
 *
 * @example
 * import * as actors from './actors.js';
 *
 * const threads = await startThreads(createActorEnvironment(), {
 *   name: 'app',
 *   workers: 2,
 *   manifest: new URL('./actors.js', import.meta.url),
 *   actors,
 * });
 * const counter = threads.system.spawn('counter', actors.CounterActor, undefined, 'any');
 */
export async function startThreads(
  env: Environment,
  options: ThreadsOptions,
): Promise<RunningThreads> {
  const { manifest, actors, name, node, incarnation, strict, limits, threadLimits, ...ofGroup } =
    options;
  if (!(manifest instanceof URL)) {
    throw new ActorError(
      'ACTOR_MISUSE',
      "the manifest is a URL: new URL('./actors.js', import.meta.url)",
    );
  }
  const manifested = readManifest(actors, 'the module given as actors');
  const system = createSystem(env, {
    name,
    threadCount: options.workers + 1,
    protocols: manifested.protocols,
    manifest: manifested.actors,
    ...(node === undefined ? {} : { node }),
    ...(incarnation === undefined ? {} : { incarnation }),
    ...(strict === undefined ? {} : { strict }),
    ...(limits === undefined ? {} : { limits }),
  });
  const boot: ManifestBoot = {
    manifest: manifest.href,
    actors: actorSummaries(manifested),
    limits: limits ?? {},
  };
  const group = new ThreadGroup(system, {
    ...ofGroup,
    entry: new URL('./thread.js', import.meta.url),
    loads: manifest,
    appData: () => boot,
    ...(threadLimits === undefined ? {} : { limits: threadLimits }),
  });
  const stop = async (within: { readonly timeoutMs: number }): Promise<void> => {
    await group.stop(within);
    await system.shutdown(within);
  };
  try {
    await group.start();
  } catch (error) {
    await stop({ timeoutMs: 0 }).catch(() => undefined);
    throw error;
  }
  return { system, group, stop };
}
