// One queue under three protocols at once, in real processes: senders and takers of each, and the death of its leader.
import { type ChannelModel, type ConfirmChannel, connect } from 'amqplib';
import { expect, it } from 'vitest';
import { type DevCluster, delay, startDev, until } from '../../tools/lib/dev-cluster.mjs';
import { Producer, SimpleConsumer } from '../fixtures/rocketmq-client.ts';
import { destinationOf, untilHealthy } from './support/api.ts';
import { KafkaUser } from './support/kafka.ts';

const QUEUE = 'tasks';
/** The shortest that RocketMQ takes. */
const INVISIBLE_MS = 10_000;

const silent = (): void => undefined;

/** Sends under names of its own, one after the other, and knows what was confirmed. */
class Sender {
  readonly confirmed: string[] = [];
  readonly #work: Promise<void>;
  #isOver = false;

  constructor(prefix: string, send: (name: string) => Promise<unknown>) {
    this.#work = this.#run(prefix, send);
  }

  async #run(prefix: string, send: (name: string) => Promise<unknown>): Promise<void> {
    for (let i = 0; !this.#isOver; i += 1) {
      const name = `${prefix}${i}`;
      await send(name).then(
        () => this.confirmed.push(name),
        // It may be there, and need not.
        () => delay(50),
      );
    }
  }

  async end(): Promise<void> {
    this.#isOver = true;
    await this.#work;
  }
}

async function channelTo(cluster: DevCluster, node: number) {
  const connection: ChannelModel = await connect(cluster.nodes[node - 1]!.amqp);
  connection.on('error', silent);
  const channel = await connection.createConfirmChannel();
  channel.on('error', silent);
  return { connection, channel };
}

function publish(channel: ConfirmChannel, name: string): Promise<void> {
  return new Promise((resolve, reject) => {
    channel.sendToQueue(QUEUE, Buffer.from(name), { persistent: true }, (error: unknown) =>
      error === null || error === undefined ? resolve() : reject(new Error('not confirmed')),
    );
  });
}

it('kill -9 of its leader loses nothing of what three protocols send to a queue and two take from it', async () => {
  const cluster = await startDev({ restart: '1s' });
  const kafka = new KafkaUser(cluster.brokers);
  try {
    const first = await channelTo(cluster, 1);
    await first.channel.assertQueue(QUEUE, { durable: true });
    await first.connection.close();
    const { leader } = (await destinationOf(cluster.nodes[0]!, QUEUE)).partitions[0]!;
    const [near, far] = [1, 2, 3].filter((id) => id !== leader) as [number, number];

    const { connection, channel } = await channelTo(cluster, near);
    const options = { namespace: '', requestTimeout: 5_000 };
    const at = (node: number) => ({ ...options, endpoints: cluster.nodes[node - 1]!.rocketmq });
    const rocket = new Producer({ ...at(near), topics: [QUEUE] });
    await rocket.startup();
    const producer = await kafka.producer();
    const senders = [
      new Sender('amqp-', (name) => publish(channel, name)),
      new Sender('kafka-', (value) => producer.send({ topic: QUEUE, messages: [{ value }] })),
      new Sender('rocket-', (name) => rocket.send({ topic: QUEUE, body: Buffer.from(name) })),
    ];
    const areAbove = (count: number) => senders.every(({ confirmed }) => confirmed.length > count);

    const byAmqp = new Set<string>();
    const byRocket = new Set<string>();
    await channel.prefetch(5);
    await channel.consume(QUEUE, (message) => {
      if (message === null) return;
      byAmqp.add(message.content.toString());
      channel.ack(message);
    });
    const subscriptions = new Map([[QUEUE, '*']]);
    const taker = { ...at(far), consumerGroup: 'takers', subscriptions, awaitDuration: 1_000 };
    const consumer = new SimpleConsumer(taker);
    await consumer.startup();
    let isOver = false;
    const taking = (async () => {
      while (!isOver) {
        const messages = await consumer.receive(16, INVISIBLE_MS).catch(() => []);
        for (const message of messages) {
          byRocket.add(message.body.toString());
          await consumer.ack(message).catch(silent);
        }
      }
    })();

    await until('everybody sends', () => areAbove(30), 40_000);
    await cluster.kill(leader);
    const before = Math.max(...senders.map(({ confirmed }) => confirmed.length));
    await until('everybody goes on behind it', () => areAbove(before + 30), 80_000);
    for (const sender of senders) await sender.end();
    await untilHealthy(cluster);
    const isTaken = (name: string) => byAmqp.has(name) || byRocket.has(name);
    const missing = () => senders.flatMap(({ confirmed }) => confirmed).filter((n) => !isTaken(n));
    await until('everything is taken', () => missing().length === 0, 60_000);
    expect(byAmqp.size).toBeGreaterThan(0);
    expect(byRocket.size).toBeGreaterThan(0);
    isOver = true;
    await taking;
    await rocket.shutdown();
    await consumer.shutdown();
    await connection.close();
  } finally {
    await kafka.close();
    await cluster.stop();
  }
}, 240_000);
