// Greetings of followers that were quicker than the metadata of this node: kept until the log is led
// here, so that they are answered then and not when the follower greets again. At most one per follower
// and log; what is kept is no older than the link that brought it.
import type { Hello } from '../../replication/types.ts';

/** Greetings kept on one shard; beyond it all are dropped, and the followers greet again. */
const KEPT_MAX = 4096;

export class EarlyHellos {
  readonly #byLog = new Map<number, Map<number, Hello>>();
  #count = 0;

  keep(logId: number, hello: Hello): void {
    if (this.#count >= KEPT_MAX) this.#clear();
    let ofLog = this.#byLog.get(logId);
    if (ofLog === undefined) {
      ofLog = new Map();
      this.#byLog.set(logId, ofLog);
    }
    if (!ofLog.has(hello.from.node)) this.#count += 1;
    ofLog.set(hello.from.node, hello);
  }

  /** Gives out what was said to the leader of `epoch`; older greetings are gone, newer ones stay. */
  take(logId: number, epoch: number): readonly Hello[] {
    const ofLog = this.#byLog.get(logId);
    if (ofLog === undefined) return [];
    const taken: Hello[] = [];
    for (const [node, hello] of ofLog) {
      if (hello.epoch > epoch) continue;
      ofLog.delete(node);
      this.#count -= 1;
      if (hello.epoch === epoch) taken.push(hello);
    }
    if (ofLog.size === 0) this.#byLog.delete(logId);
    return taken;
  }

  /** The link to a node ended: what came over it is not followed by anything any more. */
  dropNode(node: number): void {
    for (const [logId, ofLog] of this.#byLog) {
      if (ofLog.delete(node)) this.#count -= 1;
      if (ofLog.size === 0) this.#byLog.delete(logId);
    }
  }

  dropLog(logId: number): void {
    this.#count -= this.#byLog.get(logId)?.size ?? 0;
    this.#byLog.delete(logId);
  }

  #clear(): void {
    this.#byLog.clear();
    this.#count = 0;
  }
}
