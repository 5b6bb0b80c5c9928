// Feeds the shards of a node with committed metadata, in order, and knows how far each has applied it. A
// shard that has no room for the next entries, or is too far behind to be sent more, is sent the whole image
// when it has: nothing that was committed is missed.
import type { Input } from '../../actors/protocol.ts';
import type { Ref } from '../../actors/ref.ts';
import type { System } from '../../actors/system.ts';
import type { LeaderMove } from '../metadata/index.ts';
import type { ReplicaOps } from './metadata-protocol.ts';

/** Messages that a shard may have before it; far fewer than its mailbox takes. */
const UNDER_WAY_MAX = 1_024;

export type ShardImage = Input<ReplicaOps['image']>;

interface Shard {
  readonly thread: number;
  readonly ref: Ref<ReplicaOps>;
  appliedIndex: number;
  isLive: boolean;
  /** Something was not sent: an image must come before anything else. */
  isBehind: boolean;
  isWaiting: boolean;
  /** The last index of each message that it has not said to have applied. */
  underWay: number[];
}

interface Waiting {
  readonly index: number;
  readonly resolve: () => void;
}

export class ShardFeed {
  /** For the shard of the main thread, which has no feed. */
  onRejected: (logId: number, attempt: number) => void = () => undefined;
  onMoveRefused: (move: LeaderMove) => void = () => undefined;
  readonly #shards: Shard[];
  readonly #image: () => ShardImage;
  #entries: [number, Uint8Array][] = [];
  #waiting: Waiting[] = [];

  /** `image`: all of the metadata as it is now. */
  constructor(
    shards: readonly { readonly thread: number; readonly ref: Ref<ReplicaOps> }[],
    image: () => ShardImage,
  ) {
    this.#image = image;
    this.#shards = shards.map((shard) => ({
      ...shard,
      appliedIndex: 0,
      isLive: false,
      isBehind: false,
      isWaiting: false,
      underWay: [],
    }));
  }

  entry(index: number, command: Uint8Array): void {
    if (this.#shards.length > 0) this.#entries.push([index, command]);
  }

  /** The image was replaced: entries collected before are part of it. */
  imageReplaced(): void {
    this.#entries = [];
    for (const shard of this.#shards) if (shard.isLive) this.#sendImage(shard);
  }

  flush(index: number, controllerId: number): void {
    const last = this.#entries[this.#entries.length - 1];
    if (last !== undefined) {
      const input = { controllerId: controllerId + 1, entries: this.#entries };
      for (const shard of this.#shards) {
        if (!shard.isLive || shard.isBehind) continue;
        const hasRoom = shard.underWay.length < UNDER_WAY_MAX;
        if (hasRoom && shard.ref.offer('entries', input) === 'accepted') {
          shard.underWay.push(last[0]);
        } else this.#fellBehind(shard);
      }
      this.#entries = [];
    }
    if (this.#shards.length === 0) this.#release(index);
    else this.#check(index);
  }

  controller(controllerId: number): void {
    for (const shard of this.#shards) {
      if (!shard.isLive || shard.isBehind) continue;
      const admission = shard.ref.offer('controller', { controllerId: controllerId + 1 });
      if (admission !== 'accepted') this.#fellBehind(shard);
    }
  }

  /** The thread lives (again) and knows nothing. */
  restart(thread: number): void {
    const shard = this.#shards.find((each) => each.thread === thread);
    if (shard === undefined) return;
    shard.isLive = true;
    shard.appliedIndex = 0;
    shard.underWay = [];
    this.#sendImage(shard);
  }

  #sendImage(shard: Shard): void {
    const image = this.#image();
    shard.isBehind = shard.ref.offer('image', image) !== 'accepted';
    if (shard.isBehind) this.#fellBehind(shard);
    else shard.underWay.push(image.index);
  }

  #fellBehind(shard: Shard): void {
    shard.isBehind = true;
    // With much under way the answers to it tell when there is room.
    if (shard.isWaiting || shard.underWay.length >= UNDER_WAY_MAX) return;
    shard.isWaiting = true;
    // Never rejects without a signal.
    void shard.ref.ready().then(() => {
      shard.isWaiting = false;
      if (shard.isLive && shard.isBehind) this.#sendImage(shard);
    });
  }

  lost(thread: number): void {
    const shard = this.#shards.find((each) => each.thread === thread);
    if (shard !== undefined) {
      shard.isLive = false;
      shard.isBehind = false;
    }
    this.#check(Number.MAX_SAFE_INTEGER);
  }

  applied(thread: number, index: number): void {
    const shard = this.#shards.find((each) => each.thread === thread);
    if (shard === undefined) return;
    shard.appliedIndex = Math.max(shard.appliedIndex, index);
    shard.underWay = shard.underWay.filter((each) => each > index);
    if (shard.isLive && shard.isBehind && shard.underWay.length === 0) this.#sendImage(shard);
    this.#check(Number.MAX_SAFE_INTEGER);
  }

  safeSetRejected(thread: number, logId: number, attempt: number): void {
    const shard = this.#shards.find((each) => each.thread === thread);
    if (shard === undefined) this.onRejected(logId, attempt);
    // Lost where there is no room: an attempt that nobody decides is repeated.
    else shard.ref.tell('safeSetRejected', { logId, attempt });
  }

  moveRefused(thread: number, move: LeaderMove): void {
    const shard = this.#shards.find((each) => each.thread === thread);
    if (shard === undefined) this.onMoveRefused(move);
    // Lost where there is no room: the leader's time ends by itself.
    else {
      const { logId, epoch, partitionEpoch } = move;
      shard.ref.tell('moveRefused', { logId, epoch, partitionEpoch });
    }
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
