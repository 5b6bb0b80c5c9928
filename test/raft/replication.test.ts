// Replication and commit: sections 5.3 and 5.4.2 of the Raft paper, the pipeline with its caps,
// durable acknowledgements, and late completions of superseded writes.
import { describe, expect, test } from 'vitest';
import { type Entry, NO_PEER, peerOf, type RaftMessage } from '../../src/raft/index.ts';
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

function entriesOf(terms: readonly number[], from = 1): Entry[] {
  return terms.map((term, i) => {
    return { index: from + i, term, kind: 'command' as const, data: new Uint8Array([term]) };
  });
}

function appendRequest(over: Partial<Extract<RaftMessage, { kind: 'append-request' }>>) {
  const base = { from: P2, to: P1, term: 9, prevIndex: 0, prevTerm: 0, commit: 0, entries: [] };
  return { kind: 'append-request' as const, ...base, ...over };
}

/** Node 1 with a log of these terms. */
function follower(terms: readonly number[]): Cluster {
  const cluster = threeNodes();
  const hardState = { term: 9, vote: NO_PEER, commit: 0 };
  cluster.start(1, 1, { hardState, snapshot: undefined, entries: entriesOf(terms) });
  cluster.network = [];
  return cluster;
}

function diskTerms(cluster: Cluster, id: number): number[] {
  return cluster.node(id).disk.entries.map((entry) => entry.term);
}

describe('a follower', () => {
  test('rejects what does not follow its log, with a hint where to look', () => {
    const cluster = follower([1, 1, 4, 4]);
    cluster.deliver(appendRequest({ prevIndex: 6, prevTerm: 3 }));
    expect(cluster.network).toMatchObject([
      { kind: 'append-response', isRejected: true, index: 6, hintIndex: 2, hintTerm: 1 },
    ]);
  });

  test('cuts what conflicts and keeps what matches', () => {
    const cluster = follower([1, 2, 2]);
    cluster.deliver(appendRequest({ prevIndex: 1, prevTerm: 1, entries: entriesOf([3], 2) }));
    expect(diskTerms(cluster, 1)).toEqual([1, 3]);
  });

  test('keeps a matching suffix that a short, late append does not name', () => {
    const cluster = follower([1, 2, 2]);
    cluster.deliver(appendRequest({ prevIndex: 0, prevTerm: 0, entries: entriesOf([1]) }));
    expect(diskTerms(cluster, 1)).toEqual([1, 2, 2]);
    expect(cluster.network).toMatchObject([{ isRejected: false, index: 1 }]);
  });

  test('commits no further than the request has shown to match', () => {
    const cluster = follower([1, 2, 2]);
    const entries = entriesOf([1]);
    cluster.deliver(appendRequest({ prevIndex: 0, prevTerm: 0, commit: 3, entries }));
    expect(cluster.core(1).status.commit).toBe(1);
  });

  test('acknowledges an append only when it is on disk', () => {
    const cluster = threeNodes({ isDiskInstant: false });
    cluster.deliver(appendRequest({ term: 1, entries: entriesOf([1]) }));
    expect(cluster.network).toEqual([]);
    cluster.finishWrite(1);
    expect(cluster.network).toMatchObject([{ kind: 'append-response', index: 1 }]);
  });

  test('a write finished after its entries were replaced proves nothing about the new ones', () => {
    const cluster = threeNodes({ isDiskInstant: false });
    cluster.deliver(appendRequest({ term: 1, entries: entriesOf([1, 1]) }));
    const next = { from: P3, term: 2, entries: entriesOf([2, 2]) };
    cluster.deliver(appendRequest(next));
    cluster.finishWrite(1);
    expect(cluster.core(1).status.durableIndex).toBe(0);
    expect(cluster.network).toEqual([]);
    cluster.finishWrite(1);
    expect(cluster.core(1).status.durableIndex).toBe(2);
    expect(cluster.network).toMatchObject([{ to: P3, term: 2, index: 2 }]);
  });
});

