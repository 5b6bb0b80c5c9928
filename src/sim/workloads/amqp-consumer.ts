// Consumers of the workload: each holds what its prefetch allows and settles it in every way that there is, or
// leaves without a word. One that is told to be orderly only acknowledges.
import { MULTIPLE, REQUEUE } from '../../protocols/amqp/codec/index.ts';
import type { Settling } from '../checkers/queue-history.ts';
import { between, chance, exponential } from '../draws.ts';
import type { AmqpConnection, Content } from './amqp-connection.ts';
import {
  type AmqpClientFacts,
  attempt,
  bind,
  CHANNEL,
  dial,
  SIDE_EXCHANGE,
  sleep,
} from './amqp-session.ts';
import { readBody } from './kafka-bodies.ts';

const MEAN_STEP_MS = 20;
const SYNC_EVERY_MS = 1_000;
const PREFETCH_MAX = 24;
const HELD_MAX = 3;
const LEAVE_SHARE = 0.004;
const CLOSE_SHARE = 0.002;
const CANCEL_SHARE = 0.004;

/** A queue that is there already, one of this connection alone, or one that goes with its last consumer. */
export type QueueKind = 'durable' | 'exclusive' | 'auto-delete';

export interface AmqpConsumerOptions {
  readonly queue: string;
  readonly kind: QueueKind;
  /** Gets messages one by one instead of consuming. */
  readonly isGetting?: boolean;
  /** Settles nothing, and goes only when its node does. */
  readonly isHolding?: boolean;
  /** Messages whose number is a multiple of that are given back whenever they come; left out: none. */
  readonly refusesEvery?: number;
}

interface Held {
  readonly tag: number;
  readonly delivery: number;
  readonly isRefused: boolean;
}

export class AmqpConsumer {
  readonly #facts: AmqpClientFacts;
  readonly #options: AmqpConsumerOptions;
  /** The consumer of the present channel; undefined: none, and what comes belongs to nobody. */
  #name: string | undefined;
  /** Deliveries that are not settled, in the order of their tags. */
  #held: Held[] = [];
  #queues = 0;
  #isStopping = false;
  #isOrderly = false;
  #isDone = false;
  #isConsuming = false;

  constructor(facts: AmqpClientFacts, options: AmqpConsumerOptions) {
    this.#facts = facts;
    this.#options = options;
  }

  get isDone(): boolean {
    return this.#isDone;
  }

  /** It has been taken by the queue. */
  get isConsuming(): boolean {
    return this.#isConsuming;
  }

  /** From here on everything is acknowledged and nobody leaves. */
  beOrderly(): void {
    this.#isOrderly = true;
  }

  stop(): void {
    this.#isStopping = true;
  }

  async run(): Promise<void> {
    while (!this.#isStopping) {
      const connection = await dial(this.#facts, {
        content: (_, content) => this.#content(content),
        answered: (_, name) => {
          if (name === 'basic.cancel-ok') this.#note('cancelled');
          if (name === 'channel.close-ok') this.#leave();
        },
        cancelled: () => connection.destroy(),
        channelEnded: () => this.#leave(),
        ended: () => this.#leave(),
      });
      const work = this.#options.isGetting === true ? this.#get : this.#consume;
      await attempt(() => work.call(this, connection));
      connection.destroy();
      await sleep(this.#facts.env, 50);
    }
    this.#isDone = true;
  }

  // ---- What is written down --------------------------------------------------------------------------

  #content(content: Content): void {
    const { method } = content;
    if (this.#name === undefined || method.name === 'basic.return') {
      throw new Error(`${this.#facts.id}: a message for nobody`);
    }
    const delivery = this.#facts.recorder.delivered(this.#name, content);
    if (this.#isAutomatic) return;
    const { refusesEvery } = this.#options;
    const isRefused = refusesEvery !== undefined && readBody(content.body).id % refusesEvery === 0;
    this.#held.push({ tag: method.args.deliveryTag, delivery, isRefused });
  }

