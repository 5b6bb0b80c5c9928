// One consumer of a stream: fed from all of its logs in turns, in the order of each, as long as it may hold more.
// Records lie here only while they are wanted: what nobody takes for a moment is put aside and fetched again later.
import type { Decompress, RecordsFault } from '../../records/records.ts';
import { RingQueue } from '../../std/ring-queue.ts';
import type { ByteBudget } from './byte-budget.ts';
import type { ConsumerSink } from './consumer.ts';
import type { MessageSlot } from './link-port.ts';
import { type Beginning, type CursorOwner, StreamCursor } from './stream-cursor.ts';
import type { StreamLog } from './stream-log.ts';

/** Messages of one log before the next one has its turn. */
const QUANTUM = 64;
/** Logs of which records lie here, or are on their way, at once. */
const LOGS_AT_ONCE = 16;
/** Records stay here for so long without being wanted. */
const KEPT_MS = 500;
/** Bytes that one session is given in a turn: then what was written must leave first. */
const TURN_BYTES_MAX = 1024 * 1024;
const NEXT_TURN_MS = 1;

/** What one session was given in the present turn, of all its streams. */
export class Pace {
  #turn = -1;
  #bytes = 0;

  hasRoom(turn: number): boolean {
    if (turn !== this.#turn) {
      this.#turn = turn;
      this.#bytes = 0;
    }
    return this.#bytes < TURN_BYTES_MAX;
  }

  add(bytes: number): void {
    this.#bytes += bytes;
  }
}

export interface StreamConsumerPort {
  readonly budget: ByteBudget;
  readonly message: MessageSlot;
  readonly decompress: Decompress;
  log(logId: number): StreamLog;
  turn(): number;
  later(delayMs: number, work: () => void): void;
  /** It finds no room: `pump` is called when there is some. */
  starved(consumer: StreamConsumer): void;
  /** Nothing is told it any more. */
  ended(consumer: StreamConsumer, logs: number): void;
}

export interface StreamConsumerFacts {
  /** The session's number of it. */
  readonly number: number;
  readonly sink: ConsumerSink;
  readonly logIds: readonly number[];
  readonly from: Beginning;
  readonly pace: Pace;
}

export class StreamConsumer implements CursorOwner {
  /** Messages that may be out, and those that are. */
  credit = 0;
  #held = 0;
  readonly #facts: StreamConsumerFacts;
  readonly #port: StreamConsumerPort;
  readonly #cursors: readonly StreamCursor[];
  /** With records here, in the order of their turns. */
  readonly #loaded = new RingQueue<StreamCursor>();
  /** Worth a fetch, in the order of their turns. */
  readonly #hungry = new RingQueue<StreamCursor>();
  #fetching = 0;
  /** Cursors that do not know where to begin. */
  #unplaced: number;
  #delivered = 0;
  #isEnded = false;
  #isKept = false;
  #isPaced = false;

  constructor(facts: StreamConsumerFacts, port: StreamConsumerPort) {
    this.#facts = facts;
    this.#port = port;
    const { logIds, from } = facts;
    this.#unplaced = logIds.length;
    this.#cursors = logIds.map((logId) => new StreamCursor(logId, this, from, port.decompress));
  }

  /** In a turn of the shard's actor. */
  start(): void {
    for (const cursor of this.#cursors) {
      if (this.#isEnded) return;
      this.#port.log(cursor.logId).add(cursor);
    }
  }

  /** One of its messages is settled, however. */
  settled(): void {
    this.#held = Math.max(0, this.#held - 1);
  }

  end(): void {
    if (this.#isEnded) return;
    this.#isEnded = true;
    for (const cursor of this.#cursors) {
      this.#port.log(cursor.logId).remove(cursor);
      cursor.drop();
      this.#account(cursor);
    }
    this.#loaded.clear();
    this.#hungry.clear();
    this.#port.ended(this, this.#cursors.length);
  }

  get #hasCredit(): boolean {
    return !this.#isEnded && this.#unplaced === 0 && this.#held < this.credit;
  }

  /** Delivers what is here, and fetches what is wanted next. All logs are asked while there is room for one. */
  pump(): void {
    this.#feed();
    this.#deliver();
    this.#feed();
  }

  #feed(): void {
    while (this.#hasCredit && this.#loaded.size + this.#fetching < LOGS_AT_ONCE) {
      const cursor = this.#hungry.peek();
      if (cursor === undefined) return;
      if (!this.#port.budget.take(cursor.fetchBytes)) {
        this.#port.starved(this);
        return;
      }
      this.#hungry.shift();
      cursor.accountedBytes = cursor.fetchBytes;
      this.#fetching += 1;
      this.#port.log(cursor.logId).fetch(cursor);
    }
  }

