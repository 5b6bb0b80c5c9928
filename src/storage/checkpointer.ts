// Takes checkpoints: settles, syncs dirty segments one at a time, writes the entries, then recycles the
// WAL below what is still needed. A log that pins old WAL is asked for a newer snapshot, and what it still
// needs is carried forward (appended again at the head, same seq), so no idle or stuck log holds the WAL.
import type { CheckpointEntry } from './checkpoint.ts';
import { checkpointPath, encodeCheckpoint } from './checkpoint.ts';
import { storageErrorFrom } from './errors.ts';
import {
  CARRIED,
  FRAME_HEADER_BYTES,
  FrameFields,
  frameSize,
  IN_FILE,
  TYPE_STATE,
} from './frame-format.ts';
import { COLD } from './frame-table.ts';
import type { LogHost } from './log-host.ts';
import { appendRecordFrame, type Generation } from './log-snapshots.ts';
import type { Segment } from './segment.ts';
import type { SettledMark } from './segment-set.ts';
import { readColdFrame, settleTarget } from './settle.ts';
import type { StoredLogCore } from './stored-log.ts';

/** How much WAL may lie behind the head before its tail is carried forward, in checkpoint intervals. */
const KEPT_INTERVALS = 3;
/** A log whose needs reach further back than this is asked for a snapshot, before it has to be carried. */
const ASK_INTERVALS = 2.5;
/** Logs that settle side by side. */
const SETTLE_LANES = 4;
/** Segments that are synced side by side: a file system commits several with one write of its journal. */
const SYNC_LANES = 3;
const CARRY_STEP_BYTES = 1 << 20;

/** What was appended again and is not durable yet. */
class Carried {
  bytes = 0;
  readonly states: { readonly generation: Generation; readonly lsn: number }[] = [];
  /** Frames that were not in memory before. */
  readonly cooling: { readonly log: StoredLogCore; readonly seq: number }[] = [];
}

export class Checkpointer {
  readonly #host: LogHost;
  readonly #logs: ReadonlyMap<number, StoredLogCore>;
  readonly #fields = new FrameFields();
  #sequence: number;
  /** Of the checkpoint in the other slot: what it needs stays, so that it can stand in. */
  #replayLsnBefore: number;
  #obsoleteBefore: { readonly log: StoredLogCore; readonly seq: number }[] = [];
  #syncing: Promise<void> | undefined;

  constructor(
    host: LogHost,
    logs: ReadonlyMap<number, StoredLogCore>,
    last: { readonly sequence: number; readonly replayLsn: number },
  ) {
    this.#host = host;
    this.#logs = logs;
    this.#sequence = last.sequence;
    this.#replayLsnBefore = last.replayLsn;
  }

  /**
   * Runs one checkpoint; true: WAL that it does not need stays for the one before, and the next one would free it.
   * Rejects if the store fails meanwhile.
   */
  async run(options: { readonly isCarrying: boolean }): Promise<boolean> {
    const { wal, checkpointBytes } = this.#host;
    if (options.isCarrying) await this.#carry(wal.endLsn, checkpointBytes);
    await this.#settleAll();
    const marks = this.#captureMarks();
    try {
      await this.#syncSegments([...marks.keys()]);
    } catch (error) {
      for (const log of marks.keys()) log.isMarkDirty = true;
      throw error;
    }
    for (const [log, mark] of marks) log.mark = mark;
    const capturedLsn = wal.durableLsn;
    const { entries, replayLsn } = this.#entries();
    // One that could not be written is written again into the same slot: the other one is sound.
    const sequence = this.#sequence + 1;
    const checkpoint = { sequence, replayLsn, capturedLsn, entries };
    await this.#write(sequence, encodeCheckpoint(checkpoint, this.#host.env.crc32c));
    this.#sequence = sequence;
    this.#host.counters.checkpoints += 1;
    for (const { logId, anchor, mark } of entries) {
      const log = this.#logs.get(logId);
      if (log === undefined) continue;
      log.trimTo(anchor.seq);
      log.checkpointedBefore = log.checkpointed;
      log.checkpointed = mark;
    }
    this.#removeObsolete();
    const before = this.#replayLsnBefore;
    this.#host.walFiles.releaseBelow(Math.min(replayLsn, before));
    this.#replayLsnBefore = replayLsn;
    return before < replayLsn;
  }

