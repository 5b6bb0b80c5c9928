// How a part of a node hears that the way to or from a thread of another node was lost.
import type { Links } from '../actors/links/links.ts';

/** Calls `ended` whenever the way to or from a thread of another node was lost, and what was on it. */
export function watchLinks(
  links: Pick<Links, 'onAnyEpochEnd'>,
  ended: (node: number, thread: number) => void,
): void {
  links.onAnyEpochEnd((node, thread, lane) => {
    // Bulk is looked after by whoever sends it.
    if (lane === 0) ended(node, thread);
  });
}
