// All exchanges, bindings and names of a vhost, ready to route by: built from a view, then changed step by
// step as the metadata changes, at the cost of the step. Pure. Queues are small indexes here; a name is
// looked up when the answer is used. An index that a deleted queue had is not given to another before
// `recycle`, so that answers kept for the rest of a turn never mean a later queue.
import type { BindingView, ExchangeView, NamesView, RouteChange } from '../../cluster/ports.ts';
import { assert } from '../../std/assert.ts';
import { encodeUtf8 } from '../../std/bytes.ts';
import { ByteMap } from './byte-map.ts';
import { Collector } from './collector.ts';
import { HeaderMatcher } from './header-matcher.ts';
import {
  DirectMatcher,
  FanoutMatcher,
  type Matcher,
  NameMatcher,
  UnknownMatcher,
} from './matcher.ts';
import type { RouteInput } from './route-input.ts';
import { Slots } from './slots.ts';
import type { Target } from './targets.ts';
import { TopicMatcher } from './topic-matcher.ts';

interface Exchange {
  readonly view: ExchangeView;
  readonly matcher: Matcher;
  readonly alternate: Uint8Array | undefined;
  /** Bindings to other exchanges. */
  exchangeTargets: number;
}

export type RouteSource = Pick<NamesView, 'exchanges' | 'destinations' | 'bindingsFrom'>;

export class RoutingTable {
  /** Grows with every change. */
  version = 0;
  readonly #collector = new Collector();
  #exchangeIndexes = new ByteMap();
  #exchangeSlots = new Slots();
  #exchanges: (Exchange | undefined)[] = [];
  #queueIndexes = new ByteMap();
  #queueSlots = new Slots();
  #queueNames: string[] = [];
  #retired: number[] = [];
  #headerBindings = 0;

  constructor(source: RouteSource) {
    this.reset(source);
  }

  // ---- Routing ---------------------------------------------------------------------------------------

  /** Index of the exchange whose name is [start, end) of `bytes`, or -1. */
  exchangeAt(bytes: Uint8Array, start: number, end: number): number {
    return this.#exchangeIndexes.find(bytes, start, end);
  }

  exchange(index: number): ExchangeView {
    return this.#exchangeOf(index).view;
  }

  queueName(index: number): string {
    return this.#queueNames[index]!;
  }

  /** All queue indexes, live or not yet recycled, are below. */
  get queuesEnd(): number {
    return this.#queueSlots.end;
  }

  /** Can the headers of a message to this exchange make a difference? If not, nobody need encode them. */
  wantsHeaders(index: number): boolean {
    if (this.#headerBindings === 0) return false;
    const { view, exchangeTargets } = this.#exchangeOf(index);
    return view.type === 'headers' || exchangeTargets > 0 || view.alternate !== undefined;
  }

  /**
   * Finds the queues for a message published to an exchange, each once: `targets` holds them in
   * [0, answer) until the next call. 0: nothing routes it.
   */
  route(exchange: number, input: RouteInput): number {
    const collector = this.#collector;
    collector.begin(exchange);
    for (let asked = 0; asked < collector.exchangeCount; asked += 1) {
      const next = this.#exchangeOf(collector.exchanges[asked]!);
      const hits = collector.hits;
      next.matcher.match(input, collector);
      if (collector.hits === hits && next.alternate !== undefined) {
        const alternate = this.#exchangeIndexes.get(next.alternate);
        if (alternate >= 0) collector.visit(alternate);
      }
    }
    return collector.count;
  }

  get targets(): Int32Array {
    return this.#collector.queues;
  }

  #exchangeOf(index: number): Exchange {
    const exchange = this.#exchanges[index];
    assert(exchange !== undefined, 'RoutingTable: no such exchange');
    return exchange;
  }

  // ---- Changes ---------------------------------------------------------------------------------------

