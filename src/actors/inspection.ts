// The living actors of a thread as plain data: for the console, for tests and for people. Taken on
// demand; nothing is kept for it.
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
  readonly restarts: number;
  readonly timers: number;
  readonly slot: number;
  readonly children: readonly ActorInfo[];
}

export function inspectCell(cell: Cell): ActorInfo {
  return {
    path: cell.path,
    class: cell.actor.protocol.name,
    state: STATE_NAMES[cell.state]!,
    depth: cell.lane.count,
    capacity: cell.lane.capacity,
    restarts: cell.restarts,
    timers: cell.timerCount,
    slot: cell.id.slot,
    children: [...(cell.children?.values() ?? [])].map(inspectCell),
  };
}
