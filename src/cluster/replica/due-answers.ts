// The answers of one leader that wait for their frames: at once, for enough receivers, for the own disk, or for the
// commit, as the level asks and the destination's durability allows. Whose frame is there already is answered now.
// Invariant: what was answered because it was received binds who joins the safe set from then on.
import type { ReplyLevel } from '../../actors/durable/behavior.ts';
import type { RefId } from '../../actors/ref.ts';
import type { Leader } from '../../replication/types.ts';
import type { LogResult } from '../ports.ts';
import { type AwaitedStep, awaitedStep, EARLY_BYTES_MAX } from './durability.ts';
import { ReplyQueue } from './replies.ts';
import type { AppendRequest, LogContext } from './role.ts';

/** Whom a command's answer goes to, and until when. */
interface Asker {
  readonly to: RefId;
  readonly token: number;
  readonly dueMs: number;
}

export class DueAnswers {
  readonly #context: LogContext;
  readonly #core: Leader;
  readonly #local: ReplyQueue;
  readonly #received: ReplyQueue;
  readonly #committed: ReplyQueue;
  readonly #queues: readonly ReplyQueue[];

  constructor(context: LogContext, core: Leader) {
    this.#context = context;
    this.#core = core;
    this.#local = new ReplyQueue(context.replies);
    this.#received = new ReplyQueue(context.replies);
    this.#committed = new ReplyQueue(context.replies);
    this.#queues = [this.#local, this.#received, this.#committed];
  }

  get size(): number {
    return this.#local.size + this.#received.size + this.#committed.size;
  }

  // ---- Askers ---------------------------------------------------------------------------------

  append({ level, replyTo, token, timeoutMs }: AppendRequest, seq: number, baseOffset: number) {
    if (level === 'none') return;
    const step = this.#stepOf(level);
    if (!this.#isAt(seq, step)) {
      const dueMs = this.#context.nowMs() + timeoutMs;
      this.#queueOf(step).addAppend(seq, replyTo, token, dueMs, baseOffset);
      return;
    }
    this.#context.replies.appended(replyTo, {
      token,
      result: 'ok',
      baseOffset,
      startOffset: this.#context.stored.startOffset,
      leaderEpoch: this.#core.epoch,
    });
  }

  command({ to, token, dueMs }: Asker, level: ReplyLevel, seq: number, body: Uint8Array): void {
    const step = this.#stepOf(level);
    if (this.#isAt(seq, step)) this.#context.replies.answered(to, { token, result: 'ok', body });
    else this.#queueOf(step).addCommand(seq, to, token, dueMs, body);
  }

  /** Always for the commit. */
  trim({ to, token, dueMs }: Asker, seq: number): void {
    if (!this.#core.hasReached(seq, 'committed')) {
      this.#committed.addTrim(seq, to, token, dueMs);
      return;
    }
    const offset = this.#context.stored.startOffset;
    const at = { offset, timestampMs: -1, epoch: this.#core.epoch };
    this.#context.replies.located(to, { token, result: 'ok', ...at });
  }

  /** What an answer of this level waits for now. Who is answered before the write cannot fill the memory. */
  #stepOf(asked: ReplyLevel): AwaitedStep {
    const { store, faults } = this.#context;
    // Whoever leads next may have no more than what is committed.
    if (this.#core.isInDoubt && asked !== 'none') return 'committed';
    const level = asked === 'stored' && faults?.allTransient === true ? 'accepted' : asked;
    if (level === 'none' || level === 'committed') return awaitedStep(level, 'sync');
    const durability = this.#context.durability();
    if (faults?.answerAtOnce === true) return 'nothing';
    if (faults?.answerUnreceived === true && durability === 'replicated') return 'nothing';
    if (level !== 'accepted' && durability === 'sync') return awaitedStep(level, durability);
    if (store.unwrittenBytes <= EARLY_BYTES_MAX) return awaitedStep(level, durability);
    return level === 'stored' ? 'committed' : 'local';
  }

  #isAt(seq: number, step: AwaitedStep): boolean {
    if (step === 'nothing') return true;
    if (step !== 'received') return this.#core.hasReached(seq, step);
    if (seq > this.#core.receivedSeq) return false;
    this.#core.answered(seq);
    return true;
  }

  #queueOf(step: AwaitedStep): ReplyQueue {
    if (step === 'local') return this.#local;
    return step === 'received' ? this.#received : this.#committed;
  }

  // ---- Frames and time ------------------------------------------------------------------------

  localDurable(seq: number): void {
    this.#release(this.#local, seq);
  }

  committed(seq: number): void {
    this.#release(this.#committed, seq);
  }

  /** Who has received what may have changed. */
  received(): void {
    if (this.#received.size === 0) return;
    const seq = this.#core.receivedSeq;
    this.#core.answered(seq);
    this.#release(this.#received, seq);
  }

  #release(queue: ReplyQueue, seq: number): void {
    queue.release(seq, this.#context.stored.startOffset, this.#core.epoch);
  }

  expire(nowMs: number): void {
    const { startOffset } = this.#context.stored;
    for (const queue of this.#queues) queue.expire(nowMs, startOffset, this.#core.epoch);
  }

  failAll(result: LogResult): void {
    const { startOffset } = this.#context.stored;
    for (const queue of this.#queues) queue.failAll(result, startOffset, this.#core.epoch);
  }
}
