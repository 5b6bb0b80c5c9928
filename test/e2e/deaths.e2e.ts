// Nodes that die under their clients: one of three is hardly noticed, two of three are an error in time
// and never a hang, and everything acknowledged is there when they are back.
import type { Producer } from 'kafkajs';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { recordBatch, WireClient } from '../../bench/lib/kafka-wire.ts';
import { type DevCluster, startDev, until } from '../../tools/lib/dev-cluster.mjs';
import { untilHealthy } from './support/api.ts';
import { KafkaUser, numbered, take, untilTaken } from './support/kafka.ts';

let cluster: DevCluster;
let user: KafkaUser;

afterEach(async () => {
  await user?.close();
  await cluster?.stop();
});

/** Messages of one `sendEach`. */
const EACH = 15;

/**
 * Five messages to each of three partitions, each partition by a send of its own: when leaders move
 * within one send, kafkajs takes a broker that has answered for one partition as done with all.
 */
async function sendEach(producer: Producer, topic: string, prefix: string): Promise<void> {
  const sends = [0, 1, 2].map((partition) => {
    const messages = numbered(EACH / 3, `${prefix}${partition}-`);
    return producer.send({
      topic,
      acks: -1,
      messages: messages.map((message) => ({ ...message, partition })),
    });
  });
  await Promise.all(sends);
}

async function start(restart: string): Promise<void> {
  cluster = await startDev({ restart });
  user = new KafkaUser(cluster.brokers);
}

async function leader(topic: string): Promise<number> {
  const admin = await user.admin();
  const { topics } = await admin.fetchTopicMetadata({ topics: [topic] });
  return topics[0]!.partitions[0]!.leader;
}

it('kill -9 of a leader: the next produce succeeds elsewhere, and the node returns in sync', async () => {
  await start('1s');
  await user.topic('moves');
  const producer = await user.producer();
  await producer.send({ topic: 'moves', acks: -1, messages: numbered(10, 'before') });
  const first = await leader('moves');
  await cluster.kill(first);
  await producer.send({ topic: 'moves', acks: -1, messages: numbered(10, 'after') });
  expect(await leader('moves')).not.toBe(first);
  await untilHealthy(cluster);
  await until('dev reports the return', () =>
    cluster.output().includes(`node ${first} is back in sync`),
  );
  expect(cluster.output()).toMatch(new RegExp(`node ${first} died \\(SIGKILL\\)`));
  const taken = await take(await user.consumer({ groupId: 'moves' }), 'moves');
  await untilTaken(taken, 20);
  const values = new Set(taken.map(({ value }) => value));
  expect(values.size).toBe(20);
}, 90_000);

it('a leader that hangs is replaced as if it had died, and follows when it wakes up', async () => {
  await start('never');
  await user.topic('hangs');
  const producer = await user.producer();
  await producer.send({ topic: 'hangs', acks: -1, messages: numbered(5) });
  const first = await leader('hangs');
  await cluster.kill(first, 'SIGSTOP');
  try {
    const others = cluster.nodes.filter(({ id }) => id !== first).map(({ kafka }) => kafka);
    const elsewhere = new KafkaUser(others);
    try {
      const admin = await elsewhere.admin();
      await until('another node leads', async () => {
        const { topics } = await admin.fetchTopicMetadata({ topics: ['hangs'] });
        const now = topics[0]!.partitions[0]!.leader;
        return now !== first && now > 0;
      });
      const second = await elsewhere.producer();
      await second.send({ topic: 'hangs', acks: -1, messages: numbered(5) });
    } finally {
      await elsewhere.close();
    }
  } finally {
    await cluster.kill(first, 'SIGCONT');
  }
  await untilHealthy(cluster);
  const admin = await user.admin();
  expect((await admin.fetchTopicOffsets('hangs'))[0]?.high).toBe('10');
}, 90_000);

it('two of three killed: an error within 5 s on every way in, and all is well when they are back', async () => {
  await start('9s');
  await user.topic('alone', 3);
  const producer = await user.producer();
  await sendEach(producer, 'alone', 'm');
  const [survivor] = cluster.nodes;
  await Promise.all([cluster.kill(2), cluster.kill(3)]);
  const limitMs = 5_000;
  const client = await WireClient.connect(survivor!.kafka);
  const producing = [0, 1, 2].map(async (partition) => {
    const own = await WireClient.connect(survivor!.kafka);
    const to = { topic: 'alone', partition, acks: -1, timeoutMs: 3_000 };
    const { errorCode } = await own.produce(to, recordBatch([Buffer.from('lonely')]), limitMs);
    own.close();
    return errorCode;
  });
  const posting = fetch(`${survivor!.http}/api/destinations/alone/messages`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ value: 'lonely', partition: 0 }),
    signal: AbortSignal.timeout(limitMs),
  });
  // Who leads can still be asked; what needs a majority cannot be had.
  const describing = client.metadata(['alone'], limitMs);
  const creating = client.createTopic('unborn', 1, 1, 3_000);
  expect(await Promise.all(producing)).not.toContain(0);
  expect((await posting).status).toBe(503);
  expect((await describing).brokers.size).toBeGreaterThan(0);
  expect(await creating).not.toBe(0);
  client.close();
  await untilHealthy(cluster, 60_000);
  await sendEach(producer, 'alone', 'again');
  const taken = await take(await user.consumer({ groupId: 'alone' }), 'alone');
  await until('all acknowledged are there', () => {
    const values = new Set(taken.map(({ value }) => value));
    values.delete('lonely');
    return values.size === 2 * EACH;
  });
}, 120_000);

it('nodes that die one after the other, each before much has happened, lose nothing', async () => {
  await start('50ms');
  await user.topic('again', 3);
  const producer = await user.producer();
  for (let round = 0; round < 5; round += 1) {
    await cluster.kill(1 + (round % 3));
    await sendEach(producer, 'again', `r${round}-`);
    await untilHealthy(cluster);
  }
  const taken = await take(await user.consumer({ groupId: 'again' }), 'again');
  await until('everything acknowledged is there', () => {
    const values = new Set(taken.map(({ value }) => value));
    return values.size === 5 * EACH;
  });
}, 120_000);

beforeEach(() => {
  // A start that fails must not leave the last test's cluster to be stopped twice.
  cluster = undefined as unknown as DevCluster;
  user = undefined as unknown as KafkaUser;
});
