// Records for one log, from a shard that does not lead it: stored together, once, in order, and whoever asked hears
// where, or why not.
import { expect, test } from 'vitest';
import type { RecordInput } from '../../../src/records/records.ts';
import { encodeUtf8 } from '../../../src/std/bytes.ts';
import type { Rig } from '../../cluster/replica/rig.ts';
import { runs } from '../../setup/runs.ts';
import { inCluster, type QueueCluster, range, type Shard, TestPublisher } from './cluster.ts';

const STREAM = { kind: 'partition' } as const;

function recordsOf(values: readonly string[]): RecordInput[] {
  return values.map((value) => ({
    timestampMs: 5,
    key: encodeUtf8('key'),
    value: encodeUtf8(value),
    headers: [{ name: 'name', value: null }],
  }));
}

/** Appends, and notes what it hears, in order. */
class Appender {
  readonly heard: { readonly values: readonly string[]; result: string; offset: number }[] = [];
  readonly #shard: Shard;
  readonly #timeoutMs: number;
  #asked = 0;

  constructor(shard: Shard, timeoutMs = 60_000) {
    this.#shard = shard;
    this.#timeoutMs = timeoutMs;
  }

  get isAnswered(): boolean {
    return this.heard.length === this.#asked;
  }

  append(logId: number, values: readonly string[]): void {
    this.#asked += 1;
    this.#shard.inTurn(() => {
      let isInside = true;
      const told = { values, result: '', offset: -2 };
      this.#shard.queues.append(logId, recordsOf(values), this.#timeoutMs, (result, offset) => {
        expect([isInside, told.result]).toEqual([false, '']);
        this.heard.push(Object.assign(told, { result, offset }));
      });
      isInside = false;
    });
  }

  async answered(rig: Rig): Promise<string[]> {
    await rig.until(() => this.isAnswered, 120_000);
    return this.heard.map(({ result }) => result);
  }
}

function checkOffsets({ heard }: Appender, stored: readonly string[]): void {
  for (const { values, offset } of heard) {
    expect(stored.slice(offset, offset + values.length)).toEqual(values);
  }
}

test('records of a call are stored together, behind what was published before, and told where', async () => {
  await inCluster(151, async (cluster, rig) => {
    const logId = await cluster.create('s', 1, STREAM);
    const shard = cluster.at(3);
    const publisher = new TestPublisher(shard);
    const appender = new Appender(shard);
    publisher.publish(['a', 'b'], { key: 's' });
    appender.append(logId, ['c', 'd', 'e']);
    publisher.publish(['f'], { key: 's' });
    appender.append(logId, ['g']);
    expect(await appender.answered(rig)).toEqual(['ok', 'ok']);
    await rig.until(() => publisher.isResolved);
    const stored = cluster.stored(1, logId);
    expect([...stored].sort()).toEqual(['a', 'b', 'c', 'd', 'e', 'f', 'g']);
    checkOffsets(appender, stored);
    for (const [ticket, offset] of publisher.offsets) expect(stored[offset]).toBe('abf'[ticket]);
  });
});

test('leaders that change hands, links that break: together, once, in order, at the offsets that are told', async () => {
  for (let seed = 160; seed < 160 + runs(4, 2); seed += 1) {
    await inCluster(seed, async (cluster, rig) => {
      const logId = await cluster.create('s', 1, STREAM);
      const appender = new Appender(cluster.at(3));
      const random = rig.world.workload.fork('moves');
      let leader = 1;
      let count = 0;
      for (let turn = 0; turn < 150; turn += 1) {
        const size = 1 + random.below(4);
        appender.append(logId, range(count, count + size));
        count += size;
        const chance = random.below(12);
        if (chance === 0 && turn < 140) {
          leader = 1 + random.below(3);
          rig.grant(logId, leader);
        }
        if (chance === 1) rig.world.network.resetOne(rig.world.faults, () => true);
        await rig.advance(2);
      }
      expect(new Set(await appender.answered(rig))).toEqual(new Set(['ok']));
      const stored = cluster.stored(leader, logId);
      expect(stored).toEqual(range(0, count));
      checkOffsets(appender, stored);
    });
  }
});

test('what is too large is refused, and one that stands still holds up no other', async () => {
  const limits = { publisherBytesMax: 4_000 };
  const big = 'x'.repeat(1_500);
  await inCluster(
    170,
    async (cluster, rig) => {
      const config = new Map([['max.message.bytes', '2000']]);
      const logId = await cluster.create('s', 1, { ...STREAM, config });
      const other = await cluster.create('other', 0, STREAM);
      const shard = cluster.at(2);
      const refused = new Appender(shard);
      refused.append(logId, [big, big]);
      refused.append(99, ['nowhere']);
      // Exactly as large as a batch may be, and one byte more: that the log says itself.
      const room = 2_000 - 61 - 18;
      for (const size of [room, room + 1]) refused.append(logId, ['y'.repeat(size)]);
      const results = (await refused.answered(rig)).sort();
      expect(results).toEqual(['ok', 'too-large', 'too-large', 'unknown-log']);
      const waiting = new Appender(shard);
      for (let i = 0; i < 5; i += 1) waiting.append(other, [big]);
      const appender = new Appender(shard);
      appender.append(logId, [big]);
      expect(await appender.answered(rig)).toEqual(['ok']);
      expect(waiting.heard.map(({ result }) => result)).toEqual(['throttled', 'throttled']);
      rig.grant(other, 3);
      const waited = await waiting.answered(rig);
      expect(waited).toEqual(['throttled', 'throttled', 'ok', 'ok', 'ok']);
      waiting.append(other, [big]);
      expect((await waiting.answered(rig)).at(-1)).toBe('ok');
      expect(shard.queues.counters()).toMatchObject({ underWay: 0, underWayBytes: 0 });
    },
    limits,
  );
});

