// Queues in memory behind the interface that sessions use: real routing, one array per queue, and answers in later turns
// as from the real one. What a test wants to go wrong is a field.
import type { DestinationView, VhostAccess } from '../../../src/broker/ports.ts';
import {
  type ConsumeOptions,
  type DeliveredMessage,
  type Publisher,
  type PublishOutcome,
  type PublishSink,
  type QueueAccess,
  type QueueReader,
  type QueueStats,
  type ReaderSink,
  type RecordParts,
  type RouteFields,
  RouteInput,
  RoutingTable,
  type StreamStart,
} from '../../../src/broker/ports.ts';
import type { LogResult, MetadataView } from '../../../src/cluster/ports.ts';
import { encodeBatch, RecordReader } from '../../../src/records/records.ts';
import { decodeUtf8 } from '../../../src/std/bytes.ts';
import { crc32c } from '../../../src/std/crc32c.ts';
import { type Cursor, readVarI32 } from '../../../src/std/varint.ts';

interface Message {
  readonly offset: number;
  readonly batch: Uint8Array;
  state: 'ready' | 'leased' | 'gone';
  isRedelivered: boolean;
  lease: number;
  returns: number;
}

interface Attached {
  readonly number: number;
  readonly reader: FakeReader;
  readonly queue: FakeQueue;
  readonly options: ConsumeOptions;
  credit: number;
  /** Leased, and of these delivered. */
  held: number;
  out: number;
}

/** A consumer of a stream of one log. */
interface Follower {
  readonly number: number;
  readonly reader: FakeReader;
  readonly queue: FakeQueue;
  next: number;
  credit: number;
  held: number;
}

export class FakeQueue {
  readonly messages: Message[] = [];
  readonly followers = new Set<Follower>();
  readonly consumers: Attached[] = [];
  turn = 0;

  get ready(): Message[] {
    return this.messages.filter((message) => message.state === 'ready');
  }

  get leased(): Message[] {
    return this.messages.filter((message) => message.state === 'leased');
  }

  bodies(state: Message['state'] = 'ready'): string[] {
    return this.messages
      .filter((message) => message.state === state)
      .map(({ batch }) => {
        const reader = new RecordReader();
        reader.open(batch, 0, batch.length);
        reader.next();
        return decodeUtf8(reader.value()!);
      });
  }
}

/** A record in a batch of its own. */
function storedBatch(parts: RecordParts): Uint8Array {
  const headers: { name: string; value: Uint8Array | null }[] = [];
  const cursor: Cursor = { at: parts.headersStart, end: parts.headersEnd };
  for (let i = 0; i < parts.headerCount; i += 1) {
    const nameSize = readVarI32(parts.headers, cursor);
    const name = decodeUtf8(parts.headers.subarray(cursor.at, cursor.at + nameSize));
    cursor.at += nameSize;
    const size = readVarI32(parts.headers, cursor);
    headers.push({
      name,
      value: size < 0 ? null : parts.headers.slice(cursor.at, cursor.at + size),
    });
    cursor.at += Math.max(0, size);
  }
  const key = parts.keyStart < 0 ? null : parts.key.slice(parts.keyStart, parts.keyEnd);
  const value = parts.value.slice(parts.valueStart, parts.valueEnd);
  return encodeBatch(
    [{ timestampMs: Math.max(0, parts.timestampMs), key, value, headers }],
    crc32c,
  );
}

export class FakeQueues implements QueueAccess {
  readonly routes: RoutingTable;
  /** By vhost, those that were asked for. */
  readonly #tables = new Map<string, RoutingTable>();
  readonly queues = new Map<number, FakeQueue>();
  /** Outcomes of publishes are kept back until `settlePublishes`. */
  holdsPublishes = false;
  outcome: PublishOutcome = 'stored';
  statsResult: LogResult | undefined;
  /** Attaches are not answered. */
  isMute = false;
  /** No queue can be used before a node comes back. */
  isOut = false;
  /** Where consumers of streams wanted to begin. */
  readonly starts: StreamStart[] = [];
  /** What publishes wait for, in their order. */
  readonly levels: string[] = [];
  readonly readers = new Set<FakeReader>();
  readonly publishers = new Set<FakePublisher>();
  readonly #view: MetadataView;
  readonly #soon: (task: () => void) => void;
  #heldBack: (() => void)[] = [];

