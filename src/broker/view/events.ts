// What a frame of a queue's log says beside its batch: events, one after another, until the bytes end.
//
//   u8 1 | client varint | incarnation varint | first number varint      the batch is the client's
//   u8 2 | runs (offset delta, count)                                    acknowledged
//   u8 3 | runs                                                          came back, and it counts
//   u8 4 | offset varint                                                 may be delivered below it
//   u8 5 | offset varint | runs                                          purged below it, except the runs
//   u8 6 | runs                                                          came back too often, and are dropped
//
// Runs are a varint for their number, then for each the zigzag distance from the end of the one before
// and the count. Unknown events are of a newer version: applying them throws, and the log stands still.
import { ByteReader, ByteWriter } from '../../std/bytes.ts';
import type { Runs } from './runs.ts';

const PUBLISHED = 1;
const ACKNOWLEDGED = 2;
const CAME_BACK = 3;
const RESERVED = 4;
const PURGED = 5;
const DROPPED = 6;

export interface EventVisitor {
  published(clientId: number, incarnation: number, firstNumber: number): void;
  acknowledged(offset: number, count: number): void;
  cameBack(offset: number, count: number): void;
  dropped(offset: number, count: number): void;
  reserved(offset: number): void;
  /** `except` is called once for each run that stays, ascending. */
  purged(below: number, except: (each: (offset: number, count: number) => void) => void): void;
}

export class EventWriter {
  readonly #out = new ByteWriter(64);

  get isEmpty(): boolean {
    return this.#out.size === 0;
  }

  clear(): void {
    this.#out.reset();
  }

  published(clientId: number, incarnation: number, firstNumber: number): void {
    this.#out.u8(PUBLISHED);
    this.#out.varU53(clientId);
    this.#out.varU53(incarnation);
    this.#out.varU53(firstNumber);
  }

  acknowledged(runs: Runs): void {
    this.#runs(ACKNOWLEDGED, runs);
  }

  cameBack(runs: Runs): void {
    this.#runs(CAME_BACK, runs);
  }

  dropped(runs: Runs): void {
    this.#runs(DROPPED, runs);
  }

  reserved(offset: number): void {
    this.#out.u8(RESERVED);
    this.#out.varU53(offset);
  }

  purged(below: number, except: Runs): void {
    this.#out.u8(PURGED);
    this.#out.varU53(below);
    this.#put(except);
  }

  /** The events so far, lent until `clear`. */
  bytes(): Uint8Array {
    return this.#out.finish();
  }

  #runs(kind: number, runs: Runs): void {
    if (runs.size === 0) return;
    this.#out.u8(kind);
    this.#put(runs);
  }

  #put(runs: Runs): void {
    this.#out.varU53(runs.size);
    let end = 0;
    for (let row = 0; row < runs.size; row += 1) {
      this.#out.varI53(runs.offset[row]! - end);
      this.#out.varU53(runs.count[row]!);
      end = runs.offset[row]! + runs.count[row]!;
    }
  }
}

/** Throws for bytes that no version up to this one has written. */
export function visitEvents(events: Uint8Array, visitor: EventVisitor): void {
  const from = new ByteReader(events);
  while (from.remaining > 0) {
    const kind = from.u8();
    switch (kind) {
      case PUBLISHED:
        visitor.published(from.varU53(), from.varU53(), from.varU53());
        break;
      case ACKNOWLEDGED:
      case CAME_BACK:
      case DROPPED:
        visitRuns(kind, from, visitor);
        break;
      case RESERVED:
        visitor.reserved(from.varU53());
        break;
      case PURGED:
        visitor.purged(from.varU53(), (each) => eachRun(from, each));
        break;
      default:
        throw new RangeError(`queue event ${kind} is unknown: written by a newer version`);
    }
  }
}

/** Of the kinds that every message brings with it: no function is made for one. */
function visitRuns(kind: number, from: ByteReader, visitor: EventVisitor): void {
  const rows = from.varU53();
  let end = 0;
  for (let row = 0; row < rows; row += 1) {
    const offset = end + from.varI53();
    const count = from.varU53();
    if (kind === ACKNOWLEDGED) visitor.acknowledged(offset, count);
    else if (kind === CAME_BACK) visitor.cameBack(offset, count);
    else visitor.dropped(offset, count);
    end = offset + count;
  }
}

function eachRun(from: ByteReader, each: (offset: number, count: number) => void): void {
  const rows = from.varU53();
  let end = 0;
  for (let row = 0; row < rows; row += 1) {
    const offset = end + from.varI53();
    const count = from.varU53();
    each(offset, count);
    end = offset + count;
  }
}
