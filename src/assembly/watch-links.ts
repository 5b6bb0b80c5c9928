// How a shard hears that the way to or from a thread of another node was lost.
import type { Links } from '../actors/links/links.ts';
import type { NodeAddress } from './node-config.ts';
import { SHARDS_MAX } from './node-config.ts';
import type { Shard } from './shard.ts';

/** Tells the shard's log host when the way to or from a thread of another node was lost. */
export function watchLinks(
  links: Links,
  nodeId: number,
  nodes: readonly NodeAddress[],
  shard: Shard,
): void {
  for (const { id } of nodes) {
    if (id === nodeId) continue;
    for (let thread = 0; thread <= SHARDS_MAX; thread += 1) {
      links.onEpochEnd(id, thread, () => shard.host.linkEnded(id, thread));
    }
  }
}
