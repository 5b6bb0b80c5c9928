// The shell of the Kafka listener on one thread: takes connections, accepted here or handed over by the
// thread that owns the port, makes an actor for each, and writes what they answered once per turn.
import type { System } from '../../actors/index.ts';
import type { BrokerPorts } from '../../broker/ports.ts';
import type { Connection, Log, Unpack } from '../../env/environment.ts';
import { BufferPool } from '../../std/buffer-pool.ts';
import type { Crc32c } from '../../std/crc32c.ts';
import { ListenerBooks, type ListenerCounters, plainHost, wrongPort } from '../listening/books.ts';
import { KafkaCodec } from './codec/index.ts';
import { KafkaConnectionActor } from './connection.ts';
import { KAFKA_LIMITS, type KafkaLimits } from './limits.ts';
import { SlabPool } from './output.ts';
import type { ForeignProtocol } from './session.ts';

export interface KafkaListenerOptions {
  readonly system: System;
  readonly ports: BrokerPorts;
  readonly limits?: Partial<KafkaLimits>;
  readonly log?: Log;
  /** Ports of this node's other listeners, named to clients that knock at the wrong door. */
  readonly otherPorts?: { readonly [P in ForeignProtocol]?: number };
}

export interface KafkaCounters extends ListenerCounters {
  requests: number;
}

/** What connections need of their listener. */
export class KafkaListener {
  readonly ports: BrokerPorts;
  readonly limits: KafkaLimits;
  readonly crc32c: Crc32c;
  readonly unpack: Unpack | undefined;
  readonly codec = new KafkaCodec();
  readonly slabs = new SlabPool();
  readonly framePool = new BufferPool();
  readonly books: ListenerBooks;
  readonly counters: KafkaCounters;
  readonly #system: System;
  readonly #log: Log;
  readonly #otherPorts: NonNullable<KafkaListenerOptions['otherPorts']>;
  readonly #open = new Set<Connection>();

  constructor(options: KafkaListenerOptions) {
    const { system } = options;
    this.#system = system;
    this.#log = options.log ?? system.log.child({ listener: 'kafka' });
    this.#otherPorts = options.otherPorts ?? {};
    this.ports = options.ports;
    this.limits = { ...KAFKA_LIMITS, ...options.limits };
    this.crc32c = (bytes, start, end, seed) => system.env.crc32c(bytes, start, end, seed);
    this.unpack = system.env.unpack;
    this.books = new ListenerBooks(system, this.limits);
    this.counters = Object.assign(this.books.counters, { requests: 0 });
  }

  /** Takes over an accepted connection from which nothing was read. Never throws. */
  accept(connection: Connection): void {
    const remoteHost = this.books.admit(connection);
    if (remoteHost === undefined) return;
    this.#open.add(connection);
    const dialledHost = plainHost(connection.local.host);
    const args = { listener: this, connection, dialledHost, remoteHost };
    this.#system.spawn(`kafka-${this.counters.accepted}`, KafkaConnectionActor, args);
  }

  forget(connection: Connection, remoteHost: string): void {
    this.#open.delete(connection);
    this.books.left(remoteHost);
  }

  /** Ends every connection of this thread at once. */
  close(): void {
    for (const connection of [...this.#open]) connection.destroy();
    this.books.close();
  }

  /** One line that helps whoever dialled the wrong port. */
  tellForeign(seen: ForeignProtocol, remoteHost: string): void {
    const words = wrongPort(seen, 'Kafka', this.#otherPorts[seen]);
    this.#log.warn(words, { remote: remoteHost });
  }
}

/**
 * @example
 * const kafka = startKafkaListener({ system, ports });
 * net.listen(address, (connection) => kafka.accept(connection));
 */
export function startKafkaListener(options: KafkaListenerOptions): KafkaListener {
  return new KafkaListener(options);
}
