// A `GrpcServer` for simulated nodes: the same calls, limits and deadlines as in env/node, over connections of the
// simulated network, with frames of its own instead of HTTP/2. What cannot happen here (compressed messages,
// windows of single calls, broken framing) is tested with the real one.
// Invariant: after `finish`, or after onCancelled, the owner of a call hears nothing.
import type { Address, Cancel, Connection, Environment, Listener } from '../../env/environment.ts';
import {
  GRPC_LIMITS,
  type GrpcCall,
  type GrpcCallEvents,
  type GrpcCallKind,
  type GrpcCounters,
  type GrpcLimits,
  type GrpcListener,
  type GrpcServer,
  type GrpcService,
  GrpcStatus,
} from '../../env/grpc.ts';
import {
  type CallHeaders,
  endFrame,
  FrameKind,
  frameOf,
  GrpcFrameReader,
  headerBytes,
  headersOf,
} from './grpc-frames.ts';

const SWEEP_MS = 1_000;
/** From the goodbye to the end of the connection. */
const GOODBYE_MS = 1_000;

type Env = Pick<Environment, 'net' | 'clock' | 'timers'>;

export function simGrpcServer(env: Env): GrpcServer {
  return {
    serve: (service, limits) => new SimGrpcListener(env, service, limits),
    async listen(at, service, limits) {
      const calls = new SimGrpcListener(env, service, limits);
      calls.port = await env.net.listen(at, (connection) => calls.accept(connection));
      return calls;
    },
  };
}

class SimGrpcListener implements GrpcListener, Listener {
  readonly env: Env;
  readonly service: GrpcService;
  readonly limits: GrpcLimits;
  port: Listener | undefined;
  readonly counters: GrpcCounters = {
    connectionsAccepted: 0,
    connectionsOpen: 0,
    connectionsRefused: 0,
    handshakesFailed: 0,
    callsOpened: 0,
    callsOpen: 0,
    callsRefused: 0,
    heldBytes: 0,
  };
  readonly #open = new Set<GrpcConnection>();
  #cancelSweep: Cancel | undefined;
  #isClosed = false;

  constructor(env: Env, service: GrpcService, limits: Partial<GrpcLimits> = {}) {
    this.env = env;
    this.service = service;
    this.limits = { ...GRPC_LIMITS, ...limits };
  }

  get address(): Address {
    return this.port?.address ?? { host: '', port: 0 };
  }

