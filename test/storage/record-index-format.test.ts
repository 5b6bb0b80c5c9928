// The tables of a record index by themselves: many blocks, several runs, hashes that meet, records that are in twice.
import { describe, expect, it } from 'vitest';
import type { DiskFile } from '../../src/env/environment.ts';
import { crc32c } from '../../src/std/crc32c.ts';
import { SeededRandom } from '../../src/std/prng.ts';
import {
  encodeDirectory,
  encodeIndexHeader,
  encodeRun,
  INDEX_HEADER_BYTES,
  type PlacedRun,
} from '../../src/storage/record-index/format.ts';
import { type IndexQuery, RecordIndex } from '../../src/storage/record-index/index-file.ts';
import { World } from './support/store-kit.ts';

interface Entry {
  readonly hash: number;
  readonly offset: number;
  readonly timeMs: number;
}

const NAME = { logId: 5, baseOffset: 0, generation: 1, revision: 0, segmentBytes: 1000 };

async function indexOf(
  world: World,
  runsOf: readonly (readonly Entry[])[],
): Promise<{ file: DiskFile; index: RecordIndex }> {
  const file = world.newDisk().open('x.rix', { mode: 'create' });
  const runs: PlacedRun[] = [];
  let position = INDEX_HEADER_BYTES;
  for (const entries of runsOf) {
    const { run, bytes } = encodeRun(
      {
        hashes: Uint32Array.from(entries, ({ hash }) => hash),
        offsets: Float64Array.from(entries, ({ offset }) => offset),
        timesMs: Float64Array.from(entries, ({ timeMs }) => timeMs),
      },
      crc32c,
    );
    file.writeSync(bytes, position);
    runs.push({ ...run, position });
    position += bytes.length;
  }
  const directory = encodeDirectory(runs);
  file.writeSync(directory, position);
  const header = {
    ...{ name: NAME, unread: 0, runs: runs.length, directoryAt: position },
    directoryBytes: directory.length,
    directorySum: crc32c(directory, 0, directory.length),
  };
  file.writeSync(encodeIndexHeader(header, crc32c), 0);
  const index = await world.drive(RecordIndex.open(file, NAME, crc32c));
  return { file, index: index! };
}

const QUERY: IndexQuery = {
  hash: 0,
  fromOffset: 0,
  endOffset: Number.MAX_SAFE_INTEGER,
  sinceMs: Number.NEGATIVE_INFINITY,
  untilMs: Number.POSITIVE_INFINITY,
  isNewestFirst: false,
  max: Number.POSITIVE_INFINITY,
  isOver: () => false,
};

