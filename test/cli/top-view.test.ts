// `callboard actors top` as lines: what is told, in what order, and that it fits whatever the screen is.
import { describe, expect, test } from 'vitest';
import type { ApiInspection } from '../../src/admin/api-types.ts';
import type { TopState } from '../../src/cli/top/view.ts';
import { pressed, scrollMax, topLines } from '../../src/cli/top/view.ts';
import { actorInfo, classInfo, threadInfo } from '../setup/thread-info.ts';

const STATE: TopState = { sort: 'depth', shape: 'classes', scroll: 0, isPaused: false };
const ALL = { columns: 1_000, rows: Number.POSITIVE_INFINITY };
const RATES = { handled: 0, spawned: 0, stopped: 0, failed: 0, restarted: 0, dropped: 0 };

function seen(more: Partial<ApiInspection> = {}): ApiInspection {
  const deep = actorInfo('/jobs/deep', {
    class: 'job',
    depth: 9,
    depthMax: 12,
    handled: 40,
    slot: 301,
  });
  const info = threadInfo({
    atMs: 60_000,
    messages: 12_345,
    classes: [
      classInfo('runtime', { handled: 3 }),
      classInfo('job', {
        actors: 2,
        depth: 9,
        depthMax: 12,
        handled: 1_234_567,
        failed: 2,
        restarted: 2,
        handler: { samples: 9, meanMs: 1, p50Ms: 1, p99Ms: 66, maxMs: 1_250 },
      }),
    ],
    actors: [
      actorInfo('/runtime', { class: 'runtime', handled: 3, slot: 255 }),
      actorInfo('/jobs', { class: 'job', restarts: 2, children: [deep] }),
    ],
    busiest: [deep],
    omitted: { job: 20_000 },
    slowHandlers: [
      {
        class: 'job',
        op: 'block',
        count: 3,
        longestMs: 1_250,
        recent: [{ atMs: 55_000, ms: 80, path: '/jobs/deep' }],
      },
    ],
    slowDrains: { count: 4, longestMs: 1_250, unattributed: 1 },
    failures: [
      {
        atMs: 1_000,
        path: '/jobs',
        class: 'job',
        message: 'no luck',
        directive: 'restart',
        restarts: 0,
      },
    ],
    deadLetters: {
      ...threadInfo().deadLetters,
      total: 70_000,
      recent: [
        { target: '/gone', op: 'take', reason: 'gone', count: 70_000, firstMs: 0, lastMs: 59_000 },
      ],
    },
  });
  return {
    version: 1,
    name: 'app',
    node: 1,
    wallMs: Date.UTC(2026, 0, 2, 3, 4, 5),
    threads: [
      {
        node: 1,
        thread: 0,
        state: 'answering',
        info,
        rates: {
          overMs: 1_000,
          messages: 120,
          turns: 10,
          asks: 0,
          deadLetters: 12.5,
          busy: 0.123,
          classes: { job: { ...RATES, handled: 118.4 } },
          actors: { '/jobs/deep': 118.4 },
        },
      },
      {
        node: 1,
        thread: 1,
        state: 'silent',
        glimpse: {
          isAlive: true,
          incarnation: 1,
          handling: { class: 'job', op: 'block', slot: 10 },
        },
      },
    ],
    ...more,
  };
}

const textsOf = (...args: Parameters<typeof topLines>): string[] =>
  topLines(...args).map(({ text }) => text.trimEnd());

test('everything, as a script sees it', () => {
  expect(textsOf(seen(), ALL, STATE)).toMatchInlineSnapshot(`
    [
      "callboard top  app  03:04:05Z  classes by depth",
      "n1/1   SILENT, handling job.block (slot 10)",
      "n1/0   busy 12.3%  120 msg/s  0 asks open  0 timers  70k dead letters (12.5/s)  4 slow turns, 1 unnamed",
      "",
      "CLASS    ACTORS  WAITING  MAX  MSG/S  HANDLED  FAILED  RESTARTS  DROPPED  STASH  TIMERS  ASKS  WAIT99  RUN99  RUNMAX",
      "job           2        9   12    118    1235k       2         2        0      0       0     0       -   66ms  1250ms",
      "runtime       1        0    0      -        3       0         0        0      0       0     0       -      -       -",
      "",
      "SLOW HANDLER  AT    COUNT  LONGEST  LAST  AGO  ACTOR",
      "job.block     n1/0      3   1250ms  80ms   5s  /jobs/deep",
      "",
      "FAILURES  AT    AGO  ACTOR  WHY",
      "restart   n1/0  59s  /jobs  no luck",
      "",
      "DEAD LETTERS  AT    COUNT  AGO  OP    TO",
      "gone          n1/0    70k   1s  take  /gone",
    ]
  `);
});

