// The shard store: the logs of one shard over one WAL, and what runs between turns: settling of committed
// tails, checkpoints, relief of memory. It decides nothing about replication. Every timer is shared by
// all logs and armed only while there is something to do, so idle logs cost nothing.
import type { Cancel } from '../env/environment.ts';
import { assert } from '../std/assert.ts';
import { BufferPool } from '../std/buffer-pool.ts';
import { writeU64le } from '../std/bytes.ts';
import { messageOf } from '../std/errors.ts';
import type {
  LogDurability,
  ShardStore,
  StorageEnvironment,
  StoreCounters,
  StoredLog,
} from './api.ts';
import { Checkpointer } from './checkpointer.ts';
import { errnoOf, isShortOfDescriptors, storageErrorFrom } from './errors.ts';
import { type FrameCodec, TYPE_DELETE } from './frame-format.ts';
import { NO_ANCHOR } from './frame-table.ts';
import { type LogHost, MemoryTail, type ResolvedOptions } from './log-host.ts';
import { OpenFiles } from './open-files.ts';
import type { SavingDisk } from './saving-disk.ts';
import { Scrubber } from './scrubber.ts';
import { IO_BYTES, type Segment } from './segment.ts';
import { settleIdle } from './settle.ts';
import { Settler } from './settler.ts';
import { SlabPool } from './slab.ts';
import { SpaceWatch } from './space-watch.ts';
import type { StoreMarks, StoreSuper } from './store-files.ts';
import { StoredLogCore } from './stored-log.ts';
import type { WalFiles } from './wal-files.ts';
import { closedError, type WalStart, WalWriter } from './wal-writer.ts';

/** Checkpoints in the time of one while the disk is full. */
const SHORT_CHECKPOINTS = 32;
const RETRY_MS = 1000;

export interface StoreParts {
  readonly env: StorageEnvironment;
  readonly codec: FrameCodec;
  readonly options: ResolvedOptions;
  readonly walFiles: WalFiles;
  readonly counters: StoreCounters;
  readonly marks: StoreMarks;
  readonly superblock: StoreSuper;
  /** What `env.disk` is: it knows which open files can be done without. */
  readonly saving: SavingDisk;
  readonly lock: { release(): void };
  readonly cleanStart: boolean;
  readonly failedSync: boolean;
  readonly bootCount: number;
}

export function newCounters(): StoreCounters {
  return {
    walGroups: 0,
    walSeals: 0,
    walFrames: 0,
    walBytes: 0,
    carriedFrames: 0,
    walFilesMade: 0,
    walFilesRecycled: 0,
    settledBytes: 0,
    settledBatches: 0,
    checkpoints: 0,
    snapshotsWritten: 0,
    segmentsRewritten: 0,
    rewrittenBytes: 0,
    rewriteFreedBytes: 0,
    segmentsRemoved: 0,
    segmentBytesRemoved: 0,
    scrubPasses: 0,
    scrubBytes: 0,
    scrubLogs: 0,
    scrubLogsLeft: 0,
    damagedSegments: 0,
    segmentsRepaired: 0,
    refusedFull: 0,
    refusedPinned: 0,
    refusedNoSpace: 0,
  };
}

