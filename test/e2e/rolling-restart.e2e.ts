// Three nodes as processes that are restarted in order, one after another, under kafkajs and amqplib: nobody is told an
// error, and everything that was acknowledged is there.
import { connect } from 'amqplib';
import { afterEach, expect, it } from 'vitest';
import { type DevCluster, startDev, until } from '../../tools/lib/dev-cluster.mjs';
import { untilHealthy } from './support/api.ts';
import { KafkaUser } from './support/kafka.ts';

const PARTITIONS = 3;
const QUEUE = 'tasks';

let cluster: DevCluster;
let user: KafkaUser;

afterEach(async () => {
  await user?.close();
  await cluster?.stop();
});

/** An AMQP connection ends with the node that it is to: its user goes to another one, as libraries do that reconnect. */
class AmqpUser {
  readonly confirmed: number[] = [];
  readonly got = new Set<number>();
  readonly refused: string[] = [];
  isOver = false;
  #next = 0;

  /** To a node that is not the next one to be stopped. */
  async publishThrough(url: string, isDue: () => boolean): Promise<void> {
    const connection = await connect(url);
    connection.on('error', (error) => this.refused.push(String(error)));
    const channel = await connection.createConfirmChannel();
    await channel.assertQueue(QUEUE, { durable: true });
    while (!isDue()) {
      const value = this.#next;
      this.#next += 1;
      await new Promise<void>((resolve) => {
        channel.sendToQueue(QUEUE, Buffer.from(`${value}`), { persistent: true }, (error) => {
          if (error === null) this.confirmed.push(value);
          else this.refused.push(`nack of ${value}`);
          resolve();
        });
      });
    }
    await channel.close();
    await connection.close();
  }

  async readAll(url: string): Promise<void> {
    const connection = await connect(url);
    const channel = await connection.createChannel();
    await channel.prefetch(50);
    await channel.consume(QUEUE, (message) => {
      if (message === null) return;
      this.got.add(Number(message.content.toString()));
      channel.ack(message);
    });
    await until('all confirmed messages come', () =>
      this.confirmed.every((at) => this.got.has(at)),
    );
    await connection.close();
  }
}

it('a rolling restart under kafkajs and amqplib: no error for anybody, and nothing acknowledged is lost', async () => {
  cluster = await startDev({ restart: '300ms' });
  user = new KafkaUser(cluster.brokers);
  await user.topic('t', PARTITIONS);
  const producer = await user.producer();
  const sent: string[] = [];
  const errors: string[] = [];
  const state = { isOver: false };
  const writing = Array.from({ length: PARTITIONS }, async (_, partition) => {
    for (let i = 0; !state.isOver; i += 1) {
      const value = `${partition}-${i}`;
      try {
        await producer.send({ topic: 't', acks: -1, messages: [{ value, partition }] });
        sent.push(value);
      } catch (error) {
        errors.push(String(error));
      }
    }
  });
  await until('some are written', () => sent.length > 20, 60_000);
  const amqp = new AmqpUser();
  for (const victim of [1, 2, 3]) {
    let hasRestarted = false;
    const other = cluster.nodes[victim % 3]!;
    const publishing = amqp.publishThrough(other.amqp, () => hasRestarted);
    const [before, confirmed] = [sent.length, amqp.confirmed.length];
    await until('both write', () => {
      return sent.length > before + 10 && amqp.confirmed.length > confirmed + 10;
    });
    await cluster.kill(victim, 'SIGTERM');
    await until('dev reports the return', () =>
      cluster.output().includes(`node ${victim} is back in sync`),
    );
    await untilHealthy(cluster);
    hasRestarted = true;
    await publishing;
    expect(cluster.logOf(victim)).toContain('a leader hands over');
  }
  state.isOver = true;
  await Promise.all(writing);
  expect(errors).toEqual([]);
  expect(amqp.refused).toEqual([]);
  await amqp.readAll(cluster.nodes[0]!.amqp);
  const got = new Set<string>();
  const consumer = await user.consumer({ groupId: 'reader' });
  await consumer.subscribe({ topic: 't', fromBeginning: true });
  await consumer.run({
    eachMessage: async ({ message }) => {
      got.add(String(message.value));
    },
  });
  await until('all are read', () => sent.every((value) => got.has(value)), 60_000);
}, 240_000);
