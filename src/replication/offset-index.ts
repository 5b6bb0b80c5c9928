// From seqs to what clients see: the high watermark behind the committed seq and the log end offset
// behind the last frame. Kept for the frames above the committed one only. Invariant: offsets never
// decrease along seqs; a frame without records has the offset of the frame before it.
import { assert } from '../std/assert.ts';
import { SeqRing } from './seq-ring.ts';

export class OffsetIndex {
  readonly #nextOffsets = new SeqRing();
  #committedSeq: number;
  #highWatermark: number;
  #logEndOffset: number;

  /** `nextOffset`: the offset that the first record behind the frame `committedSeq` will get. */
  constructor(committedSeq: number, nextOffset: number) {
    this.#committedSeq = committedSeq;
    this.#highWatermark = nextOffset;
    this.#logEndOffset = nextOffset;
  }

  /** Consumers see the offsets below. */
  get highWatermark(): number {
    return this.#highWatermark;
  }

  get logEndOffset(): number {
    return this.#logEndOffset;
  }

  get committedSeq(): number {
    return this.#committedSeq;
  }

  get endSeq(): number {
    return Math.max(this.#committedSeq, this.#nextOffsets.endSeq);
  }

  /** Frame `seq` is in the log; the next record will get `nextOffset`. */
  append(seq: number, nextOffset: number): void {
    assert(nextOffset >= this.#logEndOffset, 'OffsetIndex: offsets must not go back');
    assert(seq > this.#committedSeq, 'OffsetIndex: a committed frame was appended again');
    this.#nextOffsets.push(seq, nextOffset);
    this.#logEndOffset = nextOffset;
  }

  /** Frames up to `seq` are committed. Returns the high watermark. */
  commit(seq: number): number {
    if (seq <= this.#committedSeq) return this.#highWatermark;
    const offset = this.#nextOffsets.at(seq);
    assert(offset >= 0, 'OffsetIndex: commit of a frame that is not here', { seq });
    this.#nextOffsets.dropThrough(seq);
    this.#committedSeq = seq;
    this.#highWatermark = offset;
    return offset;
  }

  /** Frames above `seq` are gone. Returns the log end offset. */
  truncateAfter(seq: number): number {
    assert(seq >= this.#committedSeq, 'OffsetIndex: cut below the committed frame', { seq });
    this.#nextOffsets.truncateAfter(seq);
    this.#logEndOffset = seq === this.#committedSeq ? this.#highWatermark : this.offsetBehind(seq);
    return this.#logEndOffset;
  }

  /** Offset behind frame `seq`, or -1 if it is not in [committedSeq, endSeq]. */
  offsetBehind(seq: number): number {
    return seq === this.#committedSeq ? this.#highWatermark : this.#nextOffsets.at(seq);
  }
}