export class ShardStoreCore implements ShardStore, LogHost {
  readonly env: StorageEnvironment;
  readonly codec: FrameCodec;
  readonly options: ResolvedOptions;
  readonly slabs: SlabPool;
  readonly walFiles: WalFiles;
  readonly openFiles: OpenFiles;
  readonly memoryTail: MemoryTail;
  readonly space: SpaceWatch;
  readonly counters: StoreCounters;
  readonly scratch = new Uint8Array(IO_BYTES);
  readonly buffers = new BufferPool();
  readonly settler = new Settler(this, () => this.#settled());
  readonly superblock: StoreSuper;
  readonly logsById = new Map<number, StoredLogCore>();
  readonly scrubber = new Scrubber(this, this.logsById);
  readonly cleanStart: boolean;
  readonly bootCount: number;
  #failedSync: boolean;
  wal!: WalWriter<StoredLogCore>;
  onDurable: (changed: readonly StoredLog[]) => void = () => undefined;
  onRoom: () => void = () => undefined;
  #onFailure: ((error: Error) => void) | undefined;
  onDamage: (log: StoredLog) => void = () => undefined;
  failure: Error | undefined;
  isStopped = false;
  uncommittedBytes = 0;
  isSettleShort = false;
  readonly #parts: StoreParts;
  #checkpointer!: Checkpointer;
  #isRoomWanted = false;
  readonly #notes: StoredLogCore[] = [];
  #memoryChanged: StoredLogCore[] = [];
  #cancelRelief: Cancel | undefined;
  #cancelCheckpoint: Cancel | undefined;
  #armedMs = 0;
  /** After a checkpoint that failed, nobody's wish for one counts before. */
  #syncFromMs = 0;
  #checkpointLsn = 0;
  #upkeepBefore = 0;
  #running: Promise<void> | undefined;

  constructor(parts: StoreParts) {
    this.#parts = parts;
    this.env = parts.env;
    this.codec = parts.codec;
    this.options = parts.options;
    this.walFiles = parts.walFiles;
    this.counters = parts.counters;
    this.superblock = parts.superblock;
    this.cleanStart = parts.cleanStart;
    this.#failedSync = parts.failedSync;
    this.bootCount = parts.bootCount;
    this.slabs = new SlabPool(parts.options.slabBytesMax);
    this.openFiles = new OpenFiles(parts.env.disk, parts.options.openFilesMax);
    parts.saving.giveBack = () => this.openFiles.giveBack();
    this.memoryTail = new MemoryTail(this.slabs);
    const { env, walFiles } = parts;
    this.space = new SpaceWatch(
      { env, walFiles, endLsn: () => this.wal.endLsn, onRoom: () => this.onRoom() },
      parts.options.freeBytesMin,
    );
  }

  /** Begins to write where recovery ended. */
  start(
    start: WalStart,
    checkpoint: { readonly sequence: number; readonly replayLsn: number },
  ): void {
    const { env, codec, slabs, walFiles, counters, options } = this;
    this.wal = new WalWriter<StoredLogCore>(
      { env, codec, slabs, files: walFiles, counters },
      options,
      {
        onDurable: (changed) => this.#groupDurable(changed),
        // Nothing of a group that found no room was durable, and what was before it still is.
        onFailure: (error) =>
          this.fail(error, this.#failedSync || errnoOf(error) !== 'STORAGE_FULL'),
        onNoSpace: () => {
          this.space.look();
          this.#startCheckpoint(false);
        },
        fillCommits: (bytes, at, countMax) => this.#fillCommits(bytes, at, countMax),
      },
      start,
    );
    this.#checkpointer = new Checkpointer(this, this.logsById, checkpoint);
    this.#checkpointLsn = start.lsn;
    this.walFiles.onPrepared = () => this.space.look();
    for (const log of this.logsById.values()) {
      if (log.settledSeq < log.committedSeq) this.committedMoved(log);
    }
    this.space.look();
    this.scrubber.start();
  }

  get checkpointBytes(): number {
    const current = this.walFiles.current?.size ?? this.options.walFileBytesMin;
    return this.options.checkpointBytes ?? current;
  }

  get unwrittenBytes(): number {
    return this.wal.endLsn - this.wal.durableLsn;
  }

  get isShortOfSpace(): boolean {
    return this.space.isShort;
  }

  lookAtSpace(): number {
    this.space.look();
    return this.space.freeBytes;
  }

  get slabBytes(): number {
    return this.slabs.usedBytes;
  }

  // ---- logs -----------------------------------------------------------------------------------

  createLog(logId: number, options: { readonly durability: LogDurability }): StoredLog {
    assert(Number.isSafeInteger(logId) && logId > 0, 'ShardStore: a log id is a positive integer');
    assert(!this.logsById.has(logId), 'ShardStore: a log is created once');
    if (this.isStopped) throw closedError();
    const log = new StoredLogCore(this, logId, options.durability);
    this.logsById.set(logId, log);
    return log;
  }

  log(logId: number): StoredLog | undefined {
    return this.logsById.get(logId);
  }

  logs(): IterableIterator<StoredLog> {
    return this.logsById.values();
  }

  deleteLog(logId: number): void {
    const log = this.logsById.get(logId);
    if (log === undefined || this.isStopped) return;
    this.logsById.delete(logId);
    this.settler.forget(log);
    log.isDeleted = true;
    log.releaseMemory();
    log.table.reset(NO_ANCHOR);
    log.durableSeq = log.committedSeq = 0;
    const removeNow = (): void => {
      // What nobody has asked for yet nobody reads: it goes with the folder, whether or not it could be loaded.
      const segments = log.loadedSegments?.list ?? [];
      for (const segment of segments) segment.doom();
      this.#removeFolder(
        log,
        segments.some((segment) => segment.pins > 0),
      );
    };
    const removeFiles = (): void => {
      if (log.settleFlight === undefined) removeNow();
      else void settleIdle(log).then(removeNow);
    };
    if (log.isMemory) {
      removeFiles();
      return;
    }
    log.writeMark(TYPE_DELETE, 0);
    // Files go only when the log cannot come back.
    this.wal.whenDurable((error) => {
      if (error === undefined) removeFiles();
    });
  }

  #removeFolder(log: StoredLogCore, isRead: boolean): void {
    // A folder that is still read goes at the next open, as a folder without a log.
    if (isRead || !this.env.disk.exists(log.folder)) return;
    this.env.disk.removeTree(log.folder).catch((error: unknown) => {
      this.env.log.warn('a folder of a deleted log stays', {
        folder: log.folder,
        why: messageOf(error),
      });
    });
  }