  *#durableLogs(): Generator<StoredLogCore> {
    for (const log of this.#logs.values()) if (!log.isMemory) yield log;
  }

  // ---- carrying -------------------------------------------------------------------------------

  async #carry(endLsn: number, intervalBytes: number): Promise<void> {
    const { space, walFiles, wal } = this.#host;
    // On a full disk nothing is copied to the head, and states are stored only while the rest of the file has room.
    const { isShort } = space;
    const fullLsn = walFiles.lastEighthLsn;
    const askFrom = isShort
      ? (walFiles.current?.firstLsn ?? 0)
      : endLsn - ASK_INTERVALS * intervalBytes;
    const pinning = [...this.#durableLogs()].filter((log) => neededLsn(log) < askFrom);
    for (const log of pinning) {
      if (isShort && wal.endLsn >= fullLsn) break;
      // There is none that is newer than what is committed.
      if (log.isInstalling || log.snapshots.newestSeq >= log.committedSeq) continue;
      this.#askForState(log);
    }
    if (pinning.length === 0) return;
    // A new snapshot may already free what was about to be carried.
    await this.#durable();
    if (isShort) return;
    const keepFrom = endLsn - KEPT_INTERVALS * intervalBytes;
    await this.#copyStates(pinning, keepFrom);
    // What is carried lies behind the head again: if it were more than what is kept, all of it would have to be carried
    // with every checkpoint. So what is kept are the intervals and as much as is needed.
    let neededBytes = 0;
    for (const log of pinning) if (!log.isDeleted) neededBytes += walBytesNeeded(log);
    await this.#carryLogs(pinning, keepFrom - neededBytes);
  }

