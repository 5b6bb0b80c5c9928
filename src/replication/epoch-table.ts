// Leader epochs in the space of seqs: which epoch wrote which frames of one replica's log. Used
// between replicas only; clients ask OffsetEpochTable. Invariant: epochs and first seqs both
// strictly ascend, because one epoch has one writer and an epoch that wrote nothing has no entry.
import { assert } from '../std/assert.ts';
import { ByteReader } from '../std/byte-reader.ts';
import { ByteWriter } from '../std/byte-writer.ts';
import type { EpochEnd, EpochStart } from './types.ts';

const VERSION = 1;

export class EpochTable {
  readonly #epochs: number[] = [];
  readonly #firstSeqs: number[] = [];

  constructor(entries: readonly EpochStart[] = []) {
    for (const entry of entries) {
      assert(
        entry.epoch > this.latestEpoch && entry.firstSeq > (this.#firstSeqs.at(-1) ?? 0),
        'EpochTable: entries must ascend',
        { entry },
      );
      this.append(entry.epoch, entry.firstSeq);
    }
  }

  /** Epoch of the last frame; 0 for an empty log. */
  get latestEpoch(): number {
    return this.#epochs.length === 0 ? 0 : this.#epochs[this.#epochs.length - 1]!;
  }

  /** First seq of the oldest epoch known; 0 if none. */
  get firstSeq(): number {
    return this.#firstSeqs[0] ?? 0;
  }

  /** The frame at `seq` carries `epoch`. Costs a comparison unless the epoch is new. */
  append(epoch: number, seq: number): void {
    const latest = this.latestEpoch;
    if (epoch === latest) return;
    assert(epoch > latest, 'EpochTable: an epoch went back', { epoch, latest, seq });
    this.#epochs.push(epoch);
    this.#firstSeqs.push(seq);
  }

  /** Epoch of the frame at `seq`, or 0 if it lies before the table. */
  epochAt(seq: number): number {
    for (let i = this.#epochs.length - 1; i >= 0; i -= 1) {
      if (this.#firstSeqs[i]! <= seq) return this.#epochs[i]!;
    }
    return 0;
  }

  /** Last seq of `epoch` in a log that ends at `endSeq`, or -1 if the epoch is not in the table. */
  endOf(epoch: number, endSeq: number): number {
    const at = this.#epochs.lastIndexOf(epoch);
    if (at < 0) return -1;
    return at + 1 < this.#epochs.length ? this.#firstSeqs[at + 1]! - 1 : endSeq;
  }

  /** First seq of `epoch`, or -1. */
  startOf(epoch: number): number {
    const at = this.#epochs.lastIndexOf(epoch);
    return at < 0 ? -1 : this.#firstSeqs[at]!;
  }

  /** Every epoch with its last seq, in a log that ends at `endSeq`. */
  ends(endSeq: number): EpochEnd[] {
    return this.#epochs.map((epoch) => ({ epoch, lastSeq: this.endOf(epoch, endSeq) }));
  }

  /**
   * How far a log with this `tail` is equal to ours (which ends at `endSeq`): the newest epoch that
   * both know, up to the shorter end of it. Exact, because one writer per epoch means that two logs
   * with a frame of the same (epoch, seq) are equal up to it. -1 if they share no epoch in the
   * tables.
   */
  commonEnd(tail: readonly EpochEnd[], endSeq: number): number {
    for (let i = tail.length - 1; i >= 0; i -= 1) {
      const theirs = tail[i]!;
      const ours = this.endOf(theirs.epoch, endSeq);
      if (ours >= 0) return Math.min(ours, theirs.lastSeq);
    }
    return -1;
  }

  /** The log was cut: frames above `seq` are gone. */
  truncateAfter(seq: number): void {
    let count = this.#epochs.length;
    while (count > 0 && this.#firstSeqs[count - 1]! > seq) count -= 1;
    this.#epochs.length = count;
    this.#firstSeqs.length = count;
  }

  /** Forgets the epochs that end below `seq`; the epoch of `seq` itself stays. */
  pruneBelow(seq: number): void {
    let drop = 0;
    while (drop + 1 < this.#epochs.length && this.#firstSeqs[drop + 1]! <= seq) drop += 1;
    if (drop === 0) return;
    this.#epochs.splice(0, drop);
    this.#firstSeqs.splice(0, drop);
  }

  entries(): EpochStart[] {
    return this.#epochs.map((epoch, i) => ({ epoch, firstSeq: this.#firstSeqs[i]! }));
  }

  toBytes(): Uint8Array {
    return encodePairs(VERSION, this.#epochs, this.#firstSeqs);
  }

  /** Throws BytesError if the bytes are cut short, AssertionError if they are not a table. */
  static fromBytes(bytes: Uint8Array): EpochTable {
    return new EpochTable(
      decodePairs(VERSION, bytes).map(([epoch, firstSeq]) => ({ epoch, firstSeq })),
    );
  }
}

/**
 * version u8, count varint, then (epoch, position) varints, both as differences to the pair before.
 */
export function encodePairs(
  version: number,
  epochs: readonly number[],
  positions: readonly number[],
): Uint8Array {
  const writer = new ByteWriter(64);
  writer.u8(version);
  writer.varU53(epochs.length);
  for (let i = 0; i < epochs.length; i += 1) {
    writer.varU53(epochs[i]! - (epochs[i - 1] ?? 0));
    writer.varU53(positions[i]! - (positions[i - 1] ?? 0));
  }
  return writer.toBytes();
}

export function decodePairs(version: number, bytes: Uint8Array): [number, number][] {
  const reader = new ByteReader(bytes);
  const found = reader.u8();
  assert(found === version, 'epoch table: unknown version', { found, version });
  const count = reader.varU53();
  const pairs: [number, number][] = [];
  let epoch = 0;
  let position = 0;
  for (let i = 0; i < count; i += 1) {
    epoch += reader.varU53();
    position += reader.varU53();
    pairs.push([epoch, position]);
  }
  assert(reader.remaining === 0, 'epoch table: bytes behind the end');
  return pairs;
}
