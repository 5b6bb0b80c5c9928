// A terminal that is taken over and given back: the second screen, no cursor, keys as they are pressed. Invariant:
// whatever ends the process in order, or by a signal that can be heard, finds the terminal as it was.
import type { ReadStream, WriteStream } from 'node:tty';
import type { Line, Size } from './view.ts';

const ENTER = '\u001b[?1049h\u001b[?25l';
const LEAVE = '\u001b[?25h\u001b[?1049l';
const HOME = '\u001b[H';
const CLEAR_LINE = '\u001b[K';
const CLEAR_BELOW = '\u001b[J';
const STYLES: Readonly<Record<Line['style'], string>> = {
  plain: '',
  title: '\u001b[1m',
  head: '\u001b[7m',
  alarm: '\u001b[1;31m',
};
const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
const SIZE_USUAL = { columns: 80, rows: 24 };

export interface ScreenEvents {
  /** A key, by its letter, or `up`, `down`, `page-up`, `page-down`. */
  onKey(key: string): void;
  onResize(): void;
  /** Ctrl-C, or a signal. */
  onInterrupt(): void;
}

const KEYS = new Map([
  ['\u001b[A', 'up'],
  ['\u001b[B', 'down'],
  ['\u001b[5~', 'page-up'],
  ['\u001b[6~', 'page-down'],
]);

export class Screen {
  readonly #out: WriteStream;
  readonly #keys: ReadStream | undefined;
  readonly #events: ScreenEvents;
  #isOpen = false;

  /** Without a terminal to read from there are no keys. */
  constructor(out: WriteStream, keys: ReadStream | undefined, events: ScreenEvents) {
    this.#out = out;
    this.#keys = keys;
    this.#events = events;
  }

  get size(): Size {
    const { columns, rows } = this.#out;
    return {
      columns: columns > 0 ? columns : SIZE_USUAL.columns,
      rows: rows > 0 ? rows : SIZE_USUAL.rows,
    };
  }

  open(): void {
    this.#isOpen = true;
    this.#out.write(ENTER);
    this.#out.on('resize', this.#events.onResize);
    for (const signal of SIGNALS) process.on(signal, this.#events.onInterrupt);
    process.on('exit', this.#leave);
    if (this.#keys === undefined) return;
    this.#keys.setRawMode(true);
    this.#keys.on('data', this.#read);
    this.#keys.resume();
  }

  draw(lines: readonly Line[]): void {
    if (!this.#isOpen) return;
    const text = lines.map(({ text, style }) => {
      const before = STYLES[style];
      return `${before}${text}${before === '' ? '' : '\u001b[0m'}${CLEAR_LINE}`;
    });
    this.#out.write(`${HOME}${text.join('\r\n')}${CLEAR_BELOW}`);
  }

  close(): void {
    this.#leave();
    this.#out.off('resize', this.#events.onResize);
    for (const signal of SIGNALS) process.off(signal, this.#events.onInterrupt);
    process.off('exit', this.#leave);
    this.#keys?.off('data', this.#read);
    this.#keys?.pause();
  }

  readonly #leave = (): void => {
    if (!this.#isOpen) return;
    this.#isOpen = false;
    this.#keys?.setRawMode(false);
    this.#out.write(LEAVE);
  };

  readonly #read = (bytes: Buffer): void => {
    const text = bytes.toString('latin1');
    if (text.includes('\u0003')) this.#events.onInterrupt();
    else this.#events.onKey(KEYS.get(text) ?? text.slice(0, 1));
  };
}
