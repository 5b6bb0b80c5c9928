// Rare but legal paths, switched on by the seed: a site is armed once per run with probability 0.25 and,
// if armed, fires with probability 0.25 at each visit. Sites whose name starts with `bug.` are different:
// they re-introduce a known mistake, are never armed by chance, and are always on when asked for.
import type { Buggify } from '../env/environment.ts';
import { type CountingRandom, chance } from './draws.ts';

const ARMED_PROBABILITY = 0.25;
const FIRE_PROBABILITY = 0.25;
const BUG_PREFIX = 'bug.';

interface Site {
  readonly isArmed: boolean;
  readonly stream: CountingRandom;
  visits: number;
  fires: number;
}

export interface SiteCount {
  readonly site: string;
  readonly isArmed: boolean;
  readonly visits: number;
  readonly fires: number;
}

export class BuggifySites {
  readonly #random: CountingRandom;
  readonly #bug: string | undefined;
  readonly #isOn: boolean;
  readonly #sites = new Map<string, Site>();

  /** `bug` is a name without the prefix; `isOn` false leaves only that bug. */
  constructor(random: CountingRandom, options: { readonly bug?: string; readonly isOn: boolean }) {
    this.#random = random;
    this.#bug = options.bug === undefined ? undefined : BUG_PREFIX + options.bug;
    this.#isOn = options.isOn;
  }

  /** The function that goes into an environment. */
  readonly visit: Buggify = (name) => {
    const site = this.#sites.get(name) ?? this.#open(name);
    site.visits += 1;
    if (!site.isArmed) return false;
    const fires = name.startsWith(BUG_PREFIX) || chance(site.stream, FIRE_PROBABILITY);
    if (fires) site.fires += 1;
    return fires;
  };

  /** All sites met so far, by name. */
  counts(): readonly SiteCount[] {
    return [...this.#sites]
      .map(([site, { isArmed, visits, fires }]) => ({ site, isArmed, visits, fires }))
      .sort((a, b) => (a.site < b.site ? -1 : 1));
  }

  #open(name: string): Site {
    // The stream is the site's own: whether one site is visited never shifts another.
    const stream = this.#random.fork(name);
    const isArmed = name.startsWith(BUG_PREFIX)
      ? name === this.#bug
      : this.#isOn && chance(stream, ARMED_PROBABILITY);
    const site = { isArmed, stream, visits: 0, fires: 0 };
    this.#sites.set(name, site);
    return site;
  }
}
