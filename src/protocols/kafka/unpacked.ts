// Compressed batches on their way to a queue, whose consumers get messages one by one from where they lie: the
// same records without compression. Batches for streams are never looked into.
import { refuseKeyless } from '../../broker/ports.ts';
import type { Unpack } from '../../env/environment.ts';
import { BatchHeader, isTransactional, readBatchHeader } from '../../records/batch.ts';
import { decodeRecords, encodeBatch } from '../../records/records.ts';
import type { Crc32c } from '../../std/crc32c.ts';
import { KafkaErrorCode as E } from './errors.ts';

/** Twice what a queue takes: a small batch may claim to be a large one. */
const UNPACKED_BYTES_MAX = 32 * 1024 * 1024;

const header = new BatchHeader();

/** `batch` is whole and checked. A number: the error that tells why it cannot be unpacked. */
export function unpackedBatch(
  batch: Uint8Array,
  crc32c: Crc32c,
  unpack: Unpack | undefined,
): Uint8Array | number {
  readBatchHeader(batch, 0, header);
  // The log refuses it; packed anew it would have lost what it is refused for.
  if (header.producerId >= 0 || isTransactional(header.attributes)) return batch;
  let isUnknown = false;
  const decoded = decodeRecords(batch, 0, batch.length, (codec, bytes) => {
    const unpacked = unpack?.(codec, bytes, UNPACKED_BYTES_MAX);
    isUnknown = unpacked === undefined;
    return unpacked ?? bytes;
  });
  if (isUnknown) return E.UNSUPPORTED_COMPRESSION_TYPE;
  return decoded.kind === 'ok' ? encodeBatch(decoded.records, crc32c) : E.INVALID_RECORD;
}

/**
 * Has every record of a packed batch a key? Undefined, or the error that a client gets: INVALID_RECORD, as from Kafka,
 * or that nobody here can look into the batch. Into plain batches the log looks itself.
 */
export function keylessCode(batch: Uint8Array, unpack: Unpack | undefined): number | undefined {
  const refusal = refuseKeyless(batch, (codec, bytes) =>
    unpack?.(codec, bytes, UNPACKED_BYTES_MAX),
  );
  if (refusal === undefined) return undefined;
  return refusal === 'unsupported' ? E.UNSUPPORTED_COMPRESSION_TYPE : E.INVALID_RECORD;
}
