// A producer of the workload: one batch in flight per producer, sent again until it is acknowledged or
// given up. Every record is an operation with an id of its own. Outcomes that are not known stay open.
import { Produce } from '../../protocols/kafka/codec/index.ts';
import { encodeBatch } from '../../records/records.ts';
import { fnv1a32 } from '../../std/hash.ts';
import type { KafkaHistory, Send } from '../checkers/kafka-history.ts';
import type { CountingRandom } from '../draws.ts';
import { between, chance, exponential, logUniform } from '../draws.ts';
import { bodyOf } from './kafka-bodies.ts';
import type { KafkaClient } from './kafka-client.ts';
import { CallFailedError } from './kafka-connection.ts';

const ATTEMPTS_MAX = 60;
const BATCH_RECORDS_MAX = 8;
const RETRY_MS = 120;
/** Answers after which this attempt is surely not in the log. */
const REFUSALS: ReadonlySet<number> = new Set([2, 3, 5, 10, 17, 18, 19, 87]);

export interface TopicPlan {
  readonly name: string;
  readonly partitions: number;
}

export interface ProducerOptions {
  readonly topics: readonly TopicPlan[];
  readonly meanGapMs: number;
  /** Probability that a batch asks for acks=1 instead of all. */
  readonly leaderAcks: number;
  readonly bodyBytesMax: number;
  /** World time, where the history is to tell when sends were begun and answered. */
  readonly nowMs?: () => number;
}

/** Hands out ids that are unique in one history. */
export interface Ids {
  next: number;
}

export class KafkaProducer {
  readonly #client: KafkaClient;
  readonly #history: KafkaHistory;
  readonly #ids: Ids;
  readonly #random: CountingRandom;
  readonly #options: ProducerOptions;
  readonly #orders = new Map<string, number>();
  readonly #version: number;
  #isStopping = false;
  #isDone = false;

  constructor(
    client: KafkaClient,
    history: KafkaHistory,
    ids: Ids,
    random: CountingRandom,
    options: ProducerOptions,
  ) {
    this.#client = client;
    this.#history = history;
    this.#ids = ids;
    this.#random = random;
    this.#options = options;
    this.#version = between(random, 3, 9);
  }

  get isDone(): boolean {
    return this.#isDone;
  }

  stop(): void {
    this.#isStopping = true;
  }

  async run(): Promise<void> {
    while (!this.#isStopping) {
      await this.#client.sleep(exponential(this.#random, this.#options.meanGapMs));
      const topic = this.#options.topics[this.#random.below(this.#options.topics.length)]!;
      await this.#produce(topic.name, this.#random.below(topic.partitions));
    }
    this.#isDone = true;
  }

  async #produce(topic: string, partition: number): Promise<void> {
    const sends = this.#begin(topic, partition);
    const wallMs = Math.floor(this.#client.env.clock.wallMs());
    const records = encodeBatch(
      sends.map(({ body }) => ({ timestampMs: wallMs, key: null, value: body })),
      this.#client.env.crc32c,
    );
    let mayBeIn = false;
    for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt += 1) {
      const leader = await this.#leader(topic, partition);
      const outcome =
        leader === undefined
          ? 'refused'
          : await this.#attempt(leader, topic, partition, records, sends[0]!.send.acks);
      if (typeof outcome === 'number') {
        for (const { send } of sends) send.attempts += 1;
        for (const [i, { send }] of sends.entries()) {
          send.outcome = 'acknowledged';
          send.offset = outcome + i;
          this.#stamp(send, leader!);
        }
        return;
      }
      if (outcome === 'unknown') {
        mayBeIn = true;
        for (const { send } of sends) send.attempts += 1;
      }
      await this.#client.sleep(RETRY_MS + this.#random.below(RETRY_MS));
    }
    if (!mayBeIn) for (const { send } of sends) send.outcome = 'failed';
  }

  #stamp(send: Send, node: number): void {
    const { nowMs } = this.#options;
    if (nowMs === undefined) return;
    send.endedMs = nowMs();
    send.answeredBy = node;
  }

  #begin(topic: string, partition: number): { send: Send; body: Uint8Array }[] {
    const count = between(this.#random, 1, BATCH_RECORDS_MAX);
    const acks = chance(this.#random, this.#options.leaderAcks) ? 1 : -1;
    const lane = `${topic}-${partition}`;
    const { nowMs } = this.#options;
    return Array.from({ length: count }, () => {
      const id = this.#ids.next;
      this.#ids.next += 1;
      const order = this.#orders.get(lane) ?? 0;
      this.#orders.set(lane, order + 1);
      const size = Math.round(logUniform(this.#random, 4, this.#options.bodyBytesMax));
      const body = bodyOf(id, size);
      const send: Send = {
        producer: this.#client.id,
        topic,
        partition,
        id,
        bodyHash: fnv1a32(body),
        acks,
        order,
        attempts: 0,
        outcome: 'unknown',
        offset: undefined,
        bytes: body.length,
        ...(nowMs === undefined ? {} : { beganMs: nowMs() }),
      };
      this.#history.sends.push(send);
      return { send, body };
    });
  }

  /** The base offset, or what is known of the failure. */
  async #attempt(
    leader: number,
    topic: string,
    partition: number,
    records: Uint8Array,
    acks: number,
  ): Promise<number | 'refused' | 'unknown'> {
    try {
      const answer = await this.#client.call(
        leader,
        Produce,
        this.#version,
        {
          transactionalId: null,
          acks,
          timeoutMs: 2_000,
          topicData: [{ name: topic, partitionData: [{ index: partition, records }] }],
        },
        4_000,
      );
      const result = answer.responses[0]?.partitionResponses[0];
      if (result === undefined)
        throw new Error(`${this.#client.id}: an answer without the partition`);
      if (result.errorCode === 0) return result.baseOffset;
      return REFUSALS.has(result.errorCode) ? 'refused' : 'unknown';
    } catch (error) {
      if (!(error instanceof CallFailedError)) throw error;
      return error.isSent ? 'unknown' : 'refused';
    }
  }

  async #leader(topic: string, partition: number): Promise<number | undefined> {
    const known = this.#client.partition(topic, partition)?.leader ?? -1;
    if (known >= 0 && chance(this.#random, 0.7)) return known;
    try {
      await this.#client.refresh(this.#options.topics.map(({ name }) => name));
    } catch (error) {
      if (!(error instanceof CallFailedError)) throw error;
    }
    const leader = this.#client.partition(topic, partition)?.leader ?? -1;
    return leader < 0 ? undefined : leader;
  }
}
