// A record as ranges of lent bytes, in both directions: filled from a message that is published, or from a record that
// is read. One object is filled again and again.
import type { RecordParts } from '../../../broker/ports.ts';
import type { RecordReader } from '../../../records/records.ts';
import { EMPTY_BYTES } from '../../../std/bytes.ts';

export class Parts implements RecordParts {
  key: Uint8Array = EMPTY_BYTES;
  keyStart = -1;
  keyEnd = -1;
  value: Uint8Array = EMPTY_BYTES;
  valueStart = 0;
  valueEnd = 0;
  headerCount = 0;
  headers: Uint8Array = EMPTY_BYTES;
  headersStart = 0;
  headersEnd = 0;
  timestampMs = -1;

  /** The record that the reader stands on, lent with it. */
  ofRecord(record: RecordReader): this {
    const { bytes, keyAt, keySize, valueAt, valueSize } = record;
    this.key = bytes;
    this.keyStart = keySize < 0 ? -1 : keyAt;
    this.keyEnd = keyAt + Math.max(0, keySize);
    this.value = bytes;
    this.valueStart = valueAt;
    this.valueEnd = valueAt + Math.max(0, valueSize);
    this.headerCount = record.headerCount;
    this.headers = bytes;
    this.headersStart = record.headersAt;
    this.headersEnd = record.headersEnd;
    this.timestampMs = record.timestampMs;
    return this;
  }
}
