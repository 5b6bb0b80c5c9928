// Prints a figure that is not a rate of this process: a time, a size, or what other processes did. The
// line has the same columns as the harness's: name, median, spread, machine load, floor, verdict.
import { appendFileSync, mkdirSync } from 'node:fs';
import { cpus, loadavg } from 'node:os';

export interface Figure {
  readonly name: string;
  /** `ms`, `MB`, `MB/s`. */
  readonly unit: string;
  readonly samples: readonly number[];
  readonly floor: number;
  /** `least`: the median must reach the floor; `most`: it may not exceed it; `worst`: no sample may. */
  readonly rule: 'least' | 'most' | 'worst';
  /** Load of the machine before anything began. */
  readonly load: number;
  /** Said behind the figure, for example the server's CPU. */
  readonly note?: string;
}

/** To be taken before the first process is started. */
export function machineLoad(): number {
  return Number(loadavg()[0]!.toFixed(2));
}

/** Prints one line, or JSON with `--json`, and sets the exit code to 1 when below. */
export function tellFigure(figure: Figure): void {
  const { name, unit, floor, rule, load, note } = figure;
  if (figure.samples.length === 0) throw new Error(`${name} has no samples`);
  const sorted = [...figure.samples].sort((a, b) => a - b);
  const low = sorted[0]!;
  const high = sorted.at(-1)!;
  const median = sorted[sorted.length >> 1]!;
  const isHeld = rule === 'least' ? median >= floor : (rule === 'most' ? median : high) <= floor;
  const verdict = isHeld ? 'ok' : 'below';
  if (process.argv.includes('--json')) {
    const line = JSON.stringify({
      name,
      unit,
      median: round(median),
      low: round(low),
      high: round(high),
      count: sorted.length,
      floor,
      rule,
      verdict,
      load,
      node: process.version,
      cpu: `${cpus().length} x ${cpus()[0]?.model ?? 'unknown'}`,
      at: new Date().toISOString(),
      ...(note === undefined ? {} : { note }),
    });
    process.stdout.write(`${line}\n`);
    mkdirSync('bench/results', { recursive: true });
    appendFileSync('bench/results/results.jsonl', `${line}\n`);
  } else {
    const columns = [
      name.padEnd(28),
      `${round(median)} ${unit}`.padEnd(16),
      `spread ${round(low)}..${round(high)}`.padEnd(24),
      (note ?? '').padEnd(16),
      `load ${load}`.padEnd(10),
      `${rule === 'least' ? 'floor' : rule} ${floor}`.padEnd(14),
      verdict,
    ];
    process.stdout.write(`${columns.join('  ')}\n`);
  }
  if (!isHeld) process.exitCode = 1;
}

function round(value: number): number {
  return Number(value.toPrecision(4));
}
