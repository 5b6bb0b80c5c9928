// Randomness of the real world: a seeded generator whose seed comes from the operating system, good for jitter,
// ids and sampling and never for secrets, and the system's own for challenges.
import { randomBytes, randomFillSync } from 'node:crypto';
import { SeededRandom } from '../../std/prng.ts';
import type { Random } from '../environment.ts';

/** From the operating system's generator. */
export function unguessable(count: number): Uint8Array {
  return randomBytes(count);
}

export function createNodeRandom(): Random {
  return new SeededRandom([...randomFillSync(new Uint32Array(4))]);
}
