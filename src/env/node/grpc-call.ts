// One gRPC call over one stream of node:http2. The owner hears of it when its request is whole, of a `bidi`
// call when its headers came; what is wrong before that is answered here.
// Invariants: after `finish`, or after onCancelled, the owner hears nothing; every fault ends this stream and
// leaves the connection alone.
import { constants, type IncomingHttpHeaders, type ServerHttp2Stream } from 'node:http2';
import type { Address } from '../environment.ts';
import {
  type GrpcCall,
  type GrpcCallEvents,
  type GrpcCallKind,
  type GrpcLimits,
  GrpcStatus,
} from '../grpc.ts';
import { percentEncoded } from './grpc-headers.ts';
import { framed, MessageReader } from './grpc-messages.ts';

/** What a call needs of the connection it came on. */
export interface CallHome {
  readonly local: Address;
  readonly remote: Address;
  readonly limits: GrpcLimits;
  open(call: NodeGrpcCall): GrpcCallEvents;
  /** Adds to the bytes of requests that are being received; false if they are too many. */
  hold(delta: number): boolean;
  /** Adds to the answers that the peer has not taken. */
  unsent(delta: number): void;
  refused(): void;
  closed(call: NodeGrpcCall): void;
}

const ANSWER_HEADERS = {
  ':status': 200,
  'content-type': 'application/grpc',
  'grpc-accept-encoding': 'identity,gzip',
};

function headerOf(headers: IncomingHttpHeaders, name: string): string | undefined {
  const value = headers[name];
  return Array.isArray(value) ? value.join(', ') : value;
}

export class NodeGrpcCall implements GrpcCall {
  readonly path: string;
  readonly kind: GrpcCallKind;
  readonly deadlineMs: number;
  /** When the headers came, and when the call was finished here; on the monotonic clock. */
  readonly openedAtMs: number;
  finishedAtMs = Number.POSITIVE_INFINITY;
  readonly #home: CallHome;
  readonly #stream: ServerHttp2Stream;
  readonly #headers: IncomingHttpHeaders;
  readonly #reader: MessageReader;
  readonly #now: () => number;
  #heldBytes = 0;
  /** The request of a call that is not `bidi`, until it is known that nothing follows. */
  #request: Uint8Array | undefined;
  #events: GrpcCallEvents | undefined;
  #isOver = false;
  #hasAnswered = false;
  /** Of a unary call, until it ends. */
  #answer: Uint8Array | undefined;
  #isBacklogged = false;
  #trailers: { readonly [name: string]: string } = {};

