// The leader core by hand: each test is one way to lose, fork or stall, and the rule against it.
import { describe, expect, test } from 'vitest';
import { ack, activeLeader, grantOf, helloOf, leader, logOf, members, only, write } from './rig.ts';

describe('one writer per epoch', () => {
  test('F2: a restarted shard does not go on under the grant of its predecessor', () => {
    const core = leader({ writer: { nodeIncarnation: 4, shardIncarnation: 10 } });
    expect(core.phase).toBe('resigned');
    expect(core.resignReason).toBe('grant-for-another-writer');
    expect(only(core.take(), 'append-epoch-begin')).toEqual([]);
  });

  test('F2: an epoch that already wrote frames here is not begun a second time', () => {
    const core = leader({ grant: grantOf(5), log: logOf([[5, 1]], 3) });
    expect(core.resignReason).toBe('epoch-already-written');
  });

  test('F2: the leader counts itself only as far as its own log is durable', () => {
    const core = activeLeader();
    const seq = write(core, false);
    ack(core, 2, seq);
    ack(core, 3, seq);
    expect(core.committedSeq).toBe(seq - 1);
    core.localDurable(seq);
    expect(core.committedSeq).toBe(seq);
  });

  test('a replica outside the safe set does not lead', () => {
    expect(leader({ safeSet: members(2, 3) }).resignReason).toBe('not-in-safe-set');
  });

  test('a hello or an acknowledgement of a higher epoch ends the leadership', () => {
    const byHello = activeLeader();
    byHello.hello(helloOf(2, 2));
    expect(byHello.resignReason).toBe('superseded');
    const byAck = activeLeader();
    byAck.ack(2, 1, 2, 1, -1);
    expect(byAck.resignReason).toBe('superseded');
  });

  test('a frame that the shell wrote while the leader resigned is in the log handed on', () => {
    const core = leader();
    core.superseded(2);
    expect(only(core.take(), 'append-epoch-begin')).toHaveLength(1);
    write(core);
    expect(core.log()).toMatchObject({ endSeq: 1, durableSeq: 1 });
  });

  test('what becomes durable after resigning is still part of the log handed on', () => {
    const core = activeLeader();
    const seq = write(core, false);
    core.superseded(9);
    core.localDurable(seq);
    expect(core.log().durableSeq).toBe(seq);
    expect(core.committedSeq).toBe(seq - 1);
  });
});

describe('replicas that change', () => {
  const greet = (core: ReturnType<typeof activeLeader>, assignedAt: number) =>
    core.hello({ ...helloOf(4, 1, logOf([[1, 1]], 1)), assignedAt });

  test('who does not know yet that it was assigned anew is not heard, unless the set counts it', () => {
    const core = activeLeader();
    core.liveChanged(members(1, 2, 3, 4));
    core.replicasChanged([1, 2, 4], 50);
    // It may still be about to delete what it speaks of: that it left once is all it will hear of first.
    expect(only(core.take(), 'fence').map(({ node }) => node)).toEqual([4]);
    greet(core, 49);
    expect(core.progress(4)!.incarnation).toBe(-1);
    core.hello({ ...helloOf(3, 1, logOf([[1, 1]], 1)), assignedAt: 0 });
    expect(core.progress(3)!.isStreaming).toBe(true);
    greet(core, 50);
    expect(core.progress(4)!.matchSeq).toBe(1);
  });

  test('what somebody said who left counts no more when it comes back', () => {
    const core = activeLeader();
    const seq = write(core);
    core.liveChanged(members(1, 2, 3, 4));
    core.replicasChanged([1, 2, 3, 4], 50);
    greet(core, 50);
    core.replicasChanged([1, 2, 3], 60);
    // It was asked for: that is over when the metadata has gone on.
    core.safeSetChanged({ partitionEpoch: 2, safeSet: members(1, 2, 3), isr: [1, 2, 3] });
    ack(core, 4, seq);
    expect(core.progress(4)).toMatchObject({ incarnation: -1, matchSeq: 0, isStreaming: false });
    core.replicasChanged([1, 2, 3, 4], 70);
    core.hello({ ...helloOf(4, 1), assignedAt: 70 });
    expect(only(core.take(), 'alarm')).toEqual([]);
    expect(core.progress(4)).toMatchObject({ incarnation: 1, matchSeq: 0, isStreaming: true });
  });
});

