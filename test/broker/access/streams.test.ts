// Reading streams whose logs real hosts lead on several nodes: each log in order, without gaps or repeats, no more
// than there is room for, whatever becomes of leaders and links.
import { expect, test, vi } from 'vitest';
import type { StreamStart } from '../../../src/broker/access/queue-api.ts';
import type { Rig } from '../../cluster/replica/rig.ts';
import { inCluster, type QueueCluster, range, TestPublisher, TestReader } from './cluster.ts';

const FIRST: { from: StreamStart } = { from: { kind: 'first' } };

/** A stream of several logs, which nodes 1, 2 and 3 lead in turns. */
async function stream(cluster: QueueCluster, rig: Rig, logs: number): Promise<number[]> {
  const first = await cluster.create('s', 1, { logs, kind: 'partition' });
  const logIds = Array.from({ length: logs }, (_, i) => first + i);
  for (const [i, logId] of logIds.entries()) {
    if (i % 3 > 0) await cluster.moveTo(1 + (i % 3), logId);
  }
  await rig.advance(200);
  return logIds;
}

/** One record for each value, by its number on one of the logs. */
async function fill(cluster: QueueCluster, rig: Rig, from: number, to: number): Promise<void> {
  const publisher = new TestPublisher(cluster.at(2));
  for (let i = from; i < to; i += 1) {
    publisher.publish([`m${i}`], { key: 's', recordKey: `${i}` });
  }
  await rig.until(() => publisher.isResolved);
  expect(publisher.outcomes()).toEqual(['stored']);
}

/** What came of each log, which must be without gaps from some offset on. */
function byLog({ got }: TestReader): Map<number, string[]> {
  const logs = new Map<number, string[]>();
  const ends = new Map<number, number>();
  for (const { logId, offset, value, isRedelivered, lease } of got) {
    const end = ends.get(logId);
    if (end !== undefined) expect(offset, `log ${logId}`).toBe(end);
    ends.set(logId, offset + 1);
    logs.set(logId, [...(logs.get(logId) ?? []), value]);
    expect([isRedelivered, lease]).toEqual([false, 0]);
  }
  return logs;
}

function isWhole(cluster: QueueCluster, logIds: readonly number[], reader: TestReader): void {
  const logs = byLog(reader);
  for (const logId of logIds) {
    const stored = cluster.stored(1, logId);
    expect(logs.get(logId) ?? [], `log ${logId}`).toEqual(stored);
  }
}

test('all logs feed every consumer, each log in order, as many as may be out', async () => {
  await inCluster(301, async (cluster, rig) => {
    const logIds = await stream(cluster, rig, 6);
    await fill(cluster, rig, 0, 200);
    const reader = new TestReader(cluster.at(1));
    const other = new TestReader(cluster.at(3));
    other.acknowledges = true;
    reader.consume(1, 's', 30, FIRST);
    other.consume(7, 's', 10, FIRST);
    await rig.until(() => other.got.length === 200);
    await rig.advance(500);
    expect(reader.told).toEqual(['attached 1']);
    expect(reader.got).toHaveLength(30);
    reader.acknowledge(reader.got.slice(0, 3));
    reader.return(reader.got.slice(3, 5), true);
    await rig.until(() => reader.got.length === 35);
    await rig.advance(500);
    expect(reader.got).toHaveLength(35);
    reader.acknowledges = true;
    reader.acknowledge(reader.got);
    await rig.until(() => reader.got.length === 200);
    isWhole(cluster, logIds, reader);
    isWhole(cluster, logIds, other);
    await fill(cluster, rig, 200, 260);
    await rig.until(() => reader.got.length === 260 && other.got.length === 260);
    isWhole(cluster, logIds, reader);
  });
});

test('who takes one at a time gets of each log in turn', async () => {
  await inCluster(302, async (cluster, rig) => {
    const logIds = await stream(cluster, rig, 4);
    await fill(cluster, rig, 0, 120);
    const reader = new TestReader(cluster.at(2));
    reader.consume(1, 's', 1, FIRST);
    for (let i = 0; i < 120; i += 1) {
      await rig.until(() => reader.got.length === i + 1);
      await rig.advance(20);
      reader.acknowledge(reader.got.slice(-1));
    }
    isWhole(cluster, logIds, reader);
    const early = reader.got.slice(0, 40);
    for (const logId of logIds) {
      expect(early.filter((each) => each.logId === logId).length).toBeGreaterThan(5);
    }
  });
});

