// The shell of the Kafka listener on one thread: takes connections, accepted here or handed over by the
// thread that owns the port, makes an actor for each, and writes what they answered once per turn.
import type { System } from '../../actors/index.ts';
import type { BrokerPorts } from '../../broker/ports.ts';
import type { Cancel, Connection, Log } from '../../env/environment.ts';
import { BufferPool } from '../../std/buffer-pool.ts';
import type { Crc32c } from '../../std/crc32c.ts';
import { KafkaCodec } from './codec/index.ts';
import { KafkaConnectionActor } from './connection.ts';
import { KAFKA_LIMITS, type KafkaLimits } from './limits.ts';
import { type Output, SlabPool } from './output.ts';
import type { ForeignProtocol } from './session.ts';

export interface KafkaListenerOptions {
  readonly system: System;
  readonly ports: BrokerPorts;
  readonly limits?: Partial<KafkaLimits>;
  readonly log?: Log;
  /** Ports of this node's other listeners, named to clients that knock at the wrong door. */
  readonly otherPorts?: { readonly [P in ForeignProtocol]?: number };
}

export interface KafkaCounters {
  /** Connections taken since the start, and those that are open. */
  accepted: number;
  open: number;
  /** Refused because their address has too many. */
  refused: number;
  requests: number;
  /** Bytes of requests that are being received or worked on. */
  heldBytes: number;
  /** Turns in which something was written, and calls of write: at most one per connection and turn. */
  flushes: number;
  socketWrites: number;
}

/** What connections need of their listener. */
export class KafkaListener {
  readonly ports: BrokerPorts;
  readonly limits: KafkaLimits;
  readonly crc32c: Crc32c;
  readonly codec = new KafkaCodec();
  readonly slabs = new SlabPool();
  readonly framePool = new BufferPool();
  readonly counters: KafkaCounters = {
    accepted: 0,
    open: 0,
    refused: 0,
    requests: 0,
    heldBytes: 0,
    flushes: 0,
    socketWrites: 0,
  };
  readonly #system: System;
  readonly #log: Log;
  readonly #otherPorts: NonNullable<KafkaListenerOptions['otherPorts']>;
  readonly #perAddress = new Map<string, number>();
  readonly #dirty = new Set<Output>();
  readonly #open = new Set<Connection>();
  readonly #stopFlushing: Cancel;

  constructor(options: KafkaListenerOptions) {
    const { system } = options;
    this.#system = system;
    this.#log = options.log ?? system.log.child({ listener: 'kafka' });
    this.#otherPorts = options.otherPorts ?? {};
    this.ports = options.ports;
    this.limits = { ...KAFKA_LIMITS, ...options.limits };
    this.crc32c = (bytes, start, end, seed) => system.env.crc32c(bytes, start, end, seed);
    this.#stopFlushing = system.turn.onPhase('flush', () => this.#flush());
  }

  /** Takes over an accepted connection from which nothing was read. Never throws. */
  accept(connection: Connection): void {
    const remoteHost = plainHost(connection.remote.host);
    const count = this.#perAddress.get(remoteHost) ?? 0;
    if (count >= this.limits.connectionsPerAddressMax) {
      this.counters.refused += 1;
      connection.destroy();
      return;
    }
    this.#perAddress.set(remoteHost, count + 1);
    this.counters.accepted += 1;
    this.counters.open += 1;
    this.#open.add(connection);
    const dialledHost = plainHost(connection.local.host);
    const args = { listener: this, connection, dialledHost, remoteHost };
    this.#system.spawn(`kafka-${this.counters.accepted}`, KafkaConnectionActor, args);
  }

  /** Adds to the request bytes that this thread holds; false if they are too many. */
  hold(delta: number): boolean {
    this.counters.heldBytes += delta;
    return delta <= 0 || this.counters.heldBytes <= this.limits.heldBytesMax;
  }

  markDirty(output: Output): void {
    this.#dirty.add(output);
    this.#system.turn.request();
  }

  forget(connection: Connection, remoteHost: string): void {
    this.#open.delete(connection);
    this.counters.open -= 1;
    const count = (this.#perAddress.get(remoteHost) ?? 1) - 1;
    if (count > 0) this.#perAddress.set(remoteHost, count);
    else this.#perAddress.delete(remoteHost);
  }

  /** Ends every connection of this thread at once. */
  close(): void {
    for (const connection of [...this.#open]) connection.destroy();
    this.#stopFlushing();
  }

  /** One line that helps whoever dialled the wrong port. */
  tellForeign(seen: ForeignProtocol, remoteHost: string): void {
    const port = this.#otherPorts[seen];
    const advice =
      port === undefined ? `no listener for ${seen} is open` : `${seen} is served on port ${port}`;
    this.#log.warn(`${seen} was spoken to the Kafka port; ${advice}`, { remote: remoteHost });
  }

  #flush(): void {
    if (this.#dirty.size === 0) return;
    this.counters.flushes += 1;
    for (const output of this.#dirty) {
      const before = output.writes;
      output.flush();
      this.counters.socketWrites += output.writes - before;
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
 * const kafka = startKafkaListener({ system, ports });
 * net.listen(address, (connection) => kafka.accept(connection));
 */
export function startKafkaListener(options: KafkaListenerOptions): KafkaListener {
  return new KafkaListener(options);
}
