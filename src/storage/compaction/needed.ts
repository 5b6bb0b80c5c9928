// What is left of batches when the records go that nobody needs: those that every reader of the log is done with, as
// the owner of the log says of offsets. Batches without any left go altogether, except a producer's: they say how
// far it had come.
import { forEachBatch, isControl } from '../../records/batch.ts';
import { RecordReader } from '../../records/records.ts';
import type { ByteWriter } from '../../std/bytes.ts';
import { type FilterStats, noStats } from './filter.ts';
import { type CompactionTools, Kept, KeptWriter } from './kept.ts';

/** Which offsets are still needed. Those that its owner does not know yet are. */
export interface NeededOffsets {
  countIn(from: number, to: number): number;
  /** Runs within [from, to): their first offset, and the one behind the last, of each in order. */
  runsIn(from: number, to: number): readonly number[];
}

export class NeededFilter {
  readonly #runs: readonly number[];
  readonly #tools: CompactionTools;
  readonly #reader = new RecordReader();
  readonly #writer: KeptWriter;
  /** Those before end below the record that is looked at. */
  #run = 0;
  readonly stats: FilterStats = noStats();

  constructor(runs: readonly number[], tools: CompactionTools) {
    this.#runs = runs;
    this.#tools = tools;
    this.#writer = new KeptWriter(tools);
  }

  /** Writes what stays of whole batches, which come in the order of their offsets. */
  run(bytes: Uint8Array, out: ByteWriter): void {
    forEachBatch(bytes, 0, bytes.length, (at, size) => this.#one(bytes, at, size, out));
  }

  #one(bytes: Uint8Array, at: number, size: number, out: ByteWriter): void {
    const reader = this.#reader;
    const opened = reader.open(bytes, at, at + size, this.#tools.unpack);
    const { header } = reader;
    const batch = bytes.subarray(at, at + size);
    const count = Math.max(0, header.recordCount);
    this.stats.recordsIn += count;
    const kept = isControl(header.attributes) || opened !== 'ok' ? undefined : this.#keep();
    if (kept !== undefined && kept.count < count) {
      const isGone = kept.count === 0 && header.producerId < 0;
      if (isGone || this.#writer.write(batch, reader, kept, header, undefined, out)) {
        this.stats.isChanged = true;
        this.stats.recordsOut += kept.count;
        return;
      }
    }
    if (kept === undefined && !isControl(header.attributes)) this.stats.unreadable += 1;
    out.raw(batch);
    this.stats.recordsOut += count;
  }

  /** Undefined: these are no records. */
  #keep(): Kept | undefined {
    const reader = this.#reader;
    const kept = new Kept();
    while (reader.next()) if (this.#isNeeded(reader.offset)) kept.add(reader);
    return reader.fault === undefined ? kept : undefined;
  }

  #isNeeded(offset: number): boolean {
    const runs = this.#runs;
    while (this.#run < runs.length && runs[this.#run + 1]! <= offset) this.#run += 2;
    return this.#run < runs.length && offset >= runs[this.#run]!;
  }
}
