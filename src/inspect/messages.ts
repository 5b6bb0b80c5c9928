// The messages of a log in a stopped folder, in order of offset: what the node would serve, and for a queue
// also what it holds as acknowledged.
import { type ReadRecord, shownRecords } from '../broker/access/shown-records.ts';
import type { QueueState } from '../broker/view/queue-state.ts';
import type { Environment } from '../env/environment.ts';
import type { FileRead, MemoryRead } from '../storage/api.ts';
import type { FoundLog } from './stopped-folder.ts';

const READ_BYTES = 1 << 20;

export interface StoredMessage {
  readonly record: ReadRecord;
  /** False: this node does not know that it is committed; another leader may cut it. */
  readonly committed: boolean;
  /** Of a queue: acknowledged messages are here only because their neighbours are not. */
  readonly queue: { readonly acknowledged: boolean; readonly returns: number } | undefined;
}

/** Ends with a message that has a note if the bytes from there on are damaged. */
export function* messagesOf(
  env: Environment,
  { stored, record }: FoundLog,
  queue: QueueState | undefined,
): Generator<StoredMessage> {
  const committedOffset = stored.offsetAt(stored.committedSeq) ?? stored.settledOffset;
  const partition = record?.partition ?? 0;
  const unpack = env.unpack ?? (() => undefined);
  for (let offset = stored.startOffset; offset < stored.endOffset; ) {
    const read = stored.read(offset, READ_BYTES, stored.endOffset);
    if (read.kind === 'empty' || read.kind === 'out-of-range') return;
    if (read.kind === 'damaged' || read.kind === 'no-descriptors') {
      const isDamaged = read.kind === 'damaged';
      const note = isDamaged
        ? 'the bytes from here on are damaged'
        : 'too many files are open to read on';
      const nothing = { timestampMs: 0, key: null, value: null, headers: [] };
      yield { record: { partition, offset, ...nothing, note }, committed: true, queue: undefined };
      return;
    }
    const place = { partition, fromOffset: offset, recordsMax: Number.POSITIVE_INFINITY };
    for (const found of shownRecords(bytesOf(read), place, unpack)) {
      yield {
        record: found,
        committed: found.offset < committedOffset,
        queue: queue && {
          acknowledged: queue.isAcknowledged(found.offset),
          returns: queue.returns.get(found.offset, 0),
        },
      };
    }
    offset = Math.max(read.nextOffset, offset + 1);
  }
}

function bytesOf(read: MemoryRead | FileRead): Uint8Array {
  const all = new Uint8Array(read.length);
  if (read.kind === 'file') read.file.readSync(all, read.position);
  else {
    let at = 0;
    for (const slice of read.slices) {
      all.set(slice, at);
      at += slice.length;
    }
  }
  read.release();
  return all;
}
