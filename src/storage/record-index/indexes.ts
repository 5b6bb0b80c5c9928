// The record indexes of a shard: opened when a search wants them, made where there is none or none to be believed.
// One is made at a time, and to its end, also when the search that wanted it has given up: the next one finds it.
// That none could be made (no room, too many records) is no error: the segment is read through instead.
import type { Log } from '../../env/environment.ts';
import type { Crc32c } from '../../std/crc32c.ts';
import { messageOf } from '../../std/errors.ts';
import type { SegmentLookup, StoredLog } from '../api.ts';
import { pieceOf } from '../compaction/pieces.ts';
import { StorageError } from '../errors.ts';
import {
  DIRECTORY_BYTES_MAX,
  directorySize,
  encodeDirectory,
  encodeIndexHeader,
  INDEX_HEADER_BYTES,
  type IndexColumns,
  type PlacedRun,
  RUN_ENTRIES_MAX,
} from './format.ts';
import { RecordIndex } from './index-file.ts';
import type { RecordRun } from './work.ts';

export interface IndexesPort {
  readonly log: Log;
  readonly crc32c: Crc32c;
  readonly run: RecordRun;
  /** Called with what was read or written: resolves when the work may go on. */
  paced(bytes: number): Promise<void>;
  /** What is left of the disk is not for this. */
  isShortOfSpace(): boolean;
}

export interface IndexCounters {
  indexesMade: number;
  /** Bytes of segments that were read for them, and bytes of them. */
  indexedBytes: number;
  indexBytes: number;
}

/** Directories that are kept in memory. */
const KEPT_BYTES_MAX = 8 << 20;

export class RecordIndexes {
  readonly counters: IndexCounters = { indexesMade: 0, indexedBytes: 0, indexBytes: 0 };
  readonly #port: IndexesPort;
  /** By path, the one used longest ago first. */
  readonly #kept = new Map<string, RecordIndex>();
  #keptBytes = 0;
  readonly #making = new Map<string, Promise<RecordIndex | undefined>>();
  #last: Promise<unknown> = Promise.resolve();

  constructor(port: IndexesPort) {
    this.#port = port;
  }

