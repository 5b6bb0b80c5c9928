// Witnesses: what they keep, when they are told, that they never lead, and that two peers with data and a witness
// survive the loss of either.
import { describe, expect, test } from 'vitest';
import {
  configurationOf,
  createRaft,
  peerOf,
  RAFT_DEFAULTS,
  recoverFrom,
} from '../../src/raft/index.ts';
import { runs } from '../setup/runs.ts';
import { Cluster, type ClusterOptions } from './cluster.ts';

const [P1, P2, P3, P4, P5] = [1, 2, 3, 4, 5].map((id) => peerOf(id, 1));
const { electionTimeoutMs, heartbeatMs } = RAFT_DEFAULTS;

function cluster(options: Partial<ClusterOptions> = {}): Cluster {
  const random = () => ({ below: () => 0 });
  return new Cluster({
    ids: [1, 2, 3],
    witnesses: [3],
    random,
    isDiskInstant: true,
    isEncoded: true,
    ...options,
  });
}

const kindsOf = (c: Cluster, id: number) => c.node(id).disk.entries.map((entry) => entry.kind);

describe('a witness', () => {
  test('keeps index and term of commands, whole configurations, and applies nothing', () => {
    const c = cluster({ config: { trailingEntries: 100 } });
    c.elect(1);
    c.propose(1, 'a');
    c.propose(1, 'b');
    c.settle();
    expect(kindsOf(c, 3)).toEqual(['noop', 'withheld', 'withheld']);
    expect(c.node(3).disk.entries.every((entry) => entry.data.byteLength === 0)).toBe(true);
    expect(c.node(3).applied).toEqual([]);
    expect(c.node(2).applied).toEqual(['a', 'b']);
    expect(c.core(3).status).toMatchObject({ commit: 3, applied: 3, durableIndex: 3 });
  });

  test('never stands for election, by time, by hand-over or when told to', () => {
    const c = cluster();
    c.elect(1);
    c.step(1, { kind: 'transfer', requestId: 5, target: P3 });
    expect(c.node(1).refusals).toEqual([{ requestId: 5, reason: 'invalid' }]);
    c.crash(1);
    c.crash(2);
    expect(c.core(3).deadlineMs).toBe(Number.POSITIVE_INFINITY);
    c.advance(60_000);
    c.step(3, { kind: 'tick' });
    c.step(3, { kind: 'campaign' });
    c.deliver({ kind: 'timeout-now', from: P1, to: P3, term: 1 });
    expect(c.core(3).status).toMatchObject({ role: 'follower', term: 1 });
    expect(c.network.filter((message) => message.from === P3)).toEqual([]);
  });

  test('drops its log by itself, and needs no image', () => {
    const c = cluster({ config: { trailingEntries: 1 } });
    c.elect(1);
    for (let i = 0; i < 40; i += 1) {
      c.propose(1, `v${i}`);
      c.settle();
    }
    const { disk } = c.node(3);
    expect(disk.entries.length).toBeLessThanOrEqual(12);
    expect(disk.snapshot!.index).toBeGreaterThan(25);
    expect(disk.snapshot!.data.byteLength).toBe(0);
    c.crash(3);
    c.restart(3);
    c.propose(1, 'after');
    c.settle();
    c.advance(heartbeatMs);
    c.settle();
    expect(c.core(3).status.commit).toBe(c.core(1).status.commit);
  });

  test('that is also called a member with data stops, and so does the other way round', () => {
    const start = (isWitness: boolean, witnesses: number[]) =>
      createRaft(
        { ...RAFT_DEFAULTS, self: P3, isWitness },
        recoverFrom(configurationOf([P1, P2, P3], [], [], witnesses), []),
        { below: () => 0 },
      );
    expect(() => start(true, [])).toThrow('a witness is a witness');
    expect(() => start(false, [P3])).toThrow('a witness is a witness');
    expect(() => start(true, [P3])).not.toThrow();
  });

  test('and its kind are fewer than the voters with data', () => {
    const found = (voters: number[], witnesses: number[]) =>
      createRaft(
        { ...RAFT_DEFAULTS, self: P1 },
        recoverFrom(configurationOf(voters, [], [], witnesses), []),
        { below: () => 0 },
      );
    expect(() => found([P1, P2], [P2])).toThrow('fewer witnesses');
    expect(() => found([P1, P2, P3], [P2, P3])).toThrow('fewer witnesses');
    expect(() => found([P1, P2, P3, P4, P5], [P4, P5])).not.toThrow();
    const c = cluster();
    c.elect(1);
    c.step(1, { kind: 'change-membership', requestId: 9, voters: [P1, P3], learners: [] });
    expect(c.node(1).refusals).toEqual([{ requestId: 9, reason: 'invalid' }]);
  });

  test('takes no withheld entry for data: a peer with a state machine ignores them', () => {
    const c = cluster();
    c.elect(1);
    const withheld = { index: 2, term: 1, kind: 'withheld' as const, data: new Uint8Array(0) };
    const base = { from: P1, to: P2, term: 1, prevIndex: 1, prevTerm: 1, commit: 2 };
    c.deliver({ kind: 'append-request', ...base, entries: [withheld] });
    expect(c.core(2).status.lastIndex).toBe(1);
    const rest = { snapshotIndex: 9, snapshotTerm: 1, configuration: configurationOf([P1]) };
    c.deliver({ kind: 'witness-snapshot', from: P1, to: P2, term: 1, ...rest });
    expect(c.core(2).status.snapshotIndex).toBe(0);
  });
});

