// A damaged segment is replaced by what another replica holds of the same offsets: a rewriting without sources, fed
// from a loan. Seqs, offsets and states of the log stay as they are.
//
// What has settled is the same everywhere until it is compacted, and every replica compacts for itself, or has from a
// catch-up what another had made of it: the header of a segment says which. Three things could go wrong with a
// compacted loan, and each has its rule:
//
// - A record comes back: the loan holds it, and the tombstone that hid it has gone from one of our later segments.
//   So where later segments have lost tombstones, the lender must be done up to the end of them.
// - A record comes back: one of our earlier segments holds it, and its tombstone has gone from the loan. So a loan
//   that has lost tombstones is taken only where we were done up to the damaged segment, and had removed it too.
// - A record is missing: the loan lost it to a newer one, or to a frame that says nobody needs it, that is not here
//   yet. Then it waits.
//
// The new segment is done only if the lender was done with all that we are done with: else the next pass begins there.
import { checkBatch, lastOffset, STORED_BATCH, wholeBatchSize } from '../records/batch.ts';
import { assert } from '../std/assert.ts';
import type { LoanFacts, Rewrite, SegmentRepair } from './api.ts';
import { beginReplacement } from './rewrite.ts';
import type { Segment } from './segment.ts';
import { settleIdle } from './settle.ts';
import type { StoredLogCore } from './stored-log.ts';

const isStopped = (log: StoredLogCore) => log.isDeleted || log.host.isStopped;

export async function beginRepair(
  log: StoredLogCore,
  index: number,
): Promise<SegmentRepair | undefined> {
  if (log.isMemory || isStopped(log)) return undefined;
  const damaged = log.segments.list.filter((segment) => segment.isDamaged)[index];
  if (damaged === undefined) return undefined;
  if (!isCounted(log, damaged)) {
    // What is being written may go to it; what settles next begins another segment.
    await settleIdle(log);
    if (isStopped(log)) return undefined;
    if (log.segments.last === damaged) log.segments.seal();
    log.isMarkDirty = true;
    // Whichever of the two slots a start goes by, none of its batches comes out of the WAL again.
    await log.host.checkpoint();
    await log.host.checkpoint();
    if (isStopped(log) || !isCounted(log, damaged)) return undefined;
  }
  return new LogRepair(log, damaged);
}

function isCounted(log: StoredLogCore, segment: Segment): boolean {
  const { segments } = log;
  const index = segments.list.indexOf(segment);
  const marks = [log.checkpointed, log.checkpointedBefore];
  return index >= 0 && segments.isCounted(index, marks, endOf(log, segment));
}

/** Up to which offset it stands for the log; its own bytes are not asked. */
function endOf(log: StoredLogCore, segment: Segment): number {
  const { list } = log.segments;
  if (segment.revision > 0) return segment.endOffset;
  return list[list.indexOf(segment) + 1]?.baseOffset ?? log.settledOffset;
}

class LogRepair implements SegmentRepair {
  readonly fromOffset: number;
  readonly toOffset: number;
  readonly #log: StoredLogCore;
  readonly #damaged: Segment;
  #nextOffset = 0;
  #rewrite: Rewrite | undefined;

  constructor(log: StoredLogCore, damaged: Segment) {
    this.#log = log;
    this.#damaged = damaged;
    this.fromOffset = Math.max(damaged.baseOffset, log.startOffset);
    this.toOffset = Math.max(this.fromOffset, endOf(log, damaged));
  }

  take(facts: LoanFacts): 'ok' | 'behind' | 'compacted-otherwise' | 'busy' {
    assert(this.#rewrite === undefined, 'SegmentRepair: one loan at a time');
    const log = this.#log;
    const damaged = this.#damaged;
    if (!log.segments.holds([damaged])) return 'busy';
    const { list } = log.segments;
    const committedOffset = log.offsetAt(log.committedSeq) ?? 0;
    const knownSeq = Math.min(log.committedSeq, log.durableSeq);
    const isBehind = facts.settledOffset > committedOffset || facts.stateSeq > knownSeq;
    if (!facts.isRaw && isBehind) return 'behind';
    let thinnedEnd = 0;
    let doneEnd = 0;
    for (const [i, segment] of list.entries()) {
      if (segment.isDone) doneEnd = endOf(log, segment);
      if (i > list.indexOf(damaged) && segment.contents.isThinned) thinnedEnd = endOf(log, segment);
    }
    const isDoneHere = list.slice(0, list.indexOf(damaged) + 1).every((segment) => segment.isDone);
    if (facts.doneOffset < thinnedEnd || (facts.isThinned && !isDoneHere))
      return 'compacted-otherwise';
    this.#rewrite = beginReplacement(log, damaged, {
      endOffset: this.toOffset,
      isDone: damaged.isDone && facts.doneOffset >= doneEnd,
      isRaw: facts.isRaw,
      isThinned: facts.isThinned,
      isGappy: facts.needlessGone,
    });
    this.#nextOffset = damaged.baseOffset;
    return this.#rewrite === undefined ? 'busy' : 'ok';
  }

  async adopt(bytes: Uint8Array): Promise<number | 'corrupt'> {
    assert(this.#rewrite !== undefined, 'SegmentRepair: nothing was taken');
    const { crc32c } = this.#log.host.env;
    let at = 0;
    for (;;) {
      const size = wholeBatchSize(bytes, at, bytes.length);
      if (size === 0) break;
      const isSound =
        checkBatch(bytes, at, bytes.length, crc32c, STORED_BATCH) === 'ok' &&
        lastOffset(bytes, at) >= this.#nextOffset &&
        lastOffset(bytes, at) < this.toOffset;
      if (!isSound) return 'corrupt';
      this.#nextOffset = lastOffset(bytes, at) + 1;
      at += size;
    }
    await this.#rewrite.append(bytes.subarray(0, at));
    return at;
  }

  async commit(): Promise<'done' | 'void'> {
    assert(this.#rewrite !== undefined, 'SegmentRepair: nothing was taken');
    const end = await this.#rewrite.commit();
    this.#rewrite = undefined;
    if (end === 'done') this.#log.host.counters.segmentsRepaired += 1;
    return end;
  }

  abort(): void {
    this.#rewrite?.abort();
    this.#rewrite = undefined;
  }
}
