// Replaces neighbouring segments of a log by one that holds less: written beside them, synced, and put in their
// place by its name. The name says which offsets it stands for and that it is newer, so that a start finds either
// the old files or the new one, whatever was lost with a power cut. Only segments that both checkpoints count in
// full are rewritten: what a start replays from the WAL never meets them.
//
// Nobody waits for a rewriting. A move of the start, an install or a delete that takes one of its sources away
// makes it void, which is looked at in the same turn in which it would count; readers and donations keep the old
// files until they are done.
import type { DiskFile } from '../env/environment.ts';
import { assert } from '../std/assert.ts';
import type { Rewrite, RewriteKind, RewriteSource, SealedSegment } from './api.ts';
import { isShortOfDescriptors, isShortOfSpace, storageErrorFrom } from './errors.ts';
import type { OpenFile } from './open-files.ts';
import { SEGMENT_HEADER_BYTES, Segment, type SegmentContents } from './segment.ts';
import { CLEAN_SUFFIX } from './segment-set.ts';
import { NEEDLESS_GONE, REWRITTEN_SEGMENTS } from './store-files.ts';
import type { StoredLogCore } from './stored-log.ts';

/** What takes no more, in order. */
export function sealedSegments(log: StoredLogCore): SealedSegment[] {
  if (!isRewritable(log)) return [];
  const { segments } = log;
  const marks = [log.checkpointed, log.checkpointedBefore];
  return segments.sealed().map((segment, i) => ({
    baseOffset: segment.baseOffset,
    endOffset: segments.coveredEnd(i),
    bytes: segment.length - SEGMENT_HEADER_BYTES,
    generation: segment.generation,
    isCounted: segments.isCounted(i, marks),
    isDone: segment.isDone,
    isDamaged: segment.isDamaged,
  }));
}

function isRewritable(log: StoredLogCore): boolean {
  return !(log.isMemory || log.isDeleted || log.needsRepair || log.host.isStopped);
}

function coveredEnd({ segments }: StoredLogCore, segment: Segment): number {
  return segments.coveredEnd(segments.list.indexOf(segment));
}

/** Undefined: these are not, or no more, neighbours that may be rewritten, or a rewriting of the log is under way. */
export function beginRewrite(
  log: StoredLogCore,
  fromOffset: number,
  endOffset: number,
  { isDone = true, dropsNeedless = false }: RewriteKind,
): Rewrite | undefined {
  if (log.isRewriting || !isRewritable(log)) return undefined;
  const { segments } = log;
  const marks = [log.checkpointed, log.checkpointedBefore];
  const sources = segments.sealed().filter((segment, i) => {
    const isWithin = segment.baseOffset >= fromOffset && segments.coveredEnd(i) <= endOffset;
    return isWithin && segments.isCounted(i, marks);
  });
  const [first] = sources;
  const isOne =
    first !== undefined &&
    segments.holds(sources) &&
    sources.every(({ generation, isDamaged }) => generation === first.generation && !isDamaged);
  if (!isOne) return undefined;
  const end = coveredEnd(log, sources[sources.length - 1]!);
  // What was compacted before may have tombstones whose time has come.
  const isThinned = dropsNeedless ? areThinned(sources) : !areRaw(sources);
  const result = { endOffset: end, isDone, isRaw: false, isThinned, isGappy: dropsNeedless };
  return new LogRewrite(log, sources, result);
}

/** What a rewriting makes of its sources. */
interface RewriteResult extends SegmentContents {
  /** Up to which offset it stands for the log. */
  readonly endOffset: number;
  readonly isDone: boolean;
  /** Records may be missing whatever kind of log it is. */
  readonly isGappy: boolean;
}

/**
 * The same for one segment whose own bytes are worth nothing: there are no sources to read. Undefined if it may not
 * be rewritten now.
 */
export function beginReplacement(
  log: StoredLogCore,
  segment: Segment,
  result: RewriteResult,
): Rewrite | undefined {
  if (log.isRewriting || !isRewritable(log) || !log.segments.holds([segment])) return undefined;
  return new LogRewrite(log, [segment], result, false);
}

function areRaw(segments: readonly Segment[]): boolean {
  return areAll(segments, ({ isRaw }) => isRaw);
}

function areThinned(segments: readonly Segment[]): boolean {
  return !areAll(segments, ({ isThinned }) => !isThinned);
}

function areAll(
  segments: readonly Segment[],
  are: (contents: SegmentContents) => boolean,
): boolean {
  try {
    return segments.every((segment) => are(segment.contents));
  } catch (error) {
    throw storageErrorFrom(error, `reading headers of ${segments[0]!.path} and behind`);
  }
}

/** All of them or none. */
function pinAll(segments: readonly Segment[]): readonly OpenFile[] {
  const pinned: OpenFile[] = [];
  try {
    for (const segment of segments) pinned.push(segment.pin());
  } catch (error) {
    for (const [i, open] of pinned.entries()) segments[i]!.unpin(open);
    throw storageErrorFrom(error, `opening ${segments[pinned.length]!.path}`);
  }
  return pinned;
}

class LogRewrite implements Rewrite {
  readonly sources: readonly RewriteSource[];
  readonly #log: StoredLogCore;
  readonly #segments: readonly Segment[];
  readonly #pinned: readonly OpenFile[];
  readonly #target: Segment;
  readonly #features: number;
  #file: DiskFile | undefined;
  /** Its file was made and has no name yet by which it counts; then it has one. */
  #isMade = false;
  #isNamed = false;
  #isBusy = false;
  #isOver = false;

