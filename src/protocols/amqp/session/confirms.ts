// The confirms of one channel: publishes are numbered from 1, outcomes come in any order, and what is known at the end
// of a turn leaves as few acknowledgements as can be: one for all up to the first that is open, single ones for the
// rest (rabbit_channel.erl sends them so; clients must take both).
import type { ByteWriter } from '../../../std/bytes.ts';
import { MULTIPLE, writeAck, writeNack } from '../codec/index.ts';

const OPEN = 0;
const ACKED = 1;
const NACKED = 2;
/** The client knows. */
const SENT = 3;
const CAPACITY_MIN = 64;
/** A larger ring is given back when all is sent. */
const CAPACITY_KEPT_MAX = 16 * 1024;

export class Confirms {
  /** The number of the last publish. */
  last = 0;
  /** The first number of which the client does not know, and all below are known. */
  #base = 1;
  /** States of [#base, last], by number modulo the capacity, a power of two. */
  #states: Uint8Array = new Uint8Array(CAPACITY_MIN);
  /** Numbers that were resolved since the last flush. */
  #fresh: Float64Array = new Float64Array(CAPACITY_MIN);
  #freshCount = 0;

  /** Publishes that the client waits for. */
  get hasOpen(): boolean {
    return this.#base <= this.last;
  }

  get hasFresh(): boolean {
    return this.#freshCount > 0;
  }

  /** Another publish; answers its number. */
  next(): number {
    const { length } = this.#states;
    if (this.last + 1 - this.#base >= length) this.#grow();
    this.last += 1;
    this.#states[this.#placeOf(this.last)] = OPEN;
    return this.last;
  }

  /** What became of a publish. */
  resolve(number: number, isStored: boolean): void {
    this.#states[this.#placeOf(number)] = isStored ? ACKED : NACKED;
    if (this.#freshCount === this.#fresh.length) {
      const grown = new Float64Array(this.#freshCount * 2);
      grown.set(this.#fresh);
      this.#fresh = grown;
    }
    this.#fresh[this.#freshCount] = number;
    this.#freshCount += 1;
  }

  /** Appends what the client should know by now. */
  flush(writer: ByteWriter, channel: number): void {
    if (this.#freshCount === 0) return;
    this.#flushFront(writer, channel);
    for (let i = 0; i < this.#freshCount; i += 1) {
      const number = this.#fresh[i]!;
      if (number < this.#base) continue;
      const place = this.#placeOf(number);
      if (this.#states[place] === ACKED) writeAck(writer, channel, number, 0);
      else if (this.#states[place] === NACKED) writeNack(writer, channel, number, 0);
      this.#states[place] = SENT;
    }
    this.#freshCount = 0;
    if (this.hasOpen || this.#states.length <= CAPACITY_KEPT_MAX) return;
    this.#states = new Uint8Array(CAPACITY_MIN);
    this.#fresh = new Float64Array(CAPACITY_MIN);
  }

  /** All from the first on that are not open, in runs of one kind. */
  #flushFront(writer: ByteWriter, channel: number): void {
    let start = this.#base;
    let kind = SENT;
    let count = 0;
    let number = start;
    for (; number <= this.last; number += 1) {
      const state = this.#states[this.#placeOf(number)]!;
      if (state === OPEN) break;
      if (state === SENT || state === kind) {
        if (state !== SENT) count = number - start + 1;
        continue;
      }
      this.#writeRun(writer, channel, kind, start, count);
      start = number;
      kind = state;
      count = 1;
    }
    this.#writeRun(writer, channel, kind, start, count);
    this.#base = number;
  }

  #writeRun(writer: ByteWriter, channel: number, kind: number, start: number, count: number): void {
    if (kind === SENT || count === 0) return;
    const bits = count > 1 ? MULTIPLE : 0;
    const number = start + count - 1;
    if (kind === ACKED) writeAck(writer, channel, number, bits);
    else writeNack(writer, channel, number, bits);
  }

  #placeOf(number: number): number {
    return number % this.#states.length;
  }

  #grow(): void {
    const old = this.#states;
    const grown = new Uint8Array(old.length * 2);
    for (let number = this.#base; number <= this.last; number += 1) {
      grown[number % grown.length] = old[number % old.length]!;
    }
    this.#states = grown;
  }
}
