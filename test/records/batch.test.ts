import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  ATTRIBUTES_AT,
  BASE_SEQUENCE_AT,
  BATCH_CRC_FROM,
  BATCH_HEADER_BYTES,
  BatchHeader,
  baseOffset,
  batchSize,
  CONTROL_BIT,
  CRC_AT,
  checkBatch,
  codecOf,
  forEachBatch,
  isAppendTime,
  isControl,
  isTransactional,
  LAST_OFFSET_DELTA_AT,
  LENGTH_AT,
  lastOffset,
  MAGIC_AT,
  MAX_TIMESTAMP_AT,
  maxTimestampMs,
  PRODUCER_ID_AT,
  RECORD_COUNT_AT,
  readBatchHeader,
  recordCount,
  STORED_BATCH,
  sealBatch,
  stampBatch,
} from '../../src/records/batch.ts';
import { encodeBatch } from '../../src/records/records.ts';
import { concatBytes, encodeUtf8, writeU16, writeU32 } from '../../src/std/bytes.ts';
import { crc32c } from '../../src/std/crc32c.ts';
import { anyRecords } from './arbitrary-records.ts';

const record = { timestampMs: 1000, key: encodeUtf8('k'), value: encodeUtf8('value') };
const sample = (): Uint8Array =>
  encodeBatch(
    [record, { ...record, timestampMs: 3000 }, { ...record, timestampMs: 2000 }],
    crc32c,
    {
      baseOffset: 40,
      leaderEpoch: 3,
      producerId: 9,
      producerEpoch: 1,
      baseSequence: 17,
    },
  );
const check = (bytes: Uint8Array, rules = undefined as typeof STORED_BATCH | undefined): string =>
  checkBatch(bytes, 0, bytes.length, crc32c, rules);

describe('batch header', () => {
  it('has every field where the format says', () => {
    const bytes = sample();
    expect({ ...readBatchHeader(bytes, 0) }).toEqual({
      baseOffset: 40,
      length: bytes.length - 12,
      leaderEpoch: 3,
      magic: 2,
      crc: crc32c(bytes, BATCH_CRC_FROM),
      attributes: 0,
      lastOffsetDelta: 2,
      baseTimestampMs: 1000,
      maxTimestampMs: 3000,
      producerId: 9,
      producerEpoch: 1,
      baseSequence: 17,
      recordCount: 3,
    });
    expect(readBatchHeader(bytes, 0)).toMatchObject({ size: bytes.length, lastOffset: 42 });
    expect([batchSize(bytes, 0), baseOffset(bytes, 0), lastOffset(bytes, 0)]).toEqual([
      bytes.length,
      40,
      42,
    ]);
    expect([maxTimestampMs(bytes, 0), recordCount(bytes, 0)]).toEqual([3000, 3]);
  });

  it('is read into the object given, at any position', () => {
    const bytes = concatBytes([new Uint8Array(5), sample()]);
    const into = new BatchHeader();
    expect(readBatchHeader(bytes, 5, into)).toBe(into);
    expect(into.producerId).toBe(9);
  });

  it('attribute bits have names', () => {
    expect([codecOf(0), codecOf(4), codecOf(5)]).toEqual(['none', 'zstd', undefined]);
    expect([isAppendTime(8), isTransactional(16), isControl(32), isControl(0)]).toEqual([
      true,
      true,
      true,
      false,
    ]);
  });
});

