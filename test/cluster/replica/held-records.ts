// All records that one replica of the rig has, whoever leads.
import { forEachBatch } from '../../../src/records/batch.ts';
import { decodeRecords, type Record as StoredRecord } from '../../../src/records/records.ts';
import { LOG, type Rig } from './rig.ts';

const READ_BYTES = 60_000;

/** In order, from the start of the log to its end. */
export function heldRecords(rig: Rig, id: number): StoredRecord[] {
  const log = rig.at(id).store.log(LOG)!;
  const found: StoredRecord[] = [];
  for (let at = log.startOffset; at < log.endOffset; ) {
    const read = log.read(at, 1 << 20, log.endOffset);
    if (read.kind !== 'file' && read.kind !== 'memory') throw new Error(read.kind);
    at = read.nextOffset;
    const parts = read.kind === 'memory' ? read.slices : [new Uint8Array(read.length)];
    if (read.kind === 'file') {
      for (let from = 0; from < read.length; from += READ_BYTES) {
        read.file.readSync(parts[0]!.subarray(from, from + READ_BYTES), read.position + from);
      }
    }
    for (const part of parts) {
      forEachBatch(part, 0, part.length, (from, size) => {
        const decoded = decodeRecords(part, from, from + size);
        if (decoded.kind === 'fault') throw new Error(decoded.fault);
        found.push(...decoded.records);
      });
    }
    read.release();
  }
  return found;
}
