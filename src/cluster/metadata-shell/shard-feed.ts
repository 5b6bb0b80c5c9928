// Feeds the shards of a node with committed metadata, in order, and knows how far each has applied it.
import type { Ref } from '../../actors/ref.ts';
import type { System } from '../../actors/system.ts';
import type { ReplicaOps } from './metadata-protocol.ts';

interface Shard {
  readonly thread: number;
  readonly ref: Ref<ReplicaOps>;
  appliedIndex: number;
  isLive: boolean;
}

interface Waiting {
  readonly index: number;
  readonly resolve: () => void;
}

export class ShardFeed {
  /** For the shard of the main thread, which has no feed. */
  onRejected: (logId: number, attempt: number) => void = () => undefined;
  readonly #shards: Shard[];
  #entries: [number, Uint8Array][] = [];
  #waiting: Waiting[] = [];

  constructor(shards: readonly { readonly thread: number; readonly ref: Ref<ReplicaOps> }[]) {
    this.#shards = shards.map((shard) => ({ ...shard, appliedIndex: 0, isLive: false }));
  }

  entry(index: number, command: Uint8Array): void {
    if (this.#shards.length > 0) this.#entries.push([index, command]);
  }

  /** The image was replaced: entries collected before are part of it. */
  image(index: number, controllerId: number, bytes: Uint8Array): void {
    this.#entries = [];
    for (const shard of this.#shards) {
      if (shard.isLive) shard.ref.tell('image', { index, controllerId: controllerId + 1, bytes });
    }
  }

  flush(index: number, controllerId: number): void {
    if (this.#entries.length > 0) {
      const input = { controllerId: controllerId + 1, entries: this.#entries };
      for (const shard of this.#shards) if (shard.isLive) shard.ref.tell('entries', input);
      this.#entries = [];
    }
    if (this.#shards.length === 0) this.#release(index);
    else this.#check(index);
  }

  controller(controllerId: number): void {
    for (const { ref, isLive } of this.#shards) {
      if (isLive) ref.tell('controller', { controllerId: controllerId + 1 });
    }
  }

  restart(thread: number, index: number, controllerId: number, bytes: Uint8Array): void {
    const shard = this.#shards.find((each) => each.thread === thread);
    if (shard === undefined) return;
    shard.isLive = true;
    shard.appliedIndex = 0;
    shard.ref.tell('image', { index, controllerId: controllerId + 1, bytes });
  }

  lost(thread: number): void {
    const shard = this.#shards.find((each) => each.thread === thread);
    if (shard !== undefined) shard.isLive = false;
    this.#check(Number.MAX_SAFE_INTEGER);
  }

  applied(thread: number, index: number): void {
    const shard = this.#shards.find((each) => each.thread === thread);
    if (shard === undefined) return;
    shard.appliedIndex = Math.max(shard.appliedIndex, index);
    this.#check(Number.MAX_SAFE_INTEGER);
  }

  safeSetRejected(thread: number, logId: number, attempt: number): void {
    const shard = this.#shards.find((each) => each.thread === thread);
    if (shard === undefined) this.onRejected(logId, attempt);
    else shard.ref.tell('safeSetRejected', { logId, attempt });
  }

  #reached(mainIndex: number): number {
    let least = mainIndex;
    for (const shard of this.#shards) {
      if (shard.isLive) least = Math.min(least, shard.appliedIndex);
    }
    return least;
  }

  #check(mainIndex: number): void {
    this.#release(this.#reached(mainIndex));
  }

  #release(index: number): void {
    if (this.#waiting.length === 0) return;
    const stay: Waiting[] = [];
    for (const waiting of this.#waiting) {
      if (waiting.index <= index) waiting.resolve();
      else stay.push(waiting);
    }
    this.#waiting = stay;
  }

  /** True when this thread and every live shard have applied `index` within the time. */
  appliedEverywhere(
    index: number,
    mainIndex: () => number,
    system: System,
    timeoutMs: number,
  ): Promise<boolean> {
    if (this.#reached(mainIndex()) >= index) return Promise.resolve(true);
    return new Promise((resolve) => {
      const deadline = system.deadlines.after(timeoutMs, () => {
        this.#waiting = this.#waiting.filter((each) => each !== waiting);
        resolve(false);
      });
      const waiting: Waiting = {
        index,
        resolve: () => {
          system.deadlines.cancel(deadline);
          resolve(true);
        },
      };
      this.#waiting.push(waiting);
    });
  }
}
