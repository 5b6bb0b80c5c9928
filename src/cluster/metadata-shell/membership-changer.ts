// Takes a node without a Raft log into the metadata group: its old peer (same node, other incarnation)
// leaves, the new one enters as a learner, and votes once it has caught up and metadata knows it as a live node: who
// never registers counts for no quorum. Nodes that metadata has taken out leave, and newcomers that it never came to know.
// One change at a time.
import type { Log } from '../../env/environment.ts';
import { type Configuration, nodeOfPeer, peerOf } from '../../raft/index.ts';
import { FOUNDING_INCARNATION } from '../node-file.ts';
import type { RaftShell } from './raft-shell.ts';

/** A newcomer that the metadata does not know after so long has ended or was refused. If not, it asks again. */
export const UNKNOWN_GRACE_MS = 60_000;

/** What metadata says of the number of a peer. */
export type Standing = 'known' | 'removed' | 'unknown';

type Group = Pick<RaftShell, 'isLeader' | 'membership' | 'changeMembership'>;

export class MembershipChanger {
  readonly #raft: Group;
  readonly #log: Log;
  #isBusy = false;
  /** Peers that came anew under the number of a node that was removed, until metadata knows the new one. */
  readonly #admitted = new Set<number>();
  /** Since when (ms, monotonic) this leader sees peers that metadata does not know. */
  readonly #unknownSince = new Map<number, number>();

  constructor(raft: Group, log: Log) {
    this.#raft = raft;
    this.#log = log;
  }

  /** Peers whose nodes were taken out or never became known leave the group; asked again until none is left. */
  async dropStrangers(standingOf: (node: number) => Standing, nowMs: number): Promise<void> {
    for (const peer of this.#admitted)
      if (standingOf(nodeOfPeer(peer)) === 'known') this.#admitted.delete(peer);
    const members = this.#raft.membership();
    if (!this.#raft.isLeader || members === undefined) {
      this.#unknownSince.clear();
      return;
    }
    const isLost = this.#lost(members, standingOf, nowMs);
    if (this.#isBusy) return;
    const isStaying = (peer: number) =>
      !isLost.has(peer) && (this.#admitted.has(peer) || standingOf(nodeOfPeer(peer)) !== 'removed');
    const voters = members.voters.filter(isStaying);
    const learners = members.learners.filter(isStaying);
    const isSame =
      voters.length === members.voters.length && learners.length === members.learners.length;
    if (isSame || voters.length === 0) return;
    this.#isBusy = true;
    try {
      const left = await this.#raft.changeMembership(voters, learners);
      if (left.kind !== 'done') return;
      for (const peer of isLost) {
        this.#admitted.delete(peer);
        this.#unknownSince.delete(peer);
      }
      this.#log.info('nodes left the metadata group', { voters, neverKnown: isLost.size });
    } finally {
      this.#isBusy = false;
    }
  }

  /** Newcomers that metadata should know by now. */
  #lost(
    { voters, learners }: Configuration,
    standingOf: (node: number) => Standing,
    nowMs: number,
  ): ReadonlySet<number> {
    const lost = new Set<number>();
    const unknown = [...voters, ...learners].filter((peer) => {
      const node = nodeOfPeer(peer);
      // Founders vote from the beginning, whenever they come.
      if (peer === peerOf(node, FOUNDING_INCARNATION)) return false;
      const standing = standingOf(node);
      return standing === 'unknown' || (standing === 'removed' && this.#admitted.has(peer));
    });
    for (const peer of this.#unknownSince.keys())
      if (!unknown.includes(peer)) this.#unknownSince.delete(peer);
    for (const peer of unknown) {
      const sinceMs = this.#unknownSince.get(peer) ?? nowMs;
      this.#unknownSince.set(peer, sinceMs);
      if (nowMs - sinceMs >= UNKNOWN_GRACE_MS) lost.add(peer);
    }
    return lost;
  }

  /** True when the peer votes afterwards. The joiner repeats its request until it does. */
  async replace(
    node: number,
    incarnation: number,
    { isRemoved, isLive }: { readonly isRemoved: boolean; isLive(): boolean },
  ): Promise<boolean> {
    const members = this.#raft.membership();
    if (!this.#raft.isLeader || members === undefined || this.#isBusy) return false;
    const peer = peerOf(node, incarnation);
    if (isRemoved) this.#admitted.add(peer);
    if (members.voters.includes(peer)) return true;
    this.#isBusy = true;
    try {
      const isOther = (each: number) => nodeOfPeer(each) !== node;
      const voters = members.voters.filter(isOther);
      const learners = members.learners.filter(isOther);
      if (!members.learners.includes(peer)) {
        const entered = await this.#raft.changeMembership(voters, [...learners, peer]);
        if (entered.kind !== 'done') return false;
        this.#log.info('a node joins the metadata group', { node, incarnation });
      }
      if (!isLive()) return false;
      const promoted = await this.#raft.changeMembership([...voters, peer], learners);
      return promoted.kind === 'done';
    } finally {
      this.#isBusy = false;
    }
  }
}
