// Drives the queue behavior as a host does, over a log whose frames commit when the test says so: decides,
// applies at the tip, lets replies go at their level, ticks in log time, moves the leader.
import type {
  Decision,
  DurableBehavior,
  DurableReply,
  FrameView,
} from '../../../src/actors/durable/behavior.ts';
import { decodeQueueAnswer, type QueueAnswer } from '../../../src/broker/view/answers.ts';
import { createQueueBehavior } from '../../../src/broker/view/behavior.ts';
import {
  decodeQueueCommand,
  encodeQueueCommand,
  type QueueCommand,
} from '../../../src/broker/view/commands.ts';
import { QUEUE_DEFAULTS, type QueueConfig } from '../../../src/broker/view/config.ts';
import type { QueueLocal } from '../../../src/broker/view/local.ts';
import type { QueueState } from '../../../src/broker/view/queue-state.ts';
import { Runs } from '../../../src/broker/view/runs.ts';
import { recordCount, stampBatch } from '../../../src/records/batch.ts';
import { encodeBatch } from '../../../src/records/records.ts';
import { crc32c } from '../../../src/std/crc32c.ts';
import { type HostedView, hostedView, OTHER_TOKENS } from './hosted-view.ts';

/** One message as a consumer gets it. */
export interface Got {
  readonly offset: number;
  readonly number: number;
  readonly returns: number;
  readonly redelivered: boolean;
  readonly epoch: number;
}

interface Pending {
  readonly seq: number;
  readonly token: number;
  readonly body: Uint8Array;
}

export const NODE = { node: 1, incarnation: 1 } as const;

export class QueueHarness {
  readonly behavior: DurableBehavior<QueueState, QueueLocal>;
  /** Set if it is a group's view of a stream's log that looks like a queue. */
  readonly hosted: HostedView | undefined;
  state: QueueState;
  local: QueueLocal;
  epoch = 1;
  nowMs = 1_000_000;
  /** Frames commit as soon as they are appended. */
  commitsAtOnce = true;
  /** The store refuses the next frames. */
  refusesFrames = false;
  committedSeq = 0;
  startOffset = 0;
  readonly frames: FrameView[] = [];
  readonly answers = new Map<number, QueueAnswer | 'refused'>();
  /** Where the log is to start with a frame of its own, and where with the next one that there is. */
  readonly released: number[] = [];
  readonly offered: number[] = [];
  /** Hears every answer when it is given; `isLost` if the store refused the frame that it rested on. */
  onAnswer: (token: number, answer: QueueAnswer, isLost: boolean) => void = () => undefined;
  /** Frames that nobody waited for. */
  unawaited = 0;
  #pending: Pending[] = [];
  #token = 0;
  #otherToken = OTHER_TOKENS;
  readonly #numbers = new Map<number, number>();
  /** A frame of the host at the begin of the epoch takes a seq of its own. */
  #seq = 1;

  constructor(config: Partial<QueueConfig> = {}, isHosted = false) {
    const all = { ...QUEUE_DEFAULTS, ...config };
    this.hosted = isHosted ? hostedView(all) : undefined;
    this.behavior = this.hosted ?? createQueueBehavior(all);
    this.state = this.behavior.initial();
    this.committedSeq = this.#seq;
    this.local = this.behavior.promote(this.state, this.position());
  }

  /** The token of the next command. */
  get nextToken(): number {
    return this.#token + 1;
  }

  get endOffset(): number {
    return this.frames.at(-1)?.nextOffset ?? 0;
  }

  get endSeq(): number {
    return this.#seq;
  }

  get committedOffset(): number {
    let offset = 0;
    for (const frame of this.frames) if (frame.seq <= this.committedSeq) offset = frame.nextOffset;
    return offset;
  }

  position() {
    return {
      logId: 7,
      epoch: this.epoch,
      logTimeMs: this.nowMs,
      endOffset: this.endOffset,
      committedOffset: this.commitsAtOnce ? this.endOffset : this.committedOffset,
      startOffset: this.startOffset,
      endSeq: this.#seq,
      committedSeq: this.committedSeq,
    };
  }

  // ---- Commands -------------------------------------------------------------------------------

  send(command: QueueCommand): number {
    this.#letOtherAct();
    this.#token += 1;
    const token = this.#token;
    const body = encodeQueueCommand(command);
    const told = { token, body };
    this.#take(this.behavior.decide(this.state, this.local, told, this.position()));
    // The body was only lent.
    body.fill(0xdd);
    this.#settle();
    return token;
  }

  #letOtherAct(): void {
    if (this.hosted === undefined || this.refusesFrames) return;
    this.#otherToken += 1;
    const told = { token: this.#otherToken, body: this.hosted.other() };
    this.#take(this.behavior.decide(this.state, this.local, told, this.position()));
  }

  /** As a producer's batch comes to a stream. Answers the base offset, or undefined if it is not stored. */
  append(batch: Uint8Array): number | undefined {
    const offset = this.endOffset;
    const refusal = this.behavior.admit?.(this.state, this.local, batch, this.position());
    if (refusal !== undefined || this.refusesFrames) return undefined;
    this.#take({ batch });
    this.#settle();
    return offset;
  }

