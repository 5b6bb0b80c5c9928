// rocketmq-client-nodejs as it is against real clusters in processes: what a node's death may cost, and what
// it may not.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type DevCluster, startDev, until } from '../../tools/lib/dev-cluster.mjs';
import {
  type ClientBase,
  type ClientClass,
  type ConsumerClient,
  Producer,
  type ProducerClient,
  SimpleConsumer,
} from '../fixtures/rocketmq-client.ts';
import { counterSum, destinationOf, untilHealthy } from './support/api.ts';
import { placeOf } from './support/rocketmq.ts';

const INVISIBLE_MS = 10_000;
const clients: ClientBase[] = [];
let cluster: DevCluster;

async function started<C extends ClientBase>(
  type: ClientClass<C>,
  node: number,
  options: object,
): Promise<C> {
  const endpoints = cluster.nodes[node - 1]!.rocketmq;
  const client = new type({ endpoints, namespace: '', requestTimeout: 5_000, ...options });
  clients.push(client);
  await client.startup();
  return client;
}

const producerOn = (node: number, topic: string): Promise<ProducerClient> =>
  started(Producer, node, { topics: [topic] });

const consumerOn = (node: number, topic: string, consumerGroup: string): Promise<ConsumerClient> =>
  started(SimpleConsumer, node, {
    consumerGroup,
    subscriptions: new Map([[topic, '*']]),
    awaitDuration: 1_000,
  });

async function shutDown(): Promise<void> {
  for (const client of clients.splice(0)) await client.shutdown();
}

/** What members of a group have had, and what they know to be acknowledged. */
class Ledger {
  readonly received = new Map<string, number>();
  readonly acknowledged = new Set<string>();
  /** What came although its acknowledgement had been answered. */
  readonly afterwards: string[] = [];
  readonly #done = new Set<string>();
  isOver = false;
  readonly #loops: Promise<void>[] = [];

  consume(from: ConsumerClient): void {
    this.#loops.push(this.#loop(from));
  }

  async #loop(from: ConsumerClient): Promise<void> {
    while (!this.isOver) {
      // While the node that an address names is dead, calls to it fail; the route is asked anew by and by.
      const messages = await from.receive(16, INVISIBLE_MS).catch(() => pause());
      for (const message of messages) {
        const body = message.body.toString();
        const place = placeOf(message.receiptHandle);
        if (this.#done.has(place)) this.afterwards.push(`${body} at ${place}`);
        this.received.set(body, (this.received.get(body) ?? 0) + 1);
        await from.ack(message).then(
          () => {
            this.acknowledged.add(body);
            this.#done.add(place);
          },
          // Not known: it comes again, or it does not.
          () => undefined,
        );
      }
    }
  }

  async end(): Promise<void> {
    this.isOver = true;
    await Promise.all(this.#loops);
  }
}

async function pause(): Promise<never[]> {
  await new Promise((resolve) => setTimeout(resolve, 100));
  return [];
}

describe('a cluster', () => {
  beforeAll(async () => {
    cluster = await startDev();
  });

  afterAll(async () => {
    await shutDown();
    await cluster?.stop();
  });

  it('carries messages from producers on one node to groups on the others', async () => {
    const producer = await producerOn(1, 'orders');
    const sent = Array.from({ length: 200 }, (_, i) => `${i}`);
    await Promise.all(
      sent.map((name) =>
        producer.send({ topic: 'orders', tag: 't', keys: [name], body: Buffer.from(name) }),
      ),
    );
    const ledgers = [new Ledger(), new Ledger()];
    for (const [i, ledger] of ledgers.entries()) {
      ledger.consume(await consumerOn(2, 'orders', `group-${i}`));
      ledger.consume(await consumerOn(3, 'orders', `group-${i}`));
    }
    for (const ledger of ledgers) {
      await until('all came', () => ledger.acknowledged.size >= sent.length, 40_000);
      await ledger.end();
      expect([...ledger.received.keys()].sort()).toEqual([...sent].sort());
      expect(ledger.afterwards).toEqual([]);
    }
  });

  it('counts the calls of its clients', async () => {
    const calls = () => counterSum(cluster.nodes, /rocketmq\.callsOpened$/);
    const producer = await producerOn(2, 'orders');
    const before = await calls();
    for (let i = 0; i < 10; i += 1) {
      await producer.send({ topic: 'orders', body: Buffer.from('counted') });
    }
    await until('they are counted', async () => (await calls()) >= before + 10, 5_000);
  });
});

it('kill -9 of a leader loses nothing that was sent, and brings back nothing that was acknowledged', async () => {
  cluster = await startDev({ restart: '1s' });
  try {
    const producer = await producerOn(1, 'safe');
    const { partitions } = await destinationOf(cluster.nodes[0]!, 'safe');
    const victim = partitions.find(({ leader }) => leader !== 1)!.leader;
    const ledger = new Ledger();
    const elsewhere = 5 - victim;
    for (const node of [1, elsewhere, 1, elsewhere]) {
      ledger.consume(await consumerOn(node, 'safe', 'readers'));
    }
    const sent: string[] = [];
    let count = 0;
    let isOver = false;
    const sending = Array.from({ length: 4 }, async () => {
      while (!isOver) {
        const body = `${count}`;
        count += 1;
        await producer.send({ topic: 'safe', body: Buffer.from(body) }).then(
          () => sent.push(body),
          // The client has tried three times; it may be there, and need not.
          () => pause(),
        );
      }
    });
    await until('some have gone through', () => ledger.acknowledged.size > 200, 40_000);
    await cluster.kill(victim);
    const before = sent.length;
    await until('others are sent behind it', () => sent.length > before + 200, 60_000);
    isOver = true;
    await Promise.all(sending);
    await untilHealthy(cluster);
    const missing = () => sent.filter((body) => !ledger.received.has(body));
    await until('all came', () => missing().length === 0, 80_000);
    // Long enough for every lease that was given, and for what would come again.
    await new Promise((resolve) => setTimeout(resolve, INVISIBLE_MS + 3_000));
    await ledger.end();
    expect(ledger.afterwards).toEqual([]);
    for (const body of ledger.received.keys()) expect(Number(body)).toBeLessThan(count);
    await shutDown();
  } finally {
    await cluster.stop();
  }
}, 240_000);
