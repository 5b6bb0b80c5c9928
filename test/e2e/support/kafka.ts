// kafkajs as the suites use it: quiet, patient, and with everything that was opened closed after a test.
import {
  type Admin,
  type Consumer,
  type ConsumerConfig,
  Kafka,
  type KafkaConfig,
  logLevel,
  type Producer,
  type ProducerConfig,
} from 'kafkajs';
import { until } from '../../../tools/lib/dev-cluster.mjs';

process.env['KAFKAJS_NO_PARTITIONER_WARNING'] = '1';

/** A consumed message, in words. */
export interface Taken {
  readonly partition: number;
  readonly offset: number;
  readonly key: string | undefined;
  readonly value: string;
}

export class KafkaUser {
  readonly kafka: Kafka;
  readonly #open: { disconnect(): Promise<void> }[] = [];

  constructor(brokers: string[], config: Partial<KafkaConfig> = {}) {
    this.kafka = new Kafka({
      brokers,
      clientId: 'e2e',
      logLevel: logLevel.NOTHING,
      connectionTimeout: 3_000,
      requestTimeout: 15_000,
      retry: { initialRetryTime: 100, retries: 12, maxRetryTime: 2_000 },
      ...config,
    });
  }

  async admin(): Promise<Admin> {
    return this.#opened(this.kafka.admin());
  }

  async producer(config: ProducerConfig = {}): Promise<Producer> {
    return this.#opened(this.kafka.producer(config));
  }

  async consumer(config: ConsumerConfig): Promise<Consumer> {
    return this.#opened(
      // An end waits for the poll that is under way.
      this.kafka.consumer({
        heartbeatInterval: 500,
        rebalanceTimeout: 6_000,
        maxWaitTimeInMs: 500,
        ...config,
      }),
    );
  }

  async #opened<T extends { connect(): Promise<void>; disconnect(): Promise<void> }>(
    one: T,
  ): Promise<T> {
    this.#open.push(one);
    await one.connect();
    return one;
  }

  /** Makes a topic and waits until all its partitions have leaders. */
  async topic(name: string, numPartitions = 1, replicationFactor = -1): Promise<void> {
    const admin = await this.admin();
    await admin.createTopics({
      waitForLeaders: true,
      topics: [{ topic: name, numPartitions, replicationFactor }],
    });
  }

  async close(): Promise<void> {
    // Last opened, first closed: consumers leave before the connections that they share.
    for (const one of this.#open.splice(0).reverse()) await one.disconnect().catch(() => undefined);
  }
}

/** Runs a consumer and keeps what it takes, in the order of arrival. */
export async function take(consumer: Consumer, topic: string): Promise<Taken[]> {
  const taken: Taken[] = [];
  await consumer.subscribe({ topic, fromBeginning: true });
  await consumer.run({
    eachMessage: async ({ partition, message }) => {
      taken.push({
        partition,
        offset: Number(message.offset),
        key: message.key?.toString(),
        value: message.value?.toString() ?? '',
      });
    },
  });
  return taken;
}

export async function untilTaken(taken: readonly Taken[], count: number): Promise<void> {
  await until(`${count} messages are consumed`, () => taken.length >= count);
}

export function numbered(count: number, prefix = 'm'): { key: string; value: string }[] {
  return Array.from({ length: count }, (_, i) => ({ key: `k${i}`, value: `${prefix}${i}` }));
}
