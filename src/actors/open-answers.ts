// What an actor owes: the answers that it gives later, and which of its askers have given up, as handlers
// see it in `ctx.cancelled` and `Later.isCancelled`. Made for the first of them: most actors answer at
// once. Invariant: bounded by the asks that wait or are worked on; an asker that gave up is forgotten.
import { ActorError } from './errors.ts';
import type { Answers } from './later.ts';
import { LaterReply } from './later.ts';
import type { ReplyTo } from './mailbox.ts';
import { NO_REPLY } from './mailbox.ts';
import type { OpEntry } from './protocol.ts';
import type { RefId } from './ref.ts';
import { sameId } from './ref.ts';

export class OpenAnswers {
  readonly #answers: Answers;
  readonly #laters = new Set<LaterReply<unknown>>();
  /** Of the asks whose handlers looked. */
  readonly #signals: { readonly reply: ReplyTo; readonly abort: AbortController }[] = [];
  /** Given up while they waited in the mailbox or the stash. */
  #givenUp: ReplyTo[] = [];

  constructor(answers: Answers) {
    this.#answers = answers;
  }

  get laterCount(): number {
    return this.#laters.size;
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
    if (this.#isGivenUp(reply)) later.isCancelled = true;
    else if (!later.isSettled) this.#laters.add(later);
    later.bind(op, reply);
  }

  /** The signal of the ask `reply`; of a tell, one that only the end of the actor's life aborts. */
  signalOf(reply: ReplyTo): AbortSignal {
    const known = this.#signals.find((each) => sameReply(each.reply, reply));
    if (known !== undefined) return known.abort.signal;
    const abort = new AbortController();
    if (this.#isGivenUp(reply)) abort.abort();
    this.#signals.push({ reply, abort });
    return abort.signal;
  }

  /** The asker gave up. `waitingMax`: how many messages wait, of which it may be one. */
  giveUp(reply: ReplyTo, waitingMax: number): void {
    let isKnown = false;
    for (const later of this.#laters) {
      if (later.replyTo === undefined || !sameReply(later.replyTo, reply)) continue;
      later.isCancelled = true;
      isKnown = true;
      // Who is never answered must not be kept for it.
      this.#laters.delete(later);
    }
    for (const each of this.#signals) {
      if (!sameReply(each.reply, reply)) continue;
      each.abort.abort();
      isKnown = true;
    }
    if (!isKnown && this.#givenUp.length < waitingMax) this.#givenUp.push(reply);
  }

  /** Nobody works on it any more. */
  settled(reply: ReplyTo): void {
    if (reply === NO_REPLY) return;
    const at = this.#signals.findIndex((each) => sameReply(each.reply, reply));
    if (at >= 0) this.#signals.splice(at, 1);
  }

  /** The mailbox is empty: nobody is left that gave up while it waited. */
  noneWaits(): void {
    if (this.#givenUp.length > 0) this.#givenUp = [];
  }

  /** Fails what is open. An error costs microseconds to make, so it is made only for somebody who waits. */
  endLife(error: () => Error): void {
    for (const later of [...this.#laters]) later.fail(error());
    for (const { abort } of this.#signals.splice(0)) abort.abort();
  }

  #isGivenUp(reply: ReplyTo): boolean {
    return reply !== NO_REPLY && this.#givenUp.some((each) => sameReply(each, reply));
  }
}

function sameReply(a: ReplyTo, b: ReplyTo): boolean {
  if (typeof a === 'number' || typeof b === 'number') return a === b;
  return sameId(a as RefId, b as RefId);
}
