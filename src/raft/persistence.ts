// Which writes are on their way, and what may leave once they are durable. The core, not the shell,
// holds messages back: a vote or an acknowledgement is released by the completion of the very write
// that carries it, and is checked again at that moment.
import { assert } from '../std/assert.ts';
import type { RaftLog } from './log.ts';
import type { RaftMessage } from './message.ts';
import type { Entry, HardState, SnapshotWrite, Write } from './types.ts';

interface PendingWrite {
  readonly attempt: number;
  readonly lastIndex: number;
  /** Lowered when later entries replace what this write carries: a late completion is no proof then. */
  validThrough: number;
  readonly hardState: HardState | undefined;
  readonly released: RaftMessage[];
}

export class Persistence {
  /** What the disk certainly holds. */
  durable: HardState;
  #issued: HardState;
  #attempt = 0;
  #pending: PendingWrite[] = [];
  #truncateFrom: number | undefined;
  #snapshot: SnapshotWrite | undefined;

  constructor(recovered: HardState) {
    this.durable = recovered;
    this.#issued = recovered;
  }

  get isIdle(): boolean {
    return this.#pending.length === 0;
  }

  /** Entries at or above `index` were replaced in memory. `issued`: the highest index given to storage. */
  truncated(index: number, issued: number): void {
    for (const write of this.#pending) write.validThrough = Math.min(write.validThrough, index - 1);
    if (issued >= index) this.#truncateFrom = Math.min(this.#truncateFrom ?? index, index);
  }

  snapshotTaken(snapshot: SnapshotWrite): void {
    // A received snapshot that is not yet written must not lose its power to replace the log.
    const replacesLog = snapshot.replacesLog || (this.#snapshot?.replacesLog ?? false);
    this.#snapshot = { ...snapshot, replacesLog };
    if (!snapshot.replacesLog) return;
    this.#truncateFrom = undefined;
    const { index } = snapshot.snapshot;
    for (const write of this.#pending) write.validThrough = Math.min(write.validThrough, index);
  }

  /** The next write, if anything must become durable. Marks the log's entries as given to storage. */
  take(log: RaftLog, hardState: HardState): Write | undefined {
    const isHardNew = hardState.term !== this.#issued.term || hardState.vote !== this.#issued.vote;
    const snapshot = this.#snapshot;
    // Entries above a received snapshot wait for the next write, so that no crash leaves a gap.
    const entries: Entry[] = [];
    if (snapshot?.replacesLog !== true) {
      for (let index = log.issued + 1; index <= log.lastIndex; index += 1) {
        entries.push(log.entryAt(index)!);
      }
    }
    if (!isHardNew && entries.length === 0 && snapshot === undefined) return undefined;
    if (entries.length > 0) log.issued = log.lastIndex;
    const isCutNamed =
      this.#truncateFrom === undefined || (entries[0]?.index ?? 0) <= this.#truncateFrom;
    assert(isCutNamed, 'raft: what is cut is cut by what takes its place', {
      truncateFrom: this.#truncateFrom,
    });
    this.#attempt += 1;
    const write: Write = {
      attempt: this.#attempt,
      truncateFrom: entries.length > 0 ? this.#truncateFrom : undefined,
      entries,
      hardState,
      snapshot,
    };
    this.#pending.push({
      attempt: write.attempt,
      lastIndex: log.issued,
      validThrough: log.issued,
      hardState,
      released: [],
    });
    this.#issued = hardState;
    if (entries.length > 0) this.#truncateFrom = undefined;
    this.#snapshot = undefined;
    return write;
  }

  /** Holds messages until everything written so far is durable. Call only when not idle. */
  hold(messages: readonly RaftMessage[]): void {
    const last = this.#pending[this.#pending.length - 1];
    assert(last !== undefined, 'raft: a message is held behind a write');
    last.released.push(...messages);
  }

  /** Messages of earlier terms can only mislead. */
  dropBelow(term: number): void {
    for (const write of this.#pending) {
      const kept = write.released.filter((message) => message.term >= term);
      write.released.length = 0;
      write.released.push(...kept);
    }
  }

  /** The write `attempt` is durable; completions come in order. Returns the messages it held. */
  completed(attempt: number, log: RaftLog): readonly RaftMessage[] {
    const write = this.#pending.shift();
    assert(write !== undefined && write.attempt === attempt, 'raft: writes complete in order', {
      attempt,
      expected: write?.attempt,
    });
    if (write.hardState !== undefined) this.durable = write.hardState;
    const proven = Math.min(write.lastIndex, write.validThrough);
    if (proven > log.stable) log.stable = proven;
    return write.released;
  }

  /** The rules of persistence, checked on every message that leaves or counts. */
  assertDurable(message: RaftMessage, log: RaftLog): void {
    const { term, vote } = this.durable;
    if (message.kind === 'vote-response' && !message.isPreVote && message.isGranted) {
      const isBound = term > message.term || (term === message.term && vote === message.to);
      assert(isBound, 'raft: a vote is durable before it is given', { term, asked: message.term });
    } else if (message.kind === 'append-response' && !message.isRejected) {
      assert(message.index <= log.stable, 'raft: an entry is durable before it is acknowledged', {
        index: message.index,
        stable: log.stable,
      });
    } else if (message.kind === 'vote-request' && !message.isPreVote) {
      assert(term >= message.term, 'raft: a term is durable before anybody hears of it', { term });
    }
  }
}