  #askForState(log: StoredLogCore): void {
    const state = this.#host.options.onSnapshotWanted?.(log.logId);
    if (state !== undefined && state.seq > log.snapshots.newestSeq) {
      log.putState(state.seq, state.bytes);
    }
  }

  /**
   * Where a state is smaller than the frames that it stands for, it is stored twice: carried again and again,
   * frames of logs that are idle would be more than what is appended.
   */
  async #copyStates(logs: readonly StoredLogCore[], keepFrom: number): Promise<void> {
    const { wal } = this.#host;
    for (const log of logs) {
      if (!isHeld(log, keepFrom)) continue;
      log.snapshots.copyNewest(heldBytes(log, keepFrom));
      if (wal.endLsn - wal.durableLsn >= CARRY_STEP_BYTES) await this.#durable();
    }
    await this.#durable();
  }

  /**
   * The newest states first, then the older ones with the frames behind them: a block that rots must not take
   * both ways to a state.
   */
  async #carryLogs(logs: readonly StoredLogCore[], keepFrom: number): Promise<void> {
    const carried = new Carried();
    const held = logs.filter((log) => isHeld(log, keepFrom));
    for (const log of held) {
      const [newest] = log.snapshots.generations;
      if (newest !== undefined && newest.lsn < keepFrom && isCarryable(log)) {
        await this.#carryState(log, newest, carried);
      }
    }
    await this.#settle(carried);
    for (const log of held)
      if (isHeld(log, keepFrom)) await this.#carryRest(log, keepFrom, carried);
    await this.#settle(carried);
  }

  #durable(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#host.wal.whenDurable((error) => (error === undefined ? resolve() : reject(error)));
    });
  }

  async #carryRest(log: StoredLogCore, keepFrom: number, carried: Carried): Promise<void> {
    const { snapshots, table } = log;
    for (const generation of [...snapshots.generations]) {
      const isKept = isCarryable(log) && snapshots.generations.includes(generation);
      if (isKept && generation.lsn < keepFrom) await this.#carryState(log, generation, carried);
    }
    for (let seq = neededSeq(log); seq <= Math.min(log.durableSeq, table.endSeq); seq += 1) {
      // Another log may have taken its place while the disk was written.
      if (!isCarryable(log) || !table.has(seq)) return;
      const slot = table.slot(seq);
      if (table.lsn[slot]! >= keepFrom) continue;
      if (table.chunk[slot] === COLD) carried.cooling.push({ log, seq });
      this.#carryFrame(log, seq);
      carried.bytes += frameSize(table.payloadLength[slot]!);
      if (carried.bytes >= CARRY_STEP_BYTES) await this.#settle(carried);
    }
  }

  /**
   * One write for all of it. Until it is durable at its new place a frame is read from memory, and a state is
   * where it was.
   */
  async #settle(carried: Carried): Promise<void> {
    await this.#durable();
    for (const { generation, lsn } of carried.states.splice(0)) generation.lsn = lsn;
    for (const { log, seq } of carried.cooling.splice(0)) {
      const { table } = log;
      const isDurable = table.has(seq) && table.lsn[table.slot(seq)]! < this.#host.wal.durableLsn;
      if (isDurable) log.makeCold(seq);
    }
    carried.bytes = 0;
  }

  #carryFrame(log: StoredLogCore, seq: number): void {
    const { table } = log;
    const { slabs, wal, counters } = this.#host;
    const slot = table.slot(seq);
    const id = table.chunk[slot]!;
    const isCold = id === COLD;
    const bytes = isCold ? readColdFrame(log, seq) : slabs.get(id).bytes;
    this.#appendAgain(log, bytes, isCold ? 0 : table.at[slot]!, table.payloadLength[slot]!);
    wal.chunk.holds += 1;
    log.makeCold(seq);
    table.chunk[slot] = wal.chunk.id;
    table.at[slot] = wal.at;
    table.lsn[slot] = wal.lsn;
    counters.carriedFrames += 1;
  }

  /** Copies the frame at `at` to the head of the WAL with a new LSN and the salt of this run. */
  #appendAgain(log: StoredLogCore, bytes: Uint8Array, at: number, payloadLength: number): void {
    const { wal, codec, walFiles } = this.#host;
    const fields = this.#fields;
    codec.readHeader(bytes, at, fields);
    wal.reserve(payloadLength, true);
    fields.flags |= CARRIED;
    fields.lsn = wal.lsn;
    fields.salt = walFiles.salt;
    const from = at + FRAME_HEADER_BYTES;
    wal.chunk.bytes.set(bytes.subarray(from, from + payloadLength), wal.at + FRAME_HEADER_BYTES);
    codec.writeHeader(wal.chunk.bytes, wal.at, fields);
    wal.added(log, false, true);
  }

  async #carryState(log: StoredLogCore, generation: Generation, carried: Carried): Promise<void> {
    const { seq, inFile, length } = generation;
    let lsn: number;
    if (inFile) lsn = log.writeMark(TYPE_STATE, seq, IN_FILE | CARRIED);
    else {
      const record = log.snapshots.recordBytes(generation);
      // A damaged state is not worth carrying: the other one and the frames make up for it.
      if (record === undefined) {
        log.snapshots.drop(generation);
        log.snapshots.copyNewest(0);
        // Neither is sound: the owner has the state still.
        if (log.snapshots.newestSeq === 0) this.#askForState(log);
        return;
      }
      lsn = appendRecordFrame(log, TYPE_STATE, seq, record, CARRIED);
    }
    this.#host.counters.carriedFrames += 1;
    carried.states.push({ generation, lsn });
    carried.bytes += frameSize(length);
    if (carried.bytes >= CARRY_STEP_BYTES) await this.#settle(carried);
  }

  // ---- settling and syncing -------------------------------------------------------------------

  async #settleAll(): Promise<void> {
    const logs = [...this.#durableLogs()].filter((log) => log.settledSeq < settleTarget(log));
    const lane = async (): Promise<void> => {
      // What is appended meanwhile is left for the next checkpoint, else a busy log would hold this one.
      for (let log = logs.pop(); log !== undefined; log = logs.pop()) {
        const { settler, openFiles } = this.#host;
        const target = settleTarget(log);
        if (openFiles.isCrowded) await this.#syncDirty();
        const end = await settler.settleThrough(log, target);
        if (end === 'blocked' && openFiles.isShort) {
          await this.#syncDirty();
          await settler.settleThrough(log, target);
        }
      }
    };
    await Promise.all(Array.from({ length: SETTLE_LANES }, lane));
  }

  #captureMarks(): Map<StoredLogCore, SettledMark> {
    const marks = new Map<StoredLogCore, SettledMark>();
    for (const log of this.#durableLogs()) {
      if (!log.isMarkDirty || log.isInstalling) continue;
      log.isMarkDirty = false;
      const { settledSeq, settledOffset, generationMin, mark } = log;
      const segments = log.loadedSegments;
      marks.set(
        log,
        segments === undefined
          ? { ...mark, settledSeq, settledOffset }
          : segments.mark(settledSeq, settledOffset, generationMin),
      );
    }
    return marks;
  }

  async #syncSegments(logs: readonly StoredLogCore[]): Promise<void> {
    // Folders that many share are synced once for the names that are there by now.
    const withNames = new Set(logs.filter((log) => log.loadedSegments?.isFolderDirty === true));
    const synced = new Set<string>();
    await this.#inLanes([...logs], async (log) => {
      const segments = log.loadedSegments;
      if (segments === undefined || log.isDeleted) return;
      for (const segment of [...segments.list]) {
        if (segment.isDirty) await this.#syncSegment(segment);
      }
      if (!log.isDeleted) segments.syncFolder(withNames.has(log) ? synced : new Set());
    });
  }

  async #inLanes<T>(work: T[], each: (next: T) => Promise<void>): Promise<void> {
    const lane = async (): Promise<void> => {
      for (let next = work.pop(); next !== undefined; next = work.pop()) await each(next);
    };
    await Promise.all(Array.from({ length: SYNC_LANES }, lane));
  }

  #syncSegment(segment: Segment): Promise<void> {
    return new Promise((resolve, reject) => {
      segment.sync((error) => {
        if (error === undefined) resolve();
        else {
          // What was not synced may be gone from the page cache too: never tried again.
          const failure = storageErrorFrom(error, `syncing ${segment.path}`);
          this.#host.fail(failure);
          reject(failure);
        }
      });
    });
  }

  /** Syncs what has bytes to sync, for all lanes at once, so that its files may be closed for others. */
  #syncDirty(): Promise<void> {
    this.#syncing ??= this.#syncEachDirty().finally(() => {
      this.#syncing = undefined;
    });
    return this.#syncing;
  }

  #syncEachDirty(): Promise<void> {
    const all = [...this.#durableLogs()].flatMap(
      ({ loadedSegments }) => loadedSegments?.list ?? [],
    );
    return this.#inLanes(all, async (segment) => {
      if (segment.isDirty) await this.#syncSegment(segment);
    });
  }

  // ---- writing --------------------------------------------------------------------------------

  #entries(): { readonly entries: CheckpointEntry[]; readonly replayLsn: number } {
    const { wal } = this.#host;
    const entries: CheckpointEntry[] = [];
    let replayLsn = wal.durableLsn;
    for (const log of this.#durableLogs()) {
      replayLsn = Math.min(replayLsn, neededLsn(log));
      entries.push({
        logId: log.logId,
        needsRepair: log.needsRepair,
        committedSeq: Math.min(log.committedSeq, log.durableSeq),
        startOffset: log.startOffset,
        mark: log.mark,
        anchor: log.anchorAt(neededSeq(log) - 1),
      });
    }
    return { entries, replayLsn };
  }

  #write(sequence: number, bytes: Uint8Array): Promise<void> {
    const { disk } = this.#host.env;
    const { directory } = this.#host.options;
    const path = checkpointPath(directory, sequence);
    return new Promise((resolve, reject) => {
      const isNew = !disk.exists(path);
      const file = disk.open(path, { mode: 'create', dsync: true });
      file.write(bytes, 0, (error) => {
        file.close();
        try {
          if (error !== undefined) throw error;
          if (isNew) disk.syncDirectory(directory);
          resolve();
        } catch (failed) {
          reject(storageErrorFrom(failed, 'writing a checkpoint'));
        }
      });
    });
  }

  #removeObsolete(): void {
    const { disk, log: logger } = this.#host.env;
    const before = this.#obsoleteBefore;
    this.#obsoleteBefore = [];
    for (const log of this.#durableLogs()) {
      for (const seq of log.snapshots.obsoleteFiles.splice(0)) {
        this.#obsoleteBefore.push({ log, seq });
      }
    }
    for (const { log, seq } of before) {
      // A log that a catch-up has made shorter may have come to the same seq again.
      if (log.snapshots.usesFile(seq)) continue;
      if (log.isInstalling) {
        this.#obsoleteBefore.push({ log, seq });
        continue;
      }
      const path = log.snapshots.pathOf(seq);
      try {
        if (disk.exists(path)) disk.remove(path);
      } catch (error) {
        logger.warn('an old view file cannot be removed', { path, error: String(error) });
      }
    }
  }
}