test('records without the key that a compacted log needs are refused, and nobody else', async () => {
  await inCluster(171, async (cluster, rig) => {
    const config = new Map([['cleanup.policy', 'compact']]);
    const logId = await cluster.create('s', 1, { ...STREAM, config });
    const shard = cluster.at(2);
    const appender = new Appender(shard);
    const results: [string, number][] = [];
    const keyless = recordsOf(['y', 'z']).map((record, i) =>
      i === 1 ? { ...record, key: null } : record,
    );
    appender.append(logId, ['a']);
    shard.inTurn(() => {
      shard.queues.append(logId, keyless, 60_000, (result, at) => results.push([result, at]));
    });
    appender.append(logId, ['b']);
    expect(await appender.answered(rig)).toEqual(['ok', 'ok']);
    expect(results).toEqual([['invalid', -1]]);
    expect(cluster.stored(1, logId)).toEqual(['a', 'b']);
  });
});

test('a queue takes what is larger than streams do', async () => {
  await inCluster(
    173,
    async (cluster, rig) => {
      const logId = await cluster.create('q', 1);
      const appender = new Appender(cluster.at(2));
      const values = ['small', 'x'.repeat(2_000_000), 'x'.repeat(17_000_000), 'last'];
      for (const value of values) appender.append(logId, [value]);
      expect((await appender.answered(rig)).sort()).toEqual(['ok', 'ok', 'ok', 'too-large']);
      expect(appender.heard.map(({ offset }) => offset).sort()).toEqual([-1, 0, 1, 2]);
    },
    { publisherBytesMax: 64_000_000, logBytesMax: 64_000_000 },
  );
});

test('who has waited long enough hears that nobody knows; what was sent is stored all the same, once', async () => {
  await inCluster(171, async (cluster, rig) => {
    const logId = await cluster.create('s', 1, STREAM);
    const appender = new Appender(cluster.at(3), 500);
    const patient = new Appender(cluster.at(3), 20_000);
    rig.kill(1);
    appender.append(logId, ['late']);
    patient.append(logId, ['in time']);
    await rig.advance(1_000);
    expect(appender.heard.map(({ result }) => result)).toEqual(['timed-out']);
    expect(patient.isAnswered).toBe(false);
    rig.fence(1);
    rig.grant(logId, 2);
    expect(await patient.answered(rig)).toEqual(['ok']);
    expect(cluster.stored(2, logId)).toEqual(['late', 'in time']);
    checkOffsets(patient, ['late', 'in time']);
    expect(appender.heard.length).toBe(1);
  });
});

test('while nobody can lead a log whoever asks hears it at once, and is not taken for too large', async () => {
  await inCluster(
    174,
    async (cluster, rig) => {
      const logId = await cluster.create('s', 1, { ...STREAM, replicas: [1] });
      const appender = new Appender(cluster.at(2));
      appender.append(logId, ['a']);
      await appender.answered(rig);
      rig.kill(1);
      for (let i = 0; i < 12; i += 1) {
        appender.append(logId, [`b${i}`]);
        await rig.advance(1);
      }
      cluster.crash(1);
      appender.append(logId, ['c']);
      await appender.answered(rig);
      const of = (result: string) =>
        appender.heard.filter((each) => each.result === result).flatMap(({ values }) => values);
      // What was on its way nobody knows of; the rest was never sent.
      const sent = of('timed-out');
      expect(sent.length).toBeGreaterThan(0);
      expect(of('not-available').length).toBeGreaterThan(1);
      expect(appender.heard.length).toBe(14);
      await rig.startNode(1);
      rig.grant(logId, 1);
      appender.append(logId, ['d']);
      expect((await appender.answered(rig)).at(-1)).toBe('ok');
      expect(cluster.stored(1, logId)).toEqual(['a', ...sent, 'd']);
    },
    { batchesInFlightMax: 2 },
  );
});

test('a log that is deleted is unknown to whoever waits for it', async () => {
  await inCluster(172, async (cluster: QueueCluster, rig) => {
    const logId = await cluster.create('s', 0, STREAM);
    const shard = cluster.at(2);
    const appender = new Appender(shard);
    appender.append(logId, ['a']);
    await rig.advance(50);
    cluster.remove('s');
    expect(await appender.answered(rig)).toEqual(['unknown-log']);
    // Its place is another's.
    const again = await cluster.create('s', 1, STREAM);
    appender.append(again, ['b']);
    expect((await appender.answered(rig)).at(-1)).toBe('ok');
    expect(shard.queues.counters()).toMatchObject({ underWay: 0, publishers: 1 });
  });
});