  constructor(
    home: CallHome,
    stream: ServerHttp2Stream,
    headers: IncomingHttpHeaders,
    facts: {
      readonly path: string;
      readonly kind: GrpcCallKind;
      readonly deadlineMs: number;
      readonly now: () => number;
    },
  ) {
    this.#home = home;
    this.#stream = stream;
    this.#headers = headers;
    this.path = facts.path;
    this.kind = facts.kind;
    this.deadlineMs = facts.deadlineMs;
    this.#now = facts.now;
    this.openedAtMs = facts.now();
    const encoding = headerOf(headers, 'grpc-encoding') ?? '';
    this.#reader = new MessageReader(encoding, home.limits.messageBytesMax, (message) =>
      this.#received(message),
    );
  }

  get local(): Address {
    return this.#home.local;
  }

  get remote(): Address {
    return this.#home.remote;
  }

  get authority(): string {
    return headerOf(this.#headers, ':authority') ?? headerOf(this.#headers, 'host') ?? '';
  }

  get queuedBytes(): number {
    return this.#stream.writableLength;
  }

  /** False while the request of a call that is not `bidi` is not whole. */
  get isOpened(): boolean {
    return this.#events !== undefined;
  }

  metadata(name: string): string | undefined {
    return headerOf(this.#headers, name);
  }

  start(): void {
    const stream = this.#stream;
    stream.on('error', () => undefined);
    stream.on('close', () => this.#closed());
    stream.on('data', (chunk: Uint8Array) => this.#bytes(chunk));
    stream.on('end', () => this.#ended());
    stream.on('drain', () => this.#drained());
    stream.on('wantTrailers', () => {
      stream.sendTrailers(this.#trailers);
      this.#stopPeer();
    });
    if (this.kind === 'bidi') this.#events = this.#home.open(this);
  }

  send(message: Uint8Array): void {
    if (this.#isOver || this.#stream.destroyed) return;
    const frame = framed(message);
    // The only message of an answer leaves together with its end.
    if (this.kind === 'unary') {
      this.#answer = frame;
      return;
    }
    this.#respond();
    this.#home.unsent(frame.length);
    const isTaken = this.#stream.write(frame, () => this.#home.unsent(-frame.length));
    if (!isTaken) this.#isBacklogged = true;
  }

  finish(status: number, text: string): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.finishedAtMs = this.#now();
    this.#release();
    const stream = this.#stream;
    if (stream.destroyed || stream.closed) return;
    this.#trailers = { 'grpc-status': String(status), 'grpc-message': percentEncoded(text) };
    const answer = status === GrpcStatus.OK ? this.#answer : undefined;
    if (answer !== undefined) {
      this.#respond();
      this.#home.unsent(answer.length);
      stream.end(answer, () => this.#home.unsent(-answer.length));
    } else if (this.#hasAnswered) stream.end();
    else {
      const headers = { ...ANSWER_HEADERS, ...this.#trailers };
      stream.respond(headers, { endStream: true, sendDate: false } as object);
      this.#stopPeer();
    }
  }

  #respond(): void {
    if (this.#hasAnswered) return;
    this.#hasAnswered = true;
    this.#stream.respond(ANSWER_HEADERS, { waitForTrailers: true, sendDate: false } as object);
  }

  /** A client that is still sending is told to stop as soon as the answer is out (RFC 9113, 8.1). */
  #stopPeer(): void {
    const stream = this.#stream;
    if (stream.readableEnded) return;
    setImmediate(() => {
      if (!stream.readableEnded) stream.close(constants.NGHTTP2_NO_ERROR);
    });
  }

  /** Ends the call for a reason that is the transport's: the owner, if there is one, is told. */
  fail(status: number, text: string): void {
    if (this.#isOver) return;
    this.#home.refused();
    const events = this.#events;
    this.finish(status, text);
    events?.onCancelled();
  }

  /** Gives the stream up, whatever the peer has of it. */
  reset(): void {
    this.#stream.close(constants.NGHTTP2_CANCEL);
  }

  #bytes(chunk: Uint8Array): void {
    if (this.#isOver) return;
    this.#reader.receive(chunk);
    if (this.#isOver) return;
    const { fault } = this.#reader;
    if (fault !== undefined) {
      this.fail(fault.status, fault.text);
      return;
    }
    if (this.#account()) return;
    this.fail(GrpcStatus.RESOURCE_EXHAUSTED, 'too many requests are being received');
  }

  #account(): boolean {
    const heldBytes = this.#reader.heldBytes + (this.#request?.length ?? 0);
    const delta = heldBytes - this.#heldBytes;
    this.#heldBytes = heldBytes;
    return delta === 0 || this.#home.hold(delta);
  }

  #release(): void {
    if (this.#heldBytes !== 0) this.#home.hold(-this.#heldBytes);
    this.#heldBytes = 0;
    this.#request = undefined;
  }

  #received(message: Uint8Array): void {
    if (this.#isOver) return;
    if (this.kind === 'bidi') this.#events?.onMessage(message);
    else if (this.#request === undefined) this.#request = message;
    else this.fail(GrpcStatus.UNIMPLEMENTED, 'the call takes one message, and a second one came');
  }

  #ended(): void {
    // What the peer gave up ends too; `close` follows, and tells the owner.
    if (this.#isOver || this.#stream.aborted) return;
    if (!this.#reader.isBetween) {
      this.fail(GrpcStatus.INTERNAL, 'the request ends inside a message');
    } else if (this.kind === 'bidi') {
      this.#events?.onHalfClose?.();
    } else if (this.#request === undefined) {
      this.fail(GrpcStatus.UNIMPLEMENTED, 'the call takes one message, and none came');
    } else {
      const request = this.#request;
      this.#release();
      this.#events = this.#home.open(this);
      this.#events.onMessage(request);
    }
  }

  #drained(): void {
    if (this.#isOver || !this.#isBacklogged) return;
    this.#isBacklogged = false;
    this.#events?.onDrain?.();
  }

  #closed(): void {
    const wasOver = this.#isOver;
    this.#isOver = true;
    this.#release();
    this.#home.closed(this);
    if (!wasOver) this.#events?.onCancelled();
  }
}
