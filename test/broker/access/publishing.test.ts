// Publishing through exchanges to queues that real hosts replicate: stored once, in order, resolved once,
// whatever becomes of leaders and links.
import { expect, test } from 'vitest';
import type { Rig } from '../../cluster/replica/rig.ts';
import { runs } from '../../setup/runs.ts';
import { inCluster, range, TestPublisher } from './cluster.ts';

test('what is published is stored in order and resolved when it is committed', async () => {
  await inCluster(101, async (cluster, rig) => {
    const logId = await cluster.create('q', 1);
    const publisher = new TestPublisher(cluster.at(1));
    publisher.publish(range(0, 50), { key: 'q' });
    await rig.until(() => publisher.isResolved);
    expect(publisher.outcomes()).toEqual(['stored']);
    expect(cluster.stored(1, logId)).toEqual(range(0, 50));
    // All of a turn is one batch, and one number each.
    expect(cluster.queueState(1, logId).clients.nextNumber(256, Number.NaN)).toBe(51);
  });
});

test('one turn is one tell of the exchange and one command per queue, from any node', async () => {
  await inCluster(102, async (cluster, rig) => {
    const logs = [await cluster.create('a', 1), await cluster.create('b', 2)];
    for (const name of ['a', 'b']) cluster.bind('fan', name);
    const shard = cluster.at(3);
    const publishers = [new TestPublisher(shard), new TestPublisher(shard)];
    const of = (name: string) =>
      shard.node.system.metrics.snapshot().find((each) => each.name === name)?.handled ?? 0;
    // The actors are there.
    publishers[0]!.publish(['first'], { exchange: 'fan' });
    await rig.until(() => publishers[0]!.isResolved);
    const before = of('exchange');
    const frames = logs.map((logId, i) => rig.at(i + 1).host.hosted(logId)!.stored.endSeq);
    shard.inTurn(() => {
      for (const each of publishers)
        for (const value of range(0, 20)) each.now(value, { exchange: 'fan' });
    });
    await rig.until(() => publishers.every((each) => each.resolved.size >= 20));
    await rig.advance(100);
    expect(of('exchange') - before).toBe(1);
    logs.forEach((logId, i) => {
      const { stored } = rig.at(i + 1).host.hosted(logId)!;
      expect(stored.endSeq - frames[i]!).toBe(1);
      expect(cluster.stored(i + 1, logId)).toEqual(['first', ...range(0, 20), ...range(0, 20)]);
    });
    expect(shard.queues.counters()).toMatchObject({ publishes: 41, copies: 82, underWay: 0 });
  });
});

/** Publishes `turns` times `each` messages, a turn every few ms, and does something in between. */
async function publishing(
  publisher: TestPublisher,
  rig: Rig,
  turns: number,
  each: number,
  between: (turn: number) => Promise<void> | void,
  key = 'q',
): Promise<string[]> {
  for (let turn = 0; turn < turns; turn += 1) {
    publisher.publish(range(turn * each, (turn + 1) * each), { key });
    await between(turn);
    await rig.advance(2);
  }
  return range(0, turns * each);
}

const KINDS = [
  ['queue', 'queue'],
  ['stream', 'partition'],
] as const;

test.each(KINDS)(
  'the leader of a %s dies in the middle: each message is stored once, in order, and resolved once',
  async (_, kind) => {
    for (let seed = 110; seed < 110 + runs(8, 2); seed += 1) {
      await inCluster(seed, async (cluster, rig) => {
        const logId = await cluster.create('q', 1, { kind });
        const publisher = new TestPublisher(cluster.at(3));
        const all = await publishing(publisher, rig, 60, 5, async (turn) => {
          if (turn === 20) rig.kill(1);
          if (turn === 23 + (seed % 4)) rig.fence(1);
          if (turn === 30) rig.grant(logId, 2);
        });
        await rig.until(() => publisher.isResolved, 60_000);
        expect(publisher.outcomes()).toEqual(['stored']);
        expect(cluster.stored(2, logId)).toEqual(all);
      });
    }
  },
);

