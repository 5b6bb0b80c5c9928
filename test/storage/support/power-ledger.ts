// What a power run knows of its logs, and how it rewrites their segments.
import { baseOffset as baseOf, forEachBatch } from '../../../src/records/batch.ts';
import { crc32c } from '../../../src/std/crc32c.ts';
import type { NeededOffsets } from '../../../src/storage/compaction/needed.ts';
import type { PassPort } from '../../../src/storage/compaction/pass.ts';
import { compactionWork } from '../../../src/storage/compaction/work.ts';

export interface Appended {
  readonly seq: number;
  readonly endOffset: number;
  /** Chain of the frame before it. */
  readonly before: number;
  readonly baseOffset: number;
  /** CRC field of its batch; undefined if it has none. */
  readonly crc: number | undefined;
}

/** What the test knows of one log: everything ever appended at a seq, and what must not be lost. */
export interface Ledger {
  /** Every frame ever appended (a truncation that is not durable may be undone). */
  readonly byChain: Map<number, Appended>;
  durableSeq: number;
  durableChain: number;
  committedSeq: number;
  committedChain: number;
  committedOffset: number;
  committedSum: number;
  /** Nobody wants batches below. */
  startOffset: number;
  /** Base offsets of batches that a rewriting leaves out: until it is done they may be there or not. */
  readonly spare: Set<number>;
  /** That it has left out: they are not there any more. */
  readonly gone: Set<number>;
}

export function newLedger(): Ledger {
  return {
    byChain: new Map(),
    durableSeq: 0,
    durableChain: 0,
    committedSeq: 0,
    committedChain: 0,
    committedOffset: 0,
    committedSum: 0,
    startOffset: 0,
    spare: new Set(),
    gone: new Set(),
  };
}

const NEEDLESS_WORK = compactionWork({ crc32c });
export const NEEDLESS_PORT: PassPort = {
  run: async (task) => NEEDLESS_WORK(task),
  paced: async () => undefined,
};

/** Every offset but these: a batch here has one record. */
export function neededBut(left: ReadonlySet<number>): NeededOffsets {
  const runsIn = (from: number, to: number) => {
    const runs: number[] = [];
    for (let at = from; at < to; at += 1) if (!left.has(at)) runs.push(at, at + 1);
    return runs;
  };
  return { runsIn, countIn: (from, to) => runsIn(from, to).length / 2 };
}

/** The batches in `bytes` that are not left out. */
export function without(bytes: Uint8Array, isLeft: (base: number) => boolean): Uint8Array {
  const kept: Uint8Array[] = [];
  forEachBatch(bytes, 0, bytes.length, (at, size) => {
    if (!isLeft(baseOf(bytes, at))) kept.push(bytes.subarray(at, at + size));
  });
  const out = new Uint8Array(kept.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of kept) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}
