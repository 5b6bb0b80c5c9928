// `callboard actors top` as lines: a pure function of what was seen, the size of the screen and what the person
// has chosen. Invariant: never more lines or columns than there are, and nothing in them that a terminal obeys.
import type { ApiInspection } from '../../admin/api-types.ts';
import type { Shape, SortKey, Table } from './rows.ts';
import {
  actorTable,
  classTable,
  countText,
  deadTable,
  failureTable,
  placeText,
  plainText,
  slowTable,
  treeTable,
} from './rows.ts';

export interface Size {
  readonly columns: number;
  /** Infinite where everything is to be shown. */
  readonly rows: number;
}

export interface TopState {
  readonly sort: SortKey;
  readonly shape: Shape;
  /** Rows of the main table that are above the screen. */
  readonly scroll: number;
  readonly isPaused: boolean;
}

export interface Line {
  readonly text: string;
  readonly style: 'plain' | 'title' | 'head' | 'alarm';
}

type Thread = ApiInspection['threads'][number];

/** Of the whole screen, at most; at least three lines each while there is anything to say. */
const PANES_SHARE = 0.45;
const PANE_ROWS_MAX = 8;
const THREAD_LINES_MAX = 8;
const KEYS = 'd r x s sort   c a t shape   up down   p pause   q quit';

export function topLines(seen: ApiInspection, size: Size, state: TopState): Line[] {
  const top = [titleOf(seen, state, size), ...threadLines(seen, size), plain('')];
  const panes = paneLines(seen, Math.floor(size.rows * PANES_SHARE));
  const room = Math.max(2, size.rows - top.length - panes.length);
  const lines = [...top, ...mainLines(seen, room, state), ...panes];
  return lines
    .slice(0, size.rows)
    .map(({ text, style }) => ({ text: cutTo(plainText(text), size.columns), style }));
}

/** The most that can be scrolled. */
export function scrollMax(seen: ApiInspection, { shape, sort }: TopState): number {
  return Math.max(0, tableOf(seen, shape, sort).rows.length - 1);
}

function titleOf(seen: ApiInspection, { sort, shape, isPaused }: TopState, size: Size): Line {
  const at = new Date(seen.wallMs).toISOString().slice(11, 19);
  const what = `callboard top  ${seen.name}  ${at}Z  ${shape} by ${sort}${isPaused ? '  PAUSED' : ''}`;
  const isRoomy = Number.isFinite(size.rows) && what.length + KEYS.length + 3 <= size.columns;
  return {
    text: isRoomy ? `${what.padEnd(size.columns - KEYS.length)}${KEYS}` : what,
    style: 'title',
  };
}

/** Those that do not answer come first: they are never left out for lack of room. */
function threadLines(seen: ApiInspection, size: Size): Line[] {
  const max = Math.max(1, Math.min(THREAD_LINES_MAX, Math.floor(size.rows / 4)));
  const sorted = [...seen.threads].sort(
    (a, b) => Number(a.state === 'answering') - Number(b.state === 'answering'),
  );
  const shown = Number.isFinite(size.rows) ? sorted.slice(0, max) : sorted;
  const rest = sorted.slice(shown.length);
  const silent = rest.filter(({ state }) => state !== 'answering').length;
  const more = `and ${rest.length} more threads, ${silent} of them without an answer`;
  return [...shown.map(threadLine), ...(rest.length === 0 ? [] : [plain(more)])];
}

function threadLine(look: Thread): Line {
  const { info, rates, glimpse, state } = look;
  const name = placeText(look).padEnd(6);
  if (info === undefined) {
    const handling = glimpse?.handling;
    const doing =
      handling === undefined || glimpse?.isAlive === false
        ? ''
        : `, handling ${handling.class}.${handling.op} (slot ${handling.slot})`;
    return { text: `${name} ${state.toUpperCase()}${doing}`, style: 'alarm' };
  }
  const { slowDrains, deadLetters } = info;
  const parts = [
    ...(rates === undefined
      ? [`${countText(info.messages)} messages`]
      : [`busy ${(rates.busy * 100).toFixed(1)}%`, `${countText(rates.messages)} msg/s`]),
    `${countText(info.asksOpen)} asks open`,
    `${countText(info.timers)} timers`,
    `${countText(deadLetters.total)} dead letters${
      rates === undefined || rates.deadLetters === 0 ? '' : ` (${countText(rates.deadLetters)}/s)`
    }`,
    ...(slowDrains.count === 0
      ? []
      : [
          `${countText(slowDrains.count)} slow turns, ${countText(slowDrains.unattributed)} unnamed`,
        ]),
    ...(info.incarnation > 1 ? [`start ${info.incarnation}`] : []),
  ];
  return plain(`${name} ${parts.join('  ')}`);
}

