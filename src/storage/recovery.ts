// Rebuilds the logs of a shard from its checkpoint and WAL. The WAL is read once, in LSN order, into the
// frame tables (a later frame of the same seq replaces an earlier one, a truncation removes what is above);
// then every log is walked from its anchor: seqs without a hole, chains that link. What does not hold is
// quarantined, never cut.

import type { DiskFile } from '../env/environment.ts';
import { lastOffset } from '../records/batch.ts';
import { readU64le } from '../std/bytes.ts';
import type { StorageEnvironment } from './api.ts';
import { type Checkpoint, checkpointPath, readCheckpoint } from './checkpoint.ts';
import { StorageError, unknownVersion } from './errors.ts';
import {
  BLOCK_BYTES,
  type FrameCodec,
  type FrameFields,
  IN_FILE,
  TYPE_COMMITS,
  TYPE_DATA,
  TYPE_DELETE,
  TYPE_INSTALL,
  TYPE_STATE,
  TYPE_TRUNCATE,
} from './frame-format.ts';
import { COLD } from './frame-table.ts';
import { applyInstall } from './install.ts';
import { assertRecordVersion, decodeRecord } from './snapshot-record.ts';
import type { StoredLogCore } from './stored-log.ts';
import { decodeWalFileHeader, WalFile, type WalFiles } from './wal-files.ts';
import { type ScanEnd, type ScanFile, type ScanSink, WalScan } from './wal-scan.ts';

/** A frame whose seq is this far above the others is not believed. */
const SEQ_LEAP_MAX = 1 << 24;

export interface RecoveryParts {
  readonly env: StorageEnvironment;
  readonly codec: FrameCodec;
  readonly directory: string;
  readonly walFiles: WalFiles;
  readonly logs: Map<number, StoredLogCore>;
  /** Makes a log that is not in `logs` yet. */
  makeLog(logId: number): StoredLogCore;
}

export interface Recovered {
  readonly end: ScanEnd;
  /** The checkpoint that counted; sequence 0 if there was none. */
  readonly checkpoint: { readonly sequence: number; readonly replayLsn: number };
  readonly isSlotDamaged: boolean;
}

/** Reads everything back into `parts.logs`. Throws StorageError, DiskError. */
export async function recover(parts: RecoveryParts): Promise<Recovered> {
  const { env, codec, directory } = parts;
  const { newest, keptLsn, damagedSlots } = readCheckpoint(env.disk, directory, env.crc32c);
  const isSlotDamaged = damagedSlots.length > 0;
  if (isSlotDamaged) env.log.warn('a checkpoint slot is damaged or torn', { directory });
  if (newest !== undefined) {
    await syncCheckpoint(env, checkpointPath(directory, newest.sequence));
    for (const path of damagedSlots) await blankCheckpoint(env, path);
  }
  const replayLsn = newest?.replayLsn ?? 0;
  const files = openWalFiles(parts, keptLsn);
  if (newest === undefined && isSlotDamaged && (files[0]?.file.firstLsn ?? 0) > 0) {
    throw new StorageError('STORAGE_DAMAGED', `${directory} has no sound checkpoint`, {
      directory,
    });
  }
  const rebuild = new Rebuild(parts, newest);
  const scan = new WalScan(env, codec, files, replayLsn, rebuild);
  const end = await scan.run();
  const last = files[files.length - 1];
  // After kill -9 the last group may be in the page cache only: make true what is about to be claimed.
  if (last !== undefined) await syncFile(last.file);
  rebuild.finish();
  return { end, checkpoint: { sequence: newest?.sequence ?? 0, replayLsn }, isSlotDamaged };
}

/** After kill -9 a slot may be in the page cache only; WAL files are reused by what it says. */
async function syncCheckpoint(env: StorageEnvironment, path: string): Promise<void> {
  const file = env.disk.open(path, { mode: 'write' });
  try {
    await syncFile({ file });
  } finally {
    file.close();
  }
}

/**
 * What was found damaged must never be found sound: what is built from here on replaces files that it speaks of,
 * and damage that was in memory only would be gone with the next start.
 */
function blankCheckpoint(env: StorageEnvironment, path: string): Promise<void> {
  const slot = env.disk.open(path, { mode: 'write', dsync: true });
  return new Promise((resolve, reject) => {
    slot.write(new Uint8Array(BLOCK_BYTES), 0, (error) => {
      slot.close();
      if (error === undefined) resolve();
      else reject(error);
    });
  });
}

function syncFile({ file }: { readonly file: DiskFile }): Promise<void> {
  return new Promise((resolve, reject) => {
    file.sync((error) => (error === undefined ? resolve() : reject(error)));
  });
}

function walHeaderOf(env: StorageEnvironment, path: string) {
  const file = env.disk.open(path, { mode: 'read' });
  try {
    const head = new Uint8Array(Math.min(file.size(), BLOCK_BYTES));
    file.readSync(head, 0);
    return decodeWalFileHeader(head, env.crc32c, path);
  } finally {
    file.close();
  }
}

