// One thread as plain data: its actors, its classes, what was slow, what failed, what could not be delivered.
// Taken on demand; what is counted for it are plain numbers. Bounded: of each class and in all only so many
// actors are shown in the tree, and those with the most waiting, handled or restarted are shown apart, so
// that the one that matters among 100,000 is not left out.
import { messageOf } from '../../std/errors.ts';
import type { Shown } from '../actor.ts';
import type { AskCounters } from '../ask.ts';
import type { Cell } from '../cell.ts';
import { STATE_NAMES } from '../cell.ts';
import type { DeadLetterGroup, DeadReason } from '../dead-letters.ts';
import type { ClassMetrics } from '../metrics.ts';
import type { SeenFailure, SlowDrains, SlowHandler } from './observer.ts';
import { toMicros } from './timing.ts';

/** Numbers of one actor. All counts are since it was spawned, through its restarts. */
export interface ActorFigures {
  readonly path: string;
  /** Name of the protocol. */
  readonly class: string;
  readonly state: (typeof STATE_NAMES)[number];
  readonly slot: number;
  /** Messages that wait in the mailbox; the most that ever did when it had its turn; how many may. */
  readonly depth: number;
  readonly depthMax: number;
  readonly capacity: number;
  /** Messages, timers and signals among them. */
  readonly handled: number;
  readonly failed: number;
  readonly restarts: number;
  /** By the overflow policy of its mailbox. */
  readonly dropped: number;
  /** Messages that it has put aside. */
  readonly stash: number;
  readonly timers: number;
  /** Asks that it has taken and not answered yet. */
  readonly asksOpen: number;
}

export interface ActorInfo extends ActorFigures {
  /** What it counts itself: these only grow. */
  readonly counts: Readonly<Record<string, number>>;
  readonly facts: Readonly<Record<string, number | string>>;
  readonly children: readonly ActorInfo[];
}

/** The living actors of a class together, and what its class counts since the thread began. */
export interface ClassInfo extends ClassMetrics {
  /** Living ones. */
  readonly actors: number;
  readonly depth: number;
  readonly stash: number;
  readonly timers: number;
  readonly asksOpen: number;
}

export interface DeadLettersInfo {
  readonly total: number;
  readonly byReason: Readonly<Record<DeadReason, number>>;
  /** The last 64 kinds of (target, operation, reason), the latest first. */
  readonly recent: readonly DeadLetterGroup[];
}

/** A thread as it was at one moment. All times are of its monotonic clock: `atMs` less one of them is an age. */
export interface ThreadInfo {
  readonly node: number;
  readonly thread: number;
  /** Threads of the node. */
  readonly threadCount: number;
  /** Counts the starts of this thread within its node. */
  readonly incarnation: number;
  readonly atMs: number;
  readonly turns: number;
  readonly messages: number;
  /** Milliseconds that actors have run. */
  readonly busyMs: number;
  /** Asks that were sent from this thread and wait for their answer, and all that were. */
  readonly asksOpen: number;
  readonly asks: Readonly<AskCounters>;
  readonly timers: number;
  readonly classes: readonly ClassInfo[];
  readonly actors: readonly ActorInfo[];
  /** Actors that are not in the tree, by class. */
  readonly omitted: Readonly<Record<string, number>>;
  /** The most of each: waiting, handled, restarts. Every actor of the thread was looked at. */
  readonly busiest: readonly ActorFigures[];
  /** From how many milliseconds on a handler is slow. */
  readonly slowMs: number;
  readonly slowHandlers: readonly SlowHandler[];
  readonly slowDrains: SlowDrains;
  /** The last 32, oldest first. */
  readonly failures: readonly SeenFailure[];
  readonly deadLetters: DeadLettersInfo;
}

/** What a snapshot is made of. */
export interface Inspectable {
  readonly place: { readonly node: number; readonly thread: number };
  readonly threadCount: number;
  readonly threadIncarnation: number;
  readonly turn: { readonly count: number; readonly messages: number };
  readonly asks: { readonly openCount: number; readonly counters: AskCounters };
  readonly deadlines: { readonly count: number };
  readonly metrics: { snapshot(): ClassMetrics[] };
  readonly observer: {
    readonly slowMs: number;
    readonly busyMs: number;
    readonly slow: readonly SlowHandler[];
    readonly drains: SlowDrains;
    readonly failures: readonly SeenFailure[];
    nowMs(): number;
  };
  readonly deadLetters: {
    readonly total: number;
    readonly counts: Readonly<Record<DeadReason, number>>;
    readonly groups: readonly DeadLetterGroup[];
  };
}

/** Of one class, and of all. */
const PER_CLASS_MAX = 1_000;
const TREE_MAX = 10_000;
/** By each of the three figures. */
const BUSIEST_MAX = 32;