describe('commit', () => {
  test('F10: in `quorum` mode a paused member delays nothing, in `all` mode it does', () => {
    for (const [mode, committed] of [
      ['quorum', 2],
      ['all', 1],
    ] as const) {
      const core = activeLeader({ mode });
      const seq = write(core);
      ack(core, 2, seq);
      expect(core.committedSeq, mode).toBe(committed);
    }
  });

  test('F10: `quorum` commits without the own disk, so the own end may lie below committed', () => {
    const core = activeLeader({ mode: 'quorum' });
    const seq = write(core, false);
    ack(core, 2, seq);
    ack(core, 3, seq);
    expect(core.committedSeq).toBe(seq);
    expect(core.durableSeq).toBe(seq - 1);
  });

  test('F11: frames of older epochs commit only together with the epoch-begin', () => {
    const log = logOf([[1, 1]], 8, { committedSeq: 5 });
    const core = leader({ grant: grantOf(2), log });
    core.hello(helloOf(2, 2, log));
    core.hello(helloOf(3, 2, log));
    expect(core.committedSeq).toBe(5);
    expect(core.phase).toBe('starting');
    const begin = write(core);
    ack(core, 2, begin);
    expect(core.committedSeq).toBe(5);
    ack(core, 3, begin);
    expect(core.committedSeq).toBe(begin);
    expect(core.phase).toBe('active');
  });

  test('F11: nothing is decided before the epoch-begin is committed', () => {
    const core = leader();
    write(core);
    expect(core.canAppend()).toBe(false);
    expect(() => write(core)).toThrow(/nothing but the epoch-begin/);
  });

  test('F12: a reply is due at its level and not before', () => {
    const core = activeLeader();
    const seq = write(core, false);
    expect(core.hasReached(seq, 'none')).toBe(true);
    expect(core.hasReached(seq, 'local')).toBe(false);
    core.localDurable(seq);
    expect(core.hasReached(seq, 'local')).toBe(true);
    expect(core.hasReached(seq, 'committed')).toBe(false);
    ack(core, 2, seq);
    ack(core, 3, seq);
    expect(core.hasReached(seq, 'committed')).toBe(true);
  });

  test('F42: an idle follower is told the last commit once per link', () => {
    const core = activeLeader();
    expect(core.committedToSend(2)).toBe(1);
    core.committedSent(2, 1);
    expect(core.committedToSend(2)).toBe(-1);
    core.followerLost(2);
    core.hello(helloOf(2, 1, logOf([[1, 1]], 1)));
    // The answer to the hello has told it.
    expect(only(core.take(), 'hello-answer').at(-1)?.answer.committedSeq).toBe(1);
    expect(core.committedToSend(2)).toBe(-1);
  });

  test('many appends between two drains give one committed output with the newest seq', () => {
    const core = activeLeader();
    for (let i = 0; i < 5; i += 1) write(core);
    for (let seq = 2; seq <= 6; seq += 1) for (const node of [2, 3]) ack(core, node, seq);
    expect(only(core.take(), 'committed')).toEqual([{ kind: 'committed', seq: 6 }]);
    expect(core.take()).toEqual([]);
  });
});

