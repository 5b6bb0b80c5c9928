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

test('F35: a behavior that throws on a follower costs that replica, not the node, the log or the other logs', async () => {
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

/** Appends, and what of it is in the write-ahead log of a node rots while the node is down. */
async function rotten(rig: Rig, id: number, from: number): Promise<void> {
  for (let i = 0; i < 40; i += 1) {
    expect(await rig.result(from, rig.append(from, LOG, `${i}`.repeat(500)))).toBe('ok');
  }
  await rig.advance(5_000);
  rig.kill(id);
  const { device } = rig.world.node(`n${id}`);
  let flips = 0;
  for (const { path, inode } of device.tree.files()) {
    const bytes = new Uint8Array(path.endsWith('.wal') ? inode.durable.size : 0);
    inode.durable.read(bytes, 0);
    // Of a frame in the middle: nobody takes it for a tear.
    const at = Buffer.from(bytes).indexOf('17'.repeat(100));
    if (at < 0) continue;
    inode.durable.flipBit(at, 1);
    inode.cached.flipBit(at, 1);
    flips += 1;
  }
  expect(flips).toBe(1);
  device.processDied();
}

test('the only replica of a log that is damaged on disk gives it up, and says so; the rest goes on', async () => {
  await inRig(73, async (rig) => {
    await led(rig, 2, { replicas: [2] });
    await rotten(rig, 2, 2);
    rig.fence(2);
    await rig.startNode(2);
    rig.grant(LOG, 2);
    await rig.until(() => rig.at(2).host.hosted(LOG)?.failure !== undefined);
    await rig.advance(30_000);
    expect(rig.at(2).host.hosted(LOG)?.failure).toContain('damaged');
    expect(await roles(rig, 2)).toEqual({ [LOG]: 'failed' });
    expect(rig.at(2).failures).toEqual([]);
    expect(rig.losses).toEqual([]);
    expect(rig.at(2).store.log(LOG)!.endSeq).toBeGreaterThan(0);
    rig.create(OTHER);
    rig.grant(OTHER, 2);
    await rig.until(() => rig.isLeading(2, OTHER));
    expect(await rig.result(2, rig.append(2, OTHER, 'elsewhere'))).toBe('ok');
  });
});

test.each([
  ['all', 1, 1],
  ['quorum', 2, 1],
  ['all', 1, 2],
  ['quorum', 2, 2],
] as const)(
  'a replica of %s (min %i) whose log is damaged on disk is counted no more, and joins anew; node %i led',
  async (mode, minInsync, leader) => {
    await inRig(74, async (rig) => {
      await led(rig, leader, { mode, minInsync });
      await rotten(rig, 2, leader);
      if (leader === 2) {
        rig.fence(2);
        rig.grant(LOG, 1);
        await rig.until(() => rig.isLeading(1, LOG));
      }
      const { epoch } = rig.logs.get(LOG)!;
      await rig.startNode(2);
      const hosted = () => rig.at(2).host.hosted(LOG);
      await rig.until(() => hosted() !== undefined);
      expect(hosted()!.stored.needsRepair).toBe(true);
      expect(hosted()!.failure).toContain('damaged');
      // A leader of `all` may have gone on without it; what it had asked for before must count no more.
      await rig.until(() => rig.losses.length > 0);
      expect(rig.losses).toEqual([[2, [LOG]]]);
      expect(rig.logs.get(LOG)!.epoch).toBeGreaterThan(epoch);
      const place = mode === 'quorum' ? [{ node: 2, incarnation: 0 }] : [];
      expect(rig.logs.get(LOG)!.safeSet.filter(({ node }) => node === 2)).toEqual(place);
      await rig.until(
        () => hosted()!.failure === undefined && hosted()!.stored.needsRepair === false,
      );
      await rig.until(() =>
        rig.logs.get(LOG)!.safeSet.some(({ node, incarnation }) => node === 2 && incarnation === 1),
      );
      expect(await rig.result(1, rig.append(1, LOG, 'after'))).toBe('ok');
      await rig.until(() => rig.values(2, LOG).includes('after'));
      expect(rig.values(2, LOG)).toEqual(rig.values(1, LOG));
      expect(rig.values(2, LOG)).toHaveLength(41);
      for (const id of [1, 2, 3]) {
        expect(rig.at(id).host.hosted(LOG)!.leader?.alarm).toBeUndefined();
      }
      // It may lead again, and a start finds nothing of the old damage.
      rig.kill(2);
      await rig.startNode(2);
      await rig.advance(3_000);
      expect(hosted()!.failure).toBeUndefined();
      rig.grant(LOG, 2);
      await rig.until(() => rig.isLeading(2, LOG));
      expect(await rig.result(2, rig.append(2, LOG, 'last'))).toBe('ok');
      expect(rig.losses).toHaveLength(1);
    });
  },
);

test('what is left of a damaged replica stays until somebody leads the log', async () => {
  await inRig(75, async (rig) => {
    await led(rig, 1);
    await rotten(rig, 2, 1);
    for (const id of [1, 3]) {
      rig.kill(id);
      rig.fence(id);
    }
    await rig.startNode(2);
    await rig.advance(20_000);
    const { stored } = rig.at(2).host.hosted(LOG)!;
    expect(rig.logs.get(LOG)!.leader).toBe(-1);
    expect(stored.needsRepair).toBe(true);
    expect(stored.endSeq).toBeGreaterThan(0);
    await rig.startNode(1);
    rig.grant(LOG, 1);
    await rig.until(() => !rig.at(2).host.hosted(LOG)!.stored.needsRepair);
    await rig.until(() => rig.values(2, LOG).length === 40);
  });
});
