// The shard store: the logs of one shard over one WAL, and what runs between turns: settling of committed
// tails, checkpoints, relief of memory. It decides nothing about replication. Every timer is shared by
// all logs and armed only while there is something to do, so idle logs cost nothing.
import type { Cancel } from '../env/environment.ts';
import { assert } from '../std/assert.ts';
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
import { errnoOf, storageErrorFrom } from './errors.ts';
import { type FrameCodec, TYPE_DELETE } from './frame-format.ts';
import { NO_ANCHOR } from './frame-table.ts';
import { type LogHost, MemoryTail, type ResolvedOptions } from './log-host.ts';
import { OpenFiles } from './open-files.ts';
import { IO_BYTES } from './segment.ts';
import { settleLog } from './settle.ts';
import { SlabPool } from './slab.ts';
import type { StoreMarks } from './store-files.ts';
import { StoredLogCore } from './stored-log.ts';
import type { WalFiles } from './wal-files.ts';
import { closedError, type WalStart, WalWriter } from './wal-writer.ts';

/** Longest settling work in one turn. */
const SETTLE_TURN_BYTES = 4 << 20;
const SETTLE_STEP_BYTES = 1 << 20;
const BLOCKED_RETRY_MS = 1000;

export interface StoreParts {
  readonly env: StorageEnvironment;
  readonly codec: FrameCodec;
  readonly options: ResolvedOptions;
  readonly walFiles: WalFiles;
  readonly counters: StoreCounters;
  readonly marks: StoreMarks;
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
    refusedFull: 0,
    refusedPinned: 0,
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
  readonly counters: StoreCounters;
  readonly scratch = new Uint8Array(IO_BYTES);
  readonly stage = new Uint8Array(IO_BYTES);
  readonly cleanStart: boolean;
  readonly bootCount: number;
  #failedSync: boolean;
  wal!: WalWriter<StoredLogCore>;
  onDurable: (changed: readonly StoredLog[]) => void = () => undefined;
  onRoom: () => void = () => undefined;
  onFailure: (error: Error) => void = () => undefined;
  failure: Error | undefined;
  isStopped = false;
  uncommittedBytes = 0;
  isSettleShort = false;
  readonly logsById = new Map<number, StoredLogCore>();
  readonly #parts: StoreParts;
  #checkpointer!: Checkpointer;
  #isRoomWanted = false;
  /** Logs with committed frames that are not settled; some are due at once. */
  readonly #settling = new Set<StoredLogCore>();
  readonly #urgent = new Set<StoredLogCore>();
  readonly #notes: StoredLogCore[] = [];
  #memoryChanged: StoredLogCore[] = [];
  #cancelSettle: Cancel | undefined;
  #cancelRelief: Cancel | undefined;
  #cancelCheckpoint: Cancel | undefined;
  #checkpointLsn = 0;
  #running: Promise<void> | undefined;

