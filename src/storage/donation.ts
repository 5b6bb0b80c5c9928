// What a log offers to a replica that is too far behind for frames: its newest durable state, and every
// batch below that state's end out of the segments, pinned until the copy is made.
import type { Donation } from './api.ts';
import { StorageError } from './errors.ts';
import type { StoredLogCore } from './stored-log.ts';

export async function donate(log: StoredLogCore): Promise<Donation | undefined> {
  const found = log.snapshots.readRecord();
  if (found === undefined) return undefined;
  const { seq, record } = found;
  for (;;) {
    const settled = await log.host.settler.settleThrough(log, seq);
    if (settled === 'done') break;
    if (settled === 'blocked') {
      throw new StorageError('STORAGE_FULL', `log ${log.logId} cannot settle now`, { seq });
    }
    await nextTimer(log);
  }
  // The log may start behind the end of its newest state: what lies between comes as frames.
  const startOffset = Math.min(log.startOffset, record.endOffset);
  const { ranges, release } = log.segments.ranges(startOffset, record.endOffset);
  return {
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

function nextTimer(log: StoredLogCore): Promise<void> {
  const { clock, timers } = log.host.env;
  return new Promise((resolve) => {
    timers.at(clock.monotonicMs(), () => resolve());
  });
}
