// A replica that cannot go on with one log gives up that log, says so in its status, and nothing else: the
// node, its other logs and the other replicas of this log go on.
import { expect, test } from 'vitest';
import { inRig, LOG, led, type Rig } from './rig.ts';

const OTHER = 8;

async function roles(rig: Rig, id: number): Promise<Record<number, string>> {
  let found: Record<number, string> | undefined;
  const node = rig.at(id);
  node.env.runQueue.soon(() => {
    node.ref
      .ask('status', undefined, { timeoutMs: 1_000 })
      .then((all) => {
        found = Object.fromEntries(all.map(({ logId, role }) => [logId, role]));
      })
      .catch((error: unknown) => rig.world.fail('status', String(error)));
  });
  await rig.until(() => found !== undefined);
  return found!;
}

async function ledBoth(rig: Rig): Promise<void> {
  await led(rig);
  rig.create(OTHER);
  rig.grant(OTHER, 2);
  await rig.until(() => rig.isLeading(2, OTHER));
}

test('a behavior that throws on a follower costs that replica, not the node, the log or the other logs', async () => {
  await inRig(71, async (rig) => {
    await ledBoth(rig);
    rig.mischief(2).apply = 'poison';
    expect(await rig.result(1, rig.append(1, LOG, 'before'))).toBe('ok');
    expect(await rig.result(1, rig.append(1, LOG, 'poison'))).toBe('ok');
    await rig.until(() => rig.at(2).host.hosted(LOG)?.failure !== undefined);
    expect(await roles(rig, 2)).toEqual({ [LOG]: 'failed', [OTHER]: 'leader' });
    expect(rig.at(2).failures).toEqual([]);
    // It acknowledges nothing any more: the leader goes on without it once it lags.
    expect(await rig.result(1, rig.append(1, LOG, 'after', 'local'))).toBe('ok');
    await rig.until(() => rig.logs.get(LOG)?.safeSet.length === 2, 60_000);
    expect(await rig.result(1, rig.append(1, LOG, 'later'))).toBe('ok');
    expect(await rig.result(2, rig.append(2, OTHER, 'elsewhere'))).toBe('ok');
    expect(await roles(rig, 1)).toEqual({ [LOG]: 'leader', [OTHER]: 'follower' });
    expect(rig.world.node('n2').isUp).toBe(true);
    // A version that does not throw takes the log up where it was left.
    rig.mischief(2).apply = undefined;
    rig.kill(2);
    await rig.startNode(2);
    await rig.until(() => rig.values(2, LOG).includes('later'), 60_000);
    expect(rig.values(2, LOG)).toEqual(rig.values(1, LOG));
  });
});

test.each([
  ['admit', 'storage-error'],
  ['decide', 'not-leader'],
] as const)(
  'a leader whose behavior throws in %s gives the log up, and another replica leads it',
  async (where, answer) => {
    await inRig(72, async (rig) => {
      await ledBoth(rig);
      rig.mischief(1)[where] = true;
      const asked = where === 'admit' ? rig.append(1, LOG, 'x') : rig.command(1, LOG, 'work');
      expect(await rig.result(1, asked)).toBe(answer);
      await rig.until(() => rig.at(1).host.hosted(LOG)?.failure !== undefined);
      expect(await roles(rig, 1)).toEqual({ [LOG]: 'failed', [OTHER]: 'follower' });
      expect(rig.at(1).failures).toEqual([]);
      expect(await rig.result(2, rig.append(2, OTHER, 'elsewhere'))).toBe('ok');
      rig.grant(LOG, 3);
      await rig.until(() => rig.isLeading(3, LOG));
      expect(await rig.result(3, rig.append(3, LOG, 'y', 'local'))).toBe('ok');
    });
  },
);

test('a log that is damaged on disk is given up by its node, which says so; the rest goes on', async () => {
  await inRig(73, async (rig) => {
    await led(rig);
    for (let i = 0; i < 40; i += 1) {
      expect(await rig.result(1, rig.append(1, LOG, `${i}`.repeat(500)))).toBe('ok');
    }
    await rig.advance(5_000);
    rig.kill(2);
    const { device } = rig.world.node('n2');
    for (let i = 0; i < 40; i += 1) device.rot((path) => path.endsWith('.wal'));
    device.processDied();
    await rig.startNode(2);
    await rig.until(() => rig.at(2).host.hosted(LOG)?.failure !== undefined);
    expect(rig.at(2).host.hosted(LOG)?.failure).toContain('damaged');
    expect(await roles(rig, 2)).toEqual({ [LOG]: 'failed' });
    expect(rig.at(2).failures).toEqual([]);
    rig.create(OTHER);
    rig.grant(OTHER, 2);
    await rig.until(() => rig.isLeading(2, OTHER));
    expect(await rig.result(2, rig.append(2, OTHER, 'elsewhere'))).toBe('ok');
  });
});
