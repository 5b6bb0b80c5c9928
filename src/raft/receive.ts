// One message of a peer: is it for this incarnation, does it carry a newer or an older term, and who
// handles it. Invariant: a message of an old term changes nothing, not even by its answer.
import { assert } from '../std/assert.ts';
import { handleTimeoutNow, handleVoteRequest, handleVoteResponse } from './election.ts';
import { handleAppendRequest, handleHeartbeat } from './follower.ts';
import type { RaftMessage } from './message.ts';
import { handleHeartbeatResponse } from './read-index.ts';
import { handleAppendResponse, resumeReplication } from './replication.ts';
import { handleSnapshotChunk, handleSnapshotResponse, handleWitnessSnapshot } from './snapshot.ts';
import type { RaftState } from './state.ts';
import { NO_PEER } from './types.ts';

export function receive(state: RaftState, message: RaftMessage): void {
  // Another incarnation of this node was addressed: whatever it promised, this one did not.
  if (message.to !== state.self) return;
  const isObeyed = state.config.faults?.trustOldTerms === true && message.kind === 'append-request';
  if (message.term < state.term && !(isObeyed && state.role !== 'leader')) {
    receiveOld(state, message);
    return;
  }
  if (message.term > state.term && !receiveNewer(state, message)) return;
  switch (message.kind) {
    case 'vote-request':
      handleVoteRequest(state, message);
      return;
    case 'vote-response':
      handleVoteResponse(state, message);
      return;
    case 'append-request':
    case 'heartbeat':
    case 'snapshot-chunk':
    case 'witness-snapshot':
      receiveFromLeader(state, message);
      return;
    case 'append-response':
      if (state.role === 'leader') handleAppendResponse(state, message);
      return;
    case 'heartbeat-response': {
      const progress = state.progress.get(message.from);
      if (state.role !== 'leader' || progress === undefined) return;
      progress.lastHeardMs = state.nowMs;
      handleHeartbeatResponse(state, message);
      resumeReplication(state, message.from, progress);
      return;
    }
    case 'snapshot-response':
      if (state.role === 'leader') handleSnapshotResponse(state, message);
      return;
    case 'timeout-now':
      handleTimeoutNow(state, message);
      return;
  }
}

type FromLeader = Extract<
  RaftMessage,
  { kind: 'append-request' | 'heartbeat' | 'snapshot-chunk' | 'witness-snapshot' }
>;

function isFromLeader(message: RaftMessage): message is FromLeader {
  const { kind } = message;
  return (
    kind === 'append-request' ||
    kind === 'heartbeat' ||
    kind === 'snapshot-chunk' ||
    kind === 'witness-snapshot'
  );
}

function receiveFromLeader(state: RaftState, message: FromLeader): void {
  assert(state.role !== 'leader', 'raft: one leader per term', {
    term: state.term,
    other: message.from,
  });
  if (state.role !== 'follower') state.becomeFollower(state.term, message.from);
  state.leaderHeard(message.from);
  if (message.kind === 'append-request') handleAppendRequest(state, message);
  else if (message.kind === 'heartbeat') handleHeartbeat(state, message);
  else if (message.kind === 'witness-snapshot') handleWitnessSnapshot(state, message);
  else handleSnapshotChunk(state, message);
}

/** Requests of an old term are answered with the new one, or their sender would try for ever. */
function receiveOld(state: RaftState, message: RaftMessage): void {
  const envelope = { from: state.self, to: message.from, term: state.term };
  if (message.kind === 'vote-request') {
    const { isPreVote } = message;
    state.sendWhenDurable({ kind: 'vote-response', ...envelope, isPreVote, isGranted: false });
  } else if (isFromLeader(message)) {
    const index = message.kind === 'append-request' ? message.prevIndex : 0;
    const hint = { isRejected: true, index, hintIndex: 0, hintTerm: 0 };
    state.sendWhenDurable({ kind: 'append-response', ...envelope, ...hint });
  }
}

/** Adopts a higher term unless the message does not prove one. Returns whether to go on. */
function receiveNewer(state: RaftState, message: RaftMessage): boolean {
  if (message.kind === 'vote-request') {
    if (message.isPreVote) return true;
    if (state.isLeaderHeard && !message.isTransfer) return false;
  }
  // The term of a granted pre-vote is the one asked about; nobody is in it yet.
  if (message.kind === 'vote-response' && message.isPreVote && message.isGranted) return true;
  state.becomeFollower(message.term, isFromLeader(message) ? message.from : NO_PEER);
  return true;
}
