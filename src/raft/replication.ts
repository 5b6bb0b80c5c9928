// The leader's side of the log (Raft 5.3): append, send in a pipeline, learn matches, commit. Also
// what follows from a commit: leaving a joint configuration and stepping down when removed.
// Invariant: only entries of the leader's own term are committed by counting (Raft 5.4.2).
import { assert } from '../std/assert.ts';
import { isJoint, isVoter, isWitness, leaveJoint, quorumValue } from './membership.ts';
import type { AppendResponse } from './message.ts';
import { encodeConfiguration } from './message-codec.ts';
import type { Progress } from './progress.ts';
import { resumeSnapshot, sendSnapshot } from './snapshot.ts';
import type { RaftState } from './state.ts';
import { type Configuration, type EntryKind, NO_PEER, type PeerId } from './types.ts';
import { lastForWitness, noteSilent, sendWitnessSnapshot, withheldFrom } from './witness.ts';

const NO_BYTES = new Uint8Array(0);

/** The elected candidate takes over: every peer is probed, and a no-op opens the term. */
export function becomeLeader(state: RaftState): void {
  assert(state.role === 'candidate', 'raft: only a candidate becomes leader', { role: state.role });
  const { durable } = state.persistence;
  assert(durable.term === state.term, 'raft: a leader has its own vote on disk', {
    term: state.term,
    durable: durable.term,
  });
  state.role = 'leader';
  state.leader = state.self;
  state.progress.clear();
  state.syncProgress();
  noteSilent(state);
  state.votes.clear();
  state.heartbeatDueMs = state.nowMs + state.config.heartbeatMs;
  state.quorumCheckDueMs = state.nowMs + state.config.electionTimeoutMs;
  state.uncommittedBytes = 0;
  for (let index = state.log.commit + 1; index <= state.log.lastIndex; index += 1) {
    state.uncommittedBytes += state.log.entryAt(index)!.data.byteLength;
  }
  state.termStartIndex = appendOwn(state, 'noop', NO_BYTES);
  sendAppends(state);
}

/** Appends an entry of the leader's term and returns its index. It is sent with the next Ready. */
export function appendOwn(state: RaftState, kind: EntryKind, data: Uint8Array): number {
  const index = state.log.lastIndex + 1;
  state.log.append({ index, term: state.term, kind, data });
  state.uncommittedBytes += data.byteLength;
  state.isReplicationDue = true;
  return index;
}

export function appendConfiguration(state: RaftState, configuration: Configuration): number {
  assert(state.isReady, 'raft: members change after the own no-op', { term: state.term });
  const index = appendOwn(state, 'config', encodeConfiguration(configuration));
  state.configurations.push(index, configuration);
  state.syncProgress();
  return index;
}

/** Sends what every peer may get now. */
export function sendAppends(state: RaftState): void {
  state.isReplicationDue = false;
  for (const [peer, progress] of state.progress) fillPipeline(state, peer, progress);
}

function fillPipeline(state: RaftState, peer: PeerId, progress: Progress): void {
  let isMore = true;
  while (isMore) isMore = sendAppend(state, peer, progress, false);
}

/**
 * Sends one append if the peer's state allows it. `isForced` sends even an empty one: the answer
 * to it shows whether earlier appends were lost. Returns whether another one could follow.
 */
function sendAppend(
  state: RaftState,
  peer: PeerId,
  progress: Progress,
  isForced: boolean,
): boolean {
  const { config, log } = state;
  if (progress.state === 'snapshot') return false;
  if (progress.state === 'probe' && progress.isProbeSent) return false;
  const isFull =
    progress.inFlightCount >= config.inFlightMax ||
    progress.inFlightBytes >= config.inFlightBytesMax;
  if (isFull && !isForced) return false;
  const prevIndex = progress.next - 1;
  const prevTerm = log.termAt(prevIndex);
  const isForWitness = isWitness(state.configuration, peer);
  if (prevTerm === undefined) {
    if (isForWitness) sendWitnessSnapshot(state, peer, progress);
    else sendSnapshot(state, peer, progress);
    return false;
  }
  const through = isForWitness ? lastForWitness(state) : log.lastIndex;
  const whole = isFull ? [] : log.slice(progress.next, through, config.appendBytesMax);
  const entries = isForWitness ? whole.map(withheldFrom) : whole;
  const isNews = entries.length > 0 || progress.sentCommit < log.commit;
  if (!isNews && !isForced && progress.state === 'replicate') return false;
  state.send({
    kind: 'append-request',
    from: state.self,
    to: peer,
    term: state.term,
    prevIndex,
    prevTerm,
    commit: log.commit,
    entries,
  });
  progress.sentCommit = log.commit;
  if (progress.state === 'probe') {
    progress.isProbeSent = true;
    return false;
  }
  if (entries.length === 0) return false;
  const bytes = entries.reduce((sum, entry) => sum + entry.data.byteLength, 0);
  progress.next += entries.length;
  progress.sent(progress.next - 1, bytes);
  return progress.next <= through;
}

