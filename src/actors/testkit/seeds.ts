// A scenario under many seeds. One that fails is run again with fewer faults and fewer steps, until none
// can be left out; what is left is printed with one line that repeats it.
import { messageOf } from '../../std/errors.ts';
import type { RunEvent } from './faults.ts';
import type { Fixture, FixtureOptions } from './fixture.ts';
import { fixture } from './fixture.ts';

export interface SeedOptions extends FixtureOptions {
  /** Default 1. */
  readonly firstSeed?: number;
}

interface Run {
  readonly error: unknown;
  readonly events: readonly RunEvent[];
}

/** Runs of a failing seed at most, to make it smaller. */
const SHRINK_RUNS_MAX = 300;

/**
 * Runs `scenario` under `count` seeds, each with a fixture of its own. The first that fails is shrunk:
 * faults of `options.faults` and steps of `fixture.steps` are left out as long as it goes on failing.
 *
 * @throws Error that names the seed, what is left of its faults and steps, and how to repeat it; the
 * failure itself is its cause.
 */
export async function forAllSeeds(
  count: number,
  scenario: (fixture: Fixture) => void | Promise<void>,
  options: SeedOptions = {},
): Promise<void> {
  const { firstSeed = 1 } = options;
  for (let seed = firstSeed; seed < firstSeed + count; seed += 1) {
    const run = await failingRun(seed, scenario, options, options.only);
    if (run === undefined) continue;
    const smallest = await shrink(run, (only) => failingRun(seed, scenario, options, only));
    throw new Error(report(seed, smallest), { cause: smallest.error });
  }
}

/** What became of the seed, or undefined if nothing failed. */
async function failingRun(
  seed: number,
  scenario: (fixture: Fixture) => void | Promise<void>,
  options: SeedOptions,
  only: readonly string[] | undefined,
): Promise<Run | undefined> {
  const f = fixture(seed, only === undefined ? options : { ...options, only });
  try {
    await scenario(f);
    return undefined;
  } catch (error) {
    return { error: error ?? new Error('thrown without an error'), events: f.plan.events };
  }
}

/**
 * Leaves out halves, then quarters and so on, down to single events (Zeller's delta debugging): what
 * is left fails, and nothing of it can be left out alone.
 */
async function shrink(
  first: Run,
  again: (only: readonly string[]) => Promise<Run | undefined>,
): Promise<Run> {
  let smallest = first;
  let runs = 0;
  let pieces = 2;
  const without = async (left: readonly RunEvent[]): Promise<boolean> => {
    if (runs >= SHRINK_RUNS_MAX) return false;
    runs += 1;
    const run = await again(left.map(({ name }) => name));
    if (run === undefined) return false;
    smallest = run;
    return true;
  };
  if (await without([])) return smallest;
  while (runs < SHRINK_RUNS_MAX && smallest.events.length > 1) {
    const { events } = smallest;
    const size = Math.ceil(events.length / pieces);
    let isSmaller = false;
    for (let at = 0; at < events.length && !isSmaller; at += size) {
      isSmaller = await without([...events.slice(0, at), ...events.slice(at + size)]);
    }
    if (isSmaller) pieces = Math.max(2, pieces - 1);
    else if (size === 1) break;
    else pieces = Math.min(events.length, pieces * 2);
  }
  return smallest;
}

function report(seed: number, { error, events }: Run): string {
  const names = events.map(({ name }) => `'${name}'`).join(', ');
  const lines = events.map(({ name, what, atMs }) => `  ${name} at ${atMs} ms: ${what}`);
  const left = lines.length === 0 ? ['  no fault and no step is needed'] : lines;
  return [
    `seed ${seed} fails: ${messageOf(error)}`,
    ...left,
    `repeat with: forAllSeeds(1, scenario, { ...options, firstSeed: ${seed}, only: [${names}] })`,
  ].join('\n');
}
