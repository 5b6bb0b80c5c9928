// Runs of messages as columns: what is delivered, acknowledged or returned travels so, one row for
// neighbours, never one object per message. Lease numbers of a run count up with its offsets.
import type { ByteReader, ByteWriter } from '../../std/bytes.ts';

const CAPACITY_MIN = 8;
/** Where nothing was ever put: most runs of many queues never are. */
const NO_NUMBERS = new Float64Array(0);
const NO_COUNTS = new Int32Array(0);
const NO_FLAGS = new Uint8Array(0);

export class Runs {
  /** Rows. */
  size = 0;
  /** Messages of all rows. */
  total = 0;
  /** First offset of a run. */
  offset = NO_NUMBERS;
  count = NO_COUNTS;
  /** Lease number of the first message; 0 where there is no lease. */
  number = NO_NUMBERS;
  /** How often the messages came back in a way that counts. */
  returns = NO_COUNTS;
  /** 1 if they may have been delivered before. */
  redelivered = NO_FLAGS;

  clear(): void {
    this.size = 0;
    this.total = 0;
  }

  /** Adds `count` messages from `offset` on; joins them to the last row if they continue it. */
  add(offset: number, count: number, number: number, returns = 0, redelivered = 0): void {
    const last = this.size - 1;
    if (last >= 0 && this.#continues(last, offset, number, returns, redelivered)) {
      this.count[last]! += count;
      this.total += count;
    } else this.push(offset, count, number, returns, redelivered);
  }

  /** Adds a row of its own. */
  push(offset: number, count: number, number: number, returns = 0, redelivered = 0): void {
    const at = this.size;
    if (at === this.offset.length) this.#grow(Math.max(CAPACITY_MIN, at * 2));
    this.size += 1;
    this.total += count;
    this.offset[at] = offset;
    this.count[at] = count;
    this.number[at] = number;
    this.returns[at] = returns;
    this.redelivered[at] = redelivered;
  }

  #continues(
    row: number,
    offset: number,
    number: number,
    returns: number,
    redelivered: number,
  ): boolean {
    const count = this.count[row]!;
    const before = this.number[row]!;
    return (
      this.offset[row]! + count === offset &&
      number === (before === 0 ? 0 : before + count) &&
      this.returns[row] === returns &&
      this.redelivered[row] === redelivered
    );
  }

  #grow(rows: number): void {
    this.offset = moved(this.offset, new Float64Array(rows));
    this.count = moved(this.count, new Int32Array(rows));
    this.number = moved(this.number, new Float64Array(rows));
    this.returns = moved(this.returns, new Int32Array(rows));
    this.redelivered = moved(this.redelivered, new Uint8Array(rows));
  }
}

function moved<T extends Float64Array | Int32Array | Uint8Array>(from: T, into: T): T {
  into.set(from);
  return into;
}

/** Offsets, counts and lease numbers; each row is told as the distance to the end of the one before. */
export function putRuns(out: ByteWriter, runs: Runs): void {
  out.varU53(runs.size);
  let offset = 0;
  let number = 0;
  for (let row = 0; row < runs.size; row += 1) {
    const count = runs.count[row]!;
    out.varI53(runs.offset[row]! - offset);
    out.varU53(count);
    out.varI53(runs.number[row]! - number);
    offset = runs.offset[row]! + count;
    number = runs.number[row]! + count;
  }
}

/**
 * Fills `into`, row by row as they were put. Throws BytesError for bytes that end early, RangeError for
 * values that are no run or for more than `messagesMax` messages.
 */
export function getRuns(from: ByteReader, into: Runs, messagesMax: number): void {
  into.clear();
  const rows = from.varU53();
  let offset = 0;
  let number = 0;
  for (let row = 0; row < rows; row += 1) {
    offset += from.varI53();
    const count = from.varU53();
    number += from.varI53();
    if (count < 1 || into.total + count > messagesMax)
      throw new RangeError('a run of a bad length');
    if (offset < 0 || number < 0 || !Number.isSafeInteger(offset + count)) {
      throw new RangeError('a run outside of a log');
    }
    into.push(offset, count, number);
    offset += count;
    number += count;
  }
}