test('it begins where it is asked to', async () => {
  await inCluster(303, async (cluster, rig) => {
    const [logId] = await stream(cluster, rig, 1);
    await fill(cluster, rig, 0, 10);
    const beforeMs = cluster.at(1).node.system.clock.wallMs();
    await rig.advance(10_000);
    const publisher = new TestPublisher(cluster.at(2));
    // One batch.
    publisher.publish(range(10, 14), { key: 's' });
    await rig.until(() => publisher.isResolved);
    const starts: [StreamStart, string[]][] = [
      [{ kind: 'first' }, range(0, 20)],
      [{ kind: 'last' }, range(10, 20)],
      [{ kind: 'next' }, range(14, 20)],
      [{ kind: 'offset', offset: 7 }, range(7, 20)],
      [{ kind: 'offset', offset: 16 }, range(16, 20)],
      [{ kind: 'time', timestampMs: beforeMs + 1_000 }, range(10, 20)],
      [{ kind: 'time', timestampMs: 0 }, range(0, 20)],
      [{ kind: 'time', timestampMs: beforeMs + 3_600_000 }, range(14, 20)],
      [{ kind: 'age', ageMs: 5_000 }, range(10, 20)],
      [{ kind: 'age', ageMs: 86_400_000 }, range(0, 20)],
    ];
    const readers = starts.map(([from], i) => {
      const reader = new TestReader(cluster.at(1 + (i % 3)));
      reader.consume(1, 's', 100, { from });
      return reader;
    });
    await rig.until(() => readers.every(({ told }) => told.length === 1));
    await fill(cluster, rig, 14, 20);
    await rig.until(() => readers.every(({ values }) => values.at(-1) === 'm19'));
    for (const [i, [from, values]] of starts.entries()) {
      expect(readers[i]!.values, JSON.stringify(from)).toEqual(values);
      expect(readers[i]!.got[0]).toMatchObject({ logId, offset: Number(values[0]!.slice(1)) });
    }
    expect(await cluster.answer(cluster.at(3).queues.messages([logId!], 1_000))).toBe(20);
  });
});

test('a consumer that waits costs little, keeps nothing here, and hears of what comes', async () => {
  await inCluster(304, async (cluster, rig) => {
    await stream(cluster, rig, 3);
    await fill(cluster, rig, 0, 30);
    const shard = cluster.at(3);
    const readers = Array.from({ length: 20 }, () => new TestReader(shard));
    for (const reader of readers) reader.consume(1, 's', 100, { from: { kind: 'next' } });
    const idle = new TestReader(shard);
    idle.consume(1, 's', 3, FIRST);
    await rig.until(() => readers.every(({ told }) => told.length === 1) && idle.got.length === 3);
    await rig.advance(2_000);
    expect(shard.queues.counters()).toMatchObject({ streamBytes: 0, streamConsumers: 21 });
    const handled = shard.node.system.turn.messages;
    await rig.advance(60_000);
    expect(shard.node.system.turn.messages - handled).toBeLessThan(300);
    await fill(cluster, rig, 30, 40);
    await rig.until(() => readers.every(({ got }) => got.length === 10));
    expect(idle.got).toHaveLength(3);
    idle.acknowledge(idle.got);
    await rig.until(() => idle.got.length === 6);
    for (const reader of [...readers, idle]) reader.inTurn((each) => each.close());
    await rig.advance(1_000);
    expect(shard.queues.counters()).toMatchObject({ streamBytes: 0, streamConsumers: 0 });
  });
});