  /** `soon`: runs a task in a later turn. */
  constructor(view: MetadataView, soon: (task: () => void) => void) {
    this.#view = view;
    this.#soon = soon;
    this.routes = new RoutingTable(view);
    this.#tables.set('/', this.routes);
    view.onRoutes((changes, vhost) => {
      for (const [name, table] of this.#tables) {
        if (changes === undefined) table.reset(view.in(name));
        else if (vhost === name) for (const change of changes) table.apply(change);
      }
      this.#endDeleted();
    });
  }

  soon(task: () => void): void {
    this.#soon(task);
  }

  append(): never {
    throw new Error('what AMQP publishes goes through exchanges');
  }

  /** Told at once, or when the test says so. */
  resolveLater(tell: () => void): void {
    if (this.holdsPublishes) this.#heldBack.push(tell);
    else tell();
  }

  settlePublishes(): void {
    for (const tell of this.#heldBack.splice(0)) tell();
  }

  queueOf(name: string, vhost = '/'): FakeQueue {
    const destination = this.#view.in(vhost).destination(name);
    if (destination === undefined) throw new Error(`no queue ${name}`);
    return this.queue(destination.logs[0]!.logId);
  }

  queue(logId: number): FakeQueue {
    let queue = this.queues.get(logId);
    if (queue === undefined) {
      queue = new FakeQueue();
      this.queues.set(logId, queue);
    }
    return queue;
  }

  #endDeleted(): void {
    for (const [logId, queue] of this.queues) {
      if (this.#view.log(logId) !== undefined) continue;
      this.queues.delete(logId);
      for (const { reader, number } of [...queue.consumers, ...queue.followers]) {
        reader.end(number, 'deleted');
      }
    }
  }

  in(vhost: string): VhostAccess {
    let routes = this.#tables.get(vhost);
    if (routes === undefined) {
      routes = new RoutingTable(this.#view.in(vhost));
      this.#tables.set(vhost, routes);
    }
    const table = routes;
    return { routes, publisher: (sink) => this.publisher(sink, vhost, table) };
  }

  publisher(sink: PublishSink, vhost = '/', routes = this.routes): Publisher {
    const publisher = new FakePublisher(this, sink, vhost, routes);
    this.publishers.add(publisher);
    return publisher;
  }

  reader(sink: ReaderSink): QueueReader {
    const reader = new FakeReader(this, sink);
    this.readers.add(reader);
    return reader;
  }

  stats(logId: number): Promise<QueueStats | LogResult> {
    if (this.statsResult !== undefined) return Promise.resolve(this.statsResult);
    const { ready, leased, consumers } = this.queue(logId);
    const counts = { ready: ready.length, leased: leased.length, consumers: consumers.length };
    return Promise.resolve({ ...counts, dropped: 0 });
  }

  purge(logId: number): Promise<number | LogResult> {
    const { ready } = this.queue(logId);
    for (const message of ready) message.state = 'gone';
    return Promise.resolve(ready.length);
  }

  messages(logIds: readonly number[]): Promise<number | LogResult> {
    if (this.statsResult !== undefined) return Promise.resolve(this.statsResult);
    const counts = logIds.map((logId) => this.queue(logId).messages.length);
    return Promise.resolve(counts.reduce((sum, count) => sum + count, 0));
  }

  check(
    logId: number,
    what: { readonly isUnused: boolean; readonly isEmpty: boolean },
  ): Promise<'ok' | 'in-use' | 'not-empty' | LogResult> {
    const queue = this.queue(logId);
    if (what.isUnused && queue.consumers.length > 0) return Promise.resolve('in-use');
    if (what.isEmpty && queue.ready.length > 0) return Promise.resolve('not-empty');
    return Promise.resolve('ok');
  }

  /** Gives out what can be given: by priority, and round robin within one. */
  dispatch(queue: FakeQueue): void {
    if (queue.followers.size > 0) {
      for (const follower of queue.followers) follower.reader.follow(follower);
      return;
    }
    for (;;) {
      const message = queue.messages.find(({ state }) => state === 'ready');
      if (message === undefined) return;
      const free = queue.consumers.filter(canTake);
      const best = Math.max(...free.map(({ options }) => options.priority));
      const rows = free.filter(({ options }) => options.priority === best);
      if (rows.length === 0) return;
      queue.turn += 1;
      const consumer = rows[queue.turn % rows.length]!;
      consumer.reader.give(consumer.number, queue, message, consumer.options.autoAcknowledge);
      if (!consumer.options.autoAcknowledge) consumer.held += 1;
    }
  }
}

function canTake({ credit, held, options }: Attached): boolean {
  return options.autoAcknowledge ? credit > 0 : credit > held;
}

class FakePublisher implements Publisher {
  readonly #queues: FakeQueues;
  readonly #sink: PublishSink;
  readonly #vhost: string;
  readonly #routes: RoutingTable;
  isClosed = false;

  constructor(queues: FakeQueues, sink: PublishSink, vhost: string, routes: RoutingTable) {
    this.#vhost = vhost;
    this.#routes = routes;
    this.#queues = queues;
    this.#sink = sink;
  }

  get sink(): PublishSink {
    return this.#sink;
  }

  publish(
    exchange: number,
    route: RouteFields,
    message: RecordParts,
    level: 'none' | 'accepted' | 'stored',
    ticket: number,
    isMandatory: boolean,
  ): void {
    const queues = this.#queues;
    const routes = this.#routes;
    queues.levels.push(level);
    const batch = storedBatch(message);
    const { name } = routes.exchange(exchange);
    const input = new RouteInput();
    input.bytes = route.bytes.slice();
    input.spans = route.spans.slice();
    input.keyCount = route.keyCount;
    input.setHeaders(route.headers.slice(), route.headersStart, route.headersEnd);
    queues.soon(() => {
      const found = routes.exchangeAt(Buffer.from(name), 0, Buffer.byteLength(name));
      const count = found < 0 ? 0 : routes.route(found, input);
      const names = [...routes.targets.subarray(0, count)].map((index) => routes.queueName(index));
      for (const target of names) this.#append(queues.queueOf(target, this.#vhost), batch);
      if (count === 0 && isMandatory && !this.isClosed)
        this.#sink.unroutable(ticket, partsOf(batch));
      if (ticket < 0) return;
      const { outcome } = queues;
      queues.resolveLater(() => {
        if (!this.isClosed) this.#sink.resolved(ticket, outcome, -1);
      });
    });
  }

  #append(queue: FakeQueue, batch: Uint8Array): void {
    const offset = queue.messages.length;
    const message = { offset, batch, isRedelivered: false, lease: 0, returns: 0 };
    queue.messages.push({ ...message, state: 'ready' });
    this.#queues.dispatch(queue);
  }

  close(): void {
    this.isClosed = true;
    this.#queues.publishers.delete(this);
  }
}

function partsOf(batch: Uint8Array): RecordParts {
  const record = new RecordReader();
  record.open(batch, 0, batch.length);
  record.next();
  const { bytes } = record;
  return {
    key: bytes,
    keyStart: record.keySize < 0 ? -1 : record.keyAt,
    keyEnd: record.keyAt + Math.max(0, record.keySize),
    value: bytes,
    valueStart: record.valueAt,
    valueEnd: record.valueAt + Math.max(0, record.valueSize),
    headers: bytes,
    headerCount: record.headerCount,
    headersStart: record.headersAt,
    headersEnd: record.headersEnd,
    timestampMs: record.timestampMs,
  };
}

export class FakeReader implements QueueReader {
  readonly #queues: FakeQueues;
  readonly #sink: ReaderSink;
  readonly #consumers = new Map<number, Attached>();
  readonly #followers = new Map<number, Follower>();
  readonly #leases = new Map<
    string,
    { consumer: number; message: Message; queue: FakeQueue; isOut: boolean }
  >();
  #lease = 0;
  isClosed = false;

