// Where a spawn goes: pure, so that the same names land on the same threads everywhere.
import { fnv1a32 } from '../std/hash.ts';
import type { Placement } from './actor.ts';
import { ActorError } from './errors.ts';

/**
 * The thread for a placement. `spawnedOn` counts the spawns per thread so far.
 *
 * @throws ActorError for a thread that does not exist.
 */
export function placeOf(where: Placement, here: number, spawnedOn: readonly number[]): number {
  if (where === 'here') return here;
  if (where === 'any') return spawnedOn.indexOf(Math.min(...spawnedOn));
  if ('key' in where) return threadOfKey(where.key, spawnedOn.length);
  if (!Number.isInteger(where.thread) || where.thread < 0 || where.thread >= spawnedOn.length) {
    throw new ActorError('ACTOR_MISUSE', `there is no thread ${where.thread}`);
  }
  return where.thread;
}

/** Rendezvous hashing: a changed thread count moves the fewest keys. */
export function threadOfKey(key: string, threadCount: number): number {
  let best = 0;
  let bestScore = -1;
  for (let thread = 0; thread < threadCount; thread += 1) {
    const score = fnv1a32(`${key}\u0000${thread}`);
    if (score > bestScore) {
      best = thread;
      bestScore = score;
    }
  }
  return best;
}
