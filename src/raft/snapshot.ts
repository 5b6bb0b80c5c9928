// Snapshots on both sides: a leader streams its newest one in chunks, a follower gathers, checks
// and installs it. A follower that holds half of the same snapshot (same index, term, size and
// checksum) goes on where it stopped, also under another leader. Installing twice changes nothing.
import { assert } from '../std/assert.ts';
import { crc32c } from '../std/crc32c.ts';
import type { SnapshotChunk, SnapshotResponse, WitnessSnapshot } from './message.ts';
import type { Progress } from './progress.ts';
import type { RaftState } from './state.ts';
import type { PeerId, Snapshot } from './types.ts';

const NO_BYTES = new Uint8Array(0);
/** A witness drops its log when it is longer than so many times what stays. */
const WITNESS_LOG_TIMES = 10;

/** Chunks sent beyond what the peer has acknowledged. */
const CHUNKS_AHEAD = 2;

/** Starts a transfer, or repeats the first chunk that is not acknowledged. */
export function sendSnapshot(state: RaftState, peer: PeerId, progress: Progress): void {
  if (progress.state !== 'snapshot') {
    const { snapshot } = state;
    assert(snapshot !== undefined, 'raft: what is compacted is in a snapshot', { peer });
    progress.become('snapshot');
    progress.transfer = { snapshot, ackedBytes: 0, sentBytes: 0, ackedAtHeartbeat: 0 };
  }
  const transfer = progress.transfer!;
  transfer.sentBytes = transfer.ackedBytes;
  sendChunks(state, peer, progress);
}

/** A heartbeat was answered: repeat chunks only if none arrived since the last answer. */
export function resumeSnapshot(state: RaftState, peer: PeerId, progress: Progress): void {
  const transfer = progress.transfer!;
  const isStalled = transfer.ackedAtHeartbeat === transfer.ackedBytes;
  transfer.ackedAtHeartbeat = transfer.ackedBytes;
  if (isStalled) sendSnapshot(state, peer, progress);
}

function sendChunks(state: RaftState, peer: PeerId, progress: Progress): void {
  const transfer = progress.transfer!;
  const { snapshot } = transfer;
  const chunkBytes = state.config.snapshotChunkBytes;
  const total = snapshot.data.byteLength;
  const windowEnd = transfer.ackedBytes + CHUNKS_AHEAD * chunkBytes;
  let isFirst = transfer.sentBytes === 0;
  while ((isFirst || transfer.sentBytes < total) && transfer.sentBytes < windowEnd) {
    const offset = transfer.sentBytes;
    const data = snapshot.data.subarray(offset, Math.min(offset + chunkBytes, total));
    state.send({
      kind: 'snapshot-chunk',
      from: state.self,
      to: peer,
      term: state.term,
      snapshotIndex: snapshot.index,
      snapshotTerm: snapshot.term,
      configuration: snapshot.configuration,
      checksum: snapshot.checksum,
      totalBytes: total,
      offset,
      data,
    });
    transfer.sentBytes += data.byteLength;
    isFirst = false;
  }
}

export function handleSnapshotResponse(state: RaftState, message: SnapshotResponse): void {
  const progress = state.progress.get(message.from);
  if (progress === undefined) return;
  progress.lastHeardMs = state.nowMs;
  const { transfer } = progress;
  if (transfer === undefined || transfer.snapshot.index !== message.snapshotIndex) return;
  const total = transfer.snapshot.data.byteLength;
  if (message.offset > total) return;
  // Lower than before: the follower lost its buffer (restart, bad checksum) and starts over.
  const isMoved = message.offset !== transfer.ackedBytes;
  transfer.ackedBytes = message.offset;
  if (message.offset > transfer.sentBytes || message.offset === 0) {
    transfer.sentBytes = message.offset;
  }
  if (isMoved && message.offset < total) sendChunks(state, message.from, progress);
}

/** Nothing is given in place of the image: a peer with a state machine must not take it for one. */
export function handleWitnessSnapshot(state: RaftState, message: WitnessSnapshot): void {
  if (!state.isWitness) return;
  const { snapshotIndex: index, snapshotTerm: term, configuration } = message;
  if (index > state.log.commit) {
    installSnapshot(state, { index, term, configuration, checksum: 0, data: NO_BYTES });
  }
  acknowledge(state, message, state.log.commit);
}

