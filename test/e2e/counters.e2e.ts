// Work is counted, not timed: what the hot path promises, asserted on the counters of a live cluster.
import { afterAll, beforeAll, expect, it } from 'vitest';
import { recordBatch, WireClient } from '../../bench/lib/kafka-wire.ts';
import type { ApiActors } from '../../src/admin/api-types.ts';
import { type DevCluster, shardsWanted, startDev } from '../../tools/lib/dev-cluster.mjs';
import { counterSum } from './support/api.ts';

const MESSAGES = 200;

let cluster: DevCluster;
let client: WireClient;

beforeAll(async () => {
  cluster = await startDev({ nodes: 1 });
  client = await WireClient.connect(cluster.nodes[0]!.kafka);
  expect(await client.createTopic('counted', 1, 1)).toBe(0);
});

afterAll(async () => {
  client?.close();
  await cluster?.stop();
});

/** How much each counter has grown; the sum over the node's shards. Answered a little late. */
async function growth(names: readonly string[], work: () => Promise<void>): Promise<number[]> {
  const read = () =>
    Promise.all(names.map((name) => counterSum(cluster.nodes, new RegExp(`${name}$`))));
  const settle = () => new Promise((resolve) => setTimeout(resolve, 1_500));
  await settle();
  const before = await read();
  await work();
  await settle();
  const after = await read();
  return after.map((value, i) => value - (before[i] ?? 0));
}

const to = { topic: 'counted', partition: 0, acks: 1, timeoutMs: 5_000 };
const batch = recordBatch([Buffer.from('one')]);

it('one message at a time costs one WAL group each, and one socket write for its answer', async () => {
  const [groups, writes, requests] = await growth(
    ['walGroups', 'kafka.socketWrites', 'kafka.requests'],
    async () => {
      for (let i = 0; i < MESSAGES; i += 1) {
        expect((await client.produce(to, batch)).errorCode).toBe(0);
      }
    },
  );
  expect(requests).toBe(MESSAGES);
  expect(writes).toBe(MESSAGES);
  // Metadata and timers may add a few groups of their own.
  expect(groups).toBeGreaterThanOrEqual(MESSAGES);
  expect(groups).toBeLessThan(MESSAGES * 1.2);
});

it('many connections at once share WAL groups: fewer groups than messages', async () => {
  const clients = await Promise.all(
    Array.from({ length: 50 }, () => WireClient.connect(cluster.nodes[0]!.kafka)),
  );
  const perClient = 20;
  const [groups, frames] = await growth(['walGroups', 'walFrames'], async () => {
    await Promise.all(
      clients.map(async (each) => {
        for (let i = 0; i < perClient; i += 1) {
          expect((await each.produce(to, batch)).errorCode).toBe(0);
        }
      }),
    );
  });
  for (const each of clients) each.close();
  const messages = clients.length * perClient;
  expect(frames).toBeGreaterThanOrEqual(messages);
  expect(groups).toBeLessThan(messages / 3);
});

it('a turn writes to a connection once, however many answers it has for it', async () => {
  const requests = 400;
  const [writes, flushes] = await growth(['kafka.socketWrites', 'kafka.flushes'], async () => {
    const asked = Array.from({ length: requests }, () => client.metadata(['counted']));
    await Promise.all(asked);
  });
  // One connection: as many writes as turns in which it had answers, and far fewer than answers.
  expect(writes).toBe(flushes);
  expect(writes).toBeLessThan(requests / 2);
});

it('every thread tells its actors, and the log that was written to is one of them', async () => {
  const answer = await fetch(`${cluster.nodes[0]!.http}/api/actors?sampleMs=0`);
  const { threads } = (await answer.json()) as ApiActors;
  expect(threads.map(({ thread }) => thread)).toEqual([...Array(shardsWanted() + 1).keys()]);
  expect(threads.every(({ isAnswering }) => isAnswering)).toBe(true);
  const logs = threads.flatMap(({ actors }) =>
    actors.filter(({ name }) => name === 'logs').flatMap(({ children }) => children),
  );
  const counted = logs.find(({ name }) => name.startsWith('counted-0#'))!;
  expect(counted.facts).toMatchObject({ kind: 'partition', role: 'leader' });
  expect(counted.counts['records']).toBeGreaterThan(MESSAGES);
});