describe('recovery of a new leader', () => {
  const short = logOf([[1, 1]], 4);
  const quorum = { mode: 'quorum', grant: grantOf(3) } as const;

  test('F10: a quorum leader fences and hears |set| - k + 1 members before it begins', () => {
    const core = leader({ ...quorum, log: short });
    expect(core.phase).toBe('recovering');
    expect(only(core.take(), 'fence').map(({ node }) => node)).toEqual([2, 3]);
    core.hello(helloOf(2, 3, short));
    expect(core.phase).toBe('starting');
    expect(only(core.take(), 'append-epoch-begin')).toMatchObject([{ seq: 5, epoch: 3 }]);
  });

  test('F10: a member under another incarnation is not heard', () => {
    const core = leader({ ...quorum, log: short });
    core.hello(helloOf(2, 3, short, 2));
    expect(core.phase).toBe('recovering');
  });

  test('F10: it cuts what the longest does not have and copies what it lacks, epochs kept', () => {
    const longest = logOf(
      [
        [1, 1],
        [2, 4],
      ],
      6,
    );
    const core = leader({ ...quorum, log: short });
    core.take();
    core.hello(helloOf(2, 3, longest));
    expect(only(core.take(), 'truncate-self')).toEqual([{ kind: 'truncate-self', toSeq: 3 }]);
    expect(core.isSettled).toBe(false);
    core.selfTruncated({ seq: 3, chain: 1_003 });
    expect(only(core.take(), 'fetch-missing')).toMatchObject([
      { node: 2, fromSeq: 4, throughSeq: 6 },
    ]);
    for (const seq of [4, 5, 6]) core.appended(seq, 2, 2_000 + seq);
    expect(only(core.take(), 'append-epoch-begin')).toMatchObject([{ seq: 7 }]);
    expect(core.log().epochs).toEqual([
      { epoch: 1, firstSeq: 1 },
      { epoch: 2, firstSeq: 4 },
    ]);
  });

  test('F10: the longest is by (last epoch, end), not by end', () => {
    const longOld = logOf([[1, 1]], 9);
    const core = leader({ ...quorum, log: logOf([[2, 1]], 4) });
    core.hello(helloOf(2, 3, longOld));
    expect(core.phase).toBe('starting');
  });

  test('a copy goes on from another member, or from the same after a new link', () => {
    const longest = logOf([[1, 1]], 6);
    const core = leader({ ...quorum, log: short });
    core.hello(helloOf(2, 3, longest));
    core.appended(5, 1, 1_005);
    core.take();
    core.followerLost(2);
    expect(only(core.take(), 'fetch-missing')).toEqual([]);
    core.hello(helloOf(3, 3, longest));
    expect(only(core.take(), 'fetch-missing')).toMatchObject([{ node: 3, fromSeq: 6 }]);
  });

  test('only what is durable at a member is followed', () => {
    const core = leader({ ...quorum, log: short });
    core.hello(helloOf(2, 3, { ...logOf([[1, 1]], 9), durableSeq: 4 }));
    expect(core.phase).toBe('starting');
  });

  test('a leader that would need a snapshot resigns', () => {
    const core = leader({ ...quorum, log: short });
    core.hello(helloOf(2, 3, logOf([[1, 1]], 20, { firstFrameSeq: 9 })));
    expect(core.resignReason).toBe('too-far-behind');
  });

  test('`all` mode begins at once: every safe member has everything', () => {
    expect(leader({ log: logOf([[1, 1]], 4), grant: grantOf(2) }).phase).toBe('starting');
  });
});

describe('hello', () => {
  const log = logOf(
    [
      [1, 1],
      [3, 6],
    ],
    10,
    { committedSeq: 8 },
  );
  const core = () => leader({ grant: grantOf(4), log });

  test('F17: one round finds the end of the newest epoch that both know', () => {
    const leading = core();
    leading.take();
    leading.hello(
      helloOf(
        2,
        4,
        logOf(
          [
            [1, 1],
            [2, 8],
          ],
          12,
          { committedSeq: 5 },
        ),
      ),
    );
    const [output] = only(leading.take(), 'hello-answer');
    expect(output?.answer).toMatchObject({ kind: 'frames', cutSeq: 5 });
  });

  test('F17: a cut below what the follower knows to be committed is refused and alarms', () => {
    const leading = core();
    leading.take();
    leading.hello(
      helloOf(
        2,
        4,
        logOf(
          [
            [1, 1],
            [2, 8],
          ],
          12,
          { committedSeq: 9 },
        ),
      ),
    );
    const outputs = leading.take();
    expect(only(outputs, 'hello-answer')[0]?.answer.kind).toBe('refused');
    expect(only(outputs, 'alarm')).toMatchObject([{ reason: 'cut-below-committed', node: 2 }]);
    expect(only(outputs, 'stream')).toEqual([]);
  });

  test('F5: after an unclean election such a follower starts over instead', () => {
    const leading = leader({ grant: grantOf(4, true), log, safeSet: members(1) });
    leading.take();
    leading.hello(
      helloOf(
        2,
        4,
        logOf(
          [
            [1, 1],
            [2, 8],
          ],
          12,
          { committedSeq: 9 },
        ),
      ),
    );
    expect(only(leading.take(), 'hello-answer')[0]?.answer.kind).toBe('discard');
  });

  test('the stream starts with the answer, or with the acknowledgement of the cut', () => {
    const leading = core();
    write(leading);
    leading.take();
    leading.hello(helloOf(2, 4, logOf([[1, 1]], 5)));
    expect(only(leading.take(), 'stream')).toMatchObject([{ node: 2, fromSeq: 6 }]);
    leading.hello(
      helloOf(
        3,
        4,
        logOf(
          [
            [1, 1],
            [2, 6],
          ],
          9,
        ),
      ),
    );
    expect(only(leading.take(), 'stream')).toEqual([]);
    ack(leading, 3, 5);
    expect(only(leading.take(), 'stream')).toMatchObject([{ node: 3, fromSeq: 6 }]);
  });

  test('F5: who lacks frames that are gone here is told to take a snapshot', () => {
    const leading = core();
    leading.framesReleasedBelow(7);
    leading.take();
    leading.hello(helloOf(2, 4, logOf([[1, 1]], 5)));
    expect(only(leading.take(), 'hello-answer')[0]?.answer).toMatchObject({ kind: 'snapshot' });
    expect(leading.progress(2)?.isStreaming).toBe(false);
  });

  test('a follower far behind is streamed in the catch-up class until it is at the end', () => {
    const leading = leader({ grant: grantOf(4), log: logOf([[1, 1]], 500) });
    leading.take();
    leading.hello(helloOf(2, 4));
    expect(only(leading.take(), 'stream')).toMatchObject([{ streamClass: 'catch-up' }]);
    leading.sent(2, 500);
    ack(leading, 2, 499);
    expect(only(leading.take(), 'stream')).toEqual([]);
    ack(leading, 2, 500);
    expect(only(leading.take(), 'stream')).toMatchObject([{ fromSeq: 501, streamClass: 'tail' }]);
  });

  test('a follower of an older epoch is fenced, not answered', () => {
    const leading = core();
    leading.take();
    leading.hello(helloOf(2, 3));
    const outputs = leading.take();
    expect(only(outputs, 'fence')).toMatchObject([{ node: 2, fence: { epoch: 4, leader: 1 } }]);
    expect(only(outputs, 'hello-answer')).toEqual([]);
  });

  test('F7: a replica that returns with less than it acknowledged raises an alarm', () => {
    const leading = activeLeader();
    const seq = write(leading);
    ack(leading, 2, seq);
    leading.followerLost(2);
    leading.take();
    leading.hello(helloOf(2, 1, logOf([[1, 1]], 1)));
    expect(only(leading.take(), 'alarm')).toMatchObject([{ reason: 'acknowledged-frames-lost' }]);
  });

  test('an acknowledgement with another chain stops the stream and alarms', () => {
    const leading = activeLeader();
    const seq = write(leading);
    leading.ack(2, 1, 1, seq, 4_711);
    const outputs = leading.take();
    expect(only(outputs, 'alarm')).toMatchObject([{ reason: 'chain-mismatch', node: 2, seq }]);
    expect(only(outputs, 'stop-stream')).toMatchObject([{ node: 2 }]);
    expect(leading.progress(2)?.matchSeq).toBe(1);
  });
});

