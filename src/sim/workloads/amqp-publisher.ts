// A publisher of the workload: bursts of persistent messages with confirms, some mandatory, over one channel after
// another. Nothing is ever sent twice: what was not confirmed when a connection ended stays unknown.
import { MANDATORY } from '../../protocols/amqp/codec/index.ts';
import { fnv1a32 } from '../../std/hash.ts';
import type { Publish } from '../checkers/queue-history.ts';
import { between, chance, exponential, logUniform } from '../draws.ts';
import type { AmqpConnection, Content } from './amqp-connection.ts';
import { type AmqpClientFacts, attempt, CHANNEL, dial, type Route, sleep } from './amqp-session.ts';
import { bodyOf, readBody } from './kafka-bodies.ts';

const BURST_MAX = 8;
/** Publishes that may wait for their confirm. */
const OPEN_MAX = 64;

export interface AmqpPublisherOptions {
  readonly routes: readonly Route[];
  readonly meanGapMs: number;
  readonly bodyBytesMax: number;
  /** Probability that a message has to be routed or come back. */
  readonly mandatory: number;
}

export class AmqpPublisher {
  readonly #facts: AmqpClientFacts;
  readonly #options: AmqpPublisherOptions;
  /** By number on the present channel. */
  #open = new Map<number, Publish>();
  #byId = new Map<number, Publish>();
  #last = 0;
  #channels = 0;
  #isStopping = false;
  #isDone = false;

  constructor(facts: AmqpClientFacts, options: AmqpPublisherOptions) {
    this.#facts = facts;
    this.#options = options;
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
        confirm: (_, tag, isMultiple, isStored) => this.#confirm(tag, isMultiple, isStored),
        content: (_, content) => this.#returned(content),
      });
      this.#open = new Map();
      this.#byId = new Map();
      this.#last = 0;
      this.#channels += 1;
      if (await attempt(() => connection.call(CHANNEL, 'confirm.select', {}))) {
        await this.#publishOn(connection);
      }
      connection.destroy();
    }
    this.#isDone = true;
  }

  async #publishOn(connection: AmqpConnection): Promise<void> {
    const { env, random } = this.#facts;
    while (!connection.isOver && !(this.#isStopping && this.#open.size === 0)) {
      await sleep(env, exponential(random, this.#options.meanGapMs));
      if (this.#isStopping) continue;
      const burst = between(random, 1, BURST_MAX);
      for (let i = 0; i < burst && this.#open.size < OPEN_MAX; i += 1) this.#publish(connection);
    }
  }

  #publish(connection: AmqpConnection): void {
    const { random, recorder, id: client } = this.#facts;
    const { routes, bodyBytesMax, mandatory } = this.#options;
    const { exchange, key, queues, streams } = routes[random.below(routes.length)]!;
    const isMandatory = chance(random, mandatory);
    const id = recorder.nextId();
    const body = bodyOf(id, Math.round(logUniform(random, 4, bodyBytesMax)));
    this.#last += 1;
    const publish: Publish = {
      id,
      lane: `${client}.${this.#channels}/${exchange}`,
      order: this.#last,
      exchange,
      key,
      bodyHash: fnv1a32(body),
      queues,
      streams,
      isMandatory,
      outcome: 'unknown',
      isReturned: false,
    };
    recorder.history.publishes.push(publish);
    this.#open.set(this.#last, publish);
    this.#byId.set(id, publish);
    connection.publish(CHANNEL, { exchange, key, bits: isMandatory ? MANDATORY : 0 }, body);
  }

  #confirm(tag: number, isMultiple: boolean, isStored: boolean): void {
    for (const [number, publish] of this.#open) {
      if (isMultiple ? number > tag : number !== tag) continue;
      if (isStored) publish.outcome = 'confirmed';
      this.#open.delete(number);
      this.#byId.delete(publish.id);
    }
  }

  /** A return comes before the confirm of its publish. */
  #returned({ method, body }: Content): void {
    if (method.name !== 'basic.return') throw new Error('a publisher consumes nothing');
    const publish = this.#byId.get(readBody(body).id);
    if (publish === undefined)
      throw new Error('a return behind its confirm, or of what was not sent');
    publish.isReturned = true;
  }
}
