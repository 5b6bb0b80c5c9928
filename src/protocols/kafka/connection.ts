// One client connection: an actor that reads frames, works on requests and sends the answers in their
// order. Produces are worked on while others wait for their commit; any other request waits until all
// before it are answered. Runs on the thread that owns the socket. All work happens in its own turns;
// socket events only take bytes in and wake it up.
//
// Tokens: below TOKENS_OF_AWAITS the actor's own wake-ups, then one per log that is waited for, then
// deadlines, then those of exchanges. An answer to an exchange that has ended is dropped, and its slices
// given back.
import type { Actor, AnyRef, Context, Handlers, Input } from '../../actors/index.ts';
import { actor } from '../../actors/index.ts';
import {
  type FetchedInput,
  HostCalls,
  type HostOp,
  type HostRef,
  type LogHostOps,
  type LogRepliesOps,
  LogRepliesProtocol,
} from '../../broker/ports.ts';
import type { Connection } from '../../env/environment.ts';
import { CONNECTION_SUPERVISION } from '../listening/books.ts';
import { type Api, ApiVersions, KafkaCodecError, Produce } from './codec/index.ts';
import { KafkaErrorCode } from './errors.ts';
import { Exchange, type ExchangeHost, type Flow } from './exchange.ts';
import { HANDLERS } from './handlers/table.ts';
import type { KafkaListener } from './listener.ts';
import { Output } from './output.ts';
import { FrameReader, frameKey, type SessionFault } from './session.ts';
import { API_KEYS, isServed } from './versions.ts';

const WAKE = 1;
const ROOM = 2;
const HANDSHAKE = 3;
const IDLE = 4;
const LINGER = 5;
const GIVE_UP = 6;
const TOKENS_OF_AWAITS = 1_000;
const TOKENS_OF_DEADLINES = 500_000_000;
/** Deadlines are told apart by their exchange's number modulo this. */
const DEADLINE_NUMBERS = 100_000_000;
const TOKENS_OF_EXCHANGES = 1_000_000_000;
/** How long a closed connection may take to send what is queued. */
const LINGER_MS = 500;
/** How long the actor of a closed connection waits for reads that it asked for. */
const GIVE_UP_MS = 30_000;
/** More indexes than any one exchange uses: every partition of a request has one. */
const TOKENS_PER_EXCHANGE = 1_000_000;
/** Produces of one connection that may wait for their commit, and bytes of their frames. */
const PIPELINE_MAX = 16;
const PIPELINE_BYTES_MAX = 8 * 1024 * 1024;

/** An exchange between its request and the moment its answer leaves. */
interface Working {
  readonly exchange: Exchange<Api>;
  isFinished: boolean;
  /** Undefined when the request asked for no answer. */
  answer: unknown;
}

export interface ConnectionArgs {
  readonly listener: KafkaListener;
  readonly connection: Connection;
  readonly dialledHost: string;
  readonly remoteHost: string;
}

class KafkaConnection implements Handlers<LogRepliesOps>, ExchangeHost {
  readonly dialledHost: string;
  readonly dialledPort: number;
  readonly remoteHost: string;
  readonly output: Output;
  readonly #ctx: Context<LogRepliesOps>;
  readonly #listener: KafkaListener;
  readonly #connection: Connection;
  readonly #frames: FrameReader;
  readonly #hosts: HostCalls;
  /** Logs that will tell when they have more, and who does. */
  readonly #awaited = new Map<number, HostRef>();
  /** Every log that was ever waited for, by the index in its token, and the other way round. */
  readonly #awaitedLogs: number[] = [];
  readonly #awaitIndex = new Map<number, number>();
  /** In the order of their requests; the first has the number #firstNumber. */
  #working: Working[] = [];
  #firstNumber = 0;
  #exchangeCount = 0;
  /** Sizes of the frames at work, and what the listener was told that is held. */
  #workingBytes = 0;
  #accountedBytes = 0;
  #isWakeSent = false;
  #isReadingPaused = false;
  #isClosed = false;
  #isGone = false;
  #isBusy = false;
  /** Reads that log hosts have not answered. */
  #readsOutstanding = 0;
  #lastActiveMs: number;