test('leaders that move, die and are cut off: each log goes on at the next offset', async () => {
  await inCluster(305, async (cluster, rig) => {
    const logIds = await stream(cluster, rig, 6);
    await fill(cluster, rig, 0, 100);
    const readers = [1, 3].map((id) => new TestReader(cluster.at(id)));
    for (const reader of readers) {
      reader.acknowledges = true;
      reader.consume(1, 's', 7, FIRST);
    }
    await rig.until(() => readers.every(({ got }) => got.length > 20));
    for (const logId of logIds) await cluster.moveTo(3, logId);
    await fill(cluster, rig, 100, 150);
    const stop = rig.world.network.block('10.0.0.1', '10.0.0.3');
    await rig.advance(50);
    while (rig.world.network.resetOne(rig.world.faults, (from) => from === '10.0.0.3'));
    stop();
    await rig.until(() => readers.every(({ got }) => got.length === 150), 60_000);
    cluster.crash(2);
    for (const logId of logIds) await cluster.moveTo(1, logId);
    await rig.startNode(2);
    await fill(cluster, rig, 150, 200);
    await rig.until(() => readers.every(({ got }) => got.length === 200), 60_000);
    for (const reader of readers) isWhole(cluster, logIds, reader);
    expect(readers.map(({ told }) => told)).toEqual([['attached 1'], ['attached 1']]);
  });
});

test('one that has nobody to ask waits for a leader', async () => {
  await inCluster(306, async (cluster, rig) => {
    const logId = await cluster.create('s', 0, { kind: 'partition' });
    const reader = new TestReader(cluster.at(2));
    reader.consume(1, 's', 10, { from: { kind: 'next' } });
    const early = new TestReader(cluster.at(2));
    early.consume(1, 's', 10, FIRST);
    await rig.advance(3_000);
    expect([reader.told, early.told]).toEqual([[], ['attached 1']]);
    await cluster.moveTo(1, logId);
    await rig.until(() => reader.told.length === 1);
    await fill(cluster, rig, 0, 5);
    await rig.until(() => reader.got.length === 5 && early.got.length === 5);
  });
});

test('where to begin in a log that nobody can lead is not known, and that is said at once', async () => {
  await inCluster(309, async (cluster, rig) => {
    const logId = await cluster.create('s', 1, { kind: 'partition', replicas: [1] });
    await fill(cluster, rig, 0, 5);
    const reader = new TestReader(cluster.at(2));
    reader.consume(1, 's', 10, { from: { kind: 'next' } });
    await rig.until(() => reader.told.length === 1);
    cluster.crash(1);
    await rig.advance(100);
    reader.consume(2, 's', 10, { from: { kind: 'last' } });
    reader.consume(3, 's', 10, FIRST);
    await rig.advance(100);
    expect(reader.told).toEqual(['attached 1', 'ended 2 unreachable', 'attached 3']);
    await rig.startNode(1);
    await cluster.moveTo(1, logId);
    await rig.until(() => reader.got.length === 5);
    await fill(cluster, rig, 5, 6);
    await rig.until(() => reader.got.length === 7);
  });
});

test('it ends with its stream, and when it is told to, and hears nothing behind that', async () => {
  await inCluster(307, async (cluster, rig) => {
    await stream(cluster, rig, 3);
    await fill(cluster, rig, 0, 50);
    const reader = new TestReader(cluster.at(1));
    reader.consume(1, 's', 10, FIRST);
    reader.consume(2, 's', 10, FIRST);
    reader.onDeliver = (consumer) => {
      if (consumer === 1 && reader.got.length > 3) reader.reader.detach(1, true);
    };
    await rig.until(() => reader.got.filter(({ consumer }) => consumer === 2).length === 10);
    const ofFirst = reader.got.filter(({ consumer }) => consumer === 1);
    expect(ofFirst.length).toBeLessThan(5);
    // Of one that is gone nobody has to be told.
    reader.acknowledge(ofFirst);
    await rig.advance(500);
    expect(cluster.at(1).queues.counters()).toMatchObject({ queuesInUse: 0, streamConsumers: 1 });
    cluster.remove('s');
    await rig.until(() => reader.told.includes('ended 2 deleted'));
    await rig.advance(1_000);
    expect(reader.told.filter((word) => word.startsWith('ended'))).toHaveLength(1);
    expect(cluster.at(1).queues.counters()).toMatchObject({ streamBytes: 0, streamConsumers: 0 });
  });
});

