// The door of a shard to RocketMQ's clients. Their room and its transport are loaded when the first of them
// comes: most nodes are never asked, and memory and time at start belong to those that are.
// Invariant: every connection is served or destroyed, in the order in which they came.
import type { System } from '../actors/system.ts';
import type { BrokerPorts, HostRef } from '../broker/ports.ts';
import type { Connection, Log } from '../env/environment.ts';
import { type GrpcCounters, noGrpcCounts } from '../env/grpc.ts';
import { messageOf } from '../std/errors.ts';
import type { ListenerPorts } from './shard.ts';

/** What a shard has for a listener of RocketMQ. */
export interface RocketOptions {
  readonly system: System;
  readonly log: Log;
  readonly ports: BrokerPorts;
  readonly clusterId: string;
  readonly shard: number;
  readonly shardIncarnation: number;
  /** Ports of the node's other listeners. */
  readonly otherPorts: Partial<ListenerPorts>;
  /** The host on the shard of the node that leads the log, or undefined while there is none. */
  leaderHost(logId: number): HostRef | undefined;
}

/** The listener of one shard. */
export interface RocketListener {
  readonly counters: Readonly<GrpcCounters>;
  /** Takes over a connection from which nothing was read. Never throws. */
  accept(connection: Connection): void;
  /** The way to or from a thread of another node was lost, and what was on it. */
  linkEnded(node: number, thread: number): void;
  close(): void;
}

export type StartRocket = (options: RocketOptions) => RocketListener;

/** What the composition root has of RocketMQ: at once where it is loaded anyway, else later. */
export type LoadRocket = () => StartRocket | Promise<StartRocket>;

/** Connections that wait until the code is loaded; more are closed. */
const WAITING_MAX = 1_024;

export class RocketDoor {
  readonly #load: LoadRocket | undefined;
  readonly #options: RocketOptions;
  #listener: RocketListener | undefined;
  #waiting: Connection[] = [];
  #isLoading = false;
  #isClosed = false;

  constructor(load: LoadRocket | undefined, options: RocketOptions) {
    this.#load = load;
    this.#options = options;
  }

  get counters(): Readonly<GrpcCounters> {
    return this.#listener?.counters ?? noGrpcCounts();
  }

  accept(connection: Connection): void {
    if (this.#listener !== undefined) this.#listener.accept(connection);
    else if (this.#isClosed || this.#waiting.length >= WAITING_MAX) connection.destroy();
    else {
      this.#waiting.push(connection);
      if (!this.#isLoading) this.#start();
    }
  }

  linkEnded(node: number, thread: number): void {
    this.#listener?.linkEnded(node, thread);
  }

  close(): void {
    this.#isClosed = true;
    this.#listener?.close();
    for (const connection of this.#waiting.splice(0)) connection.destroy();
  }

  #start(): void {
    const load = this.#load;
    if (load === undefined) {
      this.#failed(new Error('this program has no listener for RocketMQ'));
      return;
    }
    const start = load();
    if (!(start instanceof Promise)) {
      this.#started(start);
      return;
    }
    this.#isLoading = true;
    start.then(
      (loaded) => {
        this.#isLoading = false;
        if (!this.#isClosed) this.#started(loaded);
      },
      (error: unknown) => {
        this.#isLoading = false;
        this.#failed(error);
      },
    );
  }

  #started(start: StartRocket): void {
    try {
      this.#listener = start(this.#options);
    } catch (error) {
      this.#failed(error);
      return;
    }
    for (const connection of this.#waiting.splice(0)) this.#listener.accept(connection);
  }

  /** The next client may have more luck. */
  #failed(error: unknown): void {
    this.#options.log.error('RocketMQ cannot be served', { reason: messageOf(error) });
    for (const connection of this.#waiting.splice(0)) connection.destroy();
  }
}
