// The door of a shard to the clients of one protocol. Their room is loaded when the first of them comes: most
// nodes are never asked in every tongue, and memory and time at start belong to those that are.
// Invariant: every connection is served or destroyed, in the order in which they came.
import type { Connection, Log } from '../env/environment.ts';
import { messageOf } from '../std/errors.ts';

/** The listener of one shard. */
export interface ClientListener<Counters extends object> {
  readonly counters: Readonly<Counters>;
  /** Takes over a connection from which nothing was read. Never throws. */
  accept(connection: Connection): void;
  /** The way to or from a thread of another node was lost, and what was on it. */
  linkEnded?(node: number, thread: number): void;
  close(): void | Promise<void>;
}

export type StartListener<Options, Counters extends object> = (
  options: Options,
) => ClientListener<Counters>;

/** What the composition root has of a protocol: at once where it is loaded anyway, else later. */
export type LoadListener<Options, Counters extends object> = () =>
  | StartListener<Options, Counters>
  | Promise<StartListener<Options, Counters>>;

export interface ClientDoorParts<Options, Counters extends object> {
  /** Of the protocol, for whoever reads the log. */
  readonly name: string;
  /** Without it no client is served. */
  readonly load: LoadListener<Options, Counters> | undefined;
  readonly options: Options;
  readonly log: Log;
  /** Of a listener that nobody came to yet. */
  readonly noCounts: Readonly<Counters>;
}

/** Connections that wait until the code is loaded; more are closed. */
const WAITING_MAX = 1_024;

export class ClientDoor<Options, Counters extends object> {
  readonly #parts: ClientDoorParts<Options, Counters>;
  #listener: ClientListener<Counters> | undefined;
  #waiting: Connection[] = [];
  #isLoading = false;
  #isClosed = false;

  constructor(parts: ClientDoorParts<Options, Counters>) {
    this.#parts = parts;
  }

  get counters(): Readonly<Counters> {
    return this.#listener?.counters ?? this.#parts.noCounts;
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
    this.#listener?.linkEnded?.(node, thread);
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    for (const connection of this.#waiting.splice(0)) connection.destroy();
    await this.#listener?.close();
  }

  #start(): void {
    const { load, name } = this.#parts;
    if (load === undefined) {
      this.#failed(new Error(`this program has no listener for ${name}`));
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

  #started(start: StartListener<Options, Counters>): void {
    try {
      this.#listener = start(this.#parts.options);
    } catch (error) {
      this.#failed(error);
      return;
    }
    for (const connection of this.#waiting.splice(0)) this.#listener.accept(connection);
  }

  /** The next client may have more luck. */
  #failed(error: unknown): void {
    const { name, log } = this.#parts;
    log.error(`${name} cannot be served`, { reason: messageOf(error) });
    for (const connection of this.#waiting.splice(0)) connection.destroy();
  }
}