/** Opens the WAL files and sorts them: those that reach above `keptLsn` by LSN, the others are spares. */
function openWalFiles(parts: RecoveryParts, keptLsn: number): readonly ScanFile[] {
  const { env, walFiles } = parts;
  const folder = `${parts.directory}/wal`;
  const used: ScanFile[] = [];
  // All are looked at before any is touched: a folder that is refused stays as it was.
  const found = env.disk.list(folder).flatMap(({ name }) => {
    if (!name.endsWith('.wal')) return [];
    const path = `${folder}/${name}`;
    return [{ path, header: walHeaderOf(env, path) }];
  });
  for (const { path, header } of found) {
    const file = env.disk.open(path, { mode: 'write', dsync: true });
    const size = file.size();
    const capacity = typeof header === 'string' ? size : Math.max(size, header.size);
    const walFile = new WalFile(path, file, capacity);
    if (header === 'blank') walFiles.adopt(walFile, false);
    else if (header === 'damaged') {
      // Kept for whoever wants to look: it may have held frames.
      file.close();
      env.disk.rename(path, `${path}.damaged`);
      env.log.error('a WAL file has a damaged header', { path });
    } else {
      walFile.firstLsn = header.firstLsn;
      used.push({ file: walFile, salt: header.salt });
    }
  }
  // A file found here may be known to the page cache only: its name must last before it is used.
  env.disk.syncDirectory(folder);
  used.sort((a, b) => a.file.firstLsn - b.file.firstLsn);
  return used.filter(({ file }, i) => {
    const isNeeded = (used[i + 1]?.file.firstLsn ?? Number.POSITIVE_INFINITY) > keptLsn;
    walFiles.adopt(file, isNeeded);
    return isNeeded;
  });
}

class Rebuild implements ScanSink {
  readonly #parts: RecoveryParts;
  readonly #capturedLsn: number;
  readonly #committed = new Map<number, number>();
  /** What the checkpoint says; notes before it may speak of a longer life of the log. */
  readonly #checkpointed = new Map<number, number>();
  /** Quarantined before the checkpoint, as it says. */
  readonly #flagged = new Set<number>();
  #isAllSuspect = false;
  /** Made anew behind the last damage that was nobody's in particular: whatever that was, they need it no more. */
  readonly #madeAnew = new Set<number>();

  constructor(parts: RecoveryParts, checkpoint: Checkpoint | undefined) {
    this.#parts = parts;
    this.#capturedLsn = checkpoint?.capturedLsn ?? 0;
    for (const entry of checkpoint?.entries ?? []) {
      const log = parts.makeLog(entry.logId);
      log.resetTo(entry.anchor);
      log.mark = log.checkpointed = entry.mark;
      log.generationMin = entry.mark.generationMin;
      log.startOffset = entry.startOffset;
      log.needsRepair = entry.needsRepair;
      if (entry.needsRepair) this.#flagged.add(entry.logId);
      this.#committed.set(entry.logId, entry.committedSeq);
      this.#checkpointed.set(entry.logId, entry.committedSeq);
    }
  }

  onDamagedLog(logId: number): void {
    // Log 0 is the store's own notes. A log may be known by its damaged first frame alone.
    if (logId > 0) this.#quarantine(this.#logOf(logId), 'a damaged frame');
  }

  onDamage(): void {
    this.#isAllSuspect = true;
    this.#madeAnew.clear();
  }

