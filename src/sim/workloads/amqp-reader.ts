// A reader of the workload's stream with several logs: one consumer after another, each of which begins somewhere,
// settles what it gets in any way that there is, and leaves without a word or with one.
import { REQUEUE } from '../../protocols/amqp/codec/index.ts';
import { fnv1a32 } from '../../std/hash.ts';
import type { StreamHistory, StreamSession } from '../checkers/stream-readers.ts';
import { between, chance, exponential } from '../draws.ts';
import type { AmqpConnection, Content } from './amqp-connection.ts';
import { type AmqpClientFacts, attempt, CHANNEL, dial, JOURNAL, sleep } from './amqp-session.ts';
import { readBody } from './kafka-bodies.ts';

const MEAN_STEP_MS = 20;
const PREFETCH_MAX = 64;
const LEAVE_SHARE = 0.004;
const CANCEL_SHARE = 0.004;

export class AmqpReader {
  readonly #facts: AmqpClientFacts;
  readonly #history: StreamHistory;
  /** It reads everything once and stays. */
  readonly #isFinal: boolean;
  #session: StreamSession | undefined;
  /** Delivery tags that are not settled. */
  #held: number[] = [];
  /** One more than the highest offset seen. */
  #end = 0;
  #sessions = 0;
  #isStopping = false;
  #isDone = false;

  constructor(facts: AmqpClientFacts, history: StreamHistory, isFinal = false) {
    this.#facts = facts;
    this.#history = history;
    this.#isFinal = isFinal;
  }

  get isDone(): boolean {
    return this.#isDone;
  }

  stop(): void {
    this.#isStopping = true;
  }

  async run(): Promise<void> {
    while (!this.#isStopping) {
      const connection = await dial(this.#facts, {
        content: (_, content) => this.#content(content),
        answered: (_, name) => {
          if (name === 'basic.cancel-ok') this.#leave();
        },
        cancelled: () => connection.destroy(),
        channelEnded: () => this.#leave(),
        ended: () => this.#leave(),
      });
      await attempt(() => this.#read(connection));
      connection.destroy();
      await sleep(this.#facts.env, 50);
    }
    this.#isDone = true;
  }

  #leave(): void {
    this.#session = undefined;
    this.#held = [];
  }

  #content({ method, body, streamOffset }: Content): void {
    const session = this.#session;
    if (session === undefined || method.name !== 'basic.deliver' || streamOffset === undefined) {
      throw new Error(`${this.#facts.id}: a message for nobody, or from nowhere`);
    }
    const { exchange, routingKey: key, redelivered: isRedelivered, deliveryTag } = method.args;
    const { id } = readBody(body);
    const seen = { id, bodyHash: fnv1a32(body), exchange, key, isRedelivered };
    session.deliveries.push({ offset: streamOffset, ...seen });
    this.#held.push(deliveryTag);
    session.outMax = Math.max(session.outMax, this.#held.length);
    this.#end = Math.max(this.#end, streamOffset + 1);
  }

  /** What it asks for, and what that means for the first message of each log. */
  #begin(prefetch: number): string | number {
    const { random, id } = this.#facts;
    this.#sessions += 1;
    const isFirst = this.#isFinal || chance(random, 0.4);
    const isNext = !isFirst && chance(random, 0.4);
    const from = isNext ? undefined : isFirst ? 0 : random.below(this.#end + 2);
    const name = `${id}#${this.#sessions}`;
    const session: StreamSession = { name, from, prefetch, deliveries: [], outMax: 0 };
    this.#session = session;
    this.#history.sessions.push(session);
    if (this.#isFinal) this.#history.final = session;
    if (from === undefined) return 'next';
    return isFirst ? 'first' : from;
  }

  async #read(connection: AmqpConnection): Promise<void> {
    const { random, env } = this.#facts;
    const prefetch = between(random, 1, PREFETCH_MAX);
    const qos = { prefetchSize: 0, prefetchCount: prefetch, global: false };
    await connection.call(CHANNEL, 'basic.qos', qos);
    const offset = this.#begin(prefetch);
    const value =
      typeof offset === 'string'
        ? ({ type: 'longstr', value: offset } as const)
        : ({ type: 'long', value: offset } as const);
    await connection.call(CHANNEL, 'basic.consume', {
      queue: JOURNAL,
      consumerTag: 'it',
      arguments: [{ name: 'x-stream-offset', value }],
    });
    while (!connection.isOver && !this.#isStopping) {
      await sleep(env, exponential(random, MEAN_STEP_MS));
      this.#settleSome(connection);
      if (this.#isFinal) continue;
      if (chance(random, LEAVE_SHARE)) return;
      if (chance(random, CANCEL_SHARE)) break;
    }
    await connection.call(CHANNEL, 'basic.cancel', { consumerTag: 'it' });
  }

  /** Whatever is said of a message, it comes once. */
  #settleSome(connection: AmqpConnection): void {
    const { random } = this.#facts;
    if (this.#held.length === 0 || connection.isOver) return;
    const at = random.below(this.#held.length);
    const tag = this.#held[at]!;
    if (this.#isFinal || chance(random, 0.6)) {
      this.#held.splice(0, at + 1);
      connection.ack(CHANNEL, tag, true);
      return;
    }
    this.#held.splice(at, 1);
    if (chance(random, 0.5)) connection.ack(CHANNEL, tag, false);
    else connection.nack(CHANNEL, tag, chance(random, 0.5) ? REQUEUE : 0);
  }
}
