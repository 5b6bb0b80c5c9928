// Runs one benchmark: warm-up, five rounds, then one line with name, median, spread, machine load and
// whether the floor is held. A round answers what it did only after it has verified that it happened.
// Not for micro-questions; never mix figures of different machines.
import { appendFileSync, mkdirSync } from 'node:fs';
import { cpus, loadavg } from 'node:os';
import { performance } from 'node:perf_hooks';

export interface Round {
  /** Units done: messages, bytes, asks. */
  readonly count: number;
  /** Milliseconds that they took. */
  readonly ms: number;
}

export interface Bench {
  /** `tell-one-thread`: the name of the file and of the row. */
  readonly name: string;
  /** What is counted: `msg`, `asks`, `MB`. */
  readonly unit: string;
  /** Units per second that must be reached. */
  readonly floor: number;
  readonly warmUp?: number;
  readonly rounds?: number;
  round(): Round | Promise<Round>;
  close?(): void | Promise<void>;
}

const ROUNDS = 5;

/**
 * Measures, prints one line (or JSON with `--json`), and sets the exit code to 1 when below. Answers the
 * median rate.
 */
export async function run(bench: Bench): Promise<number> {
  const loadBefore = loadavg()[0]!;
  for (let i = 0; i < (bench.warmUp ?? 1); i += 1) await bench.round();
  const rates: number[] = [];
  const cpuBefore = process.cpuUsage();
  let total = 0;
  for (let i = 0; i < (bench.rounds ?? ROUNDS); i += 1) {
    const { count, ms } = await bench.round();
    total += count;
    rates.push((count / ms) * 1000);
  }
  const cpu = process.cpuUsage(cpuBefore);
  await bench.close?.();
  rates.sort((a, b) => a - b);
  const median = rates[rates.length >> 1]!;
  const result = {
    name: bench.name,
    unit: `${bench.unit}/s`,
    median: Math.round(median),
    low: Math.round(rates[0]!),
    high: Math.round(rates[rates.length - 1]!),
    floor: bench.floor,
    verdict: median >= bench.floor ? 'ok' : 'below',
    cpuMicrosPerUnit: Number(((cpu.user + cpu.system) / total).toFixed(3)),
    /** Of these, in the system. */
    systemMicrosPerUnit: Number((cpu.system / total).toFixed(3)),
    load: Number(loadBefore.toFixed(2)),
    node: process.version,
    cpu: `${cpus().length} x ${cpus()[0]?.model ?? 'unknown'}`,
    at: new Date().toISOString(),
  };
  if (process.argv.includes('--json')) {
    process.stdout.write(`${JSON.stringify(result)}\n`);
    mkdirSync('bench/results', { recursive: true });
    appendFileSync('bench/results/results.jsonl', `${JSON.stringify(result)}\n`);
  } else process.stdout.write(`${describe(result)}\n`);
  if (result.verdict === 'below') process.exitCode = 1;
  return median;
}

/** Milliseconds of a piece of work. */
export async function timed(work: () => void | Promise<void>): Promise<number> {
  const startMs = performance.now();
  await work();
  return performance.now() - startMs;
}

interface Line {
  readonly name: string;
  readonly unit: string;
  readonly median: number;
  readonly low: number;
  readonly high: number;
  readonly floor: number;
  readonly verdict: string;
  readonly cpuMicrosPerUnit: number;
  readonly systemMicrosPerUnit: number;
  readonly load: number;
}

function describe(line: Line): string {
  const spread = `${short(line.low)}..${short(line.high)}`;
  return [
    line.name.padEnd(28),
    `${short(line.median)} ${line.unit}`.padEnd(16),
    `spread ${spread}`.padEnd(24),
    `cpu ${line.cpuMicrosPerUnit} us (system ${line.systemMicrosPerUnit})`.padEnd(28),
    `load ${line.load}`.padEnd(10),
    `floor ${short(line.floor)}`.padEnd(14),
    line.verdict,
  ].join('  ');
}

function short(value: number): string {
  if (value >= 1e6) return `${(value / 1e6).toFixed(2)} M`;
  if (value >= 1e3) return `${(value / 1e3).toFixed(1)} k`;
  return value.toFixed(1);
}