  /** Indexes of deleted queues may be given again: no answer of before is in use any more. */
  recycle(): void {
    for (const index of this.#retired) this.#queueSlots.giveBack(index);
    this.#retired = [];
  }

  /** Everything anew. Indexes of before mean nothing any more. */
  reset(source: RouteSource): void {
    this.#exchangeIndexes = new ByteMap();
    this.#exchangeSlots = new Slots();
    this.#exchanges = [];
    this.#queueIndexes = new ByteMap();
    this.#queueSlots = new Slots();
    this.#queueNames = [];
    this.#retired = [];
    this.#headerBindings = 0;
    for (const { name, isInternal } of source.destinations()) {
      if (!isInternal) this.#addQueue(name);
    }
    const exchanges = source.exchanges();
    for (const exchange of exchanges) this.#addExchange(exchange);
    for (const { name } of exchanges) {
      for (const binding of source.bindingsFrom(name)) this.#addBinding(binding);
    }
    this.version += 1;
  }

  apply(change: RouteChange): void {
    this.version += 1;
    switch (change.kind) {
      case 'exchange-created':
        this.#addExchange(change.exchange);
        return;
      case 'exchange-deleted':
        this.#removeExchange(change.name);
        return;
      case 'binding-created':
        this.#addBinding(change.binding);
        return;
      case 'binding-deleted':
        this.#removeBinding(change.binding);
        return;
      case 'queue-created':
        this.#addQueue(change.name);
        return;
      case 'queue-deleted':
        this.#removeQueue(change.name);
        return;
    }
  }

  #addQueue(name: string): void {
    const index = this.#queueSlots.take();
    this.#queueNames[index] = name;
    this.#queueIndexes.set(encodeUtf8(name), index);
    this.#collector.reserve(this.#queueSlots.end, this.#exchangeSlots.end);
  }

  /** Its bindings are gone before. Internal destinations have no index. */
  #removeQueue(name: string): void {
    const key = encodeUtf8(name);
    const index = this.#queueIndexes.get(key);
    if (index < 0) return;
    this.#queueIndexes.delete(key);
    this.#retired.push(index);
  }

  #addExchange(view: ExchangeView): void {
    const index = this.#exchangeSlots.take();
    const alternate = view.alternate === undefined ? undefined : encodeUtf8(view.alternate);
    const matcher = this.#matcherOf(view);
    this.#exchanges[index] = { view, matcher, alternate, exchangeTargets: 0 };
    this.#exchangeIndexes.set(encodeUtf8(view.name), index);
    this.#collector.reserve(this.#queueSlots.end, this.#exchangeSlots.end);
  }

  #matcherOf({ name, type }: ExchangeView): Matcher {
    if (name === '') return new NameMatcher(this.#queueIndexes);
    switch (type) {
      case 'direct':
        return new DirectMatcher();
      case 'fanout':
        return new FanoutMatcher();
      case 'topic':
        return new TopicMatcher();
      case 'headers':
        return new HeaderMatcher();
      default:
        return new UnknownMatcher();
    }
  }

  /** Its bindings are gone before. */
  #removeExchange(name: string): void {
    const key = encodeUtf8(name);
    const index = this.#exchangeIndexes.get(key);
    assert(index >= 0, 'RoutingTable: a deleted exchange was there', { name });
    this.#exchangeIndexes.delete(key);
    this.#exchanges[index] = undefined;
    this.#exchangeSlots.giveBack(index);
  }

  #addBinding(binding: BindingView): void {
    const source = this.#sourceOf(binding);
    const target = this.#targetOf(binding);
    source.matcher.add(binding, target);
    if (target < 0) source.exchangeTargets += 1;
    if (source.view.type === 'headers') this.#headerBindings += 1;
  }

  #removeBinding(binding: BindingView): void {
    const source = this.#sourceOf(binding);
    const target = this.#targetOf(binding);
    source.matcher.remove(binding, target);
    if (target < 0) source.exchangeTargets -= 1;
    if (source.view.type === 'headers') this.#headerBindings -= 1;
  }

  #sourceOf({ source }: BindingView): Exchange {
    return this.#exchangeOf(this.#exchangeIndexes.get(encodeUtf8(source)));
  }

  #targetOf({ targetKind, target }: BindingView): Target {
    const key = encodeUtf8(target);
    const isQueue = targetKind === 'queue';
    const index = isQueue ? this.#queueIndexes.get(key) : this.#exchangeIndexes.get(key);
    assert(index >= 0, 'RoutingTable: the target of a binding is there', { targetKind, target });
    return isQueue ? index : ~index;
  }
}
