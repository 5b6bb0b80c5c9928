// Metadata's fences, as the links of one thread are to hear of them. A peer that vanished without a word
// leaves connections that the system would keep for minutes; the session that it misses ends them.
import type { Links } from '../actors/links/links.ts';
import type { MetadataReplica } from '../cluster/metadata-shell/metadata-replica.ts';

export class Fences {
  readonly #replica: MetadataReplica;
  readonly #links: Pick<Links, 'nodeLost'>;
  /** The life in which each node was last seen live. */
  readonly #lives = new Map<number, string>();

  constructor(replica: MetadataReplica, links: Pick<Links, 'nodeLost'>) {
    this.#replica = replica;
    this.#links = links;
  }

  /** To be called when metadata has changed: nodes that were live and are fenced now are lost. */
  look(): void {
    const { image, view } = this.#replica;
    for (const { id, incarnation, bootCounter, pid, isFenced } of image.nodes()) {
      const life = `${incarnation}/${bootCounter}/${pid}`;
      const before = this.#lives.get(id);
      if (!isFenced) {
        if (life !== before) this.#lives.set(id, life);
        continue;
      }
      this.#lives.delete(id);
      // A new life is fenced until it is heard; its links are its own, and they have replaced the old ones.
      if (life !== before) continue;
      // Who leads the metadata lives: a replica that catches up applies fences of long ago.
      if (id !== view.nodeId && id !== view.controllerId) this.#links.nodeLost(id);
    }
  }
}