export function handleSnapshotChunk(state: RaftState, chunk: SnapshotChunk): void {
  // Its sender takes this peer for another kind of member, and hears so from the next configuration.
  if (state.isWitness) return;
  if (chunk.snapshotIndex <= state.log.commit) {
    acknowledge(state, chunk, state.log.commit);
    return;
  }
  const incoming = bufferFor(state, chunk);
  if (chunk.offset === incoming.received) {
    const fits = chunk.offset + chunk.data.byteLength <= chunk.totalBytes;
    if (fits) {
      incoming.bytes.set(chunk.data, chunk.offset);
      incoming.received += chunk.data.byteLength;
    }
  }
  const isWhole = incoming.received === chunk.totalBytes;
  if (isWhole && crc32c(incoming.bytes) === incoming.checksum) {
    state.incoming = undefined;
    installSnapshot(state, {
      index: chunk.snapshotIndex,
      term: chunk.snapshotTerm,
      configuration: chunk.configuration,
      checksum: chunk.checksum,
      data: incoming.bytes,
    });
    acknowledge(state, chunk, chunk.snapshotIndex);
    return;
  }
  if (isWhole) incoming.received = 0;
  state.sendWhenDurable({
    kind: 'snapshot-response',
    from: state.self,
    to: chunk.from,
    term: state.term,
    snapshotIndex: chunk.snapshotIndex,
    snapshotTerm: chunk.snapshotTerm,
    offset: incoming.received,
  });
}

function bufferFor(state: RaftState, chunk: SnapshotChunk) {
  const current = state.incoming;
  const isSame =
    current !== undefined &&
    current.index === chunk.snapshotIndex &&
    current.term === chunk.snapshotTerm &&
    current.checksum === chunk.checksum &&
    current.bytes.byteLength === chunk.totalBytes;
  if (isSame) return current;
  const fresh = {
    index: chunk.snapshotIndex,
    term: chunk.snapshotTerm,
    checksum: chunk.checksum,
    bytes: new Uint8Array(chunk.totalBytes),
    received: 0,
  };
  state.incoming = fresh;
  return fresh;
}

function acknowledge(state: RaftState, chunk: { readonly from: PeerId }, index: number): void {
  state.sendWhenDurable({
    kind: 'append-response',
    from: state.self,
    to: chunk.from,
    term: state.term,
    isRejected: false,
    index,
    hintIndex: 0,
    hintTerm: 0,
  });
}

function installSnapshot(state: RaftState, snapshot: Snapshot): void {
  const { log } = state;
  if (log.termAt(snapshot.index) === snapshot.term) {
    // The log holds it all: the snapshot only proves that it is committed.
    log.commit = snapshot.index;
    return;
  }
  log.resetTo(snapshot.index, snapshot.term);
  state.configurations.reset(snapshot.index, snapshot.configuration);
  state.assertKind();
  state.snapshot = snapshot;
  if (state.isWitness) log.applied = snapshot.index;
  else state.install = snapshot;
  state.persistence.snapshotTaken({ snapshot, replacesLog: true, keepFrom: snapshot.index + 1 });
}

/** A witness has nothing to apply, and lets go of what is committed by itself. */
export function applyAsWitness(state: RaftState): void {
  const { log } = state;
  log.handed = Math.max(log.handed, Math.min(log.commit, log.stable));
  log.applied = log.handed;
  const isLong = log.applied - log.baseIndex > WITNESS_LOG_TIMES * state.config.trailingEntries;
  if (isLong) compact(state, log.applied, NO_BYTES);
}

/** The state machine gives its image at `index`: the log below may go. Older images are ignored. */
export function compact(state: RaftState, index: number, data: Uint8Array): void {
  const { log } = state;
  if (index <= (state.snapshot?.index ?? 0)) return;
  assert(index <= log.applied, 'raft: a snapshot holds applied entries only', {
    index,
    applied: log.applied,
  });
  const term = log.termAt(index);
  assert(term !== undefined, 'raft: the term of an applied entry is known', { index });
  const forgets = state.config.faults?.snapshotForgetsMembers === true;
  const configuration = forgets ? state.founding : state.configurations.at(index);
  const snapshot = { index, term, configuration, checksum: crc32c(data), data };
  state.snapshot = snapshot;
  const keepFrom = Math.max(log.baseIndex, index - state.config.trailingEntries) + 1;
  log.compactThrough(keepFrom - 1);
  state.configurations.compactThrough(keepFrom - 1);
  state.persistence.snapshotTaken({ snapshot, replacesLog: false, keepFrom });
}
