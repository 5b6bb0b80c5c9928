// One compaction of one log: learns which record of each key is the newest, from the first segment that was never
// compacted on, then rewrites all segments from the start of the log in order. Keys that do not fit into the
// table wait for the next round of the same pass. Reading and writing is here; what costs time is a task.
//
// A segment counts as done once every key in it was known, in this round or one before; tombstones get their
// horizon in the order of the log, behind everything that they hide. So a pass may end anywhere: what it has put in
// place stays, nothing that a tombstone hid comes back, and the next one begins at the first segment that is not done.
import type { FileRead, Rewrite, RewriteSource, SealedSegment, StoredLog } from '../api.ts';
import { StorageError } from '../errors.ts';
import type { FilterStats } from './filter.ts';
import { KeyMap } from './key-map.ts';
import {
  endOfBatches,
  PIECE_BYTES,
  pieceOf,
  type Readable,
  readAt,
  tellDamaged,
} from './pieces.ts';
import { ProducerTable } from './producer-table.ts';
import type { CompactionTask, FilterAnswer, MapAnswer } from './tasks.ts';

export interface PassPlan {
  /** Segments that end above are left alone: what is in them is too young, or not stable. */
  readonly endOffset: number;
  /** Log time now. */
  readonly nowMs: number;
  readonly deleteRetentionMs: number;
  /** Bytes of the table of keys, at most; one batch with more keys than fit makes it larger. */
  readonly mapBytesMax: number;
  /** Neighbours are joined up to so many bytes. */
  readonly segmentBytesMax: number;
  readonly seed: number;
}

export interface PassPort {
  /** Runs a pure task (tasks.ts). */
  run(task: CompactionTask): Promise<MapAnswer | FilterAnswer>;
  /** Called with what was read or written: resolves when the pass may go on. */
  paced(bytes: number): Promise<void>;
  /** Rules taken away by a simulation. */
  readonly faults?: CompactionFaults | undefined;
}

/** Mistakes that a simulation plants. */
export interface CompactionFaults {
  /** A tombstone goes with the first compaction. */
  readonly tombstonesGoAtOnce?: boolean;
  /** The newest record of a key goes like the others. */
  readonly dropsNewest?: boolean;
  /** Of a log that loses what nobody needs, some of the others go as well. */
  readonly dropsNeeded?: boolean;
}

export interface PassResult {
  /** `void`: the log has changed under it. What was put in place by then stays. */
  readonly outcome: 'done' | 'void';
  readonly rounds: number;
  readonly bytesIn: number;
  readonly bytesOut: number;
  readonly recordsIn: number;
  readonly recordsOut: number;
  readonly tombstonesGone: number;
  /** Batches whose codec nobody here knows: they stay as they are. */
  readonly unreadable: number;
  /** Below it every key has one record, as far as was known when the pass began. */
  readonly doneOffset: number;
}

const MAP_BYTES_MIN = 64 * 1024;

/** What there is to do: bytes that were never compacted, of all that count; those behind a damaged segment wait for its repair. */
export function dirtOf(
  segments: readonly SealedSegment[],
  endOffset: number,
): { readonly dirtyBytes: number; readonly totalBytes: number; readonly firstDirty: number } {
  let dirtyBytes = 0;
  let totalBytes = 0;
  let firstDirty = -1;
  for (const { baseOffset, endOffset: end, bytes, isDone, isCounted, isDamaged } of segments) {
    if (!isCounted || isDamaged || end > endOffset) break;
    totalBytes += bytes;
    if (isDone && firstDirty < 0) continue;
    dirtyBytes += bytes;
    if (firstDirty < 0) firstDirty = baseOffset;
  }
  return { dirtyBytes, totalBytes, firstDirty };
}

/**
 * Compacts a log. Rejects with StorageError (`STORAGE_DAMAGED`: bytes in a segment are wrong, nothing was made of
 * them; `STORAGE_FULL`; or the store failed), or as `run` does.
 */
export function compactLog(log: StoredLog, plan: PassPlan, port: PassPort): Promise<PassResult> {
  return new Pass(log, plan, port).run();
}

