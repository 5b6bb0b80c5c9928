// Whether a node with a past may speak in the metadata group: a pure decision over what the other members say they
// know of it. A folder that was put back to an earlier state must not vote, for it may have promised otherwise since.
// So nobody speaks until the leader has said what it knows, or, where nobody leads, all the others have; those that
// cannot be asked are waited for, as a cluster that starts as a whole takes its time. What was put back says nothing
// at all until there is a leader without it, which can take a newcomer in.

/**
 * How long the others have, from the first of them that can know something on. Their processes are started one after
 * the other, perhaps by hand, and the one that starts last may be the only one that knows better.
 */
export const KNOWN_GRACE_MS = 5_000;

/** What the group knows of a node: its data and how often that was started; zeros if it knows nothing. */
export interface KnownLife {
  readonly incarnation: number;
  readonly bootCounter: number;
  /** It was taken out of the cluster; absent: it was not. */
  readonly isRemoved?: boolean;
  /**
   * Of whoever says so: who `leads` knows everything that was ever committed, who `follows` may lack the newest,
   * and so may who is `alone`, without a leader. Who is `blank` has no metadata, and cannot know anything.
   */
  readonly standing: 'leads' | 'follows' | 'alone' | 'blank';
}

export interface PastCheckConfig {
  /** All other members. */
  readonly others: readonly number[];
  /** This node has metadata itself: there was a cluster before, of which the others can know. */
  readonly isFounded: boolean;
  /** The group knows of a later past of this node than its folder remembers. */
  isForgotten(known: KnownLife): boolean;
}

export class PastCheck {
  readonly #config: PastCheckConfig;
  readonly #standings = new Map<number, KnownLife['standing']>();
  #isForgotten = false;
  /** Since when somebody who can know something answers, or -1. */
  #sinceMs = -1;

  constructor(config: PastCheckConfig) {
    this.#config = config;
  }

  /** Some member knows of a later past: this life says nothing. */
  get isForgotten(): boolean {
    return this.#isForgotten;
  }

  /** `ask` again, `speak` from now on, or `end` this life: it is forgotten, and there is a leader without it. */
  heard(other: number, known: KnownLife, nowMs: number): 'ask' | 'speak' | 'end' {
    const { standing } = known;
    this.#standings.set(other, standing);
    if (this.#config.isForgotten(known)) this.#isForgotten = true;
    if (this.#isForgotten)
      return hasLeader(standing) && this.#config.isForgotten(known) ? 'end' : 'ask';
    if (standing === 'leads') return 'speak';
    const all = [...this.#standings.values()];
    // Whom a follower follows may know more: it is asked until it answers, or leads no more.
    if (all.some(hasLeader)) {
      this.#sinceMs = nowMs;
      return 'ask';
    }
    if (all.length === this.#config.others.length) return 'speak';
    if (!all.some((each) => this.#counts(each))) return 'ask';
    if (this.#sinceMs < 0) this.#sinceMs = nowMs;
    return nowMs - this.#sinceMs >= KNOWN_GRACE_MS ? 'speak' : 'ask';
  }

  /** That member does not answer. */
  unheard(other: number): void {
    this.#standings.delete(other);
    if (![...this.#standings.values()].some((each) => this.#counts(each))) this.#sinceMs = -1;
  }

  /** Where there never was a cluster nobody has metadata. */
  #counts(standing: KnownLife['standing']): boolean {
    return standing !== 'blank' || !this.#config.isFounded;
  }
}

const hasLeader = (standing: KnownLife['standing']): boolean =>
  standing === 'leads' || standing === 'follows';
