// One call at work: what came, what it has asked the broker, and how it is answered. Handlers see nothing else
// of the session. Everything happens inside the session's inputs; nothing here waits.
import { GrpcStatus } from '../../../env/grpc.ts';
import { assert } from '../../../std/assert.ts';
import type { Client } from './clients.ts';
import type { RocketLimits } from './limits.ts';
import type { AnswerTo, BrokerAsk, BrokerNotice, BrokerPicture } from './ports.ts';
import { type Encodable, encodeMessage, type Rows } from './proto/index.ts';
import { OK, type Refusal, statusOf } from './refusal.ts';
import { METHODS, type Method } from './schema/methods.ts';

/** When an input came: one clock to measure with, one to write down. */
export interface Instant {
  readonly monotonicMs: number;
  readonly wallMs: number;
}

/** What is known of a call from its headers and its connection. */
export interface CallContext {
  /** '' if the client did not say. */
  readonly clientId: string;
  readonly authority: string;
  readonly local: { readonly host: string; readonly port: number };
  readonly deadlineMs: number;
}

/** What an exchange needs of its session. */
export interface ExchangeHome {
  readonly picture: BrokerPicture;
  readonly limits: RocketLimits;
  /** Of all nodes of the cluster: receipt handles are checked with it. */
  readonly handleKey: Uint8Array;
  unpack(bytes: Uint8Array, bytesMax: number): Uint8Array | undefined;
  /** The MD5 digest in upper-case hex, the form in which clients compare it. Needs no `this`. */
  readonly md5Hex: (bytes: Uint8Array) => string;
  /** A number that grows by one with each call, to spread messages with. */
  nextTurn(): number;
  /** The client of this call, made known now if it was not. */
  client(clientId: string, now: Instant): Client;
  forgetClient(clientId: string): void;
  send(call: number, message: Uint8Array): void;
  finish(call: number, status: number, text: string): void;
  ask(exchange: Exchange, ask: Unnumbered): number;
  tell(notice: BrokerNotice): void;
}

/** What a handler gives back: a refusal, which is then the whole answer, or nothing. */
export type Handled = Refusal | undefined;

type OmitToken<A> = A extends BrokerAsk ? Omit<A, 'token'> : never;
/** An ask that has no token yet. */
export type Unnumbered = OmitToken<BrokerAsk>;

interface Pending {
  readonly kind: BrokerAsk['kind'];
  then(answer: never): Handled;
  /** Instead of `then`, when the call is over. */
  late(answer: never): void;
}

export class Exchange {
  readonly call: number;
  readonly context: CallContext;
  readonly home: ExchangeHome;
  readonly #method: Method;
  readonly #pending = new Map<number, Pending>();
  /** When the input came that is worked on. */
  now: Instant;
  isOver = false;

  constructor(
    home: ExchangeHome,
    call: number,
    method: Method,
    context: CallContext,
    now: Instant,
  ) {
    this.home = home;
    this.call = call;
    this.#method = method;
    this.context = context;
    this.now = now;
  }

  /** How long the broker may take for an answer that the client still hears. */
  get timeoutMs(): number {
    const { answerMs, brokerTimeoutMs } = this.home.limits;
    const leftMs = this.context.deadlineMs - this.now.monotonicMs - answerMs;
    return Math.max(1, Math.min(brokerTimeoutMs, Math.floor(leftMs)));
  }

  /** Asks the broker. The answer of a call that is over goes to `late`. */
  ask<A extends Unnumbered>(
    ask: A,
    then: (answer: AnswerTo<A['kind']>) => Handled,
    late: (answer: AnswerTo<A['kind']>) => void = () => undefined,
  ): void {
    const token = this.home.ask(this, ask);
    this.#pending.set(token, { kind: ask.kind, then, late });
  }

  answered(token: number, answer: AnswerTo<BrokerAsk['kind']>, now: Instant): void {
    const pending = this.#pending.get(token);
    assert(pending?.kind === answer.kind, 'Exchange: an answer is to what was asked');
    this.#pending.delete(token);
    this.now = now;
    if (this.isOver) pending.late(answer as never);
    else this.handled(pending.then(answer as never));
  }

  handled(refusal: Handled): void {
    if (refusal !== undefined) this.refuse(refusal);
  }

  get isIdle(): boolean {
    return this.isOver && this.#pending.size === 0;
  }

  /** The client is gone: receives that wait for it need not. */
  cancelled(): void {
    this.isOver = true;
    for (const [token, { kind }] of this.#pending) {
      if (kind === 'receive') this.home.tell({ kind: 'abandon', token });
    }
  }

  /** One message of the answer. */
  send(response: Encodable<Rows>): void {
    if (!this.isOver) this.home.send(this.call, encodeMessage(this.#method.response, response));
  }

  /** The last message of the answer. */
  reply(response: Encodable<Rows>): void {
    this.send(response);
    this.end();
  }

  done(): void {
    this.reply({ status: OK });
  }

  /** The answer of every call has a status. A refusal is a whole answer; the call itself went well. */
  refuse(refusal: Refusal): void {
    this.reply({ status: statusOf(refusal) });
  }

  end(): void {
    this.#finish(GrpcStatus.OK, '');
  }

  /** The call itself cannot go on. */
  fail(status: number, text: string): void {
    this.#finish(status, text);
  }

  get isTelemetry(): boolean {
    return this.#method === METHODS.telemetry;
  }

  #finish(status: number, text: string): void {
    if (this.isOver) return;
    this.isOver = true;
    this.home.finish(this.call, status, text);
  }
}
