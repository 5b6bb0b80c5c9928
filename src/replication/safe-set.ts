// The safe set: who must hold a frame before it counts, and which change of that set the leader may
// ask for. Pure functions over the leader's peers; nothing here sends or remembers. Invariants:
// every member of a planned set is live in its incarnation and holds the committed seq and the
// epoch-begin; no planned set is smaller than `minInsync`, unless the current one is; the leader is
// in it.
import type { Peer } from './peer.ts';
import type { CommitMode, NodeId, ReplicaId } from './types.ts';

export interface Member {
  readonly peer: Peer;
  readonly incarnation: number;
}

export class SafeSet {
  readonly members: readonly Member[];
  readonly #matches: Float64Array;

  constructor(members: readonly Member[]) {
    this.members = members;
    this.#matches = new Float64Array(members.length);
  }

  get size(): number {
    return this.members.length;
  }

  /** Highest seq that `count` members hold durably; 0 if the set is smaller than that. */
  seqHeldBy(count: number): number {
    return this.#seqOf(count, false);
  }

  /** The same of what they have received, durable or not. */
  seqReceivedBy(count: number): number {
    return this.#seqOf(count, true);
  }

  #seqOf(count: number, isReceived: boolean): number {
    const matches = this.#matches;
    const size = this.members.length;
    if (count > size || count < 1) return 0;
    for (let i = 0; i < size; i += 1) {
      const member = this.members[i]!;
      const { peer, incarnation } = member;
      const match = isReceived ? peer.receivedOf(incarnation) : peer.matchOf(incarnation);
      let at = i;
      while (at > 0 && matches[at - 1]! < match) {
        matches[at] = matches[at - 1]!;
        at -= 1;
      }
      matches[at] = match;
    }
    return matches[count - 1]!;
  }

  has(replica: ReplicaId): boolean {
    return this.members.some(
      (member) => member.peer.node === replica.node && member.incarnation === replica.incarnation,
    );
  }

  replicaIds(): ReplicaId[] {
    return this.members.map(({ peer, incarnation }) => ({ node: peer.node, incarnation }));
  }
}

/** k: members of a set of this size that must hold a frame. */
export function commitCount(mode: CommitMode, minInsync: number, setSize: number): number {
  return mode === 'all' ? setSize : minInsync;
}

/**
 * Members that a new leader hears, itself included, so that one of them has every committed frame.
 */
export function recoveryCount(mode: CommitMode, minInsync: number, setSize: number): number {
  return Math.max(1, setSize - commitCount(mode, minInsync, setSize) + 1);
}

export interface ChangeView {
  readonly mode: CommitMode;
  readonly minInsync: number;
  readonly current: SafeSet;
  readonly peers: readonly Peer[];
  /** What every member of a new set must hold: the committed seq and the epoch-begin. */
  readonly holdSeq: number;
  /** What they must have received: what answers were given for. */
  readonly answeredSeq: number;
  readonly nowMs: number;
  readonly lagTimeMaxMs: number;
  readonly noHoldRule: boolean;
}

/** The set to ask for, or undefined if the current one should or must stay. */
export function planChange(view: ChangeView): Peer[] | undefined {
  const goal = view.mode === 'all' ? goalOfAll(view) : goalOfQuorum(view);
  if (goal === undefined || isSameSet(view.current, goal)) return undefined;
  // A set that lost members to lost data may grow back step by step.
  const sizeMin = Math.min(view.minInsync, view.current.size);
  if (goal.length < sizeMin || !goal.some((peer) => peer.isSelf)) return undefined;
  if (!goal.every((peer) => holds(view, peer))) return undefined;
  return goal;
}

// `all`: a member that is dead or lags stops every commit, so it goes; who has caught up joins.
function goalOfAll(view: ChangeView): Peer[] {
  const mayLeave = isAssignmentReady(view);
  return view.peers.filter((peer) => {
    if (peer.isSelf) return true;
    const isLiveMember =
      peer.memberIncarnation >= 0 && peer.memberIncarnation === peer.liveIncarnation;
    if (!isLiveMember) return canJoin(view, peer);
    return !(mayLeave && !peer.isAssigned) && !lags(view, peer);
  });
}

// `quorum`: an absent member costs nothing, so the set changes only for a newcomer or a leaver. A
// member that is absent at that moment leaves with the same change, because a new set has no absent
// member.
function goalOfQuorum(view: ChangeView): Peer[] | undefined {
  const mayLeave = isAssignmentReady(view);
  let isWanted = false;
  const goal = view.peers.filter((peer) => {
    const isMember = peer.memberIncarnation >= 0 && peer.memberIncarnation === peer.incarnation;
    if (!isMember) {
      const joins = canJoin(view, peer);
      isWanted ||= joins;
      return joins;
    }
    const leaves = mayLeave && !peer.isAssigned && !peer.isSelf;
    isWanted ||= leaves;
    return !leaves && holds(view, peer);
  });
  return isWanted ? goal : undefined;
}

// Unassigned members stay until every assigned replica could replace them.
function isAssignmentReady(view: ChangeView): boolean {
  return view.peers.every((peer) => {
    return !peer.isAssigned || peer.isObserver || canJoin(view, peer);
  });
}

function canJoin(view: ChangeView, peer: Peer): boolean {
  if (peer.isSelf) return holds(view, peer);
  if (!peer.isAssigned || peer.isObserver || !peer.isLive) return false;
  return view.noHoldRule || (holds(view, peer) && !lags(view, peer));
}

function holds(view: ChangeView, peer: Peer): boolean {
  if (!peer.isSelf && !peer.isLive) return false;
  if (view.noHoldRule) return true;
  return peer.matchSeq >= view.holdSeq && peer.receivedOf(peer.incarnation) >= view.answeredSeq;
}

function lags(view: ChangeView, peer: Peer): boolean {
  return peer.isFar || view.nowMs - peer.caughtUpMs > view.lagTimeMaxMs;
}

function isSameSet(current: SafeSet, goal: readonly Peer[]): boolean {
  if (current.size !== goal.length) return false;
  return goal.every((peer) => peer.memberIncarnation === peer.incarnation);
}

export function isSameNodes(a: readonly NodeId[], b: readonly NodeId[]): boolean {
  return a.length === b.length && a.every((node) => b.includes(node));
}
