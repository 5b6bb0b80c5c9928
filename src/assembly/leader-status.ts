// What the leaders of all logs say of them, gathered from every shard of every live node. Nodes that do
// not answer in time are left out; answers are kept for a moment, as pages ask often.
import type { System } from '../actors/system.ts';
import type { MetadataReplica } from '../cluster/metadata-shell/metadata-replica.ts';
import { LogHostProtocol, type LogStatus } from '../cluster/ports.ts';
import { SLOT_LOG_HOST } from '../cluster/slots.ts';

const ANSWER_MS = 1_000;
const FRESH_MS = 200;

export class LeaderStatus {
  readonly #system: System;
  readonly #replica: MetadataReplica;
  #at = Number.NEGATIVE_INFINITY;
  #last: Promise<ReadonlyMap<number, LogStatus>> | undefined;

  constructor(system: System, replica: MetadataReplica) {
    this.#system = system;
    this.#replica = replica;
  }

  collect(): Promise<ReadonlyMap<number, LogStatus>> {
    const nowMs = this.#system.clock.monotonicMs();
    if (this.#last === undefined || nowMs - this.#at > FRESH_MS) {
      this.#at = nowMs;
      this.#last = this.#ask();
    }
    return this.#last;
  }

  async #ask(): Promise<ReadonlyMap<number, LogStatus>> {
    const asks: Promise<readonly LogStatus[]>[] = [];
    for (const node of this.#replica.image.liveNodes()) {
      for (let shard = 0; shard < node.shardIncarnations.length; shard += 1) {
        const at = { node: node.id, thread: node.firstShardThread + shard, slot: SLOT_LOG_HOST };
        const host = this.#system.wellKnown(LogHostProtocol, at);
        asks.push(host.ask('status', undefined, { timeoutMs: ANSWER_MS }).catch(() => []));
      }
    }
    const found = new Map<number, LogStatus>();
    for (const statuses of await Promise.all(asks)) {
      for (const status of statuses) {
        if (status.role === 'leader' || status.role === 'starting') found.set(status.logId, status);
      }
    }
    return found;
  }
}
