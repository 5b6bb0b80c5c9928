// Replicas of a log change under writes: new ones copy it, those that leave delete what they had, and may come back.
import { expect, test } from 'vitest';
import { inWorld } from '../../../src/sim/runner.ts';
import { LOG, led, Rig, type RigLog } from './rig.ts';

const SMALL = {
  walFileBytesMin: 64 * 1024,
  walFileBytesMax: 64 * 1024,
  checkpointBytes: 32 * 1024,
  settleBytes: 4 * 1024,
};

function inFour(seed: number, body: (rig: Rig) => Promise<void>): Promise<void> {
  return inWorld(seed, { buggify: false }, async (world) => {
    const rig = new Rig(world, 4, SMALL);
    await rig.start();
    await body(rig);
    if (world.failure !== undefined) throw new Error(world.failure.message);
  });
}

async function write(rig: Rig, leader: number, name: string, count: number): Promise<string[]> {
  const sent: [string, number][] = [];
  for (let i = 0; i < count; i += 1) {
    const value = `${name}-${i}-`.padEnd(1_000, '.');
    sent.push([value, rig.append(leader, LOG, value)]);
    if (i % 8 === 7) await rig.advance(2);
  }
  for (const [, token] of sent) expect(await rig.result(leader, token)).toBe('ok');
  return sent.map(([value]) => value);
}

async function checkpointed(rig: Rig, id: number): Promise<void> {
  for (let round = 0; round < 3; round += 1) {
    const done = { is: false };
    const finish = () => {
      done.is = true;
    };
    rig.at(id).store.checkpoint().then(finish, finish);
    await rig.until(() => done.is);
    await write(rig, id, `round${round}`, 1);
  }
}

const logOf = (rig: Rig): RigLog => rig.logs.get(LOG)!;
const isOver = (rig: Rig) => (logOf(rig).removing ?? []).length === 0;
const membersOf = (rig: Rig) => logOf(rig).safeSet.map(({ node }) => node);
/** Frames that the store of a node has of the log. */
const endOn = (rig: Rig, id: number) => rig.at(id).store.log(LOG)?.endSeq ?? 0;

test.each(['all', 'quorum'] as const)(
  'one replica takes the place of another, mode %s',
  async (mode) => {
    await inFour(11, async (rig) => {
      await led(rig, 1, { replicas: [1, 2, 3], mode, minInsync: 2 });
      const before = await write(rig, 1, 'before', 120);
      expect(endOn(rig, 4)).toBe(0);
      rig.reassign(LOG, [1, 2, 4]);
      const during = await write(rig, 1, 'during', 40);
      await rig.until(() => isOver(rig));
      expect(membersOf(rig).sort()).toEqual([1, 2, 4]);
      await rig.until(() => endOn(rig, 3) === 0);
      expect(rig.at(3).host.hosted(LOG)).toBeUndefined();
      const after = await write(rig, 1, 'after', 5);
      await rig.until(() => rig.values(4, LOG).length === rig.values(1, LOG).length);
      expect(rig.values(4, LOG)).toEqual([...before, ...during, ...after]);
      // What is left there is not taken for a replica after a restart either.
      rig.kill(3);
      await rig.startNode(3);
      await rig.advance(500);
      expect(rig.at(3).host.hosted(LOG)).toBeUndefined();
      expect(endOn(rig, 3)).toBe(0);
    });
  },
);

test('a leader that is to leave goes on until another one leads, then deletes what it has', async () => {
  await inFour(12, async (rig) => {
    await led(rig, 1, { replicas: [1, 2, 3] });
    const before = await write(rig, 1, 'before', 30);
    rig.reassign(LOG, [2, 3, 4]);
    await rig.until(() => membersOf(rig).includes(4));
    expect(rig.isLeading(1, LOG)).toBe(true);
    expect(endOn(rig, 1)).toBeGreaterThan(0);
    rig.grant(LOG, 2);
    await rig.until(() => isOver(rig) && endOn(rig, 1) === 0);
    const after = await write(rig, 2, 'after', 5);
    await rig.until(() => rig.values(4, LOG).length === before.length + after.length);
    expect(rig.values(4, LOG)).toEqual([...before, ...after]);
  });
});

test('who left and comes back copies everything anew, and nothing that it had counts', async () => {
  await inFour(13, async (rig) => {
    await led(rig, 1, { replicas: [1, 2, 3] });
    const first = await write(rig, 1, 'first', 60);
    rig.reassign(LOG, [1, 2, 4]);
    await rig.until(() => isOver(rig));
    rig.reassign(LOG, [1, 2, 3]);
    const second = await write(rig, 1, 'second', 20);
    await rig.until(() => isOver(rig));
    await rig.until(() => endOn(rig, 4) === 0 && endOn(rig, 3) === endOn(rig, 1));
    expect(rig.at(1).host.hosted(LOG)!.leader!.alarm).toBeUndefined();
    await rig.until(() => rig.values(3, LOG).length === first.length + second.length);
    expect(rig.values(3, LOG)).toEqual([...first, ...second]);
  });
});

test('a replica that died while it left finds that it left, and deletes what it has', async () => {
  await inFour(14, async (rig) => {
    await led(rig, 1, { replicas: [1, 2, 3] });
    await write(rig, 1, 'a', 60);
    rig.kill(3);
    rig.fence(3);
    rig.grant(LOG, 1);
    rig.reassign(LOG, [1, 2, 4]);
    await write(rig, 1, 'b', 10);
    await rig.until(() => isOver(rig));
    await rig.startNode(3);
    expect(endOn(rig, 3)).toBeGreaterThan(0);
    await rig.until(() => endOn(rig, 3) === 0);
  });
});

test('what a new replica copies takes the time that is set, and writes go on meanwhile', async () => {
  await inFour(15, async (rig) => {
    await led(rig, 1, { replicas: [1, 2, 3] });
    await write(rig, 1, 'before', 300);
    await checkpointed(rig, 1);
    const bytesPerSecond = 100_000;
    rig.copyRate = () => bytesPerSecond;
    const beganMs = rig.world.nowMs;
    rig.reassign(LOG, [1, 2, 4]);
    await rig.until(() => rig.at(1).host.donations.count === 1);
    const writtenMs = rig.world.nowMs;
    await write(rig, 1, 'during', 8);
    expect(rig.world.nowMs - writtenMs).toBeLessThan(500);
    await rig.until(() => isOver(rig), 60_000);
    // Virtual time: some 300 KB at 100 KB a second.
    expect(rig.world.nowMs - beganMs).toBeGreaterThan(2_000);
  });
});
