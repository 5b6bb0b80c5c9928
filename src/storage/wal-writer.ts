// The writing end of the write-ahead log. Frames are encoded one after another into a slab chunk; what
// collects while a write is in flight is the next group: one contiguous slice, one disk write, padded to
// 4 KiB. A group starts only for frames somebody waits for; others ride along, or go out after a short
// time or size. One group is in flight at a time, so only the last one can be torn.
import type { Cancel } from '../env/environment.ts';
import { assert } from '../std/assert.ts';
import type { StorageEnvironment, StoreCounters } from './api.ts';
import { errnoOf, isShortOfDescriptors, StorageError, storageErrorFrom } from './errors.ts';
import {
  alignUp,
  BLOCK_BYTES,
  FRAME_HEADER_BYTES,
  type FrameCodec,
  FrameFields,
  frameSize,
  NEW_SALT,
  SEAL,
  TYPE_COMMITS,
  TYPE_GROUP,
} from './frame-format.ts';
import type { Chunk, SlabPool } from './slab.ts';
import type { WalFile, WalFiles } from './wal-files.ts';

/** A log as the writer sees it. */
export interface GroupMember {
  /** The last group that holds frames of the log. */
  groupId: number;
  /** Everything below `lsn` is durable. Answers whether the log's durable seq moved. */
  groupDurable(lsn: number): boolean;
}

export interface WalHooks<L extends GroupMember> {
  onDurable(changed: readonly L[]): void;
  onFailure(error: Error): void;
  /** The disk is full and the next file cannot begin: free some of the log. */
  onNoSpace(): void;
  /** Writes up to `countMax` pairs (log id, committed seq) at `at`; answers how many. */
  fillCommits(bytes: Uint8Array, at: number, countMax: number): number;
}

export interface WalWriterOptions {
  readonly unawaitedMs: number;
  readonly unawaitedBytes: number;
  readonly sealAfterMs: number;
}

const COMMIT_NOTE_BYTES = 16;
const COMMIT_NOTES_MAX = 240;
const NO_SPACE_RETRY_MS = 250;

type Durable = (error: Error | undefined) => void;

class Group<L> {
  readonly id: number;
  readonly chunk: Chunk;
  readonly start: number;
  readonly firstLsn: number;
  readonly bornMs: number;
  end: number;
  count = 0;
  isWanted = false;
  flags = 0;
  /** Of frames that were carried forward; somebody appended others. */
  carriedBytes = 0;
  hasNews = false;
  readonly logs: L[] = [];

  constructor(id: number, chunk: Chunk, firstLsn: number, bornMs: number) {
    this.bornMs = bornMs;
    this.id = id;
    this.chunk = chunk;
    this.start = chunk.used;
    this.end = this.start + FRAME_HEADER_BYTES;
    this.firstLsn = firstLsn;
  }
}

/** Where a run begins to write. */
export interface WalStart {
  readonly lsn: number;
  /** The salt of the groups before; undefined if the next group begins a file. */
  readonly saltBefore: number | undefined;
  /** A group on disk says that everything before `lsn` is durable. */
  readonly isSealed: boolean;
}

export interface WalParts {
  readonly env: StorageEnvironment;
  readonly codec: FrameCodec;
  readonly slabs: SlabPool;
  readonly files: WalFiles;
  readonly counters: StoreCounters;
}

export class WalWriter<L extends GroupMember> {
  readonly #parts: WalParts;
  readonly #options: WalWriterOptions;
  readonly #hooks: WalHooks<L>;
  readonly #fields = new FrameFields();
  #tail: Chunk | undefined;
  #open: Group<L> | undefined;
  readonly #closed: Group<L>[] = [];
  #inFlight: Group<L> | undefined;
  #groupId = 0;
  #nextLsn: number;
  /** Everything below is durable; everything below `#sealedLsn` is known to be so on disk. */
  durableLsn: number;
  #sealedLsn: number;
  /** Written for the WAL's own sake, by this run: what was carried forward, and the seal behind it. */
  upkeepBytes = 0;
  #isNewsUnsealed = false;
  /** The salt before this run, until the first group has told the change. */
  #saltBefore: number | undefined;
  #isStopped = false;
  #isStarting = false;
  #cancelUnawaited: Cancel | undefined;
  #cancelSeal: Cancel | undefined;
  #cancelRetry: Cancel | undefined;
  readonly #waiters: { readonly lsn: number; readonly done: Durable }[] = [];
  readonly #changed: L[] = [];
  /** Where `reserve` put the frame. */
  chunk!: Chunk;
  at = 0;
  lsn = 0;

