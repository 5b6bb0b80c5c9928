// Messages under way on one shard: a row of columns for each from its publish until every log that it
// went to has answered. Whoever published it is told once, with the worst of the answers.
import type { PublishOutcome } from './queue-api.ts';

const CAPACITY_MIN = 256;
const NONE = -1;
const OUTCOMES: readonly PublishOutcome[] = ['stored', 'refused', 'unknown'];

export interface FlightsPort {
  /** At most once for each message, and only where somebody asks. */
  told(publisher: number, ticket: number, outcome: PublishOutcome, offset: number): void;
  /** Every log has answered. */
  landed(publisher: number, bytes: number): void;
}

export class Flights {
  /** Messages under way. */
  count = 0;
  /** Their bytes, each message once. */
  bytes = 0;
  #publisher = new Int32Array(CAPACITY_MIN);
  #ticket = new Float64Array(CAPACITY_MIN);
  #size = new Int32Array(CAPACITY_MIN);
  /** Answers that are missing. */
  #missing = new Int32Array(CAPACITY_MIN);
  /** Index of the worst outcome so far; of a free row, the next free one. */
  #worst = new Int32Array(CAPACITY_MIN);
  #free = NONE;
  /** Rows ever used are below. */
  #used = 0;
  readonly #port: FlightsPort;

  constructor(port: FlightsPort) {
    this.#port = port;
  }

  /** A message that waits for one answer: what it is routed to. */
  take(publisher: number, ticket: number, bytes: number): number {
    let row = this.#free;
    if (row !== NONE) this.#free = this.#worst[row]!;
    else {
      row = this.#used;
      if (row === this.#ticket.length) this.#grow();
      this.#used += 1;
    }
    this.#publisher[row] = publisher;
    this.#ticket[row] = ticket;
    this.#size[row] = bytes;
    this.#missing[row] = 1;
    this.#worst[row] = 0;
    this.count += 1;
    this.bytes += bytes;
    return row;
  }

  publisherOf(row: number): number {
    return this.#publisher[row]!;
  }

  ticketOf(row: number): number {
    return this.#ticket[row]!;
  }

  /** So many logs more will answer. */
  expect(row: number, answers: number): void {
    this.#missing[row]! += answers;
  }

  /** One answer: index of {@link OUTCOMES}, and where that log has it; -1: nowhere, or nobody knows. */
  answer(row: number, outcome: number, offset = -1): void {
    if (outcome > this.#worst[row]!) this.#worst[row] = outcome;
    this.#missing[row]! -= 1;
    if (this.#missing[row]! > 0) return;
    this.tell(row, OUTCOMES[this.#worst[row]!]!, offset);
    const publisher = this.#publisher[row]!;
    const bytes = this.#size[row]!;
    this.#worst[row] = this.#free;
    this.#free = row;
    this.count -= 1;
    this.bytes -= bytes;
    this.#port.landed(publisher, bytes);
  }

  /** Tells whoever asks, whatever the answers that are still missing will say. */
  tell(row: number, outcome: PublishOutcome, offset = -1): void {
    const ticket = this.#ticket[row]!;
    if (ticket < 0) return;
    this.#ticket[row] = NONE;
    this.#port.told(this.#publisher[row]!, ticket, outcome, offset);
  }

  #grow(): void {
    const size = this.#ticket.length * 2;
    this.#publisher = grown(this.#publisher, new Int32Array(size));
    this.#ticket = grown(this.#ticket, new Float64Array(size));
    this.#size = grown(this.#size, new Int32Array(size));
    this.#missing = grown(this.#missing, new Int32Array(size));
    this.#worst = grown(this.#worst, new Int32Array(size));
  }
}

function grown<T extends Int32Array | Float64Array>(from: T, into: T): T {
  into.set(from);
  return into;
}
