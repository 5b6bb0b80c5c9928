// One connection of a simulated gRPC client, with any number of calls. It ends calls at their deadline whatever
// the server says, and all of them with UNAVAILABLE when the connection is gone. It dials once: who uses it makes
// another one.
import type { Address, Cancel, Connection, Environment } from '../../env/environment.ts';
import { GrpcStatus } from '../../env/grpc.ts';
import {
  type CallHeaders,
  endOf,
  FrameKind,
  frameOf,
  GrpcFrameReader,
  openFrame,
} from './grpc-frames.ts';

const CONNECT_TIMEOUT_MS = 1_500;

export interface ChannelEvents {
  onMessage(message: Uint8Array): void;
  /** Once, the last one. */
  onEnd(status: number, text: string): void;
}

interface OpenCall {
  readonly events: ChannelEvents;
  readonly cancelTimer: Cancel;
}

export class GrpcChannel {
  readonly #env: Environment;
  readonly #connection: Connection;
  readonly #reader: GrpcFrameReader;
  readonly #calls = new Map<number, OpenCall>();
  readonly #authority: string;
  #count = 0;
  #isOver = false;

  constructor(env: Environment, to: Address) {
    this.#env = env;
    this.#authority = `${to.host}:${to.port}`;
    this.#reader = new GrpcFrameReader({
      frame: (kind, call, body) => this.#frame(kind, call, body),
    });
    this.#connection = env.net.connect(to, { timeoutMs: CONNECT_TIMEOUT_MS });
    this.#connection.start({
      onBytes: (view) => this.#reader.receive(view),
      onClose: () => this.#end('the connection is gone'),
    });
    this.#connection.write(frameOf(FrameKind.hello, 0));
  }

  /** It takes no more calls. */
  get isOver(): boolean {
    return this.#isOver;
  }

  /** Opens a call; with Infinity it has no deadline. Its events never come from inside this. */
  open(
    { path, timeoutMs, metadata }: Omit<CallHeaders, 'authority'>,
    events: ChannelEvents,
  ): number {
    this.#count += 1;
    const call = this.#count;
    const { clock, timers } = this.#env;
    const at = clock.monotonicMs();
    if (this.#isOver) {
      timers.at(at, () => events.onEnd(GrpcStatus.UNAVAILABLE, 'the connection is gone'));
      return call;
    }
    const late = () => this.cancel(call, GrpcStatus.DEADLINE_EXCEEDED, 'no answer in time');
    const cancelTimer =
      timeoutMs === Number.POSITIVE_INFINITY ? () => undefined : timers.at(at + timeoutMs, late);
    this.#calls.set(call, { events, cancelTimer });
    const authority = this.#authority;
    this.#connection.write(openFrame(call, { path, authority, timeoutMs, metadata }));
    return call;
  }

  send(call: number, message: Uint8Array): void {
    if (this.#calls.has(call)) {
      this.#connection.write(frameOf(FrameKind.message, call, message));
    }
  }

  halfClose(call: number): void {
    if (this.#calls.has(call)) this.#connection.write(frameOf(FrameKind.halfClose, call));
  }

  /** Nobody waits for the answer any more. */
  cancel(call: number, status: number = GrpcStatus.CANCELLED, text = 'cancelled'): void {
    if (!this.#calls.has(call)) return;
    this.#connection.write(frameOf(FrameKind.cancel, call));
    this.#ended(call, status, text);
  }

  /** Ends the connection at once; nothing is said to the server. */
  destroy(): void {
    if (this.#isOver) return;
    this.#connection.destroy();
    this.#end('the client ended it');
  }

  #frame(kind: number, call: number, body: Uint8Array): void {
    if (kind === FrameKind.ping) this.#connection.write(frameOf(FrameKind.pong, 0));
    else if (kind === FrameKind.goAway) {
      this.#connection.end();
      this.#end('the server says goodbye');
    } else if (kind === FrameKind.message) this.#calls.get(call)?.events.onMessage(body);
    else if (kind === FrameKind.end) {
      const { status, text } = endOf(body);
      this.#ended(call, status, text);
    }
  }

  #ended(number: number, status: number, text: string): void {
    const call = this.#calls.get(number);
    if (call === undefined) return;
    this.#calls.delete(number);
    call.cancelTimer();
    call.events.onEnd(status, text);
  }

  #end(text: string): void {
    this.#isOver = true;
    for (const number of [...this.#calls.keys()]) {
      this.#ended(number, GrpcStatus.UNAVAILABLE, text);
    }
  }
}