  /**
   * The index of a segment that is lent; undefined: there can be none. With `refused`, of which a block was not what
   * it should be, another one. Rejects with StorageError `STORAGE_DAMAGED` if the segment is, and as tasks do.
   */
  async open(
    log: StoredLog,
    lent: SegmentLookup,
    refused?: RecordIndex,
  ): Promise<RecordIndex | undefined> {
    const { path } = lent;
    const kept = this.#kept.get(path);
    if (refused !== undefined && (kept === undefined || kept === refused)) {
      this.#forget(path);
      return this.#make(log, lent);
    }
    if (kept !== undefined) {
      this.#kept.delete(path);
      this.#kept.set(path, kept);
      return kept;
    }
    const making = this.#making.get(path);
    if (making !== undefined) return making;
    const file = lent.openIndex();
    const found = file && (await RecordIndex.open(file, lent.name, this.#port.crc32c));
    return found === undefined ? this.#make(log, lent) : this.#keep(path, found);
  }

  #forget(path: string): void {
    const index = this.#kept.get(path);
    if (index === undefined) return;
    this.#kept.delete(path);
    this.#keptBytes -= index.size;
  }

  #keep(path: string, index: RecordIndex): RecordIndex {
    this.#forget(path);
    this.#kept.set(path, index);
    this.#keptBytes += index.size;
    for (const oldest of this.#kept.keys()) {
      if (this.#keptBytes <= KEPT_BYTES_MAX) break;
      this.#forget(oldest);
    }
    return index;
  }

  /** Makes it anew, after those that are being made. */
  #make(log: StoredLog, { path, name }: SegmentLookup): Promise<RecordIndex | undefined> {
    const known = this.#making.get(path);
    if (known !== undefined) return known;
    const made = this.#last.then(async () => {
      const lent = this.#port.isShortOfSpace() ? undefined : log.beginLookup(name.baseOffset);
      if (lent === undefined) return undefined;
      try {
        return lent.path === path ? await this.#makeOf(lent) : undefined;
      } finally {
        this.#making.delete(path);
        lent.release();
      }
    });
    this.#making.set(path, made);
    const over = (): void => {
      this.#making.delete(path);
    };
    this.#last = made.then(over, over);
    return made;
  }

  async #makeOf(lent: SegmentLookup): Promise<RecordIndex | undefined> {
    let file: ReturnType<SegmentLookup['makeIndex']>;
    try {
      file = lent.makeIndex();
    } catch (error) {
      this.#unmade(lent, error);
      return undefined;
    }
    const { crc32c } = this.#port;
    const isWritten = await this.#write(lent, file);
    const index = isWritten ? await RecordIndex.open(file, lent.name, crc32c) : undefined;
    if (index === undefined) {
      // Without a header nothing is believed: should this fail, what is left of it may stay.
      try {
        file.truncate(0);
      } catch (error) {
        this.#unmade(lent, error);
      }
      return undefined;
    }
    this.counters.indexesMade += 1;
    this.counters.indexedBytes += lent.source.length;
    this.counters.indexBytes += file.size();
    return this.#keep(lent.path, index);
  }

  /** False: it is too large, or the disk did not take it or is short of room by now. */
  async #write(lent: SegmentLookup, file: Parameters<typeof writeAt>[0]): Promise<boolean> {
    const { source, name } = lent;
    const { crc32c, run, paced } = this.#port;
    const runs: PlacedRun[] = [];
    const pending = new Pending();
    let unread = 0;
    let end = INDEX_HEADER_BYTES;
    for (let at = 0; at < source.length; ) {
      const bytes = await pieceOf(source, at);
      const collected = await run({ kind: 'collect', bytes });
      if (collected.isDamaged || bytes.length === 0) {
        source.isSound(bytes, bytes.length, undefined);
        throw damaged(name, at);
      }
      if (collected.isCut) return false;
      unread += collected.unread;
      at += bytes.length;
      pending.add(collected.columns);
      await paced(bytes.length);
      while (pending.count >= RUN_ENTRIES_MAX || (at >= source.length && pending.count > 0)) {
        const made = await run({ kind: 'run', columns: pending.take() });
        if (!(await this.#written(lent, file, made.bytes, end))) return false;
        runs.push({ ...made.run, position: end });
        end += made.bytes.length;
        await paced(made.bytes.length);
        if (directorySize(runs) > DIRECTORY_BYTES_MAX) return false;
      }
    }
    const directory = encodeDirectory(runs);
    const header = encodeIndexHeader(
      {
        ...{ name, unread, runs: runs.length, directoryAt: end, directoryBytes: directory.length },
        directorySum: crc32c(directory, 0, directory.length),
      },
      crc32c,
    );
    // The header last: until it is there nothing is believed.
    return (
      (await this.#written(lent, file, directory, end)) &&
      (await this.#written(lent, file, header, 0))
    );
  }

  async #written(
    lent: SegmentLookup,
    file: Parameters<typeof writeAt>[0],
    bytes: Uint8Array,
    position: number,
  ): Promise<boolean> {
    // Room may have become short while it was made.
    if (this.#port.isShortOfSpace()) return false;
    const error = await writeAt(file, bytes, position);
    if (error !== undefined) this.#unmade(lent, error);
    return error === undefined;
  }

  #unmade({ path }: SegmentLookup, error: unknown): void {
    this.#port.log.warn('a record index was not written', { path, why: messageOf(error) });
  }
}

/** Entries that are in no run yet. */
class Pending {
  #parts: IndexColumns[] = [];
  count = 0;

  add(columns: IndexColumns): void {
    this.#parts.push(columns);
    this.count += columns.hashes.length;
  }

  /** The first ones, as many as a run takes. */
  take(): IndexColumns {
    const count = Math.min(this.count, RUN_ENTRIES_MAX);
    const hashes = new Uint32Array(count);
    const offsets = new Float64Array(count);
    const timesMs = new Float64Array(count);
    const left: IndexColumns[] = [];
    let at = 0;
    for (const part of this.#parts) {
      const taken = Math.min(count - at, part.hashes.length);
      hashes.set(part.hashes.subarray(0, taken), at);
      offsets.set(part.offsets.subarray(0, taken), at);
      timesMs.set(part.timesMs.subarray(0, taken), at);
      at += taken;
      if (taken === part.hashes.length) continue;
      left.push({
        hashes: part.hashes.subarray(taken),
        offsets: part.offsets.subarray(taken),
        timesMs: part.timesMs.subarray(taken),
      });
    }
    this.#parts = left;
    this.count -= count;
    return { hashes, offsets, timesMs };
  }
}

function writeAt(
  file: NonNullable<ReturnType<SegmentLookup['openIndex']>>,
  bytes: Uint8Array,
  position: number,
): Promise<unknown> {
  return new Promise((resolve) => file.write(bytes, position, resolve));
}

function damaged({ logId, baseOffset }: SegmentLookup['name'], position: number): StorageError {
  return new StorageError('STORAGE_DAMAGED', `log ${logId} is damaged behind ${baseOffset}`, {
    ...{ logId, baseOffset, position },
  });
}
