// The log device of one replica in a walk: what is in memory, what is durable, and the operations
// between them, completed one by one and in order. A crash forgets what was not completed.

import type { EpochStart, ReplicaLog } from '../../src/replication/types.ts';
import { mix32 } from '../../src/std/hash.ts';

export interface WorldFrame {
  readonly seq: number;
  readonly epoch: number;
  readonly value: number;
  readonly chain: number;
  readonly previousChain: number;
}

export function makeFrame(
  previous: WorldFrame | undefined,
  epoch: number,
  value: number,
): WorldFrame {
  const seq = (previous?.seq ?? 0) + 1;
  const previousChain = previous?.chain ?? 0;
  const chain = mix32(mix32(mix32(previousChain ^ seq) ^ epoch) ^ value) >>> 0;
  return { seq, epoch, value, chain, previousChain };
}

type Operation =
  | { readonly kind: 'append'; readonly frame: WorldFrame }
  | { readonly kind: 'cut'; readonly toSeq: number; readonly isSilent: boolean }
  | { readonly kind: 'install'; readonly frames: readonly WorldFrame[] };

export type Completion =
  /**
   * Nobody is told: a frame that was cut meanwhile, or a cut that was reported when it was logged.
   */
  | { readonly kind: 'silent' }
  | { readonly kind: 'durable'; readonly seq: number }
  | { readonly kind: 'cut'; readonly seq: number; readonly chain: number }
  | { readonly kind: 'installed'; readonly seq: number; readonly chain: number };

export class WorldDisk {
  /** All frames from seq 1: released ones stay visible to the checker. */
  frames: WorldFrame[] = [];
  durable: WorldFrame[] = [];
  /** Committed seq as last written down. */
  committedSeq = 0;
  firstFrameSeq = 1;
  #operations: Operation[] = [];

  get end(): WorldFrame | undefined {
    return this.frames.at(-1);
  }

  append(frame: WorldFrame): void {
    this.frames.push(frame);
    this.#operations.push({ kind: 'append', frame });
  }

  cut(toSeq: number): void {
    this.#operations.push({ kind: 'cut', toSeq, isSilent: false });
  }

  /** The other way of a shell: later frames may be logged behind the cut before it is durable. */
  cutAtOnce(toSeq: number): void {
    this.frames.length = Math.min(this.frames.length, toSeq);
    this.#operations.push({ kind: 'cut', toSeq, isSilent: true });
  }

  install(frames: readonly WorldFrame[]): void {
    this.#operations.push({ kind: 'install', frames });
  }

  get isIdle(): boolean {
    return this.#operations.length === 0;
  }

  /** The device finishes its oldest operation. */
  complete(): Completion | undefined {
    const operation = this.#operations.shift();
    if (operation === undefined) return undefined;
    if (operation.kind === 'append') {
      this.durable.push(operation.frame);
      if (this.frames[operation.frame.seq - 1] !== operation.frame) return { kind: 'silent' };
      return { kind: 'durable', seq: operation.frame.seq };
    }
    if (operation.kind === 'cut') {
      if (!operation.isSilent) {
        this.frames.length = Math.min(this.frames.length, operation.toSeq);
      }
      this.durable.length = Math.min(this.durable.length, operation.toSeq);
      if (operation.isSilent) return { kind: 'silent' };
      return { kind: 'cut', seq: operation.toSeq, chain: this.end?.chain ?? 0 };
    }
    this.frames = [...operation.frames];
    this.durable = [...operation.frames];
    this.firstFrameSeq = this.frames.length + 1;
    this.committedSeq = this.frames.length;
    return { kind: 'installed', seq: this.frames.length, chain: this.end!.chain };
  }

  crash(): void {
    this.#operations = [];
    this.frames = [...this.durable];
  }

  /** Power or device failure: acknowledged frames vanish too. */
  loseTail(keep: number): void {
    this.durable.length = Math.min(keep, this.durable.length);
    this.crash();
    this.committedSeq = Math.min(this.committedSeq, this.durable.length);
    this.firstFrameSeq = Math.min(this.firstFrameSeq, this.durable.length + 1);
  }

  epochs(): EpochStart[] {
    const starts: EpochStart[] = [];
    for (const { epoch, seq } of this.frames) {
      if (starts.at(-1)?.epoch !== epoch) starts.push({ epoch, firstSeq: seq });
    }
    // Recovery knows epochs back to the snapshot only.
    while (starts.length > 1 && starts[1]!.firstSeq < this.firstFrameSeq) starts.shift();
    return starts;
  }

  recover(): ReplicaLog {
    return {
      endSeq: this.frames.length,
      endChain: this.end?.chain ?? 0,
      durableSeq: this.durable.length,
      committedSeq: this.committedSeq,
      firstFrameSeq: this.firstFrameSeq,
      epochs: this.epochs(),
    };
  }
}