  ask<K extends QueueAnswer['kind']>(command: QueueCommand, kind: K) {
    return this.answer(this.send(command), kind);
  }

  answer<K extends QueueAnswer['kind']>(token: number, kind: K) {
    const answer = this.answers.get(token);
    if (answer === undefined) throw new Error(`token ${token} is not answered`);
    if (answer === 'refused') throw new Error(`token ${token} was refused`);
    if (answer.kind !== kind) throw new Error(`answer is a ${answer.kind}, not a ${kind}`);
    return answer as Extract<QueueAnswer, { kind: K }>;
  }

  /** The next messages of a client; answers the token. */
  publish(count = 1, clientId = 1, level: 'none' | 'local' | 'committed' = 'committed'): number {
    const firstNumber = this.#numbers.get(clientId) ?? 1;
    this.#numbers.set(clientId, firstNumber + count);
    return this.publishAs(clientId, 1, firstNumber, count, level);
  }

  publishAs(
    clientId: number,
    incarnation: number,
    firstNumber: number,
    count = 1,
    level: 'none' | 'local' | 'committed' = 'committed',
  ): number {
    return this.publishBatch(clientId, incarnation, firstNumber, batchOf(count), level);
  }

  publishBatch(
    clientId: number,
    incarnation: number,
    firstNumber: number,
    batch: Uint8Array,
    level: 'none' | 'local' | 'committed' = 'committed',
  ): number {
    return this.send({ kind: 'publish', level, clientId, incarnation, firstNumber, batch });
  }

  attach(consumerId: number, more: Partial<Extract<QueueCommand, { kind: 'attach' }>> = {}) {
    return this.ask(
      {
        kind: 'attach',
        owner: NODE,
        consumerId,
        isAutoAcknowledging: false,
        isExclusive: false,
        isPassive: false,
        priority: 0,
        ...more,
      },
      'attached',
    );
  }

  receive(consumerId: number, more: Partial<Extract<QueueCommand, { kind: 'receive' }>> = {}) {
    return this.send({
      kind: 'receive',
      owner: NODE,
      consumerId,
      seen: Number.MAX_SAFE_INTEGER,
      credit: 100,
      waitMs: 30_000,
      leaseMs: 0,
      ...more,
    });
  }

  /** What the receive was answered with; empty also if it still waits. */
  got(token: number): Got[] {
    const answer = this.answers.get(token);
    if (answer === undefined || answer === 'refused' || answer.kind !== 'deliveries') return [];
    return listOf(answer.runs, answer.epoch);
  }

  /** Receives at once. */
  fetch(consumerId: number, credit = 100, leaseMs = 0): Got[] {
    return this.got(this.receive(consumerId, { credit, leaseMs, waitMs: 0 }));
  }

  acknowledge(messages: readonly Got[], level: 'none' | 'committed' = 'none') {
    const { epoch, runs } = runsOf(messages);
    return this.ask({ kind: 'acknowledge', level, epoch, runs }, 'settled');
  }

  giveBack(messages: readonly Got[], more: { isRequeued?: boolean; counts?: boolean } = {}) {
    const { epoch, runs } = runsOf(messages);
    const options = { level: 'none' as const, isRequeued: true, counts: false, ...more };
    return this.ask({ kind: 'return', ...options, epoch, runs }, 'settled');
  }

  extend(messages: readonly Got[], leaseMs: number) {
    return this.ask({ kind: 'extend', leaseMs, ...runsOf(messages) }, 'settled');
  }

  stats() {
    return this.ask({ kind: 'stats' }, 'stats');
  }

  // ---- The log --------------------------------------------------------------------------------

