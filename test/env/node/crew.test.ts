// The crew of a node: its thread starts with the first task, does the same work as this thread would, and ends when
// there is nothing to do. The threads load compiled code.
import { gzipSync } from 'node:zlib';
import { afterEach, expect, it } from 'vitest';
import { createNodeCodecs } from '../../../src/env/node/codecs.ts';
import { createNodeCrew } from '../../../src/env/node/crew.ts';
import { encodeBatch } from '../../../src/records/records.ts';
import { encodeUtf8 } from '../../../src/std/bytes.ts';
import { crc32c } from '../../../src/std/crc32c.ts';
import { KeyMap } from '../../../src/storage/compaction/key-map.ts';
import { COMPACTION_WORK, compactionWork } from '../../../src/storage/compaction/work.ts';
import { RECORD_WORK, recordWork } from '../../../src/storage/record-index/work.ts';

const crew = createNodeCrew(new URL('../../../dist/crew-worker.js', import.meta.url));

afterEach(() => crew.close());

it('does the work of a compaction on a thread of its own, in shared memory', async () => {
  expect(crew.threads).toBe(0);
  const compression = {
    codec: 'gzip' as const,
    compress: (bytes: Uint8Array) => new Uint8Array(gzipSync(bytes)),
  };
  const records = Array.from({ length: 50 }, (_, i) => ({
    timestampMs: i,
    key: encodeUtf8(`k${i % 10}`),
    value: encodeUtf8(`v${i}`),
  }));
  const packed = encodeBatch(records, crc32c, { compression });
  const bytes = new Uint8Array(new SharedArrayBuffer(packed.length));
  bytes.set(packed);
  const { memory: table } = KeyMap.ofBytes(10_000, 3);
  const learn = { kind: 'map', bytes, table, fromOffset: 0, endOffset: 100 };
  expect(await crew.run(COMPACTION_WORK, learn)).toMatchObject({ mappedEnd: 50, isFull: false });
  expect(crew.threads).toBe(1);
  expect(new KeyMap(table).size).toBe(10);
  const rules = { nowMs: 0, deleteRetentionMs: 0, mapEnd: 50, mayStamp: true };
  const filter = { kind: 'filter', bytes, table, rules, producers: new SharedArrayBuffer(0) };
  const there = await crew.run(COMPACTION_WORK, filter);
  expect(there).toMatchObject({ stats: { recordsIn: 50, recordsOut: 10, unreadable: 0 } });
  expect(there).toEqual(compactionWork(createNodeCodecs())(filter));
  const collect = { kind: 'collect', bytes };
  const collected = await crew.run(RECORD_WORK, collect);
  expect(collected).toMatchObject({ isDamaged: false, unread: 0 });
  expect(collected).toEqual(recordWork(createNodeCodecs())(collect));
  await expect(crew.run('knitting', 1)).rejects.toThrow('knitting');
  await crew.close();
  await expect(crew.run(COMPACTION_WORK, learn)).rejects.toThrow('closed');
});
