// A replica whose write-ahead log is damaged below what it had acknowledged: it may say nothing of the log, to nobody,
// as long as a set of the metadata counts it. So it asks to be counted no more, and is then a newcomer that has what its
// leader gives it. It waits for a new epoch: what it said in an earlier one, or what a leader then asked for because of it,
// counts no more by then. Where nobody else is in the set it stays as it is: what is left here may be all that there is.
import type { StoredLog } from '../../storage/api.ts';
import type { Assignment } from './assignment.ts';
import type { HostPort } from './log-context.ts';

export const DAMAGED = 'damaged on disk below its durable end';
const TELL_MIN_MS = 500;
const TELL_MAX_MS = 60_000;

export class Loss {
  /** The log cannot come back, whatever becomes of its disk. */
  isForGood = false;
  readonly #stored: StoredLog;
  readonly #port: HostPort;
  #sinceEpoch = -1;
  #dueMs = 0;
  #delayMs = TELL_MIN_MS;

  constructor(stored: StoredLog, port: HostPort) {
    this.#stored = stored;
    this.#port = port;
  }

  get #isRepairable(): boolean {
    const { needsRepair, durability } = this.#stored;
    const { failure } = this.#port.store;
    return needsRepair && !this.isForGood && durability !== 'memory' && failure === undefined;
  }

  /** In quarantine, after a role in that epoch, if it is one: what it said until then may be on its way still. */
  began(epoch: number): void {
    this.#sinceEpoch = Math.max(this.#sinceEpoch, epoch);
  }

  over(): void {
    this.#sinceEpoch = -1;
    this.#dueMs = 0;
    this.#delayMs = TELL_MIN_MS;
  }

  /** No set counts it, nobody can have it taken in for what it once had, and somebody is there to have the log from. */
  mayReturn({ standing, lead, leader, epoch }: Assignment): boolean {
    // Without a role before, it is the first epoch in quarantine.
    if (this.#sinceEpoch < 0) this.#sinceEpoch = epoch;
    const isLed = lead === undefined && leader >= 0 && leader !== this.#port.self.node;
    const isForgotten = standing === 'outside' && epoch > this.#sinceEpoch;
    return isLed && isForgotten && this.#isRepairable;
  }

  /** Of a log in quarantine. Answers when to be called again. */
  tick(nowMs: number, assignment: Assignment | undefined): number {
    if (assignment === undefined || !this.#isRepairable) return Number.POSITIVE_INFINITY;
    const { standing, leader, epoch } = assignment;
    // Who leads next has not heard of it: there is nothing to forget.
    const isForgotten = standing === 'outside' && (leader < 0 || epoch > this.#sinceEpoch);
    if (isForgotten) return Number.POSITIVE_INFINITY;
    if (nowMs < this.#dueMs) return this.#dueMs;
    this.#dueMs = nowMs + this.#delayMs;
    this.#delayMs = Math.min(2 * this.#delayMs, TELL_MAX_MS);
    const { logId } = this.#stored;
    const { log } = this.#port;
    if (standing !== 'alone') this.#port.reportLoss(logId);
    else log.error('a log is damaged below its durable end, and nobody else has it', { logId });
    return this.#dueMs;
  }
}

const BATCH_MS = 50;

/** Damage that is nobody's in particular is that of all logs of the shard: one change tells of them. */
export class LossReports {
  readonly #logIds = new Set<number>();
  readonly #after: (delayMs: number, fire: () => void) => void;
  readonly #report: (logIds: readonly number[]) => void;

  constructor(
    after: (delayMs: number, fire: () => void) => void,
    report: (logIds: readonly number[]) => void,
  ) {
    this.#after = after;
    this.#report = report;
  }

  add(logId: number): void {
    this.#logIds.add(logId);
    if (this.#logIds.size > 1) return;
    this.#after(BATCH_MS, () => {
      const logIds = [...this.#logIds];
      this.#logIds.clear();
      this.#report(logIds);
    });
  }
}
