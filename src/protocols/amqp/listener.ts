// The shell of the AMQP listener on one thread: takes connections, accepted here or handed over by the thread that owns
// the port, makes an actor for each, and writes what they have to say once per turn.
import type { System } from '../../actors/index.ts';
import type { BrokerPorts, QueueOwner } from '../../broker/ports.ts';
import type { Cancel, Connection, Log } from '../../env/environment.ts';
import type { Asked } from './asks.ts';
import { refusals, Tape, type WrongProtocol } from './codec/index.ts';
import { type AmqpConnection, AmqpConnectionActor } from './connection.ts';
import { AMQP_LIMITS, type AmqpLimits } from './limits.ts';
import { SlabPool } from './output.ts';
import type { SessionRules } from './session/session.ts';
import { Tools } from './session/tools.ts';

export interface AmqpListenerOptions {
  readonly system: System;
  readonly ports: BrokerPorts;
  /** The shard that owns what lives with a connection of this listener. */
  readonly place: Pick<QueueOwner, 'node' | 'shard' | 'shardIncarnation'>;
  /** Of the server, as clients are told. */
  readonly version: string;
  readonly limits?: Partial<AmqpLimits>;
  readonly log?: Log;
  /** Ports of this node's other listeners, named to clients that knock at the wrong door. */
  readonly otherPorts?: { readonly [P in WrongProtocol['seen']]?: number };
}

export interface AmqpCounters {
  /** Connections taken since the start, and those that are open. */
  accepted: number;
  open: number;
  /** Refused because their address has too many. */
  refused: number;
  /** Bytes that were received and wait. */
  heldBytes: number;
  /** Turns in which something was written, and calls of write: at most one per connection and turn. */
  flushes: number;
  socketWrites: number;
}

/** How long clients may take to answer when the node stops. */
const SHUTDOWN_MS = 250;
/** More shards than a node may have: connections are numbered apart. */
const SHARDS = 64;

/** What connections need of their listener. */
export class AmqpListener {
  readonly ports: BrokerPorts;
  readonly limits: AmqpLimits;
  readonly place: AmqpListenerOptions['place'];
  readonly rules: SessionRules;
  readonly asked: Asked;
  readonly slabs = new SlabPool();
  readonly tape = new Tape();
  readonly tools = new Tools();
  readonly counters: AmqpCounters = {
    accepted: 0,
    open: 0,
    refused: 0,
    heldBytes: 0,
    flushes: 0,
    socketWrites: 0,
  };
  readonly #system: System;
  readonly #log: Log;
  readonly #otherPorts: NonNullable<AmqpListenerOptions['otherPorts']>;
  readonly #perAddress = new Map<string, number>();
  readonly #dirty = new Set<AmqpConnection>();
  readonly #open = new Set<AmqpConnection>();
  readonly #stopFlushing: Cancel;
  #isClosing = false;
  #onAllGone: (() => void) | undefined;

  constructor(options: AmqpListenerOptions) {
    const { system, ports, version } = options;
    this.#system = system;
    this.#log = options.log ?? system.log.child({ listener: 'amqp' });
    this.#otherPorts = options.otherPorts ?? {};
    this.ports = ports;
    this.place = options.place;
    const limits = { ...AMQP_LIMITS, ...options.limits };
    this.limits = limits;
    const { channelMax, heartbeatSeconds, deferredBytesMax, refusedLoginMs, closeTimeoutMs } =
      limits;
    const offer = { channelMax, heartbeatSeconds, frameBytesMax: limits.reader.frameBytesMax };
    const times = { deferredBytesMax, refusedLoginMs, closeTimeoutMs };
    const { view } = ports;
    this.rules = {
      ...offer,
      ...times,
      version,
      // Not known yet while the cluster is founded.
      get clusterId() {
        return view.clusterId;
      },
    };
    const sleep = (delayMs: number) =>
      new Promise<void>((resolve) => {
        system.deadlines.after(delayMs, () => resolve());
      });
    this.asked = { metadata: ports.metadata, queues: ports.queues, limits, sleep };
    this.#stopFlushing = system.turn.onPhase('flush', () => this.#flush());
  }

  /** Takes over an accepted connection from which nothing was read. Never throws. */
  accept(connection: Connection): void {
    const remoteHost = plainHost(connection.remote.host);
    const count = this.#perAddress.get(remoteHost) ?? 0;
    if (this.#isClosing || count >= this.limits.connectionsPerAddressMax) {
      this.counters.refused += 1;
      connection.destroy();
      return;
    }
    this.#perAddress.set(remoteHost, count + 1);
    this.counters.accepted += 1;
    this.counters.open += 1;
    const number = this.counters.accepted * SHARDS + this.place.shard;
    const args = { listener: this, connection, number, remoteHost };
    this.#system.spawn(`amqp-${this.counters.accepted}`, AmqpConnectionActor, args);
  }

  /** Adds to the bytes that this thread holds; false if they are too many. */
  hold(delta: number): boolean {
    this.counters.heldBytes += delta;
    return delta <= 0 || this.counters.heldBytes <= this.limits.heldBytesMax;
  }

  /** The connection has something to say at the end of this turn. */
  markDirty(connection: AmqpConnection): void {
    this.#dirty.add(connection);
    this.#system.turn.request();
  }

  opened(connection: AmqpConnection): void {
    this.#open.add(connection);
  }

  forget(connection: AmqpConnection, remoteHost: string): void {
    this.#open.delete(connection);
    if (this.#open.size === 0) this.#onAllGone?.();
    this.#dirty.delete(connection);
    this.counters.open -= 1;
    const count = (this.#perAddress.get(remoteHost) ?? 1) - 1;
    if (count > 0) this.#perAddress.set(remoteHost, count);
    else this.#perAddress.delete(remoteHost);
  }

  /** Tells every client that the node stops; who has not answered shortly after is cut off. */
  async close(): Promise<void> {
    this.#isClosing = true;
    for (const connection of [...this.#open]) connection.shutDown(...refusals.shutDown());
    if (this.#open.size > 0) {
      await new Promise<void>((resolve) => {
        this.#onAllGone = resolve;
        this.#system.deadlines.after(SHUTDOWN_MS, () => resolve());
      });
    }
    for (const connection of [...this.#open]) connection.destroy();
    this.#stopFlushing();
  }

  /** One line that helps whoever dialled the wrong port. */
  tellForeign(seen: WrongProtocol['seen'], remoteHost: string): void {
    const port = this.#otherPorts[seen];
    const what = seen === 'unknown' ? 'an unknown protocol' : seen;
    const advice =
      port === undefined ? `no listener for ${what} is open` : `${what} is served on port ${port}`;
    this.#log.warn(`${what} was spoken to the AMQP port; ${advice}`, { remote: remoteHost });
  }

  #flush(): void {
    if (this.#dirty.size === 0) return;
    this.counters.flushes += 1;
    for (const connection of this.#dirty) {
      const before = connection.output.writes;
      connection.flush();
      this.counters.socketWrites += connection.output.writes - before;
    }
    this.#dirty.clear();
  }
}

/** ::ffff:127.0.0.1 is 127.0.0.1 to people and to clients. */
function plainHost(host: string): string {
  return host.startsWith('::ffff:') ? host.slice('::ffff:'.length) : host;
}

/**
 * @example
 * const amqp = startAmqpListener({ system, ports, place, version });
 * net.listen(address, (connection) => amqp.accept(connection));
 */
export function startAmqpListener(options: AmqpListenerOptions): AmqpListener {
  return new AmqpListener(options);
}
