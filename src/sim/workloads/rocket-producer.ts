// A producer of the workload: one lane of messages without a group, several at once now and then, and one for
// each of its message groups. A lane goes on when the last request is answered for good, or given up. What is not
// known to be stored is sent again under the same id, as the libraries do, so it may be stored more than once.
import type { Address } from '../../env/environment.ts';
import { GrpcStatus } from '../../env/grpc.ts';
import { Code, MessageType } from '../../protocols/rocketmq/grpc/schema/enums.ts';
import { METHODS } from '../../protocols/rocketmq/grpc/schema/methods.ts';
import type { Send } from '../checkers/group-history.ts';
import { between, type CountingRandom, chance, exponential, logUniform, pick } from '../draws.ts';
import { bodyOf } from './kafka-bodies.ts';
import {
  producerSettings,
  RocketClient,
  type RocketClientFacts,
  type Route,
} from './rocket-client.ts';
import type { MessageIn } from './rocket-recorder.ts';

const ATTEMPTS = 5;
const BACKOFF_MS = 100;
const BATCH_MAX = 6;
const ROUTE_EVERY = 20;
const MONTH_MS = 30 * 86_400_000;
/** The same request may do better in a moment. */
const TROUBLES: ReadonlySet<number> = new Set([
  Code.HA_NOT_AVAILABLE,
  Code.PROXY_TIMEOUT,
  Code.TOO_MANY_REQUESTS,
]);

export interface RocketProducerOptions {
  readonly topic: string;
  readonly tags: readonly string[];
  readonly messageGroups: readonly string[];
  readonly meanGapMs: number;
  readonly bodyBytesMax: number;
}

interface Outgoing {
  readonly message: MessageIn;
  readonly send: Send;
}

export class RocketProducer {
  readonly #facts: RocketClientFacts;
  readonly #options: RocketProducerOptions;
  readonly #client: RocketClient;
  #route: Route | undefined;
  #routeUses = 0;
  #isStopping = false;
  #isDone = false;

  constructor(facts: RocketClientFacts, options: RocketProducerOptions) {
    this.#facts = facts;
    this.#options = options;
    this.#client = new RocketClient(facts, producerSettings([options.topic]));
  }

  get isDone(): boolean {
    return this.#isDone;
  }

  stop(): void {
    this.#isStopping = true;
  }

  async run(): Promise<void> {
    const { messageGroups } = this.#options;
    const lanes = ['', ...messageGroups].map((group) => this.#lane(group));
    await Promise.all(lanes);
    this.#client.destroy();
    this.#isDone = true;
  }

  async #lane(group: string): Promise<void> {
    const { id, random } = this.#facts;
    const own = random.fork(`lane ${group}`);
    let order = 0;
    for (let request = 1; !this.#isStopping; request += 1) {
      await this.#client.sleep(exponential(own, this.#options.meanGapMs));
      if (this.#isStopping) break;
      const count = chance(own, 0.3) ? between(own, 2, BATCH_MAX) : 1;
      const lane = group === '' ? `${id} request ${request}` : `${id} group ${group}`;
      const isDelayed = group === '' && chance(own, 0.03);
      const batch = Array.from({ length: count }, (): Outgoing => {
        const message = this.#message(own, group, isDelayed);
        order += 1;
        return { message, send: this.#facts.recorder.sends(message, lane, order) };
      });
      await this.#send(own, batch);
    }
  }

  #message(random: CountingRandom, group: string, isDelayed: boolean): MessageIn {
    const { recorder, env, id } = this.#facts;
    const { topic, tags, bodyBytesMax } = this.#options;
    const number = recorder.nextNumber();
    const wallMs = env.clock.wallMs();
    const tag = pick(random, [...tags, ''])!;
    const keys = chance(random, 0.3) ? [`k${number % 7}`, `k${number}`] : [];
    const properties = chance(random, 0.3)
      ? [
          ['colour', `c${number % 5}`],
          ['n', `${number}`],
        ]
      : [];
    let messageType: number = group === '' ? MessageType.NORMAL : MessageType.FIFO;
    if (isDelayed) messageType = MessageType.DELAY;
    return {
      topic: { name: topic },
      userProperties: new Map(properties as [string, string][]),
      systemProperties: {
        messageId: `${id}-${number}`,
        tag: tag === '' ? undefined : tag,
        keys,
        messageType,
        messageGroup: group === '' ? undefined : group,
        bornTimestamp: timestamp(wallMs),
        bornHost: id,
        bodyEncoding: 1,
        deliveryTimestamp: isDelayed ? timestamp(wallMs + MONTH_MS) : undefined,
      },
      body: bodyOf(number, Math.round(logUniform(random, 4, bodyBytesMax))),
    };
  }

  async #send(random: CountingRandom, batch: readonly Outgoing[]): Promise<void> {
    let left = batch;
    for (let attempt = 1; left.length > 0 && attempt <= ATTEMPTS; attempt += 1) {
      const at = await this.#where(random);
      for (const { send } of left) send.attempts += 1;
      const request = { messages: left.map(({ message }) => message) };
      const { status, messages } = await this.#client.call(METHODS.sendMessage, at, request);
      const [answer] = messages;
      if (status === GrpcStatus.OK && answer !== undefined) {
        const { entries } = answer;
        const whole = answer.status?.code ?? Code.INTERNAL_ERROR;
        left = left.filter(({ send }, i) => this.#heard(send, entries[i], whole));
      }
      if (left.length === 0) return;
      this.#route = undefined;
      await this.#client.sleep(BACKOFF_MS + random.below(BACKOFF_MS));
    }
  }

  /** Whether it has to be sent again. */
  #heard(
    send: Send,
    entry:
      | {
          readonly status: { readonly code: number } | undefined;
          readonly messageId: string;
          readonly offset: number;
        }
      | undefined,
    whole: number,
  ): boolean {
    const code = entry?.status?.code ?? whole;
    if (TROUBLES.has(code)) return true;
    if (code === Code.NOT_IMPLEMENTED) {
      send.outcome = 'refused';
      return false;
    }
    if (code !== Code.OK) throw new Error(`${send.id}: refused with the code ${code}`);
    if (entry?.messageId !== send.id) throw new Error(`${send.id}: stored as ${entry?.messageId}`);
    send.outcome = 'stored';
    send.offset = entry.offset;
    send.storedAt = this.#facts.recorder.nextAt();
    return false;
  }

  /** Where one of the topic's names is said to be; without a route, anywhere. */
  async #where(random: CountingRandom): Promise<Address> {
    this.#routeUses += 1;
    if (this.#route === undefined || this.#routeUses % ROUTE_EVERY === 0) {
      this.#route = (await this.#client.route(this.#options.topic)) ?? this.#route;
    }
    return pick(random, this.#route?.stretches ?? [])?.at ?? this.#client.anyNode();
  }
}

function timestamp(ms: number): { readonly seconds: number; readonly nanos: number } {
  const seconds = Math.floor(ms / 1_000);
  return { seconds, nanos: Math.floor(ms - seconds * 1_000) * 1_000_000 };
}
