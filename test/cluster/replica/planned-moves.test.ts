// A leader that is to hand over holds what comes until the other one has everything, and nobody hears of it: at every
// level what was answered is there afterwards, in order, and nothing is appended twice. Where it comes to nothing the
// leader goes on; where nobody says what became of it, it answers nobody before the commit.
import { expect, test } from 'vitest';
import type { LeaderMove } from '../../../src/cluster/metadata/index.ts';
import { inRig, LOG, led, type Rig } from './rig.ts';

function plan(rig: Rig, from: number, target: number): void {
  const { epoch } = rig.logs.get(LOG)!;
  const node = rig.at(from);
  node.env.runQueue.soon(() => node.host.planMoves([{ logId: LOG, epoch, target }]));
}

const resultOf = (rig: Rig, id: number, token: number) => rig.answer(id, token)?.['result'];

test('planned moves under load: everything answered is kept, whatever its level, and who was held is sent on', async () => {
  const outcomes = { ok: 0, sentOn: 0 };
  await inRig(301, async (rig) => {
    await led(rig);
    const acked: string[] = [];
    for (let move = 0; move < 9; move += 1) {
      const [from, to] = [1 + (move % 3), 1 + ((move + 1) % 3)];
      const sent: [string, number][] = [];
      const send = (name: string, count: number) => {
        for (let i = 0; i < count; i += 1) {
          const value = `${move}-${name}-${i}`;
          sent.push([value, rig.append(from, LOG, value, i % 2 === 0 ? 'local' : 'committed')]);
        }
      };
      send('before', 4);
      await rig.advance(rig.world.workload.below(4));
      plan(rig, from, to);
      await rig.advance(rig.world.workload.below(3) / 2);
      send('during', 4);
      await rig.until(() => rig.isLeading(to, LOG), 500);
      for (const [value, token] of sent) {
        const result = await rig.result(from, token);
        // Never `leader-lost`: what was appended was committed before anything else happened.
        expect(['ok', 'not-leader']).toContain(result);
        if (result === 'ok') acked.push(value);
        outcomes[result === 'ok' ? 'ok' : 'sentOn'] += 1;
      }
    }
    expect(rig.values(1, LOG)).toEqual(acked);
    expect(rig.moved).toHaveLength(9);
  });
  expect(outcomes.ok).toBeGreaterThan(20);
  expect(outcomes.sentOn).toBeGreaterThan(0);
});

test('commands wait too, and are served when the move comes to nothing', async () => {
  await inRig(302, async (rig) => {
    await led(rig);
    rig.onMove = () => 'refused';
    rig.world.node('n3').pause();
    const open = rig.append(1, LOG, 'a');
    await rig.advance(5);
    plan(rig, 1, 2);
    await rig.advance(5);
    const held = rig.command(1, LOG, 'b');
    const sent = rig.append(1, LOG, 'c');
    await rig.advance(200);
    expect([open, held, sent].map((token) => resultOf(rig, 1, token))).toEqual([
      undefined,
      undefined,
      undefined,
    ]);
    // Not everything is committed: nobody asks.
    expect(rig.moved).toEqual([]);
    rig.world.node('n3').resume();
    for (const token of [open, held, sent]) expect(await rig.result(1, token)).toBe('ok');
    expect(rig.moved).toHaveLength(1);
    expect(rig.isLeading(1, LOG)).toBe(true);
    await rig.until(() => rig.values(2, LOG).length === 3);
    expect(rig.values(2, LOG)).toEqual(['a', 'b', 'c']);
  });
});

test('a target that does not come up in two seconds: the leader goes on', async () => {
  await inRig(303, async (rig) => {
    await led(rig);
    rig.world.node('n2').pause();
    const open = rig.append(1, LOG, 'a', 'local');
    expect(await rig.result(1, open)).toBe('ok');
    plan(rig, 1, 2);
    const held = rig.append(1, LOG, 'b', 'local');
    await rig.advance(1_500);
    expect(resultOf(rig, 1, held)).toBeUndefined();
    await rig.advance(900);
    expect(resultOf(rig, 1, held)).toBe('ok');
    expect(rig.moved).toEqual([]);
    rig.world.node('n2').resume();
  });
});