test.each(KINDS)(
  'leaders of a %s that change hands again and again, links that break: once, and in order',
  async (_, kind) => {
    for (let seed = 120; seed < 120 + runs(8, 2); seed += 1) {
      await inCluster(seed, async (cluster, rig) => {
        const logId = await cluster.create('q', 1, { kind });
        const publisher = new TestPublisher(cluster.at(3));
        const random = rig.world.workload.fork('moves');
        let leader = 1;
        const all = await publishing(publisher, rig, 200, 3, async (turn) => {
          const chance = random.below(20);
          if (turn > 180) return;
          if (chance === 0) {
            leader = 1 + random.below(3);
            rig.grant(logId, leader);
          }
          if (chance === 1) rig.world.network.resetOne(rig.world.faults, () => true);
        });
        await rig.until(() => publisher.isResolved, 60_000);
        expect(publisher.outcomes()).toEqual(['stored']);
        expect(cluster.stored(leader, logId)).toEqual(all);
      });
    }
  },
);

test('a message for several queues is resolved once, when the last of them has it', async () => {
  await inCluster(130, async (cluster, rig) => {
    const near = await cluster.create('near', 1);
    const far = await cluster.create('far', 0);
    for (const name of ['near', 'far']) cluster.bind('fan', name);
    const publisher = new TestPublisher(cluster.at(1));
    publisher.publish(range(0, 5), { exchange: 'fan' });
    await rig.until(() => cluster.stored(1, near).length === 5);
    await rig.advance(1_000);
    expect(publisher.resolved.size).toBe(0);
    rig.grant(far, 3);
    await rig.until(() => publisher.isResolved);
    expect(publisher.outcomes()).toEqual(['stored']);
    expect(cluster.stored(3, far)).toEqual(range(0, 5));
  });
});

test('what nothing routes goes back to whoever asks, and counts as stored', async () => {
  await inCluster(131, async (cluster, rig) => {
    await cluster.create('q', 1);
    const shard = cluster.at(2);
    const publisher = new TestPublisher(shard);
    publisher.publish(['back'], { key: 'nowhere' }, { isMandatory: true });
    publisher.publish(['gone'], { key: 'nowhere' });
    publisher.publish(['kept'], { key: 'q' }, { isMandatory: true });
    await rig.until(() => publisher.isResolved);
    expect(publisher.unroutable).toEqual([[0, 'back']]);
    expect([...publisher.resolved]).toEqual([
      [0, 'stored'],
      [1, 'stored'],
      [2, 'stored'],
    ]);
    expect(shard.queues.counters()).toMatchObject({ publishes: 3, copies: 1, unroutable: 2 });
  });
});

test('F14: level none is resolved at once, and stored all the same by the next leader', async () => {
  await inCluster(132, async (cluster, rig) => {
    const logId = await cluster.create('q', 1);
    const publisher = new TestPublisher(cluster.at(3));
    rig.kill(1);
    publisher.publish(range(0, 3), { key: 'q' }, { level: 'none' });
    publisher.publish(range(3, 6), { key: 'q' }, { asks: false });
    await rig.advance(1);
    expect(publisher.isResolved).toBe(true);
    rig.fence(1);
    rig.grant(logId, 2);
    await rig.until(() => rig.isLeading(2, logId) && cluster.stored(2, logId).length === 6);
    expect(cluster.stored(2, logId)).toEqual(range(0, 6));
  });
});

test('without a leader a publish is given up in time, and what comes later is stored without a gap', async () => {
  await inCluster(
    133,
    async (cluster, rig) => {
      const logId = await cluster.create('q', 1);
      const publisher = new TestPublisher(cluster.at(3));
      publisher.publish(['before'], { key: 'q' });
      await rig.until(() => publisher.isResolved);
      rig.world.node('n1').pause();
      rig.world.node('n2').pause();
      publisher.publish(['sent'], { key: 'q' });
      await rig.advance(500);
      rig.fence(1);
      await rig.advance(500);
      publisher.publish(['never'], { key: 'q' });
      await rig.until(() => publisher.isResolved);
      expect([...publisher.resolved.values()]).toEqual(['stored', 'unknown', 'unknown']);
      rig.world.node('n2').resume();
      rig.grant(logId, 2);
      publisher.publish(['after'], { key: 'q' });
      await rig.until(() => publisher.isResolved);
      expect(publisher.resolved.get(3)).toBe('stored');
      // Its number was taken, so it had to go first; what was never sent need not.
      expect(cluster.stored(2, logId)).toEqual(['before', 'sent', 'after']);
    },
    { confirmTimeoutMs: 3_000 },
  );
});

