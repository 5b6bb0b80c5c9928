// Searches of one log by key, tag and message id, against reading every record: in whatever is settled, rewritten,
// packed or in memory, in both orders, cut anywhere and gone on with; and what becomes of the files of indexes.
import { gunzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { encodeBatch, type RecordInput } from '../../src/records/records.ts';
import { writeU32le } from '../../src/std/bytes.ts';
import { crc32c } from '../../src/std/crc32c.ts';
import { SeededRandom } from '../../src/std/prng.ts';
import { compactLog } from '../../src/storage/compaction/pass.ts';
import { compactionWork } from '../../src/storage/compaction/work.ts';
import { RecordIndexes } from '../../src/storage/record-index/indexes.ts';
import type { RecordQuery } from '../../src/storage/record-index/search.ts';
import type { MatchAnswer } from '../../src/storage/record-index/tasks.ts';
import { recordWork } from '../../src/storage/record-index/work.ts';
import {
  EVERYTHING,
  gzip,
  lookupOf,
  RecordScene,
  recordOf,
  snappy,
} from './support/record-scene.ts';

function randomRecord(random: SeededRandom, timeMs: number): RecordInput {
  const headers: [string, string][] = [];
  if (random.below(2) === 0) headers.push(['TAGS', `tag ${random.below(3)}`]);
  for (let i = random.below(3); i > 0; i -= 1) headers.push(['KEYS', `key ${random.below(20)}`]);
  if (random.below(4) === 0) headers.push(['UNIQ_KEY', `id ${random.below(30)}`]);
  if (random.below(4) === 0) headers.push(['amqp.message-id', `id ${random.below(30)}`]);
  // What has the name of something else is not found by it.
  if (random.below(4) === 0) headers.push(['tags', 'tag 0'], ['KEY', 'key 1']);
  const key = random.below(3) === 0 ? undefined : `key ${random.below(20)}`;
  const value = 'v'.repeat(random.below(400));
  return recordOf(timeMs + random.below(5000) - 2500, { key, value, headers });
}

/** Batches of every sort, about `count`. */
async function fill(scene: RecordScene, random: SeededRandom, count: number): Promise<void> {
  for (let i = 0; i < count; i += 1) {
    const timeMs = 1_000_000 + 700 * scene.log.endOffset;
    const records = Array.from({ length: 1 + random.below(12) }, () =>
      randomRecord(random, timeMs),
    );
    const sort = random.below(8);
    const compression =
      sort === 0 ? { compression: gzip } : sort === 1 ? { compression: snappy } : {};
    const isControl = sort === 2 && random.below(3) === 0;
    scene.send(records, isControl ? { isControl } : compression, random.below(10) === 0 ? 7 : 0);
    if (i % 20 === 19) await scene.commit();
  }
  await scene.commit();
}

function randomQuery(random: SeededRandom, scene: RecordScene): RecordQuery {
  const kind = (['key', 'tag', 'id'] as const)[random.below(3)]!;
  const end = scene.log.endOffset;
  const isWhole = random.below(2) === 0;
  const fromOffset = isWhole ? 0 : random.below(end);
  const endOffset = isWhole ? end : fromOffset + random.below(end - fromOffset + 1);
  const timeMs = 1_000_000 + 700 * random.below(end);
  const times =
    random.below(3) > 0 ? {} : { sinceMs: timeMs, untilMs: timeMs + random.below(400) * 100 };
  const value = kind === 'tag' ? `tag ${random.below(4)}` : `${kind} ${random.below(32)}`;
  return {
    ...EVERYTHING,
    ...{ lookup: lookupOf(kind, value), fromOffset, endOffset, ...times },
    isNewestFirst: random.below(2) === 0,
    max: random.below(3) === 0 ? 1 + random.below(5) : 1000,
  };
}

async function agree(scene: RecordScene, random: SeededRandom, queries: number): Promise<void> {
  let hits = 0;
  for (let i = 0; i < queries; i += 1) {
    const query = randomQuery(random, scene);
    const expected = scene.expected(query);
    expect([query, await scene.found(query)]).toEqual([query, expected]);
    hits += expected.length;
  }
  if (queries >= 10) expect(hits).toBeGreaterThan(0);
}

describe('a search', () => {
  it.each([1, 2, 3])('finds what reading every record finds (seed %i)', async (seed) => {
    const random = new SeededRandom(seed);
    const scene = await new RecordScene().open();
    await fill(scene, random, 40);
    // In memory, then settled; then more behind it.
    await agree(scene, random, 10);
    await fill(scene, random, 60);
    await scene.settle();
    await fill(scene, random, 15);
    expect(scene.sealed).toBeGreaterThan(2);
    await agree(scene, random, 25);
    expect(scene.indexFiles().length).toBe(scene.sealed);
    await scene.world.drive(scene.store.close());
    await scene.open();
    const made = scene.ran.collect;
    await agree(scene, random, 15);
    // What an earlier run has made is used; the segment that was being filled may be sealed by now.
    expect(scene.indexFiles().length).toBeLessThanOrEqual(scene.sealed);
    expect(scene.ran.collect - made).toBeLessThanOrEqual(1);
  });

  it.each([11, 12])('goes on over compaction and the start of the log (seed %i)', async (seed) => {
    const random = new SeededRandom(seed);
    const scene = await new RecordScene().open();
    await fill(scene, random, 120);
    await scene.settle();
    await agree(scene, random, 5);
    const before = scene.indexFiles();
    const compact = compactionWork({ crc32c });
    await scene.world.drive(
      compactLog(
        scene.log,
        {
          endOffset: Number.POSITIVE_INFINITY,
          nowMs: 1_000_000,
          deleteRetentionMs: 1000,
          mapBytesMax: 1 << 20,
          segmentBytesMax: 64 * 1024,
          seed: 9,
        },
        { run: async (task) => compact(task), paced: async () => undefined },
      ),
    );
    // The indexes of what was rewritten went with it.
    expect(scene.indexFiles().filter((path) => before.includes(path))).toEqual([]);
    await agree(scene, random, 15);
    scene.log.setStartOffset(Math.floor(scene.log.endOffset / 2));
    await agree(scene, random, 15);
    const segments = scene.disk.paths().filter((path) => path.endsWith('.seg'));
    for (const path of scene.indexFiles()) {
      expect(segments).toContain(path.replace(/\.rix$/, '.seg'));
    }
  });

  it('reads batches that others are in once, against their order too', async () => {
    const scene = await new RecordScene().open();
    for (let i = 0; i < 5; i += 1) {
      scene.send(Array.from({ length: 3000 }, (_, n) => recordOf(n, { key: `key ${n % 1000}` })));
    }
    await scene.commit();
    const query = { ...EVERYTHING, lookup: lookupOf('key', 'key 7'), isNewestFirst: true };
    const { offsets } = await scene.search({ ...query, endOffset: 15_000 });
    expect(offsets).toHaveLength(15);
    expect(offsets).toEqual([...offsets].sort((a, b) => b - a));
    expect(scene.ran.match).toBe(5);
  });

  it('answers where to go on when its time is over, and the index is made all the same', async () => {
    const scene = await new RecordScene().open();
    await fill(scene, new SeededRandom(5), 100);
    await scene.settle();
    const query = {
      ...EVERYTHING,
      lookup: lookupOf('tag', 'tag 1'),
      endOffset: scene.log.endOffset,
    };
    let edge = 0;
    let rounds = 0;
    const all: number[] = [];
    for (let isComplete = false; !isComplete; rounds += 1) {
      const result = await scene.search({ ...query, fromOffset: edge }, () => true);
      all.push(...result.offsets);
      ({ edge, isComplete } = result);
      if (rounds > 500) throw new Error(`it stands still at ${edge}`);
    }
    expect(rounds).toBeGreaterThan(2);
    expect(all).toEqual(await scene.found(query));
  });

  it('holds no more at once than it answers, whatever a batch is unpacked to', async () => {
    const records = Array.from({ length: 5_000 }, (_, i) => recordOf(i, { key: 'k' }));
    const batch = encodeBatch(records, crc32c, { compression: gzip }).slice();
    let bytesMax = 0;
    const work = recordWork({
      crc32c,
      unpack: (_codec, bytes, max) => {
        bytesMax = max;
        return new Uint8Array(gunzipSync(bytes));
      },
    });
    const of = { ...EVERYTHING, lookup: lookupOf('key', 'k'), bytes: batch, max: 3 };
    const forward = work({ kind: 'match', ...of }) as MatchAnswer;
    expect(forward.offsets).toEqual([0, 1, 2, 3]);
    const backward = work({ kind: 'match', ...of, isNewestFirst: true }) as MatchAnswer;
    expect(backward.offsets.length).toBeLessThanOrEqual(7);
    expect(backward.offsets.slice(-4)).toEqual([4996, 4997, 4998, 4999]);
    // What people are shown of one batch.
    expect(bytesMax).toBe(32 * 1024 * 1024);
  });

  it('reads through a segment with more entries than are held at once', async () => {
    const scene = await new RecordScene().open();
    const KEY: [string, string] = ['KEYS', 'a'];
    const headers = Array<[string, string]>(1_050_000).fill(KEY);
    scene.send([recordOf(1, { headers })], { compression: gzip });
    for (let i = 0; i < 60; i += 1) {
      scene.send([recordOf(i, { key: 'b', value: 'v'.repeat(2_000) })]);
    }
    await scene.settle();
    const query = { ...EVERYTHING, endOffset: scene.log.endOffset };
    const { offsets } = await scene.search({ ...query, lookup: lookupOf('key', 'a') });
    expect(offsets).toEqual([0]);
    const sizes = scene.indexFiles().map((path) => scene.disk.contents(path).length);
    expect(sizes[0]).toBe(0);
    expect(sizes.length).toBeGreaterThan(1);
    expect(sizes.slice(1).every((size) => size > 0)).toBe(true);
  });

  it('says how many batches it could not read', async () => {
    const scene = await new RecordScene().open();
    const records = [recordOf(1, { key: 'hidden' })];
    scene.send(records, { compression: snappy });
    scene.send(records);
    scene.send(records, { compression: snappy });
    await scene.commit();
    const query = { ...EVERYTHING, lookup: lookupOf('key', 'hidden'), endOffset: 3 };
    expect(await scene.search(query)).toEqual({
      offsets: [1],
      edge: 3,
      isComplete: true,
      unread: 2,
    });
  });

  it('rejects where a batch has rotted, and makes no index of it', async () => {
    const scene = await new RecordScene().open();
    await fill(scene, new SeededRandom(6), 100);
    await scene.settle();
    const segment = scene.disk.paths().find((path) => path.endsWith('.seg'))!;
    scene.disk.flipBit(segment, 64 + 61 + 2);
    const query = {
      ...EVERYTHING,
      lookup: lookupOf('tag', 'tag 1'),
      endOffset: scene.log.endOffset,
    };
    await expect(scene.search(query)).rejects.toMatchObject({ code: 'STORAGE_DAMAGED' });
    expect(scene.disk.contents(segment.replace(/\.seg$/, '.rix'))).toHaveLength(0);
  });
});

describe('the file of an index', () => {
  async function indexed(seed: number): Promise<{ scene: RecordScene; random: SeededRandom }> {
    const random = new SeededRandom(seed);
    const scene = await new RecordScene().open();
    await fill(scene, random, 70);
    await scene.settle();
    await agree(scene, random, 3);
    // Every segment has one.
    await scene.found({ ...EVERYTHING, lookup: lookupOf('key', 'nobody has it') });
    expect(scene.indexFiles().length).toBe(scene.sealed);
    return { scene, random };
  }

  it.each([21, 22, 23])('is made anew wherever a bit of it rots (seed %i)', async (seed) => {
    const { scene, random } = await indexed(seed);
    const files = scene.indexFiles();
    const sound = files.map((path) => scene.disk.contents(path).slice());
    for (let i = 0; i < 12; i += 1) {
      const path = files[random.below(files.length)]!;
      const size = scene.disk.contents(path).length;
      const at = i < 4 ? random.below(68) : random.below(size);
      scene.disk.flipBit(path, at, 1 << random.below(8));
      // As a start finds it, or while it is in use.
      if (random.below(2) === 0) {
        await scene.world.drive(scene.store.close());
        await scene.open();
      }
      await agree(scene, random, 3);
    }
    await scene.world.drive(scene.store.close());
    await scene.open();
    for (const tag of [0, 1, 2])
      await scene.found({ ...EVERYTHING, lookup: lookupOf('tag', `tag ${tag}`) });
    for (const key of Array(20).keys()) {
      await scene.found({ ...EVERYTHING, lookup: lookupOf('key', `key ${key}`) });
    }
    expect(sound.length).toBeGreaterThan(1);
  });

  it('of another segment, another version, or cut off, is not believed', async () => {
    const { scene, random } = await indexed(31);
    const [first, second] = scene.indexFiles();
    const bytes = scene.disk.contents(first!).slice();
    const others = scene.disk.contents(second!).slice();
    const newer = bytes.slice();
    writeU32le(newer, 4, 2);
    writeU32le(newer, 64, crc32c(newer, 0, 64));
    for (const wrong of [
      others,
      newer,
      bytes.subarray(0, 67),
      bytes.subarray(0, bytes.length - 1),
    ]) {
      await scene.world.drive(scene.store.close());
      scene.disk.replaceFile(first!, wrong);
      await scene.open();
      await agree(scene, random, 8);
      await scene.found({ ...EVERYTHING, lookup: lookupOf('key', 'nobody has it') });
      expect(scene.disk.contents(first!)).toEqual(bytes);
    }
  });

  it.each([41, 42, 43, 44])('may be lost or torn by a power cut (seed %i)', async (seed) => {
    const { scene, random } = await indexed(seed);
    scene.world.clear();
    scene.disk = scene.disk.powerCut(random, (ms, fire) =>
      scene.world.at(scene.world.nowMs + ms, fire),
    );
    await scene.open();
    await agree(scene, random, 15);
  });

  it('goes at a start that counts its segment as the one that is being filled', async () => {
    const scene = await new RecordScene().open({
      ...{ walFileBytesMin: 1 << 20, walFileBytesMax: 1 << 20 },
      ...{ checkpointBytes: 1 << 28, checkpointMs: 1_000_000_000 },
    });
    const random = new SeededRandom(52);
    await fill(scene, random, 10);
    await scene.settle();
    expect(scene.sealed).toBe(0);
    await fill(scene, random, 60);
    await scene.world.advance(11_000);
    await scene.found({ ...EVERYTHING, lookup: lookupOf('key', 'nobody has it') });
    const [first] = scene.indexFiles();
    expect(first).toMatch(/\/0000000000000000-1\.rix$/);
    scene.world.clear();
    scene.disk = scene.disk.kill((ms, fire) => scene.world.at(scene.world.nowMs + ms, fire));
    await scene.open();
    scene.log.read(0, 1000, 1);
    expect(scene.indexFiles()).not.toContain(first);
  });

  it('goes at a start where its segment is gone', async () => {
    const { scene } = await indexed(51);
    await scene.world.drive(scene.store.close());
    const [first] = scene.indexFiles();
    const orphan = first!.replace(/\d{16}-1\.rix$/, '0000000000009999-1.rix');
    scene.disk.replaceFile(orphan, scene.disk.contents(first!));
    await scene.open();
    scene.log.read(0, 1000, 1);
    expect(scene.indexFiles()).toContain(first);
    expect(scene.indexFiles()).not.toContain(orphan);
  });

  it('is not written where the disk is short of room, or says so; the segment is read through', async () => {
    const random = new SeededRandom(61);
    const scene = await new RecordScene().open();
    await fill(scene, random, 80);
    await scene.settle();
    scene.isShortOfSpace = true;
    await agree(scene, random, 5);
    expect(scene.indexFiles()).toEqual([]);
    scene.isShortOfSpace = false;
    scene.disk.onCall = (call, path) =>
      call === 'write' && path.endsWith('.rix') ? 'ENOSPC' : undefined;
    await agree(scene, random, 5);
    expect(scene.store.failure).toBeUndefined();
    expect(scene.indexFiles().every((path) => scene.disk.contents(path).length === 0)).toBe(true);
    scene.disk.onCall = () => undefined;
    await agree(scene, random, 10);
    expect(scene.indexes.counters.indexesMade).toBeGreaterThan(0);
  });

  it('is made anew where a sector of it cannot be read, and the segment is read through while none can', async () => {
    const { scene, random } = await indexed(62);
    await scene.world.drive(scene.store.close());
    await scene.open();
    scene.disk.onCall = (call, path) =>
      call === 'read' && path.endsWith('.rix') ? 'EIO' : undefined;
    await agree(scene, random, 10);
    expect(scene.store.failure).toBeUndefined();
    scene.disk.onCall = () => undefined;
    await agree(scene, random, 10);
    // One that was opened before.
    scene.disk.onCall = (call, path) =>
      call === 'read' && path.endsWith('.rix') ? 'EIO' : undefined;
    await agree(scene, random, 10);
  });

  it('is given up when the disk becomes short of room meanwhile', async () => {
    const scene = await new RecordScene().open();
    await fill(scene, new SeededRandom(63), 80);
    await scene.settle();
    const query = { ...EVERYTHING, lookup: lookupOf('tag', 'tag 1') };
    const { run } = scene;
    let collected = 0;
    const indexes = new RecordIndexes({
      log: scene.world.env(scene.disk).log,
      ...{ crc32c, run },
      paced: async () => {
        collected += 1;
      },
      isShortOfSpace: () => collected > 0,
    });
    const lent = scene.log.beginLookup(0)!;
    expect(await scene.world.drive(indexes.open(scene.log, lent))).toBeUndefined();
    lent.release();
    expect(collected).toBe(1);
    expect(scene.indexFiles().every((path) => scene.disk.contents(path).length === 0)).toBe(true);
    expect((await scene.found(query)).length).toBeGreaterThan(0);
  });

  it('is made once for searches at the same time', async () => {
    const scene = await new RecordScene().open();
    await fill(scene, new SeededRandom(71), 80);
    await scene.settle();
    const query = { ...EVERYTHING, endOffset: scene.log.endOffset };
    const [a, b] = await Promise.all([
      scene.search({ ...query, lookup: lookupOf('tag', 'tag 1') }),
      scene.search({ ...query, lookup: lookupOf('tag', 'tag 1'), isNewestFirst: true }),
    ]);
    expect(a.offsets).toEqual([...b.offsets].reverse());
    expect(scene.indexes.counters.indexesMade).toBe(scene.sealed);
  });
});