describe('a leader', () => {
  // Figure 7 of the paper: what the followers may look like when the leader of term 8 starts.
  const leaderLog = [1, 1, 1, 4, 4, 5, 5, 6, 6, 6];
  const followers: [string, number[]][] = [
    ['a', [1, 1, 1, 4, 4, 5, 5, 6, 6]],
    ['b', [1, 1, 1, 4]],
    ['c', [1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 6]],
    ['d', [1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 7, 7]],
    ['e', [1, 1, 1, 4, 4, 4, 4]],
    ['f', [1, 1, 1, 2, 2, 2, 3, 3, 3, 3, 3]],
  ];
  test.each(followers)('brings follower %s of figure 7 to its own log', (_name, log) => {
    const cluster = threeNodes();
    const hardState = { term: 7, vote: NO_PEER, commit: 0 };
    const disk = (terms: number[]) => {
      return { hardState, snapshot: undefined, entries: entriesOf(terms) };
    };
    cluster.start(1, 1, disk(leaderLog));
    cluster.start(2, 1, disk(log));
    cluster.start(3, 1, disk([]));
    cluster.elect(1);
    expect(diskTerms(cluster, 2)).toEqual([...leaderLog, 8]);
    expect(cluster.core(2).status.commit).toBe(11);
  });

  test('counts only entries of its own term: figure 8', () => {
    const cluster = threeNodes();
    const hardState = { term: 3, vote: NO_PEER, commit: 0 };
    const disk = { hardState, snapshot: undefined, entries: entriesOf([1, 2]) };
    cluster.start(1, 1, disk);
    cluster.nowMs += 2000;
    cluster.step(1, { kind: 'tick' });
    // The no-op (index 3) is lost on the way; index 2 of term 2 reaches a majority.
    const isNoop = (m: RaftMessage) => m.kind === 'append-request' && m.prevIndex === 2;
    cluster.settle((m) => m.kind === 'append-request' && isNoop(m));
    const match = { from: P2, to: P1, term: 4, isRejected: false, index: 2 };
    cluster.deliver({ kind: 'append-response', ...match, hintIndex: 0, hintTerm: 0 });
    expect(cluster.core(1).status).toMatchObject({ role: 'leader', commit: 0 });
    cluster.network = [];
    cluster.deliver({ kind: 'append-response', ...match, index: 3, hintIndex: 0, hintTerm: 0 });
    expect(cluster.core(1).status.commit).toBe(3);
  });

  test('sends before its own disk is done, and does not count itself until then', () => {
    const cluster = threeNodes({ isDiskInstant: false });
    cluster.nowMs += 1000;
    cluster.step(1, { kind: 'tick' });
    const all = () => {
      while ([1, 2, 3].some((id) => cluster.finishWrite(id)) || cluster.network.length > 0) {
        cluster.settle();
      }
    };
    cluster.core(2).step({ kind: 'applied', index: 0 }, cluster.nowMs);
    all();
    cluster.propose(1, 'a');
    expect(cluster.network).toMatchObject([
      { kind: 'append-request', to: P2 },
      { kind: 'append-request', to: P3 },
    ]);
    cluster.settle();
    cluster.finishWrite(2);
    cluster.settle();
    expect(cluster.core(1).status.commit).toBe(1);
    cluster.finishWrite(1);
    expect(cluster.core(1).status.commit).toBe(2);
  });

  test('commits through two followers while its own disk stalls', () => {
    const cluster = threeNodes({ isDiskInstant: false });
    const run = (ids: number[]) => {
      do cluster.settle();
      while (ids.some((id) => cluster.finishWrite(id)) || cluster.network.length > 0);
    };
    cluster.nowMs += 1000;
    cluster.step(1, { kind: 'tick' });
    run([1, 2, 3]);
    cluster.propose(1, 'a');
    run([2, 3]);
    expect(cluster.core(1).status).toMatchObject({ commit: 2, durableIndex: 1 });
    // Committed, but applied here only when it is durable here too.
    expect(cluster.node(1).applied).toEqual([]);
    run([1]);
    expect(cluster.node(1).applied).toEqual(['a']);
  });

  test('pipelines up to the cap on appends, then waits for answers', () => {
    const cluster = threeNodes({ config: { inFlightMax: 3, appendBytesMax: 1 } });
    cluster.elect(1);
    for (let i = 0; i < 10; i += 1) cluster.propose(1, `p${i}`);
    const out = () => cluster.network.filter((m) => m.kind === 'append-request' && m.to === P2);
    expect(out()).toHaveLength(3);
    cluster.settle();
    expect(cluster.node(2).applied).toHaveLength(10);
  });

  test('pipelines up to the cap on bytes', () => {
    const cluster = threeNodes({ config: { inFlightBytesMax: 100, appendBytesMax: 50 } });
    cluster.elect(1);
    for (let i = 0; i < 10; i += 1) cluster.propose(1, 'x'.repeat(50));
    const out = cluster.network.filter((m) => m.kind === 'append-request' && m.to === P2);
    expect(out).toHaveLength(2);
  });

  test('finds lost appends by the next heartbeat', () => {
    const cluster = threeNodes();
    cluster.elect(1);
    cluster.propose(1, 'a');
    cluster.settle(() => true);
    cluster.propose(1, 'b');
    cluster.settle((m) => m.to === P3);
    cluster.advance(100);
    cluster.settle();
    expect(cluster.node(3).applied).toEqual(['a', 'b']);
  });

  test('a rejection that arrives late never takes a match back', () => {
    const cluster = threeNodes();
    cluster.elect(1);
    cluster.propose(1, 'a');
    cluster.settle();
    const late = { from: P2, to: P1, term: 1, isRejected: true, index: 1 };
    cluster.deliver({ kind: 'append-response', ...late, hintIndex: 0, hintTerm: 0 });
    expect(cluster.core(1).status.progress.get(P2)).toMatchObject({ match: 2, next: 3 });
  });

  test('refuses proposals beyond the cap of uncommitted bytes, and takes them again after commit', () => {
    const cluster = threeNodes({ config: { uncommittedBytesMax: 100 } });
    cluster.elect(1);
    cluster.propose(1, 'x'.repeat(60), 1);
    cluster.propose(1, 'y'.repeat(60), 2);
    expect(cluster.node(1).refusals).toEqual([{ requestId: 2, reason: 'busy' }]);
    cluster.settle();
    cluster.propose(1, 'z'.repeat(60), 3);
    expect(cluster.node(1).accepted.map((a) => a.requestId)).toEqual([1, 3]);
  });

  test('a peer that does not lead refuses', () => {
    const cluster = threeNodes();
    cluster.elect(1);
    cluster.propose(2, 'a', 5);
    expect(cluster.node(2).refusals).toEqual([{ requestId: 5, reason: 'not-leader' }]);
  });
});