  constructor(queues: FakeQueues, sink: ReaderSink) {
    this.#queues = queues;
    this.#sink = sink;
  }

  attach(consumer: number, destination: DestinationView, options: ConsumeOptions): void {
    const queue = this.#queues.queue(destination.logs[0]!.logId);
    const { from } = options;
    if (from !== undefined) {
      this.#queues.soon(() => {
        if (!this.#queues.isMute && !this.isClosed) this.#attachFollower(consumer, queue, from);
      });
      return;
    }
    this.#queues.soon(() => {
      if (this.#queues.isMute || this.isClosed) return;
      if (this.#queues.isOut) {
        this.#sink.ended(consumer, 'unreachable');
        return;
      }
      const isTaken = queue.consumers.some((each) => each.options.exclusive);
      if (isTaken || (options.exclusive && queue.consumers.length > 0)) {
        this.#sink.ended(consumer, 'exclusive');
        return;
      }
      const attached = {
        number: consumer,
        reader: this,
        queue,
        options,
        credit: 0,
        held: 0,
        out: 0,
      };
      this.#consumers.set(consumer, attached);
      queue.consumers.push(attached);
      this.#sink.attached(consumer);
    });
  }

  #attachFollower(number: number, queue: FakeQueue, from: StreamStart): void {
    const end = queue.messages.length;
    const next =
      from.kind === 'first'
        ? 0
        : from.kind === 'offset'
          ? from.offset
          : from.kind === 'last'
            ? end - 1
            : end;
    const follower = { number, reader: this, queue, next, credit: 0, held: 0 };
    queue.followers.add(follower);
    this.#followers.set(number, follower);
    this.#queues.starts.push(from);
    this.#sink.attached(number);
  }

  /** Delivers what it may have. */
  follow(follower: Follower): void {
    const { queue, number } = follower;
    while (follower.held < follower.credit && queue.followers.has(follower)) {
      const message = queue.messages[follower.next];
      if (message === undefined) return;
      follower.next += 1;
      follower.held += 1;
      const record = new RecordReader();
      record.open(message.batch, 0, message.batch.length);
      record.next();
      const logId = [...this.#queues.queues].find(([, each]) => each === queue)![0];
      const numbers = { logId, offset: message.offset, epoch: 0, lease: 0, returns: 0, ready: 0 };
      this.#sink.deliver(number, { ...numbers, isRedelivered: false, record });
      this.#sink.delivered();
    }
  }

  #settledOfStream(number: number): void {
    const follower = this.#followers.get(number);
    if (follower === undefined) return;
    follower.held -= 1;
    this.#queues.soon(() => this.follow(follower));
  }

  credit(consumer: number, messages: number): void {
    const follower = this.#followers.get(consumer);
    if (follower !== undefined) {
      follower.credit = messages;
      this.#queues.soon(() => this.follow(follower));
    }
    const attached = this.#consumers.get(consumer);
    if (attached === undefined) return;
    attached.credit = messages;
    this.#queues.soon(() => this.#queues.dispatch(attached.queue));
  }

  detach(consumer: number, keepsMessages: boolean): void {
    const follower = this.#followers.get(consumer);
    if (follower !== undefined) follower.queue.followers.delete(follower);
    this.#followers.delete(consumer);
    const attached = this.#consumers.get(consumer);
    if (attached === undefined) return;
    this.#consumers.delete(consumer);
    const { consumers } = attached.queue;
    consumers.splice(consumers.indexOf(attached), 1);
    if (keepsMessages) return;
    for (const [key, lease] of [...this.#leases]) {
      if (lease.consumer === consumer) this.#giveBack(key, true, false);
    }
  }

  get(consumer: number, destination: DestinationView, autoAcknowledge: boolean): void {
    const queue = this.#queues.queue(destination.logs[0]!.logId);
    this.#queues.soon(() => {
      if (this.#queues.isMute || this.isClosed) return;
      if (this.#queues.isOut) {
        this.#sink.ended(consumer, 'unreachable');
        return;
      }
      const message = queue.ready[0];
      if (message === undefined) this.#sink.empty(consumer);
      else this.give(consumer, queue, message, autoAcknowledge);
    });
  }

  give(consumer: number, queue: FakeQueue, message: Message, isAuto: boolean): void {
    this.#lease += 1;
    message.state = isAuto ? 'gone' : 'leased';
    message.lease = isAuto ? 0 : this.#lease;
    const logId = [...this.#queues.queues].find(([, each]) => each === queue)![0];
    if (!isAuto) {
      this.#leases.set(`${logId}/${message.offset}`, { consumer, message, queue, isOut: false });
    }
    const record = new RecordReader();
    record.open(message.batch, 0, message.batch.length);
    record.next();
    const delivered: DeliveredMessage = {
      logId,
      offset: message.offset,
      epoch: 1,
      lease: message.lease,
      isRedelivered: message.isRedelivered,
      returns: message.returns,
      ready: queue.ready.length,
      record,
    };
    this.#queues.soon(() => {
      // Its consumer is gone, and what it held went back.
      if (!isAuto && message.lease !== delivered.lease) return;
      if (this.isClosed) return;
      const attached = this.#consumers.get(consumer);
      if (attached !== undefined && !isAuto) {
        // Less credit than when it was leased: it goes back, and nobody has seen it.
        if (attached.out >= attached.credit) {
          this.#giveBack(`${logId}/${message.offset}`, true, false);
          message.isRedelivered = delivered.isRedelivered;
          return;
        }
        attached.out += 1;
        this.#leases.get(`${logId}/${message.offset}`)!.isOut = true;
      }
      this.#sink.deliver(consumer, delivered);
      this.#sink.delivered();
    });
  }

  acknowledge(number: number, logId: number, _epoch: number, offset: number, name: number): void {
    if (name === 0) this.#settledOfStream(number);
    const lease = this.#leases.get(`${logId}/${offset}`);
    if (lease === undefined) return;
    lease.message.state = 'gone';
    this.#settled(`${logId}/${offset}`);
  }

  return(
    number: number,
    logId: number,
    _epoch: number,
    offset: number,
    lease: number,
    isRequeued: boolean,
    counts: boolean,
  ): void {
    if (lease === 0) this.#settledOfStream(number);
    this.#giveBack(`${logId}/${offset}`, isRequeued, counts);
  }

  #giveBack(key: string, isRequeued: boolean, counts: boolean): void {
    const lease = this.#leases.get(key);
    if (lease === undefined) return;
    lease.message.state = isRequeued ? 'ready' : 'gone';
    lease.message.isRedelivered = true;
    lease.message.lease = 0;
    if (counts) lease.message.returns += 1;
    this.#settled(key);
  }

  #settled(key: string): void {
    const { consumer, queue, isOut } = this.#leases.get(key)!;
    this.#leases.delete(key);
    const attached = this.#consumers.get(consumer);
    if (attached !== undefined) attached.held -= 1;
    if (attached !== undefined && isOut) attached.out -= 1;
    this.#queues.soon(() => this.#queues.dispatch(queue));
  }

  /** The queue says that a consumer is none any more. */
  end(consumer: number, why: 'deleted'): void {
    this.detach(consumer, true);
    this.#queues.soon(() => {
      if (!this.isClosed) this.#sink.ended(consumer, why);
    });
  }

  close(): void {
    this.isClosed = true;
    for (const consumer of [...this.#consumers.keys(), ...this.#followers.keys()]) {
      this.detach(consumer, false);
    }
    for (const key of [...this.#leases.keys()]) this.#giveBack(key, true, false);
    this.#queues.readers.delete(this);
  }
}
