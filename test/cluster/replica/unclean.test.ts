// A leader that is elected at the price of loss, and what is said of the loss: from where on its history is another one,
// and which committed records replicas had that come back to it.
import { expect, test } from 'vitest';
import { inRig, LOG, led, type Rig } from './rig.ts';

const lossesOf = (rig: Rig, id: number) => rig.at(id).host.uncleanLosses;

test('who leads and who comes back say what is lost, once each', async () => {
  await inRig(81, async (rig) => {
    await led(rig);
    for (let i = 0; i < 5; i += 1) await rig.result(1, rig.append(1, LOG, `v${i}`));
    await rig.advance(200);
    // Out of the set while five more are committed.
    rig.world.node('n3').pause();
    rig.append(1, LOG, 'w0');
    await rig.until(() => rig.logs.get(LOG)!.safeSet.length === 2, 60_000);
    for (let i = 1; i < 5; i += 1) {
      expect(await rig.result(1, rig.append(1, LOG, `w${i}`))).toBe('ok');
    }
    await rig.advance(200);
    for (const id of [1, 2]) rig.kill(id);
    rig.world.node('n3').resume();
    for (const id of [1, 2]) rig.fence(id);
    rig.grant(LOG, 3, true);
    await rig.until(() => rig.isLeading(3, LOG));
    expect(lossesOf(rig, 3).counters).toMatchObject({ elections: 1, recordsLost: 0 });
    expect(rig.at(3).host.hosted(LOG)?.status()).toMatchObject({ role: 'leader', uncleanFrom: 5 });
    expect(await rig.result(3, rig.append(3, LOG, 'after'))).toBe('ok');

    await rig.startNode(1);
    await rig.until(() => rig.values(1, LOG).at(-1) === 'after');
    expect(rig.values(1, LOG)).toEqual(rig.values(3, LOG));
    expect(rig.values(1, LOG)).not.toContain('w0');
    await rig.until(() => lossesOf(rig, 1).counters.recordsLost > 0);
    expect(lossesOf(rig, 1).counters).toEqual({
      elections: 0,
      replicas: 1,
      recordsLost: 5,
    });
    expect(rig.at(1).host.hosted(LOG)?.status()).toMatchObject({
      role: 'follower',
      uncleanFrom: -1,
      lostFrom: 5,
      // It hears of the last commit a moment later than clients do.
      lostCommittedTo: 9,
      lostTo: 10,
    });
    await rig.advance(5_000);
    expect(lossesOf(rig, 1).counters.recordsLost).toBe(5);
  });
});

test('a leader that lost nothing says nothing', async () => {
  await inRig(82, async (rig) => {
    await led(rig);
    await rig.result(1, rig.append(1, LOG, 'a'));
    rig.kill(1);
    rig.fence(1);
    rig.grant(LOG, 2);
    await rig.until(() => rig.isLeading(2, LOG));
    expect(lossesOf(rig, 2).counters).toEqual({
      elections: 0,
      replicas: 0,
      recordsLost: 0,
    });
    expect(rig.at(2).host.hosted(LOG)?.status()).toMatchObject({ uncleanFrom: -1, lostFrom: -1 });
  });
});
