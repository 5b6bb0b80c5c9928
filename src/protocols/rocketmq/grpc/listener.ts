// The shell of the gRPC family: hands the calls of a transport to the session and the session's outputs to the
// transport and the broker. Lives on the thread that serves the connections: one for each shard.
import type { Address, Cancel, Environment, Log } from '../../../env/environment.ts';
import {
  type GrpcCall,
  type GrpcCallEvents,
  type GrpcCallKind,
  type GrpcService,
  GrpcStatus,
} from '../../../env/grpc.ts';
import { messageOf } from '../../../std/errors.ts';
import { plainHost, wrongPort } from '../../listening/books.ts';
import { type Foreign, foreignOf } from '../../listening/foreign.ts';
import type { Instant } from './exchange.ts';
import { methodOf } from './handlers/table.ts';
import type { RocketLimits } from './limits.ts';
import type { BrokerAsk, BrokerNotice, RocketBroker } from './ports.ts';
import { RocketSession, type SessionOutputs } from './session.ts';

export interface RocketGrpcOptions {
  readonly env: Pick<Environment, 'clock' | 'timers' | 'unpack'>;
  readonly log: Log;
  readonly broker: RocketBroker;
  /** 16 secret bytes that all nodes of the cluster share: receipt handles are checked with them. */
  readonly handleKey: Uint8Array;
  readonly limits?: Partial<RocketLimits>;
  /** As {@link SessionParts}'. */
  readonly md5Hex?: ((bytes: Uint8Array) => string) | undefined;
  /** Ports of this node's other listeners, named to clients that knock at the wrong door. */
  readonly otherPorts?: { readonly [P in Foreign]?: number };
}

const SWEEP_MS = 10_000;

class RocketGrpcService implements GrpcService, SessionOutputs {
  readonly #options: RocketGrpcOptions;
  readonly #session: RocketSession;
  readonly #calls = new Map<number, GrpcCall>();
  #callCount = 0;
  #cancelSweep: Cancel;
  #isClosed = false;

  constructor(options: RocketGrpcOptions) {
    this.#options = options;
    const { broker, env, handleKey, limits, md5Hex } = options;
    const { unpack } = env;
    this.#session = new RocketSession({
      picture: broker,
      outputs: this,
      handleKey,
      md5Hex,
      ...(limits === undefined ? {} : { limits }),
      ...(unpack === undefined ? {} : { unpack: (bytes, max) => unpack('gzip', bytes, max) }),
    });
    this.#cancelSweep = this.#sweepLater();
  }

  kindOf(path: string): GrpcCallKind | undefined {
    return methodOf(path)?.kind;
  }

  open(call: GrpcCall): GrpcCallEvents {
    this.#callCount += 1;
    const number = this.#callCount;
    this.#calls.set(number, call);
    const context = {
      clientId: call.metadata('x-mq-client-id') ?? '',
      authority: call.authority,
      local: call.local,
      deadlineMs: call.deadlineMs,
    };
    const session = this.#session;
    session.open(number, methodOf(call.path)!, context, this.#now());
    return {
      onMessage: (message) => {
        this.#guarded(number, () => session.message(number, message, this.#now()));
      },
      onHalfClose: () => this.#guarded(number, () => session.halfClosed(number)),
      onCancelled: () => {
        this.#calls.delete(number);
        session.cancelled(number);
      },
    };
  }

  /** One line that helps whoever dialled the wrong port. */
  foreign(head: Uint8Array, remote: Address): void {
    const seen = foreignOf(head);
    const what = seen === 'unknown' ? 'an unknown protocol' : seen;
    const words = wrongPort(what, 'RocketMQ', this.#options.otherPorts?.[seen]);
    this.#options.log.warn(words, { remote: plainHost(remote.host) });
  }

  /** Stops looking for silent clients. The transport's listener ends the calls. */
  close(): void {
    this.#isClosed = true;
    this.#cancelSweep();
  }

  send(call: number, message: Uint8Array): void {
    this.#calls.get(call)?.send(message);
  }

  finish(call: number, status: number, text: string): void {
    this.#calls.get(call)?.finish(status, text);
    this.#calls.delete(call);
  }

  ask(ask: BrokerAsk, call: number): void {
    this.#options.broker.ask(ask, (answer) => {
      this.#guarded(call, () => this.#session.answered(ask.token, answer, this.#now()));
    });
  }

  tell(notice: BrokerNotice): void {
    this.#options.broker.tell(notice);
  }

  /** A mistake of ours ends the call that met it, and not the node. */
  #guarded(call: number, work: () => void): void {
    try {
      work();
    } catch (error) {
      const reason = messageOf(error);
      this.#options.log.error('a RocketMQ call met a mistake', { reason, error });
      this.finish(call, GrpcStatus.INTERNAL, 'internal error');
      this.#session.cancelled(call);
    }
  }

  #sweepLater(): Cancel {
    const { clock, timers } = this.#options.env;
    return timers.at(clock.monotonicMs() + SWEEP_MS, () => {
      if (this.#isClosed) return;
      this.#session.sweep(this.#now());
      this.#cancelSweep = this.#sweepLater();
    });
  }

  #now(): Instant {
    const { clock } = this.#options.env;
    return { monotonicMs: clock.monotonicMs(), wallMs: clock.wallMs() };
  }
}

/**
 * The service to hand to a transport: `GrpcServer.listen`, or a simulation's own.
 *
 * @example
 * const service = createRocketGrpcService({ env, log, broker, handleKey });
 * const listener = await grpcServer.listen(at, service, { messageBytesMax: 8 * 1024 * 1024 });
 */
export function createRocketGrpcService(
  options: RocketGrpcOptions,
): GrpcService & { close(): void } {
  return new RocketGrpcService(options);
}
