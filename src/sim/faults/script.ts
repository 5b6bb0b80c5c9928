// A script of faults, as data: what happens to whom and when, round after round. The seed draws who is who, how fast a
// round goes, and everything else of the run, so that every seed is another case of one story.

/** The nodes of a round. `a` is as the cast says, the others are `b`, `c` ... in an order that the seed draws. */
export type Part = 'a' | 'b' | 'c' | 'd' | 'e';

/** Who is `a`: the node that leads most logs, the one that leads the metadata group, or any. */
export type Cast = 'leader' | 'controller' | 'any';

/** `a>b` one direction, `a-b` both; `clients` are all of them. */
export type Way = `${Part | 'clients'}${'>' | '-'}${Part | 'clients'}`;

/** When, from the begin of the round, and for how long. Virtual milliseconds. */
interface During {
  readonly atMs: number;
  readonly forMs: number;
}

interface Once {
  readonly atMs: number;
}

export type Deed =
  /** `wipe` loses all data, `rollback` comes back with what it had at the begin of the round. */
  | (During & {
      readonly deed: 'kill' | 'power-cut' | 'wipe' | 'rollback' | 'pause';
      readonly whom: readonly Part[];
    })
  | (During & { readonly deed: 'cut'; readonly ways: readonly Way[] })
  | (During & { readonly deed: 'slow-link'; readonly ways: readonly Way[]; readonly by: number })
  /** Some open connections on these ways. */
  | (Once & { readonly deed: 'reset'; readonly ways: readonly Way[]; readonly times: number })
  | (During & { readonly deed: 'disk-full' | 'disk-stall'; readonly whom: readonly Part[] })
  | (During & { readonly deed: 'disk-slow'; readonly whom: readonly Part[]; readonly by: number })
  /** The next write, or sync, fails once. */
  | (Once & { readonly deed: 'write-error' | 'sync-error'; readonly whom: readonly Part[] })
  | (Once & { readonly deed: 'clock-jump'; readonly whom: readonly Part[]; readonly byMs: number })
  | (During & {
      readonly deed: 'clock-rate';
      readonly whom: readonly Part[];
      readonly rate: number;
    });

/** What must be so in every round, besides what the checks of the workload say. */
export type Expectation =
  /** Between the two times clients are told of successes; or of none. */
  | { readonly what: 'serves' | 'refuses'; readonly fromMs: number; readonly toMs: number }
  /** The metadata group keeps its leader all the time. */
  | { readonly what: 'same-controller'; readonly fromMs: number; readonly toMs: number }
  /** At that time another node than `a` leads the metadata group. */
  | { readonly what: 'other-controller'; readonly fromMs: number; readonly toMs: number };

export interface FaultScript {
  readonly cast: Cast;
  readonly deeds: readonly Deed[];
  readonly expects?: readonly Expectation[];
  /** Rounds of a run; 2 if left out. A round begins when the cluster is whole. */
  readonly rounds?: number;
}
