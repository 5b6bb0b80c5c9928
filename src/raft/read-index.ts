// Linearizable reads without a log entry (Raft thesis 6.4). The leader notes its commit index, has a
// quorum confirm that it still leads, and lets the read go at that index. Never before the leader
// has committed in its own term, and never by clock alone.
import { hasQuorum, quorumValue } from './membership.ts';
import type { HeartbeatResponse } from './message.ts';
import { sendHeartbeats } from './replication.ts';
import type { RaftState } from './state.ts';

export function requestRead(state: RaftState, requestId: number): void {
  if (state.role !== 'leader') {
    state.refuse(requestId, 'not-leader');
    return;
  }
  const pending = state.readBatches.reduce((sum, batch) => sum + batch.requestIds.length, 0);
  if (pending + state.waitingReads.length >= state.config.pendingReadsMax) {
    state.refuse(requestId, 'busy');
    return;
  }
  state.waitingReads.push(requestId);
}

/** One confirmation round for all reads since the last; called once per Ready. */
export function startReads(state: RaftState): void {
  if (!state.isReady || state.waitingReads.length === 0) return;
  state.readSeq += 1;
  state.readBatches.push({
    seq: state.readSeq,
    index: state.log.commit,
    requestIds: state.waitingReads,
  });
  state.waitingReads = [];
  const isAlone = hasQuorum(state.configuration, (peer) => peer === state.self);
  if (isAlone) finishReads(state);
  else sendHeartbeats(state);
  if (state.config.faults?.readUnconfirmed === true) answerThrough(state, state.readSeq);
}

export function handleHeartbeatResponse(state: RaftState, message: HeartbeatResponse): void {
  const progress = state.progress.get(message.from);
  if (progress === undefined || message.readSeq <= progress.readSeq) return;
  progress.readSeq = message.readSeq;
  finishReads(state);
}

function finishReads(state: RaftState): void {
  const confirmed = quorumValue(state.configuration, (peer) =>
    peer === state.self ? state.readSeq : (state.progress.get(peer)?.readSeq ?? 0),
  );
  answerThrough(state, confirmed);
}

function answerThrough(state: RaftState, confirmed: number): void {
  while (state.readBatches.length > 0 && state.readBatches[0]!.seq <= confirmed) {
    const { index, requestIds } = state.readBatches.shift()!;
    for (const requestId of requestIds) state.reads.push({ requestId, index });
  }
}
