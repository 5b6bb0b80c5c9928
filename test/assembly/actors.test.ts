// The tree of actors as any node tells it: the exchanges of every node, with what they did.
import { connect } from 'amqplib';
import { afterEach, expect, test } from 'vitest';
import type { ApiActor, ApiActors } from '../../src/admin/api-types.ts';
import { type TestCluster, testCluster } from './support/cluster.ts';

let cluster: TestCluster | undefined;

afterEach(async () => {
  await cluster?.stop();
  cluster = undefined;
});

async function ask(id: number, query: string): Promise<{ status: number; body: ApiActors }> {
  const { host, httpPort } = cluster!.addresses[id - 1]!;
  const answer = await fetch(`http://${host}:${httpPort}/api/actors${query}`);
  return { status: answer.status, body: (await answer.json()) as ApiActors };
}

function actorAt({ threads }: ApiActors, node: number, path: string): ApiActor | undefined {
  const of = (actors: readonly ApiActor[]): ApiActor | undefined => {
    for (const each of actors) {
      const found = each.path === path ? each : of(each.children);
      if (found !== undefined) return found;
    }
    return undefined;
  };
  return of(threads.filter((each) => each.node === node).flatMap(({ actors }) => actors));
}

test('each exchange is an actor of the shards that publish to it, and any node tells what it did', async () => {
  cluster = await testCluster();
  await cluster.ready();
  const { host, amqpPort } = cluster.addresses[1]!;
  const connection = await connect(`amqp://${host}:${amqpPort}`);
  const channel = await connection.createConfirmChannel();
  await channel.assertExchange('shop/eu', 'direct');
  for (const name of ['one', 'two']) {
    await channel.assertQueue(name, { durable: true });
    await channel.bindQueue(name, 'shop/eu', 'sold');
  }
  for (let i = 0; i < 20; i += 1) channel.publish('shop/eu', 'sold', Buffer.from('x'));
  for (let i = 0; i < 3; i += 1) channel.publish('shop/eu', 'lost', Buffer.from('x'));
  await channel.waitForConfirms();

  const { body } = await ask(1, '?sampleMs=0');
  expect(body.threads.map(({ node, role }) => [node, role])).toEqual(
    [1, 2, 3].map((node) => [node, 'main and shard']),
  );
  const path = '/exchange:shop%2Feu';
  expect(actorAt(body, 2, path)).toMatchObject({
    class: 'exchange',
    state: 'running',
    counts: { published: 23, routed: 20, copies: 40 },
    perSecond: {},
  });
  // Nobody publishes to it elsewhere.
  expect(actorAt(body, 1, path)).toBeUndefined();
  const logs = actorAt(body, 2, '/logs')!.children;
  const queue = logs.find(({ name }) => name.startsWith('one-0#'))!;
  expect(queue).toMatchObject({ class: 'log', facts: { kind: 'queue' } });
  expect(queue.counts['records']).toBe(20);

  const publishing = setInterval(() => channel.publish('shop/eu', 'sold', Buffer.from('x')), 5);
  const sampled = (await ask(3, '?sampleMs=400&node=2')).body;
  clearInterval(publishing);
  expect(sampled.threads.map(({ node }) => node)).toEqual([2]);
  const { published, routed, copies, handled } = actorAt(sampled, 2, path)!.perSecond;
  expect(published).toBeGreaterThan(0);
  expect(routed).toBe(published);
  expect(copies).toBeCloseTo(2 * published!, 0);
  expect(handled).toBeGreaterThan(0);
  expect((await ask(1, '?node=9')).status).toBe(404);
  expect((await ask(1, '?nodes=1')).status).toBe(400);
  await channel.waitForConfirms();
  await connection.close();
});
