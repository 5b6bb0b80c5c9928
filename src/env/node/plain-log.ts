// A log for programs that bring none: warnings and errors as lines on stderr, without any package.
// Who wants more passes a log of their own; a node uses the one over pino.
import fs from 'node:fs';
import type { Log } from '../environment.ts';

type Fields = Readonly<Record<string, unknown>>;

const STDERR = 2;

function shown(value: unknown): string {
  if (value instanceof Error) return value.stack ?? value.message;
  if (typeof value === 'string') return value;
  return JSON.stringify(value) ?? String(value);
}

/** One line: level, message, and the fields as `name=value`; an error with its stack. */
function line(level: string, message: string, fields: Fields): string {
  const texts = Object.entries(fields)
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => ` ${name}=${shown(value)}`);
  return `${level} ${message}${texts.join('')}\n`;
}

/** `write` gets whole lines; by default they go to stderr. */
export function createPlainLog(
  write = (text: string): void => void fs.writeSync(STDERR, text),
  inherited: Fields = {},
): Log {
  const say = (level: string) => (message: string, fields?: Fields) =>
    write(line(level, message, { ...inherited, ...fields }));
  const nothing = (): void => undefined;
  return {
    debug: nothing,
    info: nothing,
    warn: say('warn'),
    error: say('error'),
    child: (fields) => createPlainLog(write, { ...inherited, ...fields }),
  };
}
