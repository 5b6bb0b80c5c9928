// Consuming from queues that real hosts lead on other nodes: nothing lost, in order, no more than there is
// room for, whatever becomes of leaders and links.
import { expect, test } from 'vitest';
import type { Rig } from '../../cluster/replica/rig.ts';
import { runs } from '../../setup/runs.ts';
import { inCluster, type QueueCluster, range, TestPublisher, TestReader } from './cluster.ts';

async function filled(
  cluster: QueueCluster,
  rig: Rig,
  count: number,
  options: { leader?: number; name?: string; bytes?: number } = {},
): Promise<number> {
  const { leader = 1, name = 'q', bytes = 0 } = options;
  const logId = await cluster.create(name, leader);
  const publisher = new TestPublisher(cluster.at(leader));
  const values = range(0, count).map((value) => value.padEnd(bytes, '.'));
  for (let at = 0; at < count; at += 100)
    publisher.publish(values.slice(at, at + 100), { key: name });
  await rig.until(() => publisher.isResolved);
  return logId;
}

test('messages come in order, as many as may be out, and more as they are settled', async () => {
  await inCluster(201, async (cluster, rig) => {
    const logId = await filled(cluster, rig, 30);
    const reader = new TestReader(cluster.at(2));
    reader.consume(1, 'q', 10);
    await rig.until(() => reader.got.length === 10);
    await rig.advance(1_000);
    expect(reader.told).toEqual(['attached 1']);
    expect(reader.values).toEqual(range(0, 10));
    expect(reader.got.every((each) => !each.isRedelivered && each.returns === 0)).toBe(true);
    expect(reader.got[9]).toMatchObject({ logId, offset: 9, ready: 20, consumer: 1 });
    reader.acknowledge(reader.got.slice(0, 3));
    await rig.until(() => reader.got.length === 13);
    await rig.advance(500);
    expect(reader.values).toEqual(range(0, 13));
    expect(cluster.queueState(1, logId).floor).toBe(3);
    // Those in the middle.
    reader.acknowledge(reader.got.slice(5, 13));
    await rig.until(() => reader.got.length === 21);
    reader.acknowledges = true;
    reader.acknowledge(reader.got.filter(({ offset }) => offset < 5 || offset > 12));
    await rig.until(() => reader.got.length === 30);
    await rig.until(() => cluster.queueState(1, logId).floor === 30);
    expect(reader.values).toEqual(range(0, 30));
  });
});

test('beside the leader records are lent: three messages to the host for one that comes alone, and no fetch', async () => {
  await inCluster(203, async (cluster, rig) => {
    cluster.lends = true;
    const logId = await filled(cluster, rig, 1);
    const shard = cluster.at(1);
    const reader = new TestReader(shard);
    reader.acknowledges = true;
    reader.consume(1, 'q', 10);
    const publisher = new TestPublisher(shard);
    await rig.until(() => cluster.queueState(1, logId).floor === 1);
    const host = () =>
      rig
        .at(1)
        .system.metrics.snapshot()
        .find(({ name }) => name === 'log-host')!.handled;
    const before = host();
    for (let at = 1; at <= 20; at += 1) {
      publisher.publish([`m${at}`], { key: 'q' });
      await rig.until(() => cluster.queueState(1, logId).floor === at + 1);
    }
    expect(reader.values.slice(1)).toEqual(range(1, 21).map((_, at) => `m${at + 1}`));
    // Publish, receive, acknowledge.
    expect(host() - before).toBe(60);
    expect(shard.lent).toBe(0);
  });
});