export function sendHeartbeats(state: RaftState): void {
  for (const [peer, progress] of state.progress) {
    state.send({
      kind: 'heartbeat',
      from: state.self,
      to: peer,
      term: state.term,
      // Never beyond what this peer is known to share: it may hold other entries above.
      commit: Math.min(progress.match, state.log.commit),
      readSeq: state.readSeq,
    });
  }
}

/** A peer answered a heartbeat, so the way is open: probe again, or look for lost appends. */
export function resumeReplication(state: RaftState, peer: PeerId, progress: Progress): void {
  progress.isProbeSent = false;
  if (progress.state === 'snapshot') {
    resumeSnapshot(state, peer, progress);
  } else if (progress.match < state.log.lastIndex || progress.state === 'probe') {
    sendAppend(state, peer, progress, true);
  }
}

export function handleAppendResponse(state: RaftState, message: AppendResponse): void {
  const progress = state.progress.get(message.from);
  if (progress === undefined) return;
  progress.lastHeardMs = state.nowMs;
  if (message.isRejected) {
    handleRejection(state, message, progress);
    return;
  }
  assert(message.index <= state.log.lastIndex, 'raft: a peer matches only what the leader has', {
    index: message.index,
    lastIndex: state.log.lastIndex,
  });
  const isNew = progress.matched(message.index);
  if (progress.state === 'probe') {
    progress.become('replicate');
  } else if (progress.state === 'snapshot') {
    // The peer may have caught up in another way; go on by log as soon as the log reaches it.
    const isDone = progress.match >= (progress.transfer?.snapshot.index ?? 0);
    if (isDone) progress.become('probe');
  }
  if (isNew) advanceCommit(state);
  if (state.role !== 'leader') return;
  fillPipeline(state, message.from, progress);
  const { transfer } = state;
  if (transfer?.target === message.from && progress.match === state.log.lastIndex) {
    sendTimeoutNow(state, message.from);
  }
}

/** A rejection moves `next` back, never `match`: a late one says nothing about what matches. */
function handleRejection(state: RaftState, message: AppendResponse, progress: Progress): void {
  const { log } = state;
  if (progress.state === 'snapshot' || message.index <= progress.match) return;
  if (progress.state === 'probe' && message.index !== progress.next - 1) return;
  if (progress.state === 'replicate') progress.become('probe');
  const guess = log.lastAtMost(message.hintIndex, message.hintTerm);
  progress.next = Math.max(progress.match + 1, Math.min(message.index, guess + 1));
  progress.isProbeSent = false;
  sendAppend(state, message.from, progress, true);
}

/** Commits what a quorum holds durably, the leader's own disk being one voice. */
export function advanceCommit(state: RaftState): void {
  const { log } = state;
  const { faults } = state.config;
  const ownVoice = faults?.countUnwritten === true ? log.lastIndex : log.stable;
  const index = quorumValue(state.configuration, (peer) =>
    peer === state.self ? ownVoice : (state.progress.get(peer)?.match ?? 0),
  );
  if (index <= log.commit) return;
  if (log.termAt(index) !== state.term && faults?.commitOlderTerms !== true) return;
  for (let at = log.commit + 1; at <= index; at += 1) {
    state.uncommittedBytes -= log.entryAt(at)!.data.byteLength;
  }
  assert(ownVoice <= log.stable || faults !== undefined, 'raft: the own voice is durable');
  log.commit = index;
  state.isReplicationDue = true;
  afterCommit(state);
}

function afterCommit(state: RaftState): void {
  const { configuration, configurations, log } = state;
  if (configurations.currentIndex > log.commit) return;
  if (isJoint(configuration) && state.isReady) {
    appendConfiguration(state, leaveJoint(configuration));
    // The new configuration may need fewer voices than the joint one.
    advanceCommit(state);
    return;
  }
  if (!isVoter(configuration, state.self)) retire(state);
}

/** The leader is no voter any more: tell the rest the commit, name an heir, follow nobody. */
function retire(state: RaftState): void {
  sendAppends(state);
  const { voters } = state.configuration;
  const heir = voters.find(
    (peer) =>
      !isWitness(state.configuration, peer) &&
      state.progress.get(peer)?.match === state.log.lastIndex,
  );
  if (heir !== undefined) sendTimeoutNow(state, heir);
  state.becomeFollower(state.term, NO_PEER);
}

export function sendTimeoutNow(state: RaftState, target: PeerId): void {
  state.send({ kind: 'timeout-now', from: state.self, to: target, term: state.term });
}
