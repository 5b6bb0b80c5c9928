// The actor by which an application asks a durable one: an actor of the application's system that sends on what it
// is asked, and answers when the log has answered.
import { type Actor, actor } from '../actor.ts';
import type { OpEntry, Ops } from '../protocol.ts';
import type { DurableActor } from './event-sourced.ts';

/** Resolves with the reply, rejects with what fails the ask. May throw. */
export type SendAsk = (op: OpEntry, input: unknown) => Promise<unknown>;

/** The end of a front whose durable actor is no more: not before what it has taken is answered. */
export class FrontLife {
  #open = 0;
  #isOver = false;
  #stop: (() => void) | undefined;

  begin(stop: () => void): void {
    this.#stop = stop;
    this.#look();
  }

  taken(): void {
    this.#open += 1;
  }

  answered(): void {
    this.#open -= 1;
    this.#look();
  }

  end(): void {
    this.#isOver = true;
    this.#look();
  }

  #look(): void {
    if (this.#isOver && this.#open === 0) this.#stop?.();
  }
}

export function frontOf<O extends Ops>(
  kind: DurableActor<O>,
  send: SendAsk,
  life = new FrontLife(),
): Actor<O, undefined> {
  return actor<O, undefined>(kind.protocol, (ctx) => {
    life.begin(() => ctx.stop());
    const handlers: Record<string, (input: unknown) => unknown> = {};
    for (const op of kind.protocol.table) {
      handlers[op.name] = (input) => {
        const later = ctx.later<unknown>();
        life.taken();
        // What throws fails this ask alone: a handler that throws would end those that wait beside it.
        const answer = async (): Promise<unknown> => send(op, input);
        answer()
          .then(
            (reply) => later.ok(reply),
            (error: Error) => later.fail(error),
          )
          .then(() => life.answered());
        return later;
      };
    }
    return handlers as never;
  });
}
