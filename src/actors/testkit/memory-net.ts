// A net inside one process for tests on a manual environment: connections are pairs of queues, bytes
// arrive in pieces that the seed cuts, in later tasks of the run queue, and a test can cut everything.
// Order is kept and nothing is lost before a cut. No latency: the simulator's net has that.
import type {
  Address,
  Connection,
  ConnectionEvents,
  Listener,
  Net,
  Random,
  RunQueue,
} from '../../env/environment.ts';

const FIRST_FREE_PORT = 40_000;

export class MemoryNet implements Net {
  /** Live connections, both ends counted. */
  readonly live = new Set<MemoryConnection>();
  /** While true, new connections are refused. */
  isCut = false;
  readonly #runQueue: RunQueue;
  readonly #random: Random;
  readonly #listeners = new Map<number, (connection: Connection) => void>();
  #nextPort = FIRST_FREE_PORT;
  #nextId = 1;

  constructor(runQueue: RunQueue, random: Random) {
    this.#runQueue = runQueue;
    this.#random = random.fork('memory-net');
  }

  listen(at: Address, accept: (connection: Connection) => void): Promise<Listener> {
    const port = at.port === 0 ? this.#nextPort++ : at.port;
    if (this.#listeners.has(port)) {
      return Promise.reject(Object.assign(new Error('port in use'), { code: 'EADDRINUSE' }));
    }
    this.#listeners.set(port, accept);
    return Promise.resolve({
      address: { host: at.host, port },
      close: () => void this.#listeners.delete(port),
    });
  }

  connect(to: Address): Connection {
    const here = { host: '127.0.0.1', port: this.#nextPort++ };
    const near = this.#make(here, to);
    this.#runQueue.soon(() => {
      const accept = this.isCut ? undefined : this.#listeners.get(to.port);
      if (accept === undefined) {
        near.fail(Object.assign(new Error('connection refused'), { code: 'ECONNREFUSED' }));
        return;
      }
      const far = this.#make(to, here);
      near.join(far);
      far.join(near);
      accept(far);
      near.opened();
    });
    return near;
  }

  /** Breaks every connection, as a pulled cable does once somebody notices. */
  cut(): void {
    for (const each of [...this.live]) {
      each.fail(Object.assign(new Error('cut by the test'), { code: 'ECONNRESET' }));
    }
  }

  #make(local: Address, remote: Address): MemoryConnection {
    const id = this.#nextId++;
    const connection = new MemoryConnection(id, local, remote, this.#runQueue, this.#random, () =>
      this.live.delete(connection),
    );
    this.live.add(connection);
    return connection;
  }
}

class MemoryConnection implements Connection {
  readonly id: number;
  readonly local: Address;
  readonly remote: Address;
  queuedBytes = 0;
  readonly #runQueue: RunQueue;
  readonly #random: Random;
  readonly #onGone: () => void;
  readonly #arrived: Uint8Array[] = [];
  #events: ConnectionEvents | undefined;
  #far: MemoryConnection | undefined;
  #isOpen = false;
  #isPaused = false;
  #isScheduled = false;
  #isEnded = false;
  #close: { readonly error: Error | undefined } | undefined;
  #isToldClosed = false;

  constructor(
    id: number,
    local: Address,
    remote: Address,
    runQueue: RunQueue,
    random: Random,
    onGone: () => void,
  ) {
    this.id = id;
    this.local = local;
    this.remote = remote;
    this.#runQueue = runQueue;
    this.#random = random;
    this.#onGone = onGone;
  }

  join(far: MemoryConnection): void {
    this.#far = far;
    this.#isOpen = true;
  }

  opened(): void {
    this.#events?.onOpen?.();
    this.#pump();
  }

  start(events: ConnectionEvents): void {
    this.#events = events;
    this.#pump();
  }

  write(bytes: Uint8Array, done?: () => void): void {
    if (this.#close === undefined && !this.#isEnded && this.#isOpen && this.#far !== undefined) {
      this.#far.#arrived.push(bytes.slice());
      this.#far.#pump();
    }
    if (done !== undefined) this.#runQueue.soon(done);
  }

  sendFile(): void {
    throw new Error('the memory net sends no files');
  }

  pauseReading(): void {
    this.#isPaused = true;
  }

  resumeReading(): void {
    this.#isPaused = false;
    this.#pump();
  }

  end(): void {
    this.#isEnded = true;
    this.#runQueue.soon(() => this.#far?.ended(undefined));
    this.ended(undefined);
  }

  destroy(): void {
    this.#arrived.length = 0;
    this.#runQueue.soon(() => this.#far?.ended(undefined));
    this.ended(undefined);
  }

  fail(error: Error): void {
    this.#arrived.length = 0;
    this.ended(error);
  }

  /** No more bytes will come; what has arrived is read first. */
  ended(error: Error | undefined): void {
    this.#close ??= { error };
    this.#pump();
  }

  #pump(): void {
    if (this.#isScheduled || this.#events === undefined || this.#isToldClosed) return;
    this.#isScheduled = true;
    this.#runQueue.soon(() => {
      this.#isScheduled = false;
      this.#deliver();
    });
  }

  #deliver(): void {
    if (this.#isPaused || this.#isToldClosed) return;
    const first = this.#arrived.shift();
    if (first !== undefined) {
      // Half of the time a piece is cut in two, so that no reader relies on whole writes.
      const isCut = first.length > 1 && this.#random.below(2) === 0;
      const length = isCut ? 1 + this.#random.below(first.length - 1) : first.length;
      if (isCut) this.#arrived.unshift(first.subarray(length));
      // The view is lent: what is read after the call must not be readable.
      const lent = first.slice(0, length);
      this.#events!.onBytes(lent);
      lent.fill(0xdd);
      this.#pump();
    } else if (this.#close !== undefined) {
      this.#isToldClosed = true;
      this.#onGone();
      this.#events!.onClose(this.#close.error);
    }
  }
}
