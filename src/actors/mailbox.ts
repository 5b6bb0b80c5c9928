// The user lane of one actor: a bounded first-in first-out ring of (op, input, reply), three places of one
// array for each message, so that a message costs no object and an actor that never had many has a small
// array. Grows by doubling up to its capacity. The system lane is not here: nothing bounded may ever drop
// what travels in it.
import type { Mailbox } from './actor.ts';
import type { OpEntry } from './protocol.ts';

/** 0: nobody waits. A number: an ask of this thread. An object: an ask from elsewhere. */
export type ReplyTo = number | object;
export const NO_REPLY = 0;

export const DEFAULT_MAILBOX: Mailbox = { capacity: 1024, overflow: 'reject' };
const MESSAGES_MIN = 4;
/** Places of a message: op, input, reply. */
const PLACES = 3;

export class UserLane {
  capacity: number;
  /** From how many on a message is not just put in: the capacity, or less while the next one is to be noticed. */
  limit: number;
  /** The message taken last; empty them when it is done so that nothing is kept alive. */
  op: OpEntry | undefined;
  input: unknown;
  reply: ReplyTo = NO_REPLY;
  count = 0;
  /** In messages. */
  #head = 0;
  #mask = MESSAGES_MIN - 1;
  #places: unknown[] = NO_PLACES;

  constructor(capacity: number) {
    this.capacity = capacity;
    this.limit = capacity;
  }

  /** Before it has had a message. */
  shrink(capacity: number): void {
    this.capacity = capacity;
    this.limit = Math.min(this.limit, capacity);
  }

  get isFull(): boolean {
    return this.count >= this.capacity;
  }

  push(op: OpEntry, input: unknown, reply: ReplyTo): void {
    if (this.count > this.#mask || this.#places === NO_PLACES) this.#grow();
    this.#put((this.#head + this.count) & this.#mask, op, input, reply);
  }

  /** Puts a message in front; used by unstash only, which may pass the capacity. */
  unshift(op: OpEntry, input: unknown, reply: ReplyTo): void {
    if (this.count > this.#mask || this.#places === NO_PLACES) this.#grow();
    this.#head = (this.#head - 1) & this.#mask;
    this.#put(this.#head, op, input, reply);
  }

  #put(message: number, op: OpEntry, input: unknown, reply: ReplyTo): void {
    const at = message * PLACES;
    const places = this.#places;
    places[at] = op;
    places[at + 1] = input;
    places[at + 2] = reply;
    this.count += 1;
  }

  /** Moves the oldest message into `op`, `input` and `reply`; false when there is none. */
  take(): boolean {
    if (this.count === 0) return false;
    const at = this.#head * PLACES;
    const places = this.#places;
    this.op = places[at] as OpEntry;
    this.input = places[at + 1];
    this.reply = places[at + 2] as ReplyTo;
    places[at] = undefined;
    places[at + 1] = undefined;
    places[at + 2] = undefined;
    this.#head = (this.#head + 1) & this.#mask;
    this.count -= 1;
    return true;
  }

  /** Whose asks wait, the oldest first. */
  replies(): ReplyTo[] {
    const at = (message: number) => ((this.#head + message) & this.#mask) * PLACES + 2;
    return Array.from({ length: this.count }, (_, i) => this.#places[at(i)] as ReplyTo);
  }

  clearTaken(): void {
    this.op = undefined;
    this.input = undefined;
    this.reply = NO_REPLY;
  }

  /** The first array, or one of twice the size. */
  #grow(): void {
    const old = this.#places;
    const size = old === NO_PLACES ? MESSAGES_MIN : 2 * (this.#mask + 1);
    const places = new Array<unknown>(size * PLACES).fill(undefined);
    for (let i = 0; i < this.count; i += 1) {
      const from = ((this.#head + i) & this.#mask) * PLACES;
      for (let place = 0; place < PLACES; place += 1)
        places[i * PLACES + place] = old[from + place];
    }
    this.#places = places;
    this.#head = 0;
    this.#mask = size - 1;
  }
}

/** Shared by lanes that never had a message; nothing is ever written into it. */
const NO_PLACES: unknown[] = [];
