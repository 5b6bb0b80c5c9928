// Retention and DeleteRecords of one log on three nodes: the leader decides, every replica follows, the start never
// goes back, and nothing goes before the frame that says so is committed.
import { expect, test } from 'vitest';
import type { Keeping } from '../../../src/cluster/replica/assignment.ts';
import { inRig, LOG, led, type Rig } from './rig.ts';

const FOREVER = Number.POSITIVE_INFINITY;
const SMALL = { settleBytes: 4_096, settleAgeMs: 200, segmentBytesMax: 64 * 1024 };

function keeping(limits: Partial<Keeping['limits']>): Keeping {
  return {
    limits: { ageMs: FOREVER, bytes: FOREVER, stepBytes: FOREVER, ...limits },
    segmentBytes: 64 * 1024,
    segmentMs: FOREVER,
  };
}

async function write(rig: Rig, count: number, size = 10, leader = 1): Promise<void> {
  for (let i = 0; i < count; i += 1) {
    const token = rig.append(leader, LOG, 'x'.repeat(size));
    expect(await rig.result(leader, token)).toBe('ok');
  }
}

function starts(rig: Rig): number[] {
  return [...rig.nodes.values()].map(({ store }) => store.log(LOG)!.startOffset);
}

test('records go when they are too old, on every replica, also those of a log that is idle', async () => {
  await inRig(81, async (rig) => {
    rig.keeping = keeping({ ageMs: 60_000 });
    await led(rig);
    await write(rig, 5);
    await rig.advance(30_000);
    await write(rig, 5);
    await rig.advance(29_000);
    expect(starts(rig)).toEqual([0, 0, 0]);
    await rig.until(() => starts(rig).every((start) => start === 5));
    expect(await rig.result(1, rig.fetch(1, LOG, 4))).toBe('offset-out-of-range');
    expect(await rig.result(1, rig.fetch(1, LOG, 5))).toBe('ok');
    await rig.until(() => starts(rig).every((start) => start === 10), 60_000);
    // Nothing is left to lose, and nothing waits for a time any more.
    const frames = rig.at(1).store.log(LOG)!.endSeq;
    await rig.advance(200_000);
    expect(rig.at(1).store.log(LOG)!.endSeq).toBe(frames);
  });
});

test('records go when there are too many bytes, and with them segments', async () => {
  await inRig(
    82,
    async (rig) => {
      rig.keeping = keeping({ bytes: 400_000 });
      await led(rig);
      await write(rig, 100, 20_000);
      await rig.until(() => starts(rig).every((start) => start >= 70));
      await rig.advance(5_000);
      const kept = 100 - starts(rig)[0]!;
      expect(kept * 20_000).toBeGreaterThanOrEqual(400_000 - 20_000);
      for (const { store } of rig.nodes.values()) {
        expect(store.log(LOG)!.segmentBytes).toBeLessThan(800_000);
        expect(store.counters.segmentsRemoved).toBeGreaterThan(15);
        expect(store.counters.segmentBytesRemoved).toBeGreaterThan(1_000_000);
      }
    },
    SMALL,
  );
});

test('limits that are changed count from then on', async () => {
  await inRig(83, async (rig) => {
    rig.keeping = keeping({});
    await led(rig);
    await write(rig, 5);
    await rig.advance(100_000);
    expect(starts(rig)).toEqual([0, 0, 0]);
    rig.keeping = keeping({ ageMs: 50_000 });
    rig.changed();
    await rig.until(() => starts(rig).every((start) => start === 5));
  });
});

