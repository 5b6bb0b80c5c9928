// The names of the demonstration, who reads what, and how it is declared: topics as Kafka's clients make
// them, the exchange, the queue and all bindings as AMQP's do.
import { connect } from 'amqplib';

export const EXCHANGE = 'cities';
export const QUEUE = { name: 'AMQP', destination: 'desk', bindings: ['city.#'], order: 'arrival' };
export const TOPIC = {
  name: 'Kafka',
  destination: 'world',
  partitions: 6,
  bindings: ['city.#'],
  order: 'arrival',
};
/** RocketMQ promises no order of arrival without FIFO groups; the log has one all the same. */
export const GROUP = {
  name: 'RocketMQ',
  destination: 'seats',
  partitions: 4,
  bindings: ['city.seat.#', 'city.capital.#'],
  order: 'position',
};
export const READERS = [QUEUE, TOPIC, GROUP];
export const DESTINATIONS = READERS.map(({ destination }) => destination);

/** `amqpUrl`: of the node that declares the queue, which is its home if it has one replica. */
export async function declare(kafka, amqpUrl) {
  const admin = kafka.admin();
  await admin.connect();
  const topics = [TOPIC, GROUP].map(({ destination, partitions }) => ({
    topic: destination,
    numPartitions: partitions,
    replicationFactor: 3,
  }));
  await admin.createTopics({ topics, waitForLeaders: true });
  await admin.disconnect();
  const connection = await connect(amqpUrl);
  const channel = await connection.createChannel();
  await channel.assertExchange(EXCHANGE, 'topic', { durable: true });
  await channel.assertQueue(QUEUE.destination, { durable: true });
  for (const { destination, bindings } of READERS) {
    for (const pattern of bindings) await channel.bindQueue(destination, EXCHANGE, pattern);
  }
  await connection.close();
}