test('what takes much room is fetched part by part, and a session is given a part of it in a turn', async () => {
  await inCluster(308, async (cluster, rig) => {
    const logId = await cluster.create('s', 1, { kind: 'partition' });
    const value = 'x'.repeat(60_000);
    for (let i = 0; i < 100; i += 1) {
      rig.append(1, logId, `${i}${value}`);
      await rig.advance(20);
    }
    // Where it is led, and elsewhere.
    for (const id of [1, 2]) {
      const shard = cluster.at(id);
      const reader = new TestReader(shard);
      const turns = new Map<number, number>();
      reader.onDeliver = () => {
        const turn = shard.node.system.turn.count;
        turns.set(turn, (turns.get(turn) ?? 0) + 1);
        expect(shard.queues.counters()['streamBytes']).toBeLessThan(1024 * 1024);
      };
      reader.consume(1, 's', 1_000, FIRST);
      await rig.until(() => reader.got.length === 100);
      expect(reader.values.map((text) => Number.parseInt(text, 10))).toEqual(
        Array.from({ length: 100 }, (_, i) => i),
      );
      expect(Math.max(...turns.values())).toBeLessThan(20);
    }
  });
});

test('a message costs its share of a fetch, and nobody is asked about it', async () => {
  await inCluster(310, async (cluster, rig) => {
    const logIds = await stream(cluster, rig, 2);
    const publisher = new TestPublisher(cluster.at(1));
    for (let i = 0; i < 40; i += 1) {
      for (let n = 0; n < 100; n += 1) {
        publisher.publish([`m${i}.${n}`], { key: 's', recordKey: `${n}` });
      }
      await rig.advance(20);
    }
    await rig.until(() => publisher.isResolved);
    const shard = cluster.at(3);
    const reader = new TestReader(shard);
    reader.acknowledges = true;
    const handled = shard.node.system.turn.messages;
    reader.consume(1, 's', 200, FIRST);
    await rig.until(() => reader.got.length === 4_000);
    expect(shard.node.system.turn.messages - handled).toBeLessThan(400);
    isWhole(cluster, logIds, reader);
  });
});

test('a shard reads so many logs, each counted for each consumer, and no more', async () => {
  await inCluster(311, async (cluster, rig) => {
    await cluster.create('s', 0, { logs: 1_000, kind: 'partition' });
    const shard = cluster.at(1);
    const reader = new TestReader(shard);
    for (let i = 0; i <= 100; i += 1) reader.consume(i, 's', 10, FIRST);
    await rig.until(() => reader.told.length === 101);
    expect(reader.told.filter((word) => word.startsWith('ended'))).toEqual([
      'ended 100 too-many-consumers',
    ]);
    reader.inTurn((each) => each.detach(7, true));
    reader.consume(101, 's', 10, FIRST);
    await rig.until(() => reader.told.includes('attached 101'));
    reader.inTurn((each) => each.close());
    await rig.advance(100);
    expect(shard.queues.counters()).toMatchObject({ streamConsumers: 0, streamBytes: 0 });
  });
});

test('a stream that may be is read from the replica of the node, and from the leader while that one does not follow', async () => {
  await inCluster(331, async (cluster, rig) => {
    cluster.readsReplicas = true;
    const [logId] = (await stream(cluster, rig, 1)) as [number];
    await fill(cluster, rig, 0, 100);
    await rig.advance(200);
    const reads = (id: number) => vi.spyOn(rig.at(id).store.log(logId)!, 'read');
    const [atLeader, atReplica] = [reads(1), reads(3)];
    const reader = new TestReader(cluster.at(3));
    reader.acknowledges = true;
    reader.consume(1, 's', 30, FIRST);
    await rig.until(() => reader.got.length === 100);
    expect(atReplica.mock.calls.length).toBeGreaterThan(0);
    expect(atLeader.mock.calls.length).toBe(0);
    // At the end it waits here too, and hears of what comes.
    await fill(cluster, rig, 100, 150);
    await rig.until(() => reader.got.length === 150);
    expect(atLeader.mock.calls.length).toBe(0);
    // In sync as the metadata has it, and without its leader: that one is read.
    vi.spyOn(rig.at(3).host.hosted(logId)!, 'reading').mockReturnValue(undefined);
    await fill(cluster, rig, 150, 200);
    await rig.until(() => reader.got.length === 200);
    expect(atLeader.mock.calls.length).toBeGreaterThan(0);
    isWhole(cluster, [logId], reader);
  });
});
