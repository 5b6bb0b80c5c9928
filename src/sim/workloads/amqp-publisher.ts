// A publisher of the workload: bursts of persistent messages with confirms, some mandatory, over one channel after
// another. Nothing is ever sent twice: what was not confirmed when a connection ended stays unknown.
import { MANDATORY } from '../../protocols/amqp/codec/index.ts';
import { fnv1a32 } from '../../std/hash.ts';
import type { BlockEvent } from '../checkers/blocks.ts';
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
  /** Probability that a message has delivery mode 1; none has if left out. */
  readonly transient?: number;
  /** It goes on although its connection is blocked; nobody reads that before the block ends. */
  readonly isDeaf?: boolean;
}

export class AmqpPublisher {
  readonly #facts: AmqpClientFacts;
  readonly #options: AmqpPublisherOptions;
  /** By number on the present channel. */
  #open = new Map<number, Publish>();
  #byId = new Map<number, Publish>();
  #last = 0;
  #channels = 0;
  #isBlocked = false;
  #confirmedMs = -1;
  #isStopping = false;
  #isDone = false;

  constructor(facts: AmqpClientFacts, options: AmqpPublisherOptions) {
    this.#facts = facts;
    this.#options = options;
  }

  get isDone(): boolean {
    return this.#isDone;
  }

  /** Its connection is blocked at present. */
  get isBlocked(): boolean {
    return this.#isBlocked;
  }

  /** When the newest of its confirmed messages that is kept on disks was published; -1: none was confirmed. */
  get confirmedMs(): number {
    return this.#confirmedMs;
  }

  stop(): void {
    this.#isStopping = true;
  }

  async run(): Promise<void> {
    while (!this.#isStopping) {
      const connection = await dial(this.#facts, {
        confirm: (_, tag, isMultiple, isStored) => this.#confirm(tag, isMultiple, isStored),
        content: (_, content) => this.#returned(content),
        blocked: (isBlocked) => this.#block(isBlocked ? 'blocked' : 'unblocked'),
        ended: () => this.#block('ended'),
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
      if (this.#isStopping || (this.#isBlocked && this.#options.isDeaf !== true)) continue;
      const burst = between(random, 1, BURST_MAX);
      for (let i = 0; i < burst && this.#open.size < OPEN_MAX; i += 1) this.#publish(connection);
    }
  }

  #publish(connection: AmqpConnection): void {
    const { random, recorder, id: client } = this.#facts;
    const { routes, bodyBytesMax, mandatory, transient = 0 } = this.#options;
    const { exchange, key, queues, streams } = routes[random.below(routes.length)]!;
    const isMandatory = chance(random, mandatory);
    const id = recorder.nextId();
    const body = bodyOf(id, Math.round(logUniform(random, 4, bodyBytesMax)));
    const isTransient = transient > 0 && chance(random, transient);
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
      isTransient,
      beganMs: recorder.nowMs,
      outcome: 'unknown',
      isReturned: false,
    };
    recorder.history.publishes.push(publish);
    this.#open.set(this.#last, publish);
    this.#byId.set(id, publish);
    const to = { exchange, key, bits: isMandatory ? MANDATORY : 0 };
    connection.publish(CHANNEL, to, body, isTransient);
  }

  #confirm(tag: number, isMultiple: boolean, isStored: boolean): void {
    for (const [number, publish] of this.#open) {
      if (isMultiple ? number > tag : number !== tag) continue;
      if (isStored) {
        publish.outcome = 'confirmed';
        publish.endedMs = this.#facts.recorder.nowMs;
        this.#confirmedMs = Math.max(this.#confirmedMs, publish.beganMs ?? -1);
      }
      this.#open.delete(number);
      this.#byId.delete(publish.id);
    }
  }

  #block(kind: BlockEvent['kind']): void {
    const { blocks, id, recorder } = this.#facts;
    this.#isBlocked = kind === 'blocked';
    blocks?.push({ kind, atMs: recorder.nowMs, connection: `${id}.${this.#channels}` });
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
