// Publishing on one shard, from a session's call to the answers of all logs: the exchanges' replicas, what
// their queues are, the feeds, and what is under way. One shard, one thread, no promises.

import type { Ref } from '../../actors/ref.ts';
import type { System } from '../../actors/system.ts';
import type { DestinationView, MetadataView, RouteChange } from '../../cluster/ports.ts';
import { encodeUtf8, equalBytes } from '../../std/bytes.ts';
import { murmur2 } from '../../std/hash.ts';
import { LogRulesTable } from '../destination/log-rules.ts';
import {
  bodySize,
  FLAG_LEVEL_ACCEPTED,
  FLAG_LEVEL_NONE,
  FLAG_MANDATORY,
  type PublishTape,
} from '../exchange/publish-tape.ts';
import {
  ExchangeActor,
  type ExchangeCounters,
  type ExchangeOps,
  ExchangeReplica,
  exchangeActorName,
  type RoutedPort,
} from '../exchange/replica.ts';
import { RoutingTable } from '../exchange/routing-table.ts';
import { TurnBatches } from '../exchange/turn-batches.ts';
import { Appends } from './appends.ts';
import type { Feed } from './feed.ts';
import { REFUSED, STORED } from './feed.ts';
import { Feeds, type FeedsPort } from './feeds.ts';
import { Flights } from './flights.ts';
import { Publishers } from './publishers.ts';
import type { Publisher, PublishSink, RecordParts, RouteFields } from './queue-api.ts';

export interface PublishingParts extends Omit<FeedsPort, 'flights' | 'publishers'> {
  readonly system: System;
  readonly view: MetadataView;
  /** ms since 1970. */
  wallMs(): number;
  /** The shard's actor calls `feeds.flush` in this turn. */
  wantFlush(): void;
  /** Calls in a turn of the shard's actor. */
  soon(work: () => void): void;
}

const LEVEL_FLAGS = { none: FLAG_LEVEL_NONE, accepted: FLAG_LEVEL_ACCEPTED, stored: 0 } as const;

interface Replica {
  readonly replica: ExchangeReplica;
  ref: Ref<ExchangeOps>;
}

/** Where the messages of a destination go: one log, or one of several by key, or in turns. */
interface Target {
  readonly name: Uint8Array;
  readonly feeds: readonly Feed[];
  turn: number;
}

export class Publishing {
  readonly routes: RoutingTable;
  readonly feeds: Feeds;
  readonly flights: Flights;
  readonly publishers: Publishers;
  readonly appends: Appends;
  readonly #parts: PublishingParts;
  readonly #rules: LogRulesTable;
  readonly #replicas = new Map<string, Replica>();
  /** By index of the exchange, as the table has it now. */
  #byIndex: (Replica | undefined)[] = [];
  /** By index of the queue, as the metadata has it now. */
  #targets: (Target | undefined)[] = [];
  #targetsVersion = -1;
  readonly #routed: RoutedPort;
  /** Of exchanges that are gone. */
  readonly #ended: ExchangeCounters = { publishes: 0, copies: 0, unroutable: 0 };
  /** Copies whose queue could not be used before a node came back, or that lacked the key that it needs. */
  #refusedCopies = 0;

