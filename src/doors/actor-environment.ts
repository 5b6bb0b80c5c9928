// The real world for actors alone: a log that needs no package, and a data folder for who asks for one.
import type { Environment, Log } from '../env/environment.ts';
import { createNodeEnvironment } from '../env/node/environment.ts';
import { createPlainLog } from '../env/node/plain-log.ts';

export interface ActorEnvironmentOptions {
  /** Default: warnings and errors as lines on stderr. */
  readonly log?: Log;
  /** The folder of durable actors; without it they are in memory and gone with the process. */
  readonly dataRoot?: string;
}

/**
 * The environment of this thread. Every thread makes one, and every system of the thread uses it.
 *
 * @example
 * const system = createSystem(createActorEnvironment(), { name: 'app' });
 */
export function createActorEnvironment(options: ActorEnvironmentOptions = {}): Environment {
  const { log = createPlainLog(), dataRoot } = options;
  return createNodeEnvironment({ log, ...(dataRoot === undefined ? {} : { dataRoot }) });
}
