// A story: a fixed script of faults over the workload of another scenario, after something that went wrong elsewhere.
// Stories are data; this makes scenarios of them, and has the words they are written in.
import type { Cast, Deed, Expectation, FaultScript, Part, Way } from '../../faults/script.ts';
import type { Scenario } from '../../scenario.ts';

export interface Story {
  readonly name: string;
  /** Where that happened: system and number of the report, or the paper. */
  readonly after: string;
  readonly what: string;
  /** Whose workload and checks. */
  readonly over: Scenario;
  readonly cast: Cast;
  readonly deeds: readonly Deed[];
  readonly expects?: readonly Expectation[];
  readonly rounds?: number;
  /** Known mistakes that it can show, besides those of the other scenario. */
  readonly bugs?: readonly string[];
  /** How long the run goes on in any case. Virtual milliseconds; until the rounds are over if left out. */
  readonly forMs?: number;
}

const AT_LEAST_MS = 1_000;

export function scenarioOf(story: Story): Scenario {
  const { name, after, what, over, cast, deeds, rounds } = story;
  const { expects = [], bugs = [], forMs = AT_LEAST_MS } = story;
  // Nothing is drawn; and what may be lost, or not, is up to the story.
  const { tameAfter: _, ...base } = over;
  const script: FaultScript = {
    cast,
    deeds,
    expects,
    ...(rounds === undefined ? {} : { rounds }),
  };
  return {
    ...base,
    name,
    what: `${what} (${after}; ${over.name})`,
    faults: { ...over.faults, kinds: [] },
    script,
    bugs: [...over.bugs, ...bugs],
    chaosMs: forMs,
  };
}

// ---- words: times are virtual milliseconds from the begin of a round ------------------------------

export function down(
  deed: 'kill' | 'power-cut' | 'wipe' | 'rollback' | 'pause',
  whom: readonly Part[],
  atMs: number,
  forMs: number,
): Deed {
  return { deed, whom, atMs, forMs };
}

export function cut(ways: readonly Way[], atMs: number, forMs: number): Deed {
  return { deed: 'cut', ways, atMs, forMs };
}

/** The same again and again. */
export function often(times: number, everyMs: number, deed: Deed): readonly Deed[] {
  return Array.from({ length: times }, (_, i) => ({ ...deed, atMs: deed.atMs + i * everyMs }));
}

export function disk(
  deed: 'disk-full' | 'disk-stall',
  whom: readonly Part[],
  atMs: number,
  forMs: number,
): Deed {
  return { deed, whom, atMs, forMs };
}

export function expects(
  what: Expectation['what'],
  fromMs: number,
  toMs: number,
): readonly Expectation[] {
  return [{ what, fromMs, toMs }];
}
