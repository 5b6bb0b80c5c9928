// Elections: the acceptance list of sections 5.1, 5.2 and 5.4.1 of the Raft paper, pre-vote,
// check-quorum, the lease, hand-over, and the rule that nothing is said before it is durable.
import { describe, expect, test } from 'vitest';
import { NO_PEER, peerOf, type RaftMessage } from '../../src/raft/index.ts';
import { Cluster, type ClusterOptions } from './cluster.ts';

const P1 = peerOf(1, 1);
const P2 = peerOf(2, 1);
const P3 = peerOf(3, 1);

function threeNodes(options: Partial<ClusterOptions> = {}): Cluster {
  return new Cluster({
    ids: [1, 2, 3],
    random: () => ({ below: () => 0 }),
    isDiskInstant: true,
    isEncoded: true,
    ...options,
  });
}

function voteRequest(over: Partial<Extract<RaftMessage, { kind: 'vote-request' }>> = {}) {
  const request = { from: P2, to: P1, term: 1, isPreVote: false, isTransfer: false };
  return { kind: 'vote-request' as const, ...request, lastIndex: 0, lastTerm: 0, ...over };
}

function grants(cluster: Cluster): RaftMessage[] {
  return cluster.network.filter((m) => m.kind === 'vote-response' && m.isGranted);
}

describe('starting up', () => {
  test('a new peer is a follower in term 0', () => {
    expect(threeNodes().core(1).status).toMatchObject({ role: 'follower', term: 0, leader: 0 });
  });

  test('a follower that hears nobody asks for pre-votes and raises no term by that', () => {
    const cluster = threeNodes();
    cluster.nowMs = 500;
    cluster.step(1, { kind: 'tick' });
    expect(cluster.core(1).status).toMatchObject({ role: 'pre-candidate', term: 0 });
    expect(cluster.network.map((m) => [m.kind, m.to, m.term])).toEqual([
      ['vote-request', P2, 1],
      ['vote-request', P3, 1],
    ]);
  });

  test('a majority elects a leader, which commits a no-op of its term', () => {
    const cluster = threeNodes();
    cluster.elect(1);
    for (const id of [1, 2, 3]) {
      expect(cluster.core(id).status).toMatchObject({ term: 1, leader: P1, commit: 1 });
    }
  });

  test('a single voter commits only what its own disk holds', () => {
    const cluster = threeNodes({ ids: [1], isDiskInstant: false });
    cluster.nowMs = 1000;
    cluster.step(1, { kind: 'tick' });
    expect(cluster.core(1).status.role).toBe('candidate');
    cluster.finishWrite(1);
    expect(cluster.core(1).status).toMatchObject({ role: 'leader', commit: 0 });
    cluster.finishWrite(1);
    expect(cluster.core(1).status.commit).toBe(1);
  });

  test('a peer without a configuration never campaigns', () => {
    const cluster = threeNodes({ voters: [1, 2] });
    expect(cluster.core(3).deadlineMs).toBe(Number.POSITIVE_INFINITY);
    cluster.nowMs = 10_000;
    cluster.step(3, { kind: 'tick' });
    expect(cluster.core(3).status.role).toBe('follower');
  });
});

