// One session's consumers and gets: numbers of the session on one side, links to queues and readers of streams
// on the other. Keeps account of what each consumer holds, so that it is asked for no more than it may.
import type { DestinationView } from '../../cluster/ports.ts';
import { PARTITION_KIND } from '../destination/kinds.ts';
import { QUEUE_KIND } from '../view/behavior.ts';
import { Consumer, type ConsumerSink } from './consumer.ts';
import type { ConsumeOptions, DeliveredMessage, QueueReader, ReaderSink } from './queue-api.ts';
import type { QueueLink } from './queue-link.ts';
import { Pace, type StreamConsumer } from './stream-consumer.ts';
import type { StreamReading } from './stream-reading.ts';

/** Consumers of one connection over its whole life. */
const CONSUMERS_PER_CONNECTION = 2 ** 20;
const GETS: ConsumeOptions = { autoAcknowledge: false, exclusive: false, priority: 0 };

export interface ReaderPort {
  link(logId: number): QueueLink;
  readonly streams: StreamReading;
  /** The link is pumped in this turn. */
  wantPump(link: QueueLink): void;
  /** Calls in a turn of the shard's actor. */
  soon(work: () => void): void;
  /** `delivered` is called at the end of what is under way. */
  touched(reader: SessionReader): void;
  closed(reader: SessionReader): void;
}

export class SessionReader implements QueueReader, ConsumerSink {
  readonly #sink: ReaderSink;
  readonly #port: ReaderPort;
  readonly #firstId: number;
  #nextId = 0;
  /** By number of the session; those that were detached stay while they hold something. */
  readonly #consumers = new Map<number, Consumer>();
  /** Those of streams, by number of the session. */
  readonly #streams = new Map<number, StreamConsumer>();
  readonly #pace = new Pace();
  /** By log. */
  readonly #getters = new Map<number, Consumer>();
  /** Detached, with messages that may still be settled. */
  readonly #detached = new Set<Consumer>();
  #isClosed = false;

  constructor(sink: ReaderSink, connection: number, port: ReaderPort) {
    this.#sink = sink;
    this.#port = port;
    this.#firstId = connection * CONSUMERS_PER_CONNECTION;
  }

