import { gunzipSync, gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  BATCH_HEADER_BYTES,
  checkBatch,
  readBatchHeader,
  sealBatch,
} from '../../src/records/batch.ts';
import { BatchBuilder } from '../../src/records/batch-builder.ts';
import {
  type Decompress,
  decodeRecords,
  encodeBatch,
  type RecordInput,
  RecordReader,
} from '../../src/records/records.ts';
import { concatBytes, encodeUtf8, equalBytes, toHex } from '../../src/std/bytes.ts';
import { crc32c } from '../../src/std/crc32c.ts';
import { varI53Size } from '../../src/std/varint.ts';
import { anyRecords } from './arbitrary-records.ts';

const gunzip: Decompress = (codec, bytes) => {
  if (codec !== 'gzip') throw new Error(`no ${codec} here`);
  return gunzipSync(bytes);
};
const gzip = { codec: 'gzip' as const, compress: (bytes: Uint8Array) => gzipSync(bytes) };
const hex = (bytes: Uint8Array | null): string | null => (bytes === null ? null : toHex(bytes));

/** Comparable form: bytes as hex. */
function plain(records: readonly RecordInput[]): unknown[] {
  return records.map((r) => [
    r.timestampMs,
    hex(r.key),
    hex(r.value),
    (r.headers ?? []).map((h) => [h.name, hex(h.value)]),
  ]);
}

describe('records', () => {
  it('come back as they went in, plain and compressed', () => {
    fc.assert(
      fc.property(anyRecords, fc.boolean(), fc.nat(), (records, squeeze, offset) => {
        const fields = squeeze ? { baseOffset: offset, compression: gzip } : { baseOffset: offset };
        const bytes = encodeBatch(records, crc32c, fields);
        expect(checkBatch(bytes, 0, bytes.length, crc32c)).toBe('ok');
        const decoded = decodeRecords(bytes, 0, bytes.length, gunzip);
        if (decoded.kind !== 'ok') throw new Error(decoded.fault);
        expect(plain(decoded.records)).toEqual(plain(records));
        expect(decoded.records.map((r) => r.offset)).toEqual(records.map((_, i) => offset + i));
      }),
    );
  });

  it('lie in the batch as views, not as copies', () => {
    const bytes = encodeBatch([{ timestampMs: 1, key: null, value: encodeUtf8('body') }], crc32c);
    const reader = new RecordReader();
    expect([reader.open(bytes, 0, bytes.length), reader.next()]).toEqual(['ok', true]);
    expect(reader.value()!.buffer).toBe(bytes.buffer);
    expect([reader.key(), reader.next(), reader.fault]).toEqual([null, false, undefined]);
  });

  it('have the layout of the format: golden bytes', () => {
    const bytes = encodeBatch(
      [
        {
          timestampMs: 0,
          key: encodeUtf8('k'),
          value: null,
          headers: [{ name: 'h', value: encodeUtf8('v') }],
        },
      ],
      crc32c,
    );
    // size 11, attributes 0, time delta 0, offset delta 0, key size 1 'k', value -1, one header h =
    // v
    expect(toHex(bytes.subarray(BATCH_HEADER_BYTES))).toBe(
      '1600000002' + '6b' + '01' + '02' + '02680276',
    );
    expect(toHex(bytes.subarray(0, 17))).toBe('00000000000000000000003dffffffff02');
  });

  it('of a compressed batch are refused without the codec, and when unpacking fails', () => {
    const bytes = encodeBatch([{ timestampMs: 0, key: null, value: new Uint8Array(9) }], crc32c, {
      compression: gzip,
    });
    expect(decodeRecords(bytes, 0, bytes.length)).toEqual({
      kind: 'fault',
      fault: 'unsupported-codec',
    });
    const other = { ...gzip, codec: 'lz4' as const };
    const lz4 = encodeBatch([{ timestampMs: 0, key: null, value: null }], crc32c, {
      compression: other,
    });
    expect(decodeRecords(lz4, 0, lz4.length, gunzip)).toEqual({
      kind: 'fault',
      fault: 'bad-compression',
    });
  });

  it('cut or corrupted give a fault or other records, never an exception', () => {
    fc.assert(
      fc.property(anyRecords, fc.nat(), fc.nat(255), (records, position, byte) => {
        const bytes = encodeBatch(records, crc32c);
        for (let end = 0; end < bytes.length; end += 7) {
          expect(decodeRecords(bytes, 0, end)).toEqual({ kind: 'fault', fault: 'truncated' });
        }
        bytes[BATCH_HEADER_BYTES + (position % (bytes.length - BATCH_HEADER_BYTES))] = byte;
        const decoded = decodeRecords(bytes, 0, bytes.length);
        expect(['ok', 'fault']).toContain(decoded.kind);
      }),
      { numRuns: 500 },
    );
  });

  it('that do not fill the batch, or overrun it, are corrupt', () => {
    const bytes = encodeBatch([{ timestampMs: 0, key: null, value: null }], crc32c);
    const longer = concatBytes([bytes, new Uint8Array(3)]);
    longer[11]! += 3;
    sealBatch(longer, 0, crc32c);
    expect(checkBatch(longer, 0, longer.length, crc32c)).toBe('ok');
    expect(decodeRecords(longer, 0, longer.length)).toEqual({ kind: 'fault', fault: 'corrupt' });
    const huge = bytes.slice();
    huge[BATCH_HEADER_BYTES] = 0x7e;
    expect(decodeRecords(huge, 0, huge.length)).toEqual({ kind: 'fault', fault: 'corrupt' });
  });

  it('of which one claims to be as large as two are corrupt', () => {
    const empty = { timestampMs: 0, key: null, value: null };
    const bytes = encodeBatch([empty, empty], crc32c);
    const size = (bytes.length - BATCH_HEADER_BYTES) / 2;
    // Zigzag: the size of what follows the first size byte, which swallows the second record.
    bytes[BATCH_HEADER_BYTES] = (2 * size - 1) * 2;
    expect(decodeRecords(bytes, 0, bytes.length)).toEqual({ kind: 'fault', fault: 'corrupt' });
  });

  it('with a header name that is not UTF-8 are corrupt', () => {
    const bytes = encodeBatch(
      [
        {
          timestampMs: 0,
          key: null,
          value: null,
          headers: [{ name: 'n', value: null }],
        },
      ],
      crc32c,
    );
    bytes[bytes.length - 2] = 0xff;
    expect(decodeRecords(bytes, 0, bytes.length)).toEqual({ kind: 'fault', fault: 'corrupt' });
  });
});

