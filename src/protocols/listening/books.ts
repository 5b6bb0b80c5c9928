// What every listener of clients counts and bounds on its thread, whatever it speaks: connections by address, bytes
// held before they are worked on, and who has something to say at the end of a turn.
import type { System } from '../../actors/system.ts';
import type { Connection } from '../../env/environment.ts';

export interface ListenerCounters {
  /** Connections taken since the start, and those that are open. */
  accepted: number;
  open: number;
  /** Refused because their address has too many, or the listener closes. */
  refused: number;
  /** Bytes that were received and wait, or are worked on. */
  heldBytes: number;
  /** Turns in which something was written, and calls of write: at most one per connection and turn. */
  flushes: number;
  socketWrites: number;
}

export function noListenerCounts(): ListenerCounters {
  return { accepted: 0, open: 0, refused: 0, heldBytes: 0, flushes: 0, socketWrites: 0 };
}

export interface ListenerBounds {
  readonly connectionsPerAddressMax: number;
  readonly heldBytesMax: number;
}

/** One connection's output. */
export interface Writing {
  /** Calls of the socket's write since the start. */
  readonly writes: number;
  flush(): void;
}

export class ListenerBooks {
  readonly counters: ListenerCounters = noListenerCounts();
  readonly #system: System;
  readonly #bounds: ListenerBounds;
  readonly #perAddress = new Map<string, number>();
  readonly #dirty = new Set<Writing>();
  readonly #stopFlushing: () => void;
  #isClosing = false;

  constructor(system: System, bounds: ListenerBounds) {
    this.#system = system;
    this.#bounds = bounds;
    this.#stopFlushing = system.turn.onPhase('flush', () => this.#flush());
  }

  /** The host that an accepted connection comes from; undefined if it was refused, and destroyed. */
  admit(connection: Connection): string | undefined {
    const { counters } = this;
    const host = plainHost(connection.remote.host);
    const count = this.#perAddress.get(host) ?? 0;
    if (this.#isClosing || count >= this.#bounds.connectionsPerAddressMax) {
      counters.refused += 1;
      connection.destroy();
      return undefined;
    }
    this.#perAddress.set(host, count + 1);
    counters.accepted += 1;
    counters.open += 1;
    return host;
  }

  /** A connection that was admitted from `host` is gone. */
  left(host: string): void {
    this.counters.open -= 1;
    const count = (this.#perAddress.get(host) ?? 1) - 1;
    if (count > 0) this.#perAddress.set(host, count);
    else this.#perAddress.delete(host);
  }

  /** Adds to the bytes that this thread holds; false if they are too many. */
  hold(delta: number): boolean {
    this.counters.heldBytes += delta;
    return delta <= 0 || this.counters.heldBytes <= this.#bounds.heldBytesMax;
  }

  /** It has something to say at the end of this turn. */
  markDirty(writing: Writing): void {
    this.#dirty.add(writing);
    this.#system.turn.request();
  }

  /** Nobody is admitted any more. */
  closing(): void {
    this.#isClosing = true;
  }

  close(): void {
    this.#isClosing = true;
    this.#stopFlushing();
  }

  #flush(): void {
    if (this.#dirty.size === 0) return;
    this.counters.flushes += 1;
    for (const writing of this.#dirty) {
      const before = writing.writes;
      writing.flush();
      this.counters.socketWrites += writing.writes - before;
    }
    this.#dirty.clear();
  }
}

/** ::ffff:127.0.0.1 is 127.0.0.1 to people and to clients. */
export function plainHost(host: string): string {
  return host.startsWith('::ffff:') ? host.slice('::ffff:'.length) : host;
}

/** What whoever dialled the wrong port should know. `port` is that of what they spoke, if it is served. */
export function wrongPort(what: string, own: string, port: number | undefined): string {
  const advice =
    port === undefined ? `no listener for ${what} is open` : `${what} is served on port ${port}`;
  return `${what} was spoken to the ${own} port; ${advice}`;
}

/** A connection's actor that throws is over, and nobody else. */
export const CONNECTION_SUPERVISION = {
  decide: (): 'stop' => 'stop',
  maxRestarts: 0,
  windowMs: 1,
  backoff: { minMs: 1, maxMs: 1, jitter: 0 },
} as const;
