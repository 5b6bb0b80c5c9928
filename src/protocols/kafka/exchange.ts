// One request at work. A handler reads its body, asks log hosts under tokens of its own and answers once.
// What it waits for comes back through its flow. Answers leave in the order of their requests whatever
// they wait for; only produces may be at work while others before them are.
import type { Input } from '../../actors/protocol.ts';
import type { RefId } from '../../actors/ref.ts';
import type {
  AdvancedInput,
  AnsweredInput,
  AppendedInput,
  BrokerPorts,
  FetchedInput,
  HostOp,
  HostRef,
  LocatedInput,
  LogHostOps,
} from '../../broker/ports.ts';
import type { Log, Unpack } from '../../env/environment.ts';
import type { Crc32c } from '../../std/crc32c.ts';
import type { Api, RequestOf, ResponseInput } from './codec/index.ts';
import type { KafkaLimits } from './limits.ts';

/** Where answers to the tokens of one exchange arrive. An index is what the token was made from. */
export interface Flow {
  appended?(index: number, input: AppendedInput): void;
  fetched?(index: number, input: FetchedInput): void;
  answered?(index: number, input: AnsweredInput): void;
  located?(index: number, input: LocatedInput): void;
  /** The log that was waited for has moved on: a fetch may find more. */
  advanced?(logId: number, input: AdvancedInput): void;
  /** What was asked under this token reached nobody: it has not happened and will not. */
  refused?(index: number): void;
  /** The host has ended: what it was asked and has not answered may have happened, and is never answered. */
  hostLost?(host: HostRef): void;
  /** The time set by `setDeadline` is over. */
  expired?(): void;
  /** The connection ends: give back what is held. Nothing may be answered any more. */
  abandoned?(): void;
}

/** What an exchange needs of its connection. */
export interface ExchangeHost {
  readonly ports: BrokerPorts;
  readonly limits: KafkaLimits;
  readonly crc32c: Crc32c;
  /** Absent where nothing can be unpacked. */
  readonly unpack: Unpack | undefined;
  readonly log: Log;
  /** The host part of the address that the client dialled, and its port. */
  readonly dialledHost: string;
  readonly dialledPort: number;
  readonly remoteHost: string;
  readonly replyTo: RefId;
  /** Six bytes or more of randomness as hex, for member ids. */
  freshId(): string;
  tokenBase(): number;
  setDeadline(exchange: Exchange<Api>, delayMs: number): void;
  /** Asks a log host, under a token of an exchange. Answers come back through its flow. */
  ask<K extends HostOp>(host: HostRef, op: K, input: Input<LogHostOps[K]>): void;
  /** Registers, unless it is, to hear when the committed offset of the log passes `offset`. */
  awaitLog(logId: number, offset: number, mayBeReplica: boolean): void;
  /** A log host was asked to read: its answer holds slices that must be given back. */
  countRead(): void;
  /** That answer will not come. */
  uncountRead(): void;
  /** The exchange has its answer (undefined: it asked for none); it leaves when its turn comes. */
  finish(exchange: Exchange<Api>, body: unknown): void;
  /** Nobody holds a view of the request's frame any more. */
  recycle(exchange: Exchange<Api>): void;
  fail(reason: string): void;
}

export class Exchange<A extends Api> {
  readonly host: ExchangeHost;
  readonly api: A;
  readonly version: number;
  readonly correlationId: number;
  readonly clientId: string;
  readonly body: RequestOf<A>;
  /** Where the request lies. */
  readonly frame: Uint8Array;
  flow: Flow | undefined;
  isDone = false;
  readonly #tokenBase: number;

  constructor(
    host: ExchangeHost,
    api: A,
    request: {
      readonly version: number;
      readonly correlationId: number;
      readonly clientId: string;
      readonly body: RequestOf<A>;
      readonly frame: Uint8Array;
    },
  ) {
    this.host = host;
    this.api = api;
    this.version = request.version;
    this.correlationId = request.correlationId;
    this.clientId = request.clientId;
    this.body = request.body;
    this.frame = request.frame;
    this.#tokenBase = host.tokenBase();
  }

  get ports(): BrokerPorts {
    return this.host.ports;
  }

  token(index: number): number {
    return this.#tokenBase + index;
  }

  respond(body: ResponseInput<A>): void {
    if (this.isDone) return;
    this.isDone = true;
    this.host.finish(this as unknown as Exchange<Api>, body);
  }

  /** Ends the exchange without a response (a produce that asked for none). */
  respondNothing(): void {
    if (this.isDone) return;
    this.isDone = true;
    this.host.finish(this as unknown as Exchange<Api>, undefined);
  }

  /** `expired` of the flow is called after this time unless the exchange has ended. */
  setDeadline(delayMs: number): void {
    this.host.setDeadline(this as unknown as Exchange<Api>, delayMs);
  }

  recycle(): void {
    this.host.recycle(this as unknown as Exchange<Api>);
  }

  /** Closes the connection. */
  fail(reason: string): void {
    this.host.fail(reason);
  }

  /** Brings the result of a promise back, unless the exchange has ended meanwhile. */
  after<T>(work: Promise<T>, then: (value: T) => void): void {
    work.then(
      (value) => {
        if (!this.isDone) then(value);
      },
      (error: unknown) => {
        this.host.log.error('a request failed', { api: this.api.name, error: String(error) });
        if (!this.isDone) this.fail('internal error');
      },
    );
  }
}

export type Handler<A extends Api> = (exchange: Exchange<A>) => void;