describe('two peers with data and a witness', () => {
  test('acknowledge nothing that only one of them has, while both are there', () => {
    const c = cluster();
    c.elect(1);
    const { commit } = c.core(1).status;
    c.propose(1, 'a');
    // The witness is fast, node 2 slow but alive.
    for (let i = 0; i < 30; i += 1) {
      c.advance(heartbeatMs);
      c.settle((message) => message.to === P2 && message.kind === 'append-request');
    }
    expect(c.core(1).status.commit).toBe(commit);
    expect(c.core(3).status.lastIndex).toBe(commit);
    c.advance(heartbeatMs);
    c.settle();
    expect(c.core(1).status.commit).toBe(commit + 1);
  });

  test('go on without either of them', () => {
    for (const lost of [1, 2]) {
      const other = 3 - lost;
      const c = cluster();
      c.elect(1);
      c.propose(1, 'before');
      c.settle();
      c.crash(lost);
      for (let i = 0; i < 40; i += 1) {
        c.advance(heartbeatMs);
        c.settle();
      }
      expect(c.leaders()).toEqual([other]);
      c.propose(other, 'after');
      c.settle();
      expect(c.node(other).applied).toEqual(['before', 'after']);
    }
  });

  test('go on without the witness, and wait for nobody', () => {
    const c = cluster();
    c.elect(1);
    c.crash(3);
    c.propose(1, 'a');
    c.settle();
    expect(c.node(1).applied).toEqual(['a']);
    expect(c.node(2).applied).toEqual(['a']);
  });

  test('lose nothing when the leader dies at any moment, whatever was delivered', () => {
    // Every subset of the messages of three rounds: after each, node 1 is gone, and node 2 must be able to lead.
    for (let pattern = 0; pattern < runs(512, 96); pattern += 1) {
      const c = cluster();
      c.elect(1);
      c.settle();
      let drawn = 0;
      for (let round = 0; round < 3; round += 1) {
        c.propose(1, `v${round}`);
        c.settle((message) => {
          if (message.kind !== 'append-request') return false;
          drawn += 1;
          return ((pattern >> (drawn % 9)) & 1) === 1;
        });
        c.advance(heartbeatMs);
      }
      const told = c.node(1).applied;
      c.crash(1);
      c.network.length = 0;
      for (let i = 0; i < 30 && c.leaders().length === 0; i += 1) {
        c.advance(heartbeatMs);
        c.settle();
      }
      expect(c.leaders(), `pattern ${pattern}`).toEqual([2]);
      c.advance(2 * heartbeatMs);
      c.settle();
      expect(c.node(2).applied.slice(0, told.length), `pattern ${pattern}`).toEqual(told);
    }
  });

  test('wait one heartbeat for a member that said nothing in the election, no more', () => {
    const c = cluster();
    c.elect(1);
    c.crash(1);
    c.advance(2 * electionTimeoutMs);
    c.settle();
    if (c.leaders().length === 0) c.step(2, { kind: 'tick' });
    c.settle();
    expect(c.leaders()).toEqual([2]);
    expect(c.core(2).status.isReady).toBe(false);
    c.advance(heartbeatMs);
    c.settle();
    c.advance(heartbeatMs);
    c.settle();
    expect(c.core(2).status.isReady).toBe(true);
  });

  test('do not wait for one that comes back far behind', () => {
    const c = cluster({ config: { trailingEntries: 0, promotionLagMax: 5 } });
    c.elect(1);
    c.crash(2);
    for (let i = 0; i < 30; i += 1) {
      c.propose(1, `v${i}`);
      c.advance(heartbeatMs);
      c.settle();
    }
    c.compact(1);
    c.restart(2);
    // Node 2 answers, but gets neither entries nor the snapshot.
    const isLost = (message: { kind: string; to: number }) =>
      message.to === P2 && (message.kind === 'snapshot-chunk' || message.kind === 'append-request');
    for (let i = 0; i < 3; i += 1) {
      c.advance(heartbeatMs);
      c.settle(isLost);
    }
    c.propose(1, 'goes on');
    for (let i = 0; i < 3; i += 1) {
      c.advance(heartbeatMs);
      c.settle(isLost);
    }
    expect(c.node(1).applied.at(-1)).toBe('goes on');
  });
});
