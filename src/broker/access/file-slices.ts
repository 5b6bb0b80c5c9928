// What a log gave as a range of a file, read into memory that serves the next range after it. Not how such a range
// is sent as it is: that is the connections'.
import type { FetchSlice } from '../../cluster/ports.ts';
import type { BufferPool } from '../../std/buffer-pool.ts';

type FileSlice = Extract<FetchSlice, { kind: 'file' }>;

/**
 * `then` gets what is sound, on no turn of anybody, and gives it back to `memory` when it is done with it; undefined:
 * it cannot be read, or is damaged. `release` lets go of the file.
 */
export function readFileSlice(
  slice: FileSlice,
  memory: BufferPool,
  release: () => void,
  then: (bytes: Uint8Array | undefined) => void,
): void {
  const bytes = memory.take(slice.length).subarray(0, slice.length);
  slice.file.read(bytes, slice.position, (error, count) => {
    const isSound = slice.isSound(bytes, count, error);
    release();
    if (!isSound) memory.give(bytes);
    then(isSound ? bytes : undefined);
  });
}
