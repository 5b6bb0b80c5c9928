// Are these batches what was appended? For bytes that have been on a disk.
import {
  BATCH_PREFIX_BYTES,
  baseOffset,
  checkBatch,
  lastOffset,
  STORED_BATCH,
  wholeBatchSize,
} from '../records/batch.ts';
import type { Crc32c } from '../std/crc32c.ts';

/** Are these `count` bytes whole batches that hold offsets from `baseOffset` on, and none from `nextOffset` on? */
export function isSoundRun(
  bytes: Uint8Array,
  count: number,
  { baseOffset: first, nextOffset: end }: { baseOffset: number; nextOffset: number },
  crc32c: Crc32c,
): boolean {
  if (count < bytes.length || count < BATCH_PREFIX_BYTES) return false;
  const found = firstUnsound(bytes, count, first, crc32c);
  return (
    !found.isDamaged &&
    found.at === count &&
    found.nextOffset <= end &&
    baseOffset(bytes, 0) === first
  );
}

/** Where the first batch lies that fails its check or goes back, or that is not whole. */
export function firstUnsound(
  bytes: Uint8Array,
  end: number,
  nextOffset: number,
  crc32c: Crc32c,
): { readonly at: number; readonly nextOffset: number; readonly isDamaged: boolean } {
  let at = 0;
  let next = nextOffset;
  for (;;) {
    const size = wholeBatchSize(bytes, at, end);
    if (size === 0) return { at, nextOffset: next, isDamaged: false };
    const isSound =
      checkBatch(bytes, at, end, crc32c, STORED_BATCH) === 'ok' && baseOffset(bytes, at) >= next;
    if (!isSound) return { at, nextOffset: next, isDamaged: true };
    next = lastOffset(bytes, at) + 1;
    at += size;
  }
}