  constructor(
    log: StoredLogCore,
    segments: readonly Segment[],
    { endOffset, isDone, isRaw, isThinned, isGappy }: RewriteResult,
    isRead = true,
  ) {
    this.#log = log;
    this.#features = isGappy ? REWRITTEN_SEGMENTS | NEEDLESS_GONE : REWRITTEN_SEGMENTS;
    this.#segments = segments;
    this.#pinned = isRead ? pinAll(segments) : [];
    this.sources = this.#pinned.map(({ file }, i) => {
      const segment = segments[i]!;
      return {
        baseOffset: segment.baseOffset,
        endOffset: coveredEnd(log, segment),
        file,
        position: SEGMENT_HEADER_BYTES,
        length: segment.length - SEGMENT_HEADER_BYTES,
        isSound: (bytes, count, error) =>
          segment.isSound(bytes, count, error, SEGMENT_HEADER_BYTES),
      };
    });
    const { logId, baseOffset, generation } = segments[0]!;
    const name = {
      logId,
      baseOffset,
      generation,
      revision: Math.max(...segments.map((segment) => segment.revision)) + 1,
      endOffset,
      isDone,
    };
    this.#target = new Segment(log.host, log.folder, name, 0);
    this.#target.prepare({ isRaw, isThinned });
    log.isRewriting = true;
  }

  get isVoid(): boolean {
    const log = this.#log;
    return (
      this.#isOver || log.isDeleted || log.host.isStopped || !log.segments.holds(this.#segments)
    );
  }

  get #path(): string {
    return `${this.#target.path}${CLEAN_SUFFIX}`;
  }

  #open(): DiskFile {
    if (this.#file !== undefined) return this.#file;
    const { env } = this.#log.host;
    let file: DiskFile;
    try {
      file = env.disk.open(this.#path, { mode: 'create' });
    } catch (error) {
      throw storageErrorFrom(error, `opening ${this.#path}`);
    }
    this.#file = file;
    this.#isMade = true;
    if (file.size() > 0) file.truncate(0);
    file.writeSync(this.#target.header(), 0);
    return file;
  }

  async append(bytes: Uint8Array): Promise<void> {
    assert(!this.#isBusy, 'Rewrite: one call at a time');
    if (this.isVoid || bytes.length === 0) return;
    await this.#guard(async () => {
      const file = this.#open();
      const position = this.#target.length;
      await new Promise<void>((resolve, reject) => {
        file.write(bytes, position, (error) => (error === undefined ? resolve() : reject(error)));
      });
      this.#target.countAll(bytes);
      assert(this.#target.length === position + bytes.length, 'Rewrite: whole batches only');
    });
  }

  async commit(): Promise<'done' | 'void'> {
    assert(!this.#isBusy, 'Rewrite: one call at a time');
    let isDone = false;
    try {
      if (!this.isVoid) {
        await this.#guard(async () => {
          const file = this.#open();
          await new Promise<void>((resolve, reject) => {
            file.sync((error) => (error === undefined ? resolve() : reject(error)));
          });
          isDone = this.#replace(file);
        });
      }
    } finally {
      this.abort();
    }
    return isDone ? 'done' : 'void';
  }

  /** In one turn: whoever takes a source away does it before or after. */
  #replace(file: DiskFile): boolean {
    if (this.isVoid) return false;
    const { segments, host, folder } = this.#log;
    const { disk } = host.env;
    host.superblock.need(this.#features);
    const target = this.#target;
    file.close();
    this.#file = undefined;
    disk.rename(this.#path, target.path);
    this.#isMade = false;
    this.#isNamed = true;
    // Before any of the old files goes: until then a power cut may take the new name away.
    disk.syncDirectory(folder);
    target.isWhole();
    this.#saveIndex();
    const before = this.#segments.reduce((sum, segment) => sum + segment.length, 0);
    segments.replace(this.#segments, target);
    host.counters.segmentsRewritten += this.#segments.length;
    host.counters.rewrittenBytes += target.length;
    host.counters.rewriteFreedBytes += Math.max(0, before - target.length);
    return true;
  }

  #saveIndex(): void {
    try {
      this.#target.saveIndex();
    } catch (error) {
      // It is derived: without its file it is rebuilt when needed.
      const { path } = this.#target;
      this.#log.host.env.log.warn('a segment index was not written', {
        path,
        error: String(error),
      });
    }
  }

  /**
   * Until its file has its name, a full disk and no free descriptor end the rewriting and nothing else. After that the
   * next start takes it for what counts, and after any other failure nothing is known any more: the store is fenced.
   */
  async #guard(work: () => Promise<void>): Promise<void> {
    const { host, logId } = this.#log;
    this.#isBusy = true;
    try {
      await work();
    } catch (error) {
      const failure = storageErrorFrom(error, `rewriting log ${logId}`);
      const isPassing = !this.#isNamed && (isShortOfSpace(error) || isShortOfDescriptors(error));
      if (!isPassing && !host.isStopped) host.fail(failure);
      throw failure;
    } finally {
      this.#isBusy = false;
    }
  }

  abort(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    const log = this.#log;
    const { host } = log;
    log.isRewriting = false;
    for (const [i, open] of this.#pinned.entries()) this.#segments[i]!.unpin(open);
    const file = this.#file;
    this.#file = undefined;
    file?.close();
    if (!this.#isMade || host.isStopped) return;
    try {
      host.env.disk.remove(this.#path);
    } catch (error) {
      // It counts for nothing, and goes at the next start.
      host.env.log.warn('a rewritten segment stays', { path: this.#path, error: String(error) });
    }
  }
}
