// The first record at or after a time, inside the batch that the time index found. Compressed batches
// are answered with their first offset: a reader then skips at most one batch. Nothing below the log start is
// an answer, though a batch may begin there.
import { wholeBatchSize } from '../../records/batch.ts';
import { RecordReader } from '../../records/records.ts';
import type { ReadResult, StoredLog, TimestampPlace } from '../../storage/api.ts';

export interface RecordPlace {
  readonly offset: number;
  readonly timestampMs: number;
}

/** Larger batches are not searched: their first offset is the answer. */
const SEARCH_BYTES_MAX = 1024 * 1024;
const READ_BYTES = 64 * 1024;

function bytesOf(read: Extract<ReadResult, { kind: 'memory' | 'file' }>): Uint8Array | undefined {
  if (read.kind === 'memory') return read.slices[0];
  if (read.length > SEARCH_BYTES_MAX) return undefined;
  const bytes = new Uint8Array(read.length);
  let count = 0;
  for (let at = 0; at < bytes.length; at += READ_BYTES) {
    const part = bytes.subarray(at, Math.min(at + READ_BYTES, bytes.length));
    count += read.file.readSync(part, read.position + at);
  }
  return read.isSound(bytes, count, undefined) ? bytes : undefined;
}

/** `matches` sees the timestamps of the batch in order; the first that it accepts is the place. */
export function recordPlace(
  stored: StoredLog,
  place: TimestampPlace,
  committedOffset: number,
  matches: (timestampMs: number) => boolean,
): RecordPlace {
  const from = Math.max(place.baseOffset, stored.startOffset);
  const first = { offset: from, timestampMs: place.maxTimestampMs };
  const read = stored.read(from, 1, committedOffset);
  if (read.kind !== 'memory' && read.kind !== 'file') return first;
  try {
    const bytes = bytesOf(read);
    if (bytes === undefined || wholeBatchSize(bytes, 0, bytes.length) === 0) return first;
    const reader = new RecordReader();
    if (reader.open(bytes, 0, bytes.length) !== 'ok') return first;
    while (reader.next()) {
      if (reader.offset >= from && matches(reader.timestampMs)) {
        return { offset: reader.offset, timestampMs: reader.timestampMs };
      }
    }
    return first;
  } finally {
    read.release();
  }
}
