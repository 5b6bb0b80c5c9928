// Reads a topic with kafkajs: two members of one consumer group. Each has a client of its own, as two
// processes would: kafkajs keeps the offsets of a group by client, and what one member forgets when it
// joins again, the other reads from the start.
import { Kafka, logLevel } from 'kafkajs';
import { hashOf } from './cities.mjs';

const MEMBERS = 2;
/**
 * Patient: a member whose coordinator died keeps asking it until it is back, and reads on meanwhile; what
 * it could not commit it reads again. One that gives up joins anew, and the group waits for its old self.
 */
const RETRY = { initialRetryTime: 100, maxRetryTime: 1_000, retries: 100 };

export function kafkaClient(brokers, trouble) {
  return new Kafka({
    brokers,
    clientId: 'demo',
    connectionTimeout: 1_000,
    requestTimeout: 6_000,
    retry: RETRY,
    logLevel: logLevel.WARN,
    logCreator: () => (entry) => trouble(new Error(entry.log.error ?? entry.log.message)),
  });
}

export class TopicReader {
  #consumers;

  static async start({ brokers, topic, deliver, trouble }) {
    const reader = new TopicReader();
    reader.#consumers = Array.from({ length: MEMBERS }, () =>
      kafkaClient(brokers, trouble).consumer({
        groupId: 'atlas',
        heartbeatInterval: 1_000,
        maxWaitTimeInMs: 200,
        retry: { ...RETRY, restartOnFailure: async () => true },
      }),
    );
    await Promise.all(
      reader.#consumers.map(async (consumer) => {
        await consumer.connect();
        await consumer.subscribe({ topic, fromBeginning: true });
        await consumer.run({
          eachBatch: async ({ batch }) => {
            for (const message of batch.messages) deliver(deliveryOf(batch, message));
          },
        });
      }),
    );
    return reader;
  }

  async stop() {
    await Promise.all(this.#consumers.map((consumer) => consumer.disconnect()));
  }
}

function deliveryOf({ topic, partition }, { key, value, offset, headers }) {
  return {
    log: `${topic}-${partition}`,
    position: Number(offset),
    id: String(headers['amqp.message-id']),
    key: String(key),
    hash: hashOf(value),
  };
}
