// What this node is in the metadata group: a voter, or a learner where its role lets it be no more; and how one that has
// no Raft log becomes that. Reads what Raft says of the members; others decide who is one.
import type { System } from '../../actors/system.ts';
import { type Configuration, isJoint, peerOf } from '../../raft/index.ts';
import type { NodeRole } from '../metadata/types.ts';
import type { Newcomer } from './membership-changer.ts';
import type { RaftShell } from './raft-shell.ts';

const RETRY_MS = 200;
/** Between two requests of who waits for others that are to vote with it. */
const WAITING_MS = 1_000;

export class Seat {
  readonly #raft: Pick<RaftShell, 'membership' | 'status'>;
  readonly #self: number;
  readonly #role: NodeRole;

  constructor(
    raft: Pick<RaftShell, 'membership' | 'status'>,
    { node, incarnation, role }: Newcomer,
  ) {
    this.#raft = raft;
    this.#self = peerOf(node, incarnation);
    this.#role = role;
  }

  /** It is what its role lets it be. */
  isSeated(): boolean {
    return this.#isSeatedIn(this.#raft.membership());
  }

  /** The same, by a membership that is committed and not about to change: it is sure not to be undone. */
  isSettled(): boolean {
    return this.#isSeatedIn(this.#settledMembership());
  }

  /**
   * A newcomer asks `others`, as it knows them then, to be taken in, until it is sure to vote, or to be a learner on a
   * RAM node: what is only logged, here or by the leader that has taken it in, may be undone with whoever has logged it.
   */
  async join(
    system: System,
    others: () => readonly number[],
    { ask, isStopped }: { ask(node: number): Promise<boolean>; isStopped(): boolean },
  ): Promise<void> {
    const isOver = () => isStopped() || this.#isTakenIn();
    while (!isOver()) {
      for (const node of others()) {
        if (isOver()) return;
        if (await ask(node)) break;
      }
      const delayMs = this.isSeated() ? WAITING_MS : RETRY_MS;
      await new Promise<void>((resolve) => system.deadlines.after(delayMs, resolve));
    }
  }

  /** A learner that is to vote goes on asking: whoever let it in may have died before it could. */
  #isTakenIn(): boolean {
    if (this.#role === 'ram') return this.isSettled();
    return this.#settledMembership()?.voters.includes(this.#self) ?? false;
  }

  #settledMembership(): Configuration | undefined {
    const members = this.#raft.status?.committedConfiguration;
    return members === undefined || isJoint(members) ? undefined : members;
  }

  #isSeatedIn(members: Configuration | undefined): boolean {
    if (members === undefined) return false;
    const { voters, learners } = members;
    // One of two disk nodes does not vote: see MembershipChanger.
    const mayLearn = this.#role === 'ram' || (this.#role === 'disk' && voters.length === 1);
    return voters.includes(this.#self) || (mayLearn && learners.includes(this.#self));
  }
}