test('what is lent goes back, however much is left of it and whatever becomes of its consumer', async () => {
  await inCluster(204, async (cluster, rig) => {
    cluster.lends = true;
    const logId = await filled(cluster, rig, 300, { bytes: 100 });
    const shard = cluster.at(1);
    const reader = new TestReader(shard);
    reader.consume(1, 'q', 1);
    await rig.until(() => reader.got.length === 1);
    expect(shard.lent).toBe(1);
    // A batch of many messages: the next ones are found in what is here already.
    for (let at = 1; at < 300; at += 1) {
      reader.acknowledge([reader.got[at - 1]!]);
      await rig.until(() => reader.got.length === at + 1);
    }
    expect(reader.values).toEqual(range(0, 300).map((value) => value.padEnd(100, '.')));
    await rig.until(() => shard.lent === 0);
    reader.acknowledge(reader.got.slice(-1));
    await rig.until(() => cluster.queueState(1, logId).floor === 300);
    await filled(cluster, rig, 100, { name: 'other' });
    const other = new TestReader(shard);
    other.consume(1, 'other', 1);
    await rig.until(() => other.got.length === 1);
    expect(shard.lent).toBe(1);
    other.reader.close();
    await rig.until(() => shard.lent === 0);
  });
});

test('a turn of settling is one command per queue', async () => {
  await inCluster(202, async (cluster, rig) => {
    const logIds = [
      await filled(cluster, rig, 40, { name: 'a' }),
      await filled(cluster, rig, 40, { name: 'b' }),
    ];
    const shard = cluster.at(2);
    const readers = [new TestReader(shard), new TestReader(shard)];
    for (const reader of readers) {
      reader.consume(1, 'a', 20);
      reader.consume(2, 'b', 20);
    }
    await rig.until(() => readers.every(({ got }) => got.length === 40));
    const host = () =>
      rig
        .at(1)
        .system.metrics.snapshot()
        .find(({ name }) => name === 'log-host')!;
    await rig.advance(2_000);
    const before = host().handled;
    for (const reader of readers) reader.inTurn((each) => each.credit(1, 0));
    for (const reader of readers) reader.inTurn((each) => each.credit(2, 0));
    await rig.advance(1_000);
    // Nobody waited for more, so nobody needed to be told.
    expect(host().handled - before).toBe(0);
    shard.inTurn(() => {
      for (const { reader, got } of readers) {
        for (const each of got) {
          reader.acknowledge(each.consumer, each.logId, each.epoch, each.offset, each.lease);
        }
      }
    });
    await rig.until(() => logIds.every((logId) => cluster.queueState(1, logId).floor === 40));
    await rig.advance(1_000);
    expect(host().handled - before).toBe(2);
  });
});

test('what is fetched from many queues is forgotten by one deadline', async () => {
  await inCluster(217, async (cluster, rig) => {
    const names = range(0, 20).map((value) => `many-${value}`);
    for (const name of names) await filled(cluster, rig, 1, { name });
    const reader = new TestReader(cluster.at(2));
    const { deadlines } = rig.at(2).system;
    await rig.advance(2_000);
    const before = deadlines.count;
    for (const [at, name] of names.entries()) reader.consume(at + 1, name, 10);
    await rig.until(() => reader.got.length === names.length);
    expect(deadlines.count - before).toBeLessThan(5);
    reader.acknowledge(reader.got);
    await rig.advance(2_000);
    expect(deadlines.count - before).toBeLessThan(3);
  });
});

test.each([[[1]], [[1, 2, 3]]])(
  'the log of a queue that is emptied and left alone starts behind what was consumed: %j',
  async (replicas) => {
    await inCluster(218, async (cluster, rig) => {
      const logId = await cluster.create('q', 1, { replicas });
      const publisher = new TestPublisher(cluster.at(1));
      publisher.publish(range(0, 20), { key: 'q' });
      const reader = new TestReader(cluster.at(1));
      reader.consume(1, 'q', 100);
      await rig.until(() => reader.got.length === 20);
      reader.acknowledge(reader.got);
      const hosted = rig.at(1).host.hosted(logId)!;
      await rig.until(() => hosted.status().startOffset === 20);
      const { endSeq } = hosted.stored;
      await rig.advance(10_000);
      expect(hosted.stored.endSeq).toBe(endSeq);
    });
  },
);

