// What `top` tells, as rows of cells: classes over all threads, actors, trees, slow handlers, dead letters,
// failures. Pure.
import type { ApiInspection } from '../../admin/api-types.ts';

type Thread = ApiInspection['threads'][number];
type Info = NonNullable<Thread['info']>;
type Figures = Info['busiest'][number];
type Tree = Info['actors'][number];

export type SortKey = 'depth' | 'rate' | 'restarts' | 'slow';
export type Shape = 'classes' | 'actors' | 'tree';

/** A header and rows beneath it; columns after the first are numbers, but for those that are named. */
export interface Table {
  readonly head: readonly string[];
  readonly rows: readonly (readonly string[])[];
  /** Columns that are text. */
  readonly texts: readonly number[];
}

/** Beyond it nobody reads on. */
const TEXT_MAX = 1_000;

export function classTable(seen: ApiInspection, sort: SortKey): Table {
  const classes = new Map<string, ClassSum>();
  for (const { info, rates } of seen.threads) {
    for (const each of info?.classes ?? []) {
      const sum = classes.get(each.name) ?? new ClassSum(each.name);
      classes.set(each.name, sum);
      sum.add(each, rates?.classes[each.name]);
    }
  }
  const sorted = [...classes.values()].sort(
    (a, b) => b.by(sort) - a.by(sort) || b.by('rate') - a.by('rate') || compare(a.name, b.name),
  );
  return {
    head: [
      'CLASS',
      'ACTORS',
      'WAITING',
      'MAX',
      'MSG/S',
      'HANDLED',
      'FAILED',
      'RESTARTS',
      'DROPPED',
      'STASH',
      'TIMERS',
      'ASKS',
      'WAIT99',
      'RUN99',
      'RUNMAX',
    ],
    rows: sorted.map((each) => each.cells()),
    texts: [0],
  };
}

class ClassSum {
  readonly name: string;
  readonly #sums = new Map<string, number>();
  #rate: number | undefined;

  constructor(name: string) {
    this.name = name;
  }

  add(each: Info['classes'][number], rates: { readonly handled: number } | undefined): void {
    const sums = ['actors', 'depth', 'handled', 'failed', 'restarted', 'dropped', 'stash'] as const;
    for (const figure of [...sums, 'timers', 'asksOpen'] as const) {
      this.#sums.set(figure, this.#of(figure) + each[figure]);
    }
    this.#most('depthMax', each.depthMax);
    this.#most('wait', each.wait.p99Ms);
    this.#most('run', each.handler.p99Ms);
    this.#most('longest', each.handler.maxMs);
    if (rates !== undefined) this.#rate = (this.#rate ?? 0) + rates.handled;
  }

  by(sort: SortKey): number {
    if (sort === 'rate') return this.#rate ?? this.#of('handled');
    return this.#of({ depth: 'depth', restarts: 'restarted', slow: 'longest' }[sort]);
  }