  constructor(parts: StoreParts) {
    this.#parts = parts;
    this.env = parts.env;
    this.codec = parts.codec;
    this.options = parts.options;
    this.walFiles = parts.walFiles;
    this.counters = parts.counters;
    this.cleanStart = parts.cleanStart;
    this.#failedSync = parts.failedSync;
    this.bootCount = parts.bootCount;
    this.slabs = new SlabPool(parts.options.slabBytesMax);
    this.openFiles = new OpenFiles(parts.env.disk, parts.options.openFilesMax);
    this.memoryTail = new MemoryTail(this.slabs);
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
        onNoSpace: () => this.#startCheckpoint(false),
        fillCommits: (bytes, at, countMax) => this.#fillCommits(bytes, at, countMax),
      },
      start,
    );
    this.#checkpointer = new Checkpointer(this, this.logsById, checkpoint);
    this.#checkpointLsn = start.lsn;
    for (const log of this.logsById.values()) {
      if (log.settledSeq < log.committedSeq) this.committedMoved(log);
    }
  }

  get checkpointBytes(): number {
    const current = this.walFiles.current?.size ?? this.options.walFileBytesMin;
    return this.options.checkpointBytes ?? current;
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
    this.#settling.delete(log);
    this.#urgent.delete(log);
    log.isDeleted = true;
    log.releaseMemory();
    const { segments } = log;
    log.table.reset(NO_ANCHOR);
    log.durableSeq = log.committedSeq = 0;
    const removeFiles = (): void => {
      for (const segment of segments.list) segment.doom();
      this.#removeFolder(
        log,
        segments.list.some((segment) => segment.pins > 0),
      );
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
    this.wal.startGroup();
    if (this.#memoryChanged.length > 0) {
      const changed = this.#memoryChanged;
      this.#memoryChanged = [];
      for (const log of changed) log.isMemoryQueued = false;
      this.onDurable(changed);
    }
    if (this.#urgent.size > 0) this.#settleUrgent();
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
    const since = this.wal.durableLsn - this.#checkpointLsn;
    if (since >= this.checkpointBytes) this.#startCheckpoint(true);
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
    if (!this.#settling.has(log)) {
      log.settleDueMs = this.env.clock.monotonicMs() + this.options.settleAgeMs;
      this.#settling.add(log);
      this.#armSettle(log.settleDueMs);
    }
    if (log.tailBytes >= this.options.settleBytes) this.#urgent.add(log);
  }

  #fillCommits(bytes: Uint8Array, at: number, countMax: number): number {
    const notes = this.#notes;
    let count = 0;
    while (count < countMax && notes.length > 0) {
      const log = notes.pop()!;
      log.isNoteQueued = false;
      if (log.isDeleted) continue;
      writeU64le(bytes, at + 16 * count, log.logId);
      writeU64le(bytes, at + 16 * count + 8, log.committedSeq);
      count += 1;
    }
    return count;
  }

  // ---- settling and memory --------------------------------------------------------------------

  #settleUrgent(): void {
    const until = this.counters.settledBytes + SETTLE_TURN_BYTES;
    for (const log of this.#urgent) {
      this.#urgent.delete(log);
      this.#settle(log);
      if (this.counters.settledBytes >= until) return;
    }
  }

  /** One step for one log. Answers whether something is left to do soon. */
  #settle(log: StoredLogCore): boolean {
    const result = settleLog(log, SETTLE_STEP_BYTES);
    if (result === 'done') {
      if (log.settledSeq >= log.committedSeq) this.#settling.delete(log);
      return false;
    }
    if (result === 'more') this.#urgent.add(log);
    else log.settleDueMs = this.env.clock.monotonicMs() + BLOCKED_RETRY_MS;
    return result === 'more';
  }

  #armSettle(dueMs: number): void {
    if (this.#cancelSettle !== undefined || this.isStopped) return;
    this.#cancelSettle = this.env.timers.at(dueMs, () => {
      this.#cancelSettle = undefined;
      this.#settleDue();
    });
  }

  #settleDue(): void {
    const nowMs = this.env.clock.monotonicMs();
    const until = this.counters.settledBytes + SETTLE_TURN_BYTES;
    let nextMs = Number.POSITIVE_INFINITY;
    for (const log of this.#settling) {
      if (this.counters.settledBytes >= until) {
        nextMs = nowMs;
        break;
      }
      if (log.settleDueMs <= nowMs) {
        // Due, but perhaps not durable yet: looked at again with the next age.
        log.settleDueMs = nowMs + this.options.settleAgeMs;
        if (this.#settle(log)) log.settleDueMs = nowMs;
      }
      if (this.#settling.has(log)) nextMs = Math.min(nextMs, log.settleDueMs);
    }
    if (nextMs < Number.POSITIVE_INFINITY) this.#armSettle(nextMs);
    if (this.#isRoomWanted) this.#offerRoom();
  }

  /** Makes slab memory free: settles what may settle, then lets durable frames be read from the WAL. */
  #relieve(): void {
    const until = this.counters.settledBytes + SETTLE_TURN_BYTES;
    for (const log of [...this.#settling]) {
      if (!this.slabs.isHalfFull || this.counters.settledBytes >= until) return;
      this.#settle(log);
    }
    if (this.slabs.hasRoom && !this.#isRoomWanted) return;
    const { durableLsn } = this.wal;
    for (const log of this.logsById.values()) {
      if (log.isMemory) continue;
      const { table } = log;
      for (let seq = log.settledSeq + 1; seq <= log.durableSeq; seq += 1) {
        if (table.has(seq) && table.lsn[table.slot(seq)]! < durableLsn) log.makeCold(seq);
      }
    }
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

  // ---- checkpoints ----------------------------------------------------------------------------

  #armCheckpoint(): void {
    if (this.#cancelCheckpoint !== undefined || this.#running !== undefined) return;
    const dueMs = this.env.clock.monotonicMs() + this.options.checkpointMs;
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
    const run = this.#checkpointer
      .run({ isCarrying })
      .catch((error: unknown) => {
        const errno = errnoOf(error);
        const isFull = errno === 'ENOSPC' || errno === 'STORAGE_FULL';
        // Without room the WAL just stays longer; anything else means that a write was lost.
        const isOver = this.isStopped || errno === 'STORAGE_CLOSED';
        if (!isFull && !isOver) this.fail(storageErrorFrom(error, 'taking a checkpoint'));
        throw error;
      })
      .finally(() => {
        this.#running = undefined;
      });
    this.#running = run;
    return run;
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

  fail(error: Error, failedSync = true): void {
    if (this.failure !== undefined || this.isStopped) return;
    this.failure = error;
    this.#stop();
    try {
      this.#parts.marks.write({ bootCount: this.bootCount, isClean: false, failedSync });
    } catch (failed) {
      this.env.log.error('the failed-sync mark was not written', { why: messageOf(failed) });
    }
    this.env.log.error('the store is fenced', { why: error.message });
    this.onFailure(error);
  }

  #stop(): void {
    this.isStopped = true;
    this.wal.stop();
    this.#cancelSettle?.();
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
    this.#parts.marks.close();
    this.#parts.lock.release();
  }
}
