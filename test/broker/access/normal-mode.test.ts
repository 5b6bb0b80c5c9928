// Queues on one node: while it is down nobody waits for them, what was on its way is not lost, and all goes on when
// it is back.
import { expect, test } from 'vitest';
import { runs } from '../../setup/runs.ts';
import { inCluster, range, TestPublisher, TestReader } from './cluster.ts';

const ALONE = { replicas: [1] };

test('what is published while the home of a queue is down is refused at once', async () => {
  await inCluster(401, async (cluster, rig) => {
    const logId = await cluster.create('q', 1, ALONE);
    await cluster.create('other', 2, { replicas: [2] });
    for (const name of ['q', 'other']) cluster.bind('fan', name);
    const publisher = new TestPublisher(cluster.at(3));
    publisher.publish(range(0, 5), { key: 'q' });
    await rig.until(() => publisher.isResolved);
    cluster.crash(1);
    await rig.advance(5);
    publisher.publish(['alone'], { key: 'q' }, { isMandatory: true });
    publisher.publish(['silent'], { key: 'q' });
    publisher.publish(['both'], { exchange: 'fan' }, { isMandatory: true });
    publisher.publish(['nobody asks'], { key: 'q' }, { asks: false });
    await rig.advance(50);
    expect([...publisher.resolved.values()].slice(5)).toEqual(['refused', 'refused', 'refused']);
    // Another queue has the last one: it does not come back.
    expect(publisher.unroutable).toEqual([[5, 'alone']]);
    const counters = cluster.at(3).queues.counters();
    expect(counters).toMatchObject({ underWay: 0, underWayBytes: 0, refused: 4 });
    await rig.startNode(1);
    rig.grant(logId, 1);
    publisher.publish(range(5, 8), { key: 'q' });
    await rig.until(() => publisher.isResolved);
    await rig.until(() => rig.isLeading(1, logId) && cluster.stored(1, logId).length >= 8);
    expect(cluster.stored(1, logId)).toEqual(range(0, 8));
  });
});

test('what was on its way when the home died is unknown at once, and stored once and in order later', async () => {
  for (let seed = 410; seed < 410 + runs(8, 3); seed += 1) {
    await inCluster(seed, async (cluster, rig) => {
      const logId = await cluster.create('q', 1, ALONE);
      const publisher = new TestPublisher(cluster.at(3));
      for (let turn = 0; turn < 20; turn += 1) {
        publisher.publish(range(turn * 5, turn * 5 + 5), { key: 'q' });
        await rig.advance(seed % 3);
      }
      rig.kill(1);
      publisher.publish(range(100, 105), { key: 'q' });
      await rig.advance(10 * (seed % 4));
      rig.fence(1);
      await rig.advance(20);
      expect(publisher.isResolved).toBe(true);
      await rig.startNode(1);
      rig.grant(logId, 1);
      await rig.until(() => rig.isLeading(1, logId));
      publisher.publish(['last'], { key: 'q' });
      await rig.until(() => publisher.isResolved, 10_000);
      const stored = cluster.stored(1, logId);
      const confirmed = [...range(0, 105), 'last'].filter(
        (_, ticket) => publisher.resolved.get(ticket) === 'stored',
      );
      expect(confirmed.length).toBeGreaterThan(0);
      expect(stored.filter((value) => confirmed.includes(value))).toEqual(confirmed);
      expect(new Set(stored).size).toBe(stored.length);
    });
  }
});

test('a publisher that waited for room goes on when the log that it waited for is out', async () => {
  const limits = { publisherBytesMax: 4_000, logBytesMax: 4_000, batchesInFlightMax: 1 };
  await inCluster(
    421,
    async (cluster, rig) => {
      await cluster.create('q', 1, ALONE);
      await cluster.create('other', 2, { replicas: [2] });
      const publisher = new TestPublisher(cluster.at(3));
      publisher.publish(['first'], { key: 'q' });
      await rig.until(() => publisher.isResolved);
      rig.kill(1);
      const large = new Array<string>(20).fill('x'.repeat(1_000));
      publisher.publish(large, { key: 'q' });
      await rig.advance(50);
      expect(publisher.room).toEqual(['full']);
      rig.fence(1);
      await rig.until(() => publisher.isResolved);
      expect(publisher.room).toEqual(['full', 'room']);
      publisher.publish(['now'], { key: 'other' });
      await rig.until(() => publisher.isResolved);
      expect([...publisher.resolved.values()].at(-1)).toBe('stored');
    },
    limits,
  );
});

test('who asks a queue whose home is down hears so at once; who consumed goes on when it is back', async () => {
  await inCluster(431, async (cluster, rig) => {
    const logId = await cluster.create('q', 1, ALONE);
    const publisher = new TestPublisher(cluster.at(1));
    publisher.publish(range(0, 10), { key: 'q' });
    await rig.until(() => publisher.isResolved);
    const reader = new TestReader(cluster.at(2));
    reader.consume(1, 'q', 4);
    await rig.until(() => reader.got.length === 4);
    cluster.crash(1);
    const { queues } = cluster.at(2);
    const nowMs = rig.world.nowMs;
    expect(await cluster.answer(queues.stats(logId, 60_000))).toBe('not-available');
    expect(await cluster.answer(queues.purge(logId, 60_000))).toBe('not-available');
    const unused = { isUnused: true, isEmpty: false };
    expect(await cluster.answer(queues.check(logId, unused, 60_000))).toBe('not-available');
    reader.consume(2, 'q', 1);
    reader.get(3, 'q');
    await rig.until(() => reader.told.length === 3);
    expect(reader.told).toEqual(['attached 1', 'ended 2 unreachable', 'ended 3 unreachable']);
    expect(rig.world.nowMs - nowMs).toBeLessThan(1_000);
    // What it settles now, the queue hears later.
    reader.acknowledge(reader.got.slice(0, 2));
    await rig.advance(2_000);
    await rig.startNode(1);
    rig.grant(logId, 1);
    reader.acknowledges = true;
    await rig.until(() => rig.isLeading(1, logId) && cluster.queueState(1, logId).floor === 10);
    const again = reader.got.slice(4);
    expect(again.map(({ value }) => value)).toEqual(range(2, 10));
    expect(again.slice(0, 2).every(({ isRedelivered }) => isRedelivered)).toBe(true);
    reader.get(4, 'q');
    await rig.until(() => reader.told.length === 4);
    expect(reader.told.at(-1)).toBe('empty 4');
  });
});

test('a live node that alone has a log, and may not lead it, has lost it: nobody waits there either', async () => {
  await inCluster(441, async (cluster, rig) => {
    const logId = await cluster.create('q', 1, ALONE);
    cluster.crash(1);
    await rig.startNode(1);
    rig.fence(1);
    const publisher = new TestPublisher(cluster.at(1));
    const reader = new TestReader(cluster.at(1));
    publisher.publish(['early'], { key: 'q' });
    reader.consume(1, 'q', 1);
    await rig.advance(500);
    // It is not back yet: it may lead the log in a moment.
    expect([publisher.resolved.size, reader.told]).toEqual([0, []]);
    rig.unfence(1);
    await rig.until(() => publisher.isResolved && reader.told.length === 1);
    expect([...publisher.resolved.values()]).toEqual(['refused']);
    expect(reader.told).toEqual(['ended 1 unreachable']);
    const { queues } = cluster.at(1);
    expect(await cluster.answer(queues.stats(logId, 60_000))).toBe('not-available');
  });
});
