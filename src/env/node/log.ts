// Log lines over pino with a synchronous destination: a line that was logged is written, also when
// the process ends in the same tick. JSON for machines, one short line for a person at a terminal.
// Never a worker-thread transport: those lose the last lines of a process, which matter most.
import fs from 'node:fs';
import { createRequire } from 'node:module';
import type { Logger } from 'pino';
import { LOG_LEVELS, type Log, type LogLevel } from '../environment.ts';

/** The variable in which a process tells its worker threads the level. */
export const LOG_LEVEL_VARIABLE = 'CALLBOARD_LOG_LEVEL';

const LEVELS: readonly string[] = LOG_LEVELS;
const DEBUG = 0;
const INFO = 1;
const WARN = 2;
const ERROR = 3;

/** The level of the variable above, `info` if it says nothing that we know. */
export function logLevelOf(environment: NodeJS.ProcessEnv): LogLevel {
  const text = environment[LOG_LEVEL_VARIABLE] ?? '';
  return LEVELS.includes(text) ? (text as LogLevel) : 'info';
}

export interface LogOptions {
  readonly level: LogLevel;
  /** File descriptor that gets the lines; 2 (stderr) unless said otherwise: stdout is for data. */
  readonly fd?: number;
  /** Overrides what the descriptor being a terminal decides. */
  readonly isPretty?: boolean;
  readonly isColored?: boolean;
}

type Fields = Readonly<Record<string, unknown>>;

/** Colour as the environment asks for it: NO_COLOR and TERM=dumb win, then FORCE_COLOR, then the terminal. */
export function wantsColor(isTerminal: boolean, environment: NodeJS.ProcessEnv): boolean {
  if ((environment['NO_COLOR'] ?? '') !== '' || environment['TERM'] === 'dumb') return false;
  const forced = environment['FORCE_COLOR'];
  if (forced !== undefined) return forced !== '0' && forced !== 'false';
  return isTerminal;
}

function isTerminal(fd: number): boolean {
  return (createRequire(import.meta.url)('node:tty') as typeof import('node:tty')).isatty(fd);
}

const COLORS: Readonly<Record<string, string>> = {
  debug: '\x1b[2m',
  info: '\x1b[36m',
  warn: '\x1b[33m',
  error: '\x1b[31m',
};

function show(value: unknown): string {
  if (typeof value === 'string') return /^[^\s"=]+$/.test(value) ? value : JSON.stringify(value);
  return JSON.stringify(value) ?? String(value);
}

/** One JSON line as `21:04:33.120 warn  message key=value`; other lines come back as they are. */
export function prettyLine(line: string, isColored: boolean): string {
  let entry: Record<string, unknown>;
  try {
    entry = JSON.parse(line) as Record<string, unknown>;
  } catch {
    return line;
  }
  const { level, time, msg, error, ...fields } = entry;
  const name = String(level);
  const color = isColored ? (COLORS[name] ?? '') : '';
  const reset = color === '' ? '' : '\x1b[0m';
  const parts = [
    String(time).slice(11, 23),
    `${color}${name.padEnd(5)}${reset}`,
    String(msg),
    ...Object.entries(fields).map(([key, value]) => `${key}=${show(value)}`),
  ];
  const stack = (error as { readonly stack?: unknown } | undefined)?.stack;
  if (typeof stack === 'string') parts.push(`\n  ${stack.replaceAll('\n', '\n  ')}`);
  else if (error !== undefined) parts.push(`error=${show(error)}`);
  return `${parts.join(' ')}\n`;
}

/** Writes all of it, waiting out a full pipe: a lost log line is worse than a late one. */
function writeWhole(fd: number, text: string): void {
  let bytes = Buffer.from(text);
  while (bytes.length > 0) {
    try {
      bytes = bytes.subarray(fs.writeSync(fd, bytes));
    } catch (error) {
      // EPIPE and EIO: nobody reads any more; there is nowhere left to say so.
      if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') return;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1);
    }
  }
}

/** Shared by a log and its children, which pino would leave at the level that they were made with. */
interface Gate {
  /** Index in LEVELS of the least that is written. */
  least: number;
}

class PinoLog implements Log {
  readonly #logger: Logger;
  readonly #gate: Gate;

  constructor(logger: Logger, gate: Gate) {
    this.#logger = logger;
    this.#gate = gate;
  }

  get level(): LogLevel {
    return LEVELS[this.#gate.least] as LogLevel;
  }

  setLevel(level: LogLevel): void {
    this.#gate.least = LEVELS.indexOf(level);
  }

  debug(message: string, fields?: Fields): void {
    if (this.#gate.least <= DEBUG) this.#logger.debug(fields ?? {}, message);
  }

  info(message: string, fields?: Fields): void {
    if (this.#gate.least <= INFO) this.#logger.info(fields ?? {}, message);
  }

  warn(message: string, fields?: Fields): void {
    if (this.#gate.least <= WARN) this.#logger.warn(fields ?? {}, message);
  }

  error(message: string, fields?: Fields): void {
    if (this.#gate.least <= ERROR) this.#logger.error(fields ?? {}, message);
  }

  child(fields: Fields): Log {
    return new PinoLog(this.#logger.child(fields), this.#gate);
  }
}

/** The log of one thread. A field named `error` that holds an Error is written with its stack. */
export function createNodeLog(options: LogOptions): Log {
  const fd = options.fd ?? 2;
  // Loaded here and not above: commands that never log do not pay for it.
  const pino = createRequire(import.meta.url)('pino') as typeof import('pino');
  const isPretty = options.isPretty ?? isTerminal(fd);
  const isColored = options.isColored ?? wantsColor(isPretty, process.env);
  const destination = {
    write: (line: string) => writeWhole(fd, isPretty ? prettyLine(line, isColored) : line),
  };
  const settings = {
    level: 'debug',
    base: null,
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (label: string) => ({ level: label }) },
    serializers: { error: pino.stdSerializers.err },
  };
  return new PinoLog(pino.pino(settings, destination), { least: LEVELS.indexOf(options.level) });
}
