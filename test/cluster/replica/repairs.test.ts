// Settled segments that rot: the scrub of their shard finds them, another replica makes them good, and the log loses
// neither its place in the set nor anything that was acknowledged.
import { expect, test } from 'vitest';
import { inRig, LOG, led, type Rig } from './rig.ts';

const STORE = {
  walFileBytesMin: 1 << 20,
  settleBytes: 4_096,
  segmentBytesMax: 16_384,
  checkpointMs: 1_000,
  scrubIntervalMs: 4_000,
};
const RECORDS = 60;

const isSegment = (path: string) => path.endsWith('.seg');

async function filled(rig: Rig): Promise<void> {
  for (let i = 0; i < RECORDS; i += 1) {
    expect(await rig.result(1, rig.append(1, LOG, `${i} `.repeat(400)))).toBe('ok');
  }
  for (const node of rig.nodes.values()) {
    const stored = node.host.hosted(LOG)!.stored;
    await rig.until(() => stored.settledOffset > RECORDS - 10);
  }
}

const countersOf = (rig: Rig, id: number) => rig.at(id).host.config.store.counters;

/** Until something of a segment is found to have changed. */
async function rotten(rig: Rig, id: number): Promise<void> {
  const { device } = rig.world.node(`n${id}`);
  // What is still on its way to the device would hide what rots there.
  await rig.advance(3_000);
  for (let i = 0; i < 12; i += 1) device.rot(isSegment);
  const stored = rig.at(id).host.hosted(LOG)!.stored;
  await rig.until(() => stored.damagedSegments > 0);
}

test.each([
  ['a follower', 2],
  ['the leader', 1],
])('%s replaces what rots in its segments from another replica', async (_who, id) => {
  await inRig(
    91,
    async (rig) => {
      await led(rig);
      await filled(rig);
      const set = rig.logs.get(LOG)!.safeSet;
      await rotten(rig, id);
      const { stored } = rig.at(id).host.hosted(LOG)!;
      await rig.until(() => stored.damagedSegments === 0);
      expect(countersOf(rig, id).segmentsRepaired).toBeGreaterThan(0);
      expect(countersOf(rig, id).damagedSegments).toBe(0);
      expect(rig.at(id).host.hosted(LOG)!.failure).toBeUndefined();
      expect(rig.logs.get(LOG)!.safeSet).toEqual(set);
      // A whole pass later nothing is left to find, and everything can be read.
      const passes = countersOf(rig, id).scrubPasses;
      await rig.until(() => countersOf(rig, id).scrubPasses > passes + 1);
      expect(countersOf(rig, id).damagedSegments).toBe(0);
      for (let offset = 0; offset < RECORDS; ) {
        const read = stored.read(offset, 1, stored.endOffset);
        if (read.kind !== 'memory' && read.kind !== 'file')
          throw new Error(`${offset} ${read.kind}`);
        offset = read.nextOffset;
        read.release();
      }
      expect(await rig.result(1, rig.append(1, LOG, 'after'))).toBe('ok');
    },
    STORE,
  );
});

test('a log with one replica says that nobody can repair it, and goes on with the rest', async () => {
  await inRig(
    92,
    async (rig) => {
      await led(rig, 1, { replicas: [1] });
      for (let i = 0; i < RECORDS; i += 1) {
        expect(await rig.result(1, rig.append(1, LOG, `${i} `.repeat(400)))).toBe('ok');
      }
      await rotten(rig, 1);
      const { stored } = rig.at(1).host.hosted(LOG)!;
      await rig.advance(10_000);
      expect(stored.damagedSegments).toBeGreaterThan(0);
      const lines = rig.world.log
        .tail(2_000)
        .filter((line) => line.includes('no other replica of it'));
      expect(lines.length).toBeGreaterThan(1);
      const refused = [];
      for (let offset = 0; offset < RECORDS; offset += 1) {
        const result = await rig.result(1, rig.fetch(1, LOG, offset));
        if (result !== 'ok') refused.push(result);
      }
      expect(refused.length).toBeGreaterThan(0);
      expect(refused.length).toBeLessThan(RECORDS);
      expect(new Set(refused)).toEqual(new Set(['storage-error']));
      expect(await rig.result(1, rig.append(1, LOG, 'after'))).toBe('ok');
    },
    STORE,
  );
});

