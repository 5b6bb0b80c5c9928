// Takes a node without a Raft log into the metadata group: its old peer (same node, other incarnation)
// leaves, the new one enters as a learner, and votes once it has caught up and metadata knows it as a live node: who
// never registers counts for no quorum. RAM nodes stay learners. Nodes that metadata has taken out leave, and newcomers
// that it never came to know. One change at a time.
import type { Log } from '../../env/environment.ts';
import { type Configuration, nodeOfPeer, peerOf } from '../../raft/index.ts';
import type { NodeRole } from '../metadata/types.ts';
import { FOUNDING_INCARNATION } from '../node-file.ts';
import type { RaftShell } from './raft-shell.ts';

/** A newcomer that the metadata does not know after so long has ended or was refused. If not, it asks again. */
export const UNKNOWN_GRACE_MS = 60_000;

/** What metadata says of the number of a peer. */
export type Standing = 'known' | 'removed' | 'unknown';

/** A node that asks to become a member, and the incarnation of its Raft log. */
export interface Newcomer {
  readonly node: number;
  readonly incarnation: number;
  readonly role: NodeRole;
}

/** What metadata knows of who asks and of others that wait. */
export interface Known {
  /** The number is that of a node that was removed. */
  readonly isRemoved: boolean;
  isLive(node: number): boolean;
  roleOf(node: number): NodeRole | undefined;
}

type Group = Pick<RaftShell, 'isLeader' | 'membership' | 'changeMembership'>;

export class MembershipChanger {
  readonly #raft: Group;
  readonly #log: Log;
  #isBusy = false;
  /** Peers that came anew under the number of a node that was removed, until metadata knows the new one. */
  readonly #admitted = new Set<number>();
  /** Since when (ms, monotonic) this leader sees peers that metadata does not know. */
  readonly #unknownSince = new Map<number, number>();
  /** Learners that are to vote as soon as they are enough. They ask again and again: a new leader hears of them. */
  readonly #waiting = new Set<number>();

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

  /** Without it nobody could lead the group, nor let another vote. */
  votesAlone(node: number): boolean {
    const voters = this.#raft.membership()?.voters ?? [];
    return voters.length > 0 && voters.every((peer) => nodeOfPeer(peer) === node);
  }

  /**
   * True when the peer is afterwards what its role lets it be: a voter, or a learner on a RAM node. The joiner repeats
   * its request until then. An old peer of the node keeps its place until the new one takes it: it is dead, and
   * without it the others would be two for a while, or too few of them with data.
   */
  async admit({ node, incarnation, role }: Newcomer, known: Known): Promise<boolean> {
    const members = this.#raft.membership();
    if (!this.#raft.isLeader || members === undefined || this.#isBusy) return false;
    const peer = peerOf(node, incarnation);
    if (known.isRemoved) this.#admitted.add(peer);
    if (members.voters.includes(peer)) return true;
    this.#isBusy = true;
    try {
      const isOther = (each: number) => nodeOfPeer(each) !== node;
      const learners = members.learners.filter(isOther);
      if (!members.learners.includes(peer)) {
        const witnesses = role === 'witness' ? [...members.witnesses, peer] : members.witnesses;
        const entered = await this.#raft.changeMembership(
          members.voters,
          [...learners, peer],
          witnesses,
        );
        if (entered.kind !== 'done') return false;
        this.#log.info('a node joins the metadata group', { node, incarnation, role });
      }
      if (role === 'ram') return true;
      // Live may be an earlier life of its number, in another role: the metadata will not know this one.
      if (!known.isLive(node) || known.roleOf(node) !== role) return false;
      this.#waiting.add(peer);
      return await this.#promote(members.voters, known);
    } finally {
      this.#isBusy = false;
    }
  }

  /** Two that vote are worse than one: the second waits for the third, and they begin to vote at once. */
  async #promote(present: readonly number[], { isLive }: Pick<Known, 'isLive'>): Promise<boolean> {
    const learners = this.#raft.membership()?.learners ?? [];
    for (const each of this.#waiting) if (!learners.includes(each)) this.#waiting.delete(each);
    const ready = [...this.#waiting].filter((each) => isLive(nodeOfPeer(each)));
    // Each of them takes the place of its own old peer, also where another asked last.
    const isReplaced = (each: number) => ready.some((one) => nodeOfPeer(one) === nodeOfPeer(each));
    const voters = [...present.filter((each) => !isReplaced(each)), ...ready];
    if (voters.length === 2 && present.length < 2) return false;
    const left = learners.filter((each) => !ready.includes(each));
    const promoted = await this.#raft.changeMembership(voters, left);
    return promoted.kind === 'done';
  }
}
