// Publishing on one shard, from a session's call to the answers of all logs: the vhosts' exchanges and queues, the
// feeds, and what is under way. One shard, one thread, no promises.
import type { System } from '../../actors/system.ts';
import { DEFAULT_VHOST, type MetadataView, type RouteChange } from '../../cluster/ports.ts';
import { LogRulesTable } from '../destination/log-rules.ts';
import {
  bodySize,
  FLAG_LEVEL_ACCEPTED,
  FLAG_LEVEL_NONE,
  FLAG_MANDATORY,
} from '../exchange/publish-tape.ts';
import type { ExchangeCounters } from '../exchange/replica.ts';
import type { RoutingTable } from '../exchange/routing-table.ts';
import { TurnBatches } from '../exchange/turn-batches.ts';
import { Appends } from './appends.ts';
import { Feeds, type FeedsPort } from './feeds.ts';
import { Flights } from './flights.ts';
import { Publishers } from './publishers.ts';
import type { Publisher, PublishSink, RecordParts, VhostAccess } from './queue-api.ts';
import { VhostRouting, type VhostRoutingParts } from './vhost-routing.ts';

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

export class Publishing {
  readonly feeds: Feeds;
  readonly flights: Flights;
  readonly publishers: Publishers;
  readonly appends: Appends;
  readonly #parts: PublishingParts;
  readonly #shared: VhostRoutingParts;
  /** By name; `/` is always there, others from the first use of them on. */
  readonly #vhosts = new Map<string, VhostRouting>();
  readonly #default: VhostRouting;
  /** Of vhosts that are gone. */
  readonly #ended: ExchangeCounters = { publishes: 0, copies: 0, unroutable: 0 };
  #endedRefused = 0;

  constructor(parts: PublishingParts) {
    this.#parts = parts;
    const rules = new LogRulesTable(parts.view);
    this.publishers = new Publishers(parts.limits);
    this.flights = new Flights(this.publishers);
    const { flights, publishers } = this;
    const feeds = new Feeds({ ...parts, flights, publishers });
    this.feeds = feeds;
    this.appends = new Appends({ ...parts, flights, publishers, feeds, rules });
    this.#shared = {
      system: parts.system,
      view: parts.view,
      feeds,
      flights,
      memory: parts.memory,
      batches: new TurnBatches(),
      feed: (logId) => feeds.feed(logId, rules.of(logId)),
      expect: (flight, answers) => flights.expect(flight, answers),
      unroutable: (flight, message) => this.#unroutable(flight, message),
      sent: (flight) => flights.tell(flight, 'stored'),
      routed: (flight) => flights.answer(flight, 0),
      flush: () => parts.wantFlush(),
    };
    this.#default = this.#routingOf(DEFAULT_VHOST);
  }

  // ---- Sessions -----------------------------------------------------------------------------------

  get routes(): RoutingTable {
    return this.#default.routes;
  }

  publisher(sink: PublishSink): Publisher {
    return this.#publisherTo(this.#default, sink);
  }

  /** Of a vhost that is there. */
  in(vhost: string): VhostAccess {
    const routing = this.#routingOf(vhost);
    return { routes: routing.routes, publisher: (sink) => this.#publisherTo(routing, sink) };
  }

  #routingOf(vhost: string): VhostRouting {
    let routing = this.#vhosts.get(vhost);
    if (routing === undefined) {
      routing = new VhostRouting(vhost, this.#shared);
      this.#vhosts.set(vhost, routing);
    }
    return routing;
  }

  #publisherTo(routing: VhostRouting, sink: PublishSink): Publisher {
    const slot = this.publishers.add(sink);
    return {
      publish: (exchange, route, message, level, ticket, isMandatory) => {
        const flags = (isMandatory ? FLAG_MANDATORY : 0) | LEVEL_FLAGS[level];
        const bytes = bodySize(message);
        const flight = this.flights.take(slot, ticket, bytes);
        const replica = routing.replica(exchange);
        const isNow = message.timestampMs < 0;
        const timestampMs = isNow ? Math.floor(this.#parts.wallMs()) : message.timestampMs;
        replica.replica.tape.add(route, message, timestampMs, flight, flags);
        if (!replica.replica.isTold) routing.tell(replica);
        this.publishers.took(slot, bytes);
      },
      close: () => this.publishers.close(slot),
    };
  }

  #unroutable(flight: number, message: RecordParts): void {
    const ticket = this.flights.ticketOf(flight);
    this.publishers.sinkOf(this.flights.publisherOf(flight))?.unroutable(ticket, message);
  }

  /** Those of one vhost, or of all (`undefined`). What was published before a change is routed as it was then. */
  routesChanged(changes: readonly RouteChange[] | undefined, vhost: string | undefined): void {
    if (vhost !== undefined) {
      this.#vhosts.get(vhost)?.routesChanged(changes);
      return;
    }
    for (const routing of [...this.#vhosts.values()]) routing.routesChanged(undefined);
  }

  /** Vhosts may be gone; their sessions are told, too, and publish no more. */
  accessChanged(): void {
    const { access } = this.#parts.view;
    for (const [vhost, routing] of this.#vhosts) {
      if (access.hasVhost(vhost)) continue;
      routing.end();
      routing.count(this.#ended);
      this.#endedRefused += routing.refusedCopies;
      this.#vhosts.delete(vhost);
    }
  }

  // ---- Counting -----------------------------------------------------------------------------------

  /** Of the shard: messages since its start, and what is under way now. */
  counters(): ExchangeCounters &
    Record<'refused' | 'underWay' | 'underWayBytes' | 'publishers', number> {
    const sum: ExchangeCounters = { ...this.#ended };
    let refused = this.#endedRefused;
    for (const routing of this.#vhosts.values()) {
      routing.count(sum);
      refused += routing.refusedCopies;
    }
    const { count: underWay, bytes: underWayBytes } = this.flights;
    const { count: publishers } = this.publishers;
    return { ...sum, refused, underWay, underWayBytes, publishers };
  }
}
