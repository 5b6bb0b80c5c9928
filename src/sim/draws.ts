// Draws with a meaning over a seeded stream: chances, ranges, delays. Every stream of a simulation is a
// CountingRandom, so that the trace hash can prove that two runs drew equally often. Not for secrets.

import type { Random } from '../env/environment.ts';
import type { SeededRandom } from '../std/prng.ts';

const TWO_32 = 0x1_0000_0000;

/** A stream that adds each of its draws, and those of its forks, to one shared counter. */
export class CountingRandom implements Random {
  readonly #source: SeededRandom;
  readonly #counter: { draws: number };

  constructor(source: SeededRandom, counter: { draws: number }) {
    this.#source = source;
    this.#counter = counter;
  }

  u32(): number {
    this.#counter.draws += 1;
    return this.#source.u32();
  }

  below(n: number): number {
    this.#counter.draws += 1;
    return this.#source.below(n);
  }

  fork(label: string): CountingRandom {
    return new CountingRandom(this.#source.fork(label), this.#counter);
  }
}

/** True with probability `p` in [0, 1]; always exactly one draw. */
export function chance(random: Random, p: number): boolean {
  return random.u32() < p * TWO_32;
}

/** A real number, uniform in [low, high). */
export function uniform(random: Random, low: number, high: number): number {
  return low + (random.u32() / TWO_32) * (high - low);
}

/** An integer, uniform in [low, high]. */
export function between(random: Random, low: number, high: number): number {
  return low + random.below(high - low + 1);
}

/** A real number whose logarithm is uniform: small and large magnitudes are equally likely. */
export function logUniform(random: Random, low: number, high: number): number {
  return Math.exp(uniform(random, Math.log(low), Math.log(high)));
}

/** A non-negative real number with the given mean, exponentially distributed. */
export function exponential(random: Random, mean: number): number {
  return -Math.log(1 - random.u32() / TWO_32) * mean;
}

/** One of the items; undefined only for an empty list (no draw then). */
export function pick<T>(random: Random, items: readonly T[]): T | undefined {
  return items.length === 0 ? undefined : items[random.below(items.length)];
}

/** A new list in random order (Fisher and Yates). */
export function shuffled<T>(random: Random, items: readonly T[]): T[] {
  const out = items.slice();
  for (let i = out.length - 1; i > 0; i -= 1) {
    const j = random.below(i + 1);
    const item = out[i] as T;
    out[i] = out[j] as T;
    out[j] = item;
  }
  return out;
}