class Pass {
  readonly #log: StoredLog;
  readonly #plan: PassPlan;
  readonly #port: PassPort;
  readonly #stats = {
    rounds: 0,
    bytesIn: 0,
    bytesOut: 0,
    recordsIn: 0,
    recordsOut: 0,
    tombstonesGone: 0,
    unreadable: 0,
  };
  readonly #producers = new Map<number, number>();
  #map!: KeyMap;
  /** Of a ProducerTable of this round. */
  #producerTable!: SharedArrayBuffer;
  #mayStamp = true;

  constructor(log: StoredLog, plan: PassPlan, port: PassPort) {
    this.#log = log;
    this.#plan = plan;
    this.#port = port;
  }

  #segments(): SealedSegment[] {
    const segments: SealedSegment[] = [];
    for (const segment of this.#log.sealedSegments()) {
      if (!segment.isCounted || segment.endOffset > this.#plan.endOffset) break;
      segments.push(segment);
    }
    return segments;
  }

  async run(): Promise<PassResult> {
    const segments = this.#segments();
    const { firstDirty, dirtyBytes } = dirtOf(segments, this.#plan.endOffset);
    const damagedAt = segments.findIndex(({ isDamaged }) => isDamaged);
    const last = damagedAt < 0 ? segments.at(-1) : segments[damagedAt - 1];
    let from = firstDirty;
    if (last === undefined || from < 0) return this.#result('done', 0);
    let bytes = Math.min(this.#plan.mapBytesMax, Math.max(MAP_BYTES_MIN, dirtyBytes));
    while (from < last.endOffset) {
      this.#map = KeyMap.ofBytes(bytes, this.#plan.seed);
      const mapEnd = await this.#learn(from, last.endOffset);
      if (mapEnd === undefined) return this.#result('void', from);
      if (mapEnd === from) {
        // A batch has more keys than fit.
        bytes *= 2;
        continue;
      }
      this.#stats.rounds += 1;
      this.#mayStamp = true;
      this.#producerTable = ProducerTable.memoryOf(this.#producers);
      if (!(await this.#rewriteBelow(mapEnd))) return this.#result('void', from);
      from = mapEnd;
    }
    return this.#result('done', from);
  }

  #result(outcome: 'done' | 'void', doneOffset: number): PassResult {
    return { outcome, doneOffset, ...this.#stats };
  }

  // ---- learning -------------------------------------------------------------------------------

  /** Up to which offset the keys are known; undefined: the log is another. */
  async #learn(from: number, to: number): Promise<number | undefined> {
    let at = from;
    while (at < to) {
      if (at < this.#log.startOffset) at = Math.min(to, this.#log.startOffset);
      const read = this.#log.read(at, PIECE_BYTES, to);
      if (read.kind === 'damaged') throw this.#damaged(at);
      if (read.kind === 'empty') break;
      if (read.kind !== 'file') {
        if (read.kind === 'memory') read.release();
        return undefined;
      }
      const { bytes, answer } = await this.#mapped(read, at, to);
      const { mappedEnd, isFull, producers } = answer;
      for (let i = 0; i < producers.length; i += 2) {
        this.#producers.set(producers[i]!, producers[i + 1]!);
      }
      if (isFull) return Math.max(from, mappedEnd);
      at = read.nextOffset;
      await this.#port.paced(bytes.length);
    }
    return to;
  }

  async #mapped(
    read: FileRead,
    fromOffset: number,
    endOffset: number,
  ): Promise<{ readonly bytes: Uint8Array; readonly answer: MapAnswer }> {
    try {
      const bytes = await readAt(read, read.position, read.length);
      this.#stats.bytesIn += bytes.length;
      const task = { kind: 'map', bytes, table: this.#map.memory, fromOffset, endOffset } as const;
      const end = endOfBatches(bytes, read.baseOffset, read.nextOffset);
      if (end === undefined) throw this.#rotten(read, bytes, fromOffset);
      const answer = (await this.#run(task)) as MapAnswer;
      if (answer.isDamaged) throw this.#rotten(read, bytes, fromOffset);
      return { bytes, answer };
    } finally {
      read.release();
    }
  }

  #run(task: CompactionTask): Promise<MapAnswer | FilterAnswer> {
    return this.#port.run(task);
  }

  #rotten(from: Readable, bytes: Uint8Array, offset: number): StorageError {
    tellDamaged(from, bytes);
    return this.#damaged(offset);
  }

  #damaged(offset: number): StorageError {
    const { logId } = this.#log;
    return new StorageError('STORAGE_DAMAGED', `log ${logId} is damaged at offset ${offset}`, {
      logId,
      offset,
    });
  }

  // ---- rewriting ------------------------------------------------------------------------------

  /** False: the log is another. */
  async #rewriteBelow(mapEnd: number): Promise<boolean> {
    let at = 0;
    for (;;) {
      const group = this.#groupFrom(at, mapEnd);
      if (group.length === 0) return true;
      const end = group[group.length - 1]!.endOffset;
      let rewrite = this.#log.beginRewrite(group[0]!.baseOffset, end, { isDone: end <= mapEnd });
      let isWhole = true;
      if (rewrite === undefined && group.length > 1) {
        // Of two lives of the log: one at a time then.
        const { baseOffset, endOffset } = group[0]!;
        const isDone = endOffset <= mapEnd;
        rewrite = this.#log.beginRewrite(baseOffset, endOffset, { isDone });
        isWhole = false;
      }
      if (rewrite === undefined) return false;
      const isWanted = group.some(({ isDone }) => !isDone) && end <= mapEnd;
      if (!(await this.#rewrite(rewrite, mapEnd, isWanted))) return false;
      at = isWhole ? end : group[0]!.endOffset;
    }
  }

  /** Neighbours from `at` on that fit into one file, and that are all known or all not. */
  #groupFrom(at: number, mapEnd: number): SealedSegment[] {
    const group: SealedSegment[] = [];
    let bytes = 0;
    for (const segment of this.#segments()) {
      if (segment.baseOffset < at || segment.endOffset <= at) continue;
      if (segment.baseOffset >= mapEnd) break;
      bytes += segment.bytes;
      const isOther = group.length > 0 && segment.endOffset > mapEnd;
      if (group.length > 0 && (isOther || bytes > this.#plan.segmentBytesMax)) break;
      group.push(segment);
    }
    return group;
  }

  /** @param isWanted it counts even if nothing in it has changed. */
  async #rewrite(rewrite: Rewrite, mapEnd: number, isWanted: boolean): Promise<boolean> {
    let isChanged = isWanted || rewrite.sources.length > 1;
    let gone = 0;
    try {
      for (const source of rewrite.sources) {
        let nextOffset = source.baseOffset;
        for (let position = 0; position < source.length; ) {
          if (rewrite.isVoid) return false;
          const bytes = await pieceOf(source, position);
          const pieceEnd = endOfBatches(bytes, nextOffset, source.endOffset);
          if (pieceEnd === undefined) throw this.#rotten(source, bytes, nextOffset);
          nextOffset = pieceEnd;
          const { stats, bytes: left } = await this.#filter(bytes, mapEnd, source);
          isChanged ||= stats.isChanged;
          gone += stats.tombstonesGone;
          await rewrite.append(left);
          position += bytes.length;
          this.#stats.bytesOut += left.length;
          await this.#port.paced(bytes.length + left.length);
        }
      }
      if (!isChanged) return !rewrite.isVoid;
      if ((await rewrite.commit()) === 'void') return false;
      this.#stats.tombstonesGone += gone;
      return true;
    } finally {
      rewrite.abort();
    }
  }

  async #filter(bytes: Uint8Array, mapEnd: number, source: RewriteSource): Promise<FilterAnswer> {
    const { nowMs, deleteRetentionMs } = this.#plan;
    const answer = (await this.#run({
      kind: 'filter',
      bytes,
      table: this.#map.memory,
      rules: { nowMs, deleteRetentionMs, mapEnd, mayStamp: this.#mayStamp, ...this.#port.faults },
      producers: this.#producerTable,
    })) as FilterAnswer;
    if (answer.isDamaged) throw this.#rotten(source, bytes, source.baseOffset);
    this.#note(bytes.length, answer.stats);
    return answer;
  }

  #note(bytesIn: number, { recordsIn, recordsOut, unreadable }: FilterStats): void {
    this.#stats.bytesIn += bytesIn;
    this.#stats.recordsIn += recordsIn;
    this.#stats.recordsOut += recordsOut;
    this.#stats.unreadable += unreadable;
    if (unreadable > 0) this.#mayStamp = false;
  }
}
