// What a destination of which the durability changes has promised when: as its nodes took it, by looking now and then.
// While they differ, any of them may have answered: the weakest counts.
import type { Durability } from '../../cluster/ports.ts';
import type { PromisedDurability } from '../checkers/durability.ts';
import type { World } from '../world.ts';

const BY_WEAKNESS: readonly PromisedDurability[] = ['sync', 'replicated', 'async', 'memory'];

interface Period {
  /** When somebody looked last before it was seen. */
  readonly sinceMs: number;
  readonly weakest: PromisedDurability;
  /** When it was seen first that it is over. */
  untilMs: number;
}

function weakestOf(all: readonly PromisedDurability[]): PromisedDurability | undefined {
  return BY_WEAKNESS.filter((each) => all.includes(each)).at(-1);
}

export class PromiseWatch {
  readonly #world: World;
  readonly #seen: () => readonly Durability[];
  readonly #periods: Period[] = [];
  #lookedMs = 0;

  /** `seen`: what the nodes that are up take it for. */
  constructor(world: World, seen: () => readonly Durability[]) {
    this.#world = world;
    this.#seen = seen;
  }

  /** How often it was another one than before. */
  get changes(): number {
    return Math.max(0, this.#periods.length - 1);
  }

  look(): void {
    const { nowMs } = this.#world;
    const last = this.#periods.at(-1);
    const weakest = weakestOf(this.#seen());
    if (weakest !== undefined && weakest !== last?.weakest) {
      if (last !== undefined) last.untilMs = nowMs;
      const sinceMs = this.#lookedMs;
      this.#periods.push({ sinceMs, weakest, untilMs: Number.POSITIVE_INFINITY });
    }
    this.#lookedMs = nowMs;
  }

  /** Between two moments, in virtual ms. */
  weakest(fromMs: number, toMs: number): PromisedDurability {
    const met = this.#periods.filter(({ sinceMs, untilMs }) => {
      return sinceMs <= toMs && untilMs >= fromMs;
    });
    return weakestOf(met.map(({ weakest }) => weakest)) ?? 'sync';
  }
}
