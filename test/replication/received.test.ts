// What members have received, which answers may wait for in place of a commit: it counts for no commit, for no longer
// than a link lives, and it binds who joins the safe set.
import { describe, expect, test } from 'vitest';
import { ack, activeLeader, chainOf, helloOf, leader, logOf, members, only, write } from './rig.ts';

describe('received', () => {
  test('`all`: by every member, durable or not; nothing of it is committed', () => {
    const core = activeLeader();
    const seq = write(core, false);
    core.received(2, 1, 1, seq);
    expect(core.receivedSeq).toBe(seq - 1);
    core.received(3, 1, 1, seq);
    expect([core.receivedSeq, core.committedSeq]).toEqual([seq, seq - 1]);
  });

  test('`quorum`: by as many as a commit needs, the leader counted', () => {
    const core = activeLeader({ mode: 'quorum' });
    const seq = write(core, false);
    expect(core.receivedSeq).toBe(seq - 1);
    core.received(3, 1, 1, seq);
    expect([core.receivedSeq, core.committedSeq]).toEqual([seq, seq - 1]);
  });

  test('of one replica: when the leader has it', () => {
    const one = { replicas: [1], safeSet: members(1), isr: [1], live: members(1), minInsync: 1 };
    const core = leader(one);
    write(core);
    const seq = write(core, false);
    expect([core.receivedSeq, core.committedSeq]).toEqual([seq, seq - 1]);
  });

  test('ends with the link: who greets anew may have lost what it had in memory', () => {
    const core = activeLeader();
    const seq = write(core, false);
    core.received(2, 1, 1, seq);
    core.followerLost(2);
    core.received(3, 1, 1, seq);
    expect(core.receivedSeq).toBe(seq - 1);
    core.hello(helloOf(2, 1, logOf([[1, 1]], seq - 1)));
    expect(core.receivedSeq).toBe(seq - 1);
    core.received(2, 1, 1, seq);
    expect(core.receivedSeq).toBe(seq);
  });

  test.each([
    ['of another epoch', [2, 1, 2]],
    ['of another life of the data', [2, 9, 1]],
    ['of a node without a replica', [8, 1, 1]],
  ] as const)('a message %s says nothing', (_, [node, incarnation, epoch]) => {
    const core = activeLeader();
    const seq = write(core, false);
    core.received(3, 1, 1, seq);
    core.received(node, incarnation, epoch, seq);
    expect(core.receivedSeq).toBe(seq - 1);
  });

  test('nothing is beyond the end, and nothing counts before the epoch has begun', () => {
    const core = activeLeader();
    core.received(2, 1, 1, core.endSeq + 5);
    core.received(3, 1, 1, core.endSeq + 5);
    expect(core.receivedSeq).toBe(core.endSeq);
    expect(leader().receivedSeq).toBe(0);
  });
});

test('who joins the safe set has received what was answered for, not only what is committed', () => {
  const core = leader({ safeSet: members(1, 2), isr: [1, 2] });
  core.hello(helloOf(2, 1));
  const begin = write(core);
  ack(core, 2, begin);
  const seq = write(core, false);
  core.received(2, 1, 1, seq);
  core.answered(core.receivedSeq);
  core.take();
  // It has everything that is committed, and not the frame.
  core.hello(helloOf(3, 1));
  core.ack(3, 1, 1, begin, chainOf(begin, 1));
  core.tick(100);
  expect(only(core.take(), 'propose-safe-set')).toEqual([]);
  core.sent(3, seq);
  core.received(3, 1, 1, seq);
  const [proposed] = only(core.take(), 'propose-safe-set');
  expect(proposed?.proposal.newSet.map(({ node }) => node)).toEqual([1, 2, 3]);
  // While that is under way, it is asked for too.
  const next = write(core, false);
  core.received(2, 1, 1, next);
  expect(core.receivedSeq).toBe(seq);
  core.received(3, 1, 1, next);
  expect(core.receivedSeq).toBe(next);
});
