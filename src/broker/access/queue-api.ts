// What the broker offers to a protocol's sessions on one shard: publishing through exchanges, and
// consuming from queues wherever they are led. Types alone. Everything is called in turns of that shard,
// and everything lent is lent for the call. Sinks are told in turns of other actors too: they note what
// they are told and ask to be woken.
import type { DestinationView, ExchangeView, LogResult } from '../../cluster/ports.ts';
import type { RecordInput, RecordReader } from '../../records/records.ts';
import type { QueueOutcome } from '../view/answers.ts';

/** The exchanges of this shard, current: what a session asks of them before it publishes. */
export interface Routes {
  /** Grows with every change. An index is good until then. */
  readonly version: number;
  /** Index of the exchange whose name is [start, end) of `bytes`, or -1. */
  exchangeAt(bytes: Uint8Array, start: number, end: number): number;
  exchange(index: number): ExchangeView;
  /** Whether the headers of a message make a difference; if not, nobody need encode them for routing. */
  wantsHeaders(index: number): boolean;
}

/** What routing needs of a message: keys as ranges of one array, headers in the neutral form. */
export interface RouteFields {
  readonly bytes: Uint8Array;
  /** Start and end of each key, one pair behind the other. */
  readonly spans: Int32Array;
  readonly keyCount: number;
  readonly headers: Uint8Array;
  readonly headersStart: number;
  readonly headersEnd: number;
}

/** A message as ranges of bytes; one object per session, filled anew for each message. */
export interface RecordParts {
  key: Uint8Array;
  /** Negative: no key. */
  keyStart: number;
  keyEnd: number;
  value: Uint8Array;
  valueStart: number;
  valueEnd: number;
  /** Encoded as in a record, one behind the other: varint size and bytes of the name, then of the value. */
  headers: Uint8Array;
  headerCount: number;
  headersStart: number;
  headersEnd: number;
  /** Negative: now. */
  timestampMs: number;
}

/**
 * `stored`: at its level in every queue, or it went nowhere; `refused`: some queue did not take it;
 * `unknown`: given up after the confirm timeout, or nobody can tell.
 */
export type PublishOutcome = 'stored' | 'refused' | 'unknown';

export interface PublishSink {
  /** Told before `resolved`, for each message that asks for it. The message is lent as it was published. */
  unroutable(ticket: number, message: RecordParts): void;
  /**
   * Once for each message with a ticket that is not negative. `offset`: where the log that answered last has
   * it; -1 if it went nowhere, or nobody knows.
   */
  resolved(ticket: number, outcome: PublishOutcome, offset: number): void;
  /** Too much is under way: read no more from this connection until `room`. */
  full(): void;
  room(): void;
  /** What was published waits for room on the disk of a leader: publish no more until `unblocked`. */
  blocked(): void;
  unblocked(): void;
}

export interface Publisher {
  /**
   * Hands a message to an exchange, in order per exchange. `level` none: resolved when it is on its way,
   * and still sent again to the next leader until it is stored; `accepted`: when the leaders of its queues have it;
   * `stored`: when each queue has it as safely as it says. `ticket`: chosen by the caller; negative:
   * nobody asks what becomes of it.
   */
  publish(
    exchange: number,
    route: RouteFields,
    message: RecordParts,
    level: 'none' | 'accepted' | 'stored',
    ticket: number,
    isMandatory: boolean,
  ): void;
  /** The sink is told nothing more; what was published is stored all the same. */
  close(): void;
}

/**
 * What became of records. `timed-out`: nobody knows, and they may be stored later; after any other result but
 * `ok` they never are. `baseOffset`: of the first; -1 if they are not stored, or nobody knows where.
 */
export type AppendDone = (result: LogResult, baseOffset: number) => void;

/** One object per shard, filled anew for each message. */
export interface DeliveredMessage {
  readonly logId: number;
  readonly offset: number;
  readonly epoch: number;
  /** With the epoch, the name under which it is settled; 0 where nobody has to be told: of streams, and where
   * it counts as acknowledged already. */
  readonly lease: number;
  readonly isRedelivered: boolean;
  /** How often it came back in a way that counts. */
  readonly returns: number;
  /** Messages that are left and wait, as the queue last said. */
  readonly ready: number;
  /** Stands on the record. */
  readonly record: RecordReader;
}

/** `unreachable`: nobody leads the queue before a node comes back. */
export type ConsumerEnd = QueueOutcome | 'deleted' | 'unsupported' | 'unreachable';

