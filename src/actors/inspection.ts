// The living actors of a thread as plain data: for the console, for tests and for people. Taken on
// demand; nothing is kept for it but plain counts.
import { messageOf } from '../std/errors.ts';
import type { Shown } from './actor.ts';
import type { Cell } from './cell.ts';
import { STATE_NAMES } from './cell.ts';

export interface ActorInfo {
  readonly path: string;
  /** Name of the protocol. */
  readonly class: string;
  readonly state: (typeof STATE_NAMES)[number];
  /** Messages that wait in the mailbox. */
  readonly depth: number;
  readonly capacity: number;
  /** Messages since it was spawned, timers and signals among them. */
  readonly handled: number;
  readonly restarts: number;
  readonly timers: number;
  readonly slot: number;
  /** What it counts itself: these only grow. */
  readonly counts: Readonly<Record<string, number>>;
  readonly facts: Readonly<Record<string, number | string>>;
  readonly children: readonly ActorInfo[];
}

/** A thread as it was at one moment of its monotonic clock. */
export interface ThreadInfo {
  readonly atMs: number;
  readonly turns: number;
  readonly actors: readonly ActorInfo[];
  /** Actors that are not shown, by class: of each class only so many are. */
  readonly omitted: Readonly<Record<string, number>>;
}

/** The trees below these cells. Of what has too many of its class in front, its children are left out too. */
export function inspectCells(
  cells: Iterable<Cell>,
  perClassMax = Number.POSITIVE_INFINITY,
): Pick<ThreadInfo, 'actors' | 'omitted'> {
  const seen = new Map<string, number>();
  const omitted: Record<string, number> = {};
  const look = (cell: Cell): ActorInfo[] => {
    const { name } = cell.actor.protocol;
    const count = (seen.get(name) ?? 0) + 1;
    seen.set(name, count);
    if (count > perClassMax) {
      omitted[name] = count - perClassMax;
      return [];
    }
    return [infoOf(cell, [...(cell.children?.here.values() ?? [])].flatMap(look))];
  };
  return { actors: [...cells].flatMap(look), omitted };
}

function infoOf(cell: Cell, children: readonly ActorInfo[]): ActorInfo {
  const { counts = {}, facts = {} } = shownOf(cell);
  return {
    path: cell.path,
    class: cell.actor.protocol.name,
    state: STATE_NAMES[cell.state]!,
    depth: cell.lane.count,
    capacity: cell.lane.capacity,
    handled: cell.handled,
    restarts: cell.restarts,
    timers: cell.timerCount,
    slot: cell.id.slot,
    counts,
    facts,
    children,
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
