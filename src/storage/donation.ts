// What a log offers to a replica that is too far behind for frames: its newest durable state, and every
// batch below that state's end out of the segments, pinned until the copy is made.
import type { Donation, Loan, LoanFacts } from './api.ts';
import { StorageError } from './errors.ts';
import { NEEDLESS_GONE } from './store-files.ts';
import type { StoredLogCore } from './stored-log.ts';

export async function donate(log: StoredLogCore): Promise<Donation | undefined> {
  const found = await settledState(log);
  if (found === undefined) return undefined;
  const { seq, record } = found;
  // The log may start behind the end of its newest state: what lies between comes as frames.
  const startOffset = Math.min(log.startOffset, record.endOffset);
  const { segments } = log;
  let compactedEnd = 0;
  let thinnedEnd = 0;
  for (const [i, segment] of segments.list.entries()) {
    if (segment.baseOffset >= record.endOffset) continue;
    // Also of one without any batch left: what it stands for is missing, and who has it from here must know.
    const { isRaw, isThinned } = segment.contents;
    if (!isRaw) compactedEnd = segments.coveredEnd(i);
    if (isThinned) thinnedEnd = segments.coveredEnd(i);
  }
  const needlessGone = compactedEnd > 0 && log.host.superblock.has(NEEDLESS_GONE);
  const { ranges, release } = segments.ranges(startOffset, record.endOffset);
  return {
    facts: { compactedEnd, thinnedEnd, needlessGone },
    snapshot: {
      seq,
      epoch: record.epoch,
      chain: record.chain,
      logTimeMs: record.logTimeMs,
      endOffset: record.endOffset,
      startOffset,
      epochs: [{ epoch: record.epoch, firstSeq: record.epochFirstSeq }],
      state: record.state,
    },
    ranges,
    release,
  };
}

/**
 * The newest state, when all below its end has settled. A newer one that came meanwhile may have let records go that
 * this one still needs: then that one is taken.
 */
async function settledState(
  log: StoredLogCore,
): Promise<ReturnType<StoredLogCore['snapshots']['readRecord']>> {
  for (;;) {
    const found = log.snapshots.readRecord();
    if (found === undefined) return undefined;
    const { newestSeq } = log.snapshots;
    const { seq } = found;
    for (;;) {
      const settled = await log.host.settler.settleThrough(log, seq);
      if (settled === 'done') break;
      if (settled === 'blocked') {
        throw new StorageError('STORAGE_FULL', `log ${log.logId} cannot settle now`, { seq });
      }
      await nextTimer(log);
    }
    if (log.snapshots.newestSeq === newestSeq) return found;
  }
}

/** For a replica whose own segment is damaged. What it may make of it is for that replica to say. */
export async function lend(
  log: StoredLogCore,
  fromOffset: number,
  toOffset: number,
): Promise<Loan | undefined> {
  if (log.needsRepair || log.isMemory) return undefined;
  if (log.settledOffset < toOffset) {
    await log.host.settler.settleThrough(log, Math.min(log.committedSeq, log.durableSeq));
  }
  const isHere = log.startOffset <= fromOffset && log.settledOffset >= toOffset;
  if (!isHere || log.isDeleted || log.host.isStopped) return undefined;
  const { segments } = log;
  const from = segments.indexOf(fromOffset);
  const used = segments.list.filter((each, i) => i >= from && each.baseOffset < toOffset);
  if (used.some((segment) => segment.isDamaged)) return undefined;
  let doneOffset = 0;
  for (let i = from; segments.list[i]?.isDone === true; i += 1) doneOffset = segments.coveredEnd(i);
  // Where no segment stands for its begin, a segment without batches did elsewhere.
  const isWhole = used[0] !== undefined && used[0].baseOffset <= fromOffset;
  const isRaw = isWhole && used.every((segment) => segment.contents.isRaw);
  const facts: LoanFacts = {
    isRaw,
    needlessGone: !isRaw && log.host.superblock.has(NEEDLESS_GONE),
    isThinned: used.some((segment) => segment.contents.isThinned),
    doneOffset,
    settledOffset: log.settledOffset,
    stateSeq: log.snapshots.newestSeq,
  };
  return { facts, ...segments.ranges(fromOffset, toOffset) };
}

function nextTimer(log: StoredLogCore): Promise<void> {
  const { clock, timers } = log.host.env;
  return new Promise((resolve) => {
    timers.at(clock.monotonicMs(), () => resolve());
  });
}
