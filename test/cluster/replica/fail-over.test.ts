import { expect, test } from 'vitest';
import { runs } from '../../setup/runs.ts';
import { inRig, LOG, led, type Rig } from './rig.ts';

async function inSync(rig: Rig, ids: readonly number[], count: number): Promise<void> {
  await rig.until(() => ids.every((id) => rig.values(id, LOG).length === count));
  const [first] = ids;
  for (const id of ids) expect(rig.values(id, LOG)).toEqual(rig.values(first ?? 0, LOG));
}

test('the leader is killed with appends in flight: what was acknowledged is with the next one', async () => {
  const outcomes = { acked: 0, open: 0 };
  for (let seed = 0; seed < runs(12, 3); seed += 1) {
    await inRig(seed, async (rig) => {
      await led(rig);
      const tokens: [string, number][] = [];
      for (let i = 0; i < 40; i += 1) {
        const value = `v${i}`;
        tokens.push([value, rig.append(1, LOG, value)]);
        if (i % 5 === 4) await rig.advance(0.3);
      }
      const node = rig.at(1);
      const acked = tokens.flatMap(([value, token]) =>
        node.answers.get(token)?.[0]?.['result'] === 'ok' ? [value] : [],
      );
      outcomes.acked += acked.length;
      outcomes.open += tokens.length - acked.length;
      rig.kill(1);
      rig.fence(1);
      rig.grant(LOG, 2);
      await rig.until(() => rig.isLeading(2, LOG));
      expect(await rig.result(2, rig.append(2, LOG, 'after'))).toBe('ok');
      for (const value of acked) expect(rig.values(2, LOG)).toContain(value);
      await rig.startNode(1);
      await rig.until(() => rig.values(1, LOG).at(-1) === 'after');
      await inSync(rig, [1, 2, 3], rig.values(2, LOG).length);
    });
  }
  // The kills came where they should: behind some answers and before others.
  expect(outcomes.acked).toBeGreaterThan(0);
  expect(outcomes.open).toBeGreaterThan(0);
});

test('leaders move to and fro under load, unplanned: nothing acknowledged is lost or out of order', async () => {
  const outcomes = { acked: 0, refused: 0 };
  for (let seed = 20; seed < 20 + runs(6, 2); seed += 1) {
    await inRig(seed, async (rig) => {
      await led(rig);
      const acked: string[] = [];
      let count = 0;
      for (let move = 0; move < 8; move += 1) {
        const leader = 1 + (move % 3);
        const sent: [string, number][] = [];
        for (let i = 0; i < 10; i += 1) {
          const value = `v${String(count).padStart(3, '0')}`;
          count += 1;
          sent.push([value, rig.append(leader, LOG, value)]);
        }
        await rig.advance(0.2 + rig.world.workload.below(20) / 10);
        rig.grant(LOG, 1 + ((move + 1) % 3));
        for (const [value, token] of sent) {
          if ((await rig.result(leader, token)) === 'ok') acked.push(value);
          else outcomes.refused += 1;
        }
        await rig.until(() => rig.isLeading(1 + ((move + 1) % 3), LOG));
      }
      const last = 1 + (8 % 3);
      expect(await rig.result(last, rig.append(last, LOG, 'zzz'))).toBe('ok');
      const values = rig.values(last, LOG);
      for (const value of acked) expect(values).toContain(value);
      expect(values).toEqual([...values].sort());
      await inSync(rig, [1, 2, 3], values.length);
      outcomes.acked += acked.length;
    });
  }
  expect(outcomes.acked).toBeGreaterThan(0);
  expect(outcomes.refused).toBeGreaterThan(0);
});

test('F2: a new epoch for the leader that leads already: it starts over and goes on', async () => {
  await inRig(30, async (rig) => {
    await led(rig);
    await rig.result(1, rig.append(1, LOG, 'a'));
    rig.grant(LOG, 1);
    await rig.until(() => rig.at(1).host.hosted(LOG)?.leader?.epoch === 2);
    await rig.until(() => rig.isLeading(1, LOG));
    expect(await rig.result(1, rig.append(1, LOG, 'b'))).toBe('ok');
    await inSync(rig, [1, 2, 3], 2);
  });
});

