// The sending end of one log on one shard: everything that is published to the log here goes through it,
// merged into one batch per turn, in order. Its messages are numbered, so a batch that got no answer is sent
// again, unchanged, to whoever leads next, and is stored once. Batches are objects, messages are not: they
// are bytes of a batch, and a row of their flight.
//
// Invariant: the numbers of the batches that were sent and are not settled follow one another, and no
// batch is sent while an earlier one waits to be sent again.
import { BatchBuilder } from '../../records/batch-builder.ts';
import type { RecordInput } from '../../records/records.ts';
import type { BufferPool } from '../../std/buffer-pool.ts';
import { RingQueue } from '../../std/ring-queue.ts';
import { PUBLISH_HEAD_BYTES_MAX } from '../view/commands.ts';

const ROWS_MIN = 16;
/** In front of what is appended: its size, attributes, and how far its time and offset are from the first. */
const RECORD_HEAD_BYTES_MAX = 5 + 1 + 8 + 5;
/** In place of a number: those behind take it. */
const NOT_STORED = -1;
/** Indexes of OUTCOMES in flights.ts. */
export const STORED = 0;
export const REFUSED = 1;
export const UNKNOWN = 2;

/** In front of the batch is room for the head of a command. */
export const HEAD_ROOM = PUBLISH_HEAD_BYTES_MAX;

export class FeedBatch {
  readonly builder: BatchBuilder;
  /** Number of the first message; 0: never sent. */
  number = 0;
  /** Flights of its messages: places in the ring of rows of its feed. */
  rowsAt = 0;
  count = 0;
  sinceMs = 0;
  state: 'waiting' | 'sent' | 'settled' = 'waiting';
  /** Its header is written: it takes no more, and is always sent as it is. */
  isSealed = false;
  /** It is with a host that may still read it, and nobody knows: its memory is not used again. */
  isLent = false;
  isGivenUp = false;
  /** All of its messages are content when the leader has them. */
  isEarly = true;
  /** Whoever published its messages was told for good; only its log still has to take it. */
  isAnswered = false;

  constructor(pool?: BufferPool) {
    this.builder = new BatchBuilder(1024, HEAD_ROOM, pool);
  }

  get bytes(): number {
    return this.builder.size;
  }

  reset(): void {
    this.builder.release();
    this.number = 0;
    this.count = 0;
    this.state = 'waiting';
    this.isSealed = false;
    this.isGivenUp = false;
    this.isAnswered = false;
    this.isEarly = true;
  }
}

/** What a feed asks of the shard. */
export interface FeedPort {
  readonly batchesInFlightMax: number;
  nowMs(): number;
  takeBatch(): FeedBatch;
  giveBatch(batch: FeedBatch): void;
  /** Sends it to the log's leader; `answered`, `again` or `lost` follows. */
  send(feed: Feed, batch: FeedBatch): void;
  /** `offset`: where the log has it; -1 if it has not, or nobody knows. */
  answer(flight: number, outcome: number, offset: number): void;
  giveUp(flight: number): void;
}

export class Feed {
  readonly logId: number;
  /** Bytes of a batch, as far as its first message leaves room. */
  batchBytesMax: number;
  /** The log takes no message without a key, nor a batch that has one: none is to be appended. */
  needsKeys = false;
  /** Bytes that are not settled. */
  bytes = 0;
  /** Batches that have no answer yet. */
  inFlight = 0;
  /** There is a leader to send to, and no reason to wait. */
  canSend = false;
  /** The log cannot be used before a node comes back: nothing is to be appended. */
  isOut = false;
  readonly #port: FeedPort;
  /** Oldest first. Those before #next were sent; the last may still grow. */
  readonly #batches = new RingQueue<FeedBatch>();
  #next = 0;
  #nextNumber = 1;
  /** Something must be sent again: as soon as nothing is in flight. */
  #isRewinding = false;
  /** What the log wants next, as it said about the oldest batch; 0: it said nothing. */
  #expected = 0;
  /** Bytes of the batch before the open one: as many are expected again. */
  #lastBytes = 0;
  #rows = new Int32Array(ROWS_MIN);
  /** Rows ever written, and those that are done with: places in #rows, modulo its size (a power of two). */
  #rowsEnd = 0;
  #rowsStart = 0;

  constructor(logId: number, batchBytesMax: number, port: FeedPort) {
    this.logId = logId;
    this.batchBytesMax = batchBytesMax;
    this.#port = port;
  }

  get isIdle(): boolean {
    return this.#batches.size === 0;
  }

  /** Since when its oldest message waits, in ms of the shard's clock; Infinity if none does. */
  get sinceMs(): number {
    return this.#batches.peek()?.sinceMs ?? Number.POSITIVE_INFINITY;
  }