  #quarantine(log: StoredLogCore, why: string): void {
    log.needsRepair = true;
    this.#parts.env.log.error('a log is quarantined', { logId: log.logId, why });
  }

  #logOf(logId: number): StoredLogCore {
    return this.#parts.logs.get(logId) ?? this.#parts.makeLog(logId);
  }

  onFrame(fields: FrameFields, bytes: Uint8Array, from: number, batchLength: number): void {
    if (fields.type === TYPE_DATA) this.#data(fields, bytes, from, batchLength);
    else this.#mark(fields, bytes.subarray(from, from + fields.payloadLength));
  }

  #mark(fields: FrameFields, payload: Uint8Array): void {
    const { type, logId, seq } = fields;
    switch (type) {
      case TYPE_TRUNCATE: {
        const log = this.#logOf(logId);
        log.table.cut(Math.max(seq, log.table.anchor.seq));
        break;
      }
      case TYPE_STATE:
        if (payload.length > 0) assertRecordVersion(payload, `the state of log ${logId}`);
        this.#logOf(logId).snapshots.found({
          seq,
          lsn: fields.lsn,
          length: payload.length,
          inFile: (fields.flags & IN_FILE) !== 0,
          isFloor: false,
        });
        break;
      case TYPE_DELETE:
        this.#parts.logs.delete(logId);
        this.#committed.delete(logId);
        break;
      case TYPE_COMMITS:
        this.#commits(payload);
        break;
      case TYPE_INSTALL:
        this.#install(fields, payload);
        break;
      default:
        // Its sums are right, so somebody meant it.
        throw unknownVersion(`${this.#parts.directory}/wal`, `frame type ${type}`, 'types 1 to 7');
    }
  }

  #data(fields: FrameFields, bytes: Uint8Array, from: number, batchLength: number): void {
    const { table } = this.#logOf(fields.logId);
    const { seq } = fields;
    if (seq <= table.anchor.seq) return;
    if (seq > table.endSeq + SEQ_LEAP_MAX) {
      this.onDamagedLog(fields.logId);
      return;
    }
    const slot = table.extendTo(seq);
    table.lsn[slot] = fields.lsn;
    table.logTimeMs[slot] = fields.logTimeMs;
    table.chain[slot] = fields.chain;
    table.epoch[slot] = fields.epoch;
    table.payloadLength[slot] = fields.payloadLength;
    table.batchLength[slot] = batchLength;
    table.chunk[slot] = COLD;
    // Without a batch the offset is that of the frame before: filled in when all frames are there.
    table.nextOffset[slot] = batchLength === 0 ? -1 : lastOffset(bytes, from) + 1;
    // The payload CRC is only needed to check the link of the chain.
    table.at[slot] = fields.payloadCrc;
  }

  #commits(payload: Uint8Array): void {
    for (let at = 0; at + 16 <= payload.length; at += 16) {
      const logId = readU64le(payload, at);
      const seq = readU64le(payload, at + 8);
      if (seq > (this.#committed.get(logId) ?? 0)) this.#committed.set(logId, seq);
    }
  }

  #install(fields: FrameFields, payload: Uint8Array): void {
    const log = this.#logOf(fields.logId);
    const { seq, lsn } = fields;
    const inFile = (fields.flags & IN_FILE) !== 0;
    assertRecordVersion(payload, `the install of log ${fields.logId}`);
    const floor = { seq, lsn, length: payload.length, inFile, isFloor: true };
    this.#madeAnew.add(fields.logId);
    if (lsn >= this.#capturedLsn) {
      applyInstall(log, seq, decodeRecord(payload, `the install of log ${fields.logId}`));
      this.#committed.set(fields.logId, seq);
      log.snapshots.reset(floor);
    } else {
      // The checkpoint already knows: only frames from before the install must go.
      log.table.cut(log.table.anchor.seq);
      log.snapshots.reset(floor);
      log.needsRepair = this.#flagged.has(fields.logId);
      this.#committed.set(fields.logId, this.#checkpointed.get(fields.logId) ?? seq);
    }
  }

  finish(): void {
    for (const log of this.#parts.logs.values()) {
      const isSuspect = this.#isAllSuspect && !this.#madeAnew.has(log.logId);
      if (isSuspect) this.#quarantine(log, 'the WAL was damaged where its frames may be');
      this.#link(log);
      this.#settle(log);
      this.#commit(log);
    }
  }

  /** Walks the frames from the anchor and cuts at a hole or a chain that does not link. */
  #link(log: StoredLogCore): void {
    const { table } = log;
    const { codec } = this.#parts;
    let { chain, nextOffset, logTimeMs } = table.anchor;
    for (let seq = table.firstSeq; seq <= table.endSeq; seq += 1) {
      const slot = table.slot(seq);
      const lsn = table.lsn[slot]!;
      const time = table.logTimeMs[slot]!;
      const epoch = table.epoch[slot]!;
      const isLinked =
        lsn > 0 && codec.chain(chain, seq, epoch, time, table.at[slot]!) === table.chain[slot];
      if (!isLinked) {
        this.#quarantine(log, `frame ${seq} does not follow the one before`);
        table.cut(seq - 1);
        break;
      }
      chain = table.chain[slot]!;
      logTimeMs = time;
      if (table.nextOffset[slot]! < 0) table.nextOffset[slot] = nextOffset;
      else nextOffset = table.nextOffset[slot]!;
      log.noteEpoch(epoch, seq);
    }
    log.lastLogTimeMs = logTimeMs;
    log.durableSeq = table.endSeq;
  }

  #settle(log: StoredLogCore): void {
    const { table, mark } = log;
    if (mark.settledSeq > table.endSeq) this.#quarantine(log, 'frames of settled batches are gone');
    log.settledSeq = Math.min(mark.settledSeq, table.endSeq);
    log.settledOffset = mark.settledOffset;
  }

  #commit(log: StoredLogCore): void {
    const committed = Math.max(
      this.#committed.get(log.logId) ?? 0,
      log.snapshots.newestSeq,
      log.mark.settledSeq,
    );
    if (committed > log.endSeq) this.#quarantine(log, 'committed frames are gone');
    log.committedSeq = Math.min(committed, log.endSeq);
    log.recountUncommitted();
  }
}