  cells(): string[] {
    const counts = ['handled', 'failed', 'restarted', 'dropped', 'stash', 'timers', 'asksOpen'];
    return [
      this.name,
      ...['actors', 'depth', 'depthMax'].map((figure) => countText(this.#of(figure))),
      this.#rate === undefined ? '-' : countText(this.#rate),
      ...counts.map((figure) => countText(this.#of(figure))),
      ...['wait', 'run', 'longest'].map((figure) => msText(this.#of(figure))),
    ];
  }

  #of(figure: string): number {
    return this.#sums.get(figure) ?? 0;
  }

  #most(figure: string, value: number): void {
    this.#sums.set(figure, Math.max(this.#of(figure), value));
  }
}

const ACTOR_HEAD = ['WAITING', 'MAX', 'MSG/S', 'HANDLED', 'FAILED', 'RESTARTS', 'STASH', 'ASKS'];

/** One line for each of the actors that are shown, wherever they run. */
export function actorTable(seen: ApiInspection, sort: SortKey): Table {
  const found: { readonly thread: Thread; readonly actor: Figures; readonly slowMs: number }[] = [];
  for (const thread of seen.threads) {
    const slow = slowestByPath(thread.info);
    const known = new Set<string>();
    for (const actor of shownOf(thread.info)) {
      const key = `${actor.slot} ${actor.path}`;
      if (known.has(key)) continue;
      known.add(key);
      found.push({ thread, actor, slowMs: slow.get(actor.path) ?? 0 });
    }
  }
  const by = ({ thread, actor, slowMs }: (typeof found)[number], key: SortKey): number => {
    if (key === 'rate') return rateOf(thread, actor) ?? actor.handled;
    return { depth: actor.depth, restarts: actor.restarts, slow: slowMs }[key];
  };
  found.sort(
    (a, b) =>
      by(b, sort) - by(a, sort) ||
      by(b, 'rate') - by(a, 'rate') ||
      compare(a.actor.path, b.actor.path),
  );
  return {
    head: ['ACTOR', 'CLASS', 'AT', ...ACTOR_HEAD],
    rows: found.map(({ thread, actor }) => [
      actor.path,
      actor.class,
      placeText(thread),
      ...actorCells(thread, actor),
    ]),
    texts: [0, 1, 2],
  };
}

/** As it is spawned: parents before their children. */
export function treeTable(seen: ApiInspection): Table {
  const rows: string[][] = [];
  const add = (thread: Thread, actor: Tree, indent: string): void => {
    const name = actor.path.slice(actor.path.lastIndexOf('/') + 1);
    rows.push([indent + name, actor.class, ...actorCells(thread, actor)]);
    for (const child of actor.children) add(thread, child, `${indent}  `);
  };
  for (const thread of seen.threads) {
    if (thread.info === undefined) continue;
    rows.push([placeText(thread), '', ...ACTOR_HEAD.map(() => '')]);
    for (const actor of thread.info.actors) add(thread, actor, '  ');
    for (const [name, count] of Object.entries(thread.info.omitted)) {
      rows.push([`  ${countText(count)} more`, name, ...ACTOR_HEAD.map(() => '')]);
    }
  }
  return { head: ['ACTOR', 'CLASS', ...ACTOR_HEAD], rows, texts: [0, 1] };
}

export function slowTable(seen: ApiInspection): Table {
  const rows = seen.threads.flatMap((thread) =>
    (thread.info?.slowHandlers ?? []).map((slow) => {
      const last = slow.recent.at(-1);
      return {
        longestMs: slow.longestMs,
        cells: [
          `${slow.class}.${slow.op}`,
          placeText(thread),
          countText(slow.count),
          msText(slow.longestMs),
          last === undefined ? '' : msText(last.ms),
          last === undefined ? '' : agoText(thread.info!.atMs - last.atMs),
          last?.path ?? '',
        ],
      };
    }),
  );
  rows.sort((a, b) => b.longestMs - a.longestMs);
  const head = ['SLOW HANDLER', 'AT', 'COUNT', 'LONGEST', 'LAST', 'AGO', 'ACTOR'];
  return { head, rows: rows.map(({ cells }) => cells), texts: [0, 1, 6] };
}

export function deadTable(seen: ApiInspection): Table {
  const rows = seen.threads.flatMap((thread) =>
    (thread.info?.deadLetters.recent ?? []).map((dead) => {
      const agoMs = thread.info!.atMs - dead.lastMs;
      const cells = [dead.reason, placeText(thread), countText(dead.count), agoText(agoMs)];
      return { agoMs, cells: [...cells, dead.op, dead.target] };
    }),
  );
  rows.sort((a, b) => a.agoMs - b.agoMs);
  const head = ['DEAD LETTERS', 'AT', 'COUNT', 'AGO', 'OP', 'TO'];
  return { head, rows: rows.map(({ cells }) => cells), texts: [0, 1, 4, 5] };
}

export function failureTable(seen: ApiInspection): Table {
  const rows = seen.threads.flatMap((thread) =>
    (thread.info?.failures ?? []).map((failure) => {
      const agoMs = thread.info!.atMs - failure.atMs;
      const { directive, path, message } = failure;
      return { agoMs, cells: [directive, placeText(thread), agoText(agoMs), path, message] };
    }),
  );
  rows.sort((a, b) => a.agoMs - b.agoMs);
  const head = ['FAILURES', 'AT', 'AGO', 'ACTOR', 'WHY'];
  return { head, rows: rows.map(({ cells }) => cells), texts: [0, 1, 3, 4] };
}

export function placeText({
  node,
  thread,
}: {
  readonly node: number;
  readonly thread: number;
}): string {
  return `n${node}/${thread}`;
}

/** At most five characters or so: `812`, `1.2k`, `34M`. */
export function countText(count: number): string {
  const units = ['', 'k', 'M', 'G', 'T'];
  let value = count;
  let unit = 0;
  while (value >= 9_999.5 && unit < units.length - 1) {
    value /= 1_000;
    unit += 1;
  }
  const digits = value < 100 && !Number.isInteger(value) ? 1 : 0;
  return `${value.toFixed(digits)}${units[unit]}`;
}

function msText(ms: number): string {
  if (ms === 0) return '-';
  if (ms < 1) return `${Math.round(ms * 1_000)}us`;
  if (ms < 10_000) return `${ms < 10 ? ms.toFixed(1) : Math.round(ms)}ms`;
  return agoText(ms);
}

function agoText(ms: number): string {
  const seconds = Math.max(0, Math.round(ms / 1_000));
  if (seconds < 120) return `${seconds}s`;
  if (seconds < 7_200) return `${Math.round(seconds / 60)}m`;
  return `${Math.round(seconds / 3_600)}h`;
}

function actorCells(thread: Thread, actor: Figures): string[] {
  const rate = rateOf(thread, actor);
  return [
    countText(actor.depth),
    countText(actor.depthMax),
    rate === undefined ? '-' : countText(rate),
    countText(actor.handled),
    countText(actor.failed),
    countText(actor.restarts),
    countText(actor.stash),
    actor.state === 'running' ? countText(actor.asksOpen) : actor.state,
  ];
}

/** Those of the answer that handled nothing are not in it. */
function rateOf({ rates }: Thread, { path }: Figures): number | undefined {
  return rates === undefined ? undefined : (rates.actors[path] ?? 0);
}

function slowestByPath(info: Info | undefined): Map<string, number> {
  const slowest = new Map<string, number>();
  for (const { recent } of info?.slowHandlers ?? []) {
    for (const { path, ms } of recent) slowest.set(path, Math.max(ms, slowest.get(path) ?? 0));
  }
  return slowest;
}

function* shownOf(info: Info | undefined): Iterable<Figures> {
  if (info === undefined) return;
  yield* info.busiest;
  const waiting = [...info.actors];
  for (let each = waiting.pop(); each !== undefined; each = waiting.pop()) {
    yield each;
    waiting.push(...each.children);
  }
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** What goes to a terminal: names and messages come from elsewhere and must not command it. */
export function plainText(text: string): string {
  const clean = text.replace(/[\p{Cc}\p{Cf}\u2028\u2029]/gu, '?');
  return clean.length <= TEXT_MAX ? clean : clean.slice(0, TEXT_MAX);
}
