// What a follower does with the words of its leader: keep what matches, cut only what conflicts,
// acknowledge exactly what was compared. Invariant: nothing is acknowledged that the request did
// not name, and no committed entry is ever cut.
import { assert } from '../std/assert.ts';
import type { AppendRequest, Heartbeat } from './message.ts';
import { decodeConfiguration } from './message-codec.ts';
import type { RaftState } from './state.ts';
import { withheldFrom } from './witness.ts';

export function handleAppendRequest(state: RaftState, message: AppendRequest): void {
  const { log } = state;
  if (!state.isWitness && message.entries.some((entry) => entry.kind === 'withheld')) return;
  if (message.prevIndex < log.commit) {
    // A late repeat. The committed prefix is common, so that much matches for certain.
    acknowledge(state, message, log.commit);
    return;
  }
  if (log.termAt(message.prevIndex) !== message.prevTerm) {
    rejectAppend(state, message);
    return;
  }
  const lastNew = message.prevIndex + message.entries.length;
  for (const entry of message.entries) {
    const known = log.termAt(entry.index);
    if (known === entry.term) continue;
    if (known !== undefined) truncateFrom(state, entry.index);
    log.append(state.isWitness ? withheldFrom(entry) : entry);
    if (entry.kind === 'config') {
      state.configurations.push(entry.index, decodeConfiguration(entry.data));
      state.assertKind();
    }
  }
  const commit = Math.min(message.commit, lastNew);
  if (commit > log.commit) log.commit = commit;
  acknowledge(state, message, lastNew);
}

function truncateFrom(state: RaftState, index: number): void {
  const { issued } = state.log;
  state.log.truncateFrom(index);
  state.persistence.truncated(index, issued);
  state.configurations.truncateFrom(index);
}

function acknowledge(state: RaftState, message: AppendRequest, index: number): void {
  state.sendWhenDurable({
    kind: 'append-response',
    from: state.self,
    to: message.from,
    term: state.term,
    isRejected: false,
    index,
    hintIndex: 0,
    hintTerm: 0,
  });
}

/** The hint skips, in one round, everything of terms that the leader cannot have at that place. */
function rejectAppend(state: RaftState, message: AppendRequest): void {
  const { log } = state;
  const hintIndex = log.lastAtMost(message.prevIndex, message.prevTerm);
  state.sendWhenDurable({
    kind: 'append-response',
    from: state.self,
    to: message.from,
    term: state.term,
    isRejected: true,
    index: message.prevIndex,
    hintIndex,
    hintTerm: log.termAt(hintIndex) ?? 0,
  });
}

export function handleHeartbeat(state: RaftState, message: Heartbeat): void {
  const { log } = state;
  assert(message.commit <= log.lastIndex, 'raft: what this peer acknowledged is still here', {
    commit: message.commit,
    lastIndex: log.lastIndex,
  });
  if (message.commit > log.commit) log.commit = message.commit;
  state.sendWhenDurable({
    kind: 'heartbeat-response',
    from: state.self,
    to: message.from,
    term: state.term,
    readSeq: message.readSeq,
  });
}
