// Changes of the safe set and the shown ISR: who may join, who must leave, and what counts
// meanwhile.
import { describe, expect, test } from 'vitest';
import type { LeaderCore } from '../../src/replication/leader-core.ts';
import type { SafeSetProposal } from '../../src/replication/types.ts';
import { ack, activeLeader, helloOf, leader, logOf, members, only, write } from './rig.ts';

/** Proposals since the last drain. */
function proposals(core: LeaderCore): SafeSetProposal[] {
  return only(core.take(), 'propose-safe-set').map(({ proposal }) => proposal);
}

const nodesOf = (proposal: SafeSetProposal | undefined) =>
  proposal?.newSet.map(({ node }) => node).sort();

function accept(core: LeaderCore, proposal: SafeSetProposal): void {
  core.safeSetChanged({
    partitionEpoch: proposal.expectedPartitionEpoch + 1,
    safeSet: proposal.newSet,
    isr: proposal.isr,
  });
}

/** Time passes while only these followers stay caught up. */
function pass(core: LeaderCore, fromMs: number, toMs: number, live: readonly number[]): void {
  for (let ms = fromMs; ms <= toMs; ms += 500) {
    core.tick(ms);
    if (ms === fromMs) write(core);
    for (const node of live) ack(core, node, core.endSeq);
  }
}

describe('shrinking', () => {
  test('F6: in `all` mode a follower that lags for 10 s leaves, and commits go on', () => {
    const core = activeLeader();
    pass(core, 500, 12_000, [2]);
    const [proposal] = proposals(core);
    expect(nodesOf(proposal)).toEqual([1, 2]);
    expect(core.committedSeq).toBe(1);
    accept(core, proposal!);
    expect(core.committedSeq).toBe(core.endSeq);
  });

  test('F6: a dead member leaves at once', () => {
    const core = activeLeader();
    core.liveChanged(members(1, 2));
    expect(nodesOf(proposals(core)[0])).toEqual([1, 2]);
  });

  test('F6: the set never shrinks below m; the shown ISR does, and acks=all is refused', () => {
    const core = activeLeader();
    core.liveChanged(members(1));
    const outputs = core.take();
    const [output] = only(outputs, 'propose-safe-set');
    expect(nodesOf(output?.proposal)).toEqual([1, 2, 3]);
    expect(output?.proposal.isr).toEqual([1]);
    expect(only(outputs, 'can-accept-all')).toEqual([{ kind: 'can-accept-all', can: false }]);
    expect(core.canAcceptAll()).toBe(false);
    expect(core.canAppend()).toBe(true);
  });

  test('F10: in `quorum` mode a lagging member stays in the set and leaves the shown ISR', () => {
    const core = activeLeader({ mode: 'quorum' });
    pass(core, 500, 12_000, [2]);
    const [proposal] = proposals(core);
    expect(nodesOf(proposal)).toEqual([1, 2, 3]);
    expect(proposal?.isr).toEqual([1, 2]);
    expect(core.isr()).toEqual([1, 2]);
  });
});

describe('an observer', () => {
  test.each(['all', 'quorum'] as const)('%s: follows, and never joins the set', (mode) => {
    const core = leader({ safeSet: members(1, 2), isr: [1, 2], mode, observers: [3] });
    core.hello(helloOf(2, 1));
    core.hello(helloOf(3, 1));
    const begin = write(core);
    ack(core, 3, begin);
    expect(core.committedSeq).toBe(0);
    ack(core, 2, begin);
    expect(core.committedSeq).toBe(begin);
    pass(core, 500, 30_000, [2, 3]);
    expect(proposals(core)).toEqual([]);
    expect(core.progress(3)?.matchSeq).toBe(core.endSeq);
  });

  test('is not waited for by those who are to leave', () => {
    const core = activeLeader({ replicas: [1, 2, 3, 4], observers: [4] });
    core.replicasChanged([1, 2, 4], 0, [4]);
    const [proposal] = proposals(core);
    expect(nodesOf(proposal)).toEqual([1, 2]);
  });
});

