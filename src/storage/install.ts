// Receiving a catch-up: batches go to new segment files of the next generation, which count for nothing
// until one WAL frame, behind synced files, makes snapshot and segments the log in one step. Files of a
// generation that no such frame names are removed at the next open.
import {
  BATCH_HEADER_BYTES,
  baseOffset,
  checkBatch,
  lastOffset,
  STORED_BATCH,
  wholeBatchSize,
} from '../records/batch.ts';
import { assert } from '../std/assert.ts';
import type { DonationFacts, Install, InstallStart, LogSnapshot } from './api.ts';
import { errnoOf, storageErrorFrom } from './errors.ts';
import { IN_FILE, TYPE_INSTALL } from './frame-format.ts';
import type { Anchor } from './frame-table.ts';
import { appendRecordFrame, writeViewFile } from './log-snapshots.ts';
import type { Segment } from './segment.ts';
import { NO_MARK, SegmentSet } from './segment-set.ts';
import { settleIdle } from './settle.ts';
import { encodeRecord, type SnapshotRecord, STATE_IN_WAL_BYTES_MAX } from './snapshot-record.ts';
import { NEEDLESS_GONE } from './store-files.ts';
import type { StoredLogCore } from './stored-log.ts';
import { closedError } from './wal-writer.ts';

export function beginInstall(
  log: StoredLogCore,
  from: InstallStart,
  facts: DonationFacts,
): Install {
  assert(!log.isInstallOpen, 'StoredLog: one install at a time');
  return new LogInstall(log, from, facts);
}

class LogInstall implements Install {
  readonly #log: StoredLogCore;
  readonly #isScratch: boolean;
  readonly #facts: DonationFacts;
  readonly #set: SegmentSet;
  nextOffset: number;
  #isOver = false;
  /** The frame that makes the segments the log may be on the device, whatever its write says. */
  #isTold = false;

