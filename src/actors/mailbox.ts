// The user lane of one actor: a bounded first-in first-out ring of (op, input, reply) in three
// parallel columns, so that a message costs no object. Grows from 8 to its capacity by doubling. The
// system lane is not here: nothing bounded may ever drop what travels in it.
import type { Mailbox } from './actor.ts';
import type { OpEntry } from './protocol.ts';

/** 0: nobody waits. A number: an ask of this thread. An object: an ask from elsewhere. */
export type ReplyTo = number | object;
export const NO_REPLY = 0;

export const DEFAULT_MAILBOX: Mailbox = { capacity: 1024, overflow: 'reject' };
const SLOTS_MIN = 8;

export class UserLane {
  readonly capacity: number;
  /** The message taken last; empty them when it is done so that nothing is kept alive. */
  op: OpEntry | undefined;
  input: unknown;
  reply: ReplyTo = NO_REPLY;
  count = 0;
  #head = 0;
  #mask = SLOTS_MIN - 1;
  #ops: (OpEntry | undefined)[] = [];
  #inputs: unknown[] = [];
  #replies: ReplyTo[] = [];

  constructor(capacity: number) {
    this.capacity = capacity;
  }

  get isFull(): boolean {
    return this.count >= this.capacity;
  }

  push(op: OpEntry, input: unknown, reply: ReplyTo): void {
    if (this.count > this.#mask) this.#grow();
    const at = (this.#head + this.count) & this.#mask;
    this.#ops[at] = op;
    this.#inputs[at] = input;
    this.#replies[at] = reply;
    this.count += 1;
  }

  /** Puts a message in front; used by unstash only, which may pass the capacity. */
  unshift(op: OpEntry, input: unknown, reply: ReplyTo): void {
    if (this.count > this.#mask) this.#grow();
    this.#head = (this.#head - 1) & this.#mask;
    this.#ops[this.#head] = op;
    this.#inputs[this.#head] = input;
    this.#replies[this.#head] = reply;
    this.count += 1;
  }

  /** Moves the oldest message into `op`, `input` and `reply`; false when there is none. */
  take(): boolean {
    if (this.count === 0) return false;
    const at = this.#head;
    this.op = this.#ops[at];
    this.input = this.#inputs[at];
    this.reply = this.#replies[at]!;
    this.#ops[at] = undefined;
    this.#inputs[at] = undefined;
    this.#head = (at + 1) & this.#mask;
    this.count -= 1;
    return true;
  }

  clearTaken(): void {
    this.op = undefined;
    this.input = undefined;
    this.reply = NO_REPLY;
  }

  #grow(): void {
    const size = this.#mask + 1;
    const ops: (OpEntry | undefined)[] = [];
    const inputs: unknown[] = [];
    const replies: ReplyTo[] = [];
    for (let i = 0; i < size; i += 1) {
      const at = (this.#head + i) & this.#mask;
      ops.push(this.#ops[at]);
      inputs.push(this.#inputs[at]);
      replies.push(this.#replies[at]!);
    }
    this.#ops = ops;
    this.#inputs = inputs;
    this.#replies = replies;
    this.#head = 0;
    this.#mask = size * 2 - 1;
  }
}
