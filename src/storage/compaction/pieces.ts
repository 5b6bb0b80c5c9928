// Segments are read in pieces, beside the loop.
import {
  BATCH_HEADER_BYTES,
  baseOffset,
  forEachBatch,
  lastOffset,
  wholeBatchSize,
} from '../../records/batch.ts';
import type { FileRead, RewriteSource } from '../api.ts';

export const PIECE_BYTES = 1 << 20;

export type Readable = Pick<FileRead, 'file' | 'isSound'>;

/** Into memory that another thread may read. */
export function readAt(from: Readable, position: number, length: number): Promise<Uint8Array> {
  const bytes = new Uint8Array(new SharedArrayBuffer(length));
  return new Promise((resolve, reject) => {
    from.file.read(bytes, position, (error, count) => {
      if (error === undefined && count === length) {
        resolve(bytes);
        return;
      }
      from.isSound(bytes, count, error);
      reject(error ?? new Error('a pinned segment is shorter than it was'));
    });
  });
}

/** Whole batches of a source from `position` on: at least one, however large. */
export async function pieceOf(
  source: Omit<RewriteSource, 'baseOffset' | 'endOffset'>,
  position: number,
): Promise<Uint8Array> {
  const left = source.length - position;
  const bytes = await readAt(source, source.position + position, Math.min(left, PIECE_BYTES));
  let end = 0;
  for (;;) {
    const size = wholeBatchSize(bytes, end, bytes.length);
    if (size === 0) break;
    end += size;
  }
  if (end > 0 || bytes.length < BATCH_HEADER_BYTES) return bytes.subarray(0, end || bytes.length);
  const size = wholeBatchSize(bytes, 0, left);
  // What is no batch is found by who reads it.
  return size === 0 ? bytes : readAt(source, source.position + position, size);
}

/**
 * Where batches end that go on from `nextOffset` and end at or below `endOffset`; undefined: they do not. No checksum
 * covers base offsets, and what is believed of one that has rotted is another record's.
 */
export function endOfBatches(
  bytes: Uint8Array,
  nextOffset: number,
  endOffset: number,
): number | undefined {
  let end: number | undefined = nextOffset;
  forEachBatch(bytes, 0, bytes.length, (at) => {
    const last = lastOffset(bytes, at);
    end = baseOffset(bytes, at) >= end! && last < endOffset ? last + 1 : undefined;
    return end !== undefined;
  });
  return end;
}

/** Tells the segment that these bytes of it are damaged, so that it is repaired. */
export function tellDamaged(from: Pick<Readable, 'isSound'>, bytes: Uint8Array): void {
  // By itself a piece may look right that goes back behind the one before.
  if (from.isSound(bytes, bytes.length, undefined)) from.isSound(bytes, 0, undefined);
}