test('a consumer that waits gets what comes, and costs its host nothing meanwhile', async () => {
  await inCluster(203, async (cluster, rig) => {
    await cluster.create('q', 1);
    const shard = cluster.at(3);
    const reader = new TestReader(shard);
    reader.consume(1, 'q', 100);
    await rig.until(() => reader.told.length === 1);
    await rig.advance(2_000);
    const handled = shard.node.system.turn.messages;
    await rig.advance(60_000);
    expect(shard.node.system.turn.messages - handled).toBeLessThan(50);
    const publisher = new TestPublisher(cluster.at(2));
    publisher.publish(range(0, 5), { key: 'q' });
    await rig.until(() => reader.got.length === 5);
    expect(reader.turns).toEqual([5]);
  });
});

test('the leader moves: what was settled stays so, the rest comes again and is marked', async () => {
  await inCluster(204, async (cluster, rig) => {
    const logId = await filled(cluster, rig, 20);
    const reader = new TestReader(cluster.at(3));
    reader.consume(1, 'q', 10);
    await rig.until(() => reader.got.length === 10);
    reader.acknowledge(reader.got.slice(0, 4));
    // Committed: acknowledgements ride along, and their answer waits for nobody.
    await rig.until(() => cluster.queueState(2, logId).floor === 4);
    await rig.until(() => reader.got.length === 14);
    await cluster.moveTo(2, logId);
    await rig.advance(500);
    // It still holds ten.
    expect(reader.got.length).toBe(14);
    // A late word counts.
    reader.acknowledge(reader.got.slice(4, 14));
    await rig.until(() => reader.got.length >= 20);
    await rig.advance(500);
    expect(reader.values.slice(14)).toEqual(range(14, 20));
    expect(cluster.queueState(2, logId).floor).toBe(14);
    reader.acknowledge(reader.got.slice(14));
    await rig.until(() => cluster.queueState(2, logId).floor === 20);
  });
});

test('the leader dies: what nobody settled comes again, marked, and nothing is lost', async () => {
  for (let seed = 210; seed < 210 + runs(6, 2); seed += 1) {
    await inCluster(seed, async (cluster, rig) => {
      const logId = await filled(cluster, rig, 200);
      const reader = new TestReader(cluster.at(3));
      reader.acknowledges = true;
      reader.consume(1, 'q', 7 + seed);
      await rig.advance(2 + (seed % 7));
      rig.kill(1);
      await rig.advance(seed % 3);
      rig.fence(1);
      await rig.advance(seed % 5);
      rig.grant(logId, 2);
      await rig.until(() => rig.isLeading(2, logId));
      await rig.until(() => cluster.queueState(2, logId).floor === 200, 30_000);
      const seen = new Set<string>();
      for (const { value, isRedelivered } of reader.got) {
        if (seen.has(value)) expect(isRedelivered).toBe(true);
        seen.add(value);
      }
      expect([...seen]).toEqual(range(0, 200));
    });
  }
});

test('leaders that move and links that break, with several consumers: all is delivered and settled', async () => {
  for (let seed = 220; seed < 220 + runs(8, 2); seed += 1) {
    await inCluster(seed, async (cluster, rig) => {
      const logId = await cluster.create('q', 1);
      const random = rig.world.workload.fork('moves');
      const publisher = new TestPublisher(cluster.at(1));
      const readers = [2, 3, 3].map((id) => new TestReader(cluster.at(id)));
      readers.forEach((reader, i) => {
        reader.acknowledges = true;
        reader.consume(1, 'q', [1, 10, Number.POSITIVE_INFINITY][i]!);
      });
      let leader = 1;
      for (let turn = 0; turn < 120; turn += 1) {
        publisher.publish(range(turn * 4, turn * 4 + 4), { key: 'q' });
        const chance = random.below(15);
        if (chance === 0) {
          leader = 1 + random.below(3);
          rig.grant(logId, leader);
        }
        if (chance === 1) rig.world.network.resetOne(rig.world.faults, () => true);
        await rig.advance(random.below(10));
      }
      await rig.until(() => publisher.isResolved && rig.isLeading(leader, logId), 60_000);
      await rig.until(() => cluster.queueState(leader, logId).floor === 480, 60_000);
      const seen = new Set<string>();
      for (const { values } of readers) for (const value of values) seen.add(value);
      expect(seen.size).toBe(480);
      expect(readers.filter(({ got }) => got.length > 0).length).toBeGreaterThan(1);
    });
  }
});

