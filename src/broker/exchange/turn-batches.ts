// From "this message goes to these queues", message after message, to "this queue gets these messages":
// so that all publishes of a turn make one batch per queue. Columns that are used again; a message is its
// row, a small integer that means something to the caller (a row of a tape, a position in a chunk).
import { growInts } from './grow.ts';

export class TurnBatches {
  /** Queues touched in this turn, in order of their first message. */
  queues: Int32Array = new Int32Array(64);
  queueCount = 0;
  /** After `finish`: rows of queue i of `queues` lie in [starts[i], starts[i + 1]), in order of adding. */
  starts: Int32Array = new Int32Array(65);
  rows: Int32Array = new Int32Array(256);
  // Pairs of queue place and row, as they come.
  #pairPlaces: Int32Array = new Int32Array(256);
  #pairRows: Int32Array = new Int32Array(256);
  #pairs = 0;
  // By queue index: its place among `queues` in the turn that the second column names.
  #places: Int32Array = new Int32Array(64);
  #turns: Int32Array = new Int32Array(64);
  #turn = 1;

  /** Copies of messages in this turn. */
  get copies(): number {
    return this.#pairs;
  }

  /** The message at `row` goes to the queues in [0, count) of `targets`. */
  add(row: number, targets: Int32Array, count: number): void {
    const end = this.#pairs + count;
    if (end > this.#pairRows.length) {
      this.#pairPlaces = growInts(this.#pairPlaces, end);
      this.#pairRows = growInts(this.#pairRows, end);
    }
    for (let i = 0; i < count; i += 1) {
      this.#pairPlaces[this.#pairs + i] = this.#placeOf(targets[i]!);
      this.#pairRows[this.#pairs + i] = row;
    }
    this.#pairs = end;
  }

  #placeOf(queue: number): number {
    if (queue >= this.#places.length) {
      this.#places = growInts(this.#places, queue + 1);
      this.#turns = growInts(this.#turns, queue + 1);
    }
    if (this.#turns[queue] === this.#turn) return this.#places[queue]!;
    const place = this.queueCount;
    if (place >= this.queues.length) this.queues = growInts(this.queues, place + 1);
    this.queues[place] = queue;
    this.queueCount = place + 1;
    this.#turns[queue] = this.#turn;
    this.#places[queue] = place;
    return place;
  }

  /** Sorts the rows by queue: a counting sort, so each keeps the order in which its messages came. */
  finish(): void {
    const { queueCount } = this;
    const pairs = this.#pairs;
    if (queueCount + 1 > this.starts.length) this.starts = growInts(this.starts, queueCount + 1);
    if (pairs > this.rows.length) this.rows = growInts(this.rows, pairs);
    const { starts, rows } = this;
    starts.fill(0, 0, queueCount + 1);
    for (let i = 0; i < pairs; i += 1) starts[this.#pairPlaces[i]! + 1]! += 1;
    for (let i = 0; i < queueCount; i += 1) starts[i + 1]! += starts[i]!;
    for (let i = 0; i < pairs; i += 1) {
      const place = this.#pairPlaces[i]!;
      rows[starts[place]!] = this.#pairRows[i]!;
      starts[place]! += 1;
    }
    // Each start has moved to the end of its rows, which is the start of the next.
    starts.copyWithin(1, 0, queueCount);
    starts[0] = 0;
  }

  /** The next turn begins with nothing. */
  clear(): void {
    this.queueCount = 0;
    this.#pairs = 0;
    if (this.#turn === 0x3fff_ffff) {
      this.#turns.fill(0);
      this.#turn = 0;
    }
    this.#turn += 1;
  }
}
