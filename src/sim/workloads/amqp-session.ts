// What every AMQP client of the workload does: dial until somebody answers, a bounded number of times, declare what
// it needs, and write down what it sees.
import type { Address, Environment } from '../../env/environment.ts';
import type { FieldTable } from '../../protocols/amqp/codec/index.ts';
import { fnv1a32 } from '../../std/hash.ts';
import type { BlockEvent } from '../checkers/blocks.ts';
import {
  emptyQueueHistory,
  type QueueEvent,
  type QueueHistory,
} from '../checkers/queue-history.ts';
import type { CountingRandom } from '../draws.ts';
import type { World } from '../world.ts';
import {
  AmqpCallError,
  AmqpConnection,
  type AmqpEvents,
  type Answer,
  type Content,
} from './amqp-connection.ts';
import { readBody } from './kafka-bodies.ts';

/** Dials without success, one after another, before a client says that the cluster is gone. */
const DIALS_MAX = 600;
const REDIAL_MS = 200;
export const CHANNEL = 1;

/** Writes the history with the time of the world. */
export class QueueRecorder {
  readonly history: QueueHistory = emptyQueueHistory();
  readonly #world: World;
  #nextDelivery = 1;
  #nextConsumer = 1;
  #nextId = 1;

  constructor(world: World) {
    this.#world = world;
  }

  get nowMs(): number {
    return this.#world.nowMs;
  }

  add(event: QueueEvent): void {
    this.history.events.push(event);
  }

  consumerName(client: string): string {
    this.#nextConsumer += 1;
    return `${client}#${this.#nextConsumer}`;
  }

  nextId(): number {
    this.#nextId += 1;
    return this.#nextId;
  }

  /** A message came; answers the number of the delivery. */
  delivered(consumer: string, { method, deliveryCount, body }: Content): number {
    if (method.name === 'basic.return') throw new Error('a return is no delivery');
    const { exchange, routingKey: key, redelivered: isRedelivered } = method.args;
    const delivery = this.#nextDelivery;
    this.#nextDelivery += 1;
    const { id } = readBody(body);
    const bodyHash = fnv1a32(body);
    const told = deliveryCount === undefined ? {} : { count: deliveryCount };
    const seen = { id, bodyHash, exchange, key, isRedelivered, ...told };
    this.add({ kind: 'delivered', atMs: this.nowMs, consumer, delivery, ...seen });
    return delivery;
  }
}

export interface AmqpClientFacts {
  readonly env: Environment;
  readonly id: string;
  readonly random: CountingRandom;
  readonly nodes: readonly Address[];
  readonly recorder: QueueRecorder;
  /** Declares what there is; the usual exchanges, queues and streams if left out. */
  readonly topology?: (connection: AmqpConnection) => Promise<void>;
  /** Where it writes down what it hears of connections that are blocked; left out: it cannot hear that. */
  readonly blocks?: BlockEvent[];
}

export function sleep(env: Environment, ms: number): Promise<void> {
  return new Promise((resolve) => {
    env.timers.at(env.clock.monotonicMs() + ms, resolve);
  });
}

/** A connection with an open channel and all exchanges and durable queues. Throws if nobody answers for long. */
export async function dial(facts: AmqpClientFacts, events: AmqpEvents): Promise<AmqpConnection> {
  const { env, random, nodes, id, topology = declareTopology, blocks } = facts;
  for (let i = 0; i < DIALS_MAX; i += 1) {
    const to = nodes[random.below(nodes.length)]!;
    const connection = new AmqpConnection(env, to, events, blocks !== undefined);
    const isReady = await attempt(async () => {
      await connection.ready();
      await connection.call(CHANNEL, 'channel.open', {});
      await topology(connection);
    });
    if (isReady) return connection;
    connection.destroy();
    await sleep(env, REDIAL_MS + random.below(REDIAL_MS));
  }
  throw new Error(`${id}: no node took a connection, ${DIALS_MAX} times`);
}

/** Does what may fail because a node, a link or a queue is gone; false if it did. */
export async function attempt(work: () => Promise<unknown>): Promise<boolean> {
  try {
    await work();
    return true;
  } catch (error) {
    if (!(error instanceof AmqpCallError)) throw error;
    return false;
  }
}

// ---- What there is ----------------------------------------------------------------------------------

export const SIDE_EXCHANGE = 'side';