test('DeleteRecords is answered with the start when it is committed, and asked twice changes nothing', async () => {
  await inRig(84, async (rig) => {
    await led(rig);
    await write(rig, 10);
    rig.world.node('n3').pause();
    const token = rig.trim(1, LOG, 4);
    await rig.advance(300);
    // Not on every member of the set yet: nothing is gone, nobody is told.
    expect(rig.answer(1, token)).toBeUndefined();
    expect(rig.at(1).store.log(LOG)!.startOffset).toBe(0);
    expect(await rig.result(1, rig.fetch(1, LOG, 0))).toBe('ok');
    rig.world.node('n3').resume();
    expect(await rig.result(1, token)).toBe('ok');
    expect(rig.answer(1, token)).toMatchObject({ op: 'located', offset: 4 });
    await rig.until(() => starts(rig).every((start) => start === 4));
    const frames = rig.at(1).store.log(LOG)!.endSeq;
    for (const offset of [4, 2, 0]) {
      const again = rig.trim(1, LOG, offset);
      expect(await rig.result(1, again)).toBe('ok');
      expect(rig.answer(1, again)).toMatchObject({ offset: 4 });
    }
    expect(rig.at(1).store.log(LOG)!.endSeq).toBe(frames);
    const all = rig.trim(1, LOG, -1);
    expect(await rig.result(1, all)).toBe('ok');
    expect(rig.answer(1, all)).toMatchObject({ offset: 10 });
    const earliest = rig.earliest(1, LOG);
    expect(await rig.result(1, earliest)).toBe('ok');
    expect(rig.answer(1, earliest)).toMatchObject({ offset: 10 });
  });
});

test('DeleteRecords beyond what is committed, of a follower or in an old epoch is refused', async () => {
  await inRig(85, async (rig) => {
    await led(rig);
    await write(rig, 3);
    expect(await rig.result(1, rig.trim(1, LOG, 4))).toBe('offset-out-of-range');
    expect(await rig.result(2, rig.trim(2, LOG, 1))).toBe('not-leader');
    expect(await rig.result(1, rig.trim(1, LOG, 1, 99))).toBe('unknown-epoch');
    expect(await rig.result(1, rig.trim(1, 12_345, 1))).toBe('unknown-log');
    expect(starts(rig)).toEqual([0, 0, 0]);
  });
});

test('F21: a start that was never committed is undone with its leader: the next one has all records', async () => {
  await inRig(86, async (rig) => {
    await led(rig);
    await write(rig, 10);
    // The frame never leaves the leader's host, and so it dies there with it.
    const hostOf = (node: string) => rig.world.node(node).host;
    const cuts = ['n2', 'n3'].map((to) => rig.world.network.block(hostOf('n1'), hostOf(to)));
    const frames = rig.at(1).store.log(LOG)!.endSeq;
    const token = rig.trim(1, LOG, 8);
    await rig.advance(200);
    expect(rig.answer(1, token)).toBeUndefined();
    expect(rig.at(1).store.log(LOG)!.endSeq).toBe(frames + 1);
    rig.kill(1);
    for (const heal of cuts) heal();
    rig.fence(1);
    rig.grant(LOG, 2);
    await rig.until(() => rig.isLeading(2, LOG));
    expect(rig.at(2).store.log(LOG)!.startOffset).toBe(0);
    await rig.startNode(1);
    await write(rig, 3, 10, 2);
    await rig.until(() => rig.values(1, LOG).length === rig.values(2, LOG).length);
    expect(starts(rig)).toEqual([0, 0, 0]);
    expect(rig.values(2, LOG)).toHaveLength(13);
    expect(await rig.result(2, rig.fetch(2, LOG, 0))).toBe('ok');
    const read = rig.at(1).store.log(LOG)!.read(0, 1, 10);
    expect(['memory', 'file']).toContain(read.kind);
    if ('release' in read) read.release();
  });
});

test('the start lasts through kill -9 of all, and through a new leader', async () => {
  await inRig(
    87,
    async (rig) => {
      rig.keeping = keeping({ bytes: 200_000 });
      await led(rig);
      await write(rig, 60, 20_000);
      await rig.until(() => starts(rig).every((start) => start > 30));
      await rig.advance(1_000);
      const [before] = starts(rig);
      for (const id of [1, 2, 3]) rig.kill(id);
      for (const id of [1, 2, 3]) await rig.startNode(id);
      rig.grant(LOG, 2);
      await rig.until(() => rig.isLeading(2, LOG));
      await rig.until(() => starts(rig).every((start) => start >= before!));
      const earliest = rig.earliest(2, LOG);
      expect(await rig.result(2, earliest)).toBe('ok');
      expect(rig.answer(2, earliest)!['offset']).toBeGreaterThanOrEqual(before!);
    },
    SMALL,
  );
});

