// What has settled is read into memory that is used again: how many arrays that takes, whoever reads.
import { expect, test } from 'vitest';
import { readFileSlice } from '../../../src/broker/access/file-slices.ts';
import type { StreamStart } from '../../../src/broker/access/queue-api.ts';
import type { FetchSlice } from '../../../src/cluster/ports.ts';
import { BufferPool } from '../../../src/std/buffer-pool.ts';
import { inCluster, TestPublisher, TestReader } from './cluster.ts';

const STORE = { settleBytes: 4_096, checkpointMs: 1_000, scrubIntervalMs: 0 };
const COUNT = 400;
const VALUES = Array.from({ length: COUNT }, (_, i) => `<${i}>`.padEnd(1_000, '.'));
const FIRST: { from: StreamStart } = { from: { kind: 'first' } };

test.each([
  ['a consumer of a queue', 'queue'],
  ['a reader of a stream', 'stream'],
])('%s reads range after range into a few arrays', async (_, kind) => {
  await inCluster(
    421,
    async (cluster, rig) => {
      // A shard that reads for itself.
      rig.isStrict = false;
      rig.kill(1);
      await rig.startNode(1);
      const options = kind === 'queue' ? {} : { kind: 'partition' };
      const logId = await cluster.create('d', 1, { replicas: [1], ...options });
      const publisher = new TestPublisher(cluster.at(1));
      for (let at = 0; at < COUNT; at += 20) {
        publisher.publish(VALUES.slice(at, at + 20), { key: 'd' });
        await rig.until(() => publisher.isResolved);
      }
      const { stored } = rig.at(1).host.hosted(logId)!;
      await rig.until(() => stored.settledOffset >= COUNT);
      await rig.advance(3_000);
      const { memory } = cluster.at(1);
      const idle = memory.idleBytes;
      let [taken, madeBytes] = [0, 0];
      const take = memory.take.bind(memory);
      memory.take = (size) => {
        const { made } = memory;
        const bytes = take(size);
        taken += 1;
        if (memory.made > made) madeBytes += bytes.length;
        return bytes;
      };
      const reader = new TestReader(cluster.at(1));
      reader.acknowledges = true;
      if (kind === 'queue') reader.consume(1, 'd', 20);
      else reader.consume(1, 'd', 20, FIRST);
      await rig.until(() => reader.values.length >= COUNT, 60_000);
      expect(reader.values).toEqual(VALUES);
      await rig.advance(2_000);
      // That it read several times is what the rest stands on.
      expect(taken).toBeGreaterThan(3);
      expect(madeBytes).toBeLessThan(COUNT * 1_200);
      expect(memory.idleBytes).toBe(idle + madeBytes);
    },
    {},
    STORE,
  );
});

test('what is not sound is given back, and nobody gets it', () => {
  const memory = new BufferPool();
  let released = 0;
  const slice = (isSound: boolean) =>
    ({
      ...{ kind: 'file', position: 0, length: 20_000, isSound: () => isSound },
      file: {
        read: (into: Uint8Array, _: number, done: (e: undefined, n: number) => void) =>
          done(undefined, into.length),
      },
    }) as unknown as Extract<FetchSlice, { kind: 'file' }>;
  const got: (Uint8Array | undefined)[] = [];
  const read = (isSound: boolean) =>
    readFileSlice(
      slice(isSound),
      memory,
      () => {
        released += 1;
      },
      (bytes) => got.push(bytes),
    );
  read(false);
  expect([got[0], released, memory.idleBytes]).toEqual([undefined, 1, 32_768]);
  read(true);
  expect([got[1]?.length, released, memory.idleBytes, memory.made]).toEqual([20_000, 2, 0, 1]);
});
