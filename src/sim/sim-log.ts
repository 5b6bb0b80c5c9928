// The log of a whole simulation: one ring of the last lines of all nodes, with virtual times. Fields are
// kept as given and rendered only when a failure is printed.
import type { Log } from '../env/environment.ts';

const RING_LINES = 2_000;

export type LogLevel = 'debug' | 'info' | 'warn' | 'error';

interface Line {
  readonly timeNs: number;
  readonly node: string;
  readonly level: LogLevel;
  readonly message: string;
  readonly fields: Readonly<Record<string, unknown>> | undefined;
}

export class LogRing {
  readonly #lines: Line[] = [];
  #next = 0;
  #errors = 0;

  /** Lines of level `error` so far, over all nodes. */
  get errors(): number {
    return this.#errors;
  }

  add(
    timeNs: number,
    node: string,
    level: LogLevel,
    message: string,
    fields?: Readonly<Record<string, unknown>>,
  ): void {
    if (level === 'error') this.#errors += 1;
    this.#lines[this.#next % RING_LINES] = { timeNs, node, level, message, fields };
    this.#next += 1;
  }

  /** The last `count` lines, oldest first. */
  tail(count: number): readonly string[] {
    const out: string[] = [];
    const from = Math.max(0, this.#next - Math.min(count, RING_LINES));
    for (let i = from; i < this.#next; i += 1) out.push(render(this.#lines[i % RING_LINES]!));
    return out;
  }
}

/** A process's view of the ring. `nowNs` is asked at each line; */
export function ringLog(
  ring: LogRing,
  node: string,
  nowNs: () => number,
  bound?: Readonly<Record<string, unknown>>,
): Log {
  const at =
    (level: LogLevel) =>
    (message: string, fields?: Readonly<Record<string, unknown>>): void =>
      ring.add(
        nowNs(),
        node,
        level,
        message,
        bound === undefined ? fields : { ...bound, ...fields },
      );
  return {
    debug: at('debug'),
    info: at('info'),
    warn: at('warn'),
    error: at('error'),
    child: (fields) => ringLog(ring, node, nowNs, { ...bound, ...fields }),
  };
}

function render(line: Line): string {
  const fields = line.fields === undefined ? '' : ` ${renderFields(line.fields)}`;
  const ms = (line.timeNs / 1e6).toFixed(3).padStart(11);
  return `${ms} ms ${line.node} ${line.level} ${line.message}${fields}`;
}

function renderFields(fields: Readonly<Record<string, unknown>>): string {
  return Object.entries(fields)
    .map(([key, value]) => `${key}=${renderValue(value)}`)
    .join(' ');
}

function renderValue(value: unknown): string {
  if (value instanceof Error) return `${value.name}: ${value.message}`;
  if (typeof value !== 'object' || value === null) return String(value);
  try {
    return JSON.stringify(value) ?? String(value);
  } catch {
    return '[unprintable]';
  }
}
