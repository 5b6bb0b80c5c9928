// The actors of the threads of this node and of the others, by their runtimes. Who does not answer in time is
// named all the same.
import { lookAt } from '../actors/inspect/looks.ts';
import type { System } from '../actors/system.ts';
import type { ThreadLook } from '../admin/ports.ts';
import type { MetadataReplica } from '../cluster/metadata-shell/metadata-replica.ts';

const ANSWER_MS = 1_000;

export class ThreadLooks {
  readonly #system: System;
  readonly #replica: MetadataReplica;
  /** Worker threads of this node. */
  readonly #shards: number;

  constructor(system: System, replica: MetadataReplica, shards: number) {
    this.#system = system;
    this.#replica = replica;
    this.#shards = shards;
  }

  /** Of one node or of all. This node need not be a member to be looked at. */
  look(node: number | undefined): Promise<readonly ThreadLook[]> {
    const own = this.#system.place.node;
    const workers = new Map([[own, this.#shards]]);
    for (const { id, firstShardThread, shardIncarnations } of this.#replica.image.liveNodes()) {
      if (id !== own) workers.set(id, firstShardThread === 0 ? 0 : shardIncarnations.length);
    }
    const looks = [...workers]
      .filter(([id]) => node === undefined || id === node)
      .sort(([a], [b]) => a - b)
      .flatMap(([id, count]) =>
        Array.from({ length: count + 1 }, (_, thread) => this.#lookAt(id, thread, count)),
      );
    return Promise.all(looks);
  }

  async #lookAt(node: number, thread: number, workers: number): Promise<ThreadLook> {
    const role = thread > 0 ? 'shard' : workers > 0 ? 'main' : 'main and shard';
    return { ...(await lookAt(this.#system, node, thread, ANSWER_MS)), role };
  }
}
