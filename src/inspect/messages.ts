// The messages of a log in a stopped folder, in order of offset: what the node would serve, and for a queue
// also what it holds as acknowledged.
import { type ReadRecord, shownRecords } from '../broker/access/shown-records.ts';
import type { QueueState } from '../broker/view/queue-state.ts';
import type { Environment } from '../env/environment.ts';
import type { FileRead, MemoryRead } from '../storage/api.ts';
import { firstUnsound } from '../storage/sound-batches.ts';
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
      yield isDamaged
        ? damagedAt(partition, offset)
        : noted(partition, offset, 'too many files are open to read on');
      return;
    }
    const place = { partition, fromOffset: offset, recordsMax: Number.POSITIVE_INFINITY };
    const { bytes, damagedFrom } = bytesOf(read, env);
    for (const found of shownRecords(bytes, place, unpack)) {
      yield {
        record: found,
        committed: found.offset < committedOffset,
        queue: queue && {
          acknowledged: queue.isAcknowledged(found.offset),
          returns: queue.returns.get(found.offset, 0),
        },
      };
    }
    if (damagedFrom !== undefined) {
      yield damagedAt(partition, Math.max(damagedFrom, offset));
      return;
    }
    offset = Math.max(read.nextOffset, offset + 1);
  }
}

function damagedAt(partition: number, offset: number): StoredMessage {
  return noted(partition, offset, 'the bytes from here on are damaged');
}

function noted(partition: number, offset: number, note: string): StoredMessage {
  const nothing = { timestampMs: 0, key: null, value: null, headers: [] };
  return {
    record: { partition, offset, ...nothing, note },
    committed: true,
    queue: undefined,
  };
}

interface SoundBytes {
  readonly bytes: Uint8Array;
  /** Present: the batches that hold offsets from here on are not what was appended. */
  readonly damagedFrom: number | undefined;
}

/** What is sound of it: whole batches up to the first that fails its check. */
function bytesOf(read: MemoryRead | FileRead, env: Environment): SoundBytes {
  const all = new Uint8Array(read.length);
  if (read.kind === 'file') {
    const count = read.file.readSync(all, read.position);
    const { at, nextOffset } = firstUnsound(all, count, read.baseOffset, env.crc32c.bind(env));
    read.release();
    if (at < read.length) return { bytes: all.subarray(0, at), damagedFrom: nextOffset };
    return { bytes: all, damagedFrom: undefined };
  }
  let at = 0;
  for (const slice of read.slices) {
    all.set(slice, at);
    at += slice.length;
  }
  read.release();
  return { bytes: all, damagedFrom: undefined };
}
