// What one actor hears when others are lost elsewhere: with their thread, with their node, or because the way to
// them broke. Not here: its watches, of which the watch table tells it. Invariant: nothing is kept for whoever is lost.
import type { Cell } from './cell.ts';
import type { RefId } from './ref.ts';

/** Those that satisfy `isThere` are no more. */
export function othersLost(cell: Cell, isThere: (id: RefId) => boolean): void {
  cell.childrenEndedElsewhere(isThere);
  cell.watches?.dropWatchers(isThere);
  askersLost(cell, isThere);
  // A child does not outlive its parent, wherever that lived.
  const { remoteParent } = cell;
  if (remoteParent !== undefined && isThere(remoteParent.id)) cell.requestStop();
}

/** Their asks have failed where they were made, and nobody is there to say so: as if each had given up. */
export function askersLost(cell: Cell, isThere: (id: RefId) => boolean): void {
  if (cell.lane.count === 0 && cell.stashCount === 0 && cell.asksOpen === 0) return;
  for (const reply of cell.openReplies()) {
    if (typeof reply === 'object' && isThere(reply as RefId)) cell.cancelAsk(reply);
  }
}
