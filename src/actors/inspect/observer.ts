// What a thread notices of its own slowness and failures, at a cost that no message feels. The clock is read
// twice a drain, and for the messages of some runs of each class: of every run while there are less than 50 a
// second, of some in every 8,192 messages whatever the rate, and of every run for a while after a slow drain.
// Async handlers are timed all. Memory is bounded by classes, operations and constants.
//
// What follows: a drain with a slow handler is always seen. Its operation is named when it was timed, or when
// it was the only message of its drain; else the drain is counted as unattributed, and the next time is named.
import type { Clock } from '../../env/environment.ts';
import { messageOf } from '../../std/errors.ts';
import type { Cell } from '../cell.ts';
import type { ReplyTo } from '../mailbox.ts';
import type { ClassRecord, Metrics } from '../metrics.ts';
import type { OpEntry } from '../protocol.ts';
import { STATUS_HANDLED, STATUS_OP, STATUS_SLOT } from '../status.ts';
import type { DrainWatch, Runnable } from '../turn.ts';
import { toMicros } from './timing.ts';

/** An operation whose handler ran for `slowMs` or longer. Times are of the thread's monotonic clock. */
export interface SlowHandler {
  readonly class: string;
  readonly op: string;
  /** How often it was seen to be. */
  readonly count: number;
  readonly longestMs: number;
  /** The last ones, oldest first. */
  readonly recent: readonly SlowRun[];
}

export interface SlowRun {
  readonly atMs: number;
  readonly ms: number;
  readonly path: string;
}

/** Drains (all that is handled before IO has its chance) that took `slowMs` or longer. */
export interface SlowDrains {
  readonly count: number;
  readonly longestMs: number;
  /** Those whose slow handler is not known. */
  readonly unattributed: number;
}

export interface SeenFailure {
  readonly atMs: number;
  readonly path: string;
  readonly class: string;
  readonly message: string;
  /** What its supervision decided: `restart`, `resume`, `stop` or `escalate`. */
  readonly directive: string;
  /** Of that actor, this one not counted. */
  readonly restarts: number;
}

/** What the observer needs of an actor. */
export interface Observed {
  readonly path: string;
  readonly id: { readonly slot: number };
  readonly actor: { readonly protocol: { readonly table: readonly OpEntry[] } };
  readonly metrics: ClassRecord;
  readonly restarts: number;
  readonly lane: { readonly count: number; limit: number };
}

const DEFAULT_SLOW_MS = 50;
/** Samples of a class that are closer than the first make its interval longer, further than the second shorter. */
const SAMPLE_CLOSE_MS = 20;
const SAMPLE_FAR_MS = 200;
const INTERVAL_MAX = 4_096;
const MESSAGES_PER_SAMPLE = 4;
const DENSE_MESSAGES = 64;
const DENSE_RUNS = 256;
const SLOW_MAX = 256;
const SLOW_RECENT_MAX = 8;
const FAILURES_MAX = 32;
const TEXT_MAX = 256;
/** A message that is followed and not handled for so long counts as one that waited so long. */
const STAMP_PATIENCE_MS = 10_000;

export class Observer implements DrainWatch {
  readonly slowMs: number;
  /** Milliseconds of all drains: against the clock, how busy the thread is with its actors. */
  busyMs = 0;
  readonly #clock: Clock;
  readonly #metrics: Metrics;
  readonly #status: Int32Array;
  readonly #slow = new Map<string, { -readonly [K in keyof SlowHandler]: SlowHandler[K] }>();
  readonly #failures: SeenFailure[] = [];
  #drains = 0;
  #longestDrainMs = 0;
  #unattributed = 0;
  /** Slow runs seen so far: tells whether a slow drain is explained. */
  #slowRuns = 0;
  #slowRunsBefore = 0;
  #dice = 0x9e37_79b9;

  constructor(clock: Clock, metrics: Metrics, status: Int32Array, slowMs = DEFAULT_SLOW_MS) {
    this.#clock = clock;
    this.#metrics = metrics;
    this.#status = status;
    this.slowMs = slowMs;
  }

  nowMs(): number {
    return this.#clock.monotonicMs();
  }

  // ---- Runs ---------------------------------------------------------------------------------------