  constructor(parts: PublishingParts) {
    this.#parts = parts;
    this.#rules = new LogRulesTable(parts.view);
    this.routes = new RoutingTable(parts.view);
    this.publishers = new Publishers(parts.limits);
    this.flights = new Flights(this.publishers);
    const { flights, publishers } = this;
    this.feeds = new Feeds({ ...parts, flights, publishers });
    this.appends = new Appends({
      ...parts,
      flights,
      publishers,
      feeds: this.feeds,
      rules: this.#rules,
    });
    this.#routed = {
      routes: this.routes,
      memory: parts.memory,
      batches: new TurnBatches(),
      expect: (flight, answers) => flights.expect(flight, answers),
      deliver: (queue, tape, rows, start, end) => this.#deliver(queue, tape, rows, start, end),
      isOut: (queues, count) => this.#areOut(queues, count),
      unroutable: (flight, message) => this.#unroutable(flight, message),
      sent: (flight) => flights.tell(flight, 'stored'),
      routed: (flight) => flights.answer(flight, 0),
      flush: () => parts.wantFlush(),
    };
  }

  // ---- Sessions -----------------------------------------------------------------------------------

  publisher(sink: PublishSink): Publisher {
    const slot = this.publishers.add(sink);
    return {
      publish: (exchange, route, message, level, ticket, isMandatory) => {
        const flags = isMandatory ? FLAG_MANDATORY : 0;
        this.#publish(slot, exchange, route, message, ticket, flags | LEVEL_FLAGS[level]);
      },
      close: () => this.publishers.close(slot),
    };
  }

  #publish(
    slot: number,
    exchange: number,
    route: RouteFields,
    message: RecordParts,
    ticket: number,
    flags: number,
  ): void {
    const bytes = bodySize(message);
    const flight = this.flights.take(slot, ticket, bytes);
    const replica = this.#byIndex[exchange] ?? this.#replicaOf(exchange);
    const isNow = message.timestampMs < 0;
    const timestampMs = isNow ? Math.floor(this.#parts.wallMs()) : message.timestampMs;
    replica.replica.tape.add(route, message, timestampMs, flight, flags);
    if (!replica.replica.isTold) this.#tell(replica);
    this.publishers.took(slot, bytes);
  }

  // ---- Exchanges ----------------------------------------------------------------------------------

  #tell(of: Replica): void {
    of.replica.isTold = true;
    if (of.ref.offer('route', undefined) === 'accepted') return;
    // It has failed too often, or was stopped: another one takes its place.
    of.ref = this.#spawn(of.replica);
    of.ref.tell('route', undefined);
  }

  #replicaOf(index: number): Replica {
    const { name } = this.routes.exchange(index);
    let found = this.#replicas.get(name);
    if (found === undefined) {
      const replica = new ExchangeReplica(name, index, this.#routed);
      found = { replica, ref: this.#spawn(replica) };
      this.#replicas.set(name, found);
    }
    found.replica.index = index;
    this.#byIndex[index] = found;
    return found;
  }

  #spawn(replica: ExchangeReplica): Ref<ExchangeOps> {
    const { system } = this.#parts;
    const { name } = replica;
    const isOver = (): boolean => {
      if (replica.index >= 0) return false;
      if (this.#replicas.get(name)?.replica === replica) {
        this.#replicas.delete(name);
        addTo(this.#ended, replica.counters);
      }
      return true;
    };
    // One that is ending still has the name.
    let path = exchangeActorName(name);
    for (let life = 2; system.findHere({ protocol: 'exchange', name: path }); life += 1) {
      path = `${exchangeActorName(name)}~${life}`;
    }
    return system.spawn(path, ExchangeActor, { replica, isOver });
  }

  /** What was published before a change is routed as it was then. */
  routesChanged(changes: readonly RouteChange[] | undefined): void {
    for (const { replica } of this.#replicas.values()) replica.route();
    if (changes === undefined) this.routes.reset(this.#parts.view);
    else for (const change of changes) this.routes.apply(change);
    this.routes.recycle();
    this.#targets = [];
    if (changes?.every(({ kind }) => !kind.startsWith('exchange')) === true) return;
    this.#byIndex = [];
    for (const each of [...this.#replicas.values()]) {
      const name = encodeUtf8(each.replica.name);
      each.replica.index = this.routes.exchangeAt(name, 0, name.length);
      if (each.replica.index < 0) each.ref.tell('end', undefined);
      else this.#byIndex[each.replica.index] = each;
    }
  }

  // ---- Queues -------------------------------------------------------------------------------------

  #deliver(queue: number, tape: PublishTape, rows: Int32Array, start: number, end: number): void {
    const target = this.#targetOf(queue);
    const { flights } = this;
    for (let at = start; at < end; at += 1) {
      const row = rows[at]!;
      const flight = tape.flight(row);
      const feed = target === undefined ? undefined : feedFor(target, tape, row);
      // A log refuses batches, and its batches are of many publishers: what only one has done is seen here.
      if (feed === undefined || feed.isOut || (feed.needsKeys && !tape.hasKey(row))) {
        if (feed !== undefined) this.#refusedCopies += 1;
        flights.answer(flight, feed === undefined ? STORED : REFUSED);
        continue;
      }
      feed.append(
        tape.timestamps[row]!,
        tape.bytes(row),
        tape.bodyStart(row),
        tape.bodyEnd(row),
        flight,
        (tape.flags(row) & FLAG_LEVEL_ACCEPTED) !== 0,
      );
      this.feeds.touched(feed, flights.publisherOf(flight));
    }
  }

  /** None of these queues can be used before a node comes back. */
  #areOut(queues: Int32Array, count: number): boolean {
    for (let i = 0; i < count; i += 1) {
      const target = this.#targetOf(queues[i]!);
      if (target?.feeds.every((feed) => feed.isOut) !== true) return false;
    }
    return true;
  }

  /** Undefined: it was deleted a moment ago, and what goes there is gone with it. */
  #targetOf(queue: number): Target | undefined {
    const { view } = this.#parts;
    if (this.#targetsVersion !== view.version) {
      this.#targetsVersion = view.version;
      this.#targets = [];
    }
    let target = this.#targets[queue];
    if (target === undefined) {
      const destination = view.destination(this.routes.queueName(queue));
      if (destination === undefined || destination.logs.length === 0) return undefined;
      const name = encodeUtf8(destination.name);
      target = { name, feeds: this.#feedsOf(destination), turn: 0 };
      this.#targets[queue] = target;
    }
    return target;
  }

  #feedsOf({ logs }: DestinationView): readonly Feed[] {
    return logs.map(({ logId }) => this.feeds.feed(logId, this.#rules.of(logId)));
  }

  #unroutable(flight: number, message: RecordParts): void {
    const ticket = this.flights.ticketOf(flight);
    this.publishers.sinkOf(this.flights.publisherOf(flight))?.unroutable(ticket, message);
  }

  // ---- Counting -----------------------------------------------------------------------------------

  /** Of the shard: messages since its start, and what is under way now. */
  counters(): ExchangeCounters &
    Record<'refused' | 'underWay' | 'underWayBytes' | 'publishers', number> {
    const sum = { ...this.#ended };
    for (const { replica } of this.#replicas.values()) addTo(sum, replica.counters);
    const { count: underWay, bytes: underWayBytes } = this.flights;
    const { count: publishers } = this.publishers;
    const refused = this.#refusedCopies;
    return { ...sum, refused, underWay, underWayBytes, publishers };
  }
}

function addTo(sum: ExchangeCounters, counters: Readonly<ExchangeCounters>): void {
  sum.publishes += counters.publishes;
  sum.copies += counters.copies;
  sum.unroutable += counters.unroutable;
}

function feedFor(target: Target, tape: PublishTape, row: number): Feed {
  const { feeds } = target;
  if (feeds.length === 1) return feeds[0]!;
  const { key, keyStart, keyEnd } = tape.message(row);
  const bytes = keyStart < 0 ? undefined : key.subarray(keyStart, keyEnd);
  // A key that is the name of the destination is an address, and the same for all that come by it.
  if (bytes !== undefined && !equalBytes(bytes, target.name)) {
    return feeds[(murmur2(bytes) & 0x7fff_ffff) % feeds.length]!;
  }
  target.turn += 1;
  return feeds[target.turn % feeds.length]!;
}
