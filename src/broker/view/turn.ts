// One decision of a queue while it is being made: events and replies so far. What it changes in the
// leader's half stands at once; what it says about messages counts when its frame is applied. If the store
// refuses that frame, the next decision notices and takes back what rested on it.
import type {
  Decision,
  DurableReply,
  LogPosition,
  ReplyLevel,
} from '../../actors/durable/behavior.ts';
import { encodeQueueAnswer, type QueueAnswer, type QueueOutcome } from './answers.ts';
import type { QueueConfig } from './config.ts';
import type { Consumer } from './consumers.ts';
import type { QueueLocal } from './local.ts';
import type { QueueState } from './queue-state.ts';
import type { Runs } from './runs.ts';

export class QueueTurn {
  readonly config: QueueConfig;
  readonly state: QueueState;
  readonly local: QueueLocal;
  readonly position: LogPosition;
  readonly #replies: DurableReply[] = [];
  #batch: Uint8Array | undefined;
  #isAwaited = false;
  #isPurging = false;
  /** Messages are given out when this decision's frame is committed. */
  #isGiving = false;
  /** Messages of which this decision says that they are done with, and the state does not know yet. */
  #settled = 0;

  constructor(config: QueueConfig, state: QueueState, local: QueueLocal, position: LogPosition) {
    this.config = config;
    this.state = state;
    this.local = local;
    this.position = position;
    local.acknowledged.clear();
    local.cameBack.clear();
    local.dropped.clear();
    local.cameBackNow.clear();
    local.events.clear();
    if (config.faults?.trustFrames !== true && local.expectedSeq > state.seq) this.#takeBack();
    if (position.committedSeq >= state.reservationSeq) local.reserved = state.reservation;
  }

  get nowMs(): number {
    return this.position.logTimeMs;
  }