  #makeId(): number {
    this.#nextId = (this.#nextId + 1) % CONSUMERS_PER_CONNECTION;
    return this.#firstId + this.#nextId;
  }

  // ---- What the session asks ------------------------------------------------------------------------

  attach(number: number, destination: DestinationView, options: ConsumeOptions): void {
    if (isStream(destination) && options.from !== undefined) {
      const logIds = destination.logs.map(({ logId }) => logId);
      const facts = { number, sink: this, logIds, pace: this.#pace };
      const stream = this.#port.streams.consumer(facts, options.from);
      if (stream !== undefined) this.#streams.set(number, stream);
      else this.#port.soon(() => this.ended(number, 'too-many-consumers'));
      return;
    }
    const logId = this.#queueOf(number, destination);
    if (logId === undefined) return;
    const link = this.#port.link(logId);
    const of = { number, sink: this, options, isGetting: false };
    const consumer = new Consumer(this.#makeId(), link, of);
    this.#consumers.set(number, consumer);
    link.add(consumer);
    this.#port.wantPump(link);
  }

  /** The one log of a queue; anything else cannot be consumed so. */
  #queueOf(number: number, { logs }: DestinationView): number | undefined {
    const [log] = logs;
    if (logs.length === 1 && log?.kind === QUEUE_KIND) return log.logId;
    this.#port.soon(() => this.ended(number, 'unsupported'));
    return undefined;
  }

  credit(number: number, messages: number): void {
    const stream = this.#streams.get(number);
    if (stream !== undefined && stream.credit !== messages) {
      stream.credit = messages;
      this.#port.streams.touch(stream);
    }
    const consumer = this.#consumers.get(number);
    if (consumer === undefined || consumer.credit === messages) return;
    consumer.credit = messages;
    this.#room(consumer);
  }

  #room(consumer: Consumer): void {
    if (consumer.state === 'ended') return;
    consumer.link.touch(consumer);
    this.#port.wantPump(consumer.link);
  }

  detach(number: number, keepsMessages: boolean): void {
    this.#streams.get(number)?.end();
    this.#streams.delete(number);
    const consumer = this.#consumers.get(number);
    if (consumer === undefined || consumer.state === 'ended') return;
    const { link, held } = consumer;
    link.remove(consumer, keepsMessages);
    if (keepsMessages && held > 0) this.#detached.add(consumer);
    else this.#consumers.delete(number);
    this.#port.wantPump(link);
  }

  get(number: number, destination: DestinationView, autoAcknowledge: boolean): void {
    const logId = this.#queueOf(number, destination);
    if (logId === undefined) return;
    let consumer = this.#getters.get(logId);
    if (consumer === undefined || consumer.state === 'ended') {
      const link = this.#port.link(logId);
      const of = { number, sink: this, options: GETS, isGetting: true };
      consumer = new Consumer(this.#makeId(), link, of);
      this.#getters.set(logId, consumer);
      link.add(consumer);
    }
    consumer.gets!.push({ number, autoAcknowledge });
    consumer.link.touch(consumer);
    this.#port.wantPump(consumer.link);
  }

  acknowledge(number: number, logId: number, epoch: number, offset: number, lease: number): void {
    if (lease === 0) {
      this.#settledOfStream(number);
      return;
    }
    const link = this.#port.link(logId);
    link.settlements.acknowledge(epoch, offset, lease);
    this.#port.wantPump(link);
    this.#settled(number);
  }

  return(
    number: number,
    logId: number,
    epoch: number,
    offset: number,
    lease: number,
    isRequeued: boolean,
    counts: boolean,
  ): void {
    if (lease === 0) {
      this.#settledOfStream(number);
      return;
    }
    const link = this.#port.link(logId);
    link.settlements.return(epoch, offset, lease, isRequeued, counts);
    this.#port.wantPump(link);
    this.#settled(number);
  }

  /** A stream keeps its messages, whatever is said of them: there is room for one more. */
  #settledOfStream(number: number): void {
    const stream = this.#streams.get(number);
    if (stream === undefined) return;
    stream.settled();
    this.#port.streams.touch(stream);
  }

  #settled(number: number): void {
    const consumer = this.#consumers.get(number);
    if (consumer === undefined || consumer.held === 0) return;
    consumer.held -= 1;
    if (consumer.state !== 'ended') this.#room(consumer);
    else if (consumer.held === 0) {
      this.#detached.delete(consumer);
      this.#consumers.delete(number);
    }
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    for (const consumer of this.#detached) {
      const link = this.#port.link(consumer.link.logId);
      link.giveUp(consumer);
      this.#port.wantPump(link);
    }
    for (const consumer of [...this.#consumers.values(), ...this.#getters.values()]) {
      if (consumer.state === 'ended') continue;
      consumer.link.remove(consumer, false);
      this.#port.wantPump(consumer.link);
    }
    for (const stream of this.#streams.values()) stream.end();
    this.#streams.clear();
    this.#consumers.clear();
    this.#getters.clear();
    this.#detached.clear();
    this.#port.closed(this);
  }

  // ---- What links tell ------------------------------------------------------------------------------

  deliver(number: number, message: DeliveredMessage): void {
    if (!this.#isClosed) this.#sink.deliver(number, message);
  }

  touched(): void {
    this.#port.touched(this);
  }

  /** All of this turn has been delivered. */
  flush(): void {
    if (!this.#isClosed) this.#sink.delivered();
  }

  attached(number: number): void {
    if (!this.#isClosed) this.#sink.attached(number);
  }

  ended(number: number, why: Parameters<ReaderSink['ended']>[1]): void {
    if (this.#consumers.get(number)?.state === 'ended') this.#consumers.delete(number);
    this.#streams.delete(number);
    if (!this.#isClosed) this.#sink.ended(number, why);
  }

  empty(number: number): void {
    if (!this.#isClosed) this.#sink.empty(number);
  }
}

function isStream({ logs }: DestinationView): boolean {
  return logs.length > 0 && logs.every(({ kind }) => kind === PARTITION_KIND);
}
