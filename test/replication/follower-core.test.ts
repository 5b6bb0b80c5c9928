// The follower core by hand: what it refuses, cuts, acknowledges, applies and copies, and in which
// order.
import { describe, expect, test } from 'vitest';
import type { FollowerCore } from '../../src/replication/follower-core.ts';
import type { HelloAnswer } from '../../src/replication/types.ts';
import { chainOf, follower, logOf, onlyOf } from './rig.ts';

const fence = (epoch: number, unclean = false) => ({ epoch, leader: 1, unclean });

function helloNo(core: FollowerCore): number {
  return onlyOf(core.take(), 'send-hello').at(-1)!.hello.helloNo;
}

function answerFrames(core: FollowerCore, cutSeq: number, committedSeq = 0): void {
  const no = helloNo(core);
  core.helloAnswered({
    kind: 'frames',
    epoch: core.promisedEpoch,
    helloNo: no,
    committedSeq,
    cutSeq,
  });
}

/** Follows node 1 in that epoch, equal up to the own end. */
function following(epoch: number, log = logOf([], 0)): FollowerCore {
  const core = follower({ log });
  core.follow(fence(epoch));
  answerFrames(core, log.endSeq);
  core.take();
  return core;
}

function receive(core: FollowerCore, seq: number, epoch: number, previousEpoch = epoch) {
  return core.frame(
    core.promisedEpoch,
    seq,
    epoch,
    chainOf(seq, epoch),
    chainOf(seq - 1, previousEpoch),
  );
}

describe('following', () => {
  test('an acknowledgement is sent when frames are durable, with their chain', () => {
    const core = following(1);
    expect(receive(core, 1, 1)).toBe('append');
    expect(receive(core, 2, 1)).toBe('append');
    expect(onlyOf(core.take(), 'send-ack')).toEqual([]);
    core.durable(1);
    core.durable(2);
    expect(onlyOf(core.take(), 'send-ack')).toEqual([
      { kind: 'send-ack', to: 1, epoch: 1, durableSeq: 2, chain: chainOf(2, 1) },
    ]);
  });

  test('apply goes to the smaller of the committed seq and the own durable end, once', () => {
    const core = following(1);
    for (const seq of [1, 2, 3]) receive(core, seq, 1);
    core.durable(2);
    core.leaderCommitted(1, 3);
    expect(onlyOf(core.take(), 'apply')).toEqual([{ kind: 'apply', throughSeq: 2 }]);
    core.durable(3);
    expect(onlyOf(core.take(), 'apply')).toEqual([{ kind: 'apply', throughSeq: 3 }]);
    core.leaderCommitted(1, 3);
    expect(core.take()).toEqual([]);
  });

  test('a committed seq of another epoch, or before the logs were compared, does not count', () => {
    const log = logOf([[1, 1]], 5);
    const core = follower({ log });
    core.follow(fence(2));
    core.leaderCommitted(2, 5);
    expect(core.committedSeq).toBe(0);
    answerFrames(core, 3, 4);
    // Frames 4 and 5 of epoch 1 are not the leader's: they must not be applied while they are cut.
    expect(core.committedSeq).toBe(0);
    core.truncated({ seq: 3, chain: chainOf(3, 1) });
    expect(core.committedSeq).toBe(3);
    core.leaderCommitted(1, 5);
    expect(core.committedSeq).toBe(3);
  });

  test('frames of a lower epoch, doubles and gaps are not appended', () => {
    const core = following(2);
    expect(core.frame(1, 1, 1, 1, 0)).toBe('stale');
    expect(receive(core, 1, 2)).toBe('append');
    expect(receive(core, 1, 2)).toBe('duplicate');
    expect(receive(core, 3, 2)).toBe('gap');
    expect(core.phase).toBe('greeting');
    expect(onlyOf(core.take(), 'send-hello')).toHaveLength(1);
  });

  test('F2: a frame that does not continue our chain raises an alarm and is not appended', () => {
    const core = following(1);
    receive(core, 1, 1);
    expect(core.frame(1, 2, 1, 99, 4_711)).toBe('diverged');
    expect(core.phase).toBe('quarantined');
    expect(onlyOf(core.take(), 'alarm')).toEqual([
      { kind: 'alarm', reason: 'chain-mismatch', seq: 2 },
    ]);
    expect(core.endSeq).toBe(1);
  });

  test('F10: after a fence no acknowledgement goes out for an older epoch', () => {
    const core = following(1);
    receive(core, 1, 1);
    core.follow({ epoch: 2, leader: 3, unclean: false });
    core.durable(1);
    const outputs = core.take();
    expect(onlyOf(outputs, 'send-ack')).toEqual([]);
    expect(onlyOf(outputs, 'send-hello')).toMatchObject([{ to: 3, hello: { epoch: 2 } }]);
    core.follow(fence(1));
    expect(core.leader).toBe(3);
  });

  test('an answer to an older hello does not count', () => {
    const core = follower();
    core.follow(fence(1));
    const old = helloNo(core);
    core.linkLost();
    core.linkReady();
    core.helloAnswered({ kind: 'frames', epoch: 1, helloNo: old, committedSeq: 0, cutSeq: 0 });
    expect(core.phase).toBe('greeting');
  });
});