  constructor(parts: WalParts, options: WalWriterOptions, hooks: WalHooks<L>, start: WalStart) {
    this.#parts = parts;
    this.#options = options;
    this.#hooks = hooks;
    this.#nextLsn = start.lsn;
    this.durableLsn = start.lsn;
    this.#sealedLsn = start.isSealed ? start.lsn : 0;
    if (!start.isSealed) this.#armSeal();
    this.#saltBefore = start.saltBefore;
  }

  /** LSN behind everything appended so far. */
  get endLsn(): number {
    const open = this.#open;
    return open === undefined ? this.#nextLsn : open.firstLsn + open.end - open.start;
  }

  get isIdle(): boolean {
    return this.#open === undefined && this.#closed.length === 0 && this.#inFlight === undefined;
  }

  /**
   * Makes room for a frame and sets `chunk`, `at` and `lsn`; false if slab memory is used up.
   * The caller writes the frame there and calls `added` in the same breath.
   */
  reserve(payloadLength: number, isForced: boolean): boolean {
    const size = frameSize(payloadLength);
    let open = this.#open;
    if (open !== undefined && open.end + size > open.chunk.bytes.length) {
      this.#closeOpen();
      open = undefined;
    }
    if (open === undefined) {
      open = this.#begin(size, isForced);
      if (open === undefined) return false;
    }
    this.chunk = open.chunk;
    this.at = open.end;
    this.lsn = open.firstLsn + open.end - open.start;
    open.end += size;
    open.count += 1;
    const { bytes } = open.chunk;
    for (let i = this.at + FRAME_HEADER_BYTES + payloadLength; i < open.end; i += 1) bytes[i] = 0;
    return true;
  }

  #begin(size: number, isForced: boolean): Group<L> | undefined {
    let tail = this.#tail;
    // Nobody needs what is in it: start over in memory that is warm.
    if (tail !== undefined && tail.holds === 1) tail.used = 0;
    if (tail === undefined || tail.used + FRAME_HEADER_BYTES + size > tail.bytes.length) {
      const chunk = this.#parts.slabs.take(FRAME_HEADER_BYTES + size, isForced);
      if (chunk === undefined) return undefined;
      if (tail !== undefined) this.#parts.slabs.release(tail);
      this.#tail = chunk;
      tail = chunk;
    }
    tail.holds += 1;
    this.#groupId += 1;
    const bornMs = this.#parts.env.clock.monotonicMs();
    const group = new Group<L>(this.#groupId, tail, this.#nextLsn, bornMs);
    this.#open = group;
    return group;
  }

