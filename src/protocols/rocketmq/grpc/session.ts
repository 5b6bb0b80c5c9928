// The gRPC family's session: calls and the broker's answers in, answers and asks out. Pure: no socket, no clock,
// no promise; every input says when it came. One session serves all connections of a listener, because a
// client is known by its id and not by its connection.
import { GrpcStatus } from '../../../env/grpc.ts';
import { assert } from '../../../std/assert.ts';
import { type Client, Clients } from './clients.ts';
import {
  type CallContext,
  Exchange,
  type ExchangeHome,
  type Instant,
  type Unnumbered,
} from './exchange.ts';
import { handlerOf } from './handlers/table.ts';
import { ROCKET_LIMITS, type RocketLimits } from './limits.ts';
import { md5Hex } from './md5.ts';
import type { BrokerAnswer, BrokerAsk, BrokerNotice, BrokerPicture } from './ports.ts';
import { decodeMessage, ProtoError } from './proto/index.ts';
import { HANDLE_KEY_BYTES } from './receipt-handle.ts';
import type { Method } from './schema/methods.ts';

/** Where the session's outputs go, in order. Calls and tokens are numbers that the session does not reuse. */
export interface SessionOutputs {
  send(call: number, message: Uint8Array): void;
  finish(call: number, status: number, text: string): void;
  /** For `call`, which may be over when the answer comes. */
  ask(ask: BrokerAsk, call: number): void;
  tell(notice: BrokerNotice): void;
}

export interface SessionParts {
  readonly picture: BrokerPicture;
  readonly outputs: SessionOutputs;
  /** 16 bytes that all nodes of the cluster share. */
  readonly handleKey: Uint8Array;
  readonly limits?: Partial<RocketLimits>;
  /** As `Environment.unpack` with gzip. */
  readonly unpack?: (bytes: Uint8Array, bytesMax: number) => Uint8Array | undefined;
  /** The machine's own, if it has one. */
  readonly md5Hex?: ((bytes: Uint8Array) => string) | undefined;
}

export class RocketSession implements ExchangeHome {
  readonly picture: BrokerPicture;
  readonly limits: RocketLimits;
  readonly handleKey: Uint8Array;
  readonly unpack: ExchangeHome['unpack'];
  readonly md5Hex: ExchangeHome['md5Hex'];
  readonly #outputs: SessionOutputs;
  readonly #clients: Clients;
  readonly #methods = new Map<number, Method>();
  /** Calls that are open, or wait for an answer though they are not. */
  readonly #exchanges = new Map<number, Exchange>();
  readonly #asked = new Map<number, Exchange>();
  #tokens = 0;
  #turns = 0;

  constructor(parts: SessionParts) {
    assert(parts.handleKey.length === HANDLE_KEY_BYTES, 'RocketSession: the key has 16 bytes');
    this.picture = parts.picture;
    this.handleKey = parts.handleKey;
    this.limits = { ...ROCKET_LIMITS, ...parts.limits };
    this.unpack = parts.unpack ?? (() => undefined);
    this.md5Hex = parts.md5Hex ?? md5Hex;
    this.#outputs = parts.outputs;
    this.#clients = new Clients(this.limits, ({ id, group }) =>
      this.tell({ kind: 'client-gone', clientId: id, group }),
    );
  }

  /** Clients that are known, and calls that are open or wait. */
  get counts(): { readonly clients: number; readonly exchanges: number; readonly asked: number } {
    const { size } = this.#exchanges;
    return { clients: this.#clients.size, exchanges: size, asked: this.#asked.size };
  }

  // ---- Inputs -----------------------------------------------------------------------------------

  open(call: number, method: Method, context: CallContext, now: Instant): void {
    this.#methods.set(call, method);
    this.#exchanges.set(call, new Exchange(this, call, method, context, now));
  }

  /** A whole message of an open call. Its bytes are the session's. */
  message(call: number, bytes: Uint8Array, now: Instant): void {
    const exchange = this.#exchanges.get(call);
    const method = this.#methods.get(call);
    if (exchange === undefined || method === undefined || exchange.isOver) return;
    exchange.now = now;
    let request: unknown;
    try {
      request = decodeMessage(method.request, bytes);
    } catch (error) {
      if (!(error instanceof ProtoError)) throw error;
      exchange.fail(GrpcStatus.INTERNAL, `the request is malformed: ${error.message}`);
      this.#settle(exchange);
      return;
    }
    exchange.handled(handlerOf(method)(exchange, request as never));
    this.#settle(exchange);
  }

  /** The client sends nothing more on a telemetry stream: it ends. */
  halfClosed(call: number): void {
    const exchange = this.#exchanges.get(call);
    if (exchange === undefined) return;
    exchange.end();
    this.#settle(exchange);
  }

  /** The call is over without an answer. */
  cancelled(call: number): void {
    const exchange = this.#exchanges.get(call);
    if (exchange === undefined) return;
    exchange.cancelled();
    this.#settle(exchange);
  }

  answered(token: number, answer: BrokerAnswer, now: Instant): void {
    const exchange = this.#asked.get(token);
    assert(exchange !== undefined, 'RocketSession: an answer is to what was asked, once');
    this.#asked.delete(token);
    exchange.answered(token, answer, now);
    this.#settle(exchange);
  }

  /** Looks for silent clients; a few times a minute is enough. */
  sweep(now: Instant): void {
    this.#clients.sweep(now.monotonicMs);
  }

  // ---- What exchanges use -------------------------------------------------------------------------

  nextTurn(): number {
    this.#turns = (this.#turns + 1) % 0x7fff_ffff;
    return this.#turns;
  }

  client(clientId: string, now: Instant): Client {
    return this.#clients.heard(clientId, now.monotonicMs);
  }

  forgetClient(clientId: string): void {
    this.#clients.forget(clientId);
  }

  send(call: number, message: Uint8Array): void {
    this.#outputs.send(call, message);
  }

  finish(call: number, status: number, text: string): void {
    this.#outputs.finish(call, status, text);
  }

  ask(exchange: Exchange, ask: Unnumbered): number {
    this.#tokens += 1;
    const token = this.#tokens;
    this.#asked.set(token, exchange);
    this.#outputs.ask({ ...ask, token } as BrokerAsk, exchange.call);
    return token;
  }

  tell(notice: BrokerNotice): void {
    this.#outputs.tell(notice);
  }

  /** Forgets a call that is over and waits for nothing. */
  #settle(exchange: Exchange): void {
    if (!exchange.isOver) return;
    const { call, context } = exchange;
    if (exchange.isTelemetry) this.#clients.streamClosed(context.clientId, call);
    if (!exchange.isIdle) return;
    this.#exchanges.delete(call);
    this.#methods.delete(call);
  }
}
