// The segments of one log in offset order: reads by offset and time, appends of committed batches,
// removal below the log start. Loaded from the folder when first needed: an idle log has no open file
// and no listing. What lies beyond the checkpointed end is dropped then; the WAL has it.
import type { FileRead, SegmentRange, TimestampPlace } from './api.ts';
import { errnoOf } from './errors.ts';
import {
  AS_SETTLED,
  type BatchPlace,
  indexPath,
  parseSegmentFileName,
  recordIndexPath,
  SEGMENT_HEADER_BYTES,
  Segment,
  type SegmentContents,
  type SegmentFileName,
  type SegmentHost,
} from './segment.ts';
import { firstAbove, latestAbove } from './segment-scan.ts';
import { isSoundRun } from './sound-batches.ts';

/** Where the settled part of a log ended at a checkpoint: everything in it is synced. */
export interface SettledMark {
  readonly settledSeq: number;
  readonly settledOffset: number;
  /** Files of other generations than these are left-overs. */
  readonly generationMin: number;
  readonly generation: number;
  /** The segment that was being filled, and its length; length 0 if none was. */
  readonly segmentBase: number;
  readonly segmentLength: number;
}

export const NO_MARK: SettledMark = {
  settledSeq: 0,
  settledOffset: 0,
  generationMin: 1,
  generation: 1,
  segmentBase: 0,
  segmentLength: 0,
};

/** What a segment may hold: bytes of the file (or one batch), and time between its first and its last batch. */
export interface SegmentLimits {
  bytesMax: number;
  ageMs: number;
}

/** What is being rewritten has it behind its name, and counts for nothing. */
export const CLEAN_SUFFIX = '.clean';
/** As in Kafka. */
export const SEGMENT_BYTES_MAX = 1 << 30;
/** A last segment is not given up early before it has so many bytes. */
const ROLL_BYTES_MIN = 256 * 1024;

export class SegmentSet {
  readonly #host: SegmentHost;
  readonly #folder: string;
  readonly #logId: number;
  readonly #limits: SegmentLimits;
  readonly list: Segment[] = [];
  generation: number;
  /** The last segment takes no more: it was sealed, or adopted. */
  #isSealed = false;
  /** It takes no more after what is being written. */
  #isMostlyDead = false;
  /** Log time of its first batch; of one that an earlier run began, of the first in this run. */
  #sinceMs: number | undefined;
  /** A file was made or removed since the folder was last synced. */
  isFolderDirty = false;
  /** Of the batches that are appended. */
  #contents = AS_SETTLED;

  constructor(
    host: SegmentHost,
    options: {
      readonly folder: string;
      readonly logId: number;
      /** Of the log; they may change. */
      readonly limits: SegmentLimits;
      /** The start of the log, or `fresh`: a set of new files only, for a catch-up; the folder is not looked at. */
      readonly startOffset: number | 'fresh';
    },
    mark: SettledMark,
  ) {
    this.#host = host;
    this.#folder = options.folder;
    this.#logId = options.logId;
    this.#limits = options.limits;
    this.generation = mark.generation;
    if (options.startOffset === 'fresh') this.#isSealed = true;
    else this.#load(mark, options.startOffset);
  }