test('messages that were read from files are delivered as well, and large ones one by one', async () => {
  await inCluster(230, async (cluster, rig) => {
    await filled(cluster, rig, 150, { bytes: 20_000 });
    await rig.advance(60_000);
    const reader = new TestReader(cluster.at(1));
    reader.consume(1, 'q', 1_000);
    await rig.until(() => reader.got.length === 150);
    expect(reader.values.map((value) => value.replaceAll('.', ''))).toEqual(range(0, 150));
    expect(reader.turns.length).toBeGreaterThan(2);
  });
});

test('what is returned comes again, counted and marked; what is not requeued is gone', async () => {
  await inCluster(231, async (cluster, rig) => {
    const logId = await filled(cluster, rig, 4);
    const reader = new TestReader(cluster.at(2));
    reader.consume(1, 'q', 10);
    await rig.until(() => reader.got.length === 4);
    reader.return(reader.got.slice(0, 1), true);
    reader.return(reader.got.slice(1, 2), true, false);
    reader.return(reader.got.slice(2, 3), false);
    await rig.until(() => reader.got.length === 6);
    await rig.advance(500);
    expect(reader.got.slice(4)).toMatchObject([
      { value: 'm0', isRedelivered: true, returns: 1 },
      { value: 'm1', isRedelivered: true, returns: 0 },
    ]);
    expect(await cluster.answer(cluster.at(2).queues.stats(logId, 1_000))).toMatchObject({
      leased: 3,
      ready: 0,
    });
    expect(cluster.queueState(1, logId).acknowledged.has(2)).toBe(true);
  });
});

test('credit that is taken away stops deliveries, and given again lets them go on', async () => {
  await inCluster(232, async (cluster, rig) => {
    const logId = await cluster.create('q', 1);
    const reader = new TestReader(cluster.at(2));
    reader.consume(1, 'q', 5);
    await rig.until(() => reader.told.length === 1);
    await rig.advance(500);
    reader.inTurn((each) => each.credit(1, 0));
    await rig.advance(500);
    const publisher = new TestPublisher(cluster.at(1));
    publisher.publish(range(0, 8), { key: 'q' });
    await rig.advance(1_000);
    expect(reader.got).toEqual([]);
    expect(await cluster.answer(cluster.at(1).queues.stats(logId, 1_000))).toMatchObject({
      leased: 0,
      ready: 8,
    });
    reader.inTurn((each) => each.credit(1, 2));
    await rig.until(() => reader.got.length === 2);
    reader.inTurn((each) => each.credit(1, 6));
    await rig.until(() => reader.got.length === 6);
    await rig.advance(500);
    expect(reader.values).toEqual(range(0, 6));
  });
});

