// The streams of one leader to its followers: answers hellos with the place where both logs are
// equal, and says from which frame and in which class the shell streams. Holds no frames and no
// credit. Invariant: nothing is streamed to a follower before its log is a prefix of the leader's.
import type { EpochTable } from './epoch-table.ts';
import type { OutputQueue } from './outputs.ts';
import type { Peer } from './peer.ts';
import type { Faults, Grant, Hello, HelloAnswer, LeaderOutput, StreamClass } from './types.ts';

/**
 * A follower that lacks more frames than this when it says hello is served in the catch-up class.
 */
const TAIL_FRAMES_MAX = 128;

/** The leader's own log, as far as an answer depends on it. */
export interface StreamedLog {
  readonly epochs: EpochTable;
  readonly endSeq: number;
  readonly committedSeq: number;
  readonly firstFrameSeq: number;
}

export class Streams {
  readonly #grant: Grant;
  readonly #faults: Faults;
  readonly #outputs: OutputQueue<LeaderOutput>;

  constructor(grant: Grant, faults: Faults, outputs: OutputQueue<LeaderOutput>) {
    this.#grant = grant;
    this.#faults = faults;
    this.#outputs = outputs;
  }

  /** Answers; sets what the peer holds; starts its stream unless it has to cut first. */
  answer(peer: Peer, hello: Hello, log: StreamedLog): void {
    peer.hello = undefined;
    const cutSeq = this.#cutFor(hello, log);
    const answer = this.#answerOf(hello, cutSeq, log);
    this.#outputs.push({ kind: 'hello-answer', node: peer.node, answer });
    peer.toldCommittedSeq = log.committedSeq;
    if (answer.kind === 'refused') {
      const reason = 'cut-below-committed';
      this.#outputs.push({ kind: 'alarm', reason, node: peer.node, seq: cutSeq });
      return;
    }
    // Where a snapshot is needed our epochs may not reach back to where the logs are equal.
    const equalSeq = answer.kind === 'snapshot' ? Math.max(cutSeq, peer.matchSeq) : cutSeq;
    const matchSeq = answer.kind === 'discard' ? 0 : Math.min(equalSeq, hello.durableSeq);
    if (matchSeq < peer.matchSeq && answer.kind !== 'discard') {
      const reason = 'acknowledged-frames-lost';
      this.#outputs.push({ kind: 'alarm', reason, node: peer.node, seq: matchSeq });
    }
    peer.matchSeq = matchSeq;
    if (answer.kind !== 'frames') return;
    peer.nextSeq = cutSeq + 1;
    peer.catchUpEndSeq = log.endSeq;
    peer.streamClass = log.endSeq - cutSeq > TAIL_FRAMES_MAX ? 'catch-up' : 'tail';
    if (hello.endSeq > cutSeq) peer.awaitsCut = true;
    else this.start(peer);
  }

  start(peer: Peer): void {
    peer.awaitsCut = false;
    peer.isStreaming = true;
    this.changeClass(peer, peer.streamClass);
  }

  changeClass(peer: Peer, streamClass: StreamClass): void {
    peer.streamClass = streamClass;
    if (!peer.isStreaming) return;
    const { node, nextSeq } = peer;
    this.#outputs.push({ kind: 'stream', node, fromSeq: nextSeq, streamClass });
  }

  stop(peer: Peer): void {
    peer.isStreaming = false;
    peer.awaitsCut = false;
    this.#outputs.push({ kind: 'stop-stream', node: peer.node });
  }

  /** Last frame that the follower may keep. */
  #cutFor(hello: Hello, log: StreamedLog): number {
    const { epochs, endSeq } = log;
    const common = epochs.commonEnd(hello.tail, endSeq);
    if (this.#faults.truncateBelowCommitted) {
      return Math.max(0, epochs.startOf(epochs.epochAt(common)) - 1);
    }
    if (common >= 0) return common;
    // No epoch in common. If our table goes back to the first frame, nothing is equal; else all
    // that differs is older than our snapshot, and what the follower knows to be committed is a
    // prefix of it.
    return epochs.firstSeq > 1 ? hello.committedSeq : 0;
  }

  #answerOf(hello: Hello, cutSeq: number, log: StreamedLog): HelloAnswer {
    const { epoch, unclean } = this.#grant;
    const base = { epoch, helloNo: hello.helloNo, committedSeq: log.committedSeq };
    if (cutSeq < hello.committedSeq && !this.#faults.truncateBelowCommitted) {
      return unclean ? { kind: 'discard', ...base } : { kind: 'refused', ...base, cutSeq };
    }
    const kind = cutSeq + 1 < log.firstFrameSeq ? 'snapshot' : 'frames';
    return { kind, ...base, cutSeq };
  }
}
