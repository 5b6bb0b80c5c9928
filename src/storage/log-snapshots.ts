// The states of one log's durable actor: the newest durable one and the one before it, each in a WAL
// frame or in a view file. Two are kept, with the frames between them, so that one damaged state costs
// nothing; an installed snapshot has nothing before it and stands alone until the next one. Of a log that
// has nothing newer the same state twice, in two places, is as good and spares the frames.
import { assert } from '../std/assert.ts';
import { messageOf } from '../std/errors.ts';
import type { StateAtSeq } from './api.ts';
import { errnoOf, isShortOfDescriptors, storageErrorFrom } from './errors.ts';
import { CARRIED, FRAME_HEADER_BYTES, FrameFields, IN_FILE, TYPE_STATE } from './frame-format.ts';
import { IO_BYTES } from './segment.ts';
import {
  decodeRecord,
  decodeViewFile,
  encodeRecord,
  encodeViewFile,
  type SnapshotRecord,
  STATE_IN_WAL_BYTES_MAX,
  viewFileName,
} from './snapshot-record.ts';
import type { StoredLogCore } from './stored-log.ts';

export interface Generation {
  readonly seq: number;
  /** Where its WAL frame is; moves when it is carried forward. */
  lsn: number;
  /** Payload bytes of that frame. */
  readonly length: number;
  readonly inFile: boolean;
  /** No frames are kept before it. */
  readonly isFloor: boolean;
  /** The record of a log in memory. */
  readonly record?: Uint8Array;
}

const KEPT = 2;

export class LogSnapshots {
  readonly #log: StoredLogCore;
  /** Durable ones, newest first. */
  readonly generations: Generation[] = [];
  /** Appended to the WAL, not yet durable. */
  #pending: Generation | undefined;
  /** Newest seq that was put, durable or not. */
  #putSeq = 0;
  /** Seqs of view files that the next checkpoint makes useless. */
  readonly obsoleteFiles: number[] = [];
  /** Of view files that are being written. */
  readonly #writing = new Set<number>();
  /** How often the log was made another one. */
  #life = 0;

  constructor(log: StoredLogCore) {
    this.#log = log;
  }

  get newestSeq(): number {
    return this.generations[0]?.seq ?? 0;
  }

  /** Frames up to here are not needed for rebuilding the state. */
  get coveredSeq(): number {
    const [newest, older] = this.generations;
    if (older !== undefined) return older.seq;
    return newest?.isFloor === true ? newest.seq : 0;
  }

  get minLsn(): number {
    let lsn = Number.POSITIVE_INFINITY;
    for (const generation of this.generations) lsn = Math.min(lsn, generation.lsn);
    return lsn;
  }

  pathOf(seq: number): string {
    return `${this.#log.folder}/${viewFileName(seq)}`;
  }

  usesFile(seq: number): boolean {
    const isOf = (one: Generation | undefined) => one?.inFile === true && one.seq === seq;
    return this.#writing.has(seq) || isOf(this.#pending) || this.generations.some(isOf);
  }