  /** The frame reserved last is written. `log` hears when it is durable. */
  added(log: L | undefined, isAwaited: boolean, isCarried = false): void {
    const open = this.#open;
    assert(open !== undefined, 'WalWriter: added follows reserve');
    if (isCarried) open.carriedBytes += open.end - this.at;
    else open.hasNews = true;
    this.#parts.counters.walFrames += 1;
    if (log !== undefined && log.groupId !== open.id) {
      log.groupId = open.id;
      open.logs.push(log);
    }
    if (isAwaited || open.end - open.start >= this.#options.unawaitedBytes) open.isWanted = true;
    else this.#armUnawaited();
  }

  startGroup(): void {
    if (this.#inFlight !== undefined || this.#isStopped || this.#isStarting) return;
    if (this.#closed.length === 0) {
      if (this.#open === undefined || !this.#open.isWanted) return;
      this.#closeOpen();
    }
    this.#writeNext();
  }

  /** Calls `done` when everything appended so far is durable, and sees to it that it gets there. */
  whenDurable(done: Durable): void {
    const lsn = this.endLsn;
    if (this.#isStopped) {
      done(closedError());
      return;
    }
    if (this.durableLsn >= lsn) {
      done(undefined);
      return;
    }
    this.#waiters.push({ lsn, done });
    if (this.#open !== undefined) this.#open.isWanted = true;
    this.startGroup();
  }

  #closeOpen(): void {
    const group = this.#open!;
    this.#open = undefined;
    this.#noteCommits(group);
    const end = group.start + alignUp(group.end - group.start, BLOCK_BYTES);
    group.chunk.bytes.fill(0, group.end, end);
    group.end = end;
    group.chunk.used = end;
    this.#nextLsn = group.firstLsn + end - group.start;
    this.#countUpkeep(group);
    this.#closed.push(group);
  }

  #countUpkeep(group: Group<L>): void {
    const isSeal = (group.flags & SEAL) !== 0;
    const isUpkeep = !group.hasNews && !(isSeal && this.#isNewsUnsealed);
    this.upkeepBytes += isUpkeep ? group.end - group.start : group.carriedBytes;
    if (isSeal) this.#isNewsUnsealed = false;
    else this.#isNewsUnsealed ||= group.hasNews;
  }

  #noteCommits(group: Group<L>): void {
    const room = group.chunk.bytes.length - group.end - FRAME_HEADER_BYTES;
    const countMax = Math.min(COMMIT_NOTES_MAX, Math.floor(room / COMMIT_NOTE_BYTES));
    if (countMax <= 0) return;
    const { bytes } = group.chunk;
    const count = this.#hooks.fillCommits(bytes, group.end + FRAME_HEADER_BYTES, countMax);
    if (count === 0) return;
    const { codec } = this.#parts;
    const length = count * COMMIT_NOTE_BYTES;
    const from = group.end + FRAME_HEADER_BYTES;
    const fields = this.#cleared(TYPE_COMMITS, group.firstLsn + group.end - group.start);
    fields.payloadLength = length;
    fields.payloadCrc = codec.crc32c(bytes, from, from + length);
    codec.writeHeader(bytes, group.end, fields);
    group.end += frameSize(length);
    group.count += 1;
  }

  #cleared(type: number, lsn: number): FrameFields {
    const fields = this.#fields;
    fields.type = type;
    fields.flags = 0;
    fields.lsn = lsn;
    fields.logId = fields.seq = fields.logTimeMs = fields.epoch = 0;
    fields.payloadLength = fields.payloadCrc = fields.chain = 0;
    fields.salt = this.#parts.files.salt;
    return fields;
  }

  #writeNext(): void {
    const group = this.#closed[0];
    if (group === undefined) return;
    const length = group.end - group.start;
    this.#isStarting = true;
    this.#parts.files.place(group.firstLsn, length, (error, file) => {
      this.#isStarting = false;
      if (this.#isStopped) return;
      if (file === undefined) this.#notPlaced(error);
      else this.#write(group, file, length);
    });
  }

  #notPlaced(error: Error | undefined): void {
    const code = errnoOf(error);
    const isFull = code === 'ENOSPC' || code === 'EDQUOT' || code === 'STORAGE_FULL';
    if (!isFull && !isShortOfDescriptors(error)) {
      this.#fail(error);
      return;
    }
    // Nothing of the group was written, so waiting for room loses nothing.
    this.#hooks.onNoSpace();
    const { env } = this.#parts;
    this.#cancelRetry?.();
    this.#cancelRetry = env.timers.at(env.clock.monotonicMs() + NO_SPACE_RETRY_MS, () => {
      this.#cancelRetry = undefined;
      this.startGroup();
    });
  }

  #write(group: Group<L>, file: WalFile, length: number): void {
    this.#closed.shift();
    this.#inFlight = group;
    this.#cancelSeal?.();
    this.#cancelSeal = undefined;
    const { codec, counters } = this.#parts;
    const { bytes } = group.chunk;
    const fields = this.#cleared(TYPE_GROUP, group.firstLsn);
    fields.flags = group.flags;
    if (this.#saltBefore !== undefined) {
      fields.flags |= NEW_SALT;
      fields.payloadCrc = this.#saltBefore;
    }
    fields.seq = this.durableLsn;
    fields.chain = group.count;
    fields.payloadLength = length - FRAME_HEADER_BYTES;
    codec.writeHeader(bytes, group.start, fields);
    counters.walBytes += length;
    if ((group.flags & SEAL) === 0) counters.walGroups += 1;
    else counters.walSeals += 1;
    const slice = bytes.subarray(group.start, group.end);
    file.file.write(slice, file.positionOf(group.firstLsn), (error) => this.#written(group, error));
  }

  #written(group: Group<L>, error: Error | undefined): void {
    if (this.#isStopped) return;
    if (error !== undefined) {
      this.#fail(error);
      return;
    }
    this.#inFlight = undefined;
    this.#saltBefore = undefined;
    this.#sealedLsn = Math.max(this.#sealedLsn, group.firstLsn);
    this.durableLsn = group.firstLsn + group.end - group.start;
    if ((group.flags & SEAL) !== 0) this.#sealedLsn = this.durableLsn;
    const changed = this.#changed;
    changed.length = 0;
    for (const log of group.logs) if (log.groupDurable(this.durableLsn)) changed.push(log);
    this.#parts.slabs.release(group.chunk);
    const wakes = this.#takeWaiters();
    this.#hooks.onDurable(changed);
    for (const wake of wakes) wake(undefined);
    this.#afterGroup();
  }

  #takeWaiters(): Durable[] {
    const wakes: Durable[] = [];
    while (this.#waiters.length > 0 && this.#waiters[0]!.lsn <= this.durableLsn) {
      wakes.push(this.#waiters.shift()!.done);
    }
    return wakes;
  }

  /** The turn's durable phase usually starts the next group; this is for what no turn will come for. */
  #afterGroup(): void {
    if (this.#isStopped) return;
    if (this.#waiters.length > 0 || this.#closed.length > 0) {
      if (this.#open !== undefined && this.#waiters.length > 0) this.#open.isWanted = true;
      this.startGroup();
    } else if (this.#open?.isWanted === true) this.#armUnawaited();
    if (this.isIdle && this.#sealedLsn < this.durableLsn) this.#armSeal();
  }

  #armUnawaited(): void {
    const open = this.#open;
    if (this.#cancelUnawaited !== undefined || open === undefined) return;
    const { env } = this.#parts;
    const dueMs = open.bornMs + this.#options.unawaitedMs;
    this.#cancelUnawaited = env.timers.at(dueMs, () => {
      this.#cancelUnawaited = undefined;
      const now = this.#open;
      if (now === undefined) return;
      // The frames it was set for may be gone with an earlier group: look at those that are there.
      if (now.id !== open.id && !now.isWanted) this.#armUnawaited();
      else {
        now.isWanted = true;
        this.startGroup();
      }
    });
  }

  #armSeal(): void {
    if (this.#cancelSeal !== undefined) return;
    const { env } = this.#parts;
    const dueMs = env.clock.monotonicMs() + this.#options.sealAfterMs;
    this.#cancelSeal = env.timers.at(dueMs, () => {
      this.#cancelSeal = undefined;
      if (this.isIdle && !this.#isStopped) this.seal();
    });
  }

  /** Writes a group without frames: it says that everything before it is durable. */
  seal(): void {
    const group = this.#open ?? this.#begin(0, true);
    if (group === undefined) return;
    if (group.count === 0) group.flags |= SEAL;
    group.isWanted = true;
    this.startGroup();
  }

  get isSealed(): boolean {
    return this.#sealedLsn >= this.durableLsn;
  }

  #fail(error: unknown): void {
    this.stop();
    const failure = storageErrorFrom(error, 'writing the WAL');
    this.#hooks.onFailure(failure);
  }

  /** Ends all activity; callbacks that still come are ignored. */
  stop(): void {
    this.#isStopped = true;
    this.#cancelUnawaited?.();
    this.#cancelSeal?.();
    this.#cancelRetry?.();
    const waiters = this.#waiters.splice(0);
    for (const waiter of waiters) waiter.done(closedError());
  }
}

export function closedError(): StorageError {
  return new StorageError('STORAGE_CLOSED', 'the store is closed or fenced');
}
