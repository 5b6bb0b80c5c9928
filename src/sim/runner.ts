// Runs seeds of a scenario: boot, chaos, heal, drain, check. The only room file besides the trip-wires and
// main that touches the real process: it drains microtasks, measures its own speed and catches rejections.
// Invariant: between two events of a world every microtask has run, so promises cannot reorder events.
//
// Draining: a microtask that calls the real process.nextTick resumes after the whole microtask queue is
// empty, however long its chains are. That is exact, and costs half a microsecond.
import { messageOf } from '../std/errors.ts';
import { FaultInjector } from './faults/injector.ts';
import { drawPlan } from './faults/plan.ts';
import type { FaultKind } from './faults/policy.ts';
import { ScriptPlayer } from './faults/script-player.ts';
import type { Scenario, ScenarioCounts, ScenarioRun, Violation } from './scenario.ts';
import { installTripWires, type TripWires } from './trip-wires.ts';
import { type Failure, World } from './world.ts';

const PROBE_EVERY_EVENTS = 50;
const BREATHE_EVERY_DRAINS = 50_000;
const LOG_TAIL_LINES = 60;
const START_LIMIT_MS = 60_000;
const SCRIPT_LIMIT_MS = 240_000;

export interface SeedOptions {
  readonly bug?: string;
  /** Replaces the plan of the seed: no faults at all. */
  readonly calm?: boolean;
}

export interface SeedResult {
  readonly scenario: string;
  readonly seed: number;
  readonly bug: string | undefined;
  readonly traceHash: string;
  readonly checkpoints: readonly string[];
  readonly events: number;
  readonly virtualMs: number;
  readonly counts: ScenarioCounts;
  readonly faults: ReadonlyMap<FaultKind, number>;
  readonly failure: Failure | undefined;
  /** For people: the faults in order, and how the run ended. Filled when the run failed. */
  readonly report: readonly string[];
}

/** One seed in a world of its own. The same seed gives the same result, bit for bit. */
export async function runSeed(
  seed: number,
  scenario: Scenario,
  options: SeedOptions = {},
): Promise<SeedResult> {
  const host = openHost();
  const world = new World({
    seed,
    drain: host.drain,
    ...(options.bug === undefined ? {} : { bug: options.bug }),
  });
  try {
    host.onRejection((reason) =>
      world.fail(
        'unhandled-rejection',
        reason instanceof Error ? (reason.stack ?? reason.message) : messageOf(reason),
      ),
    );
    host.wires.arm();
    const played = await runPhases(world, scenario, options);
    for (const { stack } of host.wires.tripped) world.fail('trip-wire', stack);
    return summary(world, scenario, options, played);
  } finally {
    host.close();
  }
}

/** Runs a scenario-less program inside a world: for tests of the simulator itself and of shells. */
export async function inWorld<T>(
  seed: number,
  options: { readonly bug?: string; readonly buggify?: boolean },
  body: (world: World) => Promise<T>,
): Promise<T> {
  const host = openHost();
  const world = new World({ seed, drain: host.drain, ...options });
  try {
    host.onRejection((reason) => world.fail('unhandled-rejection', messageOf(reason)));
    host.wires.arm();
    const result = await body(world);
    host.wires.disarm();
    const [wire] = host.wires.tripped;
    if (wire !== undefined) throw new Error(wire.stack);
    return result;
  } finally {
    host.close();
  }
}

// ---- phases -----------------------------------------------------------------------------------

interface Played {
  readonly run: ScenarioRun;
  readonly injector: FaultInjector;
  readonly player: ScriptPlayer | undefined;
}

async function runPhases(world: World, scenario: Scenario, options: SeedOptions): Promise<Played> {
  const run = scenario.create(world, options.bug === undefined ? {} : { bug: options.bug });
  const plan =
    options.calm === true ? { meanMs: new Map() } : drawPlan(world.faults, scenario.faults);
  const injector = new FaultInjector(world, scenario.faults, plan, run);
  const isDone = probing(world, scenario, run);
  const player = options.calm === true ? undefined : playerOf(world, scenario, run);
  run.start();
  injector.start();
  player?.start();
  await world.runUntil(
    world.nowMs + scenario.chaosMs,
    isDone(() => false),
  );
  await topUp(world, scenario, injector, plan.meanMs.size > 0, isDone);
  if (player !== undefined) {
    const isOver = await world.runUntil(
      world.nowMs + SCRIPT_LIMIT_MS,
      isDone(() => player.isDone),
    );
    if (!isOver && world.failure === undefined) {
      world.fail('script/unplayed', `the rounds were not over after ${SCRIPT_LIMIT_MS} ms`);
    }
    player.heal();
  }
  injector.heal();
  run.startDrain();
  const drained = await world.runUntil(
    world.nowMs + scenario.drainMs,
    isDone(() => run.isDrained()),
  );
  if (world.failure === undefined && !drained) {
    const waiting = run.describe?.() ?? 'no more is known';
    const message = `not drained ${scenario.drainMs} ms after all faults were over: ${waiting}`;
    world.fail('liveness', message);
  }
  if (world.failure === undefined) {
    for (const violation of run.check()) failWith(world, violation);
  }
  return { run, injector, player };
}

