// The terminal of `callboard actors top`: taken over once, given back whatever happens.
import { EventEmitter } from 'node:events';
import type { ReadStream, WriteStream } from 'node:tty';
import { afterEach, expect, test } from 'vitest';
import type { ScreenEvents } from '../../src/cli/top/screen.ts';
import { Screen } from '../../src/cli/top/screen.ts';

const ENTERED = '\u001b[?1049h\u001b[?25l';
const LEFT = '\u001b[?25h\u001b[?1049l';
const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
const opened: Screen[] = [];
afterEach(() => {
  for (const each of opened.splice(0)) each.close();
});

function world(hasKeys = true) {
  const heard: string[] = [];
  const out = Object.assign(new EventEmitter(), {
    columns: 40,
    rows: 10,
    text: '',
    write(text: string): void {
      out.text += text;
    },
  });
  const keys = Object.assign(new EventEmitter(), {
    isRaw: false,
    isReading: false,
    setRawMode: (isRaw: boolean) => {
      keys.isRaw = isRaw;
    },
    resume: () => {
      keys.isReading = true;
    },
    pause: () => {
      keys.isReading = false;
    },
  });
  const events: ScreenEvents = {
    onKey: (key) => void heard.push(key),
    onResize: () => void heard.push('resized'),
    onInterrupt: () => void heard.push('interrupted'),
  };
  const screen = new Screen(
    out as unknown as WriteStream,
    hasKeys ? (keys as unknown as ReadStream) : undefined,
    events,
  );
  opened.push(screen);
  return { out, keys, heard, screen };
}

const listeners = () => SIGNALS.map((signal) => process.listenerCount(signal));

test('it is as it was after it was closed, once or twice', () => {
  const before = [...listeners(), process.listenerCount('exit')];
  const { out, keys, screen } = world();
  screen.open();
  expect([out.text, keys.isRaw, keys.isReading]).toEqual([ENTERED, true, true]);
  screen.close();
  screen.close();
  expect([out.text, keys.isRaw, keys.isReading]).toEqual([ENTERED + LEFT, false, false]);
  expect([...listeners(), process.listenerCount('exit')]).toEqual(before);
  expect([out.listenerCount('resize'), keys.listenerCount('data')]).toEqual([0, 0]);
  screen.draw([{ text: 'late', style: 'plain' }]);
  expect(out.text).toBe(ENTERED + LEFT);
});

test('a process that ends by itself leaves it as it was', () => {
  const { out, keys, screen } = world();
  screen.open();
  process.listeners('exit').at(-1)!(0);
  expect([out.text, keys.isRaw]).toEqual([ENTERED + LEFT, false]);
});

test.each(SIGNALS)('%s is an interrupt, as Ctrl-C is', (signal) => {
  const { keys, heard, screen } = world();
  screen.open();
  process.listeners(signal).at(-1)!(signal);
  keys.emit('data', Buffer.from('\u0003'));
  expect(heard).toEqual(['interrupted', 'interrupted']);
});

test('keys by their names, and a change of size', () => {
  const { out, keys, heard, screen } = world();
  screen.open();
  for (const text of ['q', '\u001b[A', '\u001b[B', '\u001b[5~', '\u001b[6~', 'xyz']) {
    keys.emit('data', Buffer.from(text));
  }
  out.columns = 50;
  out.emit('resize');
  expect(heard).toEqual(['q', 'up', 'down', 'page-up', 'page-down', 'x', 'resized']);
  expect(screen.size).toEqual({ columns: 50, rows: 10 });
});

test('lines are drawn over the ones before, each cleared to its end', () => {
  const { out, screen } = world(false);
  screen.open();
  screen.draw([
    { text: 'a', style: 'plain' },
    { text: 'b', style: 'alarm' },
  ]);
  expect(out.text).toBe(`${ENTERED}\u001b[Ha\u001b[K\r\n\u001b[1;31mb\u001b[0m\u001b[K\u001b[J`);
  out.columns = 0;
  expect(screen.size.columns).toBe(80);
});
