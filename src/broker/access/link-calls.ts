// The questions of one link to its log's leader, and which of them are open. Open ones are chained in the order in
// which they were asked: there are few, they come and go with every message, and a map is made anew every few of those.
import type { AnsweredInput, FetchedInput } from '../../cluster/ports.ts';
import type { QueueAnswer } from '../view/answers.ts';
import type { Call } from './calls.ts';
import type { HostRef } from './host-calls.ts';

/** Who asks. */
export interface Asking {
  heard(call: LinkCall, heard: AnsweredInput | undefined): void;
  fetchedInput(call: LinkCall, input: FetchedInput): void;
}

export class LinkCall implements Call {
  readonly host: HostRef;
  token = 0;
  /** Of a fetch. */
  offset = 0;
  // Of the chain, which alone changes these.
  isOpen = false;
  before: LinkCall | undefined;
  after: LinkCall | undefined;
  readonly #link: Asking;
  readonly #heard: (answer: QueueAnswer | undefined) => void;

  constructor(link: Asking, host: HostRef, heard: (answer: QueueAnswer | undefined) => void) {
    this.#link = link;
    this.host = host;
    this.#heard = heard;
  }

  take(answer: QueueAnswer | undefined): void {
    this.#heard(answer);
  }

  /** Another leader is there: this one is not waited for. */
  abandoned(): void {
    this.#heard(undefined);
  }

  answered(input: AnsweredInput): void {
    this.#link.heard(this, input);
  }

  fetched(input: FetchedInput): void {
    this.#link.fetchedInput(this, input);
  }

  lost(): void {
    this.#link.heard(this, undefined);
  }
}

export class OpenCalls {
  #first: LinkCall | undefined;
  #last: LinkCall | undefined;

  get isEmpty(): boolean {
    return this.#first === undefined;
  }

  add(call: LinkCall): void {
    if (call.isOpen) return;
    call.isOpen = true;
    call.before = this.#last;
    if (this.#last === undefined) this.#first = call;
    else this.#last.after = call;
    this.#last = call;
  }

  delete(call: LinkCall): void {
    if (!call.isOpen) return;
    const { before, after } = call;
    if (before === undefined) this.#first = after;
    else before.after = after;
    if (after === undefined) this.#last = before;
    else after.before = before;
    call.isOpen = false;
    call.before = undefined;
    call.after = undefined;
  }

  /** All of them, in the order in which they were asked. None is open any more. */
  takeAll(): LinkCall[] {
    const all: LinkCall[] = [];
    for (let call = this.#first; call !== undefined; call = this.#first) {
      all.push(call);
      this.delete(call);
    }
    return all;
  }
}
