// Settled messages that rot between two scrubs: clients of AMQP and RocketMQ check nothing themselves, so none of them
// may be given what was not stored. They wait until another replica has made it good; where none can, they are told.
import { expect, test } from 'vitest';
import type { StreamStart } from '../../../src/broker/access/queue-api.ts';
import { decodeUtf8 } from '../../../src/std/bytes.ts';
import type { Rig } from '../../cluster/replica/rig.ts';
import { inCluster, type QueueCluster, TestPublisher, TestReader, TestTaker } from './cluster.ts';

const STORE = {
  walFileBytesMin: 1 << 20,
  settleBytes: 4_096,
  segmentBytesMax: 16_384,
  checkpointMs: 1_000,
  scrubIntervalMs: 0,
};
const VALUES = Array.from({ length: 60 }, (_, i) => `<${i}>`.padEnd(1_000, '.'));
const ROTTEN = 20;
const FIRST: { from: StreamStart } = { from: { kind: 'first' } };

/** A destination whose messages have settled everywhere. */
async function filled(
  cluster: QueueCluster,
  rig: Rig,
  kind: 'queue' | 'stream',
  replicas: readonly number[],
): Promise<number> {
  const options = kind === 'queue' ? {} : { kind: 'partition' };
  const logId = await cluster.create('d', 1, { replicas, ...options });
  const publisher = new TestPublisher(cluster.at(1));
  for (const value of VALUES) {
    publisher.publish([value], { key: 'd' });
    await rig.until(() => publisher.isResolved);
  }
  for (const id of replicas) {
    const { stored } = rig.at(id).host.hosted(logId)!;
    await rig.until(() => stored.settledOffset > VALUES.length - 10);
  }
  await rig.advance(3_000);
  return logId;
}

/** One bit of one value, on the disk and in the page cache. */
function flip(rig: Rig, id: number, value: string): void {
  const { device } = rig.world.node(`n${id}`);
  for (const { path, inode } of device.tree.files()) {
    if (!path.endsWith('.seg')) continue;
    const bytes = new Uint8Array(inode.durable.size);
    inode.durable.read(bytes, 0);
    const at = Buffer.from(bytes).indexOf(value.slice(0, 4));
    if (at < 0) continue;
    inode.durable.flipBit(at + 10, 0);
    inode.cached.flipBit(at + 10, 0);
    return;
  }
  throw new Error(`${value} has not settled on node ${id}`);
}

/** Everything that comes within a while of what a client of that shard gets; by that way of reading. */
const WAYS: Record<
  string,
  (
    cluster: QueueCluster,
    rig: Rig,
    logId: number,
    id: number,
  ) => { readonly values: () => readonly string[]; readonly told: () => readonly string[] }
> = {
  'a consumer of a queue': (cluster, _rig, _logId, id) => {
    const reader = new TestReader(cluster.at(id));
    reader.acknowledges = true;
    reader.consume(1, 'd', 1_000);
    return { values: () => reader.values, told: () => reader.told };
  },
  'a reader of a stream': (cluster, _rig, _logId, id) => {
    const reader = new TestReader(cluster.at(id));
    reader.acknowledges = true;
    reader.consume(1, 'd', 1_000, FIRST);
    return { values: () => reader.values, told: () => reader.told };
  },
  'receives of a group': (cluster, rig, logId, id) => {
    const values: string[] = [];
    const told: string[] = [];
    const { streams } = cluster.at(id);
    const wish = { group: 'g', logIds: [logId], messagesMax: 8, leaseMs: 60_000, waitMs: 500 };
    const receive = () => {
      streams.receive({ ...wish, bytesMax: 1_000_000 }, (result, messages) => {
        told.push(result);
        values.push(...messages.map(({ value }) => decodeUtf8(value!)));
        rig.at(id).env.timers.at(rig.at(id).env.clock.monotonicMs() + 100, receive);
      });
    };
    cluster.at(id).inTurn(receive);
    return { values: () => values, told: () => told };
  },
};

const CASES = Object.keys(WAYS).flatMap((way) =>
  [1, 2].flatMap((id) => [true, false].map((isStrict) => [way, id, isStrict] as const)),
);

test.each(CASES)('%s on node %i gets what was stored (strict: %s)', async (way, id, isStrict) => {
  await inCluster(
    411,
    async (cluster, rig) => {
      if (!isStrict) {
        // A shard that reads for itself: what it decodes has gone through nobody's hands.
        rig.isStrict = false;
        rig.kill(1);
        await rig.startNode(1);
      }
      const kind = way === 'a consumer of a queue' ? 'queue' : 'stream';
      const logId = await filled(cluster, rig, kind, [1, 2, 3]);
      flip(rig, 1, VALUES[ROTTEN]!);
      const { values } = WAYS[way]!(cluster, rig, logId, id);
      await rig.until(() => values().length >= VALUES.length, 60_000);
      expect(new Set(values())).toEqual(new Set(VALUES));
      const { counters } = rig.at(1).host.config.store;
      expect(counters).toMatchObject({ damagedSegments: 0, segmentsRepaired: 1 });
    },
    {},
    STORE,
  );
});

test.each(Object.keys(WAYS))('%s gets nothing wrong where no other replica is', async (way) => {
  await inCluster(
    412,
    async (cluster, rig) => {
      const kind = way === 'a consumer of a queue' ? 'queue' : 'stream';
      const logId = await filled(cluster, rig, kind, [1]);
      flip(rig, 1, VALUES[ROTTEN]!);
      const { values, told } = WAYS[way]!(cluster, rig, logId, 2);
      await rig.advance(30_000);
      expect(values().length).toBeGreaterThan(0);
      expect(values().every((value) => VALUES.includes(value))).toBe(true);
      expect(values()).not.toContain(VALUES[ROTTEN]);
      if (way === 'receives of a group') expect(told()).toContain('storage-error');
      expect(rig.at(1).host.config.store.counters.damagedSegments).toBe(1);
    },
    {},
    STORE,
  );
});

test('a receive of what cannot be repaired says so', async () => {
  await inCluster(
    413,
    async (cluster, rig) => {
      const logId = await filled(cluster, rig, 'queue', [1]);
      flip(rig, 1, VALUES[0]!);
      const taker = new TestTaker(cluster);
      expect(await taker.take(cluster.at(2), logId, 5)).toBe('storage-error');
      expect(taker.got).toEqual([]);
    },
    {},
    STORE,
  );
});