  constructor(ctx: Context<LogRepliesOps>, args: ConnectionArgs) {
    const { listener, connection } = args;
    this.#ctx = ctx;
    this.#listener = listener;
    this.#connection = connection;
    this.dialledHost = args.dialledHost;
    this.dialledPort = connection.local.port;
    this.remoteHost = args.remoteHost;
    this.#frames = new FrameReader(listener.limits.frames, listener.framePool);
    this.output = new Output(connection, listener.slabs, () => this.#wake());
    this.#lastActiveMs = ctx.clock.monotonicMs();
    this.#hosts = new HostCalls(ctx, () => ctx.self.tell('advanced', { token: ROOM }));
    ctx.onSignal((signal) => {
      if (signal.type === 'terminated') this.#hostEnded(signal.ref);
      if (signal.type !== 'stopping') return;
      this.#ended();
      connection.destroy();
    });
    ctx.schedule('handshake', listener.limits.handshakeTimeoutMs, 'advanced', { token: HANDSHAKE });
    ctx.schedule('idle', listener.limits.idleTimeoutMs, 'advanced', { token: IDLE });
    connection.start({
      onBytes: (view) => this.#received(view),
      onDrain: () => this.#wake(),
      onClose: () => this.#gone(),
    });
  }

  // ---- Socket events ------------------------------------------------------------------------------

  #received(view: Uint8Array): void {
    if (this.#isClosed) return;
    this.#frames.receive(view);
    if (!this.#account()) {
      this.#close('all clients together have sent more than is kept', 'warn');
      return;
    }
    const isFull =
      this.#frames.frameCount > 0 &&
      this.#frames.bufferedBytes > this.#listener.limits.readAheadBytesMax;
    if (isFull && !this.#isReadingPaused) {
      this.#isReadingPaused = true;
      this.#connection.pauseReading();
    }
    this.#wake();
  }

  /** Tells the listener what this connection holds of requests; false if that is too much. */
  #account(): boolean {
    const heldBytes = this.#isClosed ? 0 : this.#frames.heldBytes + this.#workingBytes;
    const delta = heldBytes - this.#accountedBytes;
    this.#accountedBytes = heldBytes;
    return this.#listener.books.hold(delta);
  }

  #wake(): void {
    if (this.#isWakeSent || this.#isClosed) return;
    this.#isWakeSent = true;
    this.#ctx.self.tell('advanced', { token: WAKE });
  }

  // ---- Messages -----------------------------------------------------------------------------------

  advanced(input: { readonly token: number }): void {
    const { token } = input;
    if (token >= TOKENS_OF_DEADLINES) {
      this.#expired(token - TOKENS_OF_DEADLINES);
    } else if (token >= TOKENS_OF_AWAITS) {
      const logId = this.#awaitedLogs[token - TOKENS_OF_AWAITS];
      if (logId === undefined) return;
      this.#awaited.delete(logId);
      this.#working[0]?.exchange.flow?.advanced?.(logId, input);
    } else if (token === ROOM) {
      this.#retryHosts();
    } else if (token === WAKE) {
      this.#isWakeSent = false;
      this.#pump();
    } else if (token === HANDSHAKE) {
      if (this.#frames.isSilent) this.#close('no request within the handshake time', 'info');
    } else if (token === IDLE) {
      this.#checkIdle();
    } else if (token === LINGER) {
      this.#connection.destroy();
    } else if (token === GIVE_UP) {
      this.#ctx.stop();
    }
  }

  appended(input: Parameters<NonNullable<Flow['appended']>>[1]): void {
    const exchange = this.#exchangeOf(input.token);
    exchange?.flow?.appended?.(input.token - exchange.token(0), input);
  }

  fetched(input: FetchedInput): void {
    this.#readsOutstanding -= 1;
    const exchange = this.#exchangeOf(input.token);
    const flow = exchange?.flow;
    if (exchange === undefined || flow?.fetched === undefined) input.release();
    else flow.fetched(input.token - exchange.token(0), input);
    if (this.#isGone) this.#stopWhenIdle();
  }

  answered(input: Parameters<NonNullable<Flow['answered']>>[1]): void {
    const exchange = this.#exchangeOf(input.token);
    exchange?.flow?.answered?.(input.token - exchange.token(0), input);
  }

  located(input: Parameters<NonNullable<Flow['located']>>[1]): void {
    const exchange = this.#exchangeOf(input.token);
    exchange?.flow?.located?.(input.token - exchange.token(0), input);
  }

  /** The exchange that a token belongs to, or undefined for one that has ended. */
  #exchangeOf(token: number): Exchange<Api> | undefined {
    const number = Math.floor((token - TOKENS_OF_EXCHANGES) / TOKENS_PER_EXCHANGE);
    const working = this.#working[number - this.#firstNumber];
    return working === undefined || working.isFinished ? undefined : working.exchange;
  }

  // ---- Hosts that have no room, or end -------------------------------------------------------------

  #retryHosts(): void {
    const isWanted = (token: number) =>
      token < TOKENS_OF_EXCHANGES || this.#exchangeOf(token) !== undefined;
    for (const token of this.#hosts.retry(isWanted)) {
      if (token < TOKENS_OF_EXCHANGES) {
        // The log that was to be waited for: a look at it now tells what has become of it.
        this.advanced({ token });
      } else {
        const exchange = this.#exchangeOf(token);
        exchange?.flow?.refused?.(token - exchange.token(0));
      }
    }
  }

