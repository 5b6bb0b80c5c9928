// The real world for actors alone: no data folder, and a log that needs no package.
import type { Environment, Log } from '../env/environment.ts';
import { createNodeEnvironment } from '../env/node/environment.ts';
import { createPlainLog } from '../env/node/plain-log.ts';

export interface ActorEnvironmentOptions {
  /** Default: warnings and errors as lines on stderr. */
  readonly log?: Log;
}

/**
 * The environment of this thread. Every thread makes one, and every system of the thread uses it.
 *
 * @example
 * const system = createSystem(createActorEnvironment(), { name: 'app' });
 */
export function createActorEnvironment(options: ActorEnvironmentOptions = {}): Environment {
  return createNodeEnvironment({ log: options.log ?? createPlainLog() });
}
