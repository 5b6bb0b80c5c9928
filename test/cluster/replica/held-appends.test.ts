// Between the grant of a leadership and the commit of its epoch-begin an append is kept, not turned away:
// a topic that was made a moment ago takes the first record that is sent to it.
import { expect, test } from 'vitest';
import { inRig, LOG, type Rig } from './rig.ts';

const isAssigned = (rig: Rig, id: number) => rig.at(id).host.hosted(LOG)?.leader !== undefined;

test('appends that come before the leader is active are taken, in order, at every level', async () => {
  await inRig(81, async (rig) => {
    rig.create(LOG);
    rig.grant(LOG, 1);
    await rig.until(() => isAssigned(rig, 1));
    expect(rig.isLeading(1, LOG)).toBe(false);
    const tokens = ['a', 'b', 'c', 'd'].map((value) => rig.append(1, LOG, value));
    rig.append(1, LOG, 'e', 'none');
    tokens.push(rig.append(1, LOG, 'f', 'local'));
    for (const token of tokens) expect(await rig.result(1, token)).toBe('ok');
    const all = ['a', 'b', 'c', 'd', 'e', 'f'];
    await rig.until(() => [1, 2, 3].every((id) => rig.values(id, LOG).length === all.length));
    for (const id of [1, 2, 3]) expect(rig.values(id, LOG)).toEqual(all);
    expect(rig.answer(1, tokens[3]!)).toMatchObject({ baseOffset: 3 });
  });
});

test('a leader that cannot begin turns them away after a second, and appends none of them', async () => {
  await inRig(82, async (rig) => {
    rig.world.node('n2').pause();
    rig.create(LOG);
    rig.grant(LOG, 1);
    await rig.until(() => isAssigned(rig, 1));
    const kept = rig.append(1, LOG, 'a');
    await rig.advance(800);
    expect(rig.answer(1, kept)).toBeUndefined();
    await rig.advance(500);
    expect(rig.answer(1, kept)?.['result']).toBe('not-available');
    rig.world.node('n2').resume();
    await rig.until(() => rig.isLeading(1, LOG));
    expect(await rig.result(1, rig.append(1, LOG, 'b'))).toBe('ok');
    expect(rig.values(1, LOG)).toEqual(['b']);
  });
});

test('what is kept is bounded: beyond it appends are turned away at once', async () => {
  await inRig(83, async (rig) => {
    rig.world.node('n2').pause();
    rig.create(LOG);
    rig.grant(LOG, 1);
    await rig.until(() => isAssigned(rig, 1));
    const large = 'x'.repeat(700_000);
    const kept = rig.append(1, LOG, large);
    const refused = rig.append(1, LOG, large);
    expect(await rig.result(1, refused, 200)).toBe('not-available');
    expect(rig.answer(1, kept)).toBeUndefined();
    rig.world.node('n2').resume();
    expect(await rig.result(1, kept)).toBe('ok');
  });
});

test('when another node is given the log, or it is quarantined, nobody is kept', async () => {
  await inRig(84, async (rig) => {
    rig.world.node('n2').pause();
    rig.create(LOG);
    rig.grant(LOG, 1);
    await rig.until(() => isAssigned(rig, 1));
    const moved = rig.append(1, LOG, 'a');
    await rig.advance(100);
    rig.grant(LOG, 3);
    expect(await rig.result(1, moved, 400)).toBe('not-leader');
    const lost = rig.append(3, LOG, 'b');
    await rig.advance(100);
    rig.at(3).env.runQueue.soon(() => rig.at(3).host.hosted(LOG)?.quarantine('a test'));
    expect(['storage-error', 'not-leader']).toContain(await rig.result(3, lost, 400));
    rig.world.node('n2').resume();
  });
});
