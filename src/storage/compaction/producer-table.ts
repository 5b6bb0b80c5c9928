// The last offset that a pass knows of each producer: made once a round, in shared memory, so that each piece of
// the log is filtered with the same table, whatever thread does it and however many producers there are.
//
// Pairs of numbers, ascending by producer id: id, last offset.
export class ProducerTable {
  readonly #pairs: Float64Array;

  constructor(memory: SharedArrayBuffer) {
    this.#pairs = new Float64Array(memory);
  }

  /** The memory of a table of these. */
  static memoryOf(lastOffsets: ReadonlyMap<number, number>): SharedArrayBuffer {
    const pairs = new Float64Array(new SharedArrayBuffer(16 * lastOffsets.size));
    let at = 0;
    for (const [producerId, offset] of [...lastOffsets].sort(([a], [b]) => a - b)) {
      pairs[at] = producerId;
      pairs[at + 1] = offset;
      at += 2;
    }
    return pairs.buffer as SharedArrayBuffer;
  }

  /** -1: none is known. */
  lastOffset(producerId: number): number {
    const pairs = this.#pairs;
    let low = 0;
    let high = pairs.length / 2;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (pairs[2 * middle]! < producerId) low = middle + 1;
      else high = middle;
    }
    return pairs[2 * low] === producerId ? pairs[2 * low + 1]! : -1;
  }
}