  /** Whoever waits for an answer from there is told at once; the client may try again. */
  #hostEnded(ref: AnyRef): void {
    const host = this.#hosts.ended(ref);
    if (host === undefined || this.#isClosed) return;
    for (const [logId, awaited] of this.#awaited) {
      if (awaited === host) this.#awaited.delete(logId);
    }
    this.#retryHosts();
    for (const working of [...this.#working]) {
      if (!working.isFinished) working.exchange.flow?.hostLost?.(host);
    }
  }

  #expired(shortNumber: number): void {
    const first = this.#firstNumber % DEADLINE_NUMBERS;
    const working = this.#working[(shortNumber - first + DEADLINE_NUMBERS) % DEADLINE_NUMBERS];
    if (working !== undefined && !working.isFinished) working.exchange.flow?.expired?.();
  }

  #checkIdle(): void {
    const { idleTimeoutMs } = this.#listener.limits;
    const idleMs = this.#ctx.clock.monotonicMs() - this.#lastActiveMs;
    const isIdle = this.#working.length === 0;
    if (isIdle && idleMs >= idleTimeoutMs) {
      this.#close('idle', 'debug');
      return;
    }
    const againMs = Math.max(1, idleTimeoutMs - idleMs);
    const delayMs = isIdle ? againMs : idleTimeoutMs;
    this.#ctx.schedule('idle', delayMs, 'advanced', { token: IDLE });
  }

  // ---- Requests -----------------------------------------------------------------------------------

  /** Works on requests until one has to wait, the peer reads too slowly, or there are none. */
  #pump(): void {
    if (this.#isBusy) return;
    this.#isBusy = true;
    while (!this.#isClosed && !this.#isCongested && this.#mayOpen()) {
      const frame = this.#frames.next();
      if (frame === undefined) break;
      this.#lastActiveMs = this.#ctx.clock.monotonicMs();
      this.#open(frame);
    }
    this.#isBusy = false;
    this.#account();
    if (this.#isClosed) return;
    const { fault } = this.#frames;
    if (fault !== undefined && this.#frames.frameCount === 0) this.#refuse(fault);
    else if (this.#isReadingPaused && this.#frames.frameCount === 0) {
      this.#isReadingPaused = false;
      this.#connection.resumeReading();
    }
  }

  /** Anything may follow nothing; produces may follow produces. */
  #mayOpen(): boolean {
    const last = this.#working[this.#working.length - 1];
    if (last === undefined) return true;
    const frame = this.#frames.peek();
    return (
      frame !== undefined &&
      frameKey(frame) === Produce.key &&
      last.exchange.api === Produce &&
      this.#working.length < PIPELINE_MAX &&
      this.#workingBytes + frame.length <= PIPELINE_BYTES_MAX
    );
  }

  get #isCongested(): boolean {
    const { unsentBytesMax } = this.#listener.limits;
    return this.output.slabsInFlight > 2 || this.#connection.queuedBytes > unsentBytesMax;
  }

  #open(frame: Uint8Array): void {
    const { codec } = this.#listener;
    try {
      const header = codec.readRequestHeader(frame, 0, frame.length);
      const { version, correlationId } = header;
      const apiKey = header.kind === 'request' ? header.api.key : header.apiKey;
      if (!isServed(apiKey, version)) {
        this.#unsupported(apiKey, version, correlationId);
        return;
      }
      if (header.kind === 'unsupported') throw new RangeError(`no schema for served key ${apiKey}`);
      const { api, bodyAt } = header;
      const body = codec.decodeRequest(api, version, frame, bodyAt, frame.length);
      const clientId = header.clientId ?? '';
      this.#listener.counters.requests += 1;
      const request = { version, correlationId, clientId, body, frame };
      const exchange = new Exchange<Api>(this, api, request);
      this.#exchangeCount += 1;
      this.#working.push({ exchange, isFinished: false, answer: undefined });
      this.#workingBytes += frame.length;
      HANDLERS.get(api.key)!(exchange);
    } catch (error) {
      if (!(error instanceof KafkaCodecError)) throw error;
      this.#close(`a malformed request: ${error.message}`, 'warn');
    }
  }

  /**
   * Kafka closes on a version that it does not know, for every key but one: an ApiVersions of the future
   * is answered in version 0 with what is served, so that the client can try again lower (KIP-511).
   */
  #unsupported(apiKey: number, version: number, correlationId: number): void {
    if (apiKey !== ApiVersions.key) {
      this.#close(`request of key ${apiKey} in version ${version} is not served`, 'info');
      return;
    }
    const body = { errorCode: KafkaErrorCode.UNSUPPORTED_VERSION, apiKeys: API_KEYS };
    this.#send(ApiVersions, 0, correlationId, body);
  }

  #send(api: Api, version: number, correlationId: number, body: unknown): void {
    const { codec } = this.#listener;
    this.output.append((writer) => {
      codec.encodeResponse(api, version, correlationId, body as never, writer);
    });
    this.#listener.books.markDirty(this.output);
  }

  // ---- What exchanges use -------------------------------------------------------------------------

  get ports() {
    return this.#listener.ports;
  }

  get limits() {
    return this.#listener.limits;
  }

  get crc32c() {
    return this.#listener.crc32c;
  }

  get unpack() {
    return this.#listener.unpack;
  }

  get log() {
    return this.#ctx.log;
  }

  get replyTo() {
    return this.#ctx.self.id;
  }

  freshId(): string {
    let text = '';
    for (let i = 0; i < 4; i += 1) text += this.#ctx.random.u32().toString(16).padStart(8, '0');
    return text;
  }

  tokenBase(): number {
    return TOKENS_OF_EXCHANGES + this.#exchangeCount * TOKENS_PER_EXCHANGE;
  }

  #numberOf(exchange: Exchange<Api>): number {
    return (exchange.token(0) - TOKENS_OF_EXCHANGES) / TOKENS_PER_EXCHANGE;
  }

  setDeadline(exchange: Exchange<Api>, delayMs: number): void {
    const number = this.#numberOf(exchange);
    const token = TOKENS_OF_DEADLINES + (number % DEADLINE_NUMBERS);
    this.#ctx.schedule(`deadline-${number}`, Math.max(0, delayMs), 'advanced', { token });
  }

  awaitLog(logId: number, offset: number, mayBeReplica: boolean): void {
    if (this.#awaited.has(logId)) return;
    const host = this.ports.logHost(logId);
    if (host === undefined) return;
    let index = this.#awaitIndex.get(logId);
    if (index === undefined) {
      index = this.#awaitedLogs.push(logId) - 1;
      this.#awaitIndex.set(logId, index);
    }
    this.#awaited.set(logId, host);
    const token = TOKENS_OF_AWAITS + index;
    this.ask(host, 'await', { logId, offset, mayBeReplica, token, replyTo: this.replyTo });
  }

  ask<K extends HostOp>(host: HostRef, op: K, input: Input<LogHostOps[K]>): void {
    this.#hosts.send(host, op, input);
  }

  countRead(): void {
    this.#readsOutstanding += 1;
  }

  uncountRead(): void {
    this.#readsOutstanding -= 1;
  }

  finish(exchange: Exchange<Api>, answer: unknown): void {
    const number = this.#numberOf(exchange);
    const working = this.#working[number - this.#firstNumber];
    if (this.#isClosed || working?.exchange !== exchange) return;
    working.isFinished = true;
    working.answer = answer;
    this.#ctx.cancel(`deadline-${number}`);
    this.#answerInOrder();
  }

  recycle(exchange: Exchange<Api>): void {
    this.#listener.framePool.give(exchange.frame);
  }

  fail(reason: string): void {
    this.#close(reason, 'info');
  }

  /** Sends what is answered up to the first that is not. */
  #answerInOrder(): void {
    let count = 0;
    for (const { exchange, isFinished, answer } of this.#working) {
      if (!isFinished) break;
      count += 1;
      this.#workingBytes -= exchange.frame.length;
      if (answer === undefined) continue;
      this.#send(exchange.api, exchange.version, exchange.correlationId, answer);
    }
    if (count === 0) return;
    this.#working.splice(0, count);
    this.#firstNumber += count;
    this.#lastActiveMs = this.#ctx.clock.monotonicMs();
    // Unless the loop of requests is running, the next one starts in a turn of its own.
    if (!this.#isBusy) this.#wake();
  }

  // ---- The end ------------------------------------------------------------------------------------

  #refuse(fault: SessionFault): void {
    if (fault.kind === 'wrong-protocol') {
      this.#listener.tellForeign(fault.seen, this.remoteHost);
      this.#close(`${fault.seen} on the Kafka port`, 'debug');
    } else {
      this.#close(fault.reason, 'warn');
    }
  }

  #close(reason: string, level: 'debug' | 'info' | 'warn'): void {
    if (this.#isClosed) return;
    this.log[level]('Kafka connection closed', { remote: this.remoteHost, reason });
    // What was answered before still leaves; a peer that does not read it is not waited for long.
    this.output.flush();
    this.#ended();
    this.#connection.end();
    this.#ctx.schedule('linger', LINGER_MS, 'advanced', { token: LINGER });
  }

  /** The socket is gone. Slices that are still on their way must find somebody to give them back. */
  #gone(): void {
    this.#isGone = true;
    this.#ended();
    this.#ctx.schedule('give-up', GIVE_UP_MS, 'advanced', { token: GIVE_UP });
    this.#stopWhenIdle();
  }

  #stopWhenIdle(): void {
    if (this.#readsOutstanding <= 0) this.#ctx.stop();
  }

  #ended(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    for (const { exchange, isFinished } of this.#working) {
      if (isFinished) continue;
      exchange.isDone = true;
      exchange.flow?.abandoned?.();
    }
    this.#firstNumber += this.#working.length;
    this.#working = [];
    this.#workingBytes = 0;
    this.#ctx.cancel('idle');
    this.#ctx.cancel('handshake');
    this.#hosts.close();
    this.output.close();
    this.#account();
    this.#listener.forget(this.#connection, this.remoteHost);
  }
}

/** Replies of every partition of a large request may be in the mailbox at once. */
const MAILBOX_CAPACITY = 262_144;

export const KafkaConnectionActor: Actor<LogRepliesOps, ConnectionArgs> = actor(
  LogRepliesProtocol,
  (ctx, args: ConnectionArgs): Handlers<LogRepliesOps> => new KafkaConnection(ctx, args),
  {
    mailbox: { capacity: MAILBOX_CAPACITY, overflow: 'reject' },
    supervision: CONNECTION_SUPERVISION,
  },
);
