// Deterministic random numbers: the sfc32 generator of C. Doty-Humphrey's PractRand, seeded by any
// number of 32-bit words. Equal seeds give equal draws on every machine. Not for secrets.
import { assert } from './assert.ts';
import { fnv1a32, mix32 } from './hash.ts';

const TWO_32 = 0x1_0000_0000;
const WARM_UP_DRAWS = 15;

/**
 * A seeded stream of the same shape as the environment's Random.
 *
 * `fork` depends on the seed and the label only, never on how much was drawn: adding a draw in one
 * place does not shift another.
 *
 * @example
 * const dice = new SeededRandom(42).fork('network');
 * dice.below(6);
 */
export class SeededRandom {
  readonly #seed: readonly number[];
  #a: number;
  #b: number;
  #c: number;
  #counter = 1;

  constructor(seed: number | readonly number[]) {
    this.#seed = (typeof seed === 'number' ? splitSeed(seed) : seed).map((word) => word >>> 0);
    const state = [0x9e3779b9, 0x243f6a88, 0xb7e15162];
    this.#seed.forEach((word, i) => {
      // Every word reaches all three, in an order-dependent way.
      for (let k = 0; k < 3; k += 1) state[k] = mix32(state[k]! ^ mix32(word + k * 0x9e3779b9 + i));
    });
    this.#a = state[0]! | 0;
    this.#b = state[1]! | 0;
    this.#c = state[2]! | 0;
    for (let i = 0; i < WARM_UP_DRAWS; i += 1) this.u32();
  }

  /** Uniform in [0, 2^32). */
  u32(): number {
    const drawn = (this.#a + this.#b + this.#counter) | 0;
    this.#counter = (this.#counter + 1) | 0;
    this.#a = this.#b ^ (this.#b >>> 9);
    this.#b = (this.#c + (this.#c << 3)) | 0;
    this.#c = (((this.#c << 21) | (this.#c >>> 11)) + drawn) | 0;
    return drawn >>> 0;
  }

  /** Uniform integer in [0, n), n in [1, 2^32]; exact, by rejection. */
  below(n: number): number {
    assert(Number.isInteger(n) && n >= 1 && n <= TWO_32, 'SeededRandom.below: n in [1, 2^32]');
    const limit = TWO_32 - (TWO_32 % n);
    let drawn = this.u32();
    while (drawn >= limit) drawn = this.u32();
    return drawn % n;
  }

  /** An independent stream named by `label`. */
  fork(label: string): SeededRandom {
    return new SeededRandom([
      ...this.#seed,
      fnv1a32(label),
      fnv1a32(label, 0x01000193),
      label.length,
    ]);
  }
}

function splitSeed(seed: number): readonly number[] {
  assert(Number.isSafeInteger(seed) && seed >= 0, 'SeededRandom: seed must be in [0, 2^53)', {
    seed,
  });
  return [seed >>> 0, Math.floor(seed / TWO_32)];
}

/** So many bytes of a stream: an environment's `unguessable` where everything is seeded. */
export function drawBytes(random: { u32(): number }, count: number): Uint8Array {
  const drawn = new Uint8Array(count);
  for (let at = 0; at < count; at += 1) drawn[at] = random.u32() & 0xff;
  return drawn;
}
