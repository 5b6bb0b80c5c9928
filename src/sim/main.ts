// The command behind `npm run sim`: runs seeds of a scenario, prints one line for each failure that
// replays it, and a last line with totals. Exit code 0 if every seed passed, 1 if not, 2 for bad options.
import { parseSimArguments, type SimOptions, USAGE } from './command-line.ts';
import { replayLine, runSeed, type SeedResult } from './runner.ts';
import type { Scenario } from './scenario.ts';
import { scenarios } from './scenarios/index.ts';
import { Tally } from './tally.ts';
import { stripLegend } from './trace.ts';

const SEED_BITS = 2 ** 32;

async function main(argv: readonly string[]): Promise<number> {
  const options = parseSimArguments(argv);
  if (typeof options === 'string') return refuse(options);
  if (options.isList) return list();
  const name = options.scenario ?? scenarios[0]!.name;
  const scenario = scenarios.find((known) => known.name === name);
  if (scenario === undefined) {
    return refuse(
      `unknown scenario ${name}; known: ${scenarios.map((known) => known.name).join(', ')}`,
    );
  }
  if (options.bug !== undefined && !scenario.bugs.includes(options.bug)) {
    return refuse(`scenario ${name} has no bug ${options.bug}; known: ${scenario.bugs.join(', ')}`);
  }
  const from = options.from ?? Math.floor(Math.random() * SEED_BITS);
  print(`scenario ${name}, base seed ${from} (repeat with --from ${from})`);
  return runAll(scenario, options, from);
}

function list(): number {
  const width = Math.max(...scenarios.map(({ name }) => name.length));
  for (const { name, what, bugs } of scenarios) {
    print(
      `${name.padEnd(width)}  ${what ?? `drawn faults; known mistakes: ${bugs.join(', ') || 'none'}`}`,
    );
  }
  return 0;
}

async function runAll(scenario: Scenario, options: SimOptions, from: number): Promise<number> {
  const tally = new Tally();
  const startedMs = performance.now();
  for (let i = 0; i < options.seeds; i += 1) {
    if (options.minutes !== undefined && performance.now() - startedMs > options.minutes * 60_000)
      break;
    const seedMs = performance.now();
    const result = await runOne(scenario, from + i, options);
    tally.add(result);
    if (options.isVerbose) printSeed(result, performance.now() - seedMs);
    if (result.failure === undefined) continue;
    printFailure(result, options.isVerbose);
    if (!options.keepGoing) break;
  }
  const realMs = performance.now() - startedMs;
  const perSec = Math.round((tally.events / realMs) * 1_000);
  print(
    `${(realMs / 1_000).toFixed(1)} s real, ${perSec} events/s, ${(tally.virtualMs / realMs).toFixed(0)}x real time`,
  );
  print(tally.line());
  const isTame = tally.isTame(scenario);
  if (isTame) print(`FAILED: ${tally.seeds} seeds lost nothing of what ${scenario.name} may lose`);
  return tally.failed === 0 && !isTame ? 0 : 1;
}

async function runOne(scenario: Scenario, seed: number, options: SimOptions): Promise<SeedResult> {
  const bug = options.bug === undefined ? {} : { bug: options.bug };
  const first = await runSeed(seed, scenario, bug);
  if (!options.isTwice) return first;
  const second = await runSeed(seed, scenario, bug);
  if (first.traceHash === second.traceHash) return first;
  const parted = first.checkpoints.findIndex((hash, i) => hash !== second.checkpoints[i]);
  const message = `two runs of one seed differ, first within the 1,000 events after ${Math.max(0, parted) * 1_000}`;
  return { ...first, failure: { check: 'determinism', message, timeMs: first.virtualMs } };
}

function printSeed(result: SeedResult, realMs: number): void {
  const faults = [...result.faults].map(([kind, count]) => `${kind} ${count}`).join(', ');
  print(
    `seed ${result.seed} ${result.failure === undefined ? 'ok' : 'FAILED'} hash ${result.traceHash} ` +
      `${result.events} events ${(result.virtualMs / 1_000).toFixed(1)} s in ${realMs.toFixed(0)} ms, ` +
      `${result.counts.acknowledged} of ${result.counts.operations} acknowledged, faults: ${faults}`,
  );
}

function printFailure(result: SeedResult, isVerbose: boolean): void {
  const failure = result.failure!;
  print(
    `seed ${result.seed} FAILED ${failure.check} at ${failure.timeMs.toFixed(1)} ms: ${failure.message}`,
  );
  if (isVerbose) {
    if (failure.details !== undefined) print(JSON.stringify(failure.details, undefined, 1));
    for (const line of result.report) print(`  ${line}`);
    print(`  legend: ${stripLegend()}`);
  }
  print(`replay: ${replayLine(result)}`);
}

function refuse(why: string): number {
  process.stderr.write(`${why}\n${USAGE}\n`);
  return 2;
}

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}

process.exitCode = await main(process.argv.slice(2));