  accept(connection: Connection): void {
    const { host } = connection.remote;
    const ofHost = [...this.#open].filter(({ remote }) => remote.host === host).length;
    const { connectionsMax, connectionsPerAddressMax } = this.limits;
    if (this.#isClosed || this.#open.size >= connectionsMax || ofHost >= connectionsPerAddressMax) {
      this.counters.connectionsRefused += 1;
      connection.destroy();
      return;
    }
    this.counters.connectionsAccepted += 1;
    this.counters.connectionsOpen += 1;
    this.#open.add(new GrpcConnection(this, connection));
    this.#sweepLater();
  }

  gone(connection: GrpcConnection): void {
    if (this.#open.delete(connection)) this.counters.connectionsOpen -= 1;
  }

  close(): void {
    this.#isClosed = true;
    this.port?.close();
    this.#cancelSweep?.();
    this.#cancelSweep = undefined;
    for (const connection of [...this.#open]) connection.sayGoodbye();
  }

  get nowMs(): number {
    return this.env.clock.monotonicMs();
  }

  #sweepLater(): void {
    if (this.#cancelSweep !== undefined || this.#isClosed) return;
    this.#cancelSweep = this.env.timers.at(this.nowMs + SWEEP_MS, () => {
      this.#cancelSweep = undefined;
      for (const connection of [...this.#open]) connection.sweep(this.nowMs);
      if (this.#open.size > 0) this.#sweepLater();
    });
  }
}

class GrpcConnection {
  readonly listener: SimGrpcListener;
  readonly #connection: Connection;
  readonly #reader: GrpcFrameReader;
  readonly #calls = new Map<number, ServerCall>();
  readonly #openedMs: number;
  #heldBytes = 0;
  #idleSinceMs: number;
  #pingedMs: number;
  #isPinging = false;
  #isReady = false;
  #isLeaving = false;

  constructor(listener: SimGrpcListener, connection: Connection) {
    this.listener = listener;
    this.#connection = connection;
    this.#openedMs = listener.nowMs;
    this.#idleSinceMs = this.#openedMs;
    this.#pingedMs = this.#openedMs;
    this.#reader = new GrpcFrameReader({
      wants: (kind, call, size) => this.#wants(kind, call, size),
      frame: (kind, call, body) => this.#frame(kind, call, body),
    });
    connection.start({
      onBytes: (view) => {
        this.#reader.receive(view);
        this.#hold();
      },
      onDrain: () => {
        for (const call of [...this.#calls.values()]) call.drained();
      },
      onClose: () => this.#closed(),
    });
  }

  get local(): Address {
    return this.#connection.local;
  }

  get remote(): Address {
    return this.#connection.remote;
  }

  get queuedBytes(): number {
    return this.#connection.queuedBytes;
  }

  write(frame: Uint8Array, done?: () => void): void {
    this.#connection.write(frame, done);
  }

  closed(call: ServerCall): void {
    if (!this.#calls.delete(call.number)) return;
    this.listener.counters.callsOpen -= 1;
    if (this.#calls.size === 0) this.#idleSinceMs = this.listener.nowMs;
  }

  // ---- What comes ---------------------------------------------------------------------------------

  #wants(kind: number, number: number, size: number): boolean {
    const { messageBytesMax } = this.listener.limits;
    if (kind !== FrameKind.message || size <= messageBytesMax) return true;
    const text = `a message has ${size} bytes; up to ${messageBytesMax} are taken`;
    this.#calls.get(number)?.fail(GrpcStatus.RESOURCE_EXHAUSTED, text);
    return false;
  }

  /** Requests that are not whole, of all connections. */
  #hold(): void {
    let heldBytes = this.#reader.heldBytes;
    for (const call of this.#calls.values()) heldBytes += call.heldBytes;
    const { counters, limits } = this.listener;
    counters.heldBytes += heldBytes - this.#heldBytes;
    this.#heldBytes = heldBytes;
    if (counters.heldBytes <= limits.heldBytesMax) return;
    for (const call of [...this.#calls.values()]) {
      if (call.isOpened) continue;
      call.fail(GrpcStatus.RESOURCE_EXHAUSTED, 'too many requests are being received');
    }
  }

  #frame(kind: number, number: number, body: Uint8Array): void {
    const call = this.#calls.get(number);
    if (kind === FrameKind.hello) this.#isReady = true;
    else if (kind === FrameKind.pong) this.#isPinging = false;
    else if (kind === FrameKind.open) this.#open(number, headersOf(body));
    else if (kind === FrameKind.message) call?.received(body);
    else if (kind === FrameKind.halfClose) call?.halfClosed();
    else if (kind === FrameKind.cancel) call?.cancelled();
  }

  #open(number: number, headers: CallHeaders): void {
    const { service, limits, counters, nowMs } = this.listener;
    const kind = service.kindOf(headers.path);
    const call = new ServerCall(this, number, kind ?? 'unary', headers, nowMs);
    // HTTP/2 refuses such a call without a word of gRPC; clients keep within the limit by themselves.
    const isTooMuch = this.#calls.size >= limits.callsPerConnectionMax;
    this.#calls.set(number, call);
    counters.callsOpen += 1;
    const refuse = (status: number, text: string) => call.fail(status, text);
    if (kind === undefined) {
      refuse(GrpcStatus.UNIMPLEMENTED, `there is no call ${headers.path}`);
    } else if (this.#isLeaving || isTooMuch) {
      refuse(GrpcStatus.UNAVAILABLE, 'this connection takes no more calls');
    } else if (headerBytes(headers) > limits.headerBytesMax) {
      refuse(GrpcStatus.INTERNAL, 'the headers of the call are too large');
    } else if (this.queuedBytes > limits.unsentBytesMax) {
      refuse(GrpcStatus.RESOURCE_EXHAUSTED, 'too many answers on this connection are not read');
    } else if (kind === 'bidi') call.begin();
  }

  // ---- Time and the end -----------------------------------------------------------------------------

  sweep(nowMs: number): void {
    const { limits, counters } = this.listener;
    if (!this.#isReady && nowMs - this.#openedMs >= limits.handshakeTimeoutMs) {
      counters.handshakesFailed += 1;
      this.#connection.destroy();
      return;
    }
    for (const call of [...this.#calls.values()]) call.sweep(nowMs, limits);
    if (this.#calls.size === 0 && nowMs - this.#idleSinceMs >= limits.idleTimeoutMs) {
      this.sayGoodbye();
      return;
    }
    this.#sweepPing(nowMs, limits);
  }

  #sweepPing(nowMs: number, { pingTimeoutMs, pingIntervalMs }: GrpcLimits): void {
    if (this.#isPinging) {
      if (nowMs - this.#pingedMs >= pingTimeoutMs) this.#connection.destroy();
    } else if (this.#isReady && nowMs - this.#pingedMs >= pingIntervalMs) {
      this.#pingedMs = nowMs;
      this.#isPinging = true;
      this.write(frameOf(FrameKind.ping, 0));
    }
  }

  /** Calls end with UNAVAILABLE, standing streams with OK, and both have a moment to leave. */
  sayGoodbye(): void {
    if (this.#isLeaving) return;
    this.#isLeaving = true;
    for (const call of [...this.#calls.values()]) {
      if (call.kind === 'bidi') call.fail(GrpcStatus.OK, '');
      else call.fail(GrpcStatus.UNAVAILABLE, 'the listener ends');
    }
    this.write(frameOf(FrameKind.goAway, 0));
    const { env, nowMs } = this.listener;
    env.timers.at(nowMs + GOODBYE_MS, () => this.#connection.destroy());
  }

  #closed(): void {
    this.listener.counters.heldBytes -= this.#heldBytes;
    this.#heldBytes = 0;
    this.listener.gone(this);
    for (const call of [...this.#calls.values()]) call.cancelled();
  }
}

class ServerCall implements GrpcCall {
  readonly number: number;
  readonly kind: GrpcCallKind;
  readonly deadlineMs: number;
  readonly #connection: GrpcConnection;
  readonly #headers: CallHeaders;
  readonly #openedMs: number;
  #finishedMs = Number.POSITIVE_INFINITY;
  #events: GrpcCallEvents | undefined;
  #request: Uint8Array | undefined;
  /** Of a unary call: it leaves together with its end. */
  #answer: Uint8Array | undefined;
  #isOver = false;
  #isBacklogged = false;

  constructor(
    connection: GrpcConnection,
    number: number,
    kind: GrpcCallKind,
    headers: CallHeaders,
    nowMs: number,
  ) {
    this.#connection = connection;
    this.number = number;
    this.kind = kind;
    this.#headers = headers;
    this.#openedMs = nowMs;
    this.deadlineMs = nowMs + headers.timeoutMs;
  }

  get path(): string {
    return this.#headers.path;
  }

  get authority(): string {
    return this.#headers.authority;
  }

  get local(): Address {
    return this.#connection.local;
  }

  get remote(): Address {
    return this.#connection.remote;
  }

  get queuedBytes(): number {
    return this.#connection.queuedBytes;
  }

  get heldBytes(): number {
    return this.#request?.length ?? 0;
  }

  get isOpened(): boolean {
    return this.#events !== undefined;
  }

  metadata(name: string): string | undefined {
    return this.#headers.metadata.get(name);
  }

  send(message: Uint8Array): void {
    if (this.#isOver) return;
    if (this.kind === 'unary') this.#answer = message;
    else {
      this.#connection.write(frameOf(FrameKind.message, this.number, message));
      this.#isBacklogged = true;
    }
  }

  finish(status: number, text: string): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#finishedMs = this.#connection.listener.nowMs;
    this.#request = undefined;
    const answer = status === GrpcStatus.OK ? this.#answer : undefined;
    if (answer !== undefined) {
      this.#connection.write(frameOf(FrameKind.message, this.number, answer));
    }
    const end = endFrame(this.number, status, text);
    this.#connection.write(end, () => this.#connection.closed(this));
  }

  /** Ends the call for a reason that is the transport's: the owner, if there is one, is told. */
  fail(status: number, text: string): void {
    if (this.#isOver) return;
    this.#connection.listener.counters.callsRefused += 1;
    this.finish(status, text);
    this.#events?.onCancelled();
  }

  /** The client does not wait any more, or the connection is gone. */
  cancelled(): void {
    const wasOver = this.#isOver;
    this.#isOver = true;
    this.#request = undefined;
    this.#connection.closed(this);
    if (!wasOver) this.#events?.onCancelled();
  }

  begin(): void {
    const { listener } = this.#connection;
    listener.counters.callsOpened += 1;
    this.#events = listener.service.open(this);
  }

  received(message: Uint8Array): void {
    if (this.#isOver) return;
    if (this.kind === 'bidi') this.#events?.onMessage(message);
    else if (this.#request === undefined) this.#request = message;
    else this.fail(GrpcStatus.UNIMPLEMENTED, 'the call takes one message, and a second one came');
  }

  halfClosed(): void {
    if (this.#isOver) return;
    const request = this.#request;
    if (this.kind === 'bidi') this.#events?.onHalfClose?.();
    else if (request === undefined) {
      this.fail(GrpcStatus.UNIMPLEMENTED, 'the call takes one message, and none came');
    } else {
      this.#request = undefined;
      this.begin();
      this.#events?.onMessage(request);
    }
  }

  drained(): void {
    if (this.#isOver || !this.#isBacklogged) return;
    this.#isBacklogged = false;
    this.#events?.onDrain?.();
  }

  sweep(nowMs: number, { lingerTimeoutMs, requestTimeoutMs }: GrpcLimits): void {
    if (nowMs - this.#finishedMs >= lingerTimeoutMs) this.#connection.closed(this);
    else if (nowMs >= this.deadlineMs) {
      this.fail(GrpcStatus.DEADLINE_EXCEEDED, 'the deadline of the call has passed');
    } else if (!this.isOpened && nowMs - this.#openedMs >= requestTimeoutMs) {
      this.fail(GrpcStatus.DEADLINE_EXCEEDED, `no whole request in ${requestTimeoutMs} ms`);
    }
  }
}
