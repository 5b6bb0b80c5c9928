// Records that go straight to one log, past exchanges, for whoever wants to know where they are. They travel in
// the log's feed with all else that this shard publishes there, so they are stored once and in order, through
// the loss of leaders; those of one call are one batch, stored together or not at all.
// Invariant: each call is answered once, and never inside itself.
import type { LogResult, LogView, MetadataView } from '../../cluster/ports.ts';
import { BATCH_HEADER_BYTES } from '../../records/batch.ts';
import { recordBodySize } from '../../records/batch-builder.ts';
import type { RecordInput } from '../../records/records.ts';
import { PARTITION_KIND } from '../destination/kinds.ts';
import type { LogRules, LogRulesTable } from '../destination/log-rules.ts';
import type { Feeds } from './feeds.ts';
import type { Flights } from './flights.ts';
import { isOut } from './leader-place.ts';
import type { Publishers } from './publishers.ts';
import type { AppendDone, PublishOutcome, PublishSink } from './queue-api.ts';

export interface AppendsPort {
  readonly view: MetadataView;
  readonly rules: LogRulesTable;
  readonly feeds: Feeds;
  readonly flights: Flights;
  readonly publishers: Publishers;
  /** The shard's actor calls `feeds.flush` in this turn. */
  wantFlush(): void;
  nowMs(): number;
  /** Calls in a turn of the shard's actor, after so long. */
  later(delayMs: number, work: () => void): void;
  soon(work: () => void): void;
}

/** Between two looks for whoever has waited long enough. */
const LOOK_EVERY_MS = 20;
const OF_QUEUES: LogRules = { messageBytesMax: Number.POSITIVE_INFINITY, needsKeys: false };

export class Appends {
  readonly #port: AppendsPort;
  /** A publisher for each log, so that one that stands still holds up nobody else. */
  readonly #lanes = new Map<number, Lane>();
  #nextTicket = 0;
  /** When it is looked for whoever has waited long enough; Infinity: nobody waits. */
  #lookMs = Number.POSITIVE_INFINITY;

  constructor(port: AppendsPort) {
    this.#port = port;
  }

  /** At least one record. */
  append(
    logId: number,
    records: readonly RecordInput[],
    timeoutMs: number,
    done: AppendDone,
  ): void {
    const { view } = this.#port;
    const log = view.log(logId);
    if (log === undefined) {
      this.#port.soon(() => done('unknown-log', -1));
      return;
    }
    const rules = this.#rulesOf(log);
    const bytes = BATCH_HEADER_BYTES + sizeOf(records);
    const lane = this.#lanes.get(logId) ?? this.#open(logId);
    const refusal = this.#refuse(log, lane, bytes, rules) ?? refuseKeyless(records, rules);
    if (refusal !== undefined) {
      this.#port.soon(() => done(refusal, -1));
      return;
    }
    const ticket = this.#nextTicket;
    this.#nextTicket += 1;
    const dueMs = this.#port.nowMs() + timeoutMs;
    lane.waiting.set(ticket, { count: records.length, dueMs, done });
    this.#send(logId, lane.slot, records, { bytes, rules, ticket });
    this.#lookAt(dueMs);
  }

