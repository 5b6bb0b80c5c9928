// Messages put aside for another behaviour, in their order. Not here: which messages, and when they are handled.
// Invariant: the message that is being handled stays until its handler is done, so that what fails is taken out
// as what it is, and not delivered again, whatever the handler did with the others.
import type { ReplyTo, UserLane } from './mailbox.ts';
import type { OpEntry } from './protocol.ts';

interface Aside {
  readonly op: OpEntry;
  readonly input: unknown;
  readonly reply: ReplyTo;
}

export class Stash {
  readonly #waiting: Aside[] = [];
  #present: Aside | undefined;
  #isWantedBack = false;

  get count(): number {
    return this.#waiting.length;
  }

  replies(): ReplyTo[] {
    return this.#waiting.map(({ reply }) => reply);
  }

  /** The message that is being handled is in here. */
  get hasPresent(): boolean {
    return this.#present !== undefined;
  }

  /** Puts the message aside that is being handled; false if it is there already, or there are `max`. */
  take(op: OpEntry, input: unknown, reply: ReplyTo, max: number): boolean {
    if (this.#present !== undefined || this.#waiting.length >= max) return false;
    this.#present = { op, input, reply };
    this.#waiting.push(this.#present);
    return true;
  }

  /** The handler of the present message failed: it is not kept. Answers its input. */
  dropPresent(): unknown {
    const present = this.#present;
    if (present === undefined) return undefined;
    const at = this.#waiting.indexOf(present);
    if (at >= 0) this.#waiting.splice(at, 1);
    return present.input;
  }

  /** The handler of the present message is done. True if the messages were wanted back meanwhile. */
  release(): boolean {
    const isWantedBack = this.#isWantedBack;
    this.#present = undefined;
    this.#isWantedBack = false;
    return isWantedBack;
  }

  /** Puts all of them in front of `lane`. False while the present one is among them: `release` says when. */
  putBack(lane: UserLane): boolean {
    if (this.#present !== undefined) {
      this.#isWantedBack = true;
      return false;
    }
    for (let each = this.#waiting.pop(); each !== undefined; each = this.#waiting.pop()) {
      lane.unshift(each.op, each.input, each.reply);
    }
    return true;
  }
}
