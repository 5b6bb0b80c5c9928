// The recovery read of a new leader in `quorum` mode: hear enough members that one of them has
// every committed frame, then copy what the longest of them has. Pure decision over the hellos
// heard so far. Invariant: the own log is cut only to where it stops being equal to the longest
// one.
import type { EpochTable } from './epoch-table.ts';
import type { Peer } from './peer.ts';
import type { SafeSet } from './safe-set.ts';
import type { EpochEnd, Hello } from './types.ts';

export type RecoveryStep =
  | { readonly kind: 'wait' }
  | { readonly kind: 'complete' }
  | { readonly kind: 'too-far-behind' }
  /** Cut the own log to `cutSeq` (if it is longer), then copy up to `throughSeq`. */
  | {
      readonly kind: 'copy';
      readonly from: Peer;
      readonly cutSeq: number;
      readonly throughSeq: number;
    };

const WAIT: RecoveryStep = { kind: 'wait' };
const COMPLETE: RecoveryStep = { kind: 'complete' };

/** What the leader does next, given its own log and the members (itself included) to hear. */
export function nextRecoveryStep(
  set: SafeSet,
  membersToHear: number,
  epochs: EpochTable,
  endSeq: number,
): RecoveryStep {
  let heard = 0;
  let best: Peer | undefined;
  let bestEpoch = epochs.latestEpoch;
  let bestEnd = endSeq;
  for (const { peer, incarnation } of set.members) {
    const hello = peer.hello;
    if (peer.isSelf) heard += 1;
    if (peer.isSelf || hello === undefined || hello.from.incarnation !== incarnation) continue;
    heard += 1;
    // Only the durable part: the rest may vanish with a crash, and no commit can depend on it.
    const epoch = epochOf(hello.tail, hello.durableSeq);
    const isEqual = epoch === bestEpoch && hello.durableSeq === bestEnd;
    const isLonger = epoch > bestEpoch || (epoch === bestEpoch && hello.durableSeq > bestEnd);
    if (isLonger || (isEqual && best !== undefined && !best.isLinked)) {
      best = peer;
      bestEpoch = epoch;
      bestEnd = hello.durableSeq;
    }
  }
  if (heard < membersToHear) return WAIT;
  if (best === undefined) return COMPLETE;
  return copyFrom(best, best.hello!, epochs, endSeq);
}

function copyFrom(from: Peer, hello: Hello, epochs: EpochTable, endSeq: number): RecoveryStep {
  const common = epochs.commonEnd(hello.tail, endSeq);
  const cutSeq = Math.max(common, 0);
  if (cutSeq + 1 < hello.firstFrameSeq) return { kind: 'too-far-behind' };
  return { kind: 'copy', from, cutSeq, throughSeq: hello.durableSeq };
}

/** Epoch of the frame at `seq`, from ends; 0 if there is none. */
function epochOf(tail: readonly EpochEnd[], seq: number): number {
  if (seq === 0) return 0;
  for (const entry of tail) if (entry.lastSeq >= seq) return entry.epoch;
  return 0;
}