  #load(mark: SettledMark, startOffset: number): void {
    const { disk } = this.#host.env;
    if (!disk.exists(this.#folder)) return;
    // A run that was killed may have removed files that a power cut would bring back: as parts of a log that
    // goes beyond them by then.
    this.isFolderDirty = !this.#host.cleanStart;
    // What was removed before a checkpoint synced it may be back as well, and not whole: nothing that is dead counts.
    const isDead = startOffset >= mark.settledOffset;
    const kept: SegmentFileName[] = [];
    const entries = disk.list(this.#folder);
    for (const entry of entries) {
      const path = `${this.#folder}/${entry.name}`;
      if (entry.name.endsWith(CLEAN_SUFFIX)) disk.remove(path);
      const name = parseSegmentFileName(entry.name);
      if (name === undefined) continue;
      const isOurs =
        !isDead &&
        name.generation >= mark.generationMin &&
        name.generation <= mark.generation &&
        name.baseOffset < mark.settledOffset;
      if (!isOurs) {
        // Gone for good before a later checkpoint counts other bytes under these offsets.
        this.isFolderDirty = true;
        this.#removeFile(path);
      } else kept.push(name);
    }
    for (const name of this.#withoutRewritten(kept)) this.#add(name, mark);
    this.#removeOrphans(entries.map(({ name }) => name));
    this.list.sort((a, b) => a.baseOffset - b.baseOffset || a.generation - b.generation);
    while (this.list.length > 1 && this.list[1]!.baseOffset <= startOffset) this.#remove();
    const last = this.list[this.list.length - 1];
    this.#isSealed = last === undefined || last.baseOffset !== mark.segmentBase;
    if (mark.segmentLength === 0) this.#isSealed = true;
  }

  #add(name: SegmentFileName, mark: SettledMark): void {
    const isActive =
      mark.segmentLength > 0 &&
      name.revision === 0 &&
      name.baseOffset === mark.segmentBase &&
      name.generation === mark.generation;
    const segment = new Segment(this.#host, this.#folder, { logId: this.#logId, ...name }, 0);
    const size = this.#host.env.disk.fileSize(segment.path) ?? 0;
    const length = isActive ? mark.segmentLength : Math.max(size, SEGMENT_HEADER_BYTES);
    segment.length = segment.syncedLength = length;
    if (isActive) this.#removeIndex(recordIndexPath(segment.path));
    if (isActive && size > length) segment.dropTail();
    if (isActive && !this.#host.cleanStart) segment.distrustTail();
    if (size < length) this.#lacks(segment, size, isActive);
    // Before a checkpoint counts it as sealed: then its index says how long it was when that was written.
    if (isActive && segment.dropIndex()) this.isFolderDirty = true;
    this.list.push(segment);
  }

  /** Its file is shorter than what counts of it. */
  #lacks(segment: Segment, size: number, isActive: boolean): void {
    // No checkpoint says how long a sealed one is, and this one is sealed next: zeros in the place of what it lacks
    // are no batches, whoever reads them and whenever.
    if (isActive && segment.hasBatches) segment.fillUp();
    segment.foundDamaged(size);
  }

  /** Where a rewriting has ended, the files that it was made of go, if they are still there, or back. */
  #withoutRewritten(names: SegmentFileName[]): SegmentFileName[] {
    names.sort((a, b) => a.baseOffset - b.baseOffset || b.revision - a.revision);
    const kept: SegmentFileName[] = [];
    const gone: SegmentFileName[] = [];
    let newest: SegmentFileName | undefined;
    for (const name of names) {
      const isGone =
        newest !== undefined &&
        name.baseOffset < newest.endOffset &&
        name.revision < newest.revision;
      if (isGone) gone.push(name);
      else kept.push(name);
      if (!isGone && name.revision > 0) newest = name;
    }
    if (gone.length > 0) {
      // Its name may be known to the page cache only, and nothing else has these batches then.
      this.#host.env.disk.syncDirectory(this.#folder);
      this.isFolderDirty = true;
    }
    for (const name of gone) {
      const { path } = new Segment(this.#host, this.#folder, { logId: this.#logId, ...name }, 0);
      this.#removeFile(path);
    }
    return kept;
  }

  #removeFile(path: string): void {
    const { disk } = this.#host.env;
    disk.remove(path);
    for (const derived of [indexPath(path), recordIndexPath(path)]) {
      if (disk.exists(derived)) disk.remove(derived);
    }
  }

  /** A power cut may leave what was derived from a segment, and not the segment. */
  #removeOrphans(names: readonly string[]): void {
    const { disk } = this.#host.env;
    for (const name of names) {
      const path = `${this.#folder}/${name}`;
      const segment = path.replace(/\.rix$/, '.seg');
      if (segment !== path && !disk.exists(segment)) this.#removeIndex(path);
    }
  }

  /** Gone for good before another segment can have its name. */
  #removeIndex(path: string): void {
    const { disk } = this.#host.env;
    if (!disk.exists(path)) return;
    disk.remove(path);
    this.isFolderDirty = true;
  }

  get bytes(): number {
    let sum = 0;
    for (const segment of this.list) sum += segment.length;
    return sum;
  }

  get last(): Segment | undefined {
    return this.list[this.list.length - 1];
  }

  // ---- appending ------------------------------------------------------------------------------