  /** The last frame was refused: what it acknowledged or returned is not, and may have been delivered. */
  #takeBack(): void {
    const { local, state } = this;
    local.redeliveredBelow = Math.max(local.redeliveredBelow, local.ready.cursor);
    local.ready.startOver(state.floor);
    local.expectedSeq = 0;
  }

  /** Messages that nobody holds, those included that are not committed yet. */
  get readyCount(): number {
    return Math.max(0, this.state.messages - this.local.leases.count - this.#settled);
  }

  /** Messages below this offset may be delivered now. */
  get deliverableBelow(): number {
    const { faults } = this.config;
    const { endOffset, committedOffset } = this.position;
    const limit = faults?.deliverUncommitted === true ? endOffset : committedOffset;
    return faults?.noReservation === true ? limit : Math.min(limit, this.local.reserved);
  }

  reply(token: number, answer: QueueAnswer, level: ReplyLevel = 'none'): void {
    if (level !== 'none') this.#isAwaited = true;
    this.#replies.push({ token, level, body: encodeQueueAnswer(answer) });
  }

  count(token: number, outcome: QueueOutcome, count = 0, level: ReplyLevel = 'none'): void {
    this.reply(token, { kind: 'count', outcome, count }, level);
  }

  publish(batch: Uint8Array, clientId: number, incarnation: number, firstNumber: number): void {
    this.#batch = batch;
    this.local.events.published(clientId, incarnation, firstNumber);
  }

  acknowledge(offset: number, count: number): void {
    this.local.acknowledged.add(offset, count, 0);
    this.#settled += count;
  }

  purge(below: number, except: Runs): void {
    this.local.events.purged(below, except);
    this.#settled += this.readyCount;
    this.#isPurging = true;
  }

  /** Ends a lease; the message is ready again where it was, unless it came back too often. */
  putBack(lease: number, counts: boolean): void {
    const { leases, ready, cameBack, cameBackNow, dropped } = this.local;
    const offset = leases.offset[lease]!;
    leases.remove(lease);
    if (this.config.faults?.dropLease === true) return;
    if (counts && this.#isTooOften(offset)) {
      dropped.add(offset, 1, 0);
      this.#settled += 1;
      return;
    }
    ready.putBack(offset);
    if (!counts || this.config.faults?.forgetReturns === true) return;
    cameBack.add(offset, 1, 0);
    cameBackNow.set(offset, 1);
  }

  /** Of a quorum queue: see the config. */
  get limit(): number | undefined {
    return this.config.deliveryLimitOf(this.position.logId);
  }

  /** Whether a message that comes back now has done so more often than its queue allows. */
  #isTooOften(offset: number): boolean {
    const { limit } = this;
    return limit !== undefined && limit >= 0 && this.returnsOf(offset) >= limit;
  }

  /** How often a message has come back in a way that counts, with this decision. */
  returnsOf(offset: number): number {
    return this.state.returns.get(offset, 0) + this.local.cameBackNow.get(offset, 0);
  }

  /** Answers the receive of a consumer with what it was given, or with nothing. */
  answer(consumer: Consumer, outcome: QueueOutcome = 'ok'): void {
    const { local, config } = this;
    if (!consumer.isWaiting) return;
    const { token } = consumer;
    const runs = consumer.runs ?? local.takeRuns();
    const { epoch } = this.position;
    const waits = (config.givesCommitted && runs.total > 0) || this.#isTellingCounts(runs);
    this.#isGiving ||= waits;
    const level = waits ? 'committed' : 'none';
    this.reply(token, { kind: 'deliveries', outcome, epoch, ready: this.readyCount, runs }, level);
    local.giveBackRuns(runs);
    consumer.runs = undefined;
    consumer.token = -1;
    local.waiting.remove(consumer);
    local.waits.delete(consumer.slot);
    local.immediate.delete(consumer);
    const hasRoom = outcome === 'ok' && consumer.credit > 0 && !consumer.options.isPassive;
    if (!hasRoom || !local.waiting.hasBelow(consumer.options.priority)) return;
    local.waiting.setExpected(consumer, true);
    local.waits.set(consumer.slot, this.nowMs + config.preferMs);
  }

  /** Of a quorum queue: a count that was told is never lower again, so what it rests on is committed before. */
  #isTellingCounts(runs: Runs): boolean {
    if (this.limit === undefined) return false;
    for (let row = 0; row < runs.size; row += 1) if (runs.returns[row]! > 0) return true;
    return false;
  }

  finish(): Decision {
    this.#answerImmediate();
    const isTelling = this.#writeEvents();
    const { events } = this.local;
    const replies = this.#replies;
    const isReleaseDue = this.#isReleaseDue();
    const releaseBelow = isReleaseDue === undefined ? undefined : this.state.floor;
    // An answer that waits for a commit needs a frame, even one that says nothing.
    const needsFrame = !events.isEmpty || this.#batch !== undefined || this.#isGiving;
    if (needsFrame && isTelling) this.local.expectedSeq = this.position.endSeq + 1;
    // One literal for all decisions: there is one for every message.
    return {
      events: needsFrame ? events.bytes() : undefined,
      batch: this.#batch,
      replies,
      isAwaited: this.#isAwaited,
      releaseBelow,
      isReleaseDue: isReleaseDue === true,
    };
  }

  /** Whoever asked for what is there learns that there is nothing. */
  #answerImmediate(): void {
    const { immediate } = this.local;
    if (immediate.size === 0 || this.readyCount > 0) return;
    for (const consumer of [...immediate]) this.answer(consumer);
  }

  /** Answers whether the frame says something that the leader's half has taken for done. */
  #writeEvents(): boolean {
    const { events, acknowledged, cameBack, dropped, consumers, ready, reserved } = this.local;
    events.acknowledged(acknowledged);
    events.cameBack(cameBack);
    events.dropped(dropped);
    const { state, config } = this;
    // One raise at a time, ahead of need; it rides in whatever frame there is.
    const isRaising = state.reservation > reserved;
    const cursor = Math.max(ready.cursor, state.floor);
    const isNear = cursor + config.reserveAhead / 2 > state.reservation;
    if (consumers.total > 0 && isNear && !isRaising && config.faults?.noReservation !== true) {
      events.reserved(cursor + config.reserveAhead);
      this.#isAwaited = true;
    }
    return acknowledged.size + cameBack.size + dropped.size > 0 || this.#isPurging;
  }

  /**
   * The start follows the floor with every frame there is, and now and then with one of its own; undefined where it is
   * as far, or is not to follow.
   */
  #isReleaseDue(): boolean | undefined {
    const { state, local, config, nowMs, position } = this;
    if (position.startOffset > local.released) {
      local.released = position.startOffset;
      local.releasedMs = nowMs;
    }
    const moved = state.floor - local.released;
    if (moved <= 0 || !Number.isFinite(config.releaseOffsets)) return undefined;
    const isLate = nowMs - local.releasedMs >= config.releaseAfterMs;
    const isReleaseDue = moved >= config.releaseOffsets || isLate;
    if (isReleaseDue) {
      local.released = state.floor;
      local.releasedMs = nowMs;
    }
    return isReleaseDue;
  }
}
