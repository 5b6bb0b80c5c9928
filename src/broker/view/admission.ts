// Which batches a log takes from those who append to it or publish: whole, of this version's format, and without
// a promise that is not kept here. Of a queue's log more is asked: its consumers find a message by its offset and
// get it as it lies there, so each record must be readable, in its place and not compressed; one that was not
// would be taken for delivered and lost. What log clients publish is made by this broker (publish.ts).
import type { BatchRefusal } from '../../actors/durable/behavior.ts';
import {
  BATCH_HEADER_BYTES,
  BATCH_MAGIC,
  BatchHeader,
  codecOf,
  isControl,
  isTransactional,
  readBatchHeader,
} from '../../records/batch.ts';
import { RecordReader } from '../../records/records.ts';

const header = new BatchHeader();
const reader = new RecordReader();

/** Why a batch is refused, or undefined for a good one. `into` is filled with its header if there is one. */
export function refuseBatch(
  batch: Uint8Array,
  bytesMax: number,
  into: BatchHeader,
): BatchRefusal | undefined {
  if (batch.length > bytesMax) return 'too-large';
  if (batch.length < BATCH_HEADER_BYTES) return 'corrupt';
  readBatchHeader(batch, 0, into);
  if (into.magic !== BATCH_MAGIC) return 'unsupported';
  if (into.size !== batch.length) return 'corrupt';
  if (isControl(into.attributes)) return 'invalid';
  if (into.recordCount < 1 || into.recordCount !== into.lastOffsetDelta + 1) return 'invalid';
  // A producer that counts on being deduplicated or on transactions must not be let down silently.
  if (isTransactional(into.attributes) || into.producerId >= 0) return 'unsupported';
  return undefined;
}

/** The same of a batch that is appended to a queue's log as it would be to a stream's. */
export function refuseAppended(batch: Uint8Array, bytesMax: number): BatchRefusal | undefined {
  const refusal = refuseBatch(batch, bytesMax, header);
  if (refusal !== undefined) return refusal;
  if (codecOf(header.attributes) !== 'none') return 'unsupported';
  return hasItsRecords(batch) ? undefined : 'invalid';
}

/** Gives the bytes of a batch's records, or undefined: nobody here can. */
export type Unpacker = (codec: string, bytes: Uint8Array) => Uint8Array | undefined;

/**
 * Records without a key, in a batch that a compacted log is to take. A plain one is looked into where it is appended,
 * one that is packed by who took it from its client, with `unpack`: 'unsupported' if it cannot be unpacked, because it
 * could not be compacted either.
 */
export function refuseKeyless(batch: Uint8Array, unpack?: Unpacker): BatchRefusal | undefined {
  readBatchHeader(batch, 0, header);
  const isPlain = codecOf(header.attributes) === 'none';
  if (isPlain !== (unpack === undefined)) return undefined;
  let isUnknown = false;
  const opened = reader.open(batch, 0, batch.length, (codec, bytes) => {
    const unpacked = unpack?.(codec, bytes);
    isUnknown = unpacked === undefined;
    return unpacked ?? bytes;
  });
  if (isUnknown) return 'unsupported';
  if (opened !== 'ok') return 'invalid';
  let areKeyed = true;
  while (areKeyed && reader.next()) areKeyed = reader.keySize >= 0;
  const isGood = areKeyed && reader.fault === undefined;
  reader.bytes = NO_BYTES;
  return isGood ? undefined : 'invalid';
}

/** As many as offsets, in order. Ends at the first wrong one, so what a header claims costs nothing. */
function hasItsRecords(batch: Uint8Array): boolean {
  if (reader.open(batch, 0, batch.length) !== 'ok') return false;
  const first = reader.header.baseOffset;
  let next = first;
  for (; reader.next(); next += 1) if (reader.offset !== next) return false;
  // What was appended is not kept alive by its check.
  const isWhole = reader.fault === undefined && next - first === header.recordCount;
  reader.bytes = NO_BYTES;
  return isWhole;
}

const NO_BYTES = new Uint8Array(0);
