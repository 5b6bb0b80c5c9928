import { expect, test } from 'vitest';
import { inWorld } from '../../../src/sim/runner.ts';
import { decodeUtf8 } from '../../../src/std/bytes.ts';
import { Rig } from './rig.ts';

const LOG = 7;

function inRig(seed: number, body: (rig: Rig) => Promise<void>): Promise<void> {
  return inWorld(seed, { buggify: false }, async (world) => {
    const rig = new Rig(world);
    await rig.start();
    await body(rig);
    expect(world.failure).toBeUndefined();
  });
}

async function led(
  rig: Rig,
  leader = 1,
  options: Parameters<Rig['create']>[1] = {},
): Promise<void> {
  rig.create(LOG, options);
  rig.grant(LOG, leader);
  await rig.until(() => rig.isLeading(leader, LOG));
}

test('F12: levels: committed and local are answered with the offset, none is not answered when it is taken', async () => {
  await inRig(1, async (rig) => {
    await led(rig);
    const committed = rig.append(1, LOG, 'a', 'committed');
    const local = rig.append(1, LOG, 'b', 'local');
    const none = rig.append(1, LOG, 'c', 'none');
    expect(await rig.result(1, committed)).toBe('ok');
    expect(await rig.result(1, local)).toBe('ok');
    await rig.until(() => [1, 2, 3].every((id) => rig.values(id, LOG).length === 3));
    expect(rig.answer(1, none)).toBeUndefined();
    expect(rig.answer(1, committed)).toMatchObject({ baseOffset: 0, leaderEpoch: 1 });
    expect(rig.answer(1, local)).toMatchObject({ baseOffset: 1, leaderEpoch: 1 });
    for (const id of [1, 2, 3]) expect(rig.values(id, LOG)).toEqual(['a', 'b', 'c']);
  });
});

test('an append that is refused says so at every level, also where there is no such log', async () => {
  await inRig(2, async (rig) => {
    await led(rig);
    for (const level of ['none', 'local', 'committed'] as const) {
      const elsewhere = rig.append(2, LOG, 'x', level);
      const nowhere = rig.append(2, 99, 'x', level);
      expect(await rig.result(2, elsewhere)).toBe('not-leader');
      expect(await rig.result(2, nowhere)).toBe('unknown-log');
    }
  });
});

test('committed waits for every member of the safe set; local does not', async () => {
  await inRig(3, async (rig) => {
    await led(rig);
    rig.world.node('n3').pause();
    const local = rig.append(1, LOG, 'a', 'local');
    const committed = rig.append(1, LOG, 'b', 'committed');
    expect(await rig.result(1, local)).toBe('ok');
    await rig.advance(2_000);
    expect(rig.answer(1, committed)).toBeUndefined();
    rig.world.node('n3').resume();
    expect(await rig.result(1, committed)).toBe('ok');
  });
});

test('what cannot commit is answered as timed out, once, and the outcome stays open', async () => {
  await inRig(4, async (rig) => {
    await led(rig);
    rig.kill(3);
    const late = rig.append(1, LOG, 'a');
    await rig.advance(4_000);
    expect(rig.answer(1, late)).toBeUndefined();
    expect(await rig.result(1, late)).toBe('timed-out');
    await rig.startNode(3);
    await rig.until(() => rig.values(3, LOG).includes('a'));
    expect(rig.answer(1, late)?.['result']).toBe('timed-out');
  });
});

test('what waits for its commit when the leader leads no more may be stored: it is told so', async () => {
  await inRig(8, async (rig) => {
    await led(rig);
    rig.kill(3);
    const append = rig.append(1, LOG, 'a');
    const command = rig.command(1, LOG, 'work');
    await rig.advance(200);
    rig.grant(LOG, 2);
    expect(await rig.result(1, append)).toBe('leader-lost');
    expect(await rig.result(1, command)).toBe('leader-lost');
    await rig.startNode(3);
    await rig.until(() => rig.values(2, LOG).includes('a'));
  });
});

test('with too few replicas in sync acks=all is refused at once, and goes on when one is back', async () => {
  await inRig(5, async (rig) => {
    await led(rig, 1, { minInsync: 2 });
    rig.kill(2);
    rig.kill(3);
    rig.fence(2);
    rig.fence(3);
    await rig.advance(500);
    expect(await rig.result(1, rig.append(1, LOG, 'a'))).toBe('not-enough-replicas');
    await rig.startNode(2);
    let token = rig.append(1, LOG, 'b');
    while ((await rig.result(1, token)) !== 'ok') token = rig.append(1, LOG, 'b');
    expect(rig.values(1, LOG)).toContain('b');
  });
});