test('nobody answers whether the log moved: until that is known, answers wait for the commit', async () => {
  await inRig(304, async (rig) => {
    await led(rig);
    const asked: LeaderMove[] = [];
    rig.onMove = (move) => {
      asked.push(move);
      return 'lost';
    };
    rig.isAnswering = false;
    plan(rig, 1, 2);
    const held = rig.append(1, LOG, 'a', 'local');
    await rig.advance(1_000);
    expect(asked).toHaveLength(1);
    expect(resultOf(rig, 1, held)).toBeUndefined();
    rig.world.node('n2').pause();
    await rig.advance(1_500);
    // Appended, and answered only when the one who may lead next has it.
    const late = rig.append(1, LOG, 'b', 'local');
    await rig.advance(300);
    expect([held, late].map((token) => resultOf(rig, 1, token))).toEqual([undefined, undefined]);
    rig.world.node('n2').resume();
    expect(await rig.result(1, held)).toBe('ok');
    expect(await rig.result(1, late)).toBe('ok');
    // The set has another partition epoch: what was asked cannot happen any more, and the disk is enough again.
    rig.isAnswering = true;
    await rig.until(() => !rig.at(1).host.hosted(LOG)!.leader!.core.isInDoubt, 6_000);
    expect(rig.move(rig.at(1), asked[0]!)).toBe(false);
    rig.world.node('n2').pause();
    expect(await rig.result(1, rig.append(1, LOG, 'c', 'local'))).toBe('ok');
    rig.world.node('n2').resume();
  });
});

test('a quiet log that is planned has the whole two seconds too, and stays as long with whoever does not answer', async () => {
  await inRig(308, async (rig) => {
    await led(rig);
    await rig.advance(10_000);
    rig.onMove = () => 'lost';
    plan(rig, 1, 2);
    const held = rig.append(1, LOG, 'a', 'local');
    await rig.advance(1_800);
    expect(rig.moved).toHaveLength(1);
    expect(resultOf(rig, 1, held)).toBeUndefined();
    expect(rig.at(1).host.hosted(LOG)!.leader!.core.isInDoubt).toBe(false);
    expect(await rig.result(1, held)).toBe('ok');
  });
});

test('a move in doubt that happens after all loses nothing that was answered', async () => {
  await inRig(305, async (rig) => {
    await led(rig);
    const asked: LeaderMove[] = [];
    rig.onMove = (move) => {
      asked.push(move);
      return 'lost';
    };
    rig.isAnswering = false;
    plan(rig, 1, 2);
    await rig.until(() => asked.length === 1);
    await rig.advance(2_500);
    const sent = ['a', 'b', 'c'].map(
      (value) => [value, rig.append(1, LOG, value, 'local')] as const,
    );
    await rig.advance(rig.world.workload.below(3));
    rig.isAnswering = true;
    expect(rig.move(rig.at(1), asked[0]!)).toBe(true);
    await rig.until(() => rig.isLeading(2, LOG));
    const acked = sent.flatMap(([value, token]) =>
      resultOf(rig, 1, token) === 'ok' ? [value] : [],
    );
    expect(await rig.result(2, rig.append(2, LOG, 'after'))).toBe('ok');
    for (const value of acked) expect(rig.values(2, LOG)).toContain(value);
  });
});

test('a plan of an earlier epoch, or for a replica that is not in sync, does nothing', async () => {
  await inRig(306, async (rig) => {
    await led(rig);
    const node = rig.at(1);
    const { epoch } = rig.logs.get(LOG)!;
    node.host.planMoves([
      { logId: LOG, epoch: epoch - 1, target: 2 },
      { logId: LOG, epoch, target: 9 },
      { logId: LOG, epoch, target: 1 },
      { logId: 4_711, epoch, target: 2 },
    ]);
    expect(node.host.hosted(LOG)!.leader!.isHolding).toBe(false);
    expect(await rig.result(1, rig.append(1, LOG, 'a'))).toBe('ok');
  });
});

test('who handed over goes on with the state that it has; who was replaced with frames in flight builds it anew', async () => {
  await inRig(307, async (rig) => {
    await led(rig);
    expect(await rig.result(1, rig.append(1, LOG, 'a'))).toBe('ok');
    const { machine } = rig.at(1).host.hosted(LOG)!;
    const { state } = machine;
    plan(rig, 1, 2);
    await rig.until(() => rig.isLeading(2, LOG));
    expect(await rig.result(2, rig.append(2, LOG, 'b'))).toBe('ok');
    await rig.until(() => rig.values(1, LOG).length === 2);
    expect(machine.state).toBe(state);
    const { machine: other } = rig.at(2).host.hosted(LOG)!;
    const before = other.state;
    rig.world.node('n3').pause();
    rig.append(2, LOG, 'c');
    await rig.advance(5);
    rig.grant(LOG, 1);
    await rig.until(() => rig.at(2).host.hosted(LOG)!.follower !== undefined);
    expect(other.state).not.toBe(before);
    rig.world.node('n3').resume();
  });
});
