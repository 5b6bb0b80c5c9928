// Segments of a log that one old record holds back are rewritten to what of them is still needed. First which
// neighbours are worth it, told from offsets alone; then the rewriting of these. It counts only if it frees enough:
// what stays may be larger than what goes.
import { baseOffset, forEachBatch, lastOffset } from '../../records/batch.ts';
import type { Rewrite, SealedSegment, StoredLog } from '../api.ts';
import { StorageError } from '../errors.ts';
import type { NeededOffsets } from './needed.ts';
import type { PassPort } from './pass.ts';
import { endOfBatches, pieceOf, tellDamaged } from './pieces.ts';
import type { FilterAnswer } from './tasks.ts';

/** Of neighbours that are rewritten to one: each is open meanwhile. */
const SEGMENTS_MAX = 16;
/** A segment of a sixteenth of what it may have is small, and so many small neighbours become one. */
const SMALL_SHARE = 16;
const SMALL_SEGMENTS_MIN = 8;
/** Otherwise the files stay as they are. */
const FREED_SHARE_MIN = 0.25;

export interface NeededResult {
  /** `void`: the log has changed under it. `kept`: it was not worth it. */
  readonly outcome: 'done' | 'void' | 'kept';
  readonly segments: number;
  readonly bytesIn: number;
  readonly bytesOut: number;
  readonly recordsIn: number;
  readonly recordsOut: number;
}

/**
 * The first neighbours of which less than half is needed, or that are many and small; undefined: there are none.
 *
 * @param recordsOf how many records a segment has, if that is known; else one at each offset is assumed
 */
export function worthRewriting(
  segments: readonly SealedSegment[],
  needed: NeededOffsets,
  segmentBytesMax: number,
  recordsOf: (segment: SealedSegment) => number | undefined,
): readonly SealedSegment[] | undefined {
  let group: SealedSegment[] = [];
  let bytes = 0;
  let isWorth = false;
  const isWhole = () => isWorth || group.length >= SMALL_SEGMENTS_MIN;
  for (const segment of segments) {
    const { baseOffset: from, endOffset, generation } = segment;
    const records = recordsOf(segment) ?? endOffset - from;
    const left = needed.countIn(from, endOffset);
    const isDead = !segment.isDamaged && segment.bytes > 0 && 2 * left < records;
    const isSmall = !segment.isDamaged && SMALL_SHARE * segment.bytes <= segmentBytesMax;
    const leftBytes = records === 0 ? 0 : (segment.bytes * Math.min(left, records)) / records;
    const isNext =
      (isDead || isSmall) &&
      (group.length === 0 ||
        (group[0]!.generation === generation &&
          group.length < SEGMENTS_MAX &&
          bytes + leftBytes <= segmentBytesMax));
    if (!isNext) {
      if (isWhole()) return group;
      group = [];
      bytes = 0;
      isWorth = false;
      if (!isDead && !isSmall) continue;
    }
    group.push(segment);
    bytes += leftBytes;
    isWorth ||= isDead;
  }
  return isWhole() ? group : undefined;
}

/**
 * Rewrites these neighbours. Rejects as `compactLog` does.
 *
 * @param needed as a state of the log says that is stored here: what it does not need is never asked for again
 */
export async function dropNeedless(
  log: StoredLog,
  group: readonly SealedSegment[],
  needed: NeededOffsets,
  port: PassPort,
): Promise<NeededResult> {
  const stats = { segments: 0, bytesIn: 0, bytesOut: 0, recordsIn: 0, recordsOut: 0 };
  const [first] = group;
  const last = group[group.length - 1];
  const rewrite =
    first === undefined
      ? undefined
      : log.beginRewrite(first.baseOffset, last!.endOffset, { isDone: false, dropsNeedless: true });
  if (rewrite === undefined) return { outcome: 'void', ...stats };
  stats.segments = rewrite.sources.length;
  try {
    return { outcome: await fill(log, rewrite, needed, port, stats), ...stats };
  } finally {
    rewrite.abort();
  }
}

async function fill(
  { logId }: StoredLog,
  rewrite: Rewrite,
  needed: NeededOffsets,
  port: PassPort,
  stats: { bytesIn: number; bytesOut: number; recordsIn: number; recordsOut: number },
): Promise<NeededResult['outcome']> {
  for (const source of rewrite.sources) {
    let nextOffset = source.baseOffset;
    for (let position = 0; position < source.length; ) {
      if (rewrite.isVoid) return 'void';
      const bytes = await pieceOf(source, position);
      const end = endOfBatches(bytes, nextOffset, source.endOffset);
      const runs =
        end === undefined ? [] : runsOf(bytes, needed, port.faults?.dropsNeeded === true);
      const answer = (await port.run({ kind: 'needed', bytes, runs })) as FilterAnswer;
      if (answer.isDamaged || end === undefined) {
        tellDamaged(source, bytes);
        const offset = nextOffset;
        const text = `log ${logId} is damaged behind offset ${offset}`;
        throw new StorageError('STORAGE_DAMAGED', text, { logId, offset });
      }
      nextOffset = end;
      await rewrite.append(answer.bytes);
      position += bytes.length;
      stats.bytesIn += bytes.length;
      stats.bytesOut += answer.bytes.length;
      stats.recordsIn += answer.stats.recordsIn;
      stats.recordsOut += answer.stats.recordsOut;
      await port.paced(bytes.length + answer.bytes.length);
    }
  }
  const freed = stats.bytesIn - stats.bytesOut;
  const isWorth = rewrite.sources.length > 1 || freed >= FREED_SHARE_MIN * stats.bytesIn;
  return isWorth ? rewrite.commit() : rewrite.isVoid ? 'void' : 'kept';
}

/** Of all offsets in these batches. What has rotted is found by who looks into it. */
function runsOf(bytes: Uint8Array, needed: NeededOffsets, losesFirst: boolean): readonly number[] {
  let from = -1;
  let to = -1;
  forEachBatch(bytes, 0, bytes.length, (at) => {
    if (from < 0) from = baseOffset(bytes, at);
    to = lastOffset(bytes, at) + 1;
  });
  if (to <= from) return [];
  const runs = needed.runsIn(from, to);
  return losesFirst ? runs.slice(2) : runs;
}
