// Mistakes that random histories seldom meet, each with the history that shows it: it passes without the mistake and is
// found out with it, by a checker of cluster.ts or an assertion of the core.
import { describe, expect, test } from 'vitest';
import { peerOf, type RaftFaults, type RaftMessage } from '../../src/raft/index.ts';
import { Cluster, type ClusterOptions } from './cluster.ts';

function cluster(faults: RaftFaults, options: Partial<ClusterOptions> = {}): Cluster {
  const random = () => ({ below: () => 0 });
  const config = { appendBytesMax: 1, inFlightMax: 1, faults };
  return new Cluster({ ids: [1, 2, 3], random, isDiskInstant: true, config, ...options });
}

/** All forget their leader, and `id` stands for election. */
function campaign(c: Cluster, id: number, isLost: (message: RaftMessage) => boolean): void {
  // The first try of one that missed a term only tells it so.
  for (let i = 0; i < 2 && c.core(id).status.role !== 'leader'; i += 1) {
    c.nowMs += 2000;
    for (const { core } of c.nodes.values()) core?.step({ kind: 'applied', index: 0 }, c.nowMs);
    c.step(id, { kind: 'tick' });
    c.settle(isLost);
  }
  expect(c.core(id).status.role).toBe('leader');
}

const isAppend = (message: RaftMessage) =>
  message.kind === 'append-request' || message.kind === 'heartbeat';

/** Figure 8 of the paper: an entry of an older term is on a majority, and is replaced all the same. */
function commitOlderTerms(faults: RaftFaults): void {
  const c = cluster(faults);
  c.elect(1);
  c.propose(1, 'replaced');
  c.settle(isAppend);
  c.crash(1);
  campaign(c, 2, isAppend);
  c.crash(2);
  c.network.length = 0;
  c.restart(1);
  // Node 3 gets the old entry, and not the no-op of the new term behind it.
  const isNoop = (m: RaftMessage) => m.kind === 'append-request' && m.entries[0]?.index === 3;
  campaign(c, 1, (m) => isNoop(m) && c.core(3).status.lastIndex === 2);
  expect(c.core(3).status.lastIndex).toBe(2);
  c.crash(1);
  c.network.length = 0;
  c.restart(2);
  campaign(c, 2, () => false);
}

/** What a deposed leader sent comes late, and cuts what the new one has committed. */
function trustOldTerms(faults: RaftFaults): void {
  const c = cluster(faults);
  c.elect(1);
  c.propose(1, 'old');
  const late = c.network.filter((m) => isAppend(m) && Math.floor(m.to / 2 ** 32) === 3);
  expect(late.length).toBe(1);
  c.network.length = 0;
  c.crash(1);
  campaign(c, 2, (m) => m.kind === 'append-request' && m.commit > 1);
  expect(c.core(2).status.commit).toBe(2);
  expect(c.core(3).status.commit).toBe(1);
  for (const message of late) c.deliver(message);
  c.advance(100);
  c.settle();
  expect(c.node(3).appliedIndex).toBe(2);
}

/** Five members become two: a majority of the old ones and one of the new ones share nobody. */
function noJoint(faults: RaftFaults): void {
  const c = cluster(faults, { ids: [1, 2, 3, 4, 5] });
  c.elect(1);
  const peers = [1, 2, 3, 4, 5].map((id) => peerOf(id, 1));
  const isIn = (peer: number) => peers.slice(0, 2).includes(peer);
  const isBetween = (m: RaftMessage) => isIn(m.from) !== isIn(m.to);
  const wish = { voters: peers.slice(0, 2), learners: peers.slice(2) };
  c.step(1, { kind: 'change-membership', requestId: 1, ...wish });
  c.settle(isBetween);
  c.propose(1, 'of two');
  c.settle(isBetween);
  campaign(c, 3, isBetween);
  c.propose(3, 'of three');
  c.settle(isBetween);
}

describe.each([
  ['commitOlderTerms', commitOlderTerms, /misses committed index|never cut/],
  ['noJoint', noJoint, /misses committed index/],
  ['trustOldTerms', trustOldTerms, /two values committed/],
] as const)('%s', (mistake, history, foundBy) => {
  test('is found', () => {
    expect(() => history({ [mistake]: true })).toThrow(foundBy);
  });

  test('is what the history shows: without it nothing is wrong', () => {
    history({});
  });
});
