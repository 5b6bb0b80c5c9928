// An answer that is given after the handler returned, without a promise. Invariant: an ask is answered
// at most once, and an open one fails when its actor ends or restarts.
import type { Later } from './actor.ts';
import type { ReplyTo } from './mailbox.ts';
import type { OpEntry } from './protocol.ts';

/** Where answers go: the runtime side of a cell. */
export interface Answers {
  answer(op: OpEntry, to: ReplyTo, value: unknown): void;
  failAnswer(to: ReplyTo, error: Error): void;
}

export class LaterReply<R> implements Later<R> {
  isCancelled = false;
  readonly #answers: Answers;
  readonly #onSettled: (later: LaterReply<unknown>) => void;
  #op: OpEntry | undefined;
  #to: ReplyTo | undefined;
  #outcome: { readonly value: R } | { readonly error: Error } | undefined;

  constructor(answers: Answers, onSettled: (later: LaterReply<unknown>) => void) {
    this.#answers = answers;
    this.#onSettled = onSettled;
  }

  get replyTo(): ReplyTo | undefined {
    return this.#to;
  }

  get isSettled(): boolean {
    return this.#outcome !== undefined;
  }

  ok(reply: R): void {
    this.#settle({ value: reply });
  }

  fail(error: Error): void {
    this.#settle({ error });
  }

  /** The runtime's side: the handler returned this, so it answers the ask that is at `to`. */
  bind(op: OpEntry, to: ReplyTo): void {
    this.#op = op;
    this.#to = to;
    this.#send();
  }

  #settle(outcome: { readonly value: R } | { readonly error: Error }): void {
    if (this.#outcome !== undefined) return;
    this.#outcome = outcome;
    this.#send();
  }

  #send(): void {
    if (this.#outcome === undefined || this.#op === undefined || this.#to === undefined) return;
    this.#onSettled(this as LaterReply<unknown>);
    if ('error' in this.#outcome) this.#answers.failAnswer(this.#to, this.#outcome.error);
    else this.#answers.answer(this.#op, this.#to, this.#outcome.value);
  }
}

export function isPromise(value: unknown): value is PromiseLike<unknown> {
  if (value instanceof Promise) return true;
  // A promise of another realm (a test runner's) is no instance of ours.
  if (typeof value !== 'object' || value === null) return false;
  return typeof (value as { readonly then?: unknown }).then === 'function';
}
