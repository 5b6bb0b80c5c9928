// Records of a log that is led on this thread, for whoever is here too: out of the log's memory, without a question and
// an answer. Where it is not so simple (no leader, a file, damage) there are none, and the log is asked, which says why.
import type { ReadResult, StoredLog } from '../../storage/api.ts';
import type { LentRecords } from '../ports.ts';
import type { HostedLog } from './hosted-log.ts';

/** Whole committed batches from the one of `offset` on: one, and more as far as they have `maxBytes` together. */
export function lend(
  hosted: HostedLog | undefined,
  offset: number,
  maxBytes: number,
): LentRecords | undefined {
  const leader = hosted?.leader;
  if (hosted === undefined || leader?.isActive !== true) return undefined;
  const { stored } = hosted;
  // What has settled is in files.
  if (offset < stored.startOffset || offset < stored.settledOffset) return undefined;
  const read = readOf(stored, offset, maxBytes, leader.committedOffset());
  if (read?.kind === 'memory') return read;
  if (read?.kind === 'file') read.release();
  return undefined;
}

function readOf(
  stored: StoredLog,
  offset: number,
  maxBytes: number,
  committedOffset: number,
): ReadResult | undefined {
  try {
    return stored.read(offset, maxBytes, committedOffset);
  } catch {
    // A read that fails harms nobody but its reader, who asks the log.
    return undefined;
  }
}