test("a log that nobody can repair is in no other log's way", async () => {
  const OTHER = LOG + 1;
  await inRig(
    93,
    async (rig) => {
      await led(rig, 1, { replicas: [1] });
      for (let i = 0; i < RECORDS; i += 1) {
        expect(await rig.result(1, rig.append(1, LOG, `${i} `.repeat(400)))).toBe('ok');
      }
      await rotten(rig, 1);
      // Until it is tried once a minute.
      await rig.advance(100_000);
      const before = new Set(
        rig.world
          .node('n1')
          .device.tree.files()
          .map(({ path }) => path),
      );
      rig.create(OTHER);
      rig.grant(OTHER, 1);
      await rig.until(() => rig.isLeading(1, OTHER));
      for (let i = 0; i < RECORDS; i += 1) {
        expect(await rig.result(1, rig.append(1, OTHER, `${i} `.repeat(400)))).toBe('ok');
      }
      await rig.advance(3_000);
      const isOther = (path: string) => isSegment(path) && !before.has(path);
      for (let i = 0; i < 12; i += 1) rig.world.node('n1').device.rot(isOther);
      const { stored } = rig.at(1).host.hosted(OTHER)!;
      await rig.until(() => stored.damagedSegments > 0);
      await rig.until(() => stored.damagedSegments === 0, 5_000);
      expect(rig.at(1).host.hosted(LOG)!.stored.damagedSegments).toBeGreaterThan(0);
    },
    STORE,
  );
});

test('a replica lends only what is of the history that the borrower has', async () => {
  await inRig(
    94,
    async (rig) => {
      await led(rig);
      await filled(rig);
      const { epoch } = rig.logs.get(LOG)!;
      const asked = async (from: number, of: number) => {
        const { peers } = rig.at(1).host;
        let heard: unknown;
        peers
          .lend(from, { logId: LOG, epoch: of, fromOffset: 0, toOffset: 10 })
          .then(({ totalBytes }) => {
            heard = totalBytes > 0 ? 'lent' : 'nothing';
          })
          .catch((error: Error) => {
            heard = error.message;
          });
        await rig.until(() => heard !== undefined);
        return heard;
      };
      expect(await asked(2, epoch)).toBe('lent');
      expect(await asked(2, epoch - 1)).toMatch(/another history/);
      expect(await asked(2, epoch + 1)).toMatch(/another history/);
      // A leader that nobody has compared it with yet.
      rig
        .at(2)
        .host.hosted(LOG)!
        .fenced({ epoch: epoch + 1, leader: 3, unclean: true });
      expect(await asked(2, epoch)).toMatch(/another history/);
      expect(await asked(2, epoch + 1)).toMatch(/another history/);
      rig.at(3).host.hosted(LOG)!.quarantine('a test');
      expect(await asked(3, epoch)).toMatch(/another history/);
    },
    STORE,
  );
});

test('what was copied from a history that is over is not taken', async () => {
  await inRig(
    95,
    async (rig) => {
      await led(rig);
      await filled(rig);
      const hosted = rig.at(2).host.hosted(LOG)!;
      const { peers } = rig.at(2).host;
      // As if the election came while the batches were on their way.
      const { pullChunk } = Object.getPrototypeOf(peers) as typeof peers;
      let copies = 0;
      peers.pullChunk = async (...input) => {
        copies += 1;
        hosted.fenced({ epoch: rig.logs.get(LOG)!.epoch + 1, leader: 3, unclean: false });
        return pullChunk.apply(peers, input);
      };
      await rotten(rig, 2);
      await rig.until(() => copies > 1);
      await rig.advance(2_000);
      expect(countersOf(rig, 2).segmentsRepaired).toBe(0);
    },
    STORE,
  );
});
