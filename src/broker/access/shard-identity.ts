// Who this shard is to the logs: a number that stays the same over all its lives, and one that grows with
// each. Lives have no order of their own; the metadata gives them one, because whoever is registered later
// is so at a higher version. As a consumer a life is over when its node is fenced, and begins anew when it
// is live again: what it held has gone to others meanwhile.
import type { MetadataView } from '../../cluster/ports.ts';
import type { Owner } from '../view/consumers.ts';

/** More than a node has shards. */
const SHARDS = 256;

export function shardKey(node: number, shard: number): number {
  return node * SHARDS + shard;
}

/** Beyond all keys of shards. */
const GROUPS = 2 ** 40;

/**
 * Consumers that belong to no session attach under a key of their own: a queue takes whoever comes at a later
 * version for a later life, and two on one shard see a life begin at different versions.
 */
export function groupsKey(ofShard: number): number {
  return GROUPS + ofShard;
}

export interface LogClientName {
  readonly clientId: number;
  readonly incarnation: number;
}

export class ShardIdentity {
  /** As a publisher; undefined until the metadata knows this life. */
  client: LogClientName | undefined;
  /** As a consumer; undefined while the node is not live. */
  owner: Owner | undefined;
  readonly #view: MetadataView;
  readonly #shard: number;
  readonly #life: number;
  readonly #ownerKeyOf: (ofShard: number) => number;

  constructor(
    view: MetadataView,
    shard: number,
    life: number,
    ownerKeyOf = (ofShard: number): number => ofShard,
  ) {
    this.#view = view;
    this.#shard = shard;
    this.#life = life;
    this.#ownerKeyOf = ownerKeyOf;
    this.look();
  }

  /** The metadata has changed. Whether this shard became somebody that it was not before. */
  look(): { readonly isClientNew: boolean; readonly isOwnerNew: boolean } {
    const { nodeId, version } = this.#view;
    const node = this.#view.node(nodeId);
    const isKnown = node?.shardIncarnations[this.#shard] === this.#life;
    const isLive = isKnown && node.isLive;
    const isClientNew = isKnown && this.client === undefined;
    const isOwnerNew = isLive && this.owner === undefined;
    const key = shardKey(nodeId, this.#shard);
    if (isClientNew) this.client = { clientId: key, incarnation: version };
    if (isOwnerNew) this.owner = { node: this.#ownerKeyOf(key), incarnation: version };
    if (!isLive) this.owner = undefined;
    return { isClientNew, isOwnerNew };
  }

  /** A leader has given it up. True if it is another one now, false if that must wait for newer metadata. */
  renewOwner(stale: Owner): boolean {
    const { owner } = this;
    const { version } = this.#view;
    if (owner === undefined || owner !== stale || version <= owner.incarnation) return false;
    this.owner = { node: owner.node, incarnation: version };
    return true;
  }
}
