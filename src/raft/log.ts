// The log in memory: everything above the last compaction, and four marks on it. Not storage:
// the shell writes what Ready names. Always: base <= applied <= handed <= commit <= lastIndex
// and handed <= stable <= issued <= lastIndex; truncation never reaches a committed entry.
import { assert } from '../std/assert.ts';
import type { Entry } from './types.ts';

export class RaftLog {
  /** Index and term of the entry just below the first one kept. */
  baseIndex: number;
  baseTerm: number;
  commit: number;
  /** Last index the state machine reports as applied, and last index given out for it. */
  applied: number;
  handed: number;
  /** Last index known to be durable here, and last index given to storage. */
  stable: number;
  issued: number;
  #entries: Entry[];

  constructor(baseIndex: number, baseTerm: number, entries: readonly Entry[]) {
    this.baseIndex = baseIndex;
    this.baseTerm = baseTerm;
    this.#entries = entries.filter((entry) => entry.index > baseIndex);
    this.#entries.forEach((entry, i) => {
      assert(entry.index === baseIndex + 1 + i, 'recovered entries are contiguous', {
        expected: baseIndex + 1 + i,
        found: entry.index,
      });
    });
    this.commit = baseIndex;
    this.applied = baseIndex;
    this.handed = baseIndex;
    this.stable = this.lastIndex;
    this.issued = this.lastIndex;
  }

  get lastIndex(): number {
    return this.baseIndex + this.#entries.length;
  }

  get lastTerm(): number {
    const last = this.#entries[this.#entries.length - 1];
    return last === undefined ? this.baseTerm : last.term;
  }

  /** The term at `index`, or undefined if it is compacted or above the end. */
  termAt(index: number): number | undefined {
    if (index === this.baseIndex) return this.baseTerm;
    return this.#entries[index - this.baseIndex - 1]?.term;
  }

  entryAt(index: number): Entry | undefined {
    return this.#entries[index - this.baseIndex - 1];
  }

  /** Raft 5.4.1: the longer log of the later last term wins; terms first, never field by field. */
  isUpToDate(lastIndex: number, lastTerm: number): boolean {
    return lastTerm > this.lastTerm || (lastTerm === this.lastTerm && lastIndex >= this.lastIndex);
  }

  /** Entries from `from` (inclusive) while their payload fits `bytesMax`; at least one if there is one. */
  slice(from: number, through: number, bytesMax: number): Entry[] {
    const taken: Entry[] = [];
    let bytes = 0;
    for (let index = from; index <= through; index += 1) {
      const entry = this.entryAt(index);
      if (entry === undefined) break;
      bytes += entry.data.byteLength;
      if (taken.length > 0 && bytes > bytesMax) break;
      taken.push(entry);
    }
    return taken;
  }

  append(entry: Entry): void {
    assert(entry.index === this.lastIndex + 1, 'append is at the end', {
      index: entry.index,
      lastIndex: this.lastIndex,
    });
    assert(entry.term >= this.lastTerm, 'terms never fall along the log', {
      term: entry.term,
      lastTerm: this.lastTerm,
    });
    this.#entries.push(entry);
  }

  /** Cuts everything at or above `index`. */
  truncateFrom(index: number): void {
    assert(index > this.commit, 'a committed entry is never cut', {
      index,
      commit: this.commit,
    });
    this.#entries.length = index - this.baseIndex - 1;
    this.stable = Math.min(this.stable, index - 1);
    this.issued = Math.min(this.issued, index - 1);
  }

  /** The log becomes a snapshot at (index, term) and nothing above it. */
  resetTo(index: number, term: number): void {
    assert(index > this.commit, 'a snapshot never takes the commit back', {
      index,
      commit: this.commit,
    });
    this.#entries = [];
    this.baseIndex = index;
    this.baseTerm = term;
    this.commit = index;
    this.handed = index;
    this.stable = index;
    this.issued = index;
  }

  /** Drops entries up to and including `index`, which must be applied. */
  compactThrough(index: number): void {
    if (index <= this.baseIndex) return;
    assert(index <= this.applied, 'only applied entries are compacted', {
      index,
      applied: this.applied,
    });
    const term = this.termAt(index);
    assert(term !== undefined, 'the compacted entry is known', { index });
    this.#entries.splice(0, index - this.baseIndex);
    this.baseIndex = index;
    this.baseTerm = term;
  }

  /**
   * The highest index at or below `index` whose term is at most `term`: the best guess for where
   * two logs agree when the other side has `term` at `index`.
   */
  lastAtMost(index: number, term: number): number {
    let at = Math.min(index, this.lastIndex);
    while (at > this.baseIndex && (this.termAt(at) ?? 0) > term) at -= 1;
    return at;
  }
}
