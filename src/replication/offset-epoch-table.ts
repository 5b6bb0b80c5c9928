// Leader epochs in the space of offsets: what OffsetForLeaderEpoch and truncation detection of
// clients are answered from. Never used between replicas: an epoch with events only has seqs and no
// offsets. Invariant: epochs and start offsets both strictly ascend. Semantics of the answer follow
// KIP-101 and KIP-320 (Apache Kafka): the end of an epoch is the start of the next one, the latest
// ends at the LEO.
import { assert } from '../std/assert.ts';
import { decodePairs, encodePairs } from './epoch-table.ts';

const VERSION = 1;

/** Answer to OffsetForLeaderEpoch; both -1 if the epoch is newer than any known here. */
export interface EpochEndOffset {
  readonly epoch: number;
  readonly endOffset: number;
}

const UNKNOWN: EpochEndOffset = { epoch: -1, endOffset: -1 };

export class OffsetEpochTable {
  readonly #epochs: number[] = [];
  readonly #startOffsets: number[] = [];

  constructor(entries: readonly { readonly epoch: number; readonly startOffset: number }[] = []) {
    for (const entry of entries) {
      assert(
        entry.epoch > this.latestEpoch && entry.startOffset > (this.#startOffsets.at(-1) ?? -1),
        'OffsetEpochTable: entries must ascend',
        { entry },
      );
      this.#epochs.push(entry.epoch);
      this.#startOffsets.push(entry.startOffset);
    }
  }

  /** -1 if no epoch is known. */
  get latestEpoch(): number {
    return this.#epochs.length === 0 ? -1 : this.#epochs[this.#epochs.length - 1]!;
  }

  /**
   * The epoch-begin of `epoch` was applied when the log end offset was `startOffset`. An older
   * epoch with the same start held no records: it goes.
   */
  begin(epoch: number, startOffset: number): void {
    assert(epoch > this.latestEpoch, 'OffsetEpochTable: an epoch went back', { epoch });
    this.truncateFrom(startOffset);
    this.#epochs.push(epoch);
    this.#startOffsets.push(startOffset);
  }

  /** Where `epoch` (or the last one before it that has records) ends. */
  offsetForLeaderEpoch(epoch: number, logEndOffset: number): EpochEndOffset {
    const latest = this.latestEpoch;
    if (epoch < 0 || epoch > latest) return UNKNOWN;
    if (epoch === latest) return { epoch, endOffset: logEndOffset };
    let next = this.#epochs.length - 1;
    while (next > 0 && this.#epochs[next - 1]! > epoch) next -= 1;
    const endOffset = this.#startOffsets[next]!;
    return { epoch: next === 0 ? epoch : this.#epochs[next - 1]!, endOffset };
  }

  /** Epoch of the record at `offset`, or -1 if it lies before the table. */
  epochAt(offset: number): number {
    for (let i = this.#epochs.length - 1; i >= 0; i -= 1) {
      if (this.#startOffsets[i]! <= offset) return this.#epochs[i]!;
    }
    return -1;
  }

  /** Records from `offset` on are gone. */
  truncateFrom(offset: number): void {
    let count = this.#epochs.length;
    while (count > 0 && this.#startOffsets[count - 1]! >= offset) count -= 1;
    this.#epochs.length = count;
    this.#startOffsets.length = count;
  }

  /** The log start moved to `logStartOffset`: its epoch starts there now, older ones go. */
  pruneBelow(logStartOffset: number): void {
    let drop = 0;
    while (drop + 1 < this.#epochs.length && this.#startOffsets[drop + 1]! <= logStartOffset) {
      drop += 1;
    }
    if (drop > 0) {
      this.#epochs.splice(0, drop);
      this.#startOffsets.splice(0, drop);
    }
    if (this.#epochs.length > 0 && this.#startOffsets[0]! < logStartOffset) {
      this.#startOffsets[0] = logStartOffset;
    }
  }

  entries(): { epoch: number; startOffset: number }[] {
    return this.#epochs.map((epoch, i) => ({ epoch, startOffset: this.#startOffsets[i]! }));
  }

  toBytes(): Uint8Array {
    return encodePairs(VERSION, this.#epochs, this.#startOffsets);
  }

  /** Throws BytesError if the bytes are cut short, AssertionError if they are not a table. */
  static fromBytes(bytes: Uint8Array): OffsetEpochTable {
    const pairs = decodePairs(VERSION, bytes);
    return new OffsetEpochTable(pairs.map(([epoch, startOffset]) => ({ epoch, startOffset })));
  }
}
