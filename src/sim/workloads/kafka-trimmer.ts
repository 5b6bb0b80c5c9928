// Deletes records, changes how long they are kept, and looks where logs start, at random. Only records what it was
// told; one attempt each, so that it knows what each came to.
import { DeleteRecords, IncrementalAlterConfigs } from '../../protocols/kafka/codec/index.ts';
import type { Trim } from '../checkers/kafka-history.ts';
import type { StartHistory } from '../checkers/kafka-starts.ts';
import { type CountingRandom, chance, exponential, pick } from '../draws.ts';
import type { KafkaClient } from './kafka-client.ts';
import { CallFailedError } from './kafka-connection.ts';
import type { TopicPlan } from './kafka-producer.ts';
import { endOf, leaderOf } from './kafka-reader.ts';

const DELETE_VERSION = 2;
const ALTER_VERSION = 1;
const TOPIC = 2;
/** Answers after which nothing was deleted. */
const REFUSALS: ReadonlySet<number> = new Set([1, 3, 6]);
const OFFSET_OUT_OF_RANGE = 1;

export interface TrimmerOptions {
  /** Whose records it deletes. */
  readonly trimmed: readonly TopicPlan[];
  /** Whose starts it looks at. */
  readonly watched: readonly TopicPlan[];
  /** Where `retention.ms` becomes one of these. */
  readonly retained: string;
  readonly retentionMs: readonly number[];
  readonly meanGapMs: number;
  readonly nowMs: () => number;
}

export class KafkaTrimmer {
  readonly #client: KafkaClient;
  readonly #history: StartHistory;
  readonly #random: CountingRandom;
  readonly #options: TrimmerOptions;
  #isStopping = false;
  isDone = false;
  /** Deletions beyond the end that were not refused. */
  readonly mistakes: string[] = [];

  constructor(
    client: KafkaClient,
    history: StartHistory,
    random: CountingRandom,
    options: TrimmerOptions,
  ) {
    this.#client = client;
    this.#history = history;
    this.#random = random;
    this.#options = options;
  }

  stop(): void {
    this.#isStopping = true;
  }

  async run(): Promise<void> {
    const { meanGapMs, trimmed, watched } = this.#options;
    while (!this.#isStopping) {
      await this.#client.sleep(exponential(this.#random, meanGapMs));
      if (chance(this.#random, 0.1)) await this.#alter();
      else if (chance(this.#random, 0.5)) await this.#look(pick(this.#random, watched)!);
      else await this.#trim(pick(this.#random, trimmed)!);
    }
    this.isDone = true;
  }

  async #look({ name, partitions }: TopicPlan): Promise<void> {
    const { nowMs } = this.#options;
    const partition = this.#random.below(partitions);
    const beganMs = nowMs();
    const offset = await endOf(this.#client, name, partition, 'earliest');
    if (offset === undefined) return;
    const endedMs = nowMs();
    this.#history.starts.push({ topic: name, partition, offset, beganMs, endedMs });
  }

  async #trim({ name, partitions }: TopicPlan): Promise<void> {
    const partition = this.#random.below(partitions);
    const end = await endOf(this.#client, name, partition, 'latest');
    const start = await endOf(this.#client, name, partition, 'earliest');
    if (end === undefined || start === undefined) return;
    const isAll = chance(this.#random, 0.1);
    const isBeyond = !isAll && chance(this.#random, 0.05);
    // Most of what is there stays.
    const some = start + this.#random.below(1 + Math.max(0, Math.floor((end - start) / 2)));
    const offset = isBeyond ? end + 1_000_000 : some;
    const trim: Trim = {
      topic: name,
      partition,
      offset: isAll ? Number.POSITIVE_INFINITY : offset,
      beganMs: this.#options.nowMs(),
      endedMs: undefined,
      outcome: 'unknown',
      low: undefined,
    };
    this.#history.trims.push(trim);
    const code = await this.#delete(trim, isAll ? -1 : offset);
    if (!isBeyond || code === undefined) return;
    if (code !== OFFSET_OUT_OF_RANGE && !REFUSALS.has(code)) {
      this.mistakes.push(`${name}-${partition}: deleted up to ${offset}, beyond ${end}: ${code}`);
    }
  }

  async #delete(trim: Trim, offset: number): Promise<number | undefined> {
    const { topic, partition } = trim;
    const leader = await leaderOf(this.#client, topic, partition);
    if (leader === undefined) {
      trim.outcome = 'failed';
      return undefined;
    }
    try {
      const partitions = [{ partitionIndex: partition, offset }];
      const answer = await this.#client.call(leader, DeleteRecords, DELETE_VERSION, {
        topics: [{ name: topic, partitions }],
        timeoutMs: 2_000,
      });
      const result = answer.topics[0]?.partitions[0];
      if (result === undefined) throw new Error('an answer without the partition');
      trim.endedMs = this.#options.nowMs();
      if (result.errorCode === 0) {
        trim.outcome = 'acknowledged';
        trim.low = result.lowWatermark;
      } else if (result.errorCode === OFFSET_OUT_OF_RANGE) trim.outcome = 'failed';
      return result.errorCode;
    } catch (error) {
      if (!(error instanceof CallFailedError)) throw error;
      if (!error.isSent) trim.outcome = 'failed';
      return undefined;
    }
  }

  async #alter(): Promise<void> {
    const { retained, retentionMs } = this.#options;
    const value = String(pick(this.#random, retentionMs));
    const configs = [{ name: 'retention.ms', configOperation: 0, value }];
    const resources = [{ resourceType: TOPIC, resourceName: retained, configs }];
    try {
      const body = { resources, validateOnly: false };
      const { responses } = await this.#client.callAny(
        IncrementalAlterConfigs,
        ALTER_VERSION,
        body,
      );
      this.#client.env.log.debug('retention', { value, code: responses[0]?.errorCode });
    } catch (error) {
      if (!(error instanceof CallFailedError)) throw error;
    }
  }
}
