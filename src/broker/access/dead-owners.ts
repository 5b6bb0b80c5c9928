// Which lives of shards are over, as the metadata shows: their node was fenced, or the shard or its node
// lives another life. Whoever leads a queue here is told, and gives what they held to others.
import type { MetadataView } from '../../cluster/ports.ts';
import type { Owner } from '../view/consumers.ts';
import { shardKey } from './shard-identity.ts';

interface Life {
  readonly life: number;
  readonly isLive: boolean;
}

export class DeadOwners {
  readonly #view: MetadataView;
  /** By key of the shard, as of the last look. */
  #lives: ReadonlyMap<number, Life>;
  #version: number;

  constructor(view: MetadataView) {
    this.#view = view;
    this.#lives = livesOf(view);
    this.#version = view.version;
  }

  /** The metadata has changed: owners that are gone since the last look, with all before them. */
  look(): readonly Owner[] {
    const { version } = this.#view;
    const before = this.#lives;
    const lives = livesOf(this.#view);
    const dead: Owner[] = [];
    for (const [node, { life, isLive }] of before) {
      const now = lives.get(node);
      // Whoever comes after a fence comes at a later version than this one.
      const isFenced = now === undefined || (isLive && !now.isLive);
      if (isFenced) dead.push({ node, incarnation: version });
      // The life of now may have begun at any version since.
      else if (now.life !== life) dead.push({ node, incarnation: this.#version });
    }
    this.#lives = lives;
    this.#version = version;
    return dead;
  }
}

function livesOf(view: MetadataView): ReadonlyMap<number, Life> {
  const lives = new Map<number, Life>();
  for (const { id, isLive, shardIncarnations } of view.nodes()) {
    for (const [shard, life] of shardIncarnations.entries()) {
      lives.set(shardKey(id, shard), { life, isLive });
    }
  }
  return lives;
}
