// Kafka's way to a queue: batches with acks=all to whoever leads it, each sent once. What was not answered stays
// unknown; since it may still be on its way then, what follows keeps no order with it.
import { Produce } from '../../protocols/kafka/codec/index.ts';
import { encodeBatch, type RecordInput } from '../../records/records.ts';
import { encodeUtf8 } from '../../std/bytes.ts';
import { fnv1a32 } from '../../std/hash.ts';
import type { Publish } from '../checkers/queue-history.ts';
import { between, type CountingRandom, exponential, logUniform, pick } from '../draws.ts';
import type { QueueRecorder } from './amqp-session.ts';
import { bodyOf } from './kafka-bodies.ts';
import type { KafkaClient } from './kafka-client.ts';
import { CallFailedError } from './kafka-connection.ts';

const BATCH_RECORDS_MAX = 3;
const BODY_BYTES_MAX = 1_000;
const KEYS = ['a', 'b', 'key.of.kafka'];
const PRODUCE_VERSION = 7;

export interface KafkaToQueueOptions {
  readonly queues: readonly string[];
  readonly meanGapMs: number;
}

export class KafkaToQueue {
  readonly #client: KafkaClient;
  readonly #recorder: QueueRecorder;
  readonly #random: CountingRandom;
  readonly #options: KafkaToQueueOptions;
  /** Messages that are surely stored. */
  confirmed = 0;
  #lane = 0;
  #order = 0;
  #isStopping = false;
  #isDone = false;

  constructor(
    client: KafkaClient,
    recorder: QueueRecorder,
    random: CountingRandom,
    options: KafkaToQueueOptions,
  ) {
    this.#client = client;
    this.#recorder = recorder;
    this.#random = random;
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
      await this.#client.sleep(exponential(this.#random, this.#options.meanGapMs));
      const queue = pick(this.#random, this.#options.queues)!;
      const leader = await this.#leader(queue);
      if (leader !== undefined) await this.#produce(leader, queue);
    }
    this.#isDone = true;
  }

  async #produce(leader: number, queue: string): Promise<void> {
    const publishes: Publish[] = [];
    const records: RecordInput[] = [];
    const timestampMs = Math.floor(this.#client.env.clock.wallMs());
    for (let count = between(this.#random, 1, BATCH_RECORDS_MAX); count > 0; count -= 1) {
      const { publish, body } = this.#next(queue);
      publishes.push(publish);
      records.push({ timestampMs, key: encodeUtf8(publish.key), value: body });
    }
    this.#recorder.history.publishes.push(...publishes);
    const isStored = await this.#send(leader, queue, encodeBatch(records, this.#client.env.crc32c));
    if (!isStored) {
      this.#lane += 1;
      return;
    }
    this.confirmed += publishes.length;
    for (const publish of publishes) publish.outcome = 'confirmed';
  }

  #next(queue: string): { publish: Publish; body: Uint8Array } {
    const id = this.#recorder.nextId();
    const body = bodyOf(id, Math.round(logUniform(this.#random, 4, BODY_BYTES_MAX)));
    this.#order += 1;
    const publish: Publish = {
      id,
      lane: `${this.#client.id}.${this.#lane}/${queue}`,
      order: this.#order,
      exchange: '',
      key: pick(this.#random, KEYS)!,
      bodyHash: fnv1a32(body),
      queues: [queue],
      streams: [],
      isMandatory: false,
      outcome: 'unknown',
      isReturned: false,
    };
    return { publish, body };
  }

  async #send(leader: number, name: string, records: Uint8Array): Promise<boolean> {
    try {
      const answer = await this.#client.call(leader, Produce, PRODUCE_VERSION, {
        transactionalId: null,
        acks: -1,
        timeoutMs: 2_000,
        topicData: [{ name, partitionData: [{ index: 0, records }] }],
      });
      return answer.responses[0]?.partitionResponses[0]?.errorCode === 0;
    } catch (error) {
      if (!(error instanceof CallFailedError)) throw error;
      return false;
    }
  }

  /** Of the queue as a topic. */
  async #leader(queue: string): Promise<number | undefined> {
    try {
      await this.#client.refresh(this.#options.queues);
    } catch (error) {
      if (!(error instanceof CallFailedError)) throw error;
    }
    const leader = this.#client.partition(queue, 0)?.leader ?? -1;
    return leader < 0 ? undefined : leader;
  }
}