describe('joining', () => {
  const two = { safeSet: members(1, 2), isr: [1, 2] };

  test('F6: a newcomer must hold the committed seq and the epoch-begin', () => {
    const core = leader(two);
    core.hello(helloOf(2, 1));
    core.hello(helloOf(3, 1));
    const begin = write(core);
    ack(core, 2, begin);
    expect(proposals(core)).toEqual([]);
    ack(core, 3, begin);
    expect(nodesOf(proposals(core)[0])).toEqual([1, 2, 3]);
  });

  test('F6: with a change under way a frame needs both sets, before and after acceptance', () => {
    const core = leader(two);
    core.hello(helloOf(2, 1));
    core.hello(helloOf(3, 1));
    const begin = write(core);
    ack(core, 2, begin);
    ack(core, 3, begin);
    const seq = write(core);
    ack(core, 2, seq);
    expect(core.committedSeq).toBe(begin);
    accept(core, proposals(core)[0]!);
    expect(core.committedSeq).toBe(begin);
    ack(core, 3, seq);
    expect(core.committedSeq).toBe(seq);
  });

  test('F6: only one change is under way at a time', () => {
    const core = leader({ safeSet: members(1), isr: [1], minInsync: 1 });
    write(core);
    core.hello(helloOf(2, 1));
    ack(core, 2, 1);
    expect(proposals(core)).toHaveLength(1);
    core.hello(helloOf(3, 1));
    ack(core, 3, 1);
    expect(proposals(core)).toEqual([]);
  });

  test('F6: an unanswered proposal is repeated as it is, under a new attempt number', () => {
    const core = leader(two);
    core.hello(helloOf(2, 1));
    core.hello(helloOf(3, 1));
    write(core);
    ack(core, 2, 1);
    ack(core, 3, 1);
    const [first] = proposals(core);
    for (const ms of [1_000, 2_000]) core.tick(ms);
    const [second] = proposals(core);
    expect(second).toEqual({ ...first, attempt: first!.attempt + 1 });
  });

  test('F6: a refusal ends a change only if no other attempt of it can still win', () => {
    const core = leader(two);
    core.hello(helloOf(2, 1));
    core.hello(helloOf(3, 1));
    write(core);
    ack(core, 2, 1);
    ack(core, 3, 1);
    const [first] = proposals(core);
    for (const ms of [1_000, 2_000]) core.tick(ms);
    const [second] = proposals(core);
    const current = { partitionEpoch: 1, safeSet: members(1, 2), isr: [1, 2] };
    core.safeSetRejected(second!.attempt, current);
    const seq = write(core);
    ack(core, 2, seq);
    expect(core.committedSeq).toBe(1);
    // It asks for the old set, which takes the partition epoch away from the lost attempt.
    const [withdrawal] = proposals(core);
    expect(nodesOf(withdrawal)).toEqual([1, 2]);
    // Nobody beyond that set may be shown, or it would be refused for ever.
    expect(withdrawal?.isr).toEqual([1, 2]);
    expect(withdrawal?.expectedPartitionEpoch).toBe(first?.expectedPartitionEpoch);
    accept(core, withdrawal!);
    expect(core.committedSeq).toBe(seq);
  });

  test('F6: a withdrawal that is refused is not repeated before its time', () => {
    const core = leader(two);
    core.hello(helloOf(2, 1));
    core.hello(helloOf(3, 1));
    write(core);
    ack(core, 2, 1);
    ack(core, 3, 1);
    proposals(core);
    for (const ms of [1_000, 2_000]) core.tick(ms);
    const [second] = proposals(core);
    const current = { partitionEpoch: 1, safeSet: members(1, 2), isr: [1, 2] };
    core.safeSetRejected(second!.attempt, current);
    const [withdrawal] = proposals(core);
    core.safeSetRejected(withdrawal!.attempt, current);
    expect(proposals(core)).toEqual([]);
    for (const ms of [3_000, 4_000]) core.tick(ms);
    expect(proposals(core).length).toBe(1);
  });

  test.each([
    ['all', members(1, 2)],
    ['quorum', members(1, 2, 3)],
  ] as const)(
    'mode %s: a node that was fenced while it was asked for is asked for when it is back',
    (mode, safeSet) => {
      const core = leader({ mode, safeSet, isr: [1, 2] });
      for (const node of [2, 3]) core.hello(helloOf(node, 1));
      const begin = write(core);
      for (const node of [2, 3]) ack(core, node, begin);
      core.tick(100);
      const [first] = proposals(core);
      expect(first?.isr).toEqual([1, 2, 3]);
      // The metadata fences node 3, refuses, and then hears node 3 again: nothing else goes on in this log.
      core.safeSetRejected(first!.attempt, { partitionEpoch: 1, safeSet, isr: [1, 2] });
      core.liveChanged(members(1, 2));
      core.tick(1_000);
      expect(core.isMembershipTold).toBe(false);
      core.liveChanged(members(1, 2, 3));
      // A shell ticks while somebody has to be told.
      for (let ms = 1_500; ms <= 5_000 && !core.isMembershipTold; ms += 500) core.tick(ms);
      expect(proposals(core)[0]?.isr).toEqual([1, 2, 3]);
    },
  );

  test('after a refusal that was right a leader is left alone when the pause is over', () => {
    const core = leader({ safeSet: members(1, 2), isr: [1, 2] });
    for (const node of [2, 3]) core.hello(helloOf(node, 1));
    const begin = write(core);
    for (const node of [2, 3]) ack(core, node, begin);
    const [first] = proposals(core);
    const safeSet = members(1, 2);
    core.safeSetRejected(first!.attempt, { partitionEpoch: 1, safeSet, isr: [1, 2] });
    core.liveChanged(safeSet);
    for (const ms of [1_000, 2_000]) core.tick(ms);
    expect(core.isMembershipTold).toBe(true);
    core.liveChanged(members(1, 2, 3));
    expect(nodesOf(proposals(core)[0])).toEqual([1, 2, 3]);
  });

  test('F6: a late refusal of an older epoch names no attempt of this one', () => {
    const start = { ...two, partitionEpoch: 1 };
    const older = leader(start);
    const newer = leader({
      ...start,
      grant: { epoch: 2, nodeIncarnation: 4, shardIncarnation: 9, unclean: false },
    });
    const attempts = [older, newer].map((core) => {
      core.hello(helloOf(2, core.epoch));
      core.hello(helloOf(3, core.epoch));
      write(core);
      ack(core, 2, 1);
      ack(core, 3, 1);
      return proposals(core)[0]!.attempt;
    });
    newer.safeSetRejected(attempts[0]!, {
      partitionEpoch: 1,
      safeSet: members(1, 2),
      isr: [1, 2],
    });
    const seq = write(newer);
    ack(newer, 2, seq);
    expect(newer.committedSeq).toBe(1);
  });

  test('F6: an acknowledgement given before the disk was wiped does not count afterwards', () => {
    const core = activeLeader();
    const seq = write(core);
    ack(core, 3, seq);
    core.hello(helloOf(3, 1, undefined, 2));
    ack(core, 2, seq);
    expect(core.committedSeq).toBe(1);
    // Nor does a late one of the old incarnation.
    ack(core, 3, seq, 1);
    expect(core.committedSeq).toBe(1);
  });

  test('F7: the controller removes a lossy member, and it rejoins under its new incarnation', () => {
    const core = activeLeader();
    core.liveChanged([...members(1, 2), { node: 3, incarnation: 2 }]);
    core.take();
    core.safeSetChanged({ partitionEpoch: 2, safeSet: members(1, 2), isr: [1, 2] });
    expect(proposals(core)).toEqual([]);
    core.hello(helloOf(3, 1, undefined, 2));
    ack(core, 3, 1, 2);
    const [proposal] = proposals(core);
    expect(proposal?.newSet).toContainEqual({ node: 3, incarnation: 2 });
    expect(proposal?.expectedPartitionEpoch).toBe(2);
  });

  test('F7: in `quorum` mode the leader itself replaces the lost incarnation', () => {
    const core = activeLeader({ mode: 'quorum' });
    core.liveChanged([...members(1, 2), { node: 3, incarnation: 2 }]);
    const [absence] = proposals(core);
    expect(absence).toMatchObject({ newSet: members(1, 2, 3), isr: [1, 2] });
    core.hello(helloOf(3, 1, undefined, 2));
    ack(core, 3, 1, 2);
    accept(core, absence!);
    expect(proposals(core)[0]?.newSet).toEqual([...members(1, 2), { node: 3, incarnation: 2 }]);
  });

  test('a leader that the controller took out of the set resigns', () => {
    const core = activeLeader();
    core.safeSetChanged({ partitionEpoch: 2, safeSet: members(2, 3), isr: [2, 3] });
    expect(core.resignReason).toBe('removed-from-safe-set');
  });
});