test('a follower that wrote what never committed cuts it, and holds what the others hold', async () => {
  await inRig(31, async (rig) => {
    await led(rig);
    await rig.result(1, rig.append(1, LOG, 'kept'));
    rig.kill(2);
    rig.kill(3);
    const lost = rig.append(1, LOG, 'lost', 'local');
    expect(await rig.result(1, lost)).toBe('ok');
    rig.kill(1);
    rig.fence(1);
    await rig.startNode(2);
    await rig.startNode(3);
    rig.grant(LOG, 2);
    await rig.until(() => rig.isLeading(2, LOG));
    expect(await rig.result(2, rig.append(2, LOG, 'new', 'local'))).toBe('ok');
    await rig.startNode(1);
    await inSync(rig, [1, 2, 3], 2);
    expect(rig.values(1, LOG)).toEqual(['kept', 'new']);
  });
});

test('quorum: a leader that lacks what is committed copies it before it begins', async () => {
  await inRig(32, async (rig) => {
    await led(rig, 1, { mode: 'quorum', minInsync: 2 });
    rig.kill(3);
    for (const value of ['a', 'b', 'c']) {
      expect(await rig.result(1, rig.append(1, LOG, value))).toBe('ok');
    }
    await rig.startNode(3);
    rig.kill(1);
    rig.fence(1);
    rig.grant(LOG, 3);
    await rig.until(() => rig.isLeading(3, LOG));
    expect(rig.values(3, LOG)).toEqual(['a', 'b', 'c']);
    expect(await rig.result(3, rig.append(3, LOG, 'd'))).toBe('ok');
    await inSync(rig, [2, 3], 4);
  });
});

test('an unclean election: a replica that knows more than the survivor throws its log away, durably', async () => {
  await inRig(33, async (rig) => {
    await led(rig);
    await rig.result(1, rig.append(1, LOG, 'old'));
    await inSync(rig, [1, 2, 3], 1);
    rig.kill(3);
    rig.fence(3);
    // The safe set shrinks to those that live, so that this commits without node 3.
    expect(await rig.result(1, rig.append(1, LOG, 'gone'))).toBe('ok');
    await rig.until(() => rig.values(2, LOG).includes('gone'));
    rig.kill(1);
    rig.kill(2);
    rig.fence(1);
    rig.fence(2);
    await rig.startNode(3);
    rig.grant(LOG, 3, true);
    await rig.until(() => rig.isLeading(3, LOG));
    expect(await rig.result(3, rig.append(3, LOG, 'new'))).toBe('ok');
    await rig.startNode(2);
    await rig.until(() => rig.values(2, LOG).at(-1) === 'new');
    expect(rig.values(2, LOG)).toEqual(['old', 'new']);
    rig.kill(2);
    await rig.startNode(2);
    expect(await rig.result(3, rig.append(3, LOG, 'more'))).toBe('ok');
    await rig.until(() => rig.values(2, LOG).at(-1) === 'more');
    expect(rig.values(2, LOG)).toEqual(['old', 'new', 'more']);
    expect(rig.at(2).host.hosted(LOG)?.failure).toBeUndefined();
  });
});

test('the end of a link to another thread or of another node disturbs nobody', async () => {
  await inRig(34, async (rig) => {
    await led(rig);
    await rig.result(1, rig.append(1, LOG, 'a'));
    const follower = rig.at(2).host.hosted(LOG)?.follower;
    const leader = rig.at(1).host.hosted(LOG)?.leader;
    rig.at(2).host.linkEnded(1, 5);
    rig.at(2).host.linkEnded(3, 0);
    rig.at(1).host.linkEnded(2, 5);
    expect(follower?.core.phase).toBe('following');
    expect(leader?.core.progress(2)?.isStreaming).toBe(true);
    rig.at(2).host.linkEnded(1, 0);
    expect(follower?.core.phase).toBe('greeting');
  });
});

test('a slow leader is greeted less and less often, and answers in the end', async () => {
  await inRig(35, async (rig) => {
    await led(rig);
    await rig.result(1, rig.append(1, LOG, 'a'));
    let hellos = 0;
    const { peers } = rig.at(2).host;
    const hello = peers.hello.bind(peers);
    peers.hello = (node, logId, input) => {
      hellos += 1;
      // So slow that an answer takes longer than the first waits.
      const { system } = rig.at(2);
      system.deadlines.after(1_500, () => hello(node, logId, input));
    };
    rig.at(2).host.linkEnded(1, 0);
    await rig.until(() => rig.at(2).host.hosted(LOG)?.follower?.core.phase === 'following');
    expect(hellos).toBeLessThan(8);
    expect(await rig.result(1, rig.append(1, LOG, 'b'))).toBe('ok');
  });
});