  put(seq: number, state: Uint8Array): void {
    const log = this.#log;
    assert(seq <= log.committedSeq, 'StoredLog: only committed states are stored');
    assert(log.table.epochAt(seq) !== undefined, 'StoredLog: the frame of a state is kept');
    // Behind the frame of a catch-up a state of the log before it would be taken for the newest.
    if (log.host.isStopped || log.isDeleted || log.isInstalling || seq <= this.#putSeq) return;
    this.#putSeq = seq;
    const record = encodeRecord(this.#recordAt(seq, state));
    log.host.counters.snapshotsWritten += 1;
    if (log.isMemory) {
      const { length } = record;
      this.#push({ seq, lsn: 0, length, inFile: false, isFloor: false, record });
    } else if (record.length <= STATE_IN_WAL_BYTES_MAX) this.#appendFrame(seq, record);
    else this.#writeFile(seq, record);
  }

  #recordAt(seq: number, state: Uint8Array): SnapshotRecord {
    const anchor = this.#log.anchorAt(seq);
    return {
      epoch: anchor.epoch,
      epochFirstSeq: anchor.epochFirstSeq,
      chain: anchor.chain,
      logTimeMs: anchor.logTimeMs,
      endOffset: anchor.nextOffset,
      startOffset: this.#log.startOffset,
      generation: 0,
      generationMin: 0,
      state,
    };
  }

  #appendFrame(seq: number, record: Uint8Array): void {
    const lsn = appendRecordFrame(this.#log, TYPE_STATE, seq, record, 0);
    this.#pending = { seq, lsn, length: record.length, inFile: false, isFloor: false };
  }

  #writeFile(seq: number, record: Uint8Array): void {
    const log = this.#log;
    const life = this.#life;
    this.#writing.add(seq);
    writeViewFile(log, seq, record, (error) => {
      this.#writing.delete(seq);
      if (log.host.isStopped || log.isDeleted) return;
      const isOver = life !== this.#life || log.isInstalling;
      if (isOver || log.table.anchor.seq > seq) {
        if (!this.usesFile(seq)) this.obsoleteFiles.push(seq);
        if (log.isInstalling) this.#putSeq = Math.max(this.newestSeq, this.#pending?.seq ?? 0);
      } else if (seq < Math.max(this.newestSeq, this.#pending?.seq ?? 0)) {
        // A newer state went another way and was faster: this one must not stand in for it.
        this.obsoleteFiles.push(seq);
      } else if (error === undefined) {
        const lsn = log.writeMark(TYPE_STATE, seq, IN_FILE);
        this.#pending = { seq, lsn, length: 0, inFile: true, isFloor: false };
      } else if (errnoOf(error) === 'ENOSPC' || isShortOfDescriptors(error)) {
        this.#putSeq = this.newestSeq;
        log.host.env.log.warn('a state was not stored', { logId: log.logId, why: error.message });
      } else log.host.fail(storageErrorFrom(error, 'writing a view file'));
    });
  }

  /**
   * Stores the newest state a second time, if that takes fewer than `bytesMax` bytes, or if nothing else leads to it:
   * the frames between it and the one before are not needed then. It is durable with what is appended now.
   */
  copyNewest(bytesMax: number): void {
    const [newest, older] = this.generations;
    const isAlone = newest?.isFloor === true || older?.seq === newest?.seq;
    if (newest === undefined || isAlone || this.#pending !== undefined) return;
    // One that is in a file is too large for a frame.
    if (newest.inFile) return;
    const log = this.#log;
    const record = this.recordBytes(newest);
    if (log.isMemory || record === undefined) return;
    // The other one was damaged, and no frames are left that lead to it.
    const isLast = older === undefined && log.table.anchor.seq > 0;
    if (record.length >= bytesMax && !isLast) return;
    log.host.counters.snapshotsWritten += 1;
    this.#appendFrame(newest.seq, record);
  }

  becameDurable(lsn: number): void {
    const pending = this.#pending;
    if (pending === undefined || pending.lsn >= lsn) return;
    this.#pending = undefined;
    this.#push(pending);
  }

  #push(generation: Generation): void {
    this.generations.unshift(generation);
    this.#log.isMarkDirty = true;
    for (const old of this.generations.splice(KEPT)) {
      if (old.inFile) this.obsoleteFiles.push(old.seq);
    }
  }

  /** A state frame met at recovery: the two newest count, of equal seqs those that were written last. */
  found(generation: Generation): void {
    const { seq, inFile } = generation;
    const isFloor =
      generation.isFloor || this.generations.some((known) => known.seq === seq && known.isFloor);
    // Two frames that point to the same file are one state.
    const same = inFile
      ? this.generations.findIndex((known) => known.seq === seq && known.inFile)
      : -1;
    if (same >= 0) this.generations.splice(same, 1);
    this.generations.push({ ...generation, isFloor });
    this.generations.sort((a, b) => b.seq - a.seq || b.lsn - a.lsn);
    this.generations.length = Math.min(this.generations.length, KEPT);
    this.#putSeq = this.newestSeq;
  }

  /** Gives up a generation whose bytes are damaged. */
  drop(generation: Generation): void {
    const at = this.generations.indexOf(generation);
    if (at >= 0) this.generations.splice(at, 1);
    // It may be put again.
    if (this.#putSeq === generation.seq) this.#putSeq = this.newestSeq;
  }

  reset(floor: Generation | undefined): void {
    for (const old of this.generations.splice(0)) {
      if (old.inFile && old.seq !== floor?.seq) this.obsoleteFiles.push(old.seq);
    }
    this.#pending = undefined;
    this.#life += 1;
    if (floor !== undefined) this.generations.push(floor);
    this.#putSeq = this.newestSeq;
  }

  read(): StateAtSeq | undefined {
    const found = this.readRecord();
    return found === undefined ? undefined : { seq: found.seq, bytes: found.record.state };
  }

  /** The newest record that passes its check. Throws `STORAGE_NEWER_FORMAT`. */
  readRecord(): { readonly seq: number; readonly record: SnapshotRecord } | undefined {
    for (const generation of this.generations) {
      const { seq } = generation;
      try {
        const bytes = generation.record ?? this.recordBytes(generation);
        const { logId, host } = this.#log;
        const what = this.pathOf(seq);
        if (bytes !== undefined) return { seq, record: decodeRecord(bytes, what) };
        host.env.log.error('a stored state is damaged', { logId, seq });
      } catch (error) {
        // Nothing is wrong with it: an older state in its place would hide what a newer version has written.
        if (errnoOf(error) === 'STORAGE_NEWER_FORMAT') throw error;
        const { logId, host } = this.#log;
        host.env.log.error('a stored state cannot be read', { logId, seq, why: messageOf(error) });
      }
    }
    return undefined;
  }

  recordBytes(generation: Generation): Uint8Array | undefined {
    return generation.inFile ? this.#readFile(generation.seq) : this.#readFrame(generation);
  }

  #readFile(seq: number): Uint8Array | undefined {
    const { env } = this.#log.host;
    const path = this.pathOf(seq);
    const size = env.disk.fileSize(path);
    if (size === undefined) return undefined;
    const bytes = new Uint8Array(size);
    const file = env.disk.open(path, { mode: 'read' });
    try {
      for (let at = 0; at < size; at += IO_BYTES) {
        file.readSync(bytes.subarray(at, at + IO_BYTES), at);
      }
    } finally {
      file.close();
    }
    return decodeViewFile(bytes, seq, env.crc32c);
  }

  #readFrame(generation: Generation): Uint8Array | undefined {
    const { walFiles, codec } = this.#log.host;
    const file = walFiles.locate(generation.lsn);
    if (file === undefined) return undefined;
    const bytes = new Uint8Array(FRAME_HEADER_BYTES + generation.length);
    const count = file.file.readSync(bytes, file.positionOf(generation.lsn));
    const fields = new FrameFields();
    const isSound =
      count === bytes.length &&
      codec.readHeader(bytes, 0, fields) &&
      fields.logId === this.#log.logId &&
      fields.seq === generation.seq &&
      codec.crc32c(bytes, FRAME_HEADER_BYTES, bytes.length) === fields.payloadCrc;
    return isSound ? bytes.subarray(FRAME_HEADER_BYTES) : undefined;
  }
}

