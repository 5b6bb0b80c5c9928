// The actor by which an application asks a durable one: an actor of the application's system that sends on what it
// is asked, and answers when the log has answered.
import { type Actor, actor } from '../actor.ts';
import type { OpEntry, Ops } from '../protocol.ts';
import type { DurableActor } from './event-sourced.ts';

/** Resolves with the reply, rejects with what fails the ask. May throw. */
export type SendAsk = (op: OpEntry, input: unknown) => Promise<unknown>;

export function frontOf<O extends Ops>(kind: DurableActor<O>, send: SendAsk): Actor<O, undefined> {
  return actor<O, undefined>(kind.protocol, (ctx) => {
    const handlers: Record<string, (input: unknown) => unknown> = {};
    for (const op of kind.protocol.table) {
      handlers[op.name] = (input) => {
        const later = ctx.later<unknown>();
        // What throws fails this ask alone: a handler that throws would end those that wait beside it.
        const answer = async (): Promise<unknown> => send(op, input);
        answer().then(
          (reply) => later.ok(reply),
          (error: Error) => later.fail(error),
        );
        return later;
      };
    }
    return handlers as never;
  });
}
