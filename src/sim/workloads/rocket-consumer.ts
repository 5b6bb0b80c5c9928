// A simple consumer of the workload: receives from every name of its topics in turn, with and without waiting, and
// does with messages whatever a client may do: it acknowledges one or several, soon or late, gives them back, keeps
// them longer or shorter, gives up a receive that is under way, or forgets. One that is orderly only acknowledges.
import type { Address } from '../../env/environment.ts';
import { GrpcStatus } from '../../env/grpc.ts';
import { Code } from '../../protocols/rocketmq/grpc/schema/enums.ts';
import { METHODS } from '../../protocols/rocketmq/grpc/schema/methods.ts';
import type { GroupFacts } from '../checkers/group-history.ts';
import { between, type CountingRandom, chance, exponential, pick } from '../draws.ts';
import {
  CALL_TIMEOUT_MS,
  consumerSettings,
  RocketClient,
  type RocketClientFacts,
  type Route,
  type Stretch,
} from './rocket-client.ts';

const LEASE_MS = [10_000, 15_000] as const;
const BATCH_MAX = 16;
const ACK_MAX = 8;
const WAIT_MAX_MS = 2_000;
const LONG_WAIT_MS = 15_000;
const HELD_MAX = 64;
const MEAN_STEP_MS = 30;
const PAUSE_MS = 50;
const ROUTE_EVERY = 12;

export interface RocketConsumerOptions {
  readonly group: string;
  /** What the group has of each topic. */
  readonly topics: readonly GroupFacts[];
  /** Receives of this consumer that wait at the same time. */
  readonly receives: number;
}

interface Held {
  readonly delivery: number;
  readonly topic: string;
  readonly messageId: string;
  handle: string;
  at: Address;
}

type Result = 'ok' | 'refused' | 'unknown';

export class RocketConsumer {
  readonly #facts: RocketClientFacts;
  readonly #options: RocketConsumerOptions;
  readonly #client: RocketClient;
  readonly #routes = new Map<string, Route>();
  #held: Held[] = [];
  #turn: number;
  #isOrderly = false;
  #isStopping = false;
  #isDone = false;
  /** Names of topics that have said that there is nothing, since it became orderly. */
  readonly #empty = new Set<string>();

  constructor(facts: RocketClientFacts, options: RocketConsumerOptions) {
    this.#facts = facts;
    this.#options = options;
    this.#turn = facts.random.below(64);
    const { group, topics } = options;
    const wishes = topics.map(({ topic, tags }) => ({ topic, expression: expressionOf(tags) }));
    this.#client = new RocketClient(facts, consumerSettings(group, wishes));
  }

  get isDone(): boolean {
    return this.#isDone;
  }