describe('cutting', () => {
  const log = logOf(
    [
      [1, 1],
      [2, 4],
    ],
    6,
    { committedSeq: 4 },
  );

  test('F17: the hello carries every epoch with its last seq', () => {
    const core = follower({ log });
    core.follow(fence(3));
    expect(onlyOf(core.take(), 'send-hello')[0]?.hello).toMatchObject({
      committedSeq: 4,
      endSeq: 6,
      tail: [
        { epoch: 1, lastSeq: 3 },
        { epoch: 2, lastSeq: 6 },
      ],
    });
  });

  test('F5: the cut is logged before any later frame is taken', () => {
    const core = follower({ log });
    core.follow(fence(3));
    answerFrames(core, 5);
    expect(onlyOf(core.take(), 'truncate')).toEqual([{ kind: 'truncate', toSeq: 5 }]);
    expect(core.isSettled).toBe(false);
    expect(core.frame(3, 6, 3, 1, chainOf(5, 2))).toBe('stale');
    // A late notice of a frame that is being cut must not be acknowledged.
    core.durable(6);
    expect(onlyOf(core.take(), 'send-ack')).toEqual([]);
    core.truncated({ seq: 5, chain: chainOf(5, 2) });
    expect(onlyOf(core.take(), 'send-ack')).toMatchObject([{ durableSeq: 5 }]);
    expect(receive(core, 6, 3, 2)).toBe('append');
  });

  test('F17: nothing at or below the committed seq is cut, whoever asks', () => {
    const core = follower({ log });
    core.follow(fence(3));
    answerFrames(core, 3);
    const outputs = core.take();
    expect(onlyOf(outputs, 'truncate')).toEqual([]);
    expect(onlyOf(outputs, 'alarm')).toMatchObject([{ reason: 'cut-below-committed', seq: 3 }]);
    expect(core.phase).toBe('quarantined');
  });

  test('a new leader during a cut is greeted only when the cut is done', () => {
    const core = follower({ log });
    core.follow(fence(3));
    answerFrames(core, 5);
    core.take();
    core.follow({ epoch: 4, leader: 3, unclean: false });
    expect(onlyOf(core.take(), 'send-hello')).toEqual([]);
    core.truncated({ seq: 5, chain: chainOf(5, 2) });
    expect(onlyOf(core.take(), 'send-hello')).toMatchObject([
      { to: 3, hello: { epoch: 4, endSeq: 5 } },
    ]);
  });

  test('F5: a log is discarded only by a leader that was elected uncleanly', () => {
    const clean = follower({ log });
    const unclean = follower({ log });
    for (const core of [clean, unclean]) {
      core.follow(fence(3, core === unclean));
      const no = helloNo(core);
      core.helloAnswered({ kind: 'discard', epoch: 3, helloNo: no, committedSeq: 0 });
    }
    expect(clean.phase).toBe('quarantined');
    expect(onlyOf(unclean.take(), 'discard-log')).toHaveLength(1);
    unclean.discarded();
    expect(onlyOf(unclean.take(), 'send-hello')[0]?.hello).toMatchObject({
      endSeq: 0,
      committedSeq: 0,
      tail: [],
    });
  });
});

describe('catch-up', () => {
  const log = logOf([[1, 1]], 6, { committedSeq: 4 });

  function copying(): FollowerCore {
    const core = follower({ log });
    core.follow(fence(3));
    const answer: HelloAnswer = {
      kind: 'snapshot',
      epoch: 3,
      helloNo: helloNo(core),
      committedSeq: 90,
      cutSeq: 4,
    };
    core.helloAnswered(answer);
    return core;
  }

  test('F5: segments, then the snapshot in one step, then frames; until then the end is old', () => {
    const core = copying();
    expect(onlyOf(core.take(), 'copy-segments')).toMatchObject([{ from: 1, epoch: 3 }]);
    core.segmentsCopied(3);
    expect(onlyOf(core.take(), 'fetch-snapshot')).toHaveLength(1);
    core.snapshotOffered({ epoch: 3, seq: 80 });
    expect(onlyOf(core.take(), 'install-snapshot')).toEqual([
      { kind: 'install-snapshot', seq: 80 },
    ]);
    expect([core.endSeq, core.committedSeq]).toEqual([6, 4]);
    core.snapshotInstalled({ seq: 80, chain: 5, epochs: [{ epoch: 2, firstSeq: 20 }] });
    expect([core.endSeq, core.committedSeq]).toEqual([80, 80]);
    expect(onlyOf(core.take(), 'send-hello')[0]?.hello).toMatchObject({
      endSeq: 80,
      firstFrameSeq: 81,
      tail: [{ epoch: 2, lastSeq: 80 }],
    });
  });

  test('F5: a snapshot below what is already committed here is not installed', () => {
    const core = copying();
    core.segmentsCopied(3);
    core.take();
    core.snapshotOffered({ epoch: 3, seq: 4 });
    const outputs = core.take();
    expect(onlyOf(outputs, 'install-snapshot')).toEqual([]);
    expect(onlyOf(outputs, 'send-hello')).toHaveLength(1);
  });

  test('a lost link or a newer leader ends the copy; its late results do not count', () => {
    const core = copying();
    core.take();
    core.linkLost();
    core.segmentsCopied(3);
    expect(onlyOf(core.take(), 'fetch-snapshot')).toEqual([]);
    core.follow({ epoch: 4, leader: 3, unclean: false });
    core.snapshotOffered({ epoch: 3, seq: 80 });
    expect(onlyOf(core.take(), 'install-snapshot')).toEqual([]);
  });
});
