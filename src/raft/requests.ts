// What the shell asks of a peer: proposals, membership changes, a hand-over, and the passing of time.
// Every request is answered by exactly one `accepted`, one refusal, or (a started transfer) by a
// change of role. Nothing is queued for later here.

import { startPreVote } from './election.ts';
import {
  configurationOf,
  enterJoint,
  hasEnoughData,
  hasQuorum,
  isJoint,
  isVoter,
  isWitness,
  membersOf,
} from './membership.ts';
import {
  appendConfiguration,
  appendOwn,
  resumeReplication,
  sendHeartbeats,
  sendTimeoutNow,
} from './replication.ts';
import type { RaftState } from './state.ts';
import { type Configuration, NO_PEER, type PeerId, type RefusalReason } from './types.ts';

export function tick(state: RaftState): void {
  if (state.role !== 'leader') {
    const isDue = state.nowMs >= state.electionDeadlineMs;
    if (isDue && state.isElectable) startPreVote(state);
    return;
  }
  if (state.transfer !== undefined && state.nowMs >= state.transfer.deadlineMs) {
    state.transfer = undefined;
  }
  const { electionTimeoutMs } = state.config;
  if (state.nowMs - state.heartbeatDueMs > electionTimeoutMs / 2) {
    // This thread stood still, and the answers of the others may wait behind this tick. Nothing is
    // at risk by asking once more: what a deposed leader says, it says in vain.
    state.quorumCheckDueMs = state.nowMs + electionTimeoutMs;
  }
  if (state.nowMs >= state.quorumCheckDueMs) {
    const since = state.nowMs - electionTimeoutMs;
    const isHeard = (peer: PeerId) =>
      peer === state.self || (state.progress.get(peer)?.lastHeardMs ?? since - 1) >= since;
    if (!hasQuorum(state.configuration, isHeard)) {
      state.becomeFollower(state.term, NO_PEER);
      return;
    }
    state.quorumCheckDueMs = state.nowMs + state.config.heartbeatMs;
  }
  if (state.nowMs >= state.heartbeatDueMs) {
    state.heartbeatDueMs = state.nowMs + state.config.heartbeatMs;
    sendHeartbeats(state);
  }
}

/**
 * Asks for pre-votes before the election timeout, for a peer that has just started and knows no
 * leader. Harmless at any time: whoever hears a leader refuses, and a pre-vote changes nothing.
 */
export function campaign(state: RaftState): void {
  const isWaiting = state.role === 'follower' || state.role === 'pre-candidate';
  if (isWaiting && state.leader === NO_PEER && state.isElectable) startPreVote(state);
}

/** Forgets the leader, so that this peer votes for another; the leader is heard again if it lives. */
export function leaderLost(state: RaftState): void {
  if (state.role !== 'follower') return;
  state.leader = NO_PEER;
  state.leaderHeardMs = Number.NEGATIVE_INFINITY;
}

export function propose(state: RaftState, requestId: number, data: Uint8Array): void {
  const reason = proposalRefusal(state, data.byteLength);
  if (reason !== undefined) {
    state.refuse(requestId, reason);
    return;
  }
  const index = appendOwn(state, 'command', data);
  state.accepted.push({ requestId, index, term: state.term });
}

function proposalRefusal(state: RaftState, bytes: number): RefusalReason | undefined {
  if (state.role !== 'leader') return 'not-leader';
  if (state.transfer !== undefined) return 'transferring';
  // A single proposal is taken however large: else it could never pass.
  const isOver = state.uncommittedBytes + bytes > state.config.uncommittedBytesMax;
  return state.uncommittedBytes > 0 && isOver ? 'busy' : undefined;
}

export interface MembershipWish {
  readonly requestId: number;
  readonly voters: readonly PeerId[];
  readonly learners: readonly PeerId[];
  readonly witnesses?: readonly PeerId[];
}

export function changeMembership(state: RaftState, wish: MembershipWish): void {
  const { requestId, voters, learners, witnesses = state.configuration.witnesses } = wish;
  const reason = changeRefusal(state, configurationOf(voters, learners, [], witnesses));
  if (reason !== undefined) {
    state.refuse(requestId, reason);
    return;
  }
  const isSingle = state.config.faults?.noJoint === true;
  const next = isSingle
    ? configurationOf(voters, learners, [], witnesses)
    : enterJoint(state.configuration, voters, learners, witnesses);
  const index = appendConfiguration(state, next);
  state.accepted.push({ requestId, index, term: state.term });
}

function changeRefusal(state: RaftState, wanted: Configuration): RefusalReason | undefined {
  const { configuration, configurations, log } = state;
  if (state.role !== 'leader') return 'not-leader';
  // Before an own entry commits, an older leader's change may still be undecided.
  if (!state.isReady) return 'not-ready';
  if (state.transfer !== undefined) return 'transferring';
  if (isJoint(configuration) || configurations.currentIndex > log.commit) {
    return 'change-in-flight';
  }
  if (!hasEnoughData(wanted) || changesKind(configuration, wanted)) return 'invalid';
  return wanted.voters.some((peer) => isLagging(state, peer)) ? 'lagging' : undefined;
}

/** Who has kept no commands cannot begin to, and who has them would have to forget: it leaves and comes anew. */
function changesKind(current: Configuration, wanted: Configuration): boolean {
  const members = new Set(membersOf(current));
  return membersOf(wanted).some(
    (peer) => members.has(peer) && isWitness(current, peer) !== isWitness(wanted, peer),
  );
}

/** A new voter that is far behind would count towards the quorum without being of any help to it. */
function isLagging(state: RaftState, peer: PeerId): boolean {
  if (peer === state.self || isVoter(state.configuration, peer)) return false;
  const match = state.progress.get(peer)?.match ?? 0;
  return match === 0 || match + state.config.promotionLagMax < state.log.lastIndex;
}

export function transferLeadership(state: RaftState, requestId: number, target: PeerId): void {
  const progress = state.progress.get(target);
  if (state.role !== 'leader') {
    state.refuse(requestId, 'not-leader');
  } else if (state.transfer !== undefined) {
    state.refuse(requestId, 'transferring');
  } else if (
    progress === undefined ||
    !isVoter(state.configuration, target) ||
    isWitness(state.configuration, target)
  ) {
    state.refuse(requestId, 'invalid');
  } else {
    state.transfer = { target, deadlineMs: state.nowMs + state.config.electionTimeoutMs };
    if (progress.match === state.log.lastIndex) sendTimeoutNow(state, target);
    else resumeReplication(state, target, progress);
  }
}
