// What the replicas of all logs say of them, and which are quarantined, gathered from every shard of every live node. Nodes that do
// not answer in time are left out; answers are kept for a moment, as pages ask often.
import type { System } from '../actors/system.ts';
import type { MetadataReplica } from '../cluster/metadata-shell/metadata-replica.ts';
import { LogHostProtocol, type LogStatus, type ReplicaStatus } from '../cluster/ports.ts';
import { SLOT_LOG_HOST } from '../cluster/slots.ts';

const ANSWER_MS = 1_000;
const FRESH_MS = 200;

export class Replicas {
  readonly #system: System;
  readonly #replica: MetadataReplica;
  #at = Number.NEGATIVE_INFINITY;
  #last: Promise<ReplicaStatus> | undefined;

  constructor(system: System, replica: MetadataReplica) {
    this.#system = system;
    this.#replica = replica;
  }

  collect(): Promise<ReplicaStatus> {
    const nowMs = this.#system.clock.monotonicMs();
    if (this.#last === undefined || nowMs - this.#at > FRESH_MS) {
      this.#at = nowMs;
      this.#last = this.#ask();
    }
    return this.#last;
  }

  async #ask(): Promise<ReplicaStatus> {
    const asks: Promise<{ readonly node: number; readonly logs: readonly LogStatus[] }>[] = [];
    for (const {
      id: node,
      firstShardThread,
      shardIncarnations,
    } of this.#replica.image.liveNodes()) {
      for (let shard = 0; shard < shardIncarnations.length; shard += 1) {
        const at = { node, thread: firstShardThread + shard, slot: SLOT_LOG_HOST };
        const host = this.#system.wellKnown(LogHostProtocol, at);
        const asked = host.ask('status', undefined, { timeoutMs: ANSWER_MS });
        asks.push(asked.catch(() => []).then((logs) => ({ node, logs })));
      }
    }
    const leaders = new Map<number, LogStatus>();
    const failed = new Map<number, number[]>();
    const all = new Map<number, Map<number, LogStatus>>();
    for (const { node, logs } of await Promise.all(asks)) {
      for (const status of logs) {
        const { logId, role } = status;
        const ofLog = all.get(logId) ?? new Map<number, LogStatus>();
        all.set(logId, ofLog.set(node, status));
        if (role === 'leader' || role === 'starting') leaders.set(logId, status);
        else if (role === 'failed') failed.set(logId, [...(failed.get(logId) ?? []), node]);
      }
    }
    return { leaders, all, failed };
  }
}
