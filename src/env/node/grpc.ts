// gRPC connections over node:http2, on sockets that `Net` has accepted here or that another thread has handed
// over. Everything that has to happen in time (handshakes, requests, idleness, pings, deadlines) is looked
// at by one sweep a second, and by none while there is no connection.
import {
  type IncomingHttpHeaders,
  performServerHandshake,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from 'node:http2';
import type { Socket } from 'node:net';
import type { Address, Cancel, Clock, Connection, Listener, Log, Timers } from '../environment.ts';
import {
  GRPC_LIMITS,
  type GrpcCounters,
  type GrpcLimits,
  type GrpcListener,
  type GrpcServer,
  type GrpcService,
  GrpcStatus,
  noGrpcCounts,
} from '../grpc.ts';
import { type CallHome, NodeGrpcCall } from './grpc-call.ts';
import { isGrpcContent, timeoutMsOf } from './grpc-headers.ts';
import { Visitor } from './grpc-preface.ts';
import type { NodeNet } from './net.ts';

const SWEEP_MS = 1000;
/** From GOAWAY to the end of the connection. */
const GOODBYE_MS = 1000;
/** Room for a whole usual message without waiting for the client to hear of it. */
const STREAM_WINDOW_BYTES = 256 * 1024;
const CONNECTION_WINDOW_BYTES = 4 * 1024 * 1024;

export interface GrpcServerParts {
  readonly net: NodeNet;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly log: Log;
}

export function createGrpcServer(parts: GrpcServerParts): GrpcServer {
  return {
    serve: (service, limits) => new NodeGrpcListener(parts, service, limits),
    async listen(at, service, limits) {
      const calls = new NodeGrpcListener(parts, service, limits);
      const port = await parts.net.listen(at, (connection) => calls.accept(connection));
      return new ListenerWithPort(calls, port);
    },
  };
}

class ListenerWithPort implements GrpcListener, Listener {
  readonly #calls: GrpcListener;
  readonly #port: Listener;

  constructor(calls: GrpcListener, port: Listener) {
    this.#calls = calls;
    this.#port = port;
  }

  get counters(): Readonly<GrpcCounters> {
    return this.#calls.counters;
  }

  get address(): Address {
    return this.#port.address;
  }

  accept(connection: Connection): void {
    this.#calls.accept(connection);
  }

  close(): void {
    this.#port.close();
    this.#calls.close();
  }
}

class NodeGrpcListener implements GrpcListener {
  readonly parts: GrpcServerParts;
  readonly service: GrpcService;
  readonly limits: GrpcLimits;
  readonly counters: GrpcCounters = noGrpcCounts();
  readonly #open = new Set<GrpcConnection>();
  /** Those who have not said yet what they speak. */
  readonly #visitors = new Set<Visitor>();
  readonly #perAddress = new Map<string, number>();
  #cancelSweep: Cancel | undefined;
  #isClosed = false;

  constructor(parts: GrpcServerParts, service: GrpcService, limits: Partial<GrpcLimits> = {}) {
    this.parts = parts;
    this.service = service;
    this.limits = { ...GRPC_LIMITS, ...limits };
  }

  accept(connection: Connection): void {
    const { host } = connection.remote;
    const count = this.#perAddress.get(host) ?? 0;
    const { connectionsMax, connectionsPerAddressMax } = this.limits;
    if (
      this.#isClosed ||
      this.counters.connectionsOpen >= connectionsMax ||
      count >= connectionsPerAddressMax
    ) {
      this.counters.connectionsRefused += 1;
      connection.destroy();
      return;
    }
    this.counters.connectionsAccepted += 1;
    this.counters.connectionsOpen += 1;
    this.#perAddress.set(host, count + 1);
    this.#visit(connection);
    this.#sweepLater();
  }

  #visit(connection: Connection): void {
    const nowMs = this.parts.clock.monotonicMs();
    const visitor = new Visitor(connection, nowMs, {
      onHttp2: (read) => {
        this.#visitors.delete(visitor);
        if (this.#isClosed) connection.destroy();
        else this.#open.add(new GrpcConnection(this, connection, read));
      },
      onForeign: (head) => {
        this.counters.handshakesFailed += 1;
        this.service.foreign?.(head, connection.remote);
      },
      onClose: () => {
        this.#visitors.delete(visitor);
        this.#left(connection.remote.host);
      },
    });
    this.#visitors.add(visitor);
  }

  gone(connection: GrpcConnection): void {
    if (this.#open.delete(connection)) this.#left(connection.remote.host);
  }

  #left(host: string): void {
    this.counters.connectionsOpen -= 1;
    const count = (this.#perAddress.get(host) ?? 1) - 1;
    if (count > 0) this.#perAddress.set(host, count);
    else this.#perAddress.delete(host);
  }

  close(): void {
    this.#isClosed = true;
    this.#cancelSweep?.();
    this.#cancelSweep = undefined;
    for (const visitor of [...this.#visitors]) visitor.sayGoodbye();
    for (const connection of [...this.#open]) connection.sayGoodbye();
  }

  #sweepLater(): void {
    if (this.#cancelSweep !== undefined || this.#isClosed) return;
    const { clock, timers } = this.parts;
    this.#cancelSweep = timers.at(clock.monotonicMs() + SWEEP_MS, () => {
      this.#cancelSweep = undefined;
      const nowMs = clock.monotonicMs();
      for (const connection of [...this.#open]) connection.sweep(nowMs);
      const { handshakeTimeoutMs } = this.limits;
      for (const visitor of [...this.#visitors]) visitor.sweep(nowMs, handshakeTimeoutMs);
      if (this.counters.connectionsOpen > 0) this.#sweepLater();
    });
  }
}

class GrpcConnection implements CallHome {
  readonly local: Address;
  readonly remote: Address;
  readonly #listener: NodeGrpcListener;
  readonly #socket: Socket;
  readonly #session: ServerHttp2Session;
  readonly #calls = new Set<NodeGrpcCall>();
  readonly #openedAtMs: number;
  #idleSinceMs: number;
  #pingedAtMs: number;
  #isPinging = false;
  #isReady = false;
  #isLeaving = false;
  #unsentBytes = 0;
  readonly #now = (): number => this.#listener.parts.clock.monotonicMs();

  constructor(listener: NodeGrpcListener, connection: Connection, read: Uint8Array) {
    const { limits, parts } = listener;
    this.#listener = listener;
    this.local = connection.local;
    this.remote = connection.remote;
    this.#openedAtMs = this.#now();
    this.#idleSinceMs = this.#openedAtMs;
    this.#pingedAtMs = this.#openedAtMs;
    const socket = parts.net.detach(connection, read);
    const session = performServerHandshake(socket, {
      settings: {
        maxConcurrentStreams: limits.callsPerConnectionMax,
        maxHeaderListSize: limits.headerBytesMax,
        initialWindowSize: STREAM_WINDOW_BYTES,
        enablePush: false,
      },
    });
    this.#socket = socket;
    this.#session = session;
    session.on('stream', (stream, headers) => this.#stream(stream, headers));
    session.on('remoteSettings', () => {
      this.#isReady = true;
    });
    session.on('error', (error: Error) => this.#failed(error));
    session.on('close', () => this.#closed());
    session.setLocalWindowSize(CONNECTION_WINDOW_BYTES);
    // Sockets of our listeners are half-open ones; in HTTP/2 who says goodbye reads nothing more.
    socket.on('end', () => this.#destroy());
    // The session takes what was read before in the next tick. Started earlier, the socket would lose it;
    // and nobody else starts it.
    process.nextTick(() => socket.resume());
  }

  // ---- What calls use ---------------------------------------------------------------------------

  get limits(): GrpcLimits {
    return this.#listener.limits;
  }

  open(call: NodeGrpcCall) {
    this.#listener.counters.callsOpened += 1;
    return this.#listener.service.open(call);
  }

  hold(delta: number): boolean {
    const { counters, limits } = this.#listener;
    counters.heldBytes += delta;
    return delta <= 0 || counters.heldBytes <= limits.heldBytesMax;
  }

  unsent(delta: number): void {
    this.#unsentBytes += delta;
  }

  refused(): void {
    this.#listener.counters.callsRefused += 1;
  }

  closed(call: NodeGrpcCall): void {
    if (!this.#calls.delete(call)) return;
    this.#listener.counters.callsOpen -= 1;
    if (this.#calls.size === 0) this.#idleSinceMs = this.#now();
  }

  // ---- Streams ----------------------------------------------------------------------------------

  #stream(stream: ServerHttp2Stream, headers: IncomingHttpHeaders): void {
    const path = headers[':path'];
    const contentType = headers['content-type'];
    if (headers[':method'] !== 'POST' || path === undefined || !isGrpcContent(contentType)) {
      const status = headers[':method'] === 'POST' ? 415 : 405;
      this.refused();
      stream.on('error', () => undefined);
      stream.respond({ ':status': status }, { endStream: true });
      return;
    }
    const kind = this.#listener.service.kindOf(path);
    const timeoutMs = timeoutMsOf(headers['grpc-timeout'] as string | undefined);
    const call = new NodeGrpcCall(this, stream, headers, {
      path,
      kind: kind ?? 'unary',
      deadlineMs: this.#now() + (timeoutMs ?? Number.POSITIVE_INFINITY),
      now: this.#now,
    });
    this.#calls.add(call);
    this.#listener.counters.callsOpen += 1;
    const refuse = (status: number, text: string): void => {
      stream.on('error', () => undefined);
      stream.on('close', () => this.closed(call));
      // Resuming without a reader drops what the client still sends.
      stream.resume();
      call.fail(status, text);
    };
    if (kind === undefined) refuse(GrpcStatus.UNIMPLEMENTED, `there is no call ${path}`);
    else if (timeoutMs === undefined) {
      refuse(GrpcStatus.INTERNAL, 'grpc-timeout is no timeout');
    } else if (this.#isLeaving) {
      refuse(GrpcStatus.UNAVAILABLE, 'this connection is ending');
    } else if (this.#unsentBytes > this.limits.unsentBytesMax) {
      refuse(GrpcStatus.RESOURCE_EXHAUSTED, 'too many answers on this connection are not read');
    } else call.start();
  }

  // ---- Time and the end ---------------------------------------------------------------------------

  sweep(nowMs: number): void {
    const { limits } = this;
    if (!this.#isReady && nowMs - this.#openedAtMs >= limits.handshakeTimeoutMs) {
      this.#listener.counters.handshakesFailed += 1;
      this.#destroy();
      return;
    }
    for (const call of [...this.#calls]) this.#sweepCall(call, nowMs);
    if (this.#calls.size === 0 && nowMs - this.#idleSinceMs >= limits.idleTimeoutMs) {
      this.sayGoodbye();
      return;
    }
    this.#sweepPing(nowMs);
  }

  #sweepCall(call: NodeGrpcCall, nowMs: number): void {
    const { requestTimeoutMs, lingerTimeoutMs } = this.limits;
    if (nowMs - call.finishedAtMs >= lingerTimeoutMs) call.reset();
    else if (nowMs >= call.deadlineMs) {
      call.fail(GrpcStatus.DEADLINE_EXCEEDED, 'the deadline of the call has passed');
    } else if (!call.isOpened && nowMs - call.openedAtMs >= requestTimeoutMs) {
      call.fail(GrpcStatus.DEADLINE_EXCEEDED, `no whole request in ${requestTimeoutMs} ms`);
    }
  }

  #sweepPing(nowMs: number): void {
    const { pingIntervalMs, pingTimeoutMs } = this.limits;
    if (this.#isPinging) {
      if (nowMs - this.#pingedAtMs >= pingTimeoutMs) this.#destroy();
    } else if (this.#isReady && nowMs - this.#pingedAtMs >= pingIntervalMs) {
      this.#pingedAtMs = nowMs;
      this.#isPinging = this.#session.ping(() => {
        this.#isPinging = false;
      });
    }
  }

  /**
   * GOAWAY, every call UNAVAILABLE, and a moment for both to leave. A standing stream asked for nothing that
   * could fail: it ends with OK. (The error of one would end the process of rocketmq-client-nodejs, which
   * listens no more once it has said goodbye itself.)
   */
  sayGoodbye(): void {
    if (this.#isLeaving) return;
    this.#isLeaving = true;
    for (const call of [...this.#calls]) {
      if (call.kind === 'bidi') call.fail(GrpcStatus.OK, '');
      else call.fail(GrpcStatus.UNAVAILABLE, 'the listener ends');
    }
    this.#session.close();
    const { clock, timers } = this.#listener.parts;
    const cancel = timers.at(clock.monotonicMs() + GOODBYE_MS, () => this.#destroy());
    this.#session.once('close', cancel);
  }

  /** At once: a session that was closed politely would wait for the peer's goodbye. */
  #destroy(): void {
    this.#session.destroy();
    this.#socket.destroy();
  }

  #failed(error: Error): void {
    if (this.#isReady) return;
    this.#listener.counters.handshakesFailed += 1;
    this.#listener.parts.log.warn('not HTTP/2 was spoken to a gRPC port', {
      remote: this.remote.host,
      reason: error.message,
    });
  }

  #closed(): void {
    this.#listener.gone(this);
  }
}
