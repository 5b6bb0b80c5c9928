// Every history of a small scope: three nodes, at most two terms, one command, one crash, writes that
// finish when they like, messages that are lost or delivered in any order of links. Equal states are
// visited once. The checkers of cluster.ts judge every step; the count of states is printed.
import { expect, test } from 'vitest';
import type { Core } from '../../src/raft/core.ts';
import { nodeOfPeer, type RaftMessage } from '../../src/raft/index.ts';
import { Cluster } from './cluster.ts';

const IDS = [1, 2, 3];
const TERMS_MAX = 2;
const COMMANDS_MAX = 1;
const CRASHES_MAX = 1;

type Act =
  | { readonly kind: 'campaign'; readonly id: number }
  | { readonly kind: 'propose'; readonly id: number }
  | { readonly kind: 'write'; readonly id: number }
  | { readonly kind: 'crash'; readonly id: number }
  | { readonly kind: 'deliver'; readonly link: string };

/** Pre-votes decide nothing that lasts, so they are answered at once and not explored. */
function isExplored(message: RaftMessage): boolean {
  return !('isPreVote' in message && message.isPreVote);
}

function linkOf(message: RaftMessage): string {
  return `${nodeOfPeer(message.from)}>${nodeOfPeer(message.to)}`;
}

class Scope {
  readonly cluster = new Cluster({
    ids: IDS,
    config: { trailingEntries: 0 },
    random: () => ({ below: () => 0 }),
    isDiskInstant: false,
  });
  crashes = 0;
  commands = 0;

  /** Nodes 1 and 2 stand for election; node 3 votes, so that states are not counted in mirror images. */
  acts(): Act[] {
    const { cluster } = this;
    const acts: Act[] = [];
    const links = new Set(cluster.network.map(linkOf));
    for (const link of links) acts.push({ kind: 'deliver', link });
    for (const id of IDS) {
      const { role, term } = cluster.core(id).status;
      if (cluster.node(id).pendingWrites.length > 0) acts.push({ kind: 'write', id });
      if (id !== 3 && role !== 'leader' && term < TERMS_MAX) acts.push({ kind: 'campaign', id });
      if (role === 'leader' && this.commands < COMMANDS_MAX) acts.push({ kind: 'propose', id });
      const isWorthwhile = cluster.node(id).pendingWrites.length > 0 || role !== 'follower';
      if (this.crashes < CRASHES_MAX && isWorthwhile) acts.push({ kind: 'crash', id });
    }
    return acts;
  }

  do(act: Act): void {
    const { cluster } = this;
    switch (act.kind) {
      case 'deliver': {
        // Newer messages of a link overtake older ones of it that are never delivered: loss.
        const at = cluster.network.findIndex((message) => linkOf(message) === act.link);
        const [message] = cluster.network.splice(at, 1);
        cluster.deliver(message);
        break;
      }
      case 'write':
        cluster.finishWrite(act.id);
        break;
      case 'campaign':
        // Time jumps for all, so that no lease stands in the way.
        cluster.nowMs += 10_000;
        for (const id of IDS) cluster.core(id).step({ kind: 'applied', index: 0 }, cluster.nowMs);
        cluster.step(act.id, { kind: 'tick' });
        break;
      case 'propose':
        this.commands += 1;
        cluster.propose(act.id, 'x');
        break;
      case 'crash':
        this.crashes += 1;
        cluster.crash(act.id);
        cluster.restart(act.id);
        break;
    }
    this.#answerPreVotes();
  }

  #answerPreVotes(): void {
    const { cluster } = this;
    for (;;) {
      const at = cluster.network.findIndex((message) => !isExplored(message));
      if (at < 0) return;
      const [message] = cluster.network.splice(at, 1);
      cluster.deliver(message);
    }
  }

  /** Everything that can matter later, without times. */
  fingerprint(): string {
    const parts = IDS.map((id) => {
      const node = this.cluster.node(id);
      const { state } = node.core as Core;
      const { log } = state;
      const terms = [];
      for (let i = log.baseIndex + 1; i <= log.lastIndex; i += 1) terms.push(log.entryAt(i)!.term);
      const progress = [...state.progress.values()].map((p) => [
        p.match,
        p.next,
        p.state,
        p.isProbeSent,
        p.sentCommit,
        p.inFlightCount,
      ]);
      const disk = node.disk.entries.map((entry) => entry.term);
      const writes = node.pendingWrites.map((w) => [w.hardState?.term, w.entries.length]);
      return [
        [state.term, state.vote, state.role, state.leader, state.isLeaderHeard],
        [log.commit, log.applied, log.stable, log.issued, terms, state.termStartIndex],
        [progress, [...state.votes], disk, node.disk.hardState, writes],
      ];
    });
    const network = this.cluster.network.map((m) => JSON.stringify(m)).sort();
    return JSON.stringify([parts, network, this.crashes, this.commands]);
  }
}

function replay(path: readonly Act[]): Scope {
  const scope = new Scope();
  for (const act of path) scope.do(act);
  return scope;
}

/** Depth first: the first child goes on in place, the others replay their path. */
function explore(budget: number): {
  states: number;
  steps: number;
  isComplete: boolean;
  commits: number;
} {
  const seen = new Set<string>();
  let steps = 0;
  let commits = 0;
  const todo: Act[][] = [[]];
  while (todo.length > 0 && steps < budget) {
    let path = todo.pop()!;
    const scope = replay(path);
    steps += path.length;
    for (;;) {
      const print = scope.fingerprint();
      if (seen.has(print)) break;
      seen.add(print);
      if (scope.cluster.committedMax > 1) commits += 1;
      const [first, ...rest] = scope.acts();
      for (const act of rest) todo.push([...path, act]);
      if (first === undefined) break;
      scope.do(first);
      steps += 1;
      path = [...path, first];
    }
  }
  return { states: seen.size, steps, isComplete: todo.length === 0, commits };
}

test('no history of the small scope breaks a rule', () => {
  const budget = Number(process.env['RAFT_EXPLORE'] ?? 250_000);
  const { states, steps, isComplete, commits } = explore(budget);
  console.log(`explored ${states} states in ${steps} steps, ${isComplete ? 'all' : 'cut off'}`);
  expect(states).toBeGreaterThan(1000);
  expect(commits).toBeGreaterThan(100);
});