describe('checkBatch', () => {
  it('accepts what the builder makes, and its stamped form', () => {
    fc.assert(
      fc.property(anyRecords, fc.nat(), fc.nat(2 ** 31 - 1), (records, offset, epoch) => {
        const bytes = encodeBatch(records, crc32c);
        expect(check(bytes)).toBe('ok');
        stampBatch(bytes, 0, offset, epoch);
        expect(check(bytes)).toBe('ok');
        const { leaderEpoch } = readBatchHeader(bytes, 0);
        expect([baseOffset(bytes, 0), leaderEpoch]).toEqual([offset, epoch]);
      }),
    );
  });

  it('catches every single-byte corruption of the covered part and of the CRC', () => {
    const good = sample();
    for (let at = CRC_AT; at < good.length; at += 1) {
      for (const flip of [1, 0x80, 0xff]) {
        const bad = good.slice();
        bad[at]! ^= flip;
        expect(check(bad)).toBe('bad-crc');
      }
    }
  });

  it('never calls a shortened batch good, and never throws', () => {
    const good = sample();
    for (let end = 0; end < good.length; end += 1) {
      expect(checkBatch(good, 0, end, crc32c)).toBe('truncated');
    }
  });

  it('never throws on random bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 120 }), (bytes) => {
        expect(check(bytes)).not.toBe('ok');
        if (bytes.length > MAGIC_AT) bytes[MAGIC_AT] = 2;
        expect(check(bytes)).not.toBe('ok');
      }),
    );
  });

  it('names each fault', () => {
    const broken = (change: (bytes: Uint8Array) => void, seal = true): string => {
      const bytes = sample();
      change(bytes);
      if (seal) sealBatch(bytes, 0, crc32c);
      return check(bytes);
    };
    expect(
      broken((b) => {
        b[MAGIC_AT] = 1;
      }),
    ).toBe('bad-magic');
    expect(broken((b) => writeU32(b, LENGTH_AT, 48), false)).toBe('bad-length');
    expect(broken((b) => writeU32(b, LENGTH_AT, -1), false)).toBe('bad-length');
    expect(broken((b) => writeU32(b, LENGTH_AT, 0x7fffffff), false)).toBe('truncated');
    expect(broken((b) => writeU16(b, ATTRIBUTES_AT, 5))).toBe('bad-attributes');
    expect(broken((b) => writeU16(b, ATTRIBUTES_AT, 0x80))).toBe('bad-attributes');
    expect(broken((b) => writeU32(b, MAX_TIMESTAMP_AT, 0x7fffffff))).toBe('bad-value');
    expect(broken((b) => writeU32(b, PRODUCER_ID_AT, 0x00200000))).toBe('bad-value');
    expect(broken((b) => writeU32(b, BASE_SEQUENCE_AT, -1))).toBe('bad-value');
    expect(broken((b) => writeU32(b, RECORD_COUNT_AT, 2))).toBe('bad-count');
    expect(broken((b) => writeU32(b, RECORD_COUNT_AT, -1))).toBe('bad-count');
    expect(broken((b) => writeU32(b, LAST_OFFSET_DELTA_AT, -1))).toBe('bad-count');
    expect(broken((b) => writeU16(b, ATTRIBUTES_AT, CONTROL_BIT))).toBe('control');
  });

  it('allows markers and gaps in what is stored', () => {
    const bytes = sample();
    writeU16(bytes, ATTRIBUTES_AT, CONTROL_BIT);
    writeU32(bytes, RECORD_COUNT_AT, 2);
    sealBatch(bytes, 0, crc32c);
    expect(check(bytes, STORED_BATCH)).toBe('ok');
    writeU32(bytes, RECORD_COUNT_AT, 4);
    sealBatch(bytes, 0, crc32c);
    expect(check(bytes, STORED_BATCH)).toBe('bad-count');
  });
});

describe('forEachBatch', () => {
  it('visits whole batches in order and stops at the torn one', () => {
    const all = concatBytes([sample(), sample(), sample()]);
    const size = sample().length;
    const seen: number[] = [];
    expect(forEachBatch(all, 0, all.length, (at) => seen.push(at))).toBe(all.length);
    expect(seen).toEqual([0, size, 2 * size]);
    for (const cut of [all.length - 1, 2 * size + BATCH_HEADER_BYTES - 1, 2 * size]) {
      expect(forEachBatch(all, 0, cut, () => undefined)).toBe(2 * size);
    }
  });

  it('ends when the visitor answers false, and at a length that cannot be', () => {
    const all = concatBytes([sample(), sample()]);
    expect(forEachBatch(all, 0, all.length, () => false)).toBe(sample().length);
    writeU32(all, LENGTH_AT, -5);
    expect(forEachBatch(all, 0, all.length, () => undefined)).toBe(0);
  });
});
