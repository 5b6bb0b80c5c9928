// A disk node and a RAM node in this process: the RAM node serves, holds what ends with it, and begins each start anew.
import { connect } from 'amqplib';
import { afterEach, expect, it } from 'vitest';
import type { ProbedNode } from '../../src/assembly/probe.ts';
import { type TestCluster, testCluster } from './support/cluster.ts';

let cluster: TestCluster | undefined;

afterEach(async () => {
  await cluster?.stop();
  cluster = undefined;
});

const probeOf = (id: number) => (cluster!.nodes.get(id) as ProbedNode).probe();

async function channelOn(id: number) {
  const { amqpPort } = cluster!.addresses.find((each) => each.id === id)!;
  const connection = await connect(`amqp://127.0.0.1:${amqpPort}`);
  connection.on('error', () => undefined);
  return { connection, channel: await connection.createConfirmChannel() };
}

it('two disk nodes do not found a cluster', async () => {
  await expect(testCluster({ nodes: 2 })).rejects.toThrow(/two nodes that vote/);
});

it('a RAM node with a folder does not start', async () => {
  const folder = testCluster({ nodes: 2, roles: { 2: 'ram' }, dataRoot: (id) => `/nowhere/${id}` });
  await expect(folder).rejects.toThrow(/keeps nothing on disk/);
});

it('a RAM node serves, keeps what ends with it, and comes back with nothing while writes go on', async () => {
  cluster = await testCluster({ nodes: 2, roles: { 2: 'ram' } });
  await cluster.ready();
  expect(probeOf(1).standing(2)).toMatchObject({ isLive: true, isInSync: true });
  expect(probeOf(2).isSettledMember).toBe(true);
  const before = await channelOn(2);
  await before.channel.assertQueue('durable', { durable: true });
  const own = await before.channel.assertQueue('', { exclusive: true });
  before.channel.sendToQueue('durable', Buffer.from('one'), { persistent: true });
  before.channel.sendToQueue(own.queue, Buffer.from('mine'));
  await before.channel.waitForConfirms();
  // Of the durable one nothing is on the RAM node, and so the disk node goes on without it.
  const first = await channelOn(1);
  await cluster.stopNode(2);
  first.channel.sendToQueue('durable', Buffer.from('two'), { persistent: true });
  await first.channel.waitForConfirms();
  await cluster.start(2, false);
  await cluster.ready([2]);
  const after = await channelOn(2);
  expect(await after.channel.checkQueue('durable')).toMatchObject({ messageCount: 2 });
  await expect(after.channel.checkQueue(own.queue)).rejects.toThrow(/404/);
  await first.connection.close();
  // The refused question has ended the other one.
}, 60_000);
