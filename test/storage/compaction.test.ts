// Compaction of one log against a model that is a Map: of each key the newest record, tombstones for their time,
// offsets, times and headers as they were, whatever the table of keys holds; and what must stop it.
import { gunzipSync, gzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import {
  DELETE_HORIZON_BIT,
  forEachBatch,
  readBatchHeader,
  stampBatch,
} from '../../src/records/batch.ts';
import { decodeRecords, encodeBatch } from '../../src/records/records.ts';
import { ByteWriter, decodeUtf8, encodeUtf8 } from '../../src/std/bytes.ts';
import { crc32c } from '../../src/std/crc32c.ts';
import { SeededRandom } from '../../src/std/prng.ts';
import type { ShardStore, StoredLog } from '../../src/storage/api.ts';
import { BatchFilter } from '../../src/storage/compaction/filter.ts';
import { KeyMap } from '../../src/storage/compaction/key-map.ts';
import { compactLog, type PassPlan, type PassResult } from '../../src/storage/compaction/pass.ts';
import { ProducerTable } from '../../src/storage/compaction/producer-table.ts';
import type { CompactionTask, MapAnswer } from '../../src/storage/compaction/tasks.ts';
import { compactionWork } from '../../src/storage/compaction/work.ts';
import type { FaultDisk } from './support/fault-disk.ts';
import { openOn, readAll, World } from './support/store-kit.ts';

const work = compactionWork({
  crc32c,
  unpack: (codec, bytes) => (codec === 'gzip' ? new Uint8Array(gunzipSync(bytes)) : undefined),
  pack: (codec, bytes) => (codec === 'gzip' ? new Uint8Array(gzipSync(bytes)) : undefined),
});
const gzip = {
  codec: 'gzip' as const,
  compress: (bytes: Uint8Array) => new Uint8Array(gzipSync(bytes)),
};
const snappy = { codec: 'snappy' as const, compress: (bytes: Uint8Array) => bytes.slice() };

interface Sent {
  readonly offset: number;
  readonly key: string | null;
  readonly value: string | null;
  readonly timestampMs: number;
}

class Scene {
  readonly world = new World();
  readonly disk: FaultDisk = this.world.newDisk();
  store!: ShardStore;
  log!: StoredLog;
  readonly sent: Sent[] = [];

  async open(): Promise<this> {
    ({ store: this.store } = await openOn(this.world, this.disk));
    this.log = this.store.createLog(5, { durability: 'sync' });
    return this;
  }

  send(
    records: readonly (readonly [key: string | null, value: string | null])[],
    fields: {
      compression?: typeof gzip | typeof snappy;
      producerId?: number;
      baseSequence?: number;
    } = {},
  ): void {
    const base = this.log.endOffset;
    const timed = records.map(([key, value], i) => ({
      key,
      value,
      offset: base + i,
      timestampMs: 5_000 + 7 * (base + i),
    }));
    const batch = encodeBatch(
      timed.map(({ key, value, offset, timestampMs }) => ({
        timestampMs,
        key: key === null ? null : encodeUtf8(key),
        value: value === null ? null : encodeUtf8(value),
        headers: [{ name: 'at', value: encodeUtf8(String(offset)) }],
      })),
      crc32c,
      { ...fields, ...(fields.producerId === undefined ? {} : { producerEpoch: 0 }) },
    ).slice();
    stampBatch(batch, 0, base, 1);
    this.sent.push(...timed);
    this.log.append(1, this.log.lastLogTimeMs + 1, new Uint8Array(0), batch, true);
  }

  /** What was sent is settled, sealed as far as it goes, and counted. */
  async settle(): Promise<void> {
    this.store.startGroup();
    await this.world.advance(5);
    this.log.setCommitted(this.log.endSeq);
    await this.world.advance(20_000);
    for (let i = 0; i < 2; i += 1) {
      this.log.append(1, this.log.lastLogTimeMs, new Uint8Array(1), undefined, true);
      await this.world.drive(this.store.checkpoint());
    }
  }

  pass(
    plan: Partial<PassPlan> = {},
    run = (task: CompactionTask) => work(task),
  ): Promise<PassResult> {
    const whole = {
      endOffset: Number.POSITIVE_INFINITY,
      nowMs: 1_000_000,
      deleteRetentionMs: 1000,
      mapBytesMax: 1 << 20,
      segmentBytesMax: 64 * 1024,
      seed: 9,
      ...plan,
    };
    return this.world.drive(
      compactLog(this.log, whole, { run: async (task) => run(task), paced: async () => undefined }),
    );
  }

  get sealedEnd(): number {
    return (
      this.log
        .sealedSegments()
        .filter(({ isCounted }) => isCounted)
        .at(-1)?.endOffset ?? 0
    );
  }

  records(): Sent[] {
    const found: Sent[] = [];
    const bytes = readAll(this.log);
    forEachBatch(bytes, 0, bytes.length, (at, size) => {
      const decoded = decodeRecords(
        bytes,
        at,
        at + size,
        (_codec, packed) => new Uint8Array(gunzipSync(packed)),
      );
      if (decoded.kind === 'fault') return;
      for (const { offset, key, value, timestampMs, headers } of decoded.records) {
        expect(decodeUtf8(headers[0]!.value!)).toBe(String(offset));
        found.push({
          offset,
          key: key === null ? null : decodeUtf8(key),
          value: value === null ? null : decodeUtf8(value),
          timestampMs,
        });
      }
    });
    return found;
  }

  /** What a compaction leaves of what was sent, below `end`. */
  expected(end: number, keepsTombstones = true): Sent[] {
    const newest = new Map<string | null, number>();
    for (const { key, offset } of this.sent) if (offset < end) newest.set(key, offset);
    return this.sent.filter(
      ({ key, value, offset }) =>
        offset >= end || (newest.get(key) === offset && (keepsTombstones || value !== null)),
    );
  }
}

const open = () => new Scene().open();

describe('a compaction', () => {
  it.each([
    ['a table for all keys', 1 << 20, 1],
    ['a table that is filled many times', 9_600, 3],
  ])('leaves the newest record of each key, with %s', async (_name, mapBytesMax, roundsMin) => {
    const scene = await open();
    const random = new SeededRandom(3);
    for (let i = 0; i < 400; i += 1) {
      const count = 1 + random.below(9);
      const packed = random.below(3) === 0 ? { compression: gzip } : {};
      scene.send(
        Array.from({ length: count }, () => {
          const key = `key-${random.below(3500)}`;
          return [key, random.below(6) === 0 ? null : `${'v'.repeat(random.below(80))}`] as const;
        }),
        packed,
      );
    }
    await scene.settle();
    const end = scene.sealedEnd;
    expect(end).toBeGreaterThan(1000);
    const result = await scene.pass({ mapBytesMax });
    expect(result).toMatchObject({ outcome: 'done', tombstonesGone: 0, unreadable: 0 });
    expect(result.rounds).toBeGreaterThanOrEqual(roundsMin);
    expect(scene.records()).toEqual(scene.expected(end));
    // Again there is nothing to do.
    expect(await scene.pass({ mapBytesMax })).toMatchObject({ rounds: 0, bytesIn: 0 });
    expect(scene.log.sealedSegments().every(({ isDone, isCounted }) => isDone || !isCounted)).toBe(
      true,
    );
  });

  it('keeps a tombstone for its time, from its first compaction on, and nothing it hid comes back', async () => {
    const scene = await open();
    const fill = (name: string) => {
      for (let i = 0; i < 40; i += 1) scene.send([[`${name}-${i}`, 'x'.repeat(900)]]);
    };
    scene.send([
      ['k', 'old'],
      ['other', 'stays'],
    ]);
    fill('a');
    scene.send([
      ['k', null],
      ['z', 'stays'],
    ]);
    fill('b');
    await scene.settle();
    let end = scene.sealedEnd;
    expect(end).toBeGreaterThan(45);
    expect(await scene.pass({ nowMs: 100_000 })).toMatchObject({ tombstonesGone: 0 });
    expect(scene.records()).toEqual(scene.expected(end));
    for (const [nowMs, isGone] of [
      [100_999, false],
      [101_000, true],
    ] as const) {
      fill(`c${nowMs}`);
      await scene.settle();
      end = scene.sealedEnd;
      expect(await scene.pass({ nowMs })).toMatchObject({ tombstonesGone: isGone ? 1 : 0 });
      expect(scene.records()).toEqual(scene.expected(end, !isGone));
    }
  });

  it('joins small segments, and leaves the young ones alone', async () => {
    const scene = await open();
    for (let i = 0; i < 200; i += 1) scene.send([['same', 'x'.repeat(900)]]);
    await scene.settle();
    const sealed = scene.log.sealedSegments();
    const young = sealed.at(-2)!;
    await scene.pass({ endOffset: young.baseOffset + 1 });
    expect(scene.records()).toEqual(scene.expected(young.baseOffset));
    expect(scene.log.sealedSegments().length).toBeLessThan(sealed.length);
    await scene.pass();
    expect(scene.records()).toEqual(scene.expected(scene.sealedEnd));
    expect(scene.log.sealedSegments().filter(({ isCounted }) => isCounted).length).toBe(1);
  });

  it('keeps the last batch of a producer, without records if need be', async () => {
    const scene = await open();
    scene.send([['k', 'v']], { producerId: 7, baseSequence: 0 });
    scene.send([['k', 'v']], { producerId: 7, baseSequence: 1 });
    scene.send([['k', 'v']], { producerId: 8, baseSequence: 0 });
    for (let i = 0; i < 60; i += 1) scene.send([['k', 'x'.repeat(900)]]);
    await scene.settle();
    const end = scene.sealedEnd;
    await scene.pass();
    const bytes = readAll(scene.log);
    const heads: unknown[] = [];
    forEachBatch(bytes, 0, bytes.length, (at) => {
      const { baseOffset, producerId, baseSequence, recordCount, lastOffsetDelta } =
        readBatchHeader(bytes, at);
      if (producerId >= 0)
        heads.push({ baseOffset, producerId, baseSequence, recordCount, lastOffsetDelta });
    });
    expect(heads).toEqual([
      { baseOffset: 1, producerId: 7, baseSequence: 1, recordCount: 0, lastOffsetDelta: 0 },
      { baseOffset: 2, producerId: 8, baseSequence: 0, recordCount: 0, lastOffsetDelta: 0 },
    ]);
    expect(scene.records()).toEqual(scene.expected(end));
  });

  it('tells who filters of all producers once a round, and not with each piece', async () => {
    const scene = await open();
    for (let i = 0; i < 200; i += 1) {
      scene.send([[`k${i}`, 'x'.repeat(900)]], { producerId: i, baseSequence: 0 });
    }
    await scene.settle();
    const tables = new Set<unknown>();
    let pieces = 0;
    const { rounds } = await scene.pass({ segmentBytesMax: 24_000 }, (task) => {
      if (task.kind === 'filter') {
        pieces += 1;
        tables.add(task.producers);
      }
      return work(task);
    });
    expect(pieces).toBeGreaterThan(3);
    expect(tables.size).toBe(rounds);
  });

  it('leaves a batch that it cannot unpack, and the tombstones behind it', async () => {
    const scene = await open();
    scene.send([['k', 'hidden']], { compression: snappy });
    scene.send([['k', null]]);
    for (let i = 0; i < 60; i += 1) scene.send([[`f${i}`, 'x'.repeat(900)]]);
    await scene.settle();
    const result = await scene.pass();
    expect(result.unreadable).toBeGreaterThan(0);
    for (let i = 0; i < 60; i += 1) scene.send([[`g${i}`, 'x'.repeat(900)]]);
    await scene.settle();
    await scene.pass({ nowMs: 1_000_000_000 });
    expect(scene.records().filter(({ key }) => key === 'k')).toMatchObject([{ value: null }]);
    expect(readBatchHeader(readAll(scene.log), 0).attributes & 7).toBe(2);
  });

  it('lets no tombstone go that it had to leave when what it hides could not be unpacked', async () => {
    const scene = await open();
    const fill = (name: string) => {
      for (let i = 0; i < 60; i += 1) scene.send([[`${name}${i}`, 'x'.repeat(900)]]);
    };
    scene.send([['k', 'hidden']], { compression: snappy });
    scene.send([['k', null]]);
    fill('f');
    await scene.settle();
    expect((await scene.pass()).unreadable).toBeGreaterThan(0);
    // From here on by a build that has the codec.
    const complete = compactionWork({
      crc32c,
      unpack: (_codec, bytes) => bytes,
      pack: () => undefined,
    });
    for (const nowMs of [2_000_000, 3_000_000]) {
      fill(`g${nowMs}-`);
      await scene.settle();
      await scene.pass({ nowMs }, (task) => complete(task));
    }
    const tombstones = scene.records().filter(({ key, value }) => key === 'k' && value === null);
    expect(tombstones).toMatchObject([{ offset: 1 }]);
  });

  it.each(['map', 'filter'] as const)(
    'does not give what has rotted a new checksum, and tells its segment (%s)',
    async (kind) => {
      const scene = await open();
      for (let i = 0; i < 100; i += 1) scene.send([[`k${i % 5}`, 'x'.repeat(900)]]);
      await scene.settle();
      const path = scene.disk.paths().find((each) => each.endsWith('.seg'))!;
      let isRotten = false;
      const pass = scene.pass({}, (task) => {
        if (task.kind === kind && !isRotten) {
          isRotten = true;
          scene.disk.flipBit(path, 700);
          // Of the first segment, behind its header.
          task.bytes[700 - 64]! ^= 1;
        }
        return work(task);
      });
      await expect(pass).rejects.toMatchObject({ code: 'STORAGE_DAMAGED' });
      expect(scene.disk.paths().some((each) => each.includes('.clean'))).toBe(false);
      expect(scene.store.counters.damagedSegments).toBe(1);
      expect(scene.log.read(0, 1_000, scene.log.endOffset).kind).toBe('damaged');
    },
  );

  it.each(['map', 'filter'] as const)(
    'believes no offset that rotted, which no checksum covers (%s)',
    async (kind) => {
      const scene = await open();
      for (let i = 0; i < 100; i += 1) scene.send([[`k${i % 5}`, 'x'.repeat(900)]]);
      await scene.settle();
      const path = scene.disk.paths().filter((each) => each.endsWith('.seg'))[1]!;
      const places: number[] = [];
      const bytes = scene.disk.contents(path);
      forEachBatch(bytes, 64, bytes.length, (at) => places.push(at));
      const rot = () => scene.disk.flipBit(path, places[4]! + 6);
      if (kind === 'map') rot();
      let isRotten = false;
      const pass = scene.pass({}, (task) => {
        if (kind === 'filter' && task.kind === 'filter' && !isRotten) {
          isRotten = true;
          rot();
        }
        return work(task);
      });
      await expect(pass).rejects.toMatchObject({ code: 'STORAGE_DAMAGED' });
      expect(scene.store.counters.damagedSegments).toBe(1);
    },
  );

  it('tells a segment of a sector that cannot be read', async () => {
    const scene = await open();
    for (let i = 0; i < 100; i += 1) scene.send([[`k${i % 5}`, 'x'.repeat(900)]]);
    await scene.settle();
    const path = scene.disk.paths().find((each) => each.endsWith('.seg'))!;
    const fail = () => {
      scene.disk.onCall = (call, each) => (call === 'read' && each === path ? 'EIO' : undefined);
    };
    const pass = scene.pass({}, (task) => {
      const answer = work(task);
      if (task.kind === 'map' && (answer as MapAnswer).mappedEnd === scene.sealedEnd) fail();
      return answer;
    });
    await expect(pass).rejects.toMatchObject({ code: 'EIO' });
    expect(scene.store.counters.damagedSegments).toBe(1);
    expect(scene.store.failure).toBeUndefined();
  });

  it('ends where the log changes under it, and goes on from there', async () => {
    const scene = await open();
    for (let i = 0; i < 200; i += 1) scene.send([[`k${i % 150}`, 'x'.repeat(900)]]);
    await scene.settle();
    let tasks = 0;
    const result = await scene.pass({ segmentBytesMax: 24_000 }, (task) => {
      tasks += task.kind === 'filter' ? 1 : 0;
      if (tasks === 3) scene.log.setStartOffset(100);
      return work(task);
    });
    expect(result.outcome).toBe('void');
    const end = scene.sealedEnd;
    expect((await scene.pass()).outcome).toBe('done');
    expect(scene.records()).toEqual(scene.expected(end).filter(({ offset }) => offset >= 100));
  });
});

describe('a filtered batch', () => {
  it('has a horizon in the place of its base time, and the times of its records', () => {
    const batch = encodeBatch(
      [1, 2, 3].map((i) => ({
        timestampMs: 1000 * i,
        key: encodeUtf8(`k${i}`),
        value: i === 2 ? null : encodeUtf8('v'),
      })),
      crc32c,
    ).slice();
    stampBatch(batch, 0, 40, 3);
    const map = KeyMap.ofBytes(1000, 1);
    map.put(encodeUtf8('k1'), 0, 2, 77);
    map.put(encodeUtf8('k2'), 0, 2, 41);
    const rules = { nowMs: 500_000, deleteRetentionMs: 60_000, mapEnd: 100, mayStamp: true };
    const tools = { crc32c, unpack: () => new Uint8Array(0), pack: () => undefined };
    const out = new ByteWriter();
    new BatchFilter(map, rules, tools, new ProducerTable(new SharedArrayBuffer(0))).run(batch, out);
    const left = out.toBytes();
    const header = readBatchHeader(left, 0);
    expect(header).toMatchObject({
      baseOffset: 40,
      lastOffsetDelta: 2,
      leaderEpoch: 3,
      recordCount: 2,
      baseTimestampMs: 560_000,
      maxTimestampMs: 3000,
    });
    expect(header.attributes).toBe(DELETE_HORIZON_BIT);
    const decoded = decodeRecords(left, 0, left.length);
    expect(
      decoded.kind === 'ok' &&
        decoded.records.map(({ offset, timestampMs }) => [offset, timestampMs]),
    ).toEqual([
      [41, 2000],
      [42, 3000],
    ]);
  });
});

describe('the table of producers', () => {
  it('is what a Map would be, also of ids beyond 32 bits, and of none', () => {
    const random = new SeededRandom(6);
    const model = new Map<number, number>();
    expect(new ProducerTable(ProducerTable.memoryOf(model)).lastOffset(0)).toBe(-1);
    for (let i = 0; i < 500; i += 1) {
      model.set(random.below(1000) * 2 ** 40 + random.below(2), random.below(2 ** 31) * 2 ** 20);
    }
    const table = new ProducerTable(ProducerTable.memoryOf(model));
    for (let i = 0; i < 1000; i += 1) {
      for (const id of [i * 2 ** 40, i * 2 ** 40 + 1]) {
        expect(table.lastOffset(id)).toBe(model.get(id) ?? -1);
      }
    }
  });
});

describe('the table of keys', () => {
  it('is what a Map would be, with large offsets, until it is full', () => {
    const random = new SeededRandom(5);
    const table = KeyMap.ofBytes(24 * 4000, 7);
    const model = new Map<string, number>();
    let offset = 2 ** 40;
    for (;;) {
      const key = `key ${random.below(9000)}`;
      const bytes = encodeUtf8(key);
      offset += 1 + random.below(2 ** 31);
      if (!table.put(bytes, 0, bytes.length, offset)) {
        expect(model.has(key)).toBe(false);
        break;
      }
      model.set(key, offset);
    }
    expect(table.size).toBe(3000);
    for (let i = 0; i < 9000; i += 1) {
      const bytes = encodeUtf8(`key ${i}`);
      expect(table.get(bytes, 0, bytes.length)).toBe(model.get(`key ${i}`) ?? -1);
    }
  });
});