describe('reassignment', () => {
  test('the old replica stays until the new one has caught up, then both change in one step', () => {
    const core = activeLeader({ mode: 'quorum' });
    core.liveChanged(members(1, 2, 3, 4));
    core.replicasChanged([1, 2, 4]);
    expect(proposals(core)).toEqual([]);
    core.hello(helloOf(4, 1));
    ack(core, 4, 1);
    expect(nodesOf(proposals(core)[0])).toEqual([1, 2, 4]);
  });

  test.each(['all', 'quorum'] as const)(
    'mode %s: a new leader lets go of who is to leave, also when it hears the others only after its last tick',
    (mode) => {
      const safeSet = members(1, 2, 3, 4);
      const core = leader({ mode, safeSet, isr: [1, 2, 3, 4], live: safeSet });
      core.replicasChanged([1, 2, 3]);
      for (const node of [2, 3, 4]) core.hello(helloOf(node, 1));
      const begin = write(core);
      core.tick(100);
      // Nothing is written any more. A shell ticks while there is something to be told.
      expect(core.isMembershipTold).toBe(false);
      for (const node of [2, 3, 4]) ack(core, node, begin);
      core.tick(200);
      const [leaving] = proposals(core);
      expect(nodesOf(leaving)).toEqual([1, 2, 3]);
      accept(core, leaving!);
      core.tick(300);
      expect(core.isMembershipTold).toBe(true);
    },
  );

  test('F47: an absent member is replaced: {1, 2 absent} becomes {1, 4}', () => {
    const core = leader({ safeSet: members(1, 2), isr: [1, 2], live: members(1, 3, 4) });
    core.replicasChanged([1, 2, 4]);
    write(core);
    core.hello(helloOf(4, 1));
    ack(core, 4, 1);
    // The absence is shown first; the replacement follows when that is decided.
    const [absence] = proposals(core);
    expect(absence).toMatchObject({ newSet: members(1, 2), isr: [1] });
    accept(core, absence!);
    expect(nodesOf(proposals(core)[0])).toEqual([1, 4]);
    expect(core.committedSeq).toBe(0);
  });

  test('a rejoining follower returns to the shown ISR as soon as it holds everything', () => {
    const core = activeLeader({ mode: 'quorum' });
    pass(core, 500, 12_000, [2]);
    const [shrunk] = proposals(core);
    accept(core, shrunk!);
    expect(core.isr()).toEqual([1, 2]);
    core.hello(helloOf(3, 1, logOf([[1, 1]], 1)));
    ack(core, 3, core.endSeq);
    expect(core.isr()).toEqual([1, 2, 3]);
    expect(proposals(core)[0]?.isr).toEqual([1, 2, 3]);
  });
});