test('actors, flat: the deepest first, or the one with the most of what was asked for', () => {
  const paths = (state: Partial<TopState>) =>
    textsOf(seen(), ALL, { ...STATE, shape: 'actors', ...state })
      .filter((text) => text.startsWith('/'))
      .map((text) => text.split(' ')[0]);
  expect(paths({})).toEqual(['/jobs/deep', '/jobs', '/runtime']);
  expect(paths({ sort: 'restarts' })).toEqual(['/jobs', '/jobs/deep', '/runtime']);
  expect(paths({ sort: 'slow' })[0]).toBe('/jobs/deep');
  expect(paths({ sort: 'rate' })[0]).toBe('/jobs/deep');
});

test('the tree, with what is left out of it', () => {
  expect(textsOf(seen(), ALL, { ...STATE, shape: 'tree' }).slice(4, 9)).toMatchInlineSnapshot(`
    [
      "ACTOR       CLASS    WAITING  MAX  MSG/S  HANDLED  FAILED  RESTARTS  STASH  ASKS",
      "n1/0",
      "  runtime   runtime        0    0      0        3       0         0      0     0",
      "  jobs      job            0    0      0        0       0         2      0     0",
      "    deep    job            9   12    118       40       0         0      0     0",
    ]
  `);
});

describe('whatever the screen', () => {
  test('there are never more lines or columns than it has', () => {
    const many = seen({
      threads: Array.from({ length: 40 }, (_, thread) => ({ ...seen().threads[0]!, thread })),
    });
    for (const columns of [1, 7, 40, 80, 250]) {
      for (const rows of [1, 2, 5, 10, 24, 60]) {
        for (const shape of ['classes', 'actors', 'tree'] as const) {
          const lines = topLines(many, { columns, rows }, { ...STATE, shape });
          expect(lines.length).toBeLessThanOrEqual(rows);
          for (const { text } of lines) expect([...text].length).toBeLessThanOrEqual(columns);
        }
      }
    }
  });

  test('a thread without an answer is shown before those that have one', () => {
    const threads = [
      ...Array.from({ length: 20 }, (_, thread) => ({ ...seen().threads[0]!, thread })),
      { ...seen().threads[1]!, thread: 20 },
    ];
    const lines = topLines(seen({ threads }), { columns: 80, rows: 24 }, STATE);
    expect(lines[1]).toEqual({
      text: 'n1/20  SILENT, handling job.block (slot 10)',
      style: 'alarm',
    });
    expect(lines[7]!.text).toBe('and 15 more threads, 0 of them without an answer');
  });

  test('names and messages cannot command the terminal', () => {
    const evil = '\u001b[2J\u001b]0;owned\u0007\r\n\u009b31m\u202eabc';
    const threads = [
      {
        ...seen().threads[0]!,
        info: threadInfo({
          classes: [classInfo(evil)],
          actors: [actorInfo(`/${evil}`)],
          failures: [
            { atMs: 0, path: evil, class: evil, message: evil, directive: 'stop', restarts: 0 },
          ],
        }),
      },
    ];
    for (const shape of ['classes', 'actors', 'tree'] as const) {
      for (const { text } of topLines(seen({ name: evil, threads }), ALL, { ...STATE, shape })) {
        expect(text).not.toMatch(/[\p{Cc}\p{Cf}]/u);
      }
    }
  });

  test('wide characters take their two columns', () => {
    const threads = [
      {
        ...seen().threads[0]!,
        info: threadInfo({ classes: [classInfo('日本語'), classInfo('abc')] }),
      },
    ];
    const lines = textsOf(seen({ threads }), ALL, STATE);
    const of = (name: string) => lines.find((text) => text.startsWith(name))!;
    // The columns behind both names begin at the same place: six are taken by three characters.
    expect(of('日本語').indexOf('1')).toBe(of('abc').indexOf('1') - 3);
    const [narrow] = topLines(
      seen({ threads, name: '日本語'.repeat(50) }),
      { columns: 21, rows: 5 },
      STATE,
    );
    expect(narrow!.text).toBe('callboard top  日本語');
  });

  test('it can be scrolled to the last row and not beyond', () => {
    const classes = Array.from({ length: 50 }, (_, i) => classInfo(`class-${10 + i}`));
    const many = seen({ threads: [{ ...seen().threads[0]!, info: threadInfo({ classes }) }] });
    const max = scrollMax(many, STATE);
    expect(max).toBe(49);
    let state = STATE;
    for (let i = 0; i < 10; i += 1) state = pressed('page-down', state, max);
    expect(state.scroll).toBe(49);
    expect(textsOf(many, { columns: 80, rows: 10 }, state)[4]).toMatch(/^class-59/);
    expect(pressed('up', { ...state, scroll: 0 }, max).scroll).toBe(0);
  });
});

test('keys choose order and shape; others do nothing', () => {
  expect(pressed('r', { ...STATE, scroll: 7 }, 9)).toEqual({ ...STATE, sort: 'rate' });
  expect(pressed('t', { ...STATE, scroll: 7 }, 9)).toEqual({ ...STATE, shape: 'tree' });
  expect(pressed('p', STATE, 9)).toEqual({ ...STATE, isPaused: true });
  expect(pressed('z', STATE, 9)).toEqual(STATE);
  expect(pressed('constructor', STATE, 9)).toEqual(STATE);
});