test('a replica that is behind the start copies from there, also where that lies inside a segment', async () => {
  await inRig(
    88,
    async (rig) => {
      await led(rig);
      await write(rig, 2);
      rig.kill(3);
      rig.fence(3);
      await write(rig, 60, 5_000);
      expect(await rig.result(1, rig.trim(1, LOG, 31))).toBe('ok');
      for (let round = 0; round < 12; round += 1) {
        let isDone = false;
        rig
          .at(1)
          .store.checkpoint()
          .then(
            () => {
              isDone = true;
            },
            () => undefined,
          );
        await rig.until(() => isDone);
        await write(rig, 1);
      }
      // Frames from where the third ended, and of the start, are gone.
      expect(rig.at(1).store.log(LOG)!.firstSeq).toBeGreaterThan(40);
      await rig.startNode(3);
      await rig.until(() => rig.values(3, LOG).length === rig.values(1, LOG).length);
      expect(starts(rig)).toEqual([31, 31, 31]);
      const stored = rig.at(3).store.log(LOG)!;
      const read = stored.read(31, 1, stored.endOffset);
      expect(read).toMatchObject({ baseOffset: 31 });
      if ('release' in read) read.release();
    },
    { ...SMALL, walFileBytesMin: 64 * 1024, walFileBytesMax: 64 * 1024, checkpointMs: 3_600_000 },
  );
});

test('an idle log whose nodes are all killed now and then still grows old, and loses nothing before its time', async () => {
  await inRig(90, async (rig) => {
    rig.keeping = keeping({ ageMs: 60_000 });
    await led(rig);
    await write(rig, 5);
    // Each life is shorter than the age by far, and nobody knows how long the nodes were down.
    for (let life = 0; life < 5; life += 1) {
      await rig.advance(11_000);
      expect(starts(rig), `life ${life}`).toEqual([0, 0, 0]);
      for (const id of [1, 2, 3]) rig.kill(id);
      await rig.advance(40_000);
      for (const id of [1, 2, 3]) await rig.startNode(id);
      rig.grant(LOG, 1);
      await rig.until(() => rig.isLeading(1, LOG));
    }
    await rig.until(() => starts(rig).every((start) => start === 5), 5 * 4_000 + 11_000);
    // Nothing is left to lose: no more frames.
    await rig.advance(2_000);
    const frames = rig.at(1).store.log(LOG)!.endSeq;
    await rig.advance(100_000);
    expect(rig.at(1).store.log(LOG)!.endSeq).toBe(frames);
  });
});

test.each([
  ['none without a limit of age', { bytes: 1 }, 600_000, 0],
  ['every ten minutes for a week', { ageMs: 7 * 86_400_000 }, 3_700_000, 6],
  ['sixteen times in a short age', { ageMs: 8 * 60_000 }, 239_000, 7],
] as const)('notes of time in an idle log: %s', async (_, limits, forMs, frames) => {
  await inRig(91, async (rig) => {
    rig.keeping = keeping(limits);
    await led(rig);
    await write(rig, 1);
    await rig.advance(1_000);
    const { endSeq } = rig.at(1).store.log(LOG)!;
    await rig.advance(forMs);
    expect(rig.at(1).store.log(LOG)!.endSeq - endSeq).toBe(frames);
  });
});

test('F22: a new leader whose clock is days ahead takes nothing away before its time', async () => {
  await inRig(89, async (rig) => {
    rig.keeping = keeping({ ageMs: 60_000 });
    await led(rig);
    await write(rig, 5);
    await rig.advance(20_000);
    rig.world.node('n2').clock.jumpWall(5 * 86_400_000);
    rig.kill(1);
    rig.fence(1);
    rig.grant(LOG, 2);
    await rig.until(() => rig.isLeading(2, LOG));
    await rig.advance(30_000);
    expect(starts(rig)).toEqual([0, 0]);
    await rig.until(() => starts(rig).every((start) => start === 5), 15_000);
  });
});