describe('the tables of a record index', () => {
  it.each([1, 2, 3])('answer as a list would (seed %i)', async (seed) => {
    const world = new World();
    const random = new SeededRandom(seed);
    const entries: Entry[] = [];
    let offset = 2 ** 40;
    for (let i = 0; i < 6000; i += 1) {
      // Some records are in more than once, with one hash or with another; few hashes fill many blocks.
      if (random.below(4) > 0) offset += 1 + random.below(3);
      const hash = random.below(2) === 0 ? random.below(3) : random.below(2 ** 32);
      entries.push({ hash, offset, timeMs: 1000 * i + random.below(9000) });
    }
    // Many runs end and begin within one record.
    const at = new Set([
      0,
      1,
      300,
      2500,
      2501,
      6000,
      ...Array.from({ length: 60 }, () => random.below(6000)),
    ]);
    const cuts = [...at].sort((a, b) => a - b);
    const runs = cuts.slice(1).map((end, i) => entries.slice(cuts[i], end));
    const { file, index } = await indexOf(world, runs);
    for (let i = 0; i < 40; i += 1) {
      const from = entries[random.below(6000)]!.offset - random.below(2);
      const query = {
        ...QUERY,
        hash: random.below(4) > 0 ? random.below(3) : entries[random.below(6000)]!.hash,
        fromOffset: random.below(2) === 0 ? 0 : from,
        endOffset: random.below(2) === 0 ? QUERY.endOffset : from + random.below(4000),
        isNewestFirst: random.below(2) === 0,
        max: random.below(2) === 0 ? QUERY.max : 1 + random.below(50),
      };
      const wanted = entries.filter(
        (each) =>
          each.hash === query.hash &&
          each.offset >= query.fromOffset &&
          each.offset < query.endOffset,
      );
      const all = [...new Set(wanted.map((each) => each.offset))];
      if (query.isNewestFirst) all.reverse();
      const found = await world.drive(index.find(file, query));
      if (found === 'damaged') throw new Error('it is sound');
      expect(found.offsets).toEqual(all.slice(0, query.max));
      if (found.offsets.length < query.max) {
        expect(found.edge).toBe(query.isNewestFirst ? query.fromOffset : query.endOffset);
      }
      // Whoever goes on from the edge misses nothing, also when there is time for one block only.
      const again: number[] = [];
      let { fromOffset, endOffset } = query;
      while (fromOffset < endOffset && again.length < 100) {
        const part = await world.drive(
          index.find(file, { ...query, fromOffset, endOffset, isOver: () => true }),
        );
        if (part === 'damaged') throw new Error('it is sound');
        again.push(...part.offsets);
        if (query.isNewestFirst) endOffset = part.edge;
        else fromOffset = part.edge;
      }
      // And sees nothing twice.
      expect(again.slice(0, 100)).toEqual(all.slice(0, 100));
    }
  });

  it('leave out what cannot be of the time, and nothing that can', async () => {
    const world = new World();
    const far = 1000 * 2 ** 33;
    const times = [-1, 0, 999, 1000, 5_000, 5_999, 6_000, far, far + 5000];
    const entries = times.map((timeMs, offset) => ({ hash: 7, offset, timeMs }));
    const { file, index } = await indexOf(world, [entries]);
    for (const sinceMs of [...times, Number.NEGATIVE_INFINITY]) {
      for (const untilMs of [...times, Number.POSITIVE_INFINITY]) {
        const found = await world.drive(index.find(file, { ...QUERY, hash: 7, sinceMs, untilMs }));
        if (found === 'damaged') throw new Error('it is sound');
        const must = times.flatMap((timeMs, offset) =>
          timeMs >= sinceMs && timeMs <= untilMs ? [offset] : [],
        );
        expect(found.offsets).toEqual(expect.arrayContaining(must));
        const may = times.flatMap((timeMs, offset) =>
          timeMs >= far || (timeMs > sinceMs - 1000 && timeMs < untilMs + 1000) ? [offset] : [],
        );
        expect(may).toEqual(expect.arrayContaining([...found.offsets]));
      }
    }
  });

  it('are damaged where a block is, and opened for their own segment alone', async () => {
    const world = new World();
    const entries = Array.from({ length: 600 }, (_, i) => ({ hash: i, offset: i, timeMs: i }));
    const { file, index } = await indexOf(world, [entries]);
    const block = new Uint8Array(16);
    file.readSync(block, INDEX_HEADER_BYTES + 300 * 16);
    block[15] = 1;
    file.writeSync(block, INDEX_HEADER_BYTES + 300 * 16);
    const find = (hash: number) => world.drive(index.find(file, { ...QUERY, hash }));
    expect(await find(5)).toMatchObject({ offsets: [5] });
    expect(await find(599)).toMatchObject({ offsets: [599] });
    expect(await find(301)).toBe('damaged');
    for (const other of [
      { logId: 6 },
      { baseOffset: 1 },
      { generation: 2 },
      { revision: 1 },
      { segmentBytes: 1001 },
    ]) {
      const opened = RecordIndex.open(file, { ...NAME, ...other }, crc32c);
      expect(await world.drive(opened)).toBeUndefined();
    }
  });
});
