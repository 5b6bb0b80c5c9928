// One queue of a cluster, its publisher and its consumer: publishes with confirms up to a window, consumes with
// acknowledgements, and knows when everything has come, once.
import { type DevCluster, until } from '../../tools/lib/dev-cluster.mjs';
import { Confirms } from './amqp-bench.ts';
import { type AmqpWire, ackThrough, Method, publishFrames } from './amqp-wire.ts';

const BODY_BYTES = 1_024;
const PER_SEGMENT = 64;
const PREFETCH = 1_000;
const DRAIN_MS = 120_000;

export interface ShownLog {
  readonly leader: number;
  readonly isr: readonly number[];
}

interface Shown {
  readonly destinations: readonly { readonly name: string; readonly partitions: ShownLog[] }[];
}

export async function shownLog(http: string, queue: string): Promise<ShownLog | undefined> {
  const shown = (await (await fetch(`${http}/api/destinations`)).json()) as Shown;
  return shown.destinations.find(({ name }) => name === queue)?.partitions[0];
}

/** The URL of the node that leads the queue, once all of its replicas are in sync. */
export async function leaderUrl(
  { nodes }: DevCluster,
  queue: string,
  replicas: number,
): Promise<string> {
  return until(`${queue} has ${replicas} replicas`, async () => {
    const log = await shownLog(nodes[0]!.http, queue);
    if (log?.isr.length !== replicas) return undefined;
    return nodes.find(({ id }) => id === log.leader)?.amqp;
  });
}

export interface FlowOptions {
  readonly queue: string;
  /** Messages that may wait for their confirm. */
  readonly window: number;
  /** Messages in one write; left out: 64. */
  readonly perSegment?: number;
}

export class Flow {
  readonly #to: AmqpWire;
  readonly #confirms = new Confirms();
  readonly #segment: Buffer;
  readonly #perSegment: number;
  readonly #window: number;
  #published = 0;
  #wanted = 0;
  #delivered = 0;
  #acknowledged = 0;
  /** Deliveries that the server says to be repeated: a leader changed. */
  redelivered = 0;
  #onConfirms: () => void = () => undefined;

  private constructor(to: AmqpWire, from: AmqpWire, options: FlowOptions) {
    this.#to = to;
    this.#window = options.window;
    this.#perSegment = options.perSegment ?? PER_SEGMENT;
    const one = publishFrames(options.queue, BODY_BYTES, true);
    this.#segment = Buffer.concat(Array.from({ length: this.#perSegment }, () => one));
    to.onMethod = (id, bytes, at) => {
      if (id === Method.nack) throw new Error('a message was refused');
      if (id === Method.ack) this.#confirms.take(bytes.readUInt32BE(at + 4), bytes[at + 8] === 1);
    };
    to.onRead = () => {
      this.#fill();
      this.#onConfirms();
    };
    from.onMethod = (id, bytes, at) => {
      if (id !== Method.deliver) return;
      this.#delivered += 1;
      // Behind the consumer's tag and the delivery tag.
      if (bytes[at + 1 + bytes[at]! + 8] === 1) this.redelivered += 1;
    };
    from.onRead = () => {
      if (this.#delivered === this.#acknowledged) return;
      from.socket.write(ackThrough(this.#delivered));
      this.#acknowledged = this.#delivered;
    };
  }

  static async open(to: AmqpWire, from: AmqpWire, options: FlowOptions): Promise<Flow> {
    await to.confirmSelect();
    await from.consume(options.queue, PREFETCH, false);
    return new Flow(to, from, options);
  }

  #fill(): void {
    while (
      this.#published < this.#wanted &&
      this.#published + this.#perSegment - this.#confirms.count <= this.#window
    ) {
      this.#published += this.#perSegment;
      this.#to.socket.write(this.#segment);
    }
  }

  /** One more write; resolves when all that was published is confirmed. */
  confirmOne(): Promise<void> {
    this.#wanted = this.#published + this.#perSegment;
    return new Promise((resolve) => {
      this.#onConfirms = () => {
        if (this.#confirms.count !== this.#published) return;
        this.#onConfirms = () => undefined;
        resolve();
      };
      this.#fill();
    });
  }

  /** Publishes at least so many more; resolves when all are confirmed and consumed. Answers how many it were. */
  async pass(count: number): Promise<number> {
    const before = this.#published;
    this.#wanted = before + count;
    this.#fill();
    const isDone = () =>
      this.#published >= this.#wanted &&
      this.#confirms.count === this.#published &&
      this.#delivered >= this.#published;
    await until('all are confirmed and consumed', isDone, DRAIN_MS);
    const again = this.#delivered - this.#published;
    if (again !== 0) {
      throw new Error(`${again} messages came twice, ${this.redelivered} as repeated`);
    }
    return this.#published - before;
  }
}