  // ---- turns ----------------------------------------------------------------------------------

  startGroup(): void {
    if (this.isStopped) return;
    this.space.turn();
    this.wal.startGroup();
    if (this.#memoryChanged.length > 0) {
      const changed = this.#memoryChanged;
      this.#memoryChanged = [];
      for (const log of changed) log.isMemoryQueued = false;
      this.onDurable(changed);
    }
    this.settler.pump();
    if (this.slabs.isHalfFull) this.#relieve();
    if (this.#isRoomWanted) this.#offerRoom();
  }

  #groupDurable(changed: readonly StoredLogCore[]): void {
    if (changed.length > 0) this.onDurable(changed);
    if (this.isStopped) return;
    if (this.#isRoomWanted) {
      if (!this.slabs.hasRoom) this.#relieve();
      this.#offerRoom();
    }
    // What checkpoints carry forward is no reason for the next one.
    const upkeep = this.wal.upkeepBytes - this.#upkeepBefore;
    const since = this.wal.durableLsn - this.#checkpointLsn - upkeep;
    // What is left of the WAL is soon used up: what need not stay goes early.
    const everyBytes = this.checkpointBytes / (this.space.isShort ? SHORT_CHECKPOINTS : 1);
    if (since >= everyBytes) this.#startCheckpoint(true);
    else if (since > 0) this.#armCheckpoint();
  }

  memoryAppended(log: StoredLogCore): void {
    if (log.isMemoryQueued) return;
    log.isMemoryQueued = true;
    this.#memoryChanged.push(log);
  }

  committedMoved(log: StoredLogCore): void {
    if (!log.isMemory && !log.isNoteQueued) {
      log.isNoteQueued = true;
      this.#notes.push(log);
    }
    this.settler.committedMoved(log);
  }