  // ---- Messages -----------------------------------------------------------------------------------

  /** `isEarly`: it counts as stored when the leader has it, if the others in its batch do. */
  append(
    timestampMs: number,
    body: Uint8Array,
    start: number,
    end: number,
    flight: number,
    isEarly = false,
  ): void {
    const batch = this.#open(end - start);
    batch.isEarly &&= isEarly;
    const before = batch.bytes;
    batch.builder.appendEncoded(timestampMs, body, start, end);
    this.bytes += batch.bytes - before;
    batch.count += 1;
    this.#keepRow(flight);
  }

  /** Into one batch, whatever its size: they are stored together or not at all. `size`: of all their bodies. */
  appendTogether(records: readonly RecordInput[], size: number, flight: number): void {
    const batch = this.#open(size + records.length * RECORD_HEAD_BYTES_MAX);
    batch.isEarly = false;
    const before = batch.bytes;
    for (const { timestampMs, key, value, headers } of records) {
      batch.builder.append(timestampMs, key, value, headers);
      this.#keepRow(flight);
    }
    batch.count += records.length;
    this.bytes += batch.bytes - before;
  }

  #open(size: number): FeedBatch {
    const { size: count } = this.#batches;
    if (this.#next < count) {
      const last = this.#batches.at(count - 1);
      const isOpen = !last.isSealed && last.state === 'waiting';
      const bytes = last.bytes + RECORD_HEAD_BYTES_MAX + size;
      if (isOpen && bytes <= this.batchBytesMax) return last;
    }
    const batch = this.#port.takeBatch();
    batch.rowsAt = this.#rowsEnd;
    batch.sinceMs = this.#port.nowMs();
    batch.builder.expect(Math.min(this.#lastBytes, this.batchBytesMax));
    this.bytes += batch.bytes;
    this.#batches.push(batch);
    return batch;
  }

  #keepRow(flight: number): void {
    if (this.#rowsEnd - this.#rowsStart === this.#rows.length) this.#growRows();
    this.#rows[this.#rowsEnd & (this.#rows.length - 1)] = flight;
    this.#rowsEnd += 1;
  }

  #growRows(): void {
    const old = this.#rows;
    const rows = new Int32Array(old.length * 2);
    for (let at = this.#rowsStart; at < this.#rowsEnd; at += 1) {
      rows[at & (rows.length - 1)] = old[at & (old.length - 1)]!;
    }
    this.#rows = rows;
  }