  /** Every name of every topic was asked and had nothing, since it became orderly. */
  get hasLooked(): boolean {
    return this.#options.topics.every(({ topic }) => {
      const route = this.#routes.get(topic);
      return route?.stretches.every(({ name }) => this.#empty.has(`${topic} ${name}`)) === true;
    });
  }

  beOrderly(): void {
    this.#isOrderly = true;
    this.#empty.clear();
  }

  stop(): void {
    this.#isStopping = true;
  }

  async run(): Promise<void> {
    const { random } = this.#facts;
    const work = Array.from({ length: this.#options.receives }, (_, i) =>
      this.#receiving(random.fork(`receive ${i}`)),
    );
    work.push(this.#settling(random.fork('settle')));
    await Promise.all(work);
    this.#client.destroy();
    this.#isDone = true;
  }

  // ---- Receiving ----------------------------------------------------------------------------------

  async #receiving(random: CountingRandom): Promise<void> {
    while (!this.#isStopping) {
      const facts = this.#next();
      const route = await this.#routeOf(facts.topic);
      const stretch =
        route?.stretches[
          Math.floor(this.#turn / this.#options.topics.length) % route.stretches.length
        ];
      if (stretch === undefined || this.#held.length >= HELD_MAX) {
        await this.#client.sleep(PAUSE_MS);
        continue;
      }
      const isWell = await this.#receive(random, facts, stretch, route!);
      if (!isWell) this.#routes.delete(facts.topic);
      await this.#client.sleep(isWell ? exponential(random, PAUSE_MS) : 4 * PAUSE_MS);
    }
  }

  #next(): GroupFacts {
    this.#turn += 1;
    const { topics } = this.#options;
    return topics[this.#turn % topics.length]!;
  }

  async #routeOf(topic: string): Promise<Route | undefined> {
    const known = this.#routes.get(topic);
    if (known !== undefined && this.#turn % ROUTE_EVERY !== 0) return known;
    const route = await this.#client.route(topic);
    if (route !== undefined) this.#routes.set(topic, route);
    return route ?? known;
  }

  async #receive(
    random: CountingRandom,
    { topic, tags }: GroupFacts,
    { name, index, at }: Stretch,
    { stretches }: Route,
  ): Promise<boolean> {
    const { recorder, id: consumer } = this.#facts;
    const { group } = this.#options;
    const receive = recorder.nextNumber();
    const leaseMs = between(random, ...LEASE_MS);
    const waitMs = this.#waitMs(random);
    recorder.add({ kind: 'asks', receive, consumer, group, topic, leaseMs });
    const request = {
      group: { name: group },
      messageQueue: { topic: { name: topic }, id: 0, broker: { name } },
      filterExpression: { type: 1, expression: expressionOf(tags) },
      batchSize: between(random, 1, BATCH_MAX),
      invisibleDuration: duration(leaseMs),
      longPollingTimeout: duration(waitMs),
    };
    const isGivenUp = !this.#isOrderly && chance(random, 0.04);
    const { status, messages } = await this.#client.call(METHODS.receiveMessage, at, request, {
      timeoutMs: waitMs + CALL_TIMEOUT_MS,
      ...(isGivenUp ? { givesUpMs: random.below(waitMs + 20) } : {}),
    });
    const [first] = messages;
    if (status !== GrpcStatus.OK || first === undefined) return status === GrpcStatus.CANCELLED;
    const code = first.status?.code;
    if (code === Code.MESSAGE_NOT_FOUND) this.#empty.add(`${topic} ${name}`);
    for (const { message } of messages) {
      if (message === undefined) continue;
      const system = message.systemProperties!;
      const delivery = recorder.delivered(
        receive,
        message,
        system.queueId * stretches.length + index,
      );
      this.#held.push({
        delivery,
        topic,
        messageId: system.messageId,
        handle: system.receiptHandle!,
        at,
      });
    }
    return code === Code.OK || code === Code.MESSAGE_NOT_FOUND;
  }

  #waitMs(random: CountingRandom): number {
    if (this.#isOrderly) return random.below(300);
    if (chance(random, 0.3)) return 0;
    return chance(random, 0.05) ? LONG_WAIT_MS : random.below(WAIT_MAX_MS);
  }

  // ---- What becomes of messages -------------------------------------------------------------------

  async #settling(random: CountingRandom): Promise<void> {
    while (!this.#isStopping || this.#held.length > 0) {
      await this.#client.sleep(exponential(random, MEAN_STEP_MS));
      const first = pick(random, this.#held);
      if (first === undefined) continue;
      if (this.#isStopping || this.#isOrderly || chance(random, 0.85)) {
        await this.#acknowledge(random, first);
      } else if (chance(random, 0.7)) await this.#change(random, first);
      else this.#drop([first]);
    }
  }

  /** It forgets them: they come again when their leases end. */
  #drop(gone: readonly Held[]): void {
    this.#held = this.#held.filter((held) => !gone.includes(held));
  }

  async #acknowledge(random: CountingRandom, first: Held): Promise<void> {
    const { recorder } = this.#facts;
    const { topic } = first;
    const others = this.#held.filter((held) => held !== first && held.topic === topic);
    const some = [first, ...others.slice(0, random.below(ACK_MAX))];
    const call = recorder.nextNumber();
    recorder.add({
      kind: 'says',
      call,
      deliveries: some.map(({ delivery }) => delivery),
      what: 'done',
    });
    const entries = some.map(({ messageId, handle: receiptHandle }) => ({
      messageId,
      receiptHandle,
    }));
    const { status, messages } = await this.#client.call(METHODS.ackMessage, first.at, {
      group: { name: this.#options.group },
      topic: { name: topic },
      entries,
    });
    const [answer] = messages;
    const results = some.map((_, i): Result => {
      if (status !== GrpcStatus.OK) return 'unknown';
      return resultOf(answer?.entries[i]?.status?.code ?? answer?.status?.code);
    });
    recorder.add({ kind: 'heard', call, results });
    this.#drop(some.filter((_, i) => results[i] !== 'unknown'));
    if (results.includes('unknown')) await this.#elsewhere(some);
  }

  /** Every node knows every handle. */
  async #elsewhere(some: readonly Held[]): Promise<void> {
    const at = this.#client.anyNode();
    for (const held of some) held.at = at;
    await this.#client.sleep(PAUSE_MS);
  }

  async #change(random: CountingRandom, held: Held): Promise<void> {
    const { recorder } = this.#facts;
    const { topic, messageId, handle: receiptHandle, delivery } = held;
    const lengths = [0, between(random, 100, 3_000), between(random, 5_000, 15_000)];
    const leaseMs = pick(random, lengths)!;
    const call = recorder.nextNumber();
    recorder.add({ kind: 'says', call, deliveries: [delivery], what: leaseMs });
    const { status, messages } = await this.#client.call(METHODS.changeInvisibleDuration, held.at, {
      group: { name: this.#options.group },
      topic: { name: topic },
      receiptHandle,
      messageId,
      invisibleDuration: duration(leaseMs),
    });
    const [answer] = messages;
    const result = status === GrpcStatus.OK ? resultOf(answer?.status?.code) : 'unknown';
    recorder.add({ kind: 'heard', call, results: [result] });
    if (result === 'ok' && answer !== undefined) held.handle = answer.receiptHandle;
    if (result === 'refused' || (result === 'ok' && leaseMs === 0)) this.#drop([held]);
    if (result === 'unknown') await this.#elsewhere([held]);
  }
}

function resultOf(code: number | undefined): Result {
  if (code === Code.OK) return 'ok';
  return code === Code.INVALID_RECEIPT_HANDLE ? 'refused' : 'unknown';
}

function expressionOf(tags: readonly string[] | undefined): string {
  return tags === undefined ? '*' : tags.join(' || ');
}

function duration(ms: number): { readonly seconds: number; readonly nanos: number } {
  const seconds = Math.floor(ms / 1_000);
  return { seconds, nanos: (ms - seconds * 1_000) * 1_000_000 };
}
