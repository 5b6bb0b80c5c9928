// What elections at the price of loss have cost, as far as it is known here: the leader says from where on its history
// is another one, and each replica that comes back to it says which records it had that are no more. In the log, as
// counters, and for whoever looks at a log. Of one shard, since its start.
import type { Log } from '../../env/environment.ts';
import type { Machine } from './machine.ts';

/**
 * A replica had offsets [fromOffset, toOffset), and the log goes on without them. Those below `committedTo` were known
 * here to be committed; the others may have been, since a replica hears of a commit a moment later.
 */
export interface LostRecords {
  readonly fromOffset: number;
  readonly committedTo: number;
  readonly toOffset: number;
}

/** A replica before it was discarded. */
export interface Discarded {
  readonly committedTo: number;
  readonly toOffset: number;
  readonly lastEpoch: number;
}

export class UncleanLosses {
  /** `recordsLost`: of replicas of this shard; what several replicas had counts on each. */
  readonly counters = { elections: 0, replicas: 0, recordsLost: 0 };
  readonly #log: Log;
  readonly #lost = new Map<number, LostRecords>();

  constructor(log: Log) {
    this.#log = log;
  }

  /** This replica leads because nobody was left that had everything; what lies behind its end is lost if nobody has it. */
  led(logId: number, epoch: number, fromOffset: number): void {
    this.counters.elections += 1;
    const details = { logId, epoch, fromOffset };
    this.#log.warn('unclean election: this replica leads, what others had behind is lost', details);
  }

  /** What `machine` has applied is all that is known here to be committed. */
  discarding({ appliedOffset, epochs }: Machine, endOffset: number): Discarded {
    return { committedTo: appliedOffset, toOffset: endOffset, lastEpoch: epochs.latestEpoch };
  }

  /** The history that counts is here, as far as the epoch that began it. */
  replaced(logId: number, { committedTo, toOffset, lastEpoch }: Discarded, machine: Machine): void {
    const { endOffset } = machine.epochs.offsetForLeaderEpoch(lastEpoch, machine.appliedOffset);
    this.lost(logId, { fromOffset: Math.max(0, endOffset), committedTo, toOffset });
  }

  lost(logId: number, lost: LostRecords): void {
    const records = Math.max(0, lost.toOffset - lost.fromOffset);
    this.counters.replicas += 1;
    this.counters.recordsLost += records;
    if (records > 0) this.#lost.set(logId, lost);
    const details = { logId, ...lost, records };
    this.#log.warn('unclean election: records that this replica had are lost', details);
  }

  lostOf(logId: number): LostRecords | undefined {
    return this.#lost.get(logId);
  }

  /** It was deleted. */
  forget(logId: number): void {
    this.#lost.delete(logId);
  }
}