/** The first frame that recovery would still need. */
function neededSeq(log: StoredLogCore): number {
  const covered = Math.min(log.mark.settledSeq, log.snapshots.coveredSeq);
  return Math.max(log.table.anchor.seq, Math.min(covered, log.endSeq)) + 1;
}

/** Behind the frame of a catch-up, or of a deletion, nothing of the log before it may come. */
function isCarryable(log: StoredLogCore): boolean {
  return !log.isDeleted && !log.isInstalling;
}

function isHeld(log: StoredLogCore, keepFrom: number): boolean {
  return isCarryable(log) && neededLsn(log) < keepFrom;
}

/** What recovery would still need of it, wherever it lies. */
function walBytesNeeded(log: StoredLogCore): number {
  const { table, snapshots } = log;
  let bytes = 0;
  for (const { length } of snapshots.generations) bytes += frameSize(length);
  for (let seq = neededSeq(log); seq <= table.endSeq; seq += 1) {
    bytes += frameSize(table.payloadLength[table.slot(seq)]!);
  }
  return bytes;
}

/** Payload of frames that would be carried, and that the newest state stands for. */
function heldBytes(log: StoredLogCore, keepFrom: number): number {
  const { table, snapshots, mark } = log;
  const lastSeq = Math.min(mark.settledSeq, snapshots.newestSeq, table.endSeq);
  let bytes = 0;
  for (let seq = neededSeq(log); seq <= lastSeq; seq += 1) {
    const slot = table.slot(seq);
    if (table.lsn[slot]! < keepFrom) bytes += table.payloadLength[slot]!;
  }
  return bytes;
}

/** Where the WAL must begin for this log. Carried frames do not lie in the order of their seqs. */
function neededLsn(log: StoredLogCore): number {
  const { table } = log;
  let lsn = Math.min(log.snapshots.minLsn, log.keptLsn);
  for (let seq = neededSeq(log); seq <= table.endSeq; seq += 1) {
    lsn = Math.min(lsn, table.lsn[table.slot(seq)]!);
  }
  return lsn;
}
