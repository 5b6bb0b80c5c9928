// Gives partitions other replicas, at random and while others still move; cancels some, and has the first replica of some
// elected. What it is answered it notes, and in the end it waits until nothing moves any more.
import {
  AlterPartitionReassignments,
  ElectLeaders,
  ListPartitionReassignments,
} from '../../protocols/kafka/codec/index.ts';
import { type CountingRandom, chance, exponential, pick } from '../draws.ts';
import type { KafkaClient } from './kafka-client.ts';
import { CallFailedError } from './kafka-connection.ts';

const VERSION = 0;
const ELECT_VERSION = 2;
const PREFERRED = 0;
const ELECT_MS = 2_000;
const CANCEL_PROBABILITY = 0.15;
const LOOK_MS = 300;

export interface MoverOptions {
  /** Topics and how many partitions each has. */
  readonly topics: readonly { readonly name: string; readonly partitions: number }[];
  readonly nodes: readonly number[];
  readonly replicas: number;
  readonly meanGapMs: number;
  /** How often the first replica is elected behind a change; left out: never. */
  readonly elects?: number;
}

export class KafkaMover {
  readonly #client: KafkaClient;
  readonly #random: CountingRandom;
  readonly #options: MoverOptions;
  #isStopping = false;
  isDone = false;
  /** Moves that were begun, as far as it was told. */
  begun = 0;
  /** Elections that were answered as done. */
  elected = 0;

  constructor(client: KafkaClient, random: CountingRandom, options: MoverOptions) {
    this.#client = client;
    this.#random = random;
    this.#options = options;
  }

  stop(): void {
    this.#isStopping = true;
  }

  async run(): Promise<void> {
    while (!this.#isStopping) {
      await this.#client.sleep(exponential(this.#random, this.#options.meanGapMs));
      const { name, partitions } = pick(this.#random, this.#options.topics)!;
      await this.#move(name, this.#random.below(partitions));
    }
    while (!(await this.#isStill())) await this.#client.sleep(LOOK_MS);
    this.isDone = true;
  }

  async #move(name: string, partitionIndex: number): Promise<void> {
    const isCancel = chance(this.#random, CANCEL_PROBABILITY);
    const replicas = isCancel ? null : this.#draw();
    const topics = [{ name, partitions: [{ partitionIndex, replicas }] }];
    const answer = await this.#ask(() =>
      this.#client.callAny(AlterPartitionReassignments, VERSION, { topics, timeoutMs: 2_000 }),
    );
    const code = answer?.responses[0]?.partitions[0]?.errorCode;
    this.#client.env.log.debug('move', { name, partitionIndex, replicas, code });
    if (code === 0 && !isCancel) this.begun += 1;
    const { elects } = this.#options;
    if (elects !== undefined && chance(this.#random, elects))
      await this.#elect(name, partitionIndex);
  }

  /** It is to lead, and is handed the partition, or not: whoever looks finds out. */
  async #elect(topic: string, partition: number): Promise<void> {
    const topicPartitions = [{ topic, partitions: [partition] }];
    const body = { electionType: PREFERRED, topicPartitions, timeoutMs: ELECT_MS };
    const answer = await this.#ask(() => this.#client.callAny(ElectLeaders, ELECT_VERSION, body));
    const code = answer?.replicaElectionResults[0]?.partitionResult[0]?.errorCode;
    if (code === 0) this.elected += 1;
    this.#client.env.log.debug('elected', { topic, partition, code });
  }

  #draw(): number[] {
    const left = [...this.#options.nodes];
    return Array.from({ length: this.#options.replicas }, () => {
      return left.splice(this.#random.below(left.length), 1)[0]!;
    });
  }

  async #isStill(): Promise<boolean> {
    const answer = await this.#ask(() =>
      this.#client.callAny(ListPartitionReassignments, VERSION, { topics: null }),
    );
    return answer !== undefined && answer.topics.length === 0;
  }

  async #ask<T>(call: () => Promise<T>): Promise<T | undefined> {
    try {
      return await call();
    } catch (error) {
      if (error instanceof CallFailedError) return undefined;
      throw error;
    }
  }
}