test('a node that has lost the leader of a log says so at once, to every level, whatever metadata says yet', async () => {
  await inRig(10, async (rig) => {
    await led(rig);
    await rig.result(1, rig.append(1, LOG, 'a'));
    rig.kill(1);
    const answers = async (): Promise<void> => {
      const sinceMs = rig.world.nowMs;
      for (const level of ['local', 'committed'] as const) {
        expect(await rig.result(2, rig.append(2, LOG, 'b', level))).toBe('not-leader');
      }
      expect(await rig.result(2, rig.command(2, LOG, 'wake'))).toBe('not-leader');
      expect(rig.world.nowMs - sinceMs).toBeLessThan(200);
    };
    // Before anybody has noticed, while nobody leads, and while somebody else does.
    await answers();
    rig.fence(1);
    await rig.advance(50);
    await answers();
    rig.grant(LOG, 3);
    await rig.until(() => rig.isLeading(3, LOG));
    await answers();
  });
});

test('commands: answered when committed; the held ones at the demotion; the forgotten ones as not-leader', async () => {
  await inRig(6, async (rig) => {
    await led(rig);
    const done = rig.command(1, LOG, 'work');
    const held = rig.command(1, LOG, 'hold');
    const forgotten = rig.command(1, LOG, 'forget');
    const impatient = rig.command(1, LOG, 'forget', 1_000);
    expect(await rig.result(1, done)).toBe('ok');
    expect(await rig.result(1, impatient)).toBe('timed-out');
    rig.grant(LOG, 2);
    expect(await rig.result(1, held)).toBe('ok');
    expect(decodeUtf8(rig.answer(1, held)?.['body'] as Uint8Array)).toBe('demoted');
    expect(await rig.result(1, forgotten)).toBe('not-leader');
  });
});

test('who waits for a log to grow is told when it does, and when this node stops leading it', async () => {
  await inRig(7, async (rig) => {
    await led(rig);
    const first = rig.awaitBeyond(1, LOG, 0);
    const second = rig.awaitBeyond(1, LOG, 1);
    await rig.advance(500);
    expect(rig.answer(1, first)).toBeUndefined();
    await rig.result(1, rig.append(1, LOG, 'a'));
    await rig.until(() => rig.answer(1, first) !== undefined);
    expect(rig.answer(1, second)).toBeUndefined();
    rig.grant(LOG, 2);
    await rig.until(() => rig.answer(1, second) !== undefined);
    const atFollower = rig.awaitBeyond(1, LOG, 100);
    await rig.until(() => rig.answer(1, atFollower) !== undefined);
  });
});

test('by time: the first record at or after it, nothing where nothing is as late', async () => {
  await inRig(8, async (rig) => {
    await led(rig);
    for (const [value, timeMs] of [
      ['a', 1_000],
      ['b', 3_000],
      ['c', 2_000],
    ] as const) {
      await rig.result(1, rig.append(1, LOG, value, 'committed', timeMs));
    }
    const find = async (timeMs: number) => {
      const token = rig.atTime(1, LOG, timeMs);
      await rig.result(1, token);
      return rig.answer(1, token);
    };
    expect(await find(0)).toMatchObject({ offset: 0, timestampMs: 1_000 });
    expect(await find(1_001)).toMatchObject({ offset: 1, timestampMs: 3_000 });
    expect(await find(3_001)).toMatchObject({ result: 'ok', offset: -1 });
  });
});

test('F26: a deleted log answers as unknown, and its followers forget it too', async () => {
  await inRig(9, async (rig) => {
    await led(rig);
    await rig.result(1, rig.append(1, LOG, 'a'));
    const waiting = rig.awaitBeyond(1, LOG, 5);
    rig.delete(LOG);
    await rig.until(() => rig.answer(1, waiting) !== undefined);
    expect(await rig.result(1, rig.append(1, LOG, 'b'))).toBe('unknown-log');
    await rig.advance(1_000);
    for (const id of [1, 2, 3]) {
      expect(rig.at(id).store.log(LOG)).toBeUndefined();
      expect(rig.at(id).resigned).toEqual([]);
    }
  });
});