test.each(KINDS)(
  'below its minimum of in-sync replicas a publish to a %s is held: stored if one comes back in time, else given up',
  async (_, kind) => {
    await inCluster(
      137,
      async (cluster, rig) => {
        const few = { replicas: [1, 2], mode: 'all', minInsync: 2 } as const;
        await cluster.create('q', 1, { kind, ...few, replicas: [...few.replicas] });
        const publisher = new TestPublisher(cluster.at(3));
        const gone = async (): Promise<void> => {
          rig.kill(2);
          rig.fence(2);
          await rig.advance(500);
        };
        publisher.publish(['before'], { key: 'q' });
        await rig.until(() => publisher.isResolved);
        await gone();
        publisher.publish(['in time'], { key: 'q' });
        await rig.advance(1_000);
        expect(publisher.isResolved).toBe(false);
        await rig.startNode(2);
        await rig.until(() => publisher.isResolved);
        expect([...publisher.resolved.values()]).toEqual(['stored', 'stored']);
        await rig.advance(1_000);
        await gone();
        const sinceMs = rig.world.nowMs;
        publisher.publish(['too late'], { key: 'q' });
        await rig.until(() => publisher.isResolved);
        expect([...publisher.resolved.values()]).toEqual(['stored', 'stored', 'unknown']);
        const waitedMs = rig.world.nowMs - sinceMs;
        expect(waitedMs).toBeGreaterThanOrEqual(3_000);
        expect(waitedMs).toBeLessThan(3_500);
      },
      { confirmTimeoutMs: 3_000 },
    );
  },
);

test('who publishes to a log whose leader has a full disk is told, and told again, and what was sent is stored', async () => {
  await inCluster(136, async (cluster, rig) => {
    await cluster.create('q');
    const [sent, late, other] = [0, 1, 2].map(() => new TestPublisher(cluster.at(1)));
    const free = [1, 2, 3].map((id) => rig.world.node(`n${id}`).device.fill());
    await rig.advance(1_000);
    for (let i = 0; i < 500 && sent!.room.length === 0; i += 1) {
      sent!.publish(['y'.repeat(20_000)], { key: 'q' });
      await rig.advance(20);
    }
    late!.publish(['late'], { key: 'q' });
    await rig.advance(1_000);
    expect([sent!.room, late!.room, other!.room]).toEqual([['blocked'], ['blocked'], []]);
    expect(late!.resolved.size).toBe(0);
    for (const end of free) end();
    await rig.until(() => sent!.isResolved && late!.isResolved);
    expect(new Set([...sent!.resolved.values(), ...late!.resolved.values()])).toEqual(
      new Set(['stored']),
    );
    for (const each of [sent!, late!]) expect(each.room).toEqual(['blocked', 'unblocked']);
  });
});

test('publishers wait while a log or they have too much under way, and go on', async () => {
  const value = 'x'.repeat(1_000);
  const limits = { publisherBytesMax: 50_000, logBytesMax: 20_000, shardBytesMax: 120_000 };
  await inCluster(
    134,
    async (cluster, rig) => {
      const logIds: number[] = [];
      for (const name of ['a', 'b', 'c']) {
        const logId = await cluster.create(name, 0);
        logIds.push(logId);
        cluster.bind('fan', name);
      }
      const shard = cluster.at(1);
      const [one, two, three] = [0, 1, 2].map(() => new TestPublisher(shard));
      const values = (count: number) => new Array<string>(count).fill(value);
      one!.publish(values(15), { key: 'a' });
      two!.publish(values(1), { key: 'b' });
      await rig.advance(10);
      expect([one!.room, two!.room]).toEqual([[], []]);
      // The log.
      one!.publish(values(10), { key: 'a' });
      two!.publish(values(1), { key: 'a' });
      await rig.advance(10);
      expect([one!.room, two!.room]).toEqual([['full'], ['full']]);
      // The shard: even who sends to a log with room.
      two!.publish(values(49), { key: 'b' });
      three!.publish(values(50), { key: 'c' });
      await rig.advance(10);
      expect(three!.room).toEqual(['full']);
      for (const logId of logIds) rig.grant(logId, 2);
      await rig.until(() => [one!, two!, three!].every((each) => each.isResolved));
      for (const each of [one!, two!, three!]) expect(each.room).toEqual(['full', 'room']);
      expect(shard.queues.counters()).toMatchObject({ underWay: 0, underWayBytes: 0 });
    },
    limits,
  );
});

