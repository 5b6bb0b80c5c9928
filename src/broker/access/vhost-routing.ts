// What one shard publishes to the exchanges of one vhost: its routing table, the exchanges' replicas, and what the queues
// of the table are. Knows the names of no other vhost; feeds and what is under way are the shard's.
import type { Ref } from '../../actors/ref.ts';
import type { System } from '../../actors/system.ts';
import type { DestinationView, MetadataView, NamesView, RouteChange } from '../../cluster/ports.ts';
import { encodeUtf8, equalBytes } from '../../std/bytes.ts';
import { murmur2 } from '../../std/hash.ts';
import { FLAG_LEVEL_ACCEPTED, type PublishTape } from '../exchange/publish-tape.ts';
import {
  ExchangeActor,
  type ExchangeCounters,
  type ExchangeOps,
  ExchangeReplica,
  exchangeActorName,
  type RoutedPort,
} from '../exchange/replica.ts';
import { RoutingTable } from '../exchange/routing-table.ts';
import type { Feed } from './feed.ts';
import { REFUSED, STORED } from './feed.ts';
import type { Feeds } from './feeds.ts';
import type { Flights } from './flights.ts';

/** What all vhosts of a shard share. */
export interface VhostRoutingParts
  extends Pick<
    RoutedPort,
    'memory' | 'batches' | 'expect' | 'unroutable' | 'sent' | 'routed' | 'flush'
  > {
  readonly system: System;
  readonly view: MetadataView;
  readonly feeds: Feeds;
  readonly flights: Flights;
  feed(logId: number): Feed;
}

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

export class VhostRouting {
  readonly vhost: string;
  readonly routes: RoutingTable;
  readonly #parts: VhostRoutingParts;
  readonly #names: NamesView;
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
  refusedCopies = 0;

  constructor(vhost: string, parts: VhostRoutingParts) {
    this.vhost = vhost;
    this.#parts = parts;
    this.#names = parts.view.in(vhost);
    this.routes = new RoutingTable(this.#names);
    const { memory, batches } = parts;
    this.#routed = {
      routes: this.routes,
      memory,
      batches,
      expect: (flight, answers) => parts.expect(flight, answers),
      deliver: (queue, tape, rows, start, end) => this.#deliver(queue, tape, rows, start, end),
      isOut: (queues, count) => this.#areOut(queues, count),
      unroutable: (flight, message) => parts.unroutable(flight, message),
      sent: (flight) => parts.sent(flight),
      routed: (flight) => parts.routed(flight),
      flush: () => parts.flush(),
    };
  }

  // ---- Exchanges ----------------------------------------------------------------------------------

  /** The replica with the tape on which a message to the exchange goes; `tell` it then. */
  replica(index: number): Replica {
    return this.#byIndex[index] ?? this.#replicaOf(index);
  }

  /** Something is on its tape. */
  tell(of: Replica): void {
    if (of.replica.isTold) return;
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
    const first = exchangeActorName(this.vhost, name);
    let path = first;
    for (let life = 2; system.findHere({ protocol: 'exchange', name: path }); life += 1) {
      path = `${first}~${life}`;
    }
    return system.spawn(path, ExchangeActor, { replica, isOver });
  }

  /** What was published before a change is routed as it was then. */
  routeAll(): void {
    for (const { replica } of this.#replicas.values()) replica.route();
  }

  routesChanged(changes: readonly RouteChange[] | undefined): void {
    this.routeAll();
    if (changes === undefined) this.routes.reset(this.#names);
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
    const { feeds, flights } = this.#parts;
    for (let at = start; at < end; at += 1) {
      const row = rows[at]!;
      const flight = tape.flight(row);
      const feed = target === undefined ? undefined : feedFor(target, tape, row);
      // A log refuses batches, and its batches are of many publishers: what only one has done is seen here.
      if (feed === undefined || feed.isOut || (feed.needsKeys && !tape.hasKey(row))) {
        if (feed !== undefined) this.refusedCopies += 1;
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
      feeds.touched(feed, flights.publisherOf(flight));
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
      const destination = this.#names.destination(this.routes.queueName(queue));
      if (destination === undefined || destination.logs.length === 0) return undefined;
      const name = encodeUtf8(destination.name);
      target = { name, feeds: this.#feedsOf(destination), turn: 0 };
      this.#targets[queue] = target;
    }
    return target;
  }

  #feedsOf({ logs }: DestinationView): readonly Feed[] {
    return logs.map(({ logId }) => this.#parts.feed(logId));
  }

  /** The vhost is gone: nothing of it is kept. */
  end(): void {
    this.routeAll();
    this.#byIndex = [];
    for (const { replica, ref } of [...this.#replicas.values()]) {
      replica.index = -1;
      ref.tell('end', undefined);
    }
  }

  // ---- Counting -----------------------------------------------------------------------------------

  /** Adds what was counted since the start. */
  count(sum: ExchangeCounters): void {
    addTo(sum, this.#ended);
    for (const { replica } of this.#replicas.values()) addTo(sum, replica.counters);
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