function tableOf(seen: ApiInspection, shape: Shape, sort: SortKey): Table {
  if (shape === 'tree') return treeTable(seen);
  return shape === 'actors' ? actorTable(seen, sort) : classTable(seen, sort);
}

function mainLines(seen: ApiInspection, room: number, state: TopState): Line[] {
  const table = tableOf(seen, state.shape, state.sort);
  const from = Math.min(state.scroll, Math.max(0, table.rows.length - 1));
  return tableLines(table, from, room - 1);
}

function paneLines(seen: ApiInspection, room: number): Line[] {
  const tables = [slowTable(seen), failureTable(seen), deadTable(seen)].filter(
    ({ rows }) => rows.length > 0,
  );
  if (tables.length === 0) return [];
  const each = Math.floor(room / tables.length) - 2;
  if (each < 1) return [];
  const rows = Number.isFinite(room) ? Math.min(PANE_ROWS_MAX, each) : Number.POSITIVE_INFINITY;
  return tables.flatMap((table) => [plain(''), ...tableLines(table, 0, rows)]);
}

/** Texts to the left, numbers to the right, columns as wide as what is shown of them. */
function tableLines({ head, rows, texts }: Table, from: number, max: number): Line[] {
  const shown = rows.slice(from, from + Math.max(0, max));
  const cells = [head, ...shown].map((row) => row.map((cell) => plainText(cell)));
  const widths = head.map((_, i) => Math.max(...cells.map((row) => widthOf(row[i] ?? ''))));
  const last = head.length - 1;
  return cells.map((row, n) => {
    const parts = row.map((cell, i) => {
      const fill = ' '.repeat(Math.max(0, widths[i]! - widthOf(cell)));
      if (!texts.includes(i)) return fill + cell;
      return i === last ? cell : cell + fill;
    });
    return { text: parts.join('  '), style: n === 0 ? 'head' : 'plain' };
  });
}

function plain(text: string): Line {
  return { text, style: 'plain' };
}

/** Columns that a terminal takes for it: two for East Asian wide characters and pictures, none for marks. */
function widthOf(text: string): number {
  let width = 0;
  for (const each of text) width += widthOfOne(each);
  return width;
}

const MARK = /^\p{M}$/u;
const WIDE =
  /^[\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6\u{1f300}-\u{1faff}\u{20000}-\u{3fffd}]$/u;

function widthOfOne(character: string): number {
  if (character <= '\u02ff') return 1;
  if (MARK.test(character) || character === '\u200b' || character === '\u200d') return 0;
  return WIDE.test(character) ? 2 : 1;
}

function cutTo(text: string, columns: number): string {
  if (text.length <= columns && text.length * 2 <= columns) return text;
  let width = 0;
  let cut = '';
  for (const each of text) {
    width += widthOfOne(each);
    if (width > columns) return cut;
    cut += each;
  }
  return cut;
}

const PAGE = 10;
const SORTS = new Map<string, SortKey>([
  ['d', 'depth'],
  ['r', 'rate'],
  ['x', 'restarts'],
  ['s', 'slow'],
]);
const SHAPES = new Map<string, Shape>([
  ['c', 'classes'],
  ['a', 'actors'],
  ['t', 'tree'],
]);
const STEPS = new Map([
  ['up', -1],
  ['down', 1],
  ['page-up', -PAGE],
  ['page-down', PAGE],
]);

/** What a key makes of the view; one that means nothing changes nothing. */
export function pressed(key: string, state: TopState, scrollLimit: number): TopState {
  const sort = SORTS.get(key);
  if (sort !== undefined) return { ...state, sort, scroll: 0 };
  const shape = SHAPES.get(key);
  if (shape !== undefined) return { ...state, shape, scroll: 0 };
  if (key === 'p') return { ...state, isPaused: !state.isPaused };
  const scroll = Math.max(0, Math.min(scrollLimit, state.scroll + (STEPS.get(key) ?? 0)));
  return { ...state, scroll };
}
