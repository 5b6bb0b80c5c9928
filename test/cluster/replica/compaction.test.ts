// Compaction by key of one log on three nodes: every replica does it for itself, a replica that comes back late gets
// nothing back that was deleted, and what is not asked for does not happen.
import { expect, test } from 'vitest';
import type { Keeping } from '../../../src/cluster/replica/assignment.ts';
import { encodeBatch } from '../../../src/records/records.ts';
import { decodeUtf8, encodeUtf8 } from '../../../src/std/bytes.ts';
import { crc32c } from '../../../src/std/crc32c.ts';
import { heldRecords } from './held-records.ts';
import { inRig, LOG, led, type Rig } from './rig.ts';

const FOREVER = Number.POSITIVE_INFINITY;
const SMALL = {
  settleBytes: 2_048,
  settleAgeMs: 200,
  checkpointMs: 1_000,
  checkpointBytes: 64 * 1024,
  walFileBytesMin: 64 * 1024,
  walFileBytesMax: 64 * 1024,
};

function keeping(rules: Partial<NonNullable<Keeping['compaction']>> = {}): Keeping {
  return {
    limits: { ageMs: FOREVER, bytes: FOREVER, stepBytes: FOREVER },
    segmentBytes: 16 * 1024,
    segmentMs: FOREVER,
    compaction: {
      minDirtyRatio: 0,
      deleteRetentionMs: 60_000,
      minLagMs: 0,
      maxLagMs: FOREVER,
      ...rules,
    },
  };
}

let round = 0;

async function write(rig: Rig, keys: readonly string[], value: string | null): Promise<void> {
  for (const key of keys) {
    const bytes = encodeBatch(
      [{ timestampMs: 1, key: encodeUtf8(key), value: value === null ? null : encodeUtf8(value) }],
      crc32c,
    );
    expect(await rig.result(1, rig.appendBatch(1, LOG, bytes))).toBe('ok');
  }
}

/** So much that all before it is in segments that take no more, and count. */
async function pass(rig: Rig): Promise<void> {
  round += 1;
  await write(
    rig,
    Array.from({ length: 30 }, (_, i) => `filler-${round}-${i}`),
    'x'.repeat(1_000),
  );
  await rig.advance(60_000);
}

/** [key, value] of what replica `id` has, in order. */
function held(rig: Rig, id: number, prefix: string): [string, string | null][] {
  return heldRecords(rig, id)
    .map(({ key, value }): [string, string | null] => [
      decodeUtf8(key!),
      value === null ? null : decodeUtf8(value),
    ])
    .filter(([key]) => key.startsWith(prefix));
}

test('every replica keeps the newest record of a key, and lets a tombstone go after its time', async () => {
  await inRig(
    91,
    async (rig) => {
      rig.keeping = keeping();
      await led(rig);
      await write(rig, ['k1', 'k2', 'k3', 'k1'], 'old');
      await write(rig, ['k1', 'k3'], 'new');
      await write(rig, ['k2'], null);
      await pass(rig);
      for (const id of [1, 2, 3]) {
        expect(held(rig, id, 'k')).toEqual([
          ['k1', 'new'],
          ['k3', 'new'],
          ['k2', null],
        ]);
        expect(rig.at(id).host.compactions.counters.passes).toBeGreaterThan(0);
      }
      await rig.advance(30_000);
      await pass(rig);
      for (const id of [1, 2, 3]) {
        expect(held(rig, id, 'k')).toEqual([
          ['k1', 'new'],
          ['k3', 'new'],
        ]);
        expect(rig.at(id).host.compactions.counters.tombstonesGone).toBe(1);
        expect(rig.at(id).host.hosted(LOG)!.lastPass?.outcome).toBe('done');
      }
      // An idle log that is clean waits for nothing.
      await rig.advance(100_000);
      expect(rig.at(1).host.compactions.waiting).toBe(0);
    },
    SMALL,
  );
});

test('F21: a replica that missed a deletion and its tombstone does not bring the record back', async () => {
  await inRig(
    92,
    async (rig) => {
      rig.keeping = keeping({ deleteRetentionMs: 1_000 });
      await led(rig);
      await write(rig, ['gone', 'stays'], 'old');
      await pass(rig);
      expect(held(rig, 3, 'gone')).toEqual([['gone', 'old']]);
      rig.kill(3);
      rig.logs.get(LOG)!.safeSet = rig.logs.get(LOG)!.safeSet.filter(({ node }) => node !== 3);
      rig.fence(3);
      await write(rig, ['gone'], null);
      for (let i = 0; i < 3; i += 1) await pass(rig);
      for (const id of [1, 2]) expect(held(rig, id, 'gone')).toEqual([]);
      await rig.startNode(3);
      await rig.until(
        () => rig.at(3).store.log(LOG)!.endOffset === rig.at(1).store.log(LOG)!.endOffset,
      );
      for (let i = 0; i < 2; i += 1) await pass(rig);
      expect(held(rig, 3, 'gone')).toEqual([]);
      expect(held(rig, 3, 'stays')).toEqual([['stays', 'old']]);
    },
    SMALL,
  );
});

test('records that are too young, or too few, stay, until they are old', async () => {
  await inRig(
    93,
    async (rig) => {
      rig.keeping = keeping({ minLagMs: 300_000 });
      await led(rig);
      await write(rig, ['k', 'k'], 'v');
      await pass(rig);
      expect(held(rig, 1, 'k').length).toBe(2);
      await rig.advance(400_000);
      expect(held(rig, 1, 'k').length).toBe(1);
      rig.keeping = keeping({ minDirtyRatio: 1, maxLagMs: 900_000 });
      rig.changed();
      await write(rig, ['k', 'k'], 'v');
      await pass(rig);
      expect(held(rig, 1, 'k').length).toBe(3);
      await rig.advance(1_300_000);
      expect(held(rig, 1, 'k').length).toBe(1);
      rig.keeping = { ...keeping(), compaction: undefined };
      rig.changed();
      await write(rig, ['k', 'k'], 'v');
      await pass(rig);
      expect(held(rig, 1, 'k').length).toBe(3);
    },
    SMALL,
  );
});
