// The swarm: each seed switches every fault kind on or off by itself and draws how often each happens. A
// tenth of the seeds is calm, a tenth has one kind only, far too often. Many dull mixtures find more than
// one clever one.
import { type CountingRandom, chance, logUniform, pick } from '../draws.ts';
import type { FaultKind, FaultPolicy } from './policy.ts';

const ON_PROBABILITY = 0.5;
const EXTREME_PROBABILITY = 0.1;
const CALM_PROBABILITY = 0.1;
const EXTREME_FACTOR = 4;

export interface FaultPlan {
  /** Mean virtual milliseconds between two faults of a kind. Kinds that are off are absent. */
  readonly meanMs: ReadonlyMap<FaultKind, number>;
}

export function drawPlan(random: CountingRandom, policy: FaultPolicy): FaultPlan {
  // One stream per kind: a kind more in the policy leaves the draws of the others alone.
  const [low, high] = policy.meanMs;
  const rates = new Map<FaultKind, number>();
  for (const kind of policy.kinds) {
    const own = random.fork(kind);
    const isOn = chance(own, ON_PROBABILITY);
    const meanMs = logUniform(own, low, high);
    if (isOn) rates.set(kind, meanMs);
  }
  const shape = random.fork('shape');
  const calm = policy.calmProbability ?? CALM_PROBABILITY;
  const isCalm = chance(shape, calm);
  const isExtreme = chance(shape, EXTREME_PROBABILITY);
  const only = pick(shape, policy.kinds);
  if (isCalm || only === undefined) return { meanMs: new Map() };
  if (isExtreme || rates.size === 0) {
    return { meanMs: new Map([[only, isExtreme ? low / EXTREME_FACTOR : low]]) };
  }
  return { meanMs: rates };
}
