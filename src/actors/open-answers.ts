// What an actor owes: the answers that it gives later, and which of its askers have given up, as handlers
// see it in `ctx.cancelled` and `Later.isCancelled`. Made for the first of them: most actors answer at
// once. Invariant: bounded by the asks that wait or are worked on; who is answered, or is known to have
// given up by whoever works on it, is forgotten. Who is lost (with its thread, its node or the way) has given up.
import { ActorError } from './errors.ts';
import type { Answers } from './later.ts';
import { LaterReply } from './later.ts';
import type { ReplyTo } from './mailbox.ts';
import { NO_REPLY } from './mailbox.ts';
import type { OpEntry } from './protocol.ts';
import type { RefId } from './ref.ts';
import { refKey, sameId } from './ref.ts';

export class OpenAnswers {
  readonly #answers: Answers;
  readonly #laters = new Set<LaterReply<unknown>>();
  /** Of the asks whose handlers looked. */
  readonly #signals = new Map<number | string, AbortController>();
  /** Of tells whose handlers looked: nobody can give them up. */
  #life: AbortController | undefined;
  /** Given up while they waited in the mailbox or the stash, the oldest first. */
  readonly #givenUp = new Set<number | string>();

  constructor(answers: Answers) {
    this.#answers = answers;
  }

  get laterCount(): number {
    return this.#laters.size;
  }

  /** Of the answers that are given later. */
  replies(): ReplyTo[] {
    return [...this.#laters].map(({ replyTo }) => replyTo ?? NO_REPLY);
  }

  /** Askers that are remembered besides. */
  get rememberedCount(): number {
    return this.#signals.size + this.#givenUp.size;
  }

  makeLater<R>(): LaterReply<R> {
    return new LaterReply<R>(this.#answers, (later) => {
      this.#laters.delete(later);
      if (later.replyTo !== undefined) this.settled(later.replyTo);
    });
  }

  /** A handler returned `later` for the ask at `reply`. @throws ActorError if it has returned it before. */
  bind(later: LaterReply<unknown>, op: OpEntry, reply: ReplyTo): void {
    if (later.replyTo !== undefined) {
      throw new ActorError('ACTOR_MISUSE', `one Later cannot answer two asks of ${op.name}`);
    }
    if (this.#isGivenUp(reply)) {
      later.isCancelled = true;
      // It may never be answered.
      this.settled(reply);
    } else if (!later.isSettled) this.#laters.add(later);
    later.bind(op, reply);
  }

  /** The signal of the ask `reply`; of a tell, one that only the end of the actor's life aborts. */
  signalOf(reply: ReplyTo): AbortSignal {
    if (reply === NO_REPLY) {
      this.#life ??= new AbortController();
      return this.#life.signal;
    }
    const key = keyOf(reply);
    const known = this.#signals.get(key);
    if (known !== undefined) return known.signal;
    const abort = new AbortController();
    if (this.#givenUp.has(key)) abort.abort();
    this.#signals.set(key, abort);
    return abort.signal;
  }

  /**
   * The asker gave up.
   *
   * @param held the ask that an async handler works on
   * @param waitingMax how many messages wait or are handled now, of which it may be one
   */
  giveUp(reply: ReplyTo, held: ReplyTo, waitingMax: number): void {
    let isWorkedOn = sameReply(reply, held);
    for (const later of this.#laters) {
      if (later.replyTo === undefined || !sameReply(later.replyTo, reply)) continue;
      later.isCancelled = true;
      isWorkedOn = true;
      // Who is never answered must not be kept for it.
      this.#laters.delete(later);
      break;
    }
    const key = keyOf(reply);
    this.#signals.get(key)?.abort();
    this.#signals.delete(key);
    if (isWorkedOn || waitingMax === 0) return;
    this.#givenUp.add(key);
    // More than wait: the word of somebody crossed its answer. Messages leave in their order, so the oldest is it.
    if (this.#givenUp.size > waitingMax) this.#givenUp.delete(this.#givenUp.values().next().value!);
  }

  /** Nobody works on it any more. */
  settled(reply: ReplyTo): void {
    if (reply === NO_REPLY || this.rememberedCount === 0) return;
    const key = keyOf(reply);
    this.#signals.delete(key);
    this.#givenUp.delete(key);
  }

  /** The mailbox is empty: nobody is left that gave up while it waited. */
  noneWaits(): void {
    this.#givenUp.clear();
  }

  /** Fails what is open. An error costs microseconds to make, so it is made only for somebody who waits. */
  endLife(error: () => Error): void {
    const signals = [...this.#signals.values()];
    this.#signals.clear();
    for (const later of [...this.#laters]) later.fail(error());
    for (const abort of signals) abort.abort();
    this.#life?.abort();
  }

  #isGivenUp(reply: ReplyTo): boolean {
    return this.#givenUp.size > 0 && reply !== NO_REPLY && this.#givenUp.has(keyOf(reply));
  }
}

/** An ask of this thread is a number; one from elsewhere has a text, made only where askers are remembered. */
function keyOf(reply: ReplyTo): number | string {
  return typeof reply === 'number' ? reply : refKey(reply as RefId);
}

function sameReply(a: ReplyTo, b: ReplyTo): boolean {
  if (typeof a === 'number' || typeof b === 'number') return a === b;
  return sameId(a as RefId, b as RefId);
}