  #take(decision: Decision): void {
    const { releaseBelow, isReleaseDue = true } = decision;
    if (releaseBelow !== undefined)
      (isReleaseDue ? this.released : this.offered).push(releaseBelow);
    const hasFrame = decision.batch !== undefined || decision.events !== undefined;
    if (hasFrame && this.refusesFrames) {
      for (const reply of decision.replies ?? []) {
        if (reply.token >= OTHER_TOKENS) continue;
        this.#note(reply.token, 'refused');
        this.onAnswer(reply.token, decodeQueueAnswer(reply.body), true);
      }
      return;
    }
    if (hasFrame) this.#append(decision);
    for (const reply of decision.replies ?? []) this.#reply(reply);
    if (this.commitsAtOnce) this.committedSeq = this.#seq;
  }

  #append({ batch, events, isAwaited }: Decision): void {
    const baseOffset = this.endOffset;
    this.#seq += 1;
    if (isAwaited === false) this.unawaited += 1;
    if (batch !== undefined) stampBatch(batch, 0, baseOffset, this.epoch);
    const frame: FrameView = {
      seq: this.#seq,
      epoch: this.epoch,
      logTimeMs: this.nowMs,
      events: events?.slice() ?? new Uint8Array(0),
      batch: batch?.slice(),
      baseOffset,
      nextOffset: batch === undefined ? baseOffset : baseOffset + recordCount(batch, 0),
    };
    this.frames.push(frame);
    this.behavior.apply(this.state, frame);
  }

  #reply(reply: DurableReply): void {
    if (reply.token >= OTHER_TOKENS) {
      this.hosted!.told(reply);
      return;
    }
    if (reply.level === 'committed' && this.#seq > this.committedSeq && !this.commitsAtOnce) {
      this.#pending.push({ seq: this.#seq, token: reply.token, body: reply.body });
    } else this.#answered(reply.token, reply.body);
  }

  #answered(token: number, body: Uint8Array): void {
    const answer = decodeQueueAnswer(body);
    this.#note(token, answer);
    this.onAnswer(token, answer, false);
  }

  #note(token: number, answer: QueueAnswer | 'refused'): void {
    if (this.answers.has(token)) throw new Error(`token ${token} answered twice`);
    this.answers.set(token, answer);
  }

  /** As a host does at the end of a turn in which something was committed. */
  #settle(): void {
    if (!this.commitsAtOnce || this.refusesFrames) return;
    for (let before = 0; before !== this.#seq; ) {
      before = this.#seq;
      this.#take(this.behavior.committed!(this.state, this.local, this.position()));
    }
  }

  /** Commits the next `count` frames that are not; all of them if left out. */
  commit(count = Number.POSITIVE_INFINITY): void {
    this.committedSeq = Math.min(this.#seq, this.committedSeq + count);
    this.#take(this.behavior.committed!(this.state, this.local, this.position()));
    const due = this.#pending.filter(({ seq }) => seq <= this.committedSeq);
    this.#pending = this.#pending.filter(({ seq }) => seq > this.committedSeq);
    for (const { token, body } of due) this.#answered(token, body);
  }

  /** Lets time pass, running ticks when they are due. */
  advance(ms: number): void {
    const untilMs = this.nowMs + ms;
    for (let i = 0; i < 10_000; i += 1) {
      const dueMs = this.behavior.nextDueMs(this.state, this.local);
      if (dueMs === undefined || dueMs > untilMs) break;
      this.nowMs = Math.max(this.nowMs, dueMs);
      this.#take(this.behavior.tick(this.state, this.local, this.position()));
      this.#settle();
    }
    this.nowMs = untilMs;
  }

  /**
   * The leader dies. `kept` of the frames that were not committed are with the next one, which begins with
   * a state restored from a snapshot at a committed frame and what follows it.
   */
  move(kept = Number.POSITIVE_INFINITY): void {
    for (const { token, body } of this.behavior.demote(this.local)) {
      if (token >= OTHER_TOKENS) continue;
      this.#note(token, decodeQueueAnswer(body));
    }
    for (const { token } of this.#pending) this.#note(token, 'refused');
    this.#pending = [];
    const endSeq = Math.min(this.#seq, this.committedSeq + kept);
    while ((this.frames.at(-1)?.seq ?? 0) > endSeq) this.frames.pop();
    this.state = this.replay();
    this.#seq = endSeq + 1;
    this.epoch += 1;
    this.committedSeq = this.#seq;
    this.local = this.behavior.promote(this.state, this.position());
  }

  /** The state that a replica has which read the log, with a snapshot taken on the way. */
  replay(): QueueState {
    let state = this.behavior.initial();
    const middle = this.frames.length >> 1;
    this.frames.forEach((frame, i) => {
      if (i === middle) state = this.behavior.restore(this.behavior.snapshot(state));
      this.behavior.apply(state, frame);
    });
    return state;
  }
}

/** A batch of records that say nothing, or what `contentOf` says. */
export function batchOf(
  count: number,
  contentOf: (index: number) => Uint8Array = () => Uint8Array.of(1),
): Uint8Array {
  const records = Array.from({ length: count }, (_, index) => {
    return { timestampMs: 1, key: null, value: contentOf(index) };
  });
  return encodeBatch(records, crc32c);
}

export function listOf(runs: Runs, epoch: number): Got[] {
  const all: Got[] = [];
  for (let row = 0; row < runs.size; row += 1) {
    const number = runs.number[row]!;
    for (let i = 0; i < runs.count[row]!; i += 1) {
      all.push({
        offset: runs.offset[row]! + i,
        number: number === 0 ? 0 : number + i,
        returns: runs.returns[row]!,
        redelivered: runs.redelivered[row] === 1,
        epoch,
      });
    }
  }
  return all;
}

export function runsOf(messages: readonly Got[]): { epoch: number; runs: Runs } {
  const runs = new Runs();
  for (const { offset, number } of messages) runs.add(offset, 1, number);
  return { epoch: messages[0]?.epoch ?? 0, runs };
}

export const offsets = (messages: readonly Got[]): number[] => messages.map(({ offset }) => offset);

/** Bytes and back, with columns of its own. */
export function again(command: QueueCommand): QueueCommand {
  return decodeQueueCommand(encodeQueueCommand(command), new Runs(), 1_000_000);
}