export function inspectThread(system: Inspectable, top: readonly Cell[]): ThreadInfo {
  const { place, turn, asks, observer, deadLetters } = system;
  const survey = new Survey();
  for (const cell of top) survey.look(cell);
  return {
    node: place.node,
    thread: place.thread,
    threadCount: system.threadCount,
    incarnation: system.threadIncarnation,
    atMs: toMicros(observer.nowMs()),
    turns: turn.count,
    messages: turn.messages,
    busyMs: toMicros(observer.busyMs),
    asksOpen: asks.openCount,
    asks: { ...asks.counters },
    timers: system.deadlines.count,
    classes: system.metrics.snapshot().map((metrics) => survey.classOf(metrics)),
    ...inspectCells(top, PER_CLASS_MAX, TREE_MAX),
    busiest: survey.busiest(),
    slowMs: observer.slowMs,
    slowHandlers: observer.slow,
    slowDrains: observer.drains,
    failures: [...observer.failures],
    deadLetters: {
      total: deadLetters.total,
      byReason: { ...deadLetters.counts },
      recent: deadLetters.groups,
    },
  };
}

/** The trees below these cells. Of what has too many of its class in front, its children are left out too. */
export function inspectCells(
  cells: Iterable<Cell>,
  perClassMax = Number.POSITIVE_INFINITY,
  max = Number.POSITIVE_INFINITY,
): Pick<ThreadInfo, 'actors' | 'omitted'> {
  const seen = new Map<string, number>();
  const omitted: Record<string, number> = {};
  let shown = 0;
  const look = (cell: Cell): ActorInfo[] => {
    const { name } = cell.metrics;
    const count = seen.get(name) ?? 0;
    if (count >= perClassMax || shown >= max) {
      omitted[name] = (omitted[name] ?? 0) + 1;
      return [];
    }
    seen.set(name, count + 1);
    shown += 1;
    const { counts = {}, facts = {} } = shownOf(cell);
    const children = [...(cell.children?.here.values() ?? [])].flatMap(look);
    return [{ ...figuresOf(cell), counts, facts, children }];
  };
  return { actors: [...cells].flatMap(look), omitted };
}

function figuresOf(cell: Cell): ActorFigures {
  return {
    path: cell.path,
    class: cell.metrics.name,
    state: STATE_NAMES[cell.state]!,
    slot: cell.id.slot,
    depth: cell.lane.count,
    depthMax: Math.max(cell.depthMax, cell.lane.count),
    capacity: cell.lane.capacity,
    handled: cell.handled,
    failed: cell.failed,
    restarts: cell.restarts,
    dropped: cell.dropped,
    stash: cell.stashCount,
    timers: cell.timerCount,
    asksOpen: cell.asksOpen,
  };
}

/** An actor that cannot be looked into is shown all the same. */
function shownOf({ inspectHandler }: Cell): Shown {
  try {
    return inspectHandler?.() ?? {};
  } catch (error) {
    return { facts: { fault: messageOf(error) } };
  }
}

interface Sums {
  actors: number;
  depth: number;
  stash: number;
  timers: number;
  asksOpen: number;
}

/** A look at every actor of the thread that keeps sums and a few of them, never all. */
class Survey {
  readonly #sums = new Map<string, Sums>();
  readonly #most = [
    new Most((cell) => cell.lane.count),
    new Most((cell) => cell.handled),
    new Most((cell) => cell.restarts),
  ];

  look(cell: Cell): void {
    const { name } = cell.metrics;
    let sums = this.#sums.get(name);
    if (sums === undefined) {
      sums = { actors: 0, depth: 0, stash: 0, timers: 0, asksOpen: 0 };
      this.#sums.set(name, sums);
    }
    sums.actors += 1;
    sums.depth += cell.lane.count;
    sums.stash += cell.stashCount;
    sums.timers += cell.timerCount;
    sums.asksOpen += cell.asksOpen;
    for (const most of this.#most) most.offer(cell);
    for (const child of cell.children?.here.values() ?? []) this.look(child);
  }

  classOf(metrics: ClassMetrics): ClassInfo {
    const sums = this.#sums.get(metrics.name);
    const { actors = 0, depth = 0, stash = 0, timers = 0, asksOpen = 0 } = sums ?? {};
    return { ...metrics, actors, depth, stash, timers, asksOpen };
  }

  busiest(): ActorFigures[] {
    return [...new Set(this.#most.flatMap((most) => most.cells))].map(figuresOf);
  }
}

/** The cells with the most of a figure, none with nothing. */
class Most {
  readonly cells: Cell[] = [];
  readonly #of: (cell: Cell) => number;

  constructor(of: (cell: Cell) => number) {
    this.#of = of;
  }

  offer(cell: Cell): void {
    const value = this.#of(cell);
    const { cells } = this;
    if (value === 0) return;
    if (cells.length === BUSIEST_MAX && value <= this.#of(cells[BUSIEST_MAX - 1]!)) return;
    const at = cells.findIndex((each) => this.#of(each) < value);
    cells.splice(at < 0 ? cells.length : at, 0, cell);
    if (cells.length > BUSIEST_MAX) cells.pop();
  }
}
