// Takes a node without a Raft log into the metadata group: its old peer (same node, other incarnation)
// leaves, the new one enters as a learner and votes once it has caught up. One change at a time.
import type { Log } from '../../env/environment.ts';
import { nodeOfPeer, peerOf } from '../../raft/index.ts';
import type { RaftShell } from './raft-shell.ts';

export class MembershipChanger {
  readonly #raft: RaftShell;
  readonly #log: Log;
  #isBusy = false;

  constructor(raft: RaftShell, log: Log) {
    this.#raft = raft;
    this.#log = log;
  }

  /** True when the peer is a member afterwards. The joiner repeats its request until it hears a leader. */
  async replace(node: number, incarnation: number): Promise<boolean> {
    const members = this.#raft.membership();
    if (!this.#raft.isLeader || members === undefined || this.#isBusy) return false;
    const peer = peerOf(node, incarnation);
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