const EXCHANGES = [
  ['tasks', 'direct'],
  ['news', 'topic'],
  ['all', 'fanout'],
  [SIDE_EXCHANGE, 'topic'],
] as const;

/** Durable queues, with their bindings. One says that it is classic, the others say nothing. */
const QUEUES = [
  {
    name: 'jobs',
    isClassic: false,
    bindings: [
      ['tasks', 'job'],
      ['news', '#.both'],
    ],
  },
  { name: 'audit', isClassic: true, bindings: [['news', 'audit.*']] },
  { name: 'feed', isClassic: false, bindings: [['all', '']] },
] as const;

/** A topic of one partition. */
export const STREAM = 'events';
const STREAM_BINDINGS = [['news', 'audit.#']] as const;

/** A stream of several logs: each of its keys is in one of them. */
export const JOURNAL = 'journal';
export const JOURNAL_LOGS = 3;
const JOURNAL_BINDINGS = [
  ['tasks', 'job'],
  ['tasks', 'diary'],
  ['news', 'audit.#'],
  ['all', ''],
] as const;

export const DURABLE_QUEUES: readonly string[] = QUEUES.map(({ name }) => name);

export interface Route {
  readonly exchange: string;
  readonly key: string;
  readonly queues: readonly string[];
  readonly streams: readonly string[];
}

/** What publishers publish to, and the durable queues and streams that get it. */
export const ROUTES: readonly Route[] = [
  { exchange: 'tasks', key: 'job', queues: ['jobs'], streams: [JOURNAL] },
  { exchange: '', key: 'jobs', queues: ['jobs'], streams: [] },
  { exchange: 'news', key: 'audit.one', queues: ['audit'], streams: [STREAM, JOURNAL] },
  { exchange: 'news', key: 'audit.both', queues: ['jobs', 'audit'], streams: [STREAM, JOURNAL] },
  { exchange: 'all', key: 'whatever', queues: ['feed'], streams: [JOURNAL] },
  { exchange: 'tasks', key: 'nobody', queues: [], streams: [] },
  { exchange: '', key: STREAM, queues: [], streams: [STREAM] },
  { exchange: 'tasks', key: 'diary', queues: [], streams: [JOURNAL] },
];

export const SIDE_ROUTES: readonly Route[] = [
  { exchange: SIDE_EXCHANGE, key: 'own.one', queues: [], streams: [] },
  { exchange: SIDE_EXCHANGE, key: 'shared.one', queues: [], streams: [] },
];

const declareTopology = topologyWith(() => undefined);

/** The usual one, with queues that are declared with what is said of them. */
export function topologyWith(
  argumentsOf: (queue: string) => FieldTable | undefined,
): (connection: AmqpConnection) => Promise<void> {
  return (connection) => declareAll(connection, argumentsOf);
}

async function declareAll(
  connection: AmqpConnection,
  argumentsOf: (queue: string) => FieldTable | undefined,
): Promise<void> {
  for (const [exchange, type] of EXCHANGES) {
    const args = { exchange, type, durable: true };
    await connection.call(CHANNEL, 'exchange.declare', args);
  }
  for (const { name: queue, isClassic, bindings } of QUEUES) {
    await connection.call(CHANNEL, 'queue.declare', {
      queue,
      durable: true,
      arguments: argumentsOf(queue) ?? (isClassic ? [typed('classic')] : []),
    });
    for (const [exchange, routingKey] of bindings)
      await bind(connection, queue, exchange, routingKey);
  }
  for (const [exchange, routingKey] of STREAM_BINDINGS)
    await bind(connection, STREAM, exchange, routingKey);
  await connection.call(CHANNEL, 'queue.declare', {
    queue: JOURNAL,
    durable: true,
    arguments: [
      typed('stream'),
      { name: 'x-partitions', value: { type: 'signedint', value: JOURNAL_LOGS } },
    ],
  });
  for (const [exchange, routingKey] of JOURNAL_BINDINGS)
    await bind(connection, JOURNAL, exchange, routingKey);
}

export function typed(type: string): FieldTable[number] {
  return { name: 'x-queue-type', value: { type: 'longstr', value: type } };
}

export function bind(
  connection: AmqpConnection,
  queue: string,
  exchange: string,
  routingKey: string,
): Promise<Answer> {
  return connection.call(CHANNEL, 'queue.bind', { queue, exchange, routingKey });
}