test('a queue that is deleted takes what was under way to it along', async () => {
  await inCluster(135, async (cluster, rig) => {
    await cluster.create('q', 1);
    await cluster.create('other', 1);
    const publisher = new TestPublisher(cluster.at(2));
    publisher.publish(range(0, 3), { key: 'q' });
    publisher.publish(range(0, 3), { key: 'other' });
    cluster.remove('q');
    publisher.publish(range(0, 3), { key: 'q' });
    await rig.until(() => publisher.isResolved);
    expect(publisher.outcomes()).toEqual(['stored']);
    // Another one of that name is another one.
    const logId = await cluster.create('q', 3);
    publisher.publish(['new'], { key: 'q' });
    await rig.until(() => publisher.isResolved);
    expect(cluster.stored(3, logId)).toEqual(['new']);
  });
});

test('an exchange has its actor while it is there; one that is made again has another', async () => {
  await inCluster(136, async (cluster, rig) => {
    const logId = await cluster.create('q', 1);
    const shard = cluster.at(1);
    const publisher = new TestPublisher(shard);
    const actors = () =>
      shard.node.system
        .actorTree()
        .filter((each) => each.class === 'exchange')
        .map(({ path }) => path);
    const declare = () => {
      cluster.declareExchange('a/b', 'fanout');
      cluster.bind('a/b', 'q');
    };
    declare();
    publisher.publish(['1'], { exchange: 'a/b' });
    await rig.until(() => publisher.isResolved);
    expect(actors()).toEqual(['/exchange:a%2Fb']);
    // In one turn: published, deleted, made again, published.
    shard.inTurn(() => {
      publisher.now('2', { exchange: 'a/b' });
      cluster.bindings.splice(0);
      cluster.deleteExchange('a/b');
      declare();
      publisher.now('3', { exchange: 'a/b' });
    });
    await rig.until(() => publisher.resolved.size === 3);
    expect(cluster.stored(1, logId)).toEqual(['1', '2', '3']);
    cluster.bindings.splice(0);
    cluster.deleteExchange('a/b');
    await rig.advance(10);
    expect(actors()).toEqual([]);
    expect(shard.queues.counters()).toMatchObject({ publishes: 3, copies: 3 });
  });
});

test('a stream takes messages by key, else in turns, and nothing twice', async () => {
  await inCluster(137, async (cluster, rig) => {
    const first = await cluster.create('s', 1, { logs: 3, kind: 'partition' });
    const logIds = [first, first + 1, first + 2];
    const publisher = new TestPublisher(cluster.at(2));
    publisher.publish(range(0, 3), { key: 's' });
    // A key that is the address of all of them is as good as none.
    publisher.publish(range(3, 9), { key: 's', recordKey: 's' });
    await rig.until(() => publisher.isResolved);
    expect(logIds.map((logId) => cluster.stored(1, logId).length)).toEqual([3, 3, 3]);
    publisher.publish(range(9, 12), { key: 's', recordKey: 'same' });
    await rig.until(() => publisher.isResolved);
    const counts = logIds.map((logId) => cluster.stored(1, logId).length);
    expect(counts.sort()).toEqual([3, 3, 6]);
    expect(publisher.outcomes()).toEqual(['stored']);
    // What was sent to the dead goes to whoever leads next.
    rig.kill(1);
    publisher.publish(range(12, 15), { key: 's' });
    await rig.advance(5_000);
    rig.fence(1);
    for (const logId of logIds) rig.grant(logId, 3);
    await rig.until(() => publisher.isResolved);
    expect(publisher.outcomes()).toEqual(['stored']);
    const all = logIds.flatMap((logId) => cluster.stored(3, logId));
    expect(all.sort()).toEqual(range(0, 15).sort());
    expect(logIds.map((logId) => cluster.stored(3, logId).length - 3).sort()).toEqual([1, 1, 4]);
  });
});

test('a message for a queue and a stream is confirmed when both have it, through the loss of their leaders', async () => {
  for (let seed = 140; seed < 140 + runs(4, 2); seed += 1) {
    await inCluster(seed, async (cluster, rig) => {
      const queue = await cluster.create('q', 1);
      const stream = await cluster.create('s', 2, { kind: 'partition' });
      for (const name of ['q', 's']) cluster.bind('fan', name);
      const publisher = new TestPublisher(cluster.at(3));
      for (let turn = 0; turn < 40; turn += 1) {
        publisher.publish(range(turn * 3, turn * 3 + 3), { exchange: 'fan' });
        if (turn === 12) rig.kill(2);
        if (turn === 14) rig.fence(2);
        await rig.advance(2);
      }
      // Nobody leads the stream: the queue alone is not enough.
      await rig.until(() => cluster.stored(1, queue).length === 120);
      await rig.advance(1_000);
      expect(publisher.isResolved).toBe(false);
      rig.grant(stream, 1 + 2 * (seed % 2));
      await rig.until(() => publisher.isResolved, 60_000);
      expect(publisher.outcomes()).toEqual(['stored']);
      expect(cluster.stored(1, queue)).toEqual(range(0, 120));
      expect(cluster.stored(1 + 2 * (seed % 2), stream)).toEqual(range(0, 120));
    });
  }
});

