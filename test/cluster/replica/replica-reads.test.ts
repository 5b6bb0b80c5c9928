// Reading from a replica that does not lead: what it knows as committed, to whoever says that a replica will do.
import { expect, test } from 'vitest';
import { inRig, LOG, led, type Rig } from './rig.ts';

/** Result and high watermark of a fetch. */
async function fetched(rig: Rig, id: number, offset: number, mayBeReplica: boolean) {
  const token = rig.fetch(id, LOG, offset, mayBeReplica);
  const result = await rig.result(id, token);
  return [result, rig.answer(id, token)?.['committedOffset']];
}

test('a follower gives what it knows as committed, and nothing to who wants the leader', async () => {
  await inRig(71, async (rig) => {
    await led(rig);
    for (let i = 0; i < 4; i += 1) await rig.result(1, rig.append(1, LOG, `v${i}`));
    await rig.advance(200);
    expect(await fetched(rig, 2, 0, true)).toEqual(['ok', 4]);
    expect(await fetched(rig, 2, 0, false)).toEqual(['not-leader', -1]);
    expect(await fetched(rig, 2, 4, true)).toEqual(['ok', 4]);
    expect(await fetched(rig, 2, 5, true)).toEqual(['offset-out-of-range', 4]);
    // Frames that not everybody has yet are there, and not to be read.
    rig.world.node('n3').pause();
    rig.append(1, LOG, 'held back');
    await rig.advance(200);
    expect(rig.at(2).store.log(LOG)?.endOffset).toBe(5);
    expect(await fetched(rig, 2, 0, true)).toEqual(['ok', 4]);
    expect(await fetched(rig, 1, 0, false)).toEqual(['ok', 4]);
    rig.world.node('n3').resume();
    await rig.advance(200);
    expect(await fetched(rig, 2, 0, true)).toEqual(['ok', 5]);
  });
});

test('who waits at a follower is told when it hears of the commit, at once when it is no leader’s', async () => {
  await inRig(72, async (rig) => {
    await led(rig);
    await rig.result(1, rig.append(1, LOG, 'a'));
    await rig.advance(200);
    const waits = rig.awaitBeyond(2, LOG, 1, true);
    await rig.advance(500);
    expect(rig.answer(2, waits)).toBeUndefined();
    await rig.result(1, rig.append(1, LOG, 'b'));
    await rig.until(() => rig.answer(2, waits) !== undefined);
    const wantsLeader = rig.awaitBeyond(2, LOG, 2, false);
    await rig.until(() => rig.answer(2, wantsLeader) !== undefined);
  });
});

test('who waits at a follower is told when it follows no more', async () => {
  await inRig(74, async (rig) => {
    await led(rig);
    await rig.result(1, rig.append(1, LOG, 'a'));
    await rig.advance(200);
    const waits = rig.awaitBeyond(2, LOG, 1, true);
    await rig.advance(500);
    expect(rig.answer(2, waits)).toBeUndefined();
    rig.kill(1);
    await rig.until(() => rig.at(2).host.hosted(LOG)?.follower?.isFollowing !== true);
    await rig.advance(10);
    expect(rig.answer(2, waits)).toBeDefined();
  });
});

test('who has lost the leader is not read from: what it has may be of a history that is over', async () => {
  await inRig(73, async (rig) => {
    await led(rig);
    await rig.result(1, rig.append(1, LOG, 'a'));
    await rig.advance(200);
    rig.kill(1);
    rig.fence(1);
    await rig.until(() => rig.at(2).host.hosted(LOG)?.follower?.isFollowing !== true);
    expect((await fetched(rig, 2, 0, true))[0]).not.toBe('ok');
    rig.grant(LOG, 3);
    await rig.until(() => rig.isLeading(3, LOG));
    await rig.until(() => rig.at(2).host.hosted(LOG)?.follower?.isFollowing === true);
    await rig.advance(200);
    expect((await fetched(rig, 2, 0, true))[0]).toBe('ok');
  });
});
