import { expect, test } from 'vitest';
import { inRig, LOG, led, type Rig } from './rig.ts';

/** Frames are in the WAL for a short while only: then there are segments and a snapshot. */
const SMALL = {
  walFileBytesMin: 64 * 1024,
  walFileBytesMax: 64 * 1024,
  checkpointBytes: 32 * 1024,
  settleBytes: 4 * 1024,
};

async function write(rig: Rig, leader: number, name: string, count: number, bytes = 1_000) {
  const sent: [string, number][] = [];
  for (let i = 0; i < count; i += 1) {
    const value = `${name}-${i}-`.padEnd(bytes, '.');
    sent.push([value, rig.append(leader, LOG, value)]);
    if (i % 8 === 7) await rig.advance(2);
  }
  const acked: string[] = [];
  for (const [value, token] of sent) {
    if ((await rig.result(leader, token)) === 'ok') acked.push(value);
  }
  return acked;
}

async function checkpointed(rig: Rig, id: number): Promise<void> {
  for (let round = 0; round < 3; round += 1) {
    let isDone = false;
    rig
      .at(id)
      .store.checkpoint()
      .then(
        () => {
          isDone = true;
        },
        () => undefined,
      );
    await rig.until(() => isDone);
    await write(rig, id, `round${round}`, 1);
  }
}

test('a replica whose frames are gone copies segments and a snapshot, then follows; all hold the same', async () => {
  await inRig(
    1,
    async (rig) => {
      await led(rig);
      await write(rig, 1, 'early', 5);
      rig.kill(3);
      rig.fence(3);
      const acked = await write(rig, 1, 'middle', 300);
      expect(acked.length).toBe(300);
      await checkpointed(rig, 1);
      const endAtThree = 6;
      expect(rig.at(1).store.log(LOG)!.firstSeq).toBeGreaterThan(endAtThree + 1);
      await rig.startNode(3);
      await write(rig, 1, 'late', 5);
      await rig.until(() => rig.values(3, LOG).length === rig.values(1, LOG).length);
      expect(rig.values(3, LOG)).toEqual(rig.values(1, LOG));
      expect(rig.at(3).store.log(LOG)!.endOffset).toBe(rig.at(1).store.log(LOG)!.endOffset);
      expect(rig.at(1).host.donations.count).toBe(0);
      // What was copied survives: the replica leads, from its own disk.
      rig.kill(3);
      await rig.startNode(3);
      await rig.until(() => rig.logs.get(LOG)!.safeSet.some((member) => member.node === 3));
      rig.kill(1);
      rig.fence(1);
      rig.grant(LOG, 3);
      await rig.until(() => rig.isLeading(3, LOG));
      expect(rig.values(3, LOG)).toEqual(expect.arrayContaining(acked));
    },
    SMALL,
  );
});

test('the frames a follower needs next go while it stands still: it is told to greet, and catches up', async () => {
  await inRig(
    2,
    async (rig) => {
      await led(rig);
      await write(rig, 1, 'early', 2);
      rig.world.node('n3').pause();
      rig.fence(3);
      // More than a follower may have under way, so that the stream stands in the middle of the log.
      const acked = await write(rig, 1, 'big', 220, 60_000);
      expect(acked.length).toBe(220);
      await checkpointed(rig, 1);
      rig.world.node('n3').resume();
      await write(rig, 1, 'late', 3);
      await rig.until(() => rig.values(3, LOG).length === rig.values(1, LOG).length, 60_000);
      expect(rig.values(3, LOG)).toEqual(rig.values(1, LOG));
    },
    {
      ...SMALL,
      walFileBytesMin: 1024 * 1024,
      walFileBytesMax: 1024 * 1024,
      uncommittedBytesMax: 64 * 1024 * 1024,
    },
  );
});

test('a copy that is cut short by the death of the leader starts again from the next one', async () => {
  await inRig(
    3,
    async (rig) => {
      await led(rig);
      rig.kill(3);
      rig.fence(3);
      const acked = await write(rig, 1, 'middle', 400, 4_000);
      await checkpointed(rig, 1);
      await rig.startNode(3);
      await rig.until(() => rig.at(3).host.hosted(LOG)?.follower?.core.phase === 'catching-up');
      rig.kill(1);
      rig.fence(1);
      rig.grant(LOG, 2);
      await rig.until(() => rig.isLeading(2, LOG));
      await write(rig, 2, 'late', 3);
      await rig.until(() => rig.values(3, LOG).length === rig.values(2, LOG).length);
      expect(rig.values(3, LOG)).toEqual(rig.values(2, LOG));
      expect(rig.values(3, LOG)).toEqual(expect.arrayContaining(acked));
    },
    SMALL,
  );
});

test('a follower without room waits for it and goes on; the leader is not greeted in a circle', async () => {
  await inRig(
    4,
    async (rig) => {
      await led(rig);
      await write(rig, 1, 'early', 2);
      let hellos = 0;
      const { peers } = rig.at(3).host;
      const hello = peers.hello.bind(peers);
      peers.hello = (node, logId, input) => {
        hellos += 1;
        hello(node, logId, input);
      };
      const stored = rig.at(3).store.log(LOG)!;
      const append = stored.appendReplica.bind(stored);
      let isFull = true;
      stored.appendReplica = (header, events, batch, awaited) =>
        isFull ? 'full' : append(header, events, batch, awaited);
      const token = rig.append(1, LOG, 'waits');
      await rig.advance(3_000);
      expect(rig.answer(1, token)).toBeUndefined();
      expect(hellos).toBeLessThan(8);
      isFull = false;
      rig.at(3).store.onRoom();
      expect(await rig.result(1, token)).toBe('ok');
      await rig.until(() => rig.values(3, LOG).at(-1) === 'waits');
      expect(rig.at(3).host.hosted(LOG)?.failure).toBeUndefined();
    },
    SMALL,
  );
});

test('an epoch whose begin finds no room is begun when there is some', async () => {
  await inRig(5, async (rig) => {
    await led(rig);
    await write(rig, 1, 'early', 2);
    const stored = rig.at(2).store.log(LOG)!;
    const append = stored.append.bind(stored);
    let isFull = true;
    stored.append = (...args) => (isFull ? 'full' : append(...args));
    rig.grant(LOG, 2);
    await rig.advance(2_000);
    expect(rig.isLeading(2, LOG)).toBe(false);
    expect(rig.at(2).resigned).toEqual([]);
    isFull = false;
    rig.at(2).store.onRoom();
    await rig.until(() => rig.isLeading(2, LOG));
    expect(await rig.result(2, rig.append(2, LOG, 'goes on'))).toBe('ok');
  });
});