  /** The part of a run to which attention is paid, from its begin. Answers how many messages it has handled by then. */
  run(cell: Cell, before: number, budget: number): number {
    const { lane, metrics } = cell;
    let handled = before;
    this.#runBegins(cell);
    while (handled < budget && cell.canHandle && !cell.isInterrupted) {
      if (metrics.timedLeft === 0 && metrics.stamped !== cell) break;
      if (!lane.take()) break;
      this.#handle(cell, lane.op!, lane.input, lane.reply);
      handled += 1;
    }
    metrics.observed = undefined;
    // What follows is not looked at: the followed message would be passed unseen.
    if (handled < budget && cell.canHandle) this.forget(cell);
    return handled;
  }

  /** A run begins to which attention is paid: a sample is due, or a message of the class is followed. */
  #runBegins(cell: Observed): void {
    const record = cell.metrics;
    record.observed = cell;
    if (record.handled < record.sampleAt) return;
    // The next message that this actor is sent is followed.
    cell.lane.limit = -1;
    if (record.denseRuns > 0) {
      record.denseRuns -= 1;
      record.timedLeft = DENSE_MESSAGES;
      return;
    }
    const nowMs = this.nowMs();
    const sinceMs = nowMs - record.sampledMs;
    record.sampledMs = nowMs;
    if (sinceMs < SAMPLE_CLOSE_MS) {
      record.interval = Math.min(INTERVAL_MAX, 2 * record.interval);
    } else if (sinceMs > SAMPLE_FAR_MS) record.interval = Math.max(1, record.interval >> 1);
    // Drawn around the interval, so that no pattern of the messages hides from it.
    record.sampleAt = record.handled + (this.#roll() % (2 * record.interval - 1));
    record.timedLeft = MESSAGES_PER_SAMPLE;
  }

  /** The whole run is over. */
  runEnded(record: ClassRecord): void {
    record.timedLeft = 0;
    record.observeAt = record.stamped === undefined ? record.sampleAt : 0;
  }

