// One exchange on one shard that publishes to it: an actor of its own, so that it shows in the actor tree.
// What sessions publish in a turn lies on its tape; it is told of that once, routes all of it by the
// shard's table, and hands each queue its messages together. It holds nothing beyond the turn.
import { actor } from '../../actors/actor.ts';
import { protocol, tell } from '../../actors/protocol.ts';
import { DEFAULT_VHOST } from '../../cluster/ports.ts';
import { none } from '../../codec/index.ts';
import type { BufferPool } from '../../std/buffer-pool.ts';
import type { RecordParts } from '../access/queue-api.ts';
import { FLAG_LEVEL_NONE, FLAG_MANDATORY, PublishTape } from './publish-tape.ts';
import { RouteInput } from './route-input.ts';
import type { RoutingTable } from './routing-table.ts';
import type { TurnBatches } from './turn-batches.ts';

/** What becomes of what was routed. Flights are rows of messages under way. */
export interface RoutedPort {
  readonly routes: RoutingTable;
  /** Memory of what is published in a large turn. */
  readonly memory: BufferPool;
  /** Used in one go, and lent to each exchange in turn. */
  readonly batches: TurnBatches;
  /** So many logs will answer, beside the routing itself. */
  expect(flight: number, answers: number): void;
  /** The rows [start, end) of `rows` go to this queue, in order. */
  deliver(queue: number, tape: PublishTape, rows: Int32Array, start: number, end: number): void;
  /** None of these queues can be used before a node comes back: they take nothing. */
  isOut(queues: Int32Array, count: number): boolean;
  /** Whoever published it gets it back. */
  unroutable(flight: number, message: RecordParts): void;
  /** It is on its way, as whoever published it wanted to know. */
  sent(flight: number): void;
  routed(flight: number): void;
  /** Everything of this turn is with its queues. */
  flush(): void;
}

export interface ExchangeCounters {
  /** Messages published here. */
  publishes: number;
  /** Copies that went to queues. */
  copies: number;
  /** Messages that went nowhere. */
  unroutable: number;
}

export class ExchangeReplica {
  readonly name: string;
  readonly tape: PublishTape;
  readonly counters: ExchangeCounters = { publishes: 0, copies: 0, unroutable: 0 };
  /** Index in the table; -1 when the exchange is gone. */
  index: number;
  /** It was told that there is something on the tape. */
  isTold = false;
  readonly #port: RoutedPort;
  readonly #input = new RouteInput();

  constructor(name: string, index: number, port: RoutedPort) {
    this.name = name;
    this.index = index;
    this.#port = port;
    this.tape = new PublishTape(port.memory);
  }

  /** Routes what is on the tape. */
  route(): void {
    this.isTold = false;
    if (this.tape.isEmpty) return;
    const { tape, counters } = this;
    const { batches } = this.#port;
    counters.publishes += tape.count;
    for (let row = 0; row < tape.count; row += 1) this.#routeOne(row);
    counters.copies += batches.copies;
    batches.finish();
    const { queues, starts, rows } = batches;
    for (let at = 0; at < batches.queueCount; at += 1) {
      this.#port.deliver(queues[at]!, tape, rows, starts[at]!, starts[at + 1]!);
    }
    batches.clear();
    for (let row = 0; row < tape.count; row += 1) this.#routed(row);
    tape.clear();
    this.#port.flush();
  }

  #routeOne(row: number): void {
    const { tape } = this;
    const { routes, batches } = this.#port;
    const input = this.#input;
    input.bytes = tape.bytes(row);
    input.headers = input.bytes;
    input.headersStart = tape.headersStart(row);
    input.headersEnd = tape.bodyStart(row);
    input.setSpans(tape.spans, tape.firstSpan(row), tape.spanCount(row));
    const count = this.index < 0 ? 0 : routes.route(this.index, input);
    if (count > 0) {
      this.#port.expect(tape.flight(row), count);
      batches.add(row, routes.targets, count);
    } else this.counters.unroutable += 1;
    if ((tape.flags(row) & FLAG_MANDATORY) === 0) return;
    // Before what becomes of it is told.
    if (count === 0 || this.#port.isOut(routes.targets, count)) {
      this.#port.unroutable(tape.flight(row), tape.message(row));
    }
  }

  #routed(row: number): void {
    const flight = this.tape.flight(row);
    if ((this.tape.flags(row) & FLAG_LEVEL_NONE) !== 0) this.#port.sent(flight);
    this.#port.routed(flight);
  }
}

const ExchangeProtocol = protocol('exchange', 1, { route: tell(none), end: tell(none) });
export type ExchangeOps = typeof ExchangeProtocol.ops;

export interface ExchangeArgs {
  readonly replica: ExchangeReplica;
  /** Asked when its exchange is gone: it may have been made again. */
  isOver(): boolean;
}

export const ExchangeActor = actor(ExchangeProtocol, (ctx, { replica, isOver }: ExchangeArgs) => {
  ctx.onInspect(() => {
    const { publishes: published, copies, unroutable } = replica.counters;
    return { counts: { published, routed: published - unroutable, copies } };
  });
  return {
    route: () => replica.route(),
    end() {
      if (isOver()) ctx.stop();
    },
  };
});

/** The name of its actor: an exchange, and a vhost, may be named with what separates actors in a path. */
export function exchangeActorName(vhost: string, name: string): string {
  return vhost === DEFAULT_VHOST
    ? `exchange:${escaped(name)}`
    : `exchange:${escaped(vhost)}:${escaped(name)}`;
}

function escaped(name: string): string {
  return name.replaceAll('%', '%25').replaceAll('/', '%2F');
}
