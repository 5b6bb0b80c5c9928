// The records of fetched batches for people. What was compressed is unpacked if this machine can; a batch
// that cannot be read is shown as one record without content and a note that says why.
import type { Unpack } from '../../env/environment.ts';
import { type BatchHeader, codecOf, forEachBatch, readBatchHeader } from '../../records/batch.ts';
import { decodeRecords } from '../../records/records.ts';

export interface ReadRecord {
  readonly partition: number;
  readonly offset: number;
  readonly timestampMs: number;
  readonly key: Uint8Array | null;
  readonly value: Uint8Array | null;
  readonly headers: readonly { readonly name: string; readonly value: Uint8Array | null }[];
  /** Why the content is not shown. */
  readonly note: string | undefined;
}

/** What the batches of one answer may unpack to: it all lies in memory at once. */
export const UNPACKED_BYTES_MAX = 32 * 1024 * 1024;

interface Place {
  readonly partition: number;
  /** Records before it are left out: a batch may start before the offset that was asked for. */
  readonly fromOffset: number;
  readonly recordsMax: number;
}

/** The first records of whole batches, until `recordsMax` are found or enough was unpacked. */
export function shownRecords(bytes: Uint8Array, place: Place, unpack: Unpack): ReadRecord[] {
  const found: ReadRecord[] = [];
  let bytesLeft = UNPACKED_BYTES_MAX;
  forEachBatch(bytes, 0, bytes.length, (at, size) => {
    const header = readBatchHeader(bytes, at);
    const codec = codecOf(header.attributes);
    let isUnknown = codec === undefined;
    const decoded = decodeRecords(bytes, at, at + size, (name, squeezed) => {
      const unpacked = unpack(name, squeezed, bytesLeft);
      isUnknown = unpacked === undefined;
      bytesLeft -= unpacked?.length ?? 0;
      return unpacked ?? squeezed;
    });
    if (isUnknown) {
      found.push(unread(place.partition, header, cannotUnpack(header, codec)));
    } else if (decoded.kind === 'ok') {
      for (const record of decoded.records) {
        if (record.offset < place.fromOffset) continue;
        found.push({ ...record, partition: place.partition, note: undefined });
      }
    } else if (decoded.fault === 'bad-compression' && found.length > 0) {
      // Perhaps only for want of the room that those before it took: the next read starts with this one.
      return false;
    } else {
      found.push(unread(place.partition, header, `unreadable: ${decoded.fault}`));
    }
    return found.length < place.recordsMax;
  });
  return found.slice(0, place.recordsMax);
}

function unread(partition: number, header: BatchHeader, note: string): ReadRecord {
  const base = { partition, offset: header.lastOffset, timestampMs: header.maxTimestampMs };
  return { ...base, key: null, value: null, headers: [], note };
}

function cannotUnpack({ recordCount }: BatchHeader, codec: string | undefined): string {
  const records = recordCount === 1 ? '1 record' : `${recordCount} records`;
  return `${records} compressed with ${codec ?? 'an unknown codec'}, which this node cannot unpack`;
}
