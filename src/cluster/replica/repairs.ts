// Damaged segments of this shard's logs are replaced from other replicas, one at a time, for as long as there is
// damage; a log whose repair fails waits by itself. Any live replica will do that is in step with the same leader, has
// the batches and has compacted them alike (storage's segment-repair says whether), the leader first. A log without another replica stays damaged where it is, and says so at every attempt.
import type { Log } from '../../env/environment.ts';
import { messageOf } from '../../std/errors.ts';
import type { SegmentRepair } from '../../storage/api.ts';
import type { HostedLog } from './hosted-log.ts';
import type { LoanOffer, PeerPort } from './role.ts';

const RETRY_MIN_MS = 500;
const RETRY_MAX_MS = 60_000;

export interface RepairsPort {
  readonly peers: PeerPort;
  readonly log: Log;
  nowMs(): number;
  after(delayMs: number, fire: () => void): void;
}

interface Due {
  /** Not tried before. */
  readonly dueMs: number;
  /** How long it waits when that fails. */
  readonly delayMs: number;
}

export class Repairs {
  readonly #port: RepairsPort;
  /** Logs with damage that is not repaired. */
  readonly #damaged = new Map<HostedLog, Due>();
  /** When the next timer fires. */
  #wakeMs = Number.POSITIVE_INFINITY;
  #isRunning = false;
  #isStopped = false;

  constructor(port: RepairsPort) {
    this.#port = port;
  }

  /** That log has a damaged segment. */
  add(hosted: HostedLog): void {
    if (!this.#damaged.has(hosted)) {
      this.#damaged.set(hosted, { dueMs: this.#port.nowMs(), delayMs: RETRY_MIN_MS });
    }
    this.#run();
  }

  forget(hosted: HostedLog): void {
    this.#damaged.delete(hosted);
  }

  stop(): void {
    this.#isStopped = true;
    this.#damaged.clear();
  }

  /** The one that has been due for the longest time: what waits after a failure is in nobody's way. */
  #run(): void {
    if (this.#isRunning || this.#isStopped) return;
    let next: HostedLog | undefined;
    let due: Due = { dueMs: Number.POSITIVE_INFINITY, delayMs: 0 };
    for (const [hosted, each] of this.#damaged) {
      if (each.dueMs < due.dueMs) [next, due] = [hosted, each];
    }
    if (next === undefined) return;
    if (due.dueMs > this.#port.nowMs()) {
      this.#wakeAt(due.dueMs);
      return;
    }
    this.#isRunning = true;
    const hosted = next;
    const { delayMs } = due;
    this.#repair(hosted)
      .catch((error: unknown) => {
        this.#notYet(hosted.logId, error);
        return false;
      })
      .then((isDone) => this.#ended(hosted, delayMs, isDone));
  }

  #wakeAt(dueMs: number): void {
    if (dueMs >= this.#wakeMs) return;
    this.#wakeMs = dueMs;
    this.#port.after(dueMs - this.#port.nowMs(), () => {
      if (this.#wakeMs === dueMs) this.#wakeMs = Number.POSITIVE_INFINITY;
      this.#run();
    });
  }

  #notYet(logId: number, error: unknown): void {
    if (this.#isStopped) return;
    const why = messageOf(error);
    this.#port.log.warn('a damaged segment is not repaired yet', { logId, why });
  }

  #ended(hosted: HostedLog, delayMs: number, isDone: boolean): void {
    this.#isRunning = false;
    // More may have been found meanwhile.
    if (isDone && hosted.stored.damagedSegments === 0) this.#damaged.delete(hosted);
    else if (this.#damaged.has(hosted)) {
      const dueMs = this.#port.nowMs() + delayMs;
      this.#damaged.set(hosted, { dueMs, delayMs: Math.min(2 * delayMs, RETRY_MAX_MS) });
    }
    this.#run();
  }

  /** True when nothing of it is damaged any more. */
  async #repair(hosted: HostedLog): Promise<boolean> {
    const { logId, stored } = hosted;
    if (hosted.otherReplicas().length === 0) {
      const segments = stored.damagedSegments;
      if (segments > 0) {
        this.#port.log.error('a log is damaged, and no other replica of it is live', {
          logId,
          segments,
        });
      }
      return segments === 0;
    }
    const epoch = hosted.soundEpoch;
    if (epoch === undefined) throw new Error('this replica is not in step with a leader');
    // One that cannot be repaired now is no reason to leave those behind it.
    let index = 0;
    while (index < stored.damagedSegments && !this.#isStopped) {
      const repair = await stored.beginRepair(index);
      if (repair === undefined) break;
      if (!(await this.#fill(hosted, epoch, repair))) index += 1;
    }
    return stored.damagedSegments === 0;
  }

  async #fill(hosted: HostedLog, epoch: number, repair: SegmentRepair): Promise<boolean> {
    const { logId } = hosted;
    const { fromOffset, toOffset } = repair;
    for (const donor of hosted.otherReplicas()) {
      try {
        if (!(await this.#fillFrom(donor, hosted, epoch, repair))) continue;
        const what = { logId, from: donor, fromOffset, toOffset };
        this.#port.log.info('a damaged segment was repaired', what);
        return true;
      } catch (error) {
        this.#notYet(logId, error);
      } finally {
        repair.abort();
      }
    }
    return false;
  }

  async #fillFrom(
    donor: number,
    hosted: HostedLog,
    epoch: number,
    repair: SegmentRepair,
  ): Promise<boolean> {
    const { peers } = this.#port;
    const { logId } = hosted;
    const { fromOffset, toOffset } = repair;
    const loan = await peers.lend(donor, { logId, epoch, fromOffset, toOffset });
    try {
      const taken = repair.take(loan.facts);
      if (taken !== 'ok') throw new Error(`what node ${donor} has cannot be taken: ${taken}`);
      await this.#copy(donor, logId, loan, repair);
    } finally {
      peers.releaseDonation(donor, logId, loan.donationId);
    }
    // After an unclean election the copy is of a history that is over.
    if (hosted.soundEpoch !== epoch) throw new Error('the epoch changed meanwhile');
    return (await repair.commit()) === 'done';
  }

  async #copy(
    donor: number,
    logId: number,
    { donationId, totalBytes }: LoanOffer,
    repair: SegmentRepair,
  ): Promise<void> {
    for (let position = 0; position < totalBytes; ) {
      const bytes = await this.#port.peers.pullChunk(donor, logId, donationId, position);
      const taken = await repair.adopt(bytes);
      if (taken === 'corrupt') throw new Error(`node ${donor} gave damaged batches`);
      if (taken === 0) throw new Error(`no whole batch in ${bytes.length} bytes`);
      position += taken;
    }
  }
}
