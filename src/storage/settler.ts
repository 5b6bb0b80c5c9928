// When the logs of a shard settle: a tail that is long without what is below the log start goes at once, one that
// is old when its time has come, any if memory is short. A few writes run at a time, at most one for each log. The one timer is armed only
// while a log has something to settle.
import type { Cancel } from '../env/environment.ts';
import type { LogHost } from './log-host.ts';
import {
  beginSettle,
  passNeedless,
  type SettleEnd,
  type SettleStart,
  settleIdle,
  settleTarget,
} from './settle.ts';
import type { StoredLogCore } from './stored-log.ts';

/** Longest write, and how many run at a time: the thread pool serves others too. */
const STEP_BYTES = 1 << 20;
const FLIGHTS_MAX = 3;
const BLOCKED_RETRY_MS = 1000;
/** Logs looked at in one go for some that can settle: of very many, most have nothing durable. */
const LOOKED_AT_MAX = 64;

export class Settler {
  readonly #host: LogHost;
  /** Called when memory may have become free. */
  readonly #onSettled: () => void;
  /**
   * Logs with committed frames that are not settled, who was looked at longest ago first; some may have a long tail,
   * some are due at once.
   */
  readonly #settling = new Set<StoredLogCore>();
  readonly #long = new Set<StoredLogCore>();
  readonly #urgent = new Set<StoredLogCore>();
  #flightCount = 0;
  #cancel: Cancel | undefined;
  #armedMs = 0;

  constructor(host: LogHost, onSettled: () => void) {
    this.#host = host;
    this.#onSettled = onSettled;
  }

  /** Writes are under way: what they settle becomes free when they end. */
  get isBusy(): boolean {
    return this.#flightCount > 0;
  }

  committedMoved(log: StoredLogCore): void {
    const { env, options } = this.#host;
    if (!this.#settling.has(log)) {
      log.settleDueMs = env.clock.monotonicMs() + options.settleAgeMs;
      this.#settling.add(log);
      this.#arm(log.settleDueMs);
    }
    if (log.tailBytes >= options.settleBytes) this.#long.add(log);
  }

  forget(log: StoredLogCore): void {
    this.#settling.delete(log);
    this.#long.delete(log);
    this.#urgent.delete(log);
  }

  /** Starts what is due at once, as far as writes may run. */
  pump(): void {
    if (this.#long.size > 0) this.#judgeLong();
    if (this.#urgent.size > 0 && this.#host.openFiles.isCrowded) {
      this.#host.wantSync();
      return;
    }
    for (const log of this.#urgent) {
      if (this.#flightCount >= FLIGHTS_MAX) return;
      this.#urgent.delete(log);
      this.#start(log);
    }
  }

  /** Later than the commit: what is committed may have moved the log start, and that may be all there is. */
  #judgeLong(): void {
    for (const log of this.#long) {
      if (log.settleFlight === undefined) passNeedless(log);
      if (log.tailBytes >= this.#host.options.settleBytes) this.#urgent.add(log);
      else this.#isDone(log);
    }
    this.#long.clear();
  }

  /**
   * Memory is short: some of the logs settle now. They take turns: a chunk holds frames of many logs, and is free only
   * when all of them have settled. Those whose batches nobody needs any more have at once.
   */
  hurry(): void {
    this.pump();
    let left = Math.min(LOOKED_AT_MAX, this.#settling.size);
    for (const log of this.#settling) {
      if (left === 0 || this.#flightCount >= FLIGHTS_MAX || this.#host.openFiles.isCrowded) return;
      left -= 1;
      this.#settling.delete(log);
      this.#settling.add(log);
      const canSettle = log.settleFlight === undefined && log.settledSeq < settleTarget(log);
      if (canSettle) this.#start(log);
    }
  }

  /** `waiting`: frames up to `seq` are not all committed and durable. */
  async settleThrough(log: StoredLogCore, seq: number): Promise<'done' | 'waiting' | 'blocked'> {
    while (log.settledSeq < seq) {
      const start = this.#start(log);
      if (start === 'blocked') return 'blocked';
      if (start === 'done') return log.settledSeq < seq ? 'waiting' : 'done';
      if ((await settleIdle(log)) === 'blocked') return 'blocked';
    }
    return 'done';
  }

  #start(log: StoredLogCore): SettleStart {
    const start = beginSettle(log, STEP_BYTES, (end) => this.#ended(log, end));
    if (start === 'started') this.#flightCount += 1;
    else if (start === 'done') this.#isDone(log);
    else if (start === 'blocked') this.#retryLater(log);
    return start;
  }

  #isDone(log: StoredLogCore): boolean {
    if (log.settledSeq < log.committedSeq) return false;
    this.#settling.delete(log);
    return true;
  }

  #retryLater(log: StoredLogCore): void {
    log.settleDueMs = this.#host.env.clock.monotonicMs() + BLOCKED_RETRY_MS;
    this.#arm(log.settleDueMs);
  }

  #ended(log: StoredLogCore, end: SettleEnd): void {
    this.#flightCount -= 1;
    if (this.#host.isStopped) return;
    if (end === 'blocked') this.#retryLater(log);
    else if (!log.isDeleted && !this.#isDone(log)) {
      if (end === 'part') this.#urgent.add(log);
      else if (log.tailBytes >= this.#host.options.settleBytes) this.#long.add(log);
    }
    this.#onSettled();
    this.pump();
  }

  #arm(dueMs: number): void {
    if (this.#host.isStopped) return;
    if (this.#cancel !== undefined && this.#armedMs <= dueMs) return;
    this.#cancel?.();
    this.#armedMs = dueMs;
    this.#cancel = this.#host.env.timers.at(dueMs, () => {
      this.#cancel = undefined;
      this.#due();
    });
  }

  #due(): void {
    const { env, options } = this.#host;
    const nowMs = env.clock.monotonicMs();
    let nextMs = Number.POSITIVE_INFINITY;
    for (const log of this.#settling) {
      if (log.settleDueMs <= nowMs) {
        // Due, but perhaps not durable yet: looked at again with the next age.
        log.settleDueMs = nowMs + options.settleAgeMs;
        this.#urgent.add(log);
      }
      nextMs = Math.min(nextMs, log.settleDueMs);
    }
    if (nextMs < Number.POSITIVE_INFINITY) this.#arm(nextMs);
    this.pump();
  }

  stop(): void {
    this.#cancel?.();
  }
}