  constructor(log: StoredLogCore, from: InstallStart, facts: DonationFacts) {
    this.#log = log;
    this.#facts = facts;
    this.#isScratch = from.kind === 'scratch';
    this.nextOffset = from.kind === 'scratch' ? from.startOffset : log.settledOffset;
    log.isInstallOpen = true;
    log.isSettleFrozen = !this.#isScratch;
    const { host } = log;
    const { generation } = log.segments;
    this.#set = new SegmentSet(
      host,
      { folder: log.folder, logId: log.logId, limits: log.segmentLimits, startOffset: 'fresh' },
      { ...NO_MARK, generation: generation + 1, generationMin: generation + 1 },
    );
  }

  adopt(bytes: Uint8Array): number | 'corrupt' {
    assert(!this.#isOver, 'Install: over');
    const { codec } = this.#log.host;
    let at = 0;
    /** Where the batches begin that go to `segment` with the next write. */
    let runAt = 0;
    let segment: Segment | undefined;
    for (;;) {
      const size = wholeBatchSize(bytes, at, bytes.length);
      if (size === 0) break;
      const isSound =
        checkBatch(bytes, at, bytes.length, codec.crc32c, STORED_BATCH) === 'ok' &&
        this.#isNext(baseOffset(bytes, at), lastOffset(bytes, at));
      if (!isSound) return 'corrupt';
      const isFull = segment !== undefined && at + size - runAt > this.#set.roomIn(segment);
      if (isFull || this.#isOther(this.nextOffset, baseOffset(bytes, at))) {
        segment?.append(bytes.subarray(runAt, at));
        segment = undefined;
      }
      if (segment === undefined) {
        const from = at;
        const base = baseOffset(bytes, at);
        const { compactedEnd, thinnedEnd } = this.#facts;
        this.#set.expect({ isRaw: base >= compactedEnd, isThinned: base < thinnedEnd });
        segment = this.#set.segmentFor(size, 0, () => baseOffset(bytes, from));
        runAt = at;
      }
      this.nextOffset = lastOffset(bytes, at) + 1;
      at += size;
    }
    segment?.append(bytes.subarray(runAt, at));
    const left = bytes.length - at;
    if (left < BATCH_HEADER_BYTES) return at;
    const rest = checkBatch(bytes, at, bytes.length, codec.crc32c, STORED_BATCH);
    return rest === 'truncated' ? at : 'corrupt';
  }

  /** Between these offsets begins what was compacted less often. */
  #isOther(from: number, to: number): boolean {
    const { compactedEnd, thinnedEnd } = this.#facts;
    const isBetween = (end: number) => from <= end && end <= to;
    return isBetween(compactedEnd) || isBetween(thinnedEnd);
  }

  /** The log start may lie inside the first batch. */
  #isNext(base: number, last: number): boolean {
    const isFirst = this.#isScratch && this.#set.last === undefined;
    return isFirst ? last >= this.nextOffset : base >= this.nextOffset;
  }

  async commit(snapshot: LogSnapshot): Promise<void> {
    assert(!this.#isOver, 'Install: over');
    assert(snapshot.endOffset >= this.nextOffset, 'Install: batches lie above the snapshot');
    const log = this.#log;
    const { host } = log;
    this.#isOver = true;
    log.isInstalling = true;
    try {
      if (this.#facts.needlessGone && !log.isMemory) host.superblock.need(NEEDLESS_GONE);
      await this.#makeDurable();
      const record = this.#recordOf(snapshot);
      if (log.isMemory) this.#apply(snapshot, record, { lsn: 0, isInFile: false });
      else await this.#write(snapshot, record);
    } catch (error) {
      // A write that fails, or that a closing store does not wait for, may have left all of the frame: the next start
      // looks, and removes the segments if no frame names them.
      if (!this.#isTold) this.#drop();
      const failure = storageErrorFrom(error, `installing log ${log.logId}`);
      if (errnoOf(error) === 'EIO') host.fail(failure);
      throw failure;
    } finally {
      log.isInstalling = log.isSettleFrozen = log.isInstallOpen = false;
      // Its notes were left out meanwhile.
      if (!host.isStopped && !log.isDeleted) host.committedMoved(log);
    }
  }

  /** Segment bytes and names are on the device before any frame speaks of them. */
  async #makeDurable(): Promise<void> {
    const log = this.#log;
    this.#set.seal();
    const segments: Segment[] = [...this.#set.list];
    if (!this.#isScratch) {
      // What a write that began before the freeze leaves behind the counted end is cut by the seal.
      await settleIdle(log);
      log.segments.seal();
      segments.push(...log.segments.list.filter((segment) => segment.isDirty));
      log.segments.syncFolder();
    }
    for (const segment of segments) {
      await new Promise<void>((resolve, reject) => {
        segment.sync((error) => (error === undefined ? resolve() : reject(error)));
      });
    }
    this.#set.syncFolder();
  }

  #recordOf(snapshot: LogSnapshot): SnapshotRecord {
    const last = snapshot.epochs[snapshot.epochs.length - 1];
    const { generation } = this.#set;
    return {
      epoch: snapshot.epoch,
      epochFirstSeq: last?.firstSeq ?? snapshot.seq,
      chain: snapshot.chain,
      logTimeMs: snapshot.logTimeMs,
      endOffset: snapshot.endOffset,
      startOffset: snapshot.startOffset,
      generation,
      generationMin: this.#isScratch ? generation : this.#log.generationMin,
      state: snapshot.state,
    };
  }

  async #write(snapshot: LogSnapshot, record: SnapshotRecord): Promise<void> {
    const log = this.#log;
    const { host } = log;
    const whole = encodeRecord(record);
    const isInFile = whole.length > STATE_IN_WAL_BYTES_MAX;
    if (isInFile) {
      await new Promise<void>((resolve, reject) => {
        writeViewFile(log, snapshot.seq, whole, (error) =>
          error === undefined ? resolve() : reject(error),
        );
      });
    }
    if (host.isStopped || log.isDeleted) throw closedError();
    const payload = isInFile ? encodeRecord({ ...record, state: new Uint8Array(0) }) : whole;
    const flags = isInFile ? IN_FILE : 0;
    const lsn = appendRecordFrame(log, TYPE_INSTALL, snapshot.seq, payload, flags);
    this.#isTold = true;
    await new Promise<void>((resolve, reject) => {
      host.wal.whenDurable((error) => {
        if (error !== undefined) reject(error);
        else {
          // In the same turn as the durable callback: a checkpoint sees all of it or nothing.
          this.#apply(snapshot, record, { lsn, isInFile, length: payload.length });
          resolve();
        }
      });
    });
  }

  #apply(
    snapshot: LogSnapshot,
    record: SnapshotRecord,
    place: { readonly lsn: number; readonly isInFile: boolean; readonly length?: number },
  ): void {
    const log = this.#log;
    const { segments } = log;
    segments.adopt(this.#set.list, record.generation, this.#isScratch);
    applyInstall(log, snapshot.seq, record);
    log.snapshots.reset({
      seq: snapshot.seq,
      lsn: place.lsn,
      length: place.length ?? 0,
      inFile: place.isInFile,
      isFloor: true,
      ...(log.isMemory ? { record: encodeRecord(record) } : {}),
    });
    segments.removeBelow(log.startOffset, log.settledOffset);
  }

  abort(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#drop();
    this.#log.isSettleFrozen = this.#log.isInstallOpen = false;
  }

  #drop(): void {
    for (const segment of this.#set.list) segment.doom();
  }
}

/** The in-memory effect of an install frame, live or at recovery. */
export function applyInstall(log: StoredLogCore, seq: number, record: SnapshotRecord): void {
  const anchor: Anchor = {
    seq,
    epoch: record.epoch,
    epochFirstSeq: record.epochFirstSeq,
    chain: record.chain,
    nextOffset: record.endOffset,
    logTimeMs: record.logTimeMs,
  };
  log.resetTo(anchor);
  log.startOffset = record.startOffset;
  log.needsRepair = false;
  log.generationMin = record.generationMin;
  log.mark = {
    settledSeq: seq,
    settledOffset: record.endOffset,
    generationMin: record.generationMin,
    generation: record.generation,
    segmentBase: 0,
    segmentLength: 0,
  };
  log.isMarkDirty = false;
}