  #fillCommits(bytes: Uint8Array, at: number, countMax: number): number {
    const notes = this.#notes;
    let count = 0;
    while (count < countMax && notes.length > 0) {
      const log = notes.pop()!;
      log.isNoteQueued = false;
      // Behind an install frame the note would speak of the log before it.
      if (log.isDeleted || log.isInstalling) continue;
      writeU64le(bytes, at + 16 * count, log.logId);
      writeU64le(bytes, at + 16 * count + 8, log.committedSeq);
      count += 1;
    }
    return count;
  }

  // ---- memory ---------------------------------------------------------------------------------

  /** Makes slab memory free: settles what may settle, then lets durable frames be read from the WAL. */
  #relieve(): void {
    if (this.slabs.isHalfFull) this.settler.hurry();
    if (this.slabs.hasRoom && !this.#isRoomWanted) return;
    // What is being written is free soon: frames that went cold would be read back to settle.
    if (this.settler.isBusy) return;
    const { durableLsn } = this.wal;
    for (const log of this.logsById.values()) {
      if (log.isMemory) continue;
      const { table } = log;
      for (let seq = log.settledSeq + 1; seq <= log.durableSeq; seq += 1) {
        if (table.has(seq) && table.lsn[table.slot(seq)]! < durableLsn) log.makeCold(seq);
      }
    }
  }

  #settled(): void {
    if (this.#isRoomWanted || this.slabs.isHalfFull) this.#relieve();
    this.#offerRoom();
  }

  wantRoom(): void {
    this.#isRoomWanted = true;
    if (this.#cancelRelief !== undefined) return;
    this.#cancelRelief = this.env.timers.at(this.env.clock.monotonicMs(), () => {
      this.#cancelRelief = undefined;
      if (this.isStopped) return;
      this.#relieve();
      this.#offerRoom();
    });
  }

  #offerRoom(): void {
    if (!this.#isRoomWanted) return;
    if (!this.slabs.hasRoom || this.uncommittedBytes > this.options.uncommittedBytesMax) return;
    this.#isRoomWanted = false;
    this.onRoom();
  }

  // ---- damage ---------------------------------------------------------------------------------

  segmentDamaged(segment: Segment, position: number): void {
    const { logId, path } = segment;
    this.counters.damagedSegments += 1;
    this.env.log.error('a segment is damaged: nobody is served from it until it is repaired', {
      logId,
      path,
      position,
    });
    const log = this.logsById.get(logId);
    // A log that is being opened is told of when somebody can do something about it.
    if (log === undefined || this.isStopped) return;
    this.scrubber.suspect();
    this.env.timers.at(this.env.clock.monotonicMs(), () => {
      if (!this.isStopped && !log.isDeleted) this.onDamage(log);
    });
  }

  // ---- checkpoints ----------------------------------------------------------------------------

  #armCheckpoint(delayMs = this.options.checkpointMs): void {
    if (this.#running !== undefined || this.isStopped) return;
    const dueMs = this.env.clock.monotonicMs() + delayMs;
    if (this.#cancelCheckpoint !== undefined && this.#armedMs <= dueMs) return;
    this.#cancelCheckpoint?.();
    this.#armedMs = dueMs;
    this.#cancelCheckpoint = this.env.timers.at(dueMs, () => {
      this.#cancelCheckpoint = undefined;
      this.#startCheckpoint(true);
    });
  }

  #startCheckpoint(isCarrying: boolean): void {
    if (this.#running !== undefined || this.isStopped) return;
    this.#runCheckpoint(isCarrying).catch((error: unknown) => {
      this.env.log.warn('a checkpoint did not finish', { why: messageOf(error) });
    });
  }

  #runCheckpoint(isCarrying: boolean): Promise<void> {
    this.#cancelCheckpoint?.();
    this.#cancelCheckpoint = undefined;
    this.#checkpointLsn = this.wal.endLsn;
    this.#upkeepBefore = this.wal.upkeepBytes;
    let isAgain = false;
    const run = this.#checkpointer
      .run({ isCarrying })
      .then((isMore) => {
        isAgain = isMore && !this.isStopped && this.space.refuses(false);
      })
      .catch((error: unknown) => {
        this.#syncFromMs = this.env.clock.monotonicMs() + RETRY_MS;
        const errno = errnoOf(error);
        const isFull = errno === 'ENOSPC' || errno === 'STORAGE_FULL';
        // Without room the WAL just stays longer; anything else means that a write was lost.
        const isOver = this.isStopped || errno === 'STORAGE_CLOSED';
        const isShort = isShortOfDescriptors(error);
        isAgain = isShort && !isOver;
        if (!isFull && !isShort && !isOver)
          this.fail(storageErrorFrom(error, 'taking a checkpoint'));
        throw error;
      })
      .finally(() => {
        this.#running = undefined;
        this.slabs.trim(this.wal.isIdle && this.wal.isSealed);
        // Nothing else may come that starts the next one: what is refused makes no groups.
        if (isAgain) this.#armCheckpoint(RETRY_MS);
        if (!this.isStopped) this.settler.pump();
      });
    this.#running = run;
    return run;
  }

  wantSync(): void {
    // One that runs syncs too.
    if (this.#running !== undefined) return;
    this.#armCheckpoint(Math.max(0, this.#syncFromMs - this.env.clock.monotonicMs()));
  }

  async checkpoint(): Promise<void> {
    while (this.#running !== undefined) await this.#running.catch(() => undefined);
    if (this.isStopped) throw this.failure ?? closedError();
    await this.#runCheckpoint(true);
  }

  // ---- ends -----------------------------------------------------------------------------------

  get failedSync(): boolean {
    return this.#failedSync;
  }

  forgetFailedSync(): void {
    if (!this.#failedSync || this.isStopped) return;
    try {
      this.#parts.marks.write({ bootCount: this.bootCount, isClean: false, failedSync: false });
      this.#failedSync = false;
    } catch (failed) {
      this.env.log.warn('the failed-sync mark stays', { why: messageOf(failed) });
    }
  }

  fail(error: Error, failedSync = errnoOf(error) !== 'STORAGE_NEWER_FORMAT'): void {
    if (this.failure !== undefined || this.isStopped) return;
    this.failure = error;
    this.#stop();
    try {
      this.#parts.marks.write({ bootCount: this.bootCount, isClean: false, failedSync });
    } catch (failed) {
      this.env.log.error('the failed-sync mark was not written', { why: messageOf(failed) });
    }
    this.env.log.error('the store is fenced', { why: error.message });
    this.#onFailure?.(error);
  }

  /** Who comes after the failure hears of it too: the store was open, and nobody's yet. */
  set onFailure(told: (error: Error) => void) {
    const { failure } = this;
    const isUntold = this.#onFailure === undefined && failure !== undefined;
    this.#onFailure = told;
    if (isUntold) this.env.timers.at(this.env.clock.monotonicMs(), () => told(failure));
  }

  #stop(): void {
    this.isStopped = true;
    this.wal.stop();
    this.settler.stop();
    this.space.stop();
    this.scrubber.stop();
    this.#cancelRelief?.();
    this.#cancelCheckpoint?.();
  }

  async close(): Promise<void> {
    if (this.isStopped) {
      this.#release();
      return;
    }
    await new Promise<void>((resolve, reject) => {
      this.wal.whenDurable((error) => (error === undefined ? resolve() : reject(error)));
    });
    await this.checkpoint();
    await this.#sealed();
    for (const log of this.logsById.values()) {
      if (log.isMemory && this.env.disk.exists(log.folder)) {
        for (const segment of log.segments.list) segment.doom();
        await this.env.disk.removeTree(log.folder);
      }
    }
    this.#stop();
    this.#parts.marks.write({ bootCount: this.bootCount, isClean: true, failedSync: false });
    this.#release();
  }

  /** Appends may come while a close waits, so it ends only behind a sealed, quiet WAL. */
  async #sealed(): Promise<void> {
    while (!this.wal.isSealed || !this.wal.isIdle) {
      if (this.wal.isIdle) this.wal.seal();
      await new Promise<void>((resolve, reject) => {
        this.wal.whenDurable((error) => (error === undefined ? resolve() : reject(error)));
      });
    }
  }

  abandon(): void {
    this.#stop();
    this.#release();
  }

  #release(): void {
    this.walFiles.close();
    this.openFiles.closeAll();
    this.#parts.saving.release();
    this.#parts.marks.close();
    this.#parts.lock.release();
  }
}
