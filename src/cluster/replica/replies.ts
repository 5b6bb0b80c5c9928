// Answers that wait for their level. Each waits for a frame (seq) to be durable here (`local`) or
// committed; both queues are in seq order, so releasing is popping from the front. Whoever gives up
// waiting (deadline) is answered 'timed-out': the outcome is then unknown, the frame may still commit.
import type { RefId } from '../../actors/ref.ts';
import { RingQueue } from '../../std/ring-queue.ts';
import type { AnsweredInput, AppendedInput, LocatedInput, LogResult } from '../ports.ts';

/** Sends an answer to the actor that asked. */
export interface ReplySink {
  appended(to: RefId, input: AppendedInput): void;
  answered(to: RefId, input: AnsweredInput): void;
  located(to: RefId, input: LocatedInput): void;
}

interface Pending {
  readonly kind: 'append' | 'command' | 'trim';
  readonly seq: number;
  readonly to: RefId;
  readonly token: number;
  readonly dueMs: number;
  readonly baseOffset: number;
  readonly body: Uint8Array;
  isAnswered: boolean;
}

const NO_BODY = new Uint8Array(0);

export class ReplyQueue {
  readonly #queue = new RingQueue<Pending>();
  readonly #sink: ReplySink;

  constructor(sink: ReplySink) {
    this.#sink = sink;
  }

  get size(): number {
    return this.#queue.size;
  }

  addAppend(seq: number, to: RefId, token: number, dueMs: number, baseOffset: number): void {
    const body = NO_BODY;
    this.#queue.push({
      kind: 'append',
      seq,
      to,
      token,
      dueMs,
      baseOffset,
      body,
      isAnswered: false,
    });
  }

  addCommand(seq: number, to: RefId, token: number, dueMs: number, body: Uint8Array): void {
    this.#queue.push({
      kind: 'command',
      seq,
      to,
      token,
      dueMs,
      baseOffset: -1,
      body,
      isAnswered: false,
    });
  }

  /** Answered with where the log starts then. */
  addTrim(seq: number, to: RefId, token: number, dueMs: number): void {
    const kind = 'trim';
    const nothing = { baseOffset: -1, body: NO_BODY };
    this.#queue.push({ kind, seq, to, token, dueMs, ...nothing, isAnswered: false });
  }

  /** Answers everything that waits for a frame up to `seq`. */
  release(seq: number, startOffset: number, leaderEpoch: number): void {
    for (let next = this.#queue.peek(); next !== undefined && next.seq <= seq; ) {
      this.#queue.shift();
      this.#answer(next, 'ok', startOffset, leaderEpoch);
      next = this.#queue.peek();
    }
  }

  expire(nowMs: number, startOffset: number, leaderEpoch: number): void {
    for (let at = 0; at < this.#queue.size; at += 1) {
      const pending = this.#queue.at(at);
      if (pending.isAnswered || pending.dueMs > nowMs) continue;
      this.#answer(pending, 'timed-out', startOffset, leaderEpoch);
    }
  }

  failAll(result: LogResult, startOffset: number, leaderEpoch: number): void {
    for (let next = this.#queue.shift(); next !== undefined; next = this.#queue.shift()) {
      this.#answer(next, result, startOffset, leaderEpoch);
    }
  }

  #answer(pending: Pending, result: LogResult, startOffset: number, leaderEpoch: number): void {
    if (pending.isAnswered) return;
    pending.isAnswered = true;
    const { to, token } = pending;
    if (pending.kind === 'append') {
      const baseOffset = result === 'ok' ? pending.baseOffset : -1;
      this.#sink.appended(to, { token, result, baseOffset, startOffset, leaderEpoch });
    } else if (pending.kind === 'trim') {
      const offset = result === 'ok' ? startOffset : -1;
      this.#sink.located(to, { token, result, offset, timestampMs: -1, epoch: leaderEpoch });
    } else {
      this.#sink.answered(to, { token, result, body: result === 'ok' ? pending.body : NO_BODY });
    }
  }
}