describe('one vote per term', () => {
  test('the first candidate gets the vote, another one does not, a repeat does', () => {
    const cluster = threeNodes();
    cluster.deliver(voteRequest());
    cluster.deliver(voteRequest({ from: P3 }));
    cluster.deliver(voteRequest());
    const answers = cluster.network.map((m) => [m.to, m.kind === 'vote-response' && m.isGranted]);
    expect(answers).toEqual([
      [P2, true],
      [P3, false],
      [P2, true],
    ]);
  });

  test('the vote survives a restart', () => {
    const cluster = threeNodes();
    cluster.deliver(voteRequest());
    cluster.crash(1);
    cluster.restart(1);
    cluster.network = [];
    cluster.deliver(voteRequest({ from: P3 }));
    expect(grants(cluster)).toEqual([]);
  });

  test('a grant leaves only when the vote is durable', () => {
    const cluster = threeNodes({ isDiskInstant: false });
    cluster.deliver(voteRequest());
    expect(cluster.network).toEqual([]);
    cluster.finishWrite(1);
    expect(grants(cluster)).toHaveLength(1);
  });

  test('a delayed grant of an earlier term is no vote', () => {
    const cluster = threeNodes();
    const run = (ms: number) => {
      cluster.nowMs += ms;
      cluster.step(1, { kind: 'tick' });
    };
    run(500);
    cluster.settle((m) => m.kind === 'vote-request' && !m.isPreVote);
    expect(cluster.core(1).status).toMatchObject({ role: 'candidate', term: 1 });
    run(500);
    cluster.settle((m) => m.kind === 'vote-request' && !m.isPreVote);
    expect(cluster.core(1).status).toMatchObject({ role: 'candidate', term: 2 });
    const late = { from: P2, to: P1, term: 1, isPreVote: false, isGranted: true };
    cluster.deliver({ kind: 'vote-response', ...late });
    expect(cluster.core(1).status.role).toBe('candidate');
  });

  test('votes of another incarnation count for nothing', () => {
    const cluster = threeNodes();
    cluster.nowMs += 500;
    cluster.step(1, { kind: 'tick' });
    cluster.settle((m) => m.kind === 'vote-request' && !m.isPreVote);
    for (const from of [peerOf(2, 7), peerOf(3, 7)]) {
      const vote = { from, to: P1, term: 1, isPreVote: false, isGranted: true };
      cluster.deliver({ kind: 'vote-response', ...vote });
    }
    expect(cluster.core(1).status.role).toBe('candidate');
  });

  test('a message to another incarnation is not ours', () => {
    const cluster = threeNodes();
    cluster.deliver(voteRequest({ to: peerOf(1, 7), term: 9 }));
    expect(cluster.core(1).status.term).toBe(0);
  });
});

describe('the election restriction', () => {
  // [own log terms, candidate's (lastIndex, lastTerm), granted]: terms decide before lengths.
  const cases: [number[], number, number, boolean][] = [
    [[1], 1, 1, true],
    [[1], 2, 1, true],
    [[1, 1], 1, 1, false],
    [[1], 1, 2, true],
    [[1, 1], 1, 2, true],
    [[2], 2, 1, false],
    [[2], 5, 1, false],
  ];
  test.each(cases)('log %j, candidate (%i, %i): granted %s', (terms, lastIndex, lastTerm, want) => {
    const entries = terms.map((term, i) => {
      return { index: i + 1, term, kind: 'noop' as const, data: new Uint8Array(0) };
    });
    const cluster = threeNodes();
    const hardState = { term: 3, vote: NO_PEER, commit: 0 };
    cluster.start(1, 1, { hardState, snapshot: undefined, entries });
    for (const isPreVote of [true, false]) {
      cluster.network = [];
      cluster.deliver(voteRequest({ term: 4, lastIndex, lastTerm, isPreVote }));
      expect(grants(cluster).length === 1).toBe(want);
    }
  });
});