test('what a stream does not take is refused alone, and the others keep their order', async () => {
  await inCluster(145, async (cluster, rig) => {
    const logId = await cluster.create('s', 1, {
      kind: 'partition',
      config: new Map([['max.message.bytes', '600']]),
    });
    const publisher = new TestPublisher(cluster.at(2));
    const values = range(0, 60);
    // Together they would be too large, and two are so alone.
    values[20] = 'x'.repeat(600);
    values[41] = 'y'.repeat(5_000);
    publisher.publish(values, { key: 's' });
    await rig.until(() => publisher.isResolved);
    const refused = [...publisher.resolved].filter(([, outcome]) => outcome === 'refused');
    expect(refused.map(([ticket]) => ticket)).toEqual([20, 41]);
    expect(cluster.stored(1, logId)).toEqual(values.filter((value) => value.length < 600));
  });
});

test('what lacks the key that a compacted stream needs is refused alone, and no stranger hears of it', async () => {
  await inCluster(147, async (cluster, rig) => {
    const config = new Map([['cleanup.policy', 'compact,delete']]);
    const logId = await cluster.create('s', 1, { kind: 'partition', config });
    const shard = cluster.at(2);
    const [keyed, keyless] = [new TestPublisher(shard), new TestPublisher(shard)];
    shard.inTurn(() => {
      for (let turn = 0; turn < 5; turn += 1) {
        keyed.now(`k${turn}`, { key: 's', recordKey: 'a' });
        keyless.now(`n${turn}`, { key: 's' });
        keyless.now(`e${turn}`, { key: 's', recordKey: 'b' });
      }
    });
    await rig.until(() => keyed.resolved.size === 5 && keyless.resolved.size === 10);
    expect(keyed.outcomes()).toEqual(['stored']);

    for (const [ticket, outcome] of keyless.resolved) {
      expect(outcome).toBe(ticket % 2 === 0 ? 'refused' : 'stored');
    }
    const all = [0, 1, 2, 3, 4].flatMap((turn) => [`k${turn}`, `e${turn}`]);
    expect(cluster.stored(1, logId)).toEqual(all);
    expect(shard.queues.counters()).toMatchObject({ refused: 5, underWay: 0 });
  });
});

test('whoever publishes hears where a stream has it, also when it had to be sent again', async () => {
  await inCluster(146, async (cluster, rig) => {
    const logId = await cluster.create('s', 1, { kind: 'partition' });
    const publisher = new TestPublisher(cluster.at(3));
    const all = await publishing(
      publisher,
      rig,
      60,
      2,
      (turn) => {
        if (turn % 5 === 2) rig.grant(logId, 1 + (turn % 3));
      },
      's',
    );
    await rig.until(() => publisher.isResolved, 60_000);
    expect([...publisher.offsets.keys()].length).toBe(all.length);
    const stored = cluster.stored(3, logId);
    expect(stored).toEqual(all);
    for (const [ticket, offset] of publisher.offsets) expect(stored[offset]).toBe(all[ticket]);
  });
});

test('a session that is closed hears nothing more, and another may take its place', async () => {
  await inCluster(138, async (cluster, rig) => {
    const logId = await cluster.create('q', 0);
    const shard = cluster.at(1);
    const closed = new TestPublisher(shard);
    closed.publish(range(0, 3), { key: 'q' });
    await rig.advance(5);
    closed.close();
    const next = new TestPublisher(shard);
    next.publish(range(3, 6), { key: 'q' });
    rig.grant(logId, 1);
    await rig.until(() => next.isResolved);
    expect(closed.resolved.size).toBe(0);
    expect(cluster.stored(1, logId)).toEqual(range(0, 6));
    expect(shard.queues.counters()).toMatchObject({ underWay: 0, publishers: 1 });
  });
});
