// Taking messages from a queue for a time, beside sessions that consume from it: one lease engine, whoever asks.
import { expect, test } from 'vitest';
import { decodeUtf8 } from '../../../src/std/bytes.ts';
import type { Rig } from '../../cluster/replica/rig.ts';
import { runs } from '../../setup/runs.ts';
import {
  inCluster,
  type QueueCluster,
  range,
  TestPublisher,
  TestReader,
  TestTaker,
} from './cluster.ts';

async function filled(cluster: QueueCluster, rig: Rig, count: number): Promise<number> {
  const logId = await cluster.create('q', 1);
  const publisher = new TestPublisher(cluster.at(1));
  publisher.publish(range(0, count), { key: 'q' });
  await rig.until(() => publisher.isResolved);
  return logId;
}

test('sessions and takers of one shard share a queue, each message with one of them, whatever the group', async () => {
  await inCluster(301, async (cluster, rig) => {
    const logId = await filled(cluster, rig, 40);
    const shard = cluster.at(2);
    const reader = new TestReader(shard);
    reader.consume(1, 'q', 10);
    await rig.until(() => reader.got.length === 10);
    // The shard's life is older to its sessions than to its takers: neither is taken for a later life.
    rig.version += 5;
    const taker = new TestTaker(cluster, 'one');
    const other = new TestTaker(cluster, 'two');
    expect(await taker.take(shard, logId, 15)).toBe('ok');
    expect(await other.take(shard, logId, 5)).toBe('ok');
    expect([...reader.values, ...taker.values, ...other.values]).toEqual(range(0, 30));
    expect(await taker.acknowledge(shard, taker.got)).toEqual(taker.got.map(() => true));
    // By another node, and in the name of another group: the queue is one.
    expect(await taker.acknowledge(cluster.at(3), other.got)).toEqual(other.got.map(() => true));
    reader.acknowledges = true;
    reader.acknowledge(reader.got);
    await rig.until(() => cluster.queueState(1, logId).floor === 40);
    expect(reader.values).toEqual([...range(0, 10), ...range(30, 40)]);
    expect(reader.got.every(({ isRedelivered }) => !isRedelivered)).toBe(true);
  });
});

test('what nobody acknowledges in time goes to whoever is there, and a taker counts for no consumer', async () => {
  await inCluster(302, async (cluster, rig) => {
    const logId = await filled(cluster, rig, 3);
    const taker = new TestTaker(cluster);
    await taker.take(cluster.at(2), logId, 3, 10_000);
    expect(await cluster.answer(cluster.at(3).queues.stats(logId, 1_000))).toMatchObject({
      ready: 0,
      consumers: 0,
    });
    const reader = new TestReader(cluster.at(3));
    reader.acknowledges = true;
    reader.consume(1, 'q', 10);
    expect(await taker.extend(cluster.at(2), taker.got.slice(2), 30_000)).toEqual([true]);
    await rig.advance(9_000);
    expect(reader.got).toEqual([]);
    await rig.advance(2_000);
    expect(reader.got).toMatchObject([
      { value: 'm0', isRedelivered: true, returns: 1 },
      { value: 'm1', isRedelivered: true, returns: 1 },
    ]);
    // Too late, but nobody else has it any more: it is done, as asked.
    expect(await taker.acknowledge(cluster.at(2), taker.got)).toEqual([true, true, true]);
    await rig.until(() => cluster.queueState(1, logId).floor === 3);
  });
});

test('a dead node takes back what its sessions had at once, and what its takers had in its time', async () => {
  await inCluster(303, async (cluster, rig) => {
    const logId = await filled(cluster, rig, 6);
    const dying = new TestReader(cluster.at(2));
    dying.consume(1, 'q', 2);
    await rig.until(() => dying.got.length === 2);
    const taker = new TestTaker(cluster);
    await taker.take(cluster.at(2), logId, 4, 20_000);
    cluster.crash(2);
    const reader = new TestReader(cluster.at(3));
    reader.acknowledges = true;
    reader.consume(1, 'q', 10);
    await rig.advance(5_000);
    expect(reader.values).toEqual(range(0, 2));
    // Whoever took them goes on by another node.
    expect(await taker.acknowledge(cluster.at(3), taker.got.slice(0, 2))).toEqual([true, true]);
    // The node is there again, and takes for others under the same name.
    await rig.startNode(2);
    const again = new TestTaker(cluster);
    await again.take(cluster.at(2), logId, 4);
    expect(again.values).toEqual([]);
    await rig.advance(20_000);
    expect(reader.values).toEqual([...range(0, 2), ...range(4, 6)]);
    await rig.until(() => cluster.queueState(1, logId).floor === 6);
  });
});