describe('BatchBuilder', () => {
  it('takes records as others have encoded them, behind room for somebody else', () => {
    fc.assert(
      fc.property(anyRecords, fc.nat(40), (records, headRoom) => {
        const copied = new BatchBuilder(1, headRoom);
        for (const { timestampMs, ...record } of records) {
          // Alone in a batch: attributes, time and offset take a byte each, in front the size.
          const reader = new RecordReader();
          const alone = encodeBatch([{ timestampMs, ...record }], crc32c);
          expect(reader.open(alone, 0, alone.length)).toBe('ok');
          expect(reader.next()).toBe(true);
          const start = reader.keyAt - varI53Size(reader.keySize);
          copied.appendEncoded(timestampMs, alone, start, alone.length);
        }
        const whole = encodeBatch(records, crc32c);
        expect(equalBytes(copied.finish(crc32c), whole)).toBe(true);
        expect(equalBytes(copied.framed.subarray(headRoom), whole)).toBe(true);
        expect(copied.size).toBe(whole.length);
      }),
    );
  });

  it('makes the same batch again after reset', () => {
    const builder = new BatchBuilder(1);
    const make = (): Uint8Array => {
      builder.reset();
      builder.append(5, null, encodeUtf8('x'.repeat(500)));
      builder.append(4, encodeUtf8('k'), null);
      return builder.finish(crc32c).slice();
    };
    expect(equalBytes(make(), make())).toBe(true);
    expect(builder.count).toBe(2);
    expect(readBatchHeader(make(), 0)).toMatchObject({ baseTimestampMs: 5, maxTimestampMs: 5 });
  });

  it('refuses to finish an empty batch', () => {
    expect(() => new BatchBuilder().finish(crc32c)).toThrow('at least one record');
  });

  it('sets the attribute bits it is asked for', () => {
    const bytes = encodeBatch([{ timestampMs: 0, key: null, value: null }], crc32c, {
      isTransactional: true,
      isControl: true,
      producerId: 1,
      producerEpoch: 0,
    });
    expect(readBatchHeader(bytes, 0).attributes).toBe(0x30);
  });
});