describe('a good leader stays', () => {
  test('a rejoining peer cannot raise the term of those who hear the leader', () => {
    const cluster = threeNodes();
    cluster.elect(1);
    const isCut = (m: RaftMessage) => m.to === P3 || m.from === P3;
    for (let i = 0; i < 40; i += 1) {
      cluster.advance(100);
      cluster.settle(isCut);
    }
    for (let i = 0; i < 20; i += 1) {
      cluster.advance(100);
      cluster.settle();
    }
    expect(cluster.leaders()).toEqual([1]);
    expect(cluster.core(1).status.term).toBe(1);
  });

  test('a real vote request is refused too while the leader is heard', () => {
    const cluster = threeNodes();
    cluster.elect(1);
    cluster.deliver(voteRequest({ from: P3, to: P2, term: 9, lastIndex: 9, lastTerm: 9 }));
    expect(cluster.core(2).status.term).toBe(1);
    expect(cluster.network).toEqual([]);
  });

  test('a leader that hears no quorum steps down', () => {
    const cluster = threeNodes();
    cluster.elect(1);
    for (let i = 0; i < 8; i += 1) {
      cluster.advance(100);
      cluster.settle((m) => m.from === P1);
    }
    expect(cluster.core(1).status.role).not.toBe('leader');
  });

  test('a leader whose thread stood still asks once more before it steps down', () => {
    const cluster = threeNodes();
    cluster.elect(1);
    cluster.nowMs += 5000;
    cluster.step(1, { kind: 'tick' });
    expect(cluster.core(1).status.role).toBe('leader');
    cluster.settle();
    cluster.advance(500);
    expect(cluster.core(1).status.role).toBe('leader');
    cluster.nowMs += 5000;
    for (let i = 0; i < 8; i += 1) {
      cluster.step(1, { kind: 'tick' });
      cluster.nowMs += 100;
    }
    expect(cluster.core(1).status.role).toBe('follower');
  });

  test('a partial partition (1-2 cut, both see 3) does not make leaders fight', () => {
    const cluster = threeNodes({ random: (id) => ({ below: (n) => (id * 131) % n }) });
    cluster.elect(1);
    const isCut = (m: RaftMessage) =>
      (m.from === P1 && m.to === P2) || (m.from === P2 && m.to === P1);
    for (let i = 0; i < 100; i += 1) {
      cluster.advance(50);
      cluster.settle(isCut);
    }
    expect(cluster.core(3).status).toMatchObject({ leader: P1, term: 1 });
  });

  test('a message of a higher term ends leadership; one of a lower term is answered with ours', () => {
    const cluster = threeNodes();
    cluster.elect(1);
    cluster.deliver(voteRequest({ from: P2, to: P1, term: 5, isTransfer: true }));
    expect(cluster.core(1).status).toMatchObject({ role: 'follower', term: 5 });
    cluster.network = [];
    const old = { from: P3, to: P1, term: 2, commit: 0, readSeq: 0 };
    cluster.deliver({ kind: 'heartbeat', ...old });
    expect(cluster.network).toMatchObject([{ kind: 'append-response', term: 5, isRejected: true }]);
  });
});

describe('hand-over', () => {
  test('the target leads in the next term although the lease still holds', () => {
    const cluster = threeNodes();
    cluster.elect(1);
    cluster.step(1, { kind: 'transfer', requestId: 1, target: P2 });
    cluster.settle();
    expect(cluster.leaders()).toEqual([2]);
    expect(cluster.core(2).status.term).toBe(2);
  });

  test('a target that lags first catches up; proposals wait outside meanwhile', () => {
    const cluster = threeNodes();
    cluster.elect(1);
    cluster.propose(1, 'a');
    cluster.settle((m) => m.to === P2);
    cluster.step(1, { kind: 'transfer', requestId: 1, target: P2 });
    cluster.propose(1, 'b', 2);
    expect(cluster.node(1).refusals).toEqual([{ requestId: 2, reason: 'transferring' }]);
    cluster.advance(100);
    cluster.settle();
    expect(cluster.leaders()).toEqual([2]);
  });

  test('a hand-over that fails is over after one election timeout', () => {
    const cluster = threeNodes();
    cluster.elect(1);
    cluster.step(1, { kind: 'transfer', requestId: 1, target: P2 });
    for (let i = 0; i < 6; i += 1) {
      cluster.settle((m) => m.to === P2);
      cluster.advance(100);
    }
    cluster.propose(1, 'a', 3);
    expect(cluster.node(1).accepted).toMatchObject([{ requestId: 3 }]);
  });

  test('nobody but a voter can be the target', () => {
    const cluster = threeNodes({ voters: [1, 2], learners: [3] });
    cluster.elect(1);
    cluster.step(1, { kind: 'transfer', requestId: 1, target: P3 });
    expect(cluster.node(1).refusals).toEqual([{ requestId: 1, reason: 'invalid' }]);
  });
});