/** Appends a frame whose payload is `record`; answers its LSN. */
export function appendRecordFrame(
  log: StoredLogCore,
  type: number,
  seq: number,
  record: Uint8Array,
  flags: number,
): number {
  const { wal, codec, walFiles } = log.host;
  wal.reserve(record.length, true);
  const fields = new FrameFields();
  fields.type = type;
  fields.flags = flags;
  fields.lsn = wal.lsn;
  fields.logId = log.logId;
  fields.seq = seq;
  fields.payloadLength = record.length;
  fields.payloadCrc = codec.crc32c(record, 0, record.length);
  fields.salt = walFiles.salt;
  wal.chunk.bytes.set(record, wal.at + FRAME_HEADER_BYTES);
  codec.writeHeader(wal.chunk.bytes, wal.at, fields);
  wal.added(log, false, (flags & CARRIED) !== 0);
  return fields.lsn;
}

/** Writes a record to its view file, durably. */
export function writeViewFile(
  log: StoredLogCore,
  seq: number,
  record: Uint8Array,
  done: (error: Error | undefined) => void,
): void {
  const { disk, crc32c } = log.host.env;
  const path = `${log.folder}/${viewFileName(seq)}`;
  try {
    disk.makeDirectory(log.folder);
    const file = disk.open(path, { mode: 'create', dsync: true });
    file.truncate(0);
    file.write(encodeViewFile(seq, record, crc32c), 0, (error) => {
      file.close();
      if (error !== undefined) {
        done(error);
        return;
      }
      try {
        for (let folder = log.folder, depth = 0; depth < 3; depth += 1) {
          disk.syncDirectory(folder);
          folder = folder.slice(0, folder.lastIndexOf('/'));
        }
        done(undefined);
      } catch (failed) {
        done(failed as Error);
      }
    });
  } catch (error) {
    done(error as Error);
  }
}