  get #isAutomatic(): boolean {
    return this.#options.kind === 'exclusive';
  }

  #begin(queue: string, prefetch: number): void {
    const { recorder, id } = this.#facts;
    const consumer = recorder.consumerName(id);
    this.#name = consumer;
    const isAutomatic = this.#isAutomatic;
    recorder.add({
      kind: 'consumes',
      atMs: recorder.nowMs,
      consumer,
      queue,
      prefetch,
      isAutomatic,
    });
  }

  #note(kind: 'cancelled' | 'ended'): void {
    const { recorder } = this.#facts;
    if (this.#name !== undefined) {
      recorder.add({ kind, atMs: recorder.nowMs, consumer: this.#name });
    }
  }

  #leave(): void {
    this.#note('ended');
    this.#name = undefined;
    this.#held = [];
    this.#isConsuming = false;
  }

  // ---- Consuming -------------------------------------------------------------------------------------

  async #declare(connection: AmqpConnection): Promise<string> {
    const { queue, kind } = this.#options;
    if (kind === 'durable') return queue;
    const isExclusive = kind === 'exclusive';
    this.#queues += 1;
    const name = isExclusive ? `${queue}.${this.#facts.id}.${this.#queues}` : queue;
    const flags = { exclusive: isExclusive, autoDelete: !isExclusive };
    await connection.call(CHANNEL, 'queue.declare', { queue: name, ...flags });
    const { queues } = this.#facts.recorder.history;
    if (queues.every((known) => known.name !== name)) {
      queues.push({ name, isDurable: false, exchanges: [SIDE_EXCHANGE] });
    }
    await bind(connection, name, SIDE_EXCHANGE, isExclusive ? 'own.*' : 'shared.#');
    return name;
  }

  async #consume(connection: AmqpConnection): Promise<void> {
    const { random, env } = this.#facts;
    const queue = await this.#declare(connection);
    const { isHolding } = this.#options;
    const prefetchMax = isHolding === true ? HELD_MAX : PREFETCH_MAX;
    const prefetch = this.#isAutomatic ? 0 : between(random, 1, prefetchMax);
    const qos = { prefetchSize: 0, prefetchCount: prefetch, global: false };
    await connection.call(CHANNEL, 'basic.qos', qos);
    this.#begin(queue, prefetch);
    const consumerTag = 'it';
    const noAck = this.#isAutomatic;
    await connection.call(CHANNEL, 'basic.consume', { queue, consumerTag, noAck });
    this.#isConsuming = true;
    let syncAtMs = env.clock.monotonicMs() + SYNC_EVERY_MS;
    while (!connection.isOver && !this.#isStopping) {
      await sleep(env, exponential(random, MEAN_STEP_MS));
      if (isHolding !== true || this.#isOrderly) this.#settleSome(connection);
      if (env.clock.monotonicMs() >= syncAtMs) {
        await this.#sync(() => connection.call(CHANNEL, 'basic.qos', qos));
        syncAtMs = env.clock.monotonicMs() + SYNC_EVERY_MS;
      }
      if (this.#isOrderly || isHolding === true) continue;
      if (chance(random, LEAVE_SHARE)) return;
      if (chance(random, CLOSE_SHARE)) {
        await this.#closeChannel(connection);
        return;
      }
      if (chance(random, CANCEL_SHARE)) break;
    }
    await connection.call(CHANNEL, 'basic.cancel', { consumerTag });
    if (this.#isStopping || chance(random, 0.5)) this.#settleAll(connection);
    await this.#closeChannel(connection);
  }

  /** What is still held goes back with the channel. */
  async #closeChannel(connection: AmqpConnection): Promise<void> {
    const args = { replyCode: 200, replyText: '', classId: 0, methodId: 0 };
    await connection.call(CHANNEL, 'channel.close', args);
  }

  /** Asks something that is answered behind all that was written before. */
  async #sync(ask: () => Promise<unknown>): Promise<void> {
    const { recorder } = this.#facts;
    const consumer = this.#name!;
    const asked = recorder.history.events.length;
    await ask();
    recorder.add({ kind: 'synced', atMs: recorder.nowMs, consumer, asked });
  }

  // ---- Getting ---------------------------------------------------------------------------------------

  async #get(connection: AmqpConnection): Promise<void> {
    const { random, env } = this.#facts;
    const queue = await this.#declare(connection);
    this.#begin(queue, 0);
    this.#isConsuming = true;
    while (!connection.isOver && !this.#isStopping) {
      await sleep(env, exponential(random, 10 * MEAN_STEP_MS));
      await this.#sync(() => connection.call(CHANNEL, 'basic.get', { queue }));
      if (!this.#isOrderly && chance(random, 5 * LEAVE_SHARE)) return;
      if (this.#isOrderly || chance(random, 0.7)) this.#settleSome(connection);
    }
    do {
      this.#settleAll(connection);
      await this.#sync(() => connection.call(CHANNEL, 'basic.get', { queue }));
    } while (this.#held.length > 0);
  }

  // ---- Settling --------------------------------------------------------------------------------------

  #settleSome(connection: AmqpConnection): void {
    const { random } = this.#facts;
    this.#refuse(connection);
    if (this.#held.length === 0) return;
    const at = random.below(this.#held.length);
    if (this.#isOrderly || chance(random, 0.3)) this.#settle(connection, at, true, 'acknowledged');
    else if (chance(random, 0.8)) this.#settle(connection, at, false, 'acknowledged');
    else if (chance(random, 0.7)) this.#settle(connection, at, chance(random, 0.2), 'requeued');
    else this.#settle(connection, at, false, 'dropped');
  }

  #refuse(connection: AmqpConnection): void {
    for (let at = this.#held.length - 1; at >= 0; at -= 1) {
      if (this.#held[at]!.isRefused) this.#settle(connection, at, false, 'requeued');
    }
  }

  #settleAll(connection: AmqpConnection): void {
    this.#refuse(connection);
    if (this.#held.length > 0) {
      this.#settle(connection, this.#held.length - 1, true, 'acknowledged');
    }
  }

  #settle(connection: AmqpConnection, at: number, isMultiple: boolean, how: Settling): void {
    if (connection.isOver) return;
    const { recorder } = this.#facts;
    const { tag } = this.#held[at]!;
    const settled = isMultiple ? this.#held.splice(0, at + 1) : this.#held.splice(at, 1);
    if (how === 'acknowledged') connection.ack(CHANNEL, tag, isMultiple);
    else {
      const bits = (isMultiple ? MULTIPLE : 0) | (how === 'requeued' ? REQUEUE : 0);
      connection.nack(CHANNEL, tag, bits);
    }
    for (const { delivery } of settled) {
      recorder.add({ kind: 'settled', atMs: recorder.nowMs, delivery, how });
    }
  }
}