test('a node that was fenced and is live again takes as somebody else, and what it had taken stays out', async () => {
  await inCluster(309, async (cluster, rig) => {
    const logId = await filled(cluster, rig, 6);
    const taker = new TestTaker(cluster);
    await taker.take(cluster.at(2), logId, 2);
    const waiting = new TestTaker(cluster);
    const before = waiting.take(cluster.at(2), logId, 1);
    rig.fence(2);
    rig.unfence(2);
    await before;
    for (let turn = 0; turn < 3 && waiting.got.length < 4; turn += 1) {
      await waiting.take(cluster.at(2), logId, 4 - waiting.got.length);
    }
    expect([...taker.values, ...waiting.values].sort()).toEqual(range(0, 6));
    const all = [...taker.got, ...waiting.got];
    expect(await taker.acknowledge(cluster.at(2), all)).toEqual(all.map(() => true));
    await rig.until(() => cluster.queueState(1, logId).floor === 6);
  });
});

test('messages are taken through the loss of the leader: all of them, and what was acknowledged once', async () => {
  for (let seed = 304; seed < 304 + runs(4, 2); seed += 1) {
    await inCluster(seed, async (cluster, rig) => {
      const logId = await filled(cluster, rig, 30);
      const taker = new TestTaker(cluster);
      const done: string[] = [];
      for (let turn = 0; done.length < 30; turn += 1) {
        if (turn === 2) rig.kill(1);
        if (turn === 3) {
          rig.fence(1);
          rig.grant(logId, 3);
        }
        const from = taker.got.length;
        const shard = cluster.at(2);
        const result = await taker.take(shard, logId, 4, 15_000);
        if (result !== 'ok') {
          await rig.advance(500);
          continue;
        }
        const fresh = taker.got.slice(from);
        if (fresh.length === 0) continue;
        const held = await taker.acknowledge(shard, fresh);
        done.push(...fresh.filter((_, at) => held[at]).map(({ value }) => decodeUtf8(value!)));
      }
      expect(done.sort()).toEqual(range(0, 30).sort());
      await rig.until(() => cluster.queueState(3, logId).floor === 30);
    });
  }
});

test('a group on a stream gets at once what is sent when a node of it has died waiting', async () => {
  await inCluster(310, async (cluster, rig) => {
    const logId = await cluster.create('s', 1, { kind: 'partition' });
    const publisher = new TestPublisher(cluster.at(1));
    publisher.publish(range(0, 1), { key: 's' });
    await rig.until(() => publisher.isResolved);
    const [dying, taker] = [new TestTaker(cluster), new TestTaker(cluster)];
    await dying.take(cluster.at(2), logId, 1);
    expect(dying.values).toEqual(range(0, 1));
    cluster.at(2).streams.receive(
      {
        group: 'takers',
        logIds: [logId],
        messagesMax: 9,
        bytesMax: 1_000,
        leaseMs: 60_000,
        waitMs: 60_000,
      },
      () => undefined,
    );
    await rig.advance(100);
    cluster.crash(2);
    await rig.advance(1_000);
    publisher.publish(range(1, 4), { key: 's' });
    await rig.until(() => publisher.isResolved);
    await taker.take(cluster.at(3), logId, 9);
    expect(taker.values).toEqual(range(1, 4));
    expect(taker.got.every(({ returns }) => returns === 0)).toBe(true);
    // What the dead one had taken is still out for its time.
    expect(await taker.acknowledge(cluster.at(3), dying.got)).toEqual([true]);
  });
});