test('a consumer that goes leaves what it holds, or gives it back; a session gives all back', async () => {
  await inCluster(233, async (cluster, rig) => {
    const logId = await filled(cluster, rig, 6);
    const stats = () => cluster.answer(cluster.at(1).queues.stats(logId, 1_000));
    const keeps = new TestReader(cluster.at(2));
    keeps.consume(1, 'q', 3);
    await rig.until(() => keeps.got.length === 3);
    keeps.inTurn((reader) => reader.detach(1, true));
    await rig.advance(500);
    expect(await stats()).toEqual({ ready: 3, leased: 3, consumers: 0, dropped: 0 });
    keeps.acknowledge(keeps.got.slice(0, 1));
    await rig.until(() => cluster.queueState(1, logId).floor === 1);
    const leaves = new TestReader(cluster.at(2));
    leaves.consume(1, 'q', 3);
    await rig.until(() => leaves.got.length === 3);
    leaves.inTurn((reader) => reader.detach(1, false));
    await rig.advance(500);
    expect(await stats()).toEqual({ ready: 3, leased: 2, consumers: 0, dropped: 0 });
    keeps.inTurn((reader) => reader.close());
    await rig.advance(500);
    expect(await stats()).toEqual({ ready: 5, leased: 0, consumers: 0, dropped: 0 });
    const closes = new TestReader(cluster.at(3));
    closes.consume(1, 'q', 5);
    await rig.until(() => closes.got.length === 5);
    closes.inTurn((reader) => reader.close());
    await rig.advance(500);
    expect(await stats()).toEqual({ ready: 5, leased: 0, consumers: 0, dropped: 0 });
    for (const id of [2, 3]) {
      expect(cluster.at(id).queues.counters()).toMatchObject({ queuesInUse: 0 });
    }
  });
});

test('a session that goes while it is given messages leaves nothing behind', async () => {
  for (let seed = 240; seed < 240 + runs(10, 4); seed += 1) {
    await inCluster(seed, async (cluster, rig) => {
      const logId = await filled(cluster, rig, 50);
      const reader = new TestReader(cluster.at(2));
      reader.consume(1, 'q', Number.POSITIVE_INFINITY);
      await rig.advance((seed - 240) / 2);
      reader.inTurn((each) => (seed % 2 === 0 ? each.detach(1, true) : each.close()));
      await rig.advance(2_000);
      const { length } = reader.got;
      const held = seed % 2 === 0 ? length : 0;
      const stats = await cluster.answer(cluster.at(1).queues.stats(logId, 1_000));
      expect(stats).toEqual({ ready: 50 - held, leased: held, consumers: 0, dropped: 0 });
    });
  }
});

test('auto-acknowledged messages are settled when they are delivered', async () => {
  await inCluster(250, async (cluster, rig) => {
    const logId = await filled(cluster, rig, 3_000);
    const reader = new TestReader(cluster.at(2));
    reader.consume(1, 'q', Number.POSITIVE_INFINITY, { autoAcknowledge: true });
    await rig.until(() => reader.got.length === 3_000);
    expect(reader.values).toEqual(range(0, 3_000));
    expect(reader.got.every(({ lease }) => lease === 0)).toBe(true);
    await rig.until(() => cluster.queueState(1, logId).floor === 3_000);
  });
});

test('a get takes what is there, one at a time, or says that nothing is', async () => {
  await inCluster(251, async (cluster, rig) => {
    const logId = await filled(cluster, rig, 3);
    const reader = new TestReader(cluster.at(2));
    for (let number = 10; number < 15; number += 1) reader.get(number, 'q', number === 11);
    await rig.until(() => reader.got.length === 3 && reader.told.length === 2);
    expect(reader.got.map(({ consumer, value, ready }) => [consumer, value, ready])).toEqual([
      [10, 'm0', 2],
      [11, 'm1', 1],
      [12, 'm2', 0],
    ]);
    expect(reader.told).toEqual(['empty 13', 'empty 14']);
    await rig.advance(500);
    expect(cluster.queueState(1, logId).acknowledged.has(1)).toBe(true);
    reader.acknowledge(reader.got.filter(({ consumer }) => consumer !== 11));
    await rig.until(() => cluster.queueState(1, logId).floor === 3);
    // It counts for nobody as a consumer.
    const queues = cluster.at(2).queues;
    const unused = { isUnused: true, isEmpty: true };
    expect(await cluster.answer(queues.check(logId, unused, 1_000))).toBe('ok');
    cluster.rig.kill(1);
    reader.get(20, 'q');
    rig.fence(1);
    rig.grant(logId, 3);
    await rig.until(() => reader.told.length === 3);
    expect(reader.told[2]).toBe('empty 20');
  });
});

