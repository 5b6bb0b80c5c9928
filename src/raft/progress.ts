// What the leader knows about one peer. Not shared, lost with the leadership. Invariant:
// match < next, match never falls, and at most `inFlightMax` unanswered appends are out.
import type { Snapshot } from './types.ts';

/** An outgoing snapshot; it is kept here until done, even if the leader makes a newer one. */
export interface SnapshotTransfer {
  readonly snapshot: Snapshot;
  /** Bytes the peer says it holds, and bytes sent. */
  ackedBytes: number;
  sentBytes: number;
  /** `ackedBytes` at the last heartbeat answer: unchanged since means that chunks were lost. */
  ackedAtHeartbeat: number;
}

export class Progress {
  /** `probe`: one append at a time, until the match is found. `replicate`: pipelined. */
  state: 'probe' | 'replicate' | 'snapshot' = 'probe';
  match = 0;
  next: number;
  /** `probe` only: an append is out and nothing more is sent until an answer or a heartbeat. */
  isProbeSent = false;
  lastHeardMs: number;
  /** Highest read confirmation answered. */
  readSeq = 0;
  /** Commit index last sent, so that a moved commit is told with the next flush. */
  sentCommit = 0;
  transfer: SnapshotTransfer | undefined;
  // Unanswered appends as parallel columns, oldest first.
  #ends: number[] = [];
  #sizes: number[] = [];
  #bytes = 0;

  constructor(next: number, nowMs: number) {
    this.next = next;
    this.lastHeardMs = nowMs;
  }

  get inFlightCount(): number {
    return this.#ends.length;
  }

  get inFlightBytes(): number {
    return this.#bytes;
  }

  /** Notes an append that ends at `end`. */
  sent(end: number, bytes: number): void {
    this.#ends.push(end);
    this.#sizes.push(bytes);
    this.#bytes += bytes;
  }

  /** Everything up to `index` matches. Returns false if that was known. */
  matched(index: number): boolean {
    let answered = 0;
    while (answered < this.#ends.length && this.#ends[answered]! <= index) {
      this.#bytes -= this.#sizes[answered]!;
      answered += 1;
    }
    if (answered > 0) {
      this.#ends.splice(0, answered);
      this.#sizes.splice(0, answered);
    }
    this.isProbeSent = false;
    if (index <= this.match) return false;
    this.match = index;
    this.next = Math.max(this.next, index + 1);
    return true;
  }

  become(state: 'probe' | 'replicate' | 'snapshot'): void {
    this.state = state;
    this.isProbeSent = false;
    this.#ends = [];
    this.#sizes = [];
    this.#bytes = 0;
    if (state !== 'snapshot') {
      this.transfer = undefined;
      this.next = this.match + 1;
    }
  }
}