  #refuse(
    log: LogView,
    lane: Lane,
    bytes: number,
    { messageBytesMax }: LogRules,
  ): LogResult | undefined {
    const { view } = this.#port;
    if (bytes > messageBytesMax) return 'too-large';
    if (isOut(log, view)) return 'not-available';
    if (lane.isBlocked) return 'no-space';
    return lane.isFull ? 'throttled' : undefined;
  }

  /** Queues say themselves what is too large. */
  #rulesOf({ kind, logId }: LogView): LogRules {
    return kind === PARTITION_KIND ? this.#port.rules.of(logId) : OF_QUEUES;
  }

  #send(
    logId: number,
    slot: number,
    records: readonly RecordInput[],
    { bytes, rules, ticket }: { bytes: number; rules: LogRules; ticket: number },
  ): void {
    const { feeds, flights, publishers } = this.#port;
    const flight = flights.take(slot, ticket, bytes);
    // It lands with its last record.
    flights.expect(flight, records.length - 1);
    const feed = feeds.feed(logId, rules);
    feed.appendTogether(records, bytes, flight);
    feeds.touched(feed, slot);
    publishers.took(slot, bytes);
    this.#port.wantFlush();
  }

  #lookAt(dueMs: number): void {
    if (dueMs >= this.#lookMs) return;
    this.#lookMs = dueMs;
    this.#port.later(dueMs - this.#port.nowMs(), () => {
      if (this.#lookMs === dueMs) this.#look();
    });
  }

  #look(): void {
    const nowMs = this.#port.nowMs();
    let nextMs = Number.POSITIVE_INFINITY;
    for (const lane of this.#lanes.values()) nextMs = Math.min(nextMs, lane.expire(nowMs));
    this.#lookMs = Number.POSITIVE_INFINITY;
    if (nextMs < this.#lookMs) this.#lookAt(Math.max(nextMs, nowMs + LOOK_EVERY_MS));
  }

  #open(logId: number): Lane {
    const { view, publishers } = this.#port;
    for (const [known, { slot, waiting }] of this.#lanes) {
      if (waiting.size > 0 || view.log(known) !== undefined) continue;
      publishers.close(slot);
      this.#lanes.delete(known);
    }
    const lane = new Lane(publishers, () => {
      const log = view.log(logId);
      if (log === undefined) return 'gone';
      return isOut(log, view) ? 'out' : 'here';
    });
    this.#lanes.set(logId, lane);
    return lane;
  }
}

/** They travel with what others send there: a log that refused them would refuse the others too. */
function refuseKeyless(
  records: readonly RecordInput[],
  { needsKeys }: LogRules,
): LogResult | undefined {
  return needsKeys && records.some(({ key }) => key === null) ? 'invalid' : undefined;
}

function sizeOf(records: readonly RecordInput[]): number {
  let size = 0;
  for (const { key, value, headers } of records) size += recordBodySize(key, value, headers);
  return size;
}

interface Waiting {
  readonly count: number;
  readonly dueMs: number;
  readonly done: AppendDone;
}

/** Out: it cannot be used before a node comes back. */
type LogStanding = 'here' | 'out' | 'gone';

class Lane implements PublishSink {
  readonly slot: number;
  readonly waiting = new Map<number, Waiting>();
  isFull = false;
  isBlocked = false;
  readonly #where: () => LogStanding;

  constructor(publishers: Publishers, where: () => LogStanding) {
    this.slot = publishers.add(this);
    this.#where = where;
  }

  /** `offset`: of the last record. */
  resolved(ticket: number, outcome: PublishOutcome, offset: number): void {
    const waiting = this.#take(ticket);
    if (waiting === undefined) return;
    const baseOffset = offset < 0 ? -1 : offset - waiting.count + 1;
    waiting.done(this.#resultOf(outcome), baseOffset);
  }

  /** What goes with its log counts as stored for publishers; who asks where it is must hear more. */
  #resultOf(outcome: PublishOutcome): LogResult {
    const where = this.#where();
    if (where === 'gone') return 'unknown-log';
    if (outcome === 'stored') return 'ok';
    if (outcome === 'unknown') return 'timed-out';
    // Batches are made here: nothing else about them is refused.
    return where === 'out' ? 'not-available' : 'too-large';
  }

  /** Answers who has waited long enough, and says when the next one has. */
  expire(nowMs: number): number {
    let nextMs = Number.POSITIVE_INFINITY;
    for (const [ticket, { dueMs }] of this.waiting) {
      if (dueMs <= nowMs) this.#take(ticket)?.done('timed-out', -1);
      else nextMs = Math.min(nextMs, dueMs);
    }
    return nextMs;
  }

  #take(ticket: number): Waiting | undefined {
    const waiting = this.waiting.get(ticket);
    this.waiting.delete(ticket);
    return waiting;
  }

  unroutable(): void {
    // Nothing is routed.
  }

  full(): void {
    this.isFull = true;
  }

  room(): void {
    this.isFull = false;
  }

  blocked(): void {
    this.isBlocked = true;
  }

  unblocked(): void {
    this.isBlocked = false;
  }
}