  // ---- Delivering ---------------------------------------------------------------------------------

  #deliver(): void {
    const before = this.#delivered;
    const { pace, sink } = this.#facts;
    while (this.#hasCredit) {
      const cursor = this.#loaded.peek();
      if (cursor === undefined) break;
      if (!pace.hasRoom(this.#port.turn())) {
        this.#goOnLater();
        break;
      }
      this.#loaded.shift();
      const isLeft = this.#deliverFrom(cursor);
      this.#account(cursor);
      if (this.#isEnded) break;
      if (!isLeft) this.#exhausted(cursor);
      else if (this.#port.budget.isOver) this.#putAside(cursor);
      else this.#loaded.push(cursor);
    }
    if (this.#delivered !== before) sink.touched();
    if (this.#loaded.size > 0 && !this.#hasCredit) this.#keepForAMoment();
  }

  /** False: nothing of the log is left here. */
  #deliverFrom(cursor: StreamCursor): boolean {
    const { message } = this.#port;
    const { sink, number, pace } = this.#facts;
    for (let i = 0; i < QUANTUM && this.#hasCredit; i += 1) {
      if (!cursor.step()) return false;
      const { reader } = cursor;
      message.record = reader;
      message.logId = cursor.logId;
      message.offset = reader.offset;
      message.epoch = 0;
      message.lease = 0;
      message.isRedelivered = false;
      message.returns = 0;
      message.ready = 0;
      this.#held += 1;
      this.#delivered += 1;
      pace.add(Math.max(0, reader.valueSize) + reader.headersEnd - reader.headersAt);
      sink.deliver(number, message);
      if (!pace.hasRoom(this.#port.turn())) break;
    }
    return true;
  }

  #exhausted(cursor: StreamCursor): void {
    const isFurther = cursor.exhausted();
    this.#account(cursor);
    if (isFurther) this.#hungry.push(cursor);
    else this.#port.log(cursor.logId).rest(cursor);
  }

  #putAside(cursor: StreamCursor): void {
    cursor.putAside();
    this.#account(cursor);
    this.#hungry.push(cursor);
  }

  #account(cursor: StreamCursor): void {
    const bytes = cursor.heldBytes - cursor.accountedBytes;
    cursor.accountedBytes = cursor.heldBytes;
    if (bytes !== 0) this.#port.budget.change(bytes);
  }

  /** What was written leaves at the end of the turn. */
  #goOnLater(): void {
    if (this.#isPaced) return;
    this.#isPaced = true;
    this.#port.later(NEXT_TURN_MS, () => {
      this.#isPaced = false;
      this.pump();
    });
  }

  /** Who takes one message at a time finds the next ones here; but the memory is wanted by others. */
  #keepForAMoment(): void {
    if (this.#isKept) return;
    this.#isKept = true;
    const delivered = this.#delivered;
    this.#port.later(KEPT_MS, () => {
      this.#isKept = false;
      if (this.#loaded.size === 0) return;
      if (this.#delivered !== delivered) {
        this.#keepForAMoment();
        return;
      }
      for (let cursor = this.#loaded.shift(); cursor !== undefined; cursor = this.#loaded.shift()) {
        this.#putAside(cursor);
      }
    });
  }

  // ---- What its logs tell ---------------------------------------------------------------------------

  placed(cursor: StreamCursor): void {
    this.#hungry.push(cursor);
    this.#unplaced -= 1;
    if (this.#unplaced > 0) return;
    this.#facts.sink.attached(this.#facts.number);
    this.pump();
  }

  fetched(cursor: StreamCursor, slices: readonly Uint8Array[], release: () => void): void {
    this.#fetching -= 1;
    cursor.load(slices, release);
    this.#account(cursor);
    this.#loaded.push(cursor);
    this.pump();
  }

  unfed(cursor: StreamCursor): void {
    if (cursor.accountedBytes === 0) return;
    this.#fetching -= 1;
    this.#account(cursor);
  }

  hungry(cursor: StreamCursor): void {
    this.#hungry.push(cursor);
    this.pump();
  }

  ended(why: 'deleted' | 'unreachable'): void {
    const { sink, number } = this.#facts;
    if (this.#isEnded) return;
    this.end();
    sink.ended(number, why);
  }

  unread(cursor: StreamCursor, from: number, to: number, why: RecordsFault): void {
    this.#port.log(cursor.logId).warnUnread(from, to, why);
  }
}