describe('time', () => {
  test('F30: a leader whose own disk stands still resigns', () => {
    const core = activeLeader();
    core.tick(100);
    write(core, false);
    for (let ms = 200; ms <= 1_200; ms += 200) core.tick(ms);
    expect(core.phase).toBe('active');
    core.tick(1_400);
    expect(core.resignReason).toBe('own-disk-stalled');
  });

  test('F30: a disk that is slow but moves is no reason to resign', () => {
    const core = activeLeader();
    for (let ms = 100; ms <= 5_000; ms += 100) {
      const seq = write(core, false);
      core.tick(ms);
      core.localDurable(seq - 1);
    }
    expect(core.phase).toBe('active');
  });

  test('time that the leader itself slept is held against nobody', () => {
    const core = activeLeader();
    core.tick(100);
    write(core, false);
    core.tick(200);
    core.tick(60_000);
    expect(core.phase).toBe('active');
    expect(core.isr()).toEqual([1, 2, 3]);
  });

  test('a planned move holds appends, waits until the target has all and it is committed, and gives up in time', () => {
    const core = activeLeader();
    const seq = write(core);
    core.planMove(2, 0);
    expect(core.canAppend()).toBe(false);
    expect(only(core.take(), 'move-ready')).toEqual([]);
    ack(core, 2, seq);
    expect(only(core.take(), 'move-ready')).toEqual([]);
    ack(core, 3, seq);
    expect(only(core.take(), 'move-ready')).toMatchObject([{ target: 2, partitionEpoch: 1 }]);
    core.tick(500);
    core.tick(1_000);
    core.tick(1_900);
    expect(core.canAppend()).toBe(false);
    core.tick(2_000);
    expect(only(core.take(), 'move-failed')).toMatchObject([{ target: 2 }]);
    expect(core.canAppend()).toBe(true);
  });

  test('a move that was asked for and not answered is in doubt until the set has another partition epoch', () => {
    const core = activeLeader();
    core.planMove(2, 0);
    expect(only(core.take(), 'move-ready')).toHaveLength(1);
    for (let ms = 500; ms <= 2_000; ms += 500) core.tick(ms);
    expect(core.isInDoubt).toBe(true);
    expect(core.isMembershipTold).toBe(false);
    const [asked] = only(core.take(), 'propose-safe-set');
    expect(asked?.proposal).toMatchObject({ expectedPartitionEpoch: 1, isr: [1, 2, 3] });
    core.planMove(3, 2_000);
    expect(only(core.take(), 'move-ready')).toEqual([]);
    core.safeSetChanged({ partitionEpoch: 2, safeSet: members(1, 2, 3), isr: [1, 2, 3] });
    expect(core.isInDoubt).toBe(false);
    expect(core.isMembershipTold).toBe(true);
    core.planMove(3, 2_000);
    expect(only(core.take(), 'move-ready')).toMatchObject([{ target: 3, partitionEpoch: 2 }]);
  });

  test('a move that is refused, or that another change has overtaken, is over at once and in no doubt', () => {
    const core = activeLeader();
    core.planMove(2, 0);
    core.moveRefused(0);
    expect(core.canAppend()).toBe(false);
    core.moveRefused(1);
    expect(core.canAppend()).toBe(true);
    core.planMove(2, 0);
    core.safeSetChanged({ partitionEpoch: 2, safeSet: members(1, 2, 3), isr: [1, 2, 3] });
    expect(core.canAppend()).toBe(true);
    expect(core.isInDoubt).toBe(false);
  });

  test('a move asks for nothing while a change of the set is under way, nor for a change while it goes on', () => {
    const core = activeLeader();
    core.liveChanged(members(1, 2));
    expect(only(core.take(), 'propose-safe-set')).toHaveLength(1);
    core.planMove(2, 0);
    expect(only(core.take(), 'move-ready')).toEqual([]);
    core.safeSetChanged({ partitionEpoch: 2, safeSet: members(1, 2, 3), isr: [1, 2] });
    expect(only(core.take(), 'move-ready')).toMatchObject([{ target: 2, partitionEpoch: 2 }]);
    core.liveChanged(members(1, 2, 3));
    expect(only(core.take(), 'propose-safe-set')).toEqual([]);
  });

  test('a quiet log is not ticked: a move has its whole time from when it is planned', () => {
    const core = activeLeader();
    core.tick(100);
    core.planMove(2, 10_000);
    core.take();
    core.tick(10_100);
    core.tick(11_000);
    core.tick(11_900);
    expect(core.canAppend()).toBe(false);
    core.tick(12_000);
    expect(only(core.take(), 'move-failed')).toHaveLength(1);
  });

  test('a plan for who is not connected begins nothing and is nothing that failed', () => {
    const core = activeLeader();
    core.followerLost(2);
    core.planMove(2, 0);
    expect(core.canAppend()).toBe(true);
    expect(only(core.take(), 'move-failed')).toEqual([]);
  });

  test('a target that did not come up is not tried again for some seconds; another one is', () => {
    const core = activeLeader();
    ack(core, 3, write(core));
    core.planMove(2, 0);
    for (let ms = 500; ms <= 2_000; ms += 500) core.tick(ms);
    core.take();
    core.planMove(2, 2_500);
    expect(core.canAppend()).toBe(true);
    core.planMove(3, 2_600);
    expect(core.canAppend()).toBe(false);
    core.moveRefused(1);
    core.followerLost(3);
    for (let ms = 2_700; ms <= 7_200; ms += 500) core.tick(ms);
    core.planMove(2, 7_200);
    expect(core.canAppend()).toBe(false);
  });

  test('a member that dies while a move waits is taken out, and the move goes on', () => {
    const core = activeLeader();
    const seq = write(core);
    ack(core, 2, seq);
    core.planMove(2, 0);
    core.followerLost(3);
    core.liveChanged(members(1, 2));
    const [asked] = only(core.take(), 'propose-safe-set');
    expect(asked?.proposal.newSet).toEqual(members(1, 2));
    core.safeSetChanged({ partitionEpoch: 2, safeSet: members(1, 2), isr: [1, 2] });
    expect(only(core.take(), 'move-ready')).toMatchObject([{ target: 2, partitionEpoch: 2 }]);
  });

  test('a target that dies while a move waits ends the move', () => {
    const core = activeLeader();
    write(core);
    core.planMove(2, 0);
    core.liveChanged(members(1, 3));
    core.tick(100);
    expect(only(core.take(), 'move-failed')).toMatchObject([{ target: 2 }]);
    expect(core.canAppend()).toBe(true);
  });
});
