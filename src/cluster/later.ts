// An ask answered by a promise without holding the mailbox of the actor that answers it.
import type { Context, Later } from '../actors/actor.ts';
import type { Ops } from '../actors/protocol.ts';

export function later<O extends Ops, R>(ctx: Context<O>, work: () => Promise<R>): Later<R> {
  const answer = ctx.later<R>();
  attempt(work).then(
    (value) => answer.ok(value),
    (error: unknown) => answer.fail(error instanceof Error ? error : new Error(String(error))),
  );
  return answer;
}

/** A throw before the first await is a rejection too: it fails the ask, not the actor. */
async function attempt<R>(work: () => Promise<R>): Promise<R> {
  return work();
}
