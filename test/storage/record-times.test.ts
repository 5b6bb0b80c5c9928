// A record says its time as a difference, which nobody looks at when it is appended: added up it may be no time that
// can be written. Such a record stays as it is, and is in nobody's way.
import { describe, expect, it } from 'vitest';
import { BASE_TIMESTAMP_AT, MAX_TIMESTAMP_AT, sealBatch } from '../../src/records/batch.ts';
import { encodeBatch } from '../../src/records/records.ts';
import { encodeUtf8, writeI64 } from '../../src/std/bytes.ts';
import { crc32c } from '../../src/std/crc32c.ts';
import { KeyMap } from '../../src/storage/compaction/key-map.ts';
import { ProducerTable } from '../../src/storage/compaction/producer-table.ts';
import type { FilterAnswer } from '../../src/storage/compaction/tasks.ts';
import { compactionWork } from '../../src/storage/compaction/work.ts';
import { EVERYTHING, lookupOf, RecordScene, recordOf } from './support/record-scene.ts';

const work = compactionWork({ crc32c });

/** Of which every record's time is so much later than the header's base. */
function batchOf(baseMs: number, values: readonly (string | null)[]): Uint8Array {
  const records = values.map((value, i) => ({
    timestampMs: 1_000 * i,
    key: encodeUtf8(`k${i % 2}`),
    value: value === null ? null : encodeUtf8(value),
  }));
  const batch = encodeBatch(records, crc32c).slice();
  writeI64(batch, BASE_TIMESTAMP_AT, baseMs);
  writeI64(batch, MAX_TIMESTAMP_AT, Number.MAX_SAFE_INTEGER);
  sealBatch(batch, 0, crc32c);
  return batch;
}

describe('a batch with a record at a time that is none', () => {
  it('stays as it is where others lose what nobody needs', () => {
    const batch = batchOf(Number.MAX_SAFE_INTEGER, ['a', 'b', 'c']);
    const answer = work({ kind: 'needed', bytes: batch, runs: [2, 3] }) as FilterAnswer;
    expect(answer).toMatchObject({ isDamaged: false, stats: { recordsOut: 3, isChanged: false } });
    expect(answer.bytes).toEqual(batch);
    const fine = batchOf(1, ['a', 'b', 'c']);
    const other = work({ kind: 'needed', bytes: fine, runs: [2, 3] }) as FilterAnswer;
    expect(other.stats).toMatchObject({ recordsOut: 1, isChanged: true });
  });

  it.each([
    ['that cannot be written', Number.MAX_SAFE_INTEGER, ['a', 'b', 'c']],
    ['that cannot be told from a horizon', -Number.MAX_SAFE_INTEGER, ['a', 'b', null]],
  ])('%s stays as it is where a log is compacted', (_name, baseMs, values) => {
    const batch = batchOf(baseMs, values);
    const map = KeyMap.ofBytes(64 * 1024, 1);
    const mapped = { bytes: batch, table: map.memory, fromOffset: 0, endOffset: 3 };
    work({ kind: 'map', ...mapped });
    const rules = { nowMs: 1_700_000_000_000, deleteRetentionMs: 1_000, mapEnd: 3, mayStamp: true };
    const producers = ProducerTable.memoryOf(new Map());
    const task = { kind: 'filter' as const, bytes: batch, table: map.memory, rules, producers };
    const answer = work(task) as FilterAnswer;
    expect(answer.bytes).toEqual(batch);
    expect(answer.stats).toMatchObject({ recordsOut: 3, unreadable: 1 });
  });

  it('is indexed and found', async () => {
    const scene = await new RecordScene().open();
    for (let i = 0; i < 60; i += 1) {
      const record = recordOf(i, { key: `key ${i}`, value: 'v'.repeat(2_000) });
      if (i === 3) scene.sendBatch(batchOf(Number.MAX_SAFE_INTEGER, ['a', 'b', 'c']));
      else scene.send([record]);
    }
    await scene.settle();
    expect(scene.sealed).toBeGreaterThan(0);
    const query = { ...EVERYTHING, endOffset: scene.log.endOffset };
    const { offsets } = await scene.search({ ...query, lookup: lookupOf('key', 'k0') });
    expect(offsets).toEqual([3, 5]);
    expect(scene.indexFiles()).not.toEqual([]);
    const times = { sinceMs: 10, untilMs: Number.MAX_SAFE_INTEGER };
    const later = await scene.search({ ...query, ...times, lookup: lookupOf('key', 'key 20') });
    expect(later.offsets).toEqual([22]);
  });
});