describe('reads', () => {
  test('a read waits until a quorum confirms the leader', () => {
    const cluster = threeNodes();
    cluster.elect(1);
    cluster.propose(1, 'a');
    cluster.settle();
    cluster.step(1, { kind: 'read-index', requestId: 7 });
    expect(cluster.node(1).reads).toEqual([]);
    cluster.settle((m) => m.to === P3);
    expect(cluster.node(1).reads).toEqual([{ requestId: 7, index: 2 }]);
  });

  test('no read before the leader has committed in its own term', () => {
    const cluster = threeNodes();
    cluster.nowMs += 1000;
    cluster.core(2).step({ kind: 'applied', index: 0 }, cluster.nowMs);
    cluster.step(1, { kind: 'tick' });
    cluster.settle((m) => m.kind === 'append-request');
    expect(cluster.core(1).status).toMatchObject({ role: 'leader', isReady: false });
    cluster.step(1, { kind: 'read-index', requestId: 7 });
    cluster.advance(100);
    cluster.settle();
    expect(cluster.node(1).reads).toEqual([{ requestId: 7, index: 1 }]);
  });

  test('a paused old leader answers no read: it learns of its successor or of nobody', () => {
    const cluster = threeNodes();
    cluster.elect(1);
    cluster.nowMs += 2000;
    const isCut = (m: RaftMessage) => m.to === P1 || m.from === P1;
    cluster.core(3).step({ kind: 'applied', index: 0 }, cluster.nowMs);
    cluster.step(2, { kind: 'tick' });
    cluster.settle(isCut);
    expect(cluster.core(2).status.role).toBe('leader');
    cluster.propose(2, 'new');
    cluster.settle(isCut);
    cluster.step(1, { kind: 'read-index', requestId: 7 });
    cluster.settle();
    expect(cluster.node(1).reads).toEqual([]);
    expect(cluster.node(1).refusals).toEqual([{ requestId: 7, reason: 'leadership-lost' }]);
  });

  test('a single voter reads at once', () => {
    const cluster = threeNodes({ ids: [1] });
    cluster.elect(1);
    cluster.step(1, { kind: 'read-index', requestId: 1 });
    expect(cluster.node(1).reads).toEqual([{ requestId: 1, index: 1 }]);
  });
});