  /**
   * The segment that takes a batch of `size` bytes next, appended at that log time; made if need be. Nothing is
   * being written to any meanwhile. Throws DiskError.
   */
  segmentFor(size: number, logTimeMs: number, baseOffsetOf: () => number): Segment {
    const last = this.last;
    if (last !== undefined && !this.#isSealed) {
      const hasRoom = size <= this.roomIn(last) && !this.#isOver(logTimeMs);
      if (!last.isDamaged && (!last.hasBatches || hasRoom)) return last;
      if (last.hasBatches) this.seal();
      else {
        // There was its header only, and no checkpoint knows of more: the new one has its name.
        last.forgive();
        this.list.pop();
      }
    }
    this.#sinceMs = logTimeMs;
    return this.#roll(baseOffsetOf());
  }

  /** The last segment has covered its time, or more of it is below the log start than above. */
  #isOver(logTimeMs: number): boolean {
    this.#sinceMs ??= logTimeMs;
    return this.#isMostlyDead || logTimeMs - this.#sinceMs > this.#limits.ageMs;
  }

  roomIn(segment: Segment): number {
    return Math.max(0, this.#limits.bytesMax - segment.length);
  }

  #roll(baseOffset: number): Segment {
    const { disk } = this.#host.env;
    if (!disk.exists(this.#folder)) disk.makeDirectory(this.#folder);
    const { generation } = this;
    const name = {
      logId: this.#logId,
      baseOffset,
      generation,
      revision: 0,
      endOffset: 0,
      isDone: false,
    };
    const segment = new Segment(this.#host, this.#folder, name, 0);
    segment.create(this.#contents);
    this.list.push(segment);
    this.#isSealed = this.#isMostlyDead = false;
    this.isFolderDirty = true;
    return segment;
  }

  /** Whatever is appended from now on was compacted elsewhere, or was not. Throws DiskError. */
  expect(contents: SegmentContents): void {
    const { isRaw, isThinned } = this.#contents;
    if (contents.isRaw === isRaw && contents.isThinned === isThinned) return;
    this.seal();
    this.#contents = contents;
  }

  /** The last segment is complete: its index goes to disk, the next batch begins a new one. Throws DiskError. */
  seal(): void {
    if (this.#isSealed) return;
    const last = this.last;
    last?.finish();
    this.#isSealed = true;
    if (last === undefined) return;
    try {
      last.saveIndex();
    } catch (error) {
      // The index is derived: without its file it is rebuilt when needed.
      this.#host.env.log.warn('a segment index was not written', {
        path: last.path,
        error: String(error),
      });
    }
  }

  /** Where the settled part ends, for a checkpoint that follows a sync. */
  mark(settledSeq: number, settledOffset: number, generationMin: number): SettledMark {
    const last = this.#isSealed ? undefined : this.last;
    return {
      settledSeq,
      settledOffset,
      generationMin,
      generation: this.generation,
      segmentBase: last?.baseOffset ?? 0,
      segmentLength: last?.length ?? 0,
    };
  }

  /** `synced`: folders that were synced since these names are there; what this syncs is added. */
  syncFolder(synced: Set<string> = new Set()): void {
    if (!this.isFolderDirty) return;
    let folder = this.#folder;
    // The log's folder and the one above it may be new too.
    for (let depth = 0; depth < 3; depth += 1) {
      if (!synced.has(folder)) this.#host.env.disk.syncDirectory(folder);
      synced.add(folder);
      folder = folder.slice(0, folder.lastIndexOf('/'));
    }
    this.isFolderDirty = false;
  }

  // ---- removing -------------------------------------------------------------------------------

  /** Removes whole segments below `offset`, never the last one. */
  removeBelow(offset: number, settledOffset: number): void {
    while (this.list.length > 1 && this.list[1]!.baseOffset <= offset) this.#remove();
    const last = this.list.length === 1 ? this.last : undefined;
    if (last === undefined || last.length < ROLL_BYTES_MIN) return;
    // So that it can go when the start passes its end, however slowly it fills.
    this.#isMostlyDead = 2 * (offset - last.baseOffset) > settledOffset - last.baseOffset;
  }

  /** No batch in any of them is wanted any more: the next one begins a new segment. */
  removeAll(): void {
    while (this.list.length > 0) this.#remove();
    this.#isSealed = true;
  }

  #remove(): void {
    const segment = this.list.shift()!;
    const { counters } = this.#host;
    counters.segmentsRemoved += 1;
    counters.segmentBytesRemoved += segment.length;
    segment.doom();
    // A file that comes back after a power cut would be taken for one that is whole.
    this.isFolderDirty = true;
  }

  // ---- rewriting ------------------------------------------------------------------------------

  /**
   * Segments that take no more, in order; without the last one, which a catch-up may have left so: the last batch stays,
   * or readers would never come to the end.
   */
  sealed(): readonly Segment[] {
    return this.list.slice(0, -1);
  }

  /**
   * Does each of these marks count the segment in full? Whichever of two checkpoints a start goes by, none of its
   * batches comes out of the WAL again then.
   */
  isCounted(
    index: number,
    marks: readonly SettledMark[],
    endOffset = this.coveredEnd(index),
  ): boolean {
    const segment = this.list[index]!;
    if (segment.isDirty) return false;
    return marks.every((mark) => isCounted(segment, endOffset, mark));
  }

  /** The offset up to which a segment stands for the log. Throws for a damaged one. */
  coveredEnd(index: number): number {
    const segment = this.list[index]!;
    if (segment.revision > 0) return segment.endOffset;
    return this.list[index + 1]?.baseOffset ?? segment.nextOffset;
  }

  /** Are these still neighbours here? */
  holds(segments: readonly Segment[]): boolean {
    const from = this.list.indexOf(segments[0]!);
    return from >= 0 && segments.every((segment, i) => this.list[from + i] === segment);
  }

  /** Puts what they were rewritten to in their place. Their files go when nobody reads them. */
  replace(segments: readonly Segment[], by: Segment): void {
    const from = this.list.indexOf(segments[0]!);
    for (const segment of this.list.splice(from, segments.length, by)) segment.doom();
    this.isFolderDirty = true;
  }

  /** Puts the segments of a finished catch-up in place; `isScratch` drops what was there. */
  adopt(segments: readonly Segment[], generation: number, isScratch: boolean): void {
    if (isScratch) for (const segment of this.list.splice(0)) segment.doom();
    this.list.push(...segments);
    this.generation = generation;
    this.#isSealed = true;
  }

  // ---- reading --------------------------------------------------------------------------------

  /** The last segment that begins at or below `offset`, else the first. */
  indexOf(offset: number): number {
    let index = this.list.length - 1;
    while (index > 0 && this.list[index]!.baseOffset > offset) index -= 1;
    return index;
  }

  /** The first batch that ends above `offset`. Throws for damaged segments. */
  #find(offset: number): { readonly segment: Segment; readonly place: BatchPlace } | undefined {
    for (let i = Math.max(0, this.indexOf(offset)); i < this.list.length; i += 1) {
      const segment = this.list[i]!;
      const from = segment.index().positionForOffset(offset);
      if (from < 0 || segment.nextOffset <= offset) continue;
      let found: BatchPlace | undefined;
      segment.scan(from, 0, (place) => {
        if (place.nextOffset <= offset) return true;
        found = place;
        return false;
      });
      if (found !== undefined) return { segment, place: found };
    }
    return undefined;
  }

  /** Whole batches from the one that holds `offset`; undefined if there is none below the limit. */
  read(offset: number, maxBytes: number, limitOffset: number): FileRead | undefined {
    const start = this.#find(offset);
    if (start === undefined || start.place.baseOffset >= limitOffset) return undefined;
    const { segment, place } = start;
    const end = this.#endOf(segment, place, maxBytes, limitOffset);
    const open = segment.pin();
    let isReleased = false;
    const { position, baseOffset } = place;
    const { nextOffset } = end;
    const { crc32c } = this.#host.env;
    return {
      kind: 'file',
      file: open.file,
      position,
      length: end.position - position,
      baseOffset,
      nextOffset,
      isSound: (bytes, count, error) => {
        // What a disk says of anything but a sector says nothing of the bytes.
        if (error !== undefined && errnoOf(error) !== 'EIO') return false;
        const isSound =
          error === undefined && isSoundRun(bytes, count, { baseOffset, nextOffset }, crc32c);
        if (!isSound) segment.foundDamaged(position);
        return isSound;
      },
      release: () => {
        if (isReleased) return;
        isReleased = true;
        segment.unpin(open);
      },
    };
  }

  #endOf(
    segment: Segment,
    first: BatchPlace,
    maxBytes: number,
    limitOffset: number,
  ): { readonly position: number; readonly nextOffset: number } {
    const target = first.position + maxBytes;
    if (segment.length <= target && segment.nextOffset <= limitOffset) {
      return { position: segment.length, nextOffset: segment.nextOffset };
    }
    let position = first.position + first.size;
    let { nextOffset } = first;
    if (position >= target) return { position, nextOffset };
    const index = segment.index();
    const jump = Math.min(index.positionAtMost(target), index.positionForOffset(limitOffset));
    if (jump > position) position = jump;
    let isFirst = jump === position;
    segment.scan(position, 0, (place) => {
      if (isFirst) nextOffset = place.baseOffset;
      isFirst = false;
      if (place.position + place.size > target || place.baseOffset >= limitOffset) return false;
      position = place.position + place.size;
      nextOffset = place.nextOffset;
      return true;
    });
    return { position, nextOffset };
  }

  /**
   * The first batch that ends above `fromOffset` and whose largest timestamp is at least `timeMs`. Throws for a damaged
   * segment before it whose index does not rule it out.
   */
  findTime(timeMs: number, fromOffset: number): TimestampPlace | undefined {
    for (const segment of this.list) {
      const index = segment.index();
      if (index.count === 0 || index.maxTimestampMs < timeMs) continue;
      if (index.nextOffset <= fromOffset) continue;
      let found: TimestampPlace | undefined;
      segment.scan(index.positionForTime(timeMs), 0, (place) => {
        if (place.maxTimestampMs < timeMs || place.nextOffset <= fromOffset) return true;
        found = { baseOffset: place.baseOffset, maxTimestampMs: place.maxTimestampMs };
        return false;
      });
      if (found !== undefined) return found;
    }
    return undefined;
  }

  /** Among the batches that end above `fromOffset`. Throws for a damaged segment whose index does not say what it holds. */
  maxTimestamp(fromOffset: number): TimestampPlace | undefined {
    let found: TimestampPlace | undefined;
    for (const segment of this.list) {
      const { count, nextOffset, maxTimestampMs, maxTimestampOffset } = segment.index();
      if (count === 0 || maxTimestampMs <= (found?.maxTimestampMs ?? -1)) continue;
      if (maxTimestampOffset < fromOffset) {
        // The index speaks of a batch that is gone, or that the start cuts: the rest of the segment says it.
        if (nextOffset > fromOffset) found = latestAbove(segment, fromOffset, found);
        continue;
      }
      found = { baseOffset: maxTimestampOffset, maxTimestampMs };
    }
    return found;
  }

  /**
   * Every batch that ends above `startOffset`, up to `endOffset`, which is the end of a batch; all settled, pinned
   * until `release`. Throws, with nothing pinned, for a damaged segment among them, and DiskError.
   */
  ranges(
    startOffset: number,
    endOffset: number,
  ): { readonly ranges: readonly SegmentRange[]; release(): void } {
    const ranges: SegmentRange[] = [];
    const pinned: (() => void)[] = [];
    const release = (): void => {
      for (const unpin of pinned.splice(0)) unpin();
    };
    try {
      for (const [i, segment] of this.list.entries()) {
        const behindOffset = this.list[i + 1]?.baseOffset ?? Number.POSITIVE_INFINITY;
        if (behindOffset <= startOffset || segment.baseOffset >= endOffset) continue;
        segment.assertSound();
        if (!segment.hasBatches) continue;
        let { length, nextOffset } = segment;
        if (nextOffset <= startOffset) continue;
        const position = firstAbove(segment, startOffset);
        if (nextOffset > endOffset) {
          const first = segment.index().positionForOffset(endOffset);
          segment.scan(first, 0, (place) => {
            if (place.baseOffset < endOffset) return true;
            length = place.position;
            nextOffset = endOffset;
            return false;
          });
        }
        const open = segment.pin();
        pinned.push(() => segment.unpin(open));
        ranges.push({
          baseOffset: segment.baseOffset,
          endOffset: nextOffset,
          file: open.file,
          position,
          length: length - position,
          isSound: (bytes, count, error) => segment.isSound(bytes, count, error, position),
        });
      }
    } catch (error) {
      release();
      throw error;
    }
    return { ranges, release };
  }
}

function isCounted(segment: Segment, endOffset: number, mark: SettledMark): boolean {
  const { baseOffset, generation } = segment;
  const isOurs = generation >= mark.generationMin && generation <= mark.generation;
  const isOpen = mark.segmentLength > 0 && mark.segmentBase <= baseOffset;
  return isOurs && !isOpen && endOffset <= mark.settledOffset;
}