test('exclusive consumers, deleted queues and what is no queue', async () => {
  await inCluster(252, async (cluster, rig) => {
    await cluster.create('q', 1);
    await cluster.create('s', 1, { kind: 'partition' });
    const [one, two] = [new TestReader(cluster.at(2)), new TestReader(cluster.at(3))];
    one.consume(1, 'q', 5, { exclusive: true });
    await rig.until(() => one.told.length === 1);
    two.consume(7, 'q', 5);
    two.consume(8, 's', 5);
    await rig.until(() => two.told.length === 2);
    expect(two.told.sort()).toEqual(['ended 7 exclusive', 'ended 8 unsupported']);
    one.get(2, 'q');
    await rig.until(() => one.told.length === 2);
    cluster.remove('q');
    await rig.until(() => one.told.length === 3);
    expect(one.told).toEqual(['attached 1', 'empty 2', 'ended 1 deleted']);
    expect(cluster.at(2).queues.counters()).toMatchObject({ queuesInUse: 0 });
  });
});

test('a consumer attaches when there is a leader, and is told once', async () => {
  await inCluster(253, async (cluster, rig) => {
    const logId = await cluster.create('q', 0);
    const reader = new TestReader(cluster.at(2));
    reader.consume(1, 'q', 5);
    await rig.advance(1_000);
    expect(reader.told).toEqual([]);
    for (const id of [1, 3, 1]) {
      rig.grant(logId, id);
      await rig.advance(1_000);
    }
    expect(reader.told).toEqual(['attached 1']);
    expect(await cluster.answer(cluster.at(3).queues.stats(logId, 1_000))).toMatchObject({
      consumers: 1,
    });
  });
});

test('questions go to whoever leads, and end in time', async () => {
  await inCluster(254, async (cluster, rig) => {
    const logId = await filled(cluster, rig, 5);
    const { queues } = cluster.at(3);
    expect(
      await cluster.answer(queues.check(logId, { isUnused: true, isEmpty: true }, 1_000)),
    ).toBe('not-empty');
    expect(await cluster.answer(queues.purge(logId, 1_000))).toBe(5);
    expect(
      await cluster.answer(queues.check(logId, { isUnused: true, isEmpty: true }, 1_000)),
    ).toBe('ok');
    rig.kill(1);
    rig.fence(1);
    const late = queues.stats(logId, 500);
    await rig.advance(600);
    expect(await cluster.answer(late)).toBe('timed-out');
    const asked = queues.stats(logId, 20_000);
    await rig.advance(1_000);
    rig.grant(logId, 2);
    await rig.advance(5_000);
    expect(await cluster.answer(asked)).toEqual({ ready: 0, leased: 0, consumers: 0, dropped: 0 });
    expect(await cluster.answer(queues.stats(99, 1_000))).toBe('unknown-log');
  });
});

test('what a node held goes to others when it is fenced, and it consumes again when it is live', async () => {
  await inCluster(255, async (cluster, rig) => {
    const logId = await filled(cluster, rig, 10);
    const silent = new TestReader(cluster.at(3));
    silent.consume(1, 'q', 5);
    await rig.until(() => silent.got.length === 5);
    const other = new TestReader(cluster.at(2));
    other.consume(1, 'q', 10);
    await rig.until(() => other.got.length === 5);
    rig.world.node('n3').pause();
    await rig.advance(1_000);
    expect(other.got.length).toBe(5);
    rig.fence(3);
    await rig.until(() => other.got.length === 10);
    expect(other.got.slice(5).every(({ isRedelivered }) => isRedelivered)).toBe(true);
    expect(other.values.slice(5)).toEqual(range(0, 5));
    rig.world.node('n3').resume();
    await rig.advance(1_000);
    rig.unfence(3);
    await rig.advance(1_000);
    // It holds five still, as far as it knows, and another has them: its word does not count.
    silent.acknowledge(silent.got);
    // Whose word comes first is the network's choice: then both have room for what comes back.
    await rig.advance(1_000);
    other.return(other.got.slice(5), true);
    await rig.until(() => silent.got.length > 5);
    expect(cluster.queueState(1, logId).floor).toBe(0);
    expect(silent.told).toEqual(['attached 1']);
  });
});

