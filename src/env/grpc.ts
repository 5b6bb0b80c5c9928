// gRPC over HTTP/2 without TLS, as sessions need it: a call is a path, metadata, whole messages one way and
// whole messages the other, and a status at the end. Framing, flow control, limits and deadlines belong to
// the implementation in env/node; whoever simulates hands calls to the same handler. Like the admin's HTTP
// it is not part of `Environment`.
import type { Address, Connection, Listener } from './environment.ts';

/** How many messages go each way: one and one, one and many, many and many. */
export type GrpcCallKind = 'unary' | 'server-stream' | 'bidi';

/** gRPC's own status numbers (grpc/grpc, doc/statuscodes.md), as far as they are used here. */
export const GrpcStatus = {
  OK: 0,
  CANCELLED: 1,
  INVALID_ARGUMENT: 3,
  DEADLINE_EXCEEDED: 4,
  RESOURCE_EXHAUSTED: 8,
  UNIMPLEMENTED: 12,
  INTERNAL: 13,
  UNAVAILABLE: 14,
} as const;

export interface GrpcCall {
  readonly path: string;
  readonly kind: GrpcCallKind;
  /** What the client dialled, host and port as it wrote them; '' if it did not say. */
  readonly authority: string;
  readonly local: Address;
  readonly remote: Address;
  /** On the monotonic clock; Infinity where the client waits for ever. */
  readonly deadlineMs: number;
  /** The value of a header, by its lower-case name. Of a repeated one the values, with ", " between. */
  metadata(name: string): string | undefined;
  /** Bytes of answers that the system has not taken. */
  readonly queuedBytes: number;
  /** Queues one message; the bytes must not change any more. Nothing happens after the end of the call. */
  send(message: Uint8Array): void;
  /** Ends the call behind what was sent; `text` may be any text. The second time nothing happens. */
  finish(status: number, text: string): void;
}

/** What a call tells its owner, from the event loop and never from inside a method of the call. */
export interface GrpcCallEvents {
  /**
   * A whole message, the receiver's to keep. Unless the kind is `bidi` it comes once, directly after the
   * call was handed over, and nothing follows from the client.
   */
  onMessage(message: Uint8Array): void;
  /** The client sends nothing more. `bidi` only. */
  onHalfClose?(): void;
  /** Everything queued was taken by the system after it had not been. */
  onDrain?(): void;
  /** The call is over without our `finish`: cancelled, too late, or the connection is gone. The last event. */
  onCancelled(): void;
}

export interface GrpcLimits {
  /** Of one message, compressed and not; what is claimed to be larger is refused unread. */
  readonly messageBytesMax: number;
  /** Messages of all calls that are being received. Who goes beyond it is refused. */
  readonly heldBytesMax: number;
  readonly connectionsMax: number;
  readonly connectionsPerAddressMax: number;
  /** Calls at a time on one connection; HTTP/2 tells the client. */
  readonly callsPerConnectionMax: number;
  /** All headers of a call, as HTTP/2 counts them: names, values and 32 bytes each. */
  readonly headerBytesMax: number;
  /** Answers of one connection that its peer does not read; beyond it new calls are refused. */
  readonly unsentBytesMax: number;
  /** From the connection to the client's HTTP/2 settings. */
  readonly handshakeTimeoutMs: number;
  /** From the headers of a call to its whole request; of `bidi` calls nothing is asked. */
  readonly requestTimeoutMs: number;
  /** From our `finish` until the peer has taken the rest of the answer. */
  readonly lingerTimeoutMs: number;
  /** Without a call; the client is told to go before the connection ends. */
  readonly idleTimeoutMs: number;
  /** Between pings that find out whether the peer still lives, and how long it may take to answer one. */
  readonly pingIntervalMs: number;
  readonly pingTimeoutMs: number;
}

export const GRPC_LIMITS: GrpcLimits = {
  messageBytesMax: 4 * 1024 * 1024,
  heldBytesMax: 256 * 1024 * 1024,
  connectionsMax: 8_192,
  connectionsPerAddressMax: 4_096,
  callsPerConnectionMax: 512,
  headerBytesMax: 16 * 1024,
  unsentBytesMax: 64 * 1024 * 1024,
  handshakeTimeoutMs: 10_000,
  requestTimeoutMs: 30_000,
  lingerTimeoutMs: 30_000,
  idleTimeoutMs: 600_000,
  pingIntervalMs: 60_000,
  pingTimeoutMs: 20_000,
};

export interface GrpcService {
  /** Undefined: there is no such call, and it ends with UNIMPLEMENTED. */
  kindOf(path: string): GrpcCallKind | undefined;
  /** A call whose request is known to come whole (`bidi`: whose headers came). */
  open(call: GrpcCall): GrpcCallEvents;
  /** Whoever came from there speaks something else; these were the first bytes. The connection ends. */
  foreign?(head: Uint8Array, remote: Address): void;
}

/** What happened since the start. */
export interface GrpcCounters {
  connectionsAccepted: number;
  connectionsOpen: number;
  /** There were too many, of all or of one address. */
  connectionsRefused: number;
  /** What was said was not HTTP/2, or nothing was said in time. */
  handshakesFailed: number;
  callsOpened: number;
  callsOpen: number;
  /** Ended by the transport: its limits, its framing, unknown paths. */
  callsRefused: number;
  /** Bytes of requests that are being received. */
  heldBytes: number;
}

/** Of a listener that nobody has called. */
export function noGrpcCounts(): GrpcCounters {
  return {
    connectionsAccepted: 0,
    connectionsOpen: 0,
    connectionsRefused: 0,
    handshakesFailed: 0,
    callsOpened: 0,
    callsOpen: 0,
    callsRefused: 0,
    heldBytes: 0,
  };
}

export interface GrpcListener {
  readonly counters: Readonly<GrpcCounters>;
  /** Takes over an accepted connection from which nothing was read. Never throws. */
  accept(connection: Connection): void;
  /** Ends every call with UNAVAILABLE and every connection, and takes no more. */
  close(): void;
}

export interface GrpcServer {
  /** A listener without a port: its connections are handed to `accept`. */
  serve(service: GrpcService, limits?: Partial<GrpcLimits>): GrpcListener;
  /** The same with a port of its own. Rejects as `Net.listen` does. Closing it closes both. */
  listen(
    at: Address,
    service: GrpcService,
    limits?: Partial<GrpcLimits>,
  ): Promise<GrpcListener & Listener>;
}
