// Takes a node without a Raft log into the metadata group: its old peer (same node, other incarnation)
// leaves, the new one enters as a learner and votes once it has caught up. A node that metadata has taken out leaves.
// One change at a time.
import type { Log } from '../../env/environment.ts';
import { nodeOfPeer, peerOf } from '../../raft/index.ts';
import type { RaftShell } from './raft-shell.ts';

export class MembershipChanger {
  readonly #raft: RaftShell;
  readonly #log: Log;
  #isBusy = false;
  /** Peers that came anew under the number of a node that was removed, until metadata knows the new one. */
  readonly #admitted = new Set<number>();

  constructor(raft: RaftShell, log: Log) {
    this.#raft = raft;
    this.#log = log;
  }

  /** Peers of nodes that were taken out leave the group; asked again until none is left. */
  async dropRemoved(isRemoved: (node: number) => boolean): Promise<void> {
    for (const peer of this.#admitted)
      if (!isRemoved(nodeOfPeer(peer))) this.#admitted.delete(peer);
    const members = this.#raft.membership();
    if (!this.#raft.isLeader || members === undefined || this.#isBusy) return;
    const isStaying = (peer: number) => this.#admitted.has(peer) || !isRemoved(nodeOfPeer(peer));
    const voters = members.voters.filter(isStaying);
    const learners = members.learners.filter(isStaying);
    const isSame =
      voters.length === members.voters.length && learners.length === members.learners.length;
    if (isSame || voters.length === 0) return;
    this.#isBusy = true;
    try {
      const left = await this.#raft.changeMembership(voters, learners);
      if (left.kind === 'done') this.#log.info('removed nodes left the metadata group', { voters });
    } finally {
      this.#isBusy = false;
    }
  }

  /** True when the peer is a member afterwards. The joiner repeats its request until it hears a leader. */
  async replace(node: number, incarnation: number, isRemoved = false): Promise<boolean> {
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
      const promoted = await this.#raft.changeMembership([...voters, peer], learners);
      return promoted.kind === 'done';
    } finally {
      this.#isBusy = false;
    }
  }
}