test('a node that comes back in another life loses what the first one held', async () => {
  await inCluster(256, async (cluster, rig) => {
    await filled(cluster, rig, 6);
    const first = new TestReader(cluster.at(3));
    first.consume(1, 'q', 4);
    await rig.until(() => first.got.length === 4);
    const other = new TestReader(cluster.at(2));
    other.consume(1, 'q', 10);
    await rig.until(() => other.got.length === 2);
    rig.kill(3);
    // Nobody has noticed that it was gone.
    await rig.startNode(3);
    await rig.until(() => other.got.length === 6);
    const again = new TestReader(cluster.at(3));
    again.consume(1, 'q', 10);
    await rig.until(() => again.told.length === 1);
    const publisher = new TestPublisher(cluster.at(3));
    publisher.publish(['next'], { key: 'q' });
    await rig.until(() => publisher.isResolved);
    other.return(other.got, true);
    await rig.until(() => again.got.length + other.got.length === 13);
  });
});

test('a word that got lost on the way to a leader that stays is said again', async () => {
  await inCluster(260, async (cluster, rig) => {
    const logId = await filled(cluster, rig, 30);
    const reader = new TestReader(cluster.at(3));
    reader.consume(1, 'q', 10);
    await rig.until(() => reader.got.length === 10);
    const stops = [rig.world.network.block('10.0.0.3', '10.0.0.1')];
    reader.acknowledge(reader.got.slice(0, 4));
    reader.return(reader.got.slice(4, 6), false);
    reader.return(reader.got.slice(6, 8), true);
    await rig.advance(50);
    while (rig.world.network.resetOne(rig.world.faults, (from) => from === '10.0.0.3'));
    for (const stop of stops) stop();
    await rig.until(() => reader.got.length === 18, 60_000);
    await rig.advance(500);
    expect(cluster.queueState(1, logId).floor).toBe(6);
    expect(reader.values.slice(10)).toEqual(['m6', 'm7', ...range(10, 16)]);
    expect(reader.told).toEqual(['attached 1']);
  });
});

test('a session that stops in the middle gets the rest later, from whoever leads by then', async () => {
  await inCluster(261, async (cluster, rig) => {
    const logId = await filled(cluster, rig, 20);
    const reader = new TestReader(cluster.at(2));
    let room = 4;
    reader.onDeliver = (consumer) => {
      room -= 1;
      if (room === 0) reader.reader.credit(consumer, 0);
    };
    reader.consume(1, 'q', 12);
    await rig.until(() => reader.got.length === 4);
    await rig.advance(500);
    expect(reader.values).toEqual(range(0, 4));
    // The rest waits here, and is nobody else's.
    const stats = () => cluster.answer(cluster.at(1).queues.stats(logId, 1_000));
    expect(await stats()).toEqual({ ready: 8, leased: 12, consumers: 1, dropped: 0 });
    reader.inTurn((each) => each.credit(1, 12));
    room = 3;
    await rig.until(() => reader.got.length === 7);
    await cluster.moveTo(3, logId);
    await rig.advance(500);
    expect(reader.values).toEqual(range(0, 7));
    reader.acknowledge(reader.got);
    room = 100;
    reader.inTurn((each) => each.credit(1, 100));
    await rig.until(() => cluster.queueState(3, logId).floor === 7);
    await rig.until(() => reader.got.length === 20);
    expect(reader.values).toEqual(range(0, 20));
    // With the leases of now.
    reader.acknowledge(reader.got.slice(7));
    await rig.until(() => cluster.queueState(3, logId).floor === 20);
    expect(reader.got.slice(7).every(({ epoch }) => epoch === reader.got[19]!.epoch)).toBe(true);
  });
});
