// The leader's half of a queue: who consumes, who holds what, what is next. Made at promotion from the
// replicated state and gone with the leader. Everything that its predecessor may have delivered, which is
// everything below the reservation, is ready and counts as delivered before.
import type { LogPosition } from '../../actors/durable/behavior.ts';
import { type Consumer, Consumers } from './consumers.ts';
import { DueHeap } from './due-heap.ts';
import { EventWriter } from './events.ts';
import { Leases } from './leases.ts';
import { OffsetTable } from './offset-table.ts';
import type { QueueState } from './queue-state.ts';
import { Ready } from './ready.ts';
import { Runs } from './runs.ts';
import { Waiting } from './waiting.ts';

/**
 * Columns that every decision uses anew. Decisions are synchronous, and what one lends counts until the next: those
 * of all queues of a thread share them, as most of many thousands decide about one message at a time.
 */
const input = new Runs();
const acknowledged = new Runs();
const cameBack = new Runs();
const dropped = new Runs();
const cameBackNow = new OffsetTable();
const events = new EventWriter();
/** Of receives that are answered. */
const spareRuns: Runs[] = [];
const SPARE_RUNS_MAX = 64;

export class QueueLocal {
  readonly consumers = new Consumers();
  readonly leases = new Leases();
  readonly waiting = new Waiting();
  readonly ready: Ready;
  /** By consumer slot: when a receive has waited long enough, or a consumer is expected no more. */
  readonly waits = new DueHeap();
  /** Consumers whose receive waits only for what is under way. */
  readonly immediate = new Set<Consumer>();
  /** The committed reservation. */
  reserved: number;
  /** What is delivered below this offset may have been delivered before. */
  redeliveredBelow: number;
  /** Numbers of leases of this epoch start at 1. */
  nextNumber = 1;
  /** How far the log start has followed, or was asked to with a frame of its own, and when, in log time. */
  released: number;
  releasedMs: number;
  /** The frame of the last decision that changed something here; if it was refused, that is not so. */
  expectedSeq = 0;
  // Of the decision that is being made.
  readonly input = input;
  readonly acknowledged = acknowledged;
  readonly cameBack = cameBack;
  readonly dropped = dropped;
  /** The messages in `cameBack`: the state does not count them yet. */
  readonly cameBackNow = cameBackNow;
  readonly events = events;

  constructor(state: QueueState, position: LogPosition, forgetsDelivered: boolean) {
    this.ready = new Ready(state.floor);
    this.reserved = state.reservation;
    this.redeliveredBelow = forgetsDelivered ? 0 : state.reservation;
    this.released = position.startOffset;
    this.releasedMs = position.logTimeMs;
  }

  takeRuns(): Runs {
    return spareRuns.pop() ?? new Runs();
  }

  giveBackRuns(runs: Runs): void {
    runs.clear();
    if (spareRuns.length < SPARE_RUNS_MAX) spareRuns.push(runs);
  }

  /** Log time at which something is due, or undefined. */
  nextDueMs(state: QueueState, releaseAfterMs: number): number | undefined {
    let due = this.leases.firstDueMs ?? Number.POSITIVE_INFINITY;
    due = Math.min(due, this.waits.firstDueMs ?? Number.POSITIVE_INFINITY);
    if (state.floor > this.released) due = Math.min(due, this.releasedMs + releaseAfterMs);
    return due === Number.POSITIVE_INFINITY ? undefined : due;
  }
}
