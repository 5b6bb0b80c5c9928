// Who this shard is to the logs: a number that stays the same over all its lives, and one that grows with
// each. Lives have no order of their own; the metadata gives them one, because whoever is registered later
// is so at a higher version.
import type { MetadataView } from '../../cluster/ports.ts';

/** More than a node has shards. */
const SHARDS = 256;

function shardKey(node: number, shard: number): number {
  return node * SHARDS + shard;
}

export interface LogClientName {
  readonly clientId: number;
  readonly incarnation: number;
}

export class ShardIdentity {
  /** As a publisher; undefined until the metadata knows this life. */
  client: LogClientName | undefined;
  readonly #view: MetadataView;
  readonly #shard: number;
  readonly #life: number;

  constructor(view: MetadataView, shard: number, life: number) {
    this.#view = view;
    this.#shard = shard;
    this.#life = life;
    this.look();
  }

  /** The metadata has changed. True if this life has just become known. */
  look(): boolean {
    const { nodeId, version } = this.#view;
    if (this.client !== undefined) return false;
    if (this.#view.node(nodeId)?.shardIncarnations[this.#shard] !== this.#life) return false;
    this.client = { clientId: shardKey(nodeId, this.#shard), incarnation: version };
    return true;
  }
}
