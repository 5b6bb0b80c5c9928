// What the logs of a shard share: the WAL, memory, open files, counters, and the queues that the shard
// store works off between turns. Internal to the room.
import type { BufferPool } from '../std/buffer-pool.ts';
import type { ShardStoreOptions, StoreCounters } from './api.ts';
import type { FrameCodec } from './frame-format.ts';
import type { Scrubber } from './scrubber.ts';
import type { SegmentHost } from './segment.ts';
import type { Settler } from './settler.ts';
import type { Chunk, SlabPool } from './slab.ts';
import type { SpaceWatch } from './space-watch.ts';
import type { StoreSuper } from './store-files.ts';
import type { StoredLogCore } from './stored-log.ts';
import type { WalFiles } from './wal-files.ts';
import type { WalWriter } from './wal-writer.ts';

type Optional = 'onSnapshotWanted' | 'checkpointBytes';

export type ResolvedOptions = Required<Omit<ShardStoreOptions, Optional>> &
  Pick<ShardStoreOptions, Optional>;

export interface LogHost extends SegmentHost {
  readonly codec: FrameCodec;
  readonly options: ResolvedOptions;
  readonly slabs: SlabPool;
  readonly wal: WalWriter<StoredLogCore>;
  readonly walFiles: WalFiles;
  readonly memoryTail: MemoryTail;
  readonly counters: StoreCounters;
  readonly superblock: StoreSuper;
  /** For what is being written to segments. */
  readonly buffers: BufferPool;
  readonly settler: Settler;
  readonly space: SpaceWatch;
  readonly scrubber: Scrubber;
  /** Set once the store is closed or fenced: nothing is written any more. */
  readonly isStopped: boolean;
  /** Bytes of frames above the committed seqs of all durable logs. */
  uncommittedBytes: number;
  /** The last log that tried to settle found no space: told once, until one finds it. */
  isSettleShort: boolean;
  /** WAL bytes between checkpoints. */
  readonly checkpointBytes: number;
  /** An append was refused: `onRoom` is owed, and memory should become free. */
  wantRoom(): void;
  /** A log in memory has a new frame: it counts as durable with the next turn. */
  memoryAppended(log: StoredLogCore): void;
  /** A committed seq moved: it is noted in the WAL, and the tail will settle. */
  committedMoved(log: StoredLogCore): void;
  /** Too many segments are open with bytes to sync: a checkpoint is due. */
  wantSync(): void;
  fail(error: Error): void;
  checkpoint(): Promise<void>;
}

/** Slab memory for frames that never go to a WAL. */
export class MemoryTail {
  readonly #slabs: SlabPool;
  chunk!: Chunk;
  #tail: Chunk | undefined;
  at = 0;

  constructor(slabs: SlabPool) {
    this.#slabs = slabs;
  }

  /** Room for `size` bytes at `chunk`, `at`; false at the limit. */
  reserve(size: number): boolean {
    let tail = this.#tail;
    if (tail !== undefined && tail.holds === 1) tail.used = 0;
    if (tail === undefined || tail.used + size > tail.bytes.length) {
      const chunk = this.#slabs.take(size);
      if (chunk === undefined) return false;
      if (tail !== undefined) this.#slabs.release(tail);
      this.#tail = chunk;
      tail = chunk;
    }
    this.chunk = tail;
    this.at = tail.used;
    tail.used += size;
    return true;
  }
}