  /** A message of a run to which attention is paid. */
  #handle(cell: Cell, op: OpEntry, raw: unknown, reply: ReplyTo): void {
    const { metrics } = cell;
    if (metrics.stamped === cell) this.#took(metrics);
    if (metrics.timedLeft === 0) {
      cell.handle(op, raw, reply);
      return;
    }
    metrics.timedLeft -= 1;
    const startMs = this.nowMs();
    cell.handle(op, raw, reply);
    // An async handler is timed until its promise settles.
    if (!cell.isHeld) this.handled(cell, op, this.nowMs() - startMs);
  }

  /** More messages wait than ever before when this actor had its turn. */
  deeper(cell: Cell): void {
    const { count } = cell.lane;
    cell.depthMax = count;
    if (count > cell.metrics.depthMax) cell.metrics.depthMax = count;
  }

  handled(cell: Observed, op: OpEntry, ms: number): void {
    cell.metrics.handler.add(ms);
    if (ms >= this.slowMs) this.#addSlow(cell, op.name, ms);
  }

  // ---- Waiting ------------------------------------------------------------------------------------

  /** A message that is to be followed will be put behind all others of that mailbox. */
  stamp(cell: Observed): void {
    const record = cell.metrics;
    // What it tells itself in a run that nobody looks at has an unknown number of messages in front.
    if (record.observed !== cell && this.#isRunning(cell)) return;
    const atMs = this.nowMs();
    if (record.stamped !== undefined) {
      // One at a time. Whoever has waited for very long is not waited for.
      if (atMs - record.stampMs < STAMP_PATIENCE_MS) return;
      record.wait.add(atMs - record.stampMs);
    }
    record.stamped = cell;
    record.stampMs = atMs;
    record.stampAhead = cell.lane.count;
    // Every run of the class is looked at until it has been handled.
    record.observeAt = 0;
  }

  #isRunning(cell: Observed): boolean {
    return this.#status[STATUS_OP] !== 0 && this.#status[STATUS_SLOT] === cell.id.slot;
  }

  /** A message was taken out of the mailbox in which one is followed. */
  #took(record: ClassRecord): void {
    if (record.stampAhead > 0) {
      record.stampAhead -= 1;
      return;
    }
    record.stamped = undefined;
    record.wait.add(this.nowMs() - record.stampMs);
  }

  /** The order of the mailbox has changed, or it is no more: the message is lost from sight. */
  forget(cell: Observed): void {
    if (cell.metrics.stamped === cell) cell.metrics.stamped = undefined;
  }

  // ---- Drains -------------------------------------------------------------------------------------

  drainBegins(): number {
    this.#status[STATUS_SLOT] = 0;
    return this.nowMs();
  }

  /** `only`: who ran, if it was one actor with at most one message. */
  drainEnded(startMs: number, only: Runnable | undefined): void {
    const ms = this.nowMs() - startMs;
    this.busyMs += ms;
    const isExplained = this.#slowRuns !== this.#slowRunsBefore;
    this.#slowRunsBefore = this.#slowRuns;
    if (ms < this.slowMs) return;
    this.#drains += 1;
    if (ms > this.#longestDrainMs) this.#longestDrainMs = ms;
    if (isExplained) return;
    if (only !== undefined && isObserved(only)) {
      this.#addSlow(only, this.#opHandledBy(only), ms);
      this.#slowRunsBefore = this.#slowRuns;
      return;
    }
    this.#unattributed += 1;
    for (const record of this.#metrics.records()) {
      record.denseRuns = DENSE_RUNS;
      record.observeAt = 0;
      record.sampleAt = 0;
    }
  }

  #opHandledBy(cell: Observed): string {
    if (this.#status[STATUS_SLOT] !== cell.id.slot) return '(setup or signal)';
    return cell.actor.protocol.table[this.#status[STATUS_HANDLED]!]?.name ?? '';
  }

  // ---- Failures -----------------------------------------------------------------------------------

  failed(cell: Observed, error: unknown, directive: string): void {
    if (this.#failures.length === FAILURES_MAX) this.#failures.shift();
    this.#failures.push({
      atMs: toMicros(this.nowMs()),
      path: cut(cell.path),
      class: cell.metrics.name,
      message: cut(textOf(error)),
      directive,
      restarts: cell.restarts,
    });
  }

  // ---- Looking ------------------------------------------------------------------------------------

  get failures(): readonly SeenFailure[] {
    return this.#failures;
  }

  /** The longest first. At most 256 operations: what is slow beyond them is in the drains only. */
  get slow(): readonly SlowHandler[] {
    return [...this.#slow.values()].sort((a, b) => b.longestMs - a.longestMs);
  }

  get drains(): SlowDrains {
    return {
      count: this.#drains,
      longestMs: toMicros(this.#longestDrainMs),
      unattributed: this.#unattributed,
    };
  }

  #addSlow(cell: Observed, op: string, ms: number): void {
    this.#slowRuns += 1;
    const key = `${cell.metrics.name}\n${op}`;
    let entry = this.#slow.get(key);
    if (entry === undefined) {
      if (this.#slow.size >= SLOW_MAX) return;
      entry = { class: cell.metrics.name, op, count: 0, longestMs: 0, recent: [] };
      this.#slow.set(key, entry);
    }
    entry.count += 1;
    entry.longestMs = Math.max(entry.longestMs, toMicros(ms));
    const run = { atMs: toMicros(this.nowMs()), ms: toMicros(ms), path: cut(cell.path) };
    entry.recent = [...entry.recent.slice(1 - SLOW_RECENT_MAX), run];
  }

  /** Xorshift32: these dice decide what is measured, never what happens. */
  #roll(): number {
    let dice = this.#dice;
    dice ^= dice << 13;
    dice ^= dice >>> 17;
    dice ^= dice << 5;
    this.#dice = dice;
    return dice >>> 0;
  }
}

function isObserved(runnable: Runnable): runnable is Runnable & Observed {
  return 'metrics' in runnable;
}

function cut(text: string): string {
  return text.length <= TEXT_MAX ? text : `${text.slice(0, TEXT_MAX - 1)}…`;
}

/** What was thrown may be anything, and may throw itself when it is looked at. */
function textOf(error: unknown): string {
  try {
    return messageOf(error);
  } catch {
    return 'something that cannot be shown';
  }
}
