// Where a message goes, as it is found out: each queue once, however many bindings and exchanges lead
// there, and the exchanges still to be asked, each once, so that rings end. Lives as long as its table.
import { growInts } from './grow.ts';
import { Marks } from './marks.ts';
import type { Target, Targets } from './targets.ts';

export class Collector {
  /** Queue indexes in [0, count); the rest is of earlier messages. Replaced when it grows. */
  queues: Int32Array = new Int32Array(64);
  count = 0;
  /** Bindings that matched, of any kind: grows only. */
  hits = 0;
  /** Exchange indexes in [0, exchangeCount), in the order in which they are to be asked. */
  exchanges: Int32Array = new Int32Array(16);
  exchangeCount = 0;
  readonly #seenQueues = new Marks();
  readonly #seenExchanges = new Marks();

  /** Queue and exchange indexes stay below. */
  reserve(queues: number, exchanges: number): void {
    this.#seenQueues.reserve(queues);
    this.#seenExchanges.reserve(exchanges);
    if (exchanges > this.exchanges.length) this.exchanges = growInts(this.exchanges, exchanges);
    if (queues <= this.queues.length) return;
    this.queues = new Int32Array(Math.max(queues, this.queues.length * 2));
  }

  begin(exchange: number): void {
    this.count = 0;
    this.hits = 0;
    this.exchanges[0] = exchange;
    this.exchangeCount = 1;
    this.#seenQueues.clear();
  }

  visit(exchange: number): void {
    // Most messages never leave their first exchange, and pay nothing for the others.
    if (this.exchangeCount === 1) {
      this.#seenExchanges.clear();
      this.#seenExchanges.add(this.exchanges[0]!);
    }
    if (!this.#seenExchanges.add(exchange)) return;
    this.exchanges[this.exchangeCount] = exchange;
    this.exchangeCount += 1;
  }

  take(targets: Targets): void {
    const { items } = targets;
    this.hits += items.length;
    const { queues } = this;
    let { count } = this;
    for (let i = 0; i < items.length; i += 1) {
      const target = items[i]!;
      if (target < 0) this.visit(~target);
      else if (this.#seenQueues.add(target)) {
        queues[count] = target;
        count += 1;
      }
    }
    this.count = count;
  }

  takeOne(target: Target): void {
    this.hits += 1;
    if (target < 0) this.visit(~target);
    else if (this.#seenQueues.add(target)) {
      this.queues[this.count] = target;
      this.count += 1;
    }
  }
}