  /** The flights of all that is not settled; a message that was answered for good may be another's by now. */
  eachOpen(visit: (flight: number) => void): void {
    for (const batch of this.#batches) {
      if (batch.state === 'settled' || batch.isAnswered) continue;
      for (let i = 0; i < batch.count; i += 1) visit(this.#row(batch.rowsAt + i));
    }
  }

  // ---- Sending ------------------------------------------------------------------------------------

  /** Sends what can be sent now. */
  pump(): void {
    if (this.#isRewinding) {
      if (this.inFlight > 0) return;
      this.#rewind();
    }
    while (this.canSend && this.#next < this.#batches.size) {
      if (this.inFlight >= this.#port.batchesInFlightMax) return;
      const batch = this.#batches.at(this.#next);
      this.#next += 1;
      if (batch.state === 'settled') continue;
      if (batch.number === 0) {
        this.#lastBytes = batch.bytes;
        batch.number = this.#nextNumber;
        this.#nextNumber += batch.count;
      }
      batch.state = 'sent';
      this.inFlight += 1;
      this.#port.send(this, batch);
    }
  }

  /** From the oldest on, again; with other numbers if what came before them is not there any more. */
  #rewind(): void {
    this.#isRewinding = false;
    this.#next = 0;
    let number = this.#expected > 0 ? this.#expected : (this.#batches.peek()?.number ?? 0);
    this.#expected = 0;
    if (number === 0) return;
    for (const batch of this.#batches) {
      if (batch.number === 0) break;
      if (batch.number === NOT_STORED) continue;
      batch.number = number;
      number += batch.count;
    }
    this.#nextNumber = number;
  }

  // ---- Answers ------------------------------------------------------------------------------------

  /** It is stored, where `offset` says if that is known, or never will be. */
  settled(batch: FeedBatch, outcome: number, offset = -1): void {
    if (batch.state !== 'sent') return;
    this.inFlight -= 1;
    // Those behind it would leave a gap.
    if (outcome === REFUSED) this.#refused(batch);
    this.#answer(batch, outcome, offset);
    this.#dropSettled();
  }

  #refused(batch: FeedBatch): void {
    this.#isRewinding = true;
    if (batch === this.#batches.peek()) this.#expected = batch.number;
    batch.number = NOT_STORED;
  }

  /** It has to be sent again: nothing of it was stored, or nobody can tell. */
  again(batch: FeedBatch): void {
    if (batch.state !== 'sent') return;
    this.inFlight -= 1;
    batch.state = 'waiting';
    this.#isRewinding = true;
  }

  /** The log wants another number: earlier messages are missing there. */
  gap(batch: FeedBatch, expected: number): void {
    if (batch.state !== 'sent') return;
    // Of the others nothing is known until those before them are there.
    if (batch === this.#batches.peek()) this.#expected = expected;
    this.again(batch);
  }

  /** Nobody will answer any more. */
  lost(batch: FeedBatch): void {
    batch.isLent = true;
    this.again(batch);
  }

  /** Gives up what has waited since then. What was sent goes on: its number is taken. */
  giveUpBefore(sinceMs: number): void {
    let unsent = 0;
    for (let at = 0; at < this.#batches.size; at += 1) {
      const batch = this.#batches.at(at);
      if (batch.sinceMs > sinceMs) break;
      if (batch.state === 'settled' || batch.isGivenUp || batch.isAnswered) continue;
      if (batch.number === 0) {
        this.#answer(batch, UNKNOWN, -1);
        unsent += 1;
        continue;
      }
      batch.isGivenUp = true;
      for (let i = 0; i < batch.count; i += 1) this.#port.giveUp(this.#row(batch.rowsAt + i));
    }
    this.#dropSettled();
    if (unsent > 0) this.#dropUnsent();
  }

  /**
   * The log cannot be used before a node comes back. What was never sent is over; of what was nobody knows, and it
   * goes again when there is a leader: its number is taken. Nobody waits for either.
   */
  refuseAll(): void {
    for (const batch of this.#batches) {
      if (batch.state === 'settled') continue;
      if (batch.number === 0) this.#answer(batch, REFUSED, -1);
      else this.#tell(batch, UNKNOWN, -1);
    }
    this.#dropSettled();
    this.#dropUnsent();
  }

  /** The log is gone, or takes nothing any more: all of it is over. */
  end(outcome: number): void {
    for (const batch of this.#batches) {
      if (batch.state === 'settled') continue;
      if (batch.state === 'sent') batch.isLent = true;
      this.#answer(batch, outcome, -1);
    }
    this.inFlight = 0;
    this.#isRewinding = false;
    this.#expected = 0;
    this.#dropSettled();
  }

  #answer(batch: FeedBatch, outcome: number, offset: number): void {
    batch.state = 'settled';
    this.bytes -= batch.bytes;
    this.#tell(batch, outcome, offset);
  }

  #tell(batch: FeedBatch, outcome: number, offset: number): void {
    if (batch.isAnswered) return;
    batch.isAnswered = true;
    for (let i = 0; i < batch.count; i += 1) {
      this.#port.answer(this.#row(batch.rowsAt + i), outcome, offset < 0 ? -1 : offset + i);
    }
  }

  #row(place: number): number {
    return this.#rows[place & (this.#rows.length - 1)]!;
  }

  #dropSettled(): void {
    for (let first = this.#batches.peek(); first?.state === 'settled'; ) {
      this.#batches.shift();
      if (this.#next > 0) this.#next -= 1;
      this.#rowsStart = first.rowsAt + first.count;
      this.#port.giveBatch(first);
      first = this.#batches.peek();
    }
  }

  /** Those that were never sent and are over, wherever they stand behind others that have to go again. */
  #dropUnsent(): void {
    const kept: FeedBatch[] = [];
    let sent = 0;
    let place = this.#batches.peek()?.rowsAt ?? this.#rowsEnd;
    for (let at = 0; at < this.#batches.size; at += 1) {
      const batch = this.#batches.at(at);
      if (batch.state === 'settled' && batch.number === 0) {
        this.#port.giveBatch(batch);
        continue;
      }
      if (at < this.#next) sent += 1;
      kept.push(batch);
      place = this.#moveRows(batch, place);
    }
    this.#batches.clear();
    for (const batch of kept) this.#batches.push(batch);
    this.#next = sent;
    this.#rowsEnd = place;
  }

  /** Never to a later place. Answers where the next batch's rows may begin. */
  #moveRows(batch: FeedBatch, place: number): number {
    if (batch.rowsAt !== place) {
      const rows = this.#rows;
      for (let i = 0; i < batch.count; i += 1) {
        rows[(place + i) & (rows.length - 1)] = this.#row(batch.rowsAt + i);
      }
      batch.rowsAt = place;
    }
    return place + batch.count;
  }
}
