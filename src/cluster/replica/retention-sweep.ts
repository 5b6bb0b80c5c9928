// Looks after the logs of one shard whose records go by age and size. One deadline for all of them: a log
// is in the heap only while it leads here and has something to lose at a known time, so that an idle log with
// nothing to lose costs nothing. What goes is the leader's decision (`HostedLog.retain`); here is only when.
import { Heap } from '../../std/heap.ts';
import type { HostedLog } from './hosted-log.ts';

/** No log is looked at more often. */
const PACE_MS = 1_000;
/** Logs that are looked at in one go, and the pause before the next go. */
const LOGS_AT_ONCE = 64;
const PAUSE_MS = 20;
/** Timers take no more than 24 days: whatever is further away is looked for again. */
const SLEEP_MS_MAX = 3_600_000;
/** So many entries that count no more may lie in the heap, besides one for each that counts. */
const STALE_MIN = 64;

interface Due {
  /** Undefined: this entry counts no more, and keeps nothing alive. */
  hosted: HostedLog | undefined;
  readonly atMs: number;
}

export interface SweepPort {
  nowMs(): number;
  /** Calls once, at that time or soon after. */
  after(delayMs: number, fire: () => void): void;
  /** A throw quarantines the log. */
  guard(hosted: HostedLog, work: () => void): void;
}

export class RetentionSweep {
  readonly #port: SweepPort;
  readonly #heap = new Heap<Due>((a, b) => a.atMs - b.atMs);
  /** What counts of the heap: the last word about each log. */
  readonly #due = new Map<HostedLog, Due>();
  /** When the deadline fires that is set; later ones are superseded and find nothing to do. */
  #armedMs = Number.POSITIVE_INFINITY;
  #isStopped = false;

  constructor(port: SweepPort) {
    this.#port = port;
  }

  /** Logs that have something to lose. */
  get size(): number {
    return this.#due.size;
  }

  /** Entries that are kept for them. */
  get entries(): number {
    return this.#heap.size;
  }

  /** More of the log is committed, it has begun to lead, or its limits are others. */
  touch(hosted: HostedLog): void {
    if (hosted.limits === undefined) return;
    const nowMs = this.#port.nowMs();
    const known = this.#due.get(hosted);
    if (known !== undefined && known.atMs <= nowMs + PACE_MS) return;
    this.#put(hosted, nowMs + Math.max(PACE_MS, hosted.retentionDueInMs()));
  }

  forget(hosted: HostedLog): void {
    this.#supersede(hosted);
    this.#thin();
  }

  stop(): void {
    this.#isStopped = true;
    this.#due.clear();
    this.#heap.clear();
  }

  #put(hosted: HostedLog, atMs: number): void {
    const known = this.#due.get(hosted);
    if (atMs === Number.POSITIVE_INFINITY || (known !== undefined && atMs >= known.atMs)) return;
    this.#supersede(hosted);
    const due: Due = { hosted, atMs };
    this.#due.set(hosted, due);
    this.#heap.push(due);
    this.#thin();
    this.#arm(atMs);
  }

  #supersede(hosted: HostedLog): void {
    const due = this.#due.get(hosted);
    if (due === undefined) return;
    due.hosted = undefined;
    this.#due.delete(hosted);
  }

  /** An entry may be due in weeks, and a log that is written to may be put anew every second. */
  #thin(): void {
    if (this.#heap.size <= 2 * this.#due.size + STALE_MIN) return;
    this.#heap.retain(({ hosted }) => hosted !== undefined);
  }

  #arm(atMs: number): void {
    if (atMs >= this.#armedMs || this.#isStopped) return;
    const nowMs = this.#port.nowMs();
    const fireMs = Math.min(atMs, nowMs + SLEEP_MS_MAX);
    if (fireMs >= this.#armedMs) return;
    this.#armedMs = fireMs;
    this.#port.after(Math.max(0, fireMs - nowMs), () => this.#fired(fireMs));
  }

  #fired(armedMs: number): void {
    if (armedMs !== this.#armedMs || this.#isStopped) return;
    this.#armedMs = Number.POSITIVE_INFINITY;
    const nowMs = this.#port.nowMs();
    let count = 0;
    for (let next = this.#heap.peek(); next !== undefined; next = this.#heap.peek()) {
      const { hosted, atMs } = next;
      if (hosted !== undefined && (atMs > nowMs || count === LOGS_AT_ONCE)) break;
      this.#heap.pop();
      if (hosted === undefined) continue;
      this.#due.delete(hosted);
      count += 1;
      let inMs = Number.POSITIVE_INFINITY;
      this.#port.guard(hosted, () => {
        inMs = hosted.retain();
      });
      this.#put(hosted, nowMs + Math.max(PACE_MS, inMs));
    }
    const next = this.#heap.peek();
    if (next !== undefined) this.#arm(Math.max(next.atMs, nowMs + PAUSE_MS));
  }
}
