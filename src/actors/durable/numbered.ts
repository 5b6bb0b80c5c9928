// Commands that are numbered, so that one whose answer was lost may be sent again to whoever leads then: it is
// decided once. Here are their bytes, and what is remembered of those who send them. Pure.
//
//   u16 0xffff | client | life | number | previous | settledBelow, varints | u16 opcode | input
//
// Numbers of a client grow. `previous` is the number before it that has no answer yet, 0 without one: who has not
// seen that one must not decide this one. Below `settledBelow` the client waits for nothing any more.
import type { ByteReader, ByteWriter } from '../../std/bytes.ts';

/** In the place of an opcode. */
export const NUMBERED = 0xffff;
/** Part of the format: every replica forgets the same client at the same frame. */
const CLIENTS_MAX = 1_024;
/** A client has fewer without an answer. */
const ANSWERS_MAX = 128;

export interface CommandNumber {
  readonly clientId: number;
  /** Grows with every start of the client. */
  readonly life: number;
  readonly number: number;
  readonly previous: number;
  readonly settledBelow: number;
}

/** Behind the mark. */
export function readNumber(read: ByteReader): CommandNumber {
  const clientId = read.varU53();
  const life = read.varU53();
  const number = read.varU53();
  const previous = read.varU53();
  return { clientId, life, number, previous, settledBelow: read.varU53() };
}

export interface RememberedClient {
  life: number;
  /** The highest number that was decided. */
  last: number;
  settledBelow: number;
  /** By number, in order. */
  readonly answers: Map<number, Uint8Array>;
}

export type Answers = readonly (readonly [number, Uint8Array])[];

/** Bounded: the client that was silent for longest is forgotten, and the oldest answers of each. */
export class RememberedClients {
  readonly #clients = new Map<number, RememberedClient>();

  get count(): number {
    return this.#clients.size;
  }

  /** What is known of this very life. */
  ofLife({ clientId, life }: CommandNumber): RememberedClient | undefined {
    const client = this.#clients.get(clientId);
    return client?.life === life ? client : undefined;
  }

  lifeOf(clientId: number): number {
    return this.#clients.get(clientId)?.life ?? 0;
  }

  remember(from: Omit<CommandNumber, 'previous'>, answers: Answers): void {
    const { clientId, life, number, settledBelow } = from;
    let client = this.#clients.get(clientId);
    if (client === undefined || client.life !== life) {
      client = { life, last: 0, settledBelow: 0, answers: new Map() };
    }
    // Behind all others again.
    this.#clients.delete(clientId);
    this.#clients.set(clientId, client);
    client.last = Math.max(client.last, number);
    client.settledBelow = Math.max(client.settledBelow, settledBelow);
    for (const [of, answer] of answers) client.answers.set(of, answer);
    for (const of of client.answers.keys()) {
      if (of >= client.settledBelow && client.answers.size <= ANSWERS_MAX) break;
      client.answers.delete(of);
    }
    if (this.#clients.size <= CLIENTS_MAX) return;
    for (const silent of this.#clients.keys()) {
      this.#clients.delete(silent);
      return;
    }
  }

  put(out: ByteWriter): void {
    out.varU53(this.#clients.size);
    for (const [clientId, { life, last, settledBelow, answers }] of this.#clients) {
      out.varU53(clientId);
      putAnswers(out, { life, number: last, settledBelow }, [...answers]);
    }
  }

  static get(from: ByteReader): RememberedClients {
    const clients = new RememberedClients();
    const count = from.varU53();
    for (let i = 0; i < count; i += 1) {
      const clientId = from.varU53();
      const { answers, ...rest } = readAnswers(from);
      clients.remember({ clientId, ...rest }, answers);
    }
    return clients;
  }
}

type OfClient = Omit<CommandNumber, 'previous' | 'clientId'>;

export function putAnswers(out: ByteWriter, of: OfClient, answers: Answers): void {
  out.varU53(of.life);
  out.varU53(of.number);
  out.varU53(of.settledBelow);
  out.varU53(answers.length);
  for (const [number, answer] of answers) {
    out.varU53(number);
    out.sized(answer);
  }
}

export function readAnswers(from: ByteReader): OfClient & { readonly answers: Answers } {
  const life = from.varU53();
  const number = from.varU53();
  const settledBelow = from.varU53();
  const count = from.varU53();
  const answers: [number, Uint8Array][] = [];
  for (let i = 0; i < count; i += 1) answers.push([from.varU53(), from.sized().slice()]);
  return { life, number, settledBelow, answers };
}