function playerOf(
  world: World,
  { name, script }: Scenario,
  run: ScenarioRun,
): ScriptPlayer | undefined {
  if (script === undefined) return undefined;
  const { isWhole, whois } = run;
  if (isWhole === undefined || whois === undefined) {
    throw new Error(`${name}: its runs cannot say who is who, so no script can be played in them`);
  }
  return new ScriptPlayer(world, script, {
    boot: (node) => run.boot(node),
    isWhole: () => isWhole.call(run),
    whois: (cast) => whois.call(run, cast),
    acknowledged: () => run.counts().acknowledged,
  });
}

/** A plan whose draws were few still owes the least number of faults. */
async function topUp(
  world: World,
  scenario: Scenario,
  injector: FaultInjector,
  isWild: boolean,
  isDone: (until: () => boolean) => () => boolean,
): Promise<void> {
  const least = isWild ? (scenario.faults.faultsMin ?? 0) : 0;
  const limitMs = world.nowMs + START_LIMIT_MS;
  const kinds = scenario.faults.kinds;
  const random = world.faults.fork('top-up');
  while (injector.total() < least && world.failure === undefined && world.nowMs < limitMs) {
    injector.inject(kinds[random.below(kinds.length)]!);
    await world.runUntil(
      world.nowMs + 200 + random.below(800),
      isDone(() => false),
    );
  }
}

/** Wraps a condition so that the scenario's probe runs every few events on the way. */
function probing(
  world: World,
  scenario: Scenario,
  run: ScenarioRun,
): (until: () => boolean) => () => boolean {
  const every = scenario.probeEvery ?? PROBE_EVERY_EVENTS;
  let next = every;
  return (until) => () => {
    if (run.probe !== undefined && world.trace.events >= next) {
      next = world.trace.events + every;
      const violation = run.probe();
      if (violation !== undefined) failWith(world, violation);
    }
    return until();
  };
}

function failWith(world: World, violation: Violation): void {
  world.fail(violation.check, violation.message, violation.details);
}

function summary(
  world: World,
  scenario: Scenario,
  options: SeedOptions,
  { run, injector, player }: Played,
): SeedResult {
  const { failure } = world;
  const report =
    failure === undefined
      ? []
      : [
          'faults:',
          ...injector.timeline(),
          ...(player?.timeline() ?? []),
          'log:',
          ...world.log.tail(LOG_TAIL_LINES),
          `last events: ${world.trace.strip()}`,
        ];
  return {
    scenario: scenario.name,
    seed: world.seed,
    bug: options.bug,
    traceHash: world.trace.hash(),
    checkpoints: world.trace.checkpoints(),
    events: world.trace.events,
    virtualMs: world.nowMs,
    counts: run.counts(),
    faults: player === undefined ? injector.counts() : withScript(injector.counts(), player.deeds),
    failure,
    report,
  };
}

function withScript(
  counts: ReadonlyMap<FaultKind, number>,
  deeds: number,
): ReadonlyMap<FaultKind, number> {
  return new Map([...counts, ['script', deeds]]);
}

/** What to type to see a failure again. */
export function replayLine(result: SeedResult): string {
  const bug = result.bug === undefined ? '' : ` --bug ${result.bug}`;
  return `npm run sim -- --scenario ${result.scenario} --seeds 1 --from ${result.seed}${bug} --verbose`;
}

// ---- the real process -------------------------------------------------------------------------

interface Host {
  readonly drain: () => Promise<void>;
  readonly wires: TripWires;
  onRejection(handle: (reason: unknown) => void): void;
  close(): void;
}

function openHost(): Host {
  const { nextTick } = process;
  const breathe = setImmediate;
  const wires = installTripWires();
  let drains = 0;
  let handler: ((reason: unknown) => void) | undefined;
  return {
    wires,
    drain: async () => {
      drains += 1;
      if (drains % BREATHE_EVERY_DRAINS === 0) {
        // The process around the simulation gets its turn; no simulated code runs meanwhile.
        await new Promise<void>((resolve) => nextTick(resolve));
        wires.disarm();
        await new Promise<void>((resolve) => breathe(resolve));
        wires.arm();
      }
      await new Promise<void>((resolve) => nextTick(resolve));
    },
    onRejection: (handle) => {
      handler = handle;
      process.on('unhandledRejection', handle);
    },
    close: () => {
      wires.restore();
      if (handler !== undefined) process.off('unhandledRejection', handler);
    },
  };
}
