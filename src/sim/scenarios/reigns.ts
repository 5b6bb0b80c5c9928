// Who led each log of some destinations when, in which life of its process, and when all that it had was committed: as
// seen from outside, by looking now and then.
import type { Reign } from '../checkers/durability.ts';
import type { World } from '../world.ts';
import type { Leading, SimulatedCluster } from './simulated-cluster.ts';

/** A log, by the name that checkers know it by. */
export interface WatchedLog {
  readonly name: string;
  readonly destination: string;
  readonly partition: number;
}

export class ReignWatch {
  readonly #world: World;
  readonly #cluster: SimulatedCluster;
  readonly #watched: readonly WatchedLog[];
  /** By log and epoch. */
  readonly #reigns = new Map<string, Map<number, Reign>>();
  /** By id of a log; empty: none of ours. */
  readonly #names = new Map<number, string>();
  /** Who led at the last look. */
  #present = new Set<Reign>();
  #lookedMs = 0;

  constructor(world: World, cluster: SimulatedCluster, watched: readonly WatchedLog[]) {
    this.#world = world;
    this.#cluster = cluster;
    this.#watched = watched;
  }

  look(): void {
    const present = new Set<Reign>();
    for (const { logId, ...leading } of this.#cluster.leaders()) {
      const log = this.#names.get(logId) ?? this.#nameOf(logId);
      if (log !== '') present.add(this.#note(log, leading));
    }
    for (const reign of this.#present) {
      if (!present.has(reign)) reign.untilMs ??= this.#world.nowMs;
    }
    this.#present = present;
    this.#lookedMs = this.#world.nowMs;
  }

  /** By name of a log, in the order of their epochs. */
  reigns(): ReadonlyMap<string, readonly Reign[]> {
    return new Map(
      [...this.#reigns].map(([log, known]) => {
        return [log, [...known.values()].sort((a, b) => a.epoch - b.epoch)] as const;
      }),
    );
  }

  /** Logs in memory change their ids; nobody's id comes back. Empty: none of ours, or none that is known yet. */
  #nameOf(logId: number): string {
    for (const { name, destination, partition } of this.#watched) {
      const known = this.#cluster.logOf(destination, partition);
      if (known !== undefined) this.#names.set(known, name);
    }
    const name = this.#names.get(logId);
    if (name === undefined) this.#names.set(logId, '');
    return name ?? '';
  }

  /** Who leads, in which life, and how much of what he has is committed. */
  #note(log: string, { isClean, ...leading }: Omit<Leading, 'logId'>): Reign {
    const { nowMs } = this.#world;
    const known = this.#reigns.get(log) ?? new Map<number, Reign>();
    this.#reigns.set(log, known);
    const sinceMs = this.#lookedMs;
    const born = { ...leading, fromMs: nowMs, sinceMs, cleanMs: -1 };
    const reign: Reign = known.get(leading.epoch) ?? born;
    if (isClean) reign.cleanMs = nowMs;
    known.set(leading.epoch, reign);
    return reign;
  }
}