export interface ReaderSink {
  /** Told only while the consumer may hold more. */
  deliver(consumer: number, message: DeliveredMessage): void;
  /** No more in this turn: what was made of it can be written. */
  delivered(): void;
  attached(consumer: number): void;
  /** It is none any more: the queue was deleted, or said why it refuses it. */
  ended(consumer: number, why: ConsumerEnd): void;
  /** Nothing was there for a `get`; what was there is delivered under its number. */
  empty(consumer: number): void;
}

/** Where a consumer of a stream begins, in each of its logs. */
export type StreamStart =
  /** `last`: with the last batch. `next`: behind all that is there. */
  | { readonly kind: 'first' | 'last' | 'next' }
  /** The same number in each log. What is not there any more is left out, what is not there yet waited for. */
  | { readonly kind: 'offset'; readonly offset: number }
  /** With the first record that is not older. */
  | { readonly kind: 'time'; readonly timestampMs: number }
  | { readonly kind: 'age'; readonly ageMs: number };

export interface ConsumeOptions {
  /** Messages count as acknowledged when they are delivered. */
  readonly autoAcknowledge: boolean;
  /** Nobody else may consume. */
  readonly exclusive: boolean;
  /** Higher ones are served first. */
  readonly priority: number;
  /** Of a stream, whose consumers get everything, each for itself: acknowledgements only make room. */
  readonly from?: StreamStart;
}

/** Consumers have numbers that the session chooses; each is attached once at a time. */
export interface QueueReader {
  /** Starts without credit. A consumer of a stream is fed from all of its logs, in the order of each. */
  attach(consumer: number, destination: DestinationView, options: ConsumeOptions): void;
  /**
   * So many messages may be out with the consumer and not be settled, those that are now included. 0 stops
   * it; Infinity is bounded inside. With `autoAcknowledge` nothing is out: any positive number is no bound.
   */
  credit(consumer: number, messages: number): void;
  /** It gets no more. `keepsMessages`: what it holds may still be settled, else it is ready again at once. */
  detach(consumer: number, keepsMessages: boolean): void;
  /** One message that is there now, or `empty`. */
  get(consumer: number, destination: DestinationView, autoAcknowledge: boolean): void;
  /** Gathered per turn and queue. The consumer (or `get`) is the one it was delivered to. */
  acknowledge(consumer: number, logId: number, epoch: number, offset: number, lease: number): void;
  /** `isRequeued`: ready again where it was, else gone. `counts`: one more of its `returns`. */
  return(
    consumer: number,
    logId: number,
    epoch: number,
    offset: number,
    lease: number,
    isRequeued: boolean,
    counts: boolean,
  ): void;
  /** Everything that it holds is ready again. */
  close(): void;
}

export interface QueueStats {
  /** Messages that wait. */
  readonly ready: number;
  /** Messages that are out with consumers. */
  readonly leased: number;
  readonly consumers: number;
  /** Messages that came back too often and are gone, since the queue was made. */
  readonly dropped: number;
}

/** The exchanges of one vhost. */
export interface VhostAccess {
  readonly routes: Routes;
  /** One per connection. */
  publisher(sink: PublishSink): Publisher;
}

/** Exchanges are those of `/`, as destinations are wherever they are named; see `in`. */
export interface QueueAccess extends VhostAccess {
  /** Of another vhost, which is there. */
  in(vhost: string): VhostAccess;
  /**
   * Records for one log, past exchanges: stored once, together, behind what this shard has published there.
   * `throttled`: too much is under way there. `done` is called once, in a turn of the shard's actor, never
   * inside this call.
   */
  append(logId: number, records: readonly RecordInput[], timeoutMs: number, done: AppendDone): void;
  /** One per connection; `connection` is unique among all that this node has in this life. */
  reader(sink: ReaderSink, connection: number): QueueReader;
  // Questions that are rare. 'timed-out': nobody has answered in time, and a purge may have happened.
  stats(logId: number, timeoutMs: number): Promise<QueueStats | LogResult>;
  /** How many messages went. */
  purge(logId: number, timeoutMs: number): Promise<number | LogResult>;
  /** How many messages are in the logs of a stream. */
  messages(logIds: readonly number[], timeoutMs: number): Promise<number | LogResult>;
  /** May it be deleted? */
  check(
    logId: number,
    what: { readonly isUnused: boolean; readonly isEmpty: boolean },
    timeoutMs: number,
  ): Promise<'ok' | 'in-use' | 'not-empty' | LogResult>;
}
