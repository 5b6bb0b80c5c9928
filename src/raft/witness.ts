// Witnesses: members that vote and keep index and term of every entry, but not its bytes. They never lead. A commit may
// count them, for they refuse their vote to whoever lacks what they know of (Raft 5.4.1): safety is that of Raft.
// What is added here is a matter of order only. While a quorum of members with data keeps up, a witness is told of
// nothing before it is committed without it: else the fast witness and the leader would commit alone, and with the
// leader lost nobody who has the bytes would be as far as the witness. Sources: README.
import { hasQuorum, isWitness } from './membership.ts';
import type { Progress } from './progress.ts';
import type { RaftState } from './state.ts';
import type { Entry, PeerId } from './types.ts';

const NO_BYTES = new Uint8Array(0);

/** An entry as a witness keeps it. Configurations stay whole: who votes must know who else does. */
export function withheldFrom(entry: Entry): Entry {
  return entry.kind === 'command' ? { ...entry, kind: 'withheld', data: NO_BYTES } : entry;
}

/** The last entry that a witness may be told of now. */
export function lastForWitness(state: RaftState): number {
  return hasQuorum(state.configuration, (peer) => keepsUp(state, peer))
    ? state.log.commit
    : state.log.lastIndex;
}

/** Does this member have data, and is it fit to be waited for? */
function keepsUp(state: RaftState, peer: PeerId): boolean {
  if (isWitness(state.configuration, peer)) return false;
  if (peer === state.self) return true;
  const progress = state.progress.get(peer);
  const { electionTimeoutMs, promotionLagMax } = state.config;
  if (progress === undefined || state.nowMs - progress.lastHeardMs >= electionTimeoutMs) {
    return false;
  }
  // Where a new leader does not know yet how far a member is, it waits for the first answer.
  const isUnknown = progress.match === 0 && progress.state === 'probe';
  return isUnknown || progress.match + promotionLagMax >= state.log.commit;
}

/** A new leader waits one heartbeat, not a whole timeout, for members that said nothing in its election. */
export function noteSilent(state: RaftState): void {
  if (state.configuration.witnesses.length === 0) return;
  const { electionTimeoutMs, heartbeatMs } = state.config;
  for (const [peer, progress] of state.progress) {
    if (!state.votes.has(peer)) progress.lastHeardMs -= electionTimeoutMs - heartbeatMs;
  }
}

/** What is compacted here is told to a witness in one message: it has no image to be given. */
export function sendWitnessSnapshot(state: RaftState, peer: PeerId, progress: Progress): void {
  const { snapshot } = state;
  if (snapshot === undefined) return;
  if (progress.state !== 'probe') progress.become('probe');
  progress.isProbeSent = true;
  state.send({
    kind: 'witness-snapshot',
    from: state.self,
    to: peer,
    term: state.term,
    snapshotIndex: snapshot.index,
    snapshotTerm: snapshot.term,
    configuration: snapshot.configuration,
  });
}
