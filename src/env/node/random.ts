// Randomness of the real world: a seeded generator whose seed comes from the operating system.
// Good for jitter, ids and sampling; never for secrets.
import { randomFillSync } from 'node:crypto';
import { SeededRandom } from '../../std/prng.ts';
import type { Random } from '../environment.ts';

export function createNodeRandom(): Random {
  return new SeededRandom([...randomFillSync(new Uint32Array(4))]);
}
