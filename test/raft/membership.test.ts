// Membership changes: joint consensus, learners first, one change at a time, roll-back with the log,
// and the six-step story of a node that comes back with an empty disk under its old name.
import { describe, expect, test } from 'vitest';
import { configurationOf, isJoint, peerOf, type RaftMessage } from '../../src/raft/index.ts';
import { quorumValue, voteOutcome } from '../../src/raft/membership.ts';
import { Cluster, type ClusterOptions, emptyDisk } from './cluster.ts';

const [P1, P2, P3, P4] = [1, 2, 3, 4].map((id) => peerOf(id, 1));

function cluster(options: Partial<ClusterOptions> = {}): Cluster {
  const random = () => ({ below: () => 0 });
  return new Cluster({ ids: [1, 2, 3], random, isDiskInstant: true, isEncoded: true, ...options });
}

function change(c: Cluster, id: number, voters: number[], learners: number[] = []): void {
  c.step(id, { kind: 'change-membership', requestId: 1, voters, learners });
}

function voters(c: Cluster, id: number): readonly number[] {
  return c.core(id).status.configuration.voters;
}

describe('quorums', () => {
  test.each([
    [[5], 5],
    [[5, 3], 3],
    [[5, 4, 3], 4],
    [[9, 4, 3, 1], 3],
    [[9, 8, 3, 2, 1], 3],
  ])('matches %j commit %i', (matches, want) => {
    const configuration = configurationOf(matches.map((_, i) => peerOf(i + 1, 1)));
    const reached = (peer: number) => matches[Math.floor(peer / 2 ** 32) - 1];
    expect(quorumValue(configuration, reached)).toBe(want);
  });

  test('a joint configuration needs both majorities', () => {
    const joint = configurationOf([P1, P2, P3], [], [P4]);
    const yes = (peers: number[]) => voteOutcome(joint, new Map(peers.map((p) => [p, true])));
    expect([yes([P1, P2, P3]), yes([P4]), yes([P1, P4]), yes([P1, P2, P4])]).toEqual([
      'open',
      'open',
      'open',
      'won',
    ]);
    expect(voteOutcome(joint, new Map([[P4, false]]))).toBe('lost');
  });
});

