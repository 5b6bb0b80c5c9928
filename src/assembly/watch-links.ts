// How a part of a node hears that the way to or from a thread of another node was lost.
import type { Links } from '../actors/links/links.ts';
import type { NodeAddress } from './node-config.ts';
import { SHARDS_MAX } from './node-config.ts';

/** Calls `ended` whenever the way to or from a thread of another node was lost, and what was on it. */
export function watchLinks(
  links: Links,
  nodeId: number,
  nodes: readonly NodeAddress[],
  ended: (node: number, thread: number) => void,
): void {
  for (const { id } of nodes) {
    if (id === nodeId) continue;
    for (let thread = 0; thread <= SHARDS_MAX; thread += 1) {
      links.onEpochEnd(id, thread, () => ended(id, thread));
    }
  }
}
