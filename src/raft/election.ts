// Elections (Raft 5.2, 5.4.1, 9.6). follower -> pre-candidate -> candidate -> leader; a pre-vote
// changes nothing anywhere, so a peer behind a bad link cannot raise the term. A voter that hears a
// leader refuses, unless that leader asked for the election. Invariant: one durable vote per term.
import { assert } from '../std/assert.ts';
import { voteOutcome } from './membership.ts';
import type { TimeoutNow, VoteRequest, VoteResponse } from './message.ts';
import { becomeLeader } from './replication.ts';
import type { RaftState } from './state.ts';
import { NO_PEER } from './types.ts';

export function startPreVote(state: RaftState): void {
  state.becomeFollower(state.term, NO_PEER);
  state.role = 'pre-candidate';
  state.electionDeadlineMs = state.drawElectionTimeoutMs();
  requestVotes(state, true, false);
  state.votes.set(state.self, true);
  countVotes(state);
}

function startElection(state: RaftState, isTransfer: boolean): void {
  assert(state.isElectable, 'raft: only voters stand for election');
  state.becomeFollower(state.term, NO_PEER);
  state.enterTerm(state.term + 1, state.self);
  state.role = 'candidate';
  state.electionDeadlineMs = state.drawElectionTimeoutMs();
  requestVotes(state, false, isTransfer);
  // The own vote counts like any other: when it is durable.
  state.sendWhenDurable({
    kind: 'vote-response',
    from: state.self,
    to: state.self,
    term: state.term,
    isPreVote: false,
    isGranted: true,
  });
}

function requestVotes(state: RaftState, isPreVote: boolean, isTransfer: boolean): void {
  const { voters, outgoing } = state.configuration;
  for (const peer of new Set([...voters, ...outgoing])) {
    if (peer === state.self) continue;
    state.sendWhenDurable({
      kind: 'vote-request',
      from: state.self,
      to: peer,
      term: isPreVote ? state.term + 1 : state.term,
      isPreVote,
      isTransfer,
      lastIndex: state.log.lastIndex,
      lastTerm: state.log.lastTerm,
    });
  }
}

/** The core has dealt with the request's term: for a real vote it is not above ours. */
export function handleVoteRequest(state: RaftState, message: VoteRequest): void {
  const isCurrent = message.isPreVote ? message.term > state.term : message.term === state.term;
  const isFree =
    message.isPreVote ||
    state.vote === message.from ||
    (state.vote === NO_PEER && state.leader === NO_PEER);
  const isRefusedByLease = state.isLeaderHeard && !message.isTransfer;
  const isGranted =
    isCurrent &&
    isFree &&
    !isRefusedByLease &&
    (state.log.isUpToDate(message.lastIndex, message.lastTerm) ||
      state.config.faults?.voteForBehind === true);
  if (isGranted && !message.isPreVote) {
    state.vote = message.from;
    state.electionDeadlineMs = state.drawElectionTimeoutMs();
  }
  state.sendWhenDurable({
    kind: 'vote-response',
    from: state.self,
    to: message.from,
    term: isGranted ? message.term : state.term,
    isPreVote: message.isPreVote,
    isGranted,
  });
}

export function handleVoteResponse(state: RaftState, message: VoteResponse): void {
  const isPreVote = state.role === 'pre-candidate';
  if (!isPreVote && state.role !== 'candidate') return;
  if (message.isPreVote !== isPreVote) return;
  // A grant is for one term: a delayed one of an earlier campaign is no vote in this one.
  if (message.isGranted && message.term !== (isPreVote ? state.term + 1 : state.term)) return;
  if (!state.votes.has(message.from)) state.votes.set(message.from, message.isGranted);
  countVotes(state);
}

function countVotes(state: RaftState): void {
  const outcome = voteOutcome(state.configuration, state.votes);
  if (outcome === 'lost') {
    state.becomeFollower(state.term, NO_PEER);
  } else if (outcome === 'won') {
    if (state.role === 'pre-candidate') startElection(state, false);
    else becomeLeader(state);
  }
}

export function handleTimeoutNow(state: RaftState, message: TimeoutNow): void {
  const isFromLeader = message.from === state.leader || state.leader === NO_PEER;
  if (state.role === 'leader' || !isFromLeader || !state.isElectable) return;
  startElection(state, true);
}
