// The shell of the AMQP listener on one thread: takes connections, accepted here or handed over by the thread that owns
// the port, makes an actor for each, and writes what they have to say once per turn.
import type { System } from '../../actors/index.ts';
import type { BrokerPorts, QueueOwner } from '../../broker/ports.ts';
import type { Connection, Log } from '../../env/environment.ts';
import { ListenerBooks, type ListenerCounters, wrongPort } from '../listening/books.ts';
import { FailedLogins } from '../listening/failed-logins.ts';
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
  /** Of durable queues that are declared here; without it as many as the cluster gives. */
  readonly queueReplicas?: number;
  readonly limits?: Partial<AmqpLimits>;
  readonly log?: Log;
  /** Ports of this node's other listeners, named to clients that knock at the wrong door. */
  readonly otherPorts?: { readonly [P in WrongProtocol['seen']]?: number };
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
  readonly books: ListenerBooks;
  readonly failedLogins: FailedLogins;
  readonly #system: System;
  readonly #log: Log;
  readonly #otherPorts: NonNullable<AmqpListenerOptions['otherPorts']>;
  readonly #open = new Set<AmqpConnection>();
  readonly #stopHearing: () => void;
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
      queueReplicas: options.queueReplicas ?? -1,
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
    this.books = new ListenerBooks(system, limits);
    this.failedLogins = new FailedLogins(limits);
    this.#stopHearing = view.onAccess(() => {
      for (const connection of this.#open) connection.accessChanged();
    });
  }

  /** Takes over an accepted connection from which nothing was read. Never throws. */
  accept(connection: Connection): void {
    const remoteHost = this.books.admit(connection);
    if (remoteHost === undefined) return;
    const { accepted } = this.counters;
    const number = accepted * SHARDS + this.place.shard;
    const args = { listener: this, connection, number, remoteHost };
    this.#system.spawn(`amqp-${accepted}`, AmqpConnectionActor, args);
  }

  get counters(): ListenerCounters {
    return this.books.counters;
  }

  opened(connection: AmqpConnection): void {
    this.#open.add(connection);
  }

  forget(connection: AmqpConnection, remoteHost: string): void {
    this.#open.delete(connection);
    if (this.#open.size === 0) this.#onAllGone?.();
    this.books.left(remoteHost);
  }

  /** Tells every client that the node stops; who has not answered shortly after is cut off. */
  async close(): Promise<void> {
    this.books.closing();
    for (const connection of [...this.#open]) connection.shutDown(...refusals.shutDown());
    if (this.#open.size > 0) {
      await new Promise<void>((resolve) => {
        this.#onAllGone = resolve;
        this.#system.deadlines.after(SHUTDOWN_MS, () => resolve());
      });
    }
    for (const connection of [...this.#open]) connection.destroy();
    this.books.close();
    this.#stopHearing();
  }

  /** One line that helps whoever dialled the wrong port. */
  tellForeign(seen: WrongProtocol['seen'], remoteHost: string): void {
    const what = seen === 'unknown' ? 'an unknown protocol' : seen;
    const words = wrongPort(what, 'AMQP', this.#otherPorts[seen]);
    this.#log.warn(words, { remote: remoteHost });
  }
}

/**
 * @example
 * const amqp = startAmqpListener({ system, ports, place, version });
 * net.listen(address, (connection) => amqp.accept(connection));
 */
export function startAmqpListener(options: AmqpListenerOptions): AmqpListener {
  return new AmqpListener(options);
}
