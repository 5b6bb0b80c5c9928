// A log for programs that bring none: warnings and errors as lines on stderr, without any package.
// Who wants more passes a log of their own; a node uses the one over pino.
import fs from 'node:fs';
import { LOG_LEVELS, type Log, type LogLevel } from '../environment.ts';

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
): Log {
  let level: LogLevel = 'warn';
  const make = (inherited: Fields): Log => {
    const say = (of: LogLevel) => (message: string, fields?: Fields) => {
      if (LOG_LEVELS.indexOf(of) < LOG_LEVELS.indexOf(level)) return;
      write(line(of, message, { ...inherited, ...fields }));
    };
    return {
      debug: say('debug'),
      info: say('info'),
      warn: say('warn'),
      error: say('error'),
      child: (fields) => make({ ...inherited, ...fields }),
      get level() {
        return level;
      },
      setLevel(wanted) {
        level = wanted;
      },
    };
  };
  return make({});
}