describe('a change', () => {
  test('adds a learner, then promotes it when it has caught up', () => {
    const c = cluster({ ids: [1, 2, 3, 4], voters: [1, 2, 3] });
    c.elect(1);
    change(c, 1, [P1, P2, P3, P4]);
    expect(c.node(1).refusals).toEqual([{ requestId: 1, reason: 'lagging' }]);
    change(c, 1, [P1, P2, P3], [P4]);
    c.settle();
    expect(c.core(4).status).toMatchObject({ leader: P1, configuration: { learners: [P4] } });
    change(c, 1, [P1, P2, P3, P4]);
    c.settle();
    for (const id of [1, 2, 3, 4]) {
      expect(voters(c, id)).toEqual([P1, P2, P3, P4]);
      expect(isJoint(c.core(id).status.configuration)).toBe(false);
    }
  });

  test('is refused while another is in flight and before an own commit', () => {
    const c = cluster();
    c.nowMs += 1000;
    c.core(2).step({ kind: 'applied', index: 0 }, c.nowMs);
    c.step(1, { kind: 'tick' });
    c.settle((m) => m.kind === 'append-request');
    change(c, 1, [P1, P2]);
    c.advance(100);
    c.settle();
    change(c, 1, [P1, P2]);
    change(c, 1, [P1, P3]);
    expect(c.node(1).refusals.map((r) => r.reason)).toEqual(['not-ready', 'change-in-flight']);
  });

  test('that removes the leader ends its leadership and names an heir', () => {
    const c = cluster();
    c.elect(1);
    change(c, 1, [P2, P3]);
    c.settle();
    expect(c.core(1).status.role).toBe('follower');
    expect(c.leaders()).toHaveLength(1);
    expect(c.leaders()[0]).not.toBe(1);
    expect(voters(c, 2)).toEqual([P2, P3]);
  });

  test('rolls back with its entry', () => {
    const c = cluster();
    c.elect(1);
    change(c, 1, [P1, P2]);
    expect(isJoint(c.core(1).status.configuration)).toBe(true);
    const isCut = (m: RaftMessage) => m.to === P1 || m.from === P1;
    c.settle(isCut);
    c.nowMs += 2000;
    c.core(3).step({ kind: 'applied', index: 0 }, c.nowMs);
    c.step(2, { kind: 'tick' });
    c.settle(isCut);
    expect(c.core(2).status.role).toBe('leader');
    c.propose(2, 'x');
    c.advance(100);
    c.settle();
    expect(c.core(1).status.configuration).toEqual(configurationOf([P1, P2, P3]));
  });

  test('is finished by the next leader when the first one dies in the joint state', () => {
    for (const lost of ['joint-commit', 'leave'] as const) {
      const c = cluster({ ids: [1, 2, 3, 4], voters: [1, 2, 3], learners: [4] });
      c.elect(1);
      change(c, 1, [P2, P3, P4]);
      const joint = c.core(1).status.lastIndex;
      c.settle((m) => {
        if (m.kind !== 'append-request') return false;
        return lost === 'leave' ? m.prevIndex >= joint : m.commit >= joint;
      });
      c.crash(1);
      c.nowMs += 2000;
      for (const id of [3, 4]) c.core(id).step({ kind: 'applied', index: 0 }, c.nowMs);
      c.step(2, { kind: 'tick' });
      c.settle();
      expect(c.core(2).status.role).toBe('leader');
      for (const id of [2, 3, 4]) {
        expect(c.core(id).status.configuration).toEqual(configurationOf([P2, P3, P4]));
      }
    }
  });

  test('can be finished by the very peer that it removes, when no other log is long enough', () => {
    const c = cluster();
    c.elect(1);
    change(c, 1, [P2, P3], [P1]);
    // Both followers get the joint entry; nobody gets the one that leaves the joint state.
    c.settle((m) => m.kind === 'append-request' && m.prevIndex >= 2);
    expect(voters(c, 1)).toEqual([P2, P3]);
    for (let i = 0; i < 20; i += 1) {
      c.advance(100);
      c.settle((m) => m.to === P1 || m.from === P1);
    }
    expect(c.leaders()).toEqual([]);
    for (let i = 0; i < 60; i += 1) {
      c.advance(100);
      c.settle();
    }
    expect(c.leaders()).toHaveLength(1);
    expect(c.core(2).status.configuration).toEqual(configurationOf([P2, P3], [P1]));
  });

  test('a removed peer that campaigns disturbs nobody', () => {
    const c = cluster();
    c.elect(1);
    change(c, 1, [P1, P2]);
    c.settle((m) => m.to === P3);
    for (let i = 0; i < 30; i += 1) {
      c.advance(100);
      c.settle();
    }
    expect(c.leaders()).toEqual([1]);
    expect(c.core(1).status.term).toBe(1);
  });
});

test('a node with a fresh disk under its old name cannot help to lose what it had acknowledged', () => {
  const c = cluster();
  c.elect(1);
  c.propose(1, 'precious');
  c.settle((m) => m.to === P3 || m.from === P3);
  expect(c.node(1).applied).toEqual(['precious']);
  c.crash(1);
  c.crash(2);
  // Node 2 lost its disk. Its new incarnation and node 3, which never had the entry, are a
  // majority of names, but not of voters.
  c.start(2, 2, emptyDisk(), false);
  for (let i = 0; i < 60; i += 1) {
    c.advance(100);
    c.settle();
  }
  expect(c.leaders()).toEqual([]);
  c.restart(1);
  for (let i = 0; i < 30; i += 1) {
    c.advance(100);
    c.settle();
  }
  expect(c.leaders()).toEqual([1]);
  const reborn = peerOf(2, 2);
  change(c, 1, [P1, P2, P3], [reborn]);
  c.settle();
  change(c, 1, [P1, P3, reborn]);
  c.settle();
  expect(voters(c, 3)).toEqual([P1, reborn, P3].sort((a, b) => a - b));
  expect(c.node(2).applied).toEqual(['precious']);
});
