// A log with a damaged segment: what goes on beside it, what waits for its repair, and who finds the damage.
import { expect, test } from 'vitest';
import { Donations } from '../../src/cluster/replica/donations.ts';
import { forEachBatch } from '../../src/records/batch.ts';
import { crc32c } from '../../src/std/crc32c.ts';
import type { StoredLog } from '../../src/storage/api.ts';
import { compactLog } from '../../src/storage/compaction/pass.ts';
import { compactionWork } from '../../src/storage/compaction/work.ts';
import {
  fill,
  killed,
  LOG,
  type Replica,
  replica,
  SCRUBBED,
  segmentsOf,
} from './support/replica.ts';
import { appendBatch, eventsOf, openOn, readAll, World } from './support/store-kit.ts';

const baseOf = (path: string): number => Number(/(\d{16})-/.exec(path)![1]);
/** As the batches of the kit have it. */
const timeOf = (offset: number): number => 1_000_000 + offset;

/** A replica whose segment `index` is known to be damaged, and the offsets of that. */
async function damaged(
  world: World,
  index: number,
): Promise<Replica & { readonly from: number; readonly to: number }> {
  const found = await replica(world, 120);
  const paths = segmentsOf(found.disk);
  found.disk.flipBit(paths[index]!, 500, 4);
  await world.advance(62_000);
  expect(found.log.damagedSegments).toBe(1);
  return { ...found, from: baseOf(paths[index]!), to: baseOf(paths[index + 1]!) };
}

test('a search by time passes over a damaged segment only where its index rules it out', async () => {
  const world = new World();
  const { log, from, to } = await damaged(world, 1);
  for (const offset of [0, from - 1, to, 119]) {
    expect(log.offsetForTimestamp(timeOf(offset))?.baseOffset).toBe(offset);
  }
  for (const offset of [from, to - 1]) {
    expect(() => log.offsetForTimestamp(timeOf(offset))).toThrow(
      expect.objectContaining({ code: 'STORAGE_DAMAGED' }),
    );
  }
  expect(log.maxTimestamp()).toEqual({ baseOffset: 119, maxTimestampMs: timeOf(119) });
});

test('a search by time is refused where nobody knows what a damaged segment holds', async () => {
  const world = new World();
  const before = await damaged(world, 1);
  const disk = killed(world, before.disk);
  for (const path of disk.paths()) if (path.endsWith('.idx')) disk.remove(path);
  const { store } = await openOn(world, disk, SCRUBBED);
  const log = store.log(LOG)!;
  disk.overwrite(segmentsOf(disk)[1]!, 64, new Uint8Array(2_000));
  const { from, to } = before;
  expect(log.offsetForTimestamp(timeOf(from - 1))?.baseOffset).toBe(from - 1);
  const isRefused = expect.objectContaining({ code: 'STORAGE_DAMAGED' });
  for (const offset of [from, to, 119, 1_000]) {
    expect(() => log.offsetForTimestamp(timeOf(offset))).toThrow(isRefused);
  }
  expect(() => log.maxTimestamp()).toThrow(isRefused);
});

test('nothing is made of a damaged segment: it is not given away, and not rewritten', async () => {
  const world = new World();
  const { log, store, from, to } = await damaged(world, 1);
  log.putState(log.endSeq, eventsOf('state'));
  await world.advance(50);
  await world.drive(store.checkpoint());
  await expect(world.drive(log.donate())).rejects.toMatchObject({ code: 'STORAGE_DAMAGED' });
  expect(log.sealedSegments().filter(({ isDamaged }) => isDamaged)).toMatchObject([
    { baseOffset: from, endOffset: to },
  ]);
  expect(log.beginRewrite(0, to)).toBeUndefined();
  const rewrite = log.beginRewrite(to, log.endOffset);
  expect(rewrite).toBeDefined();
  rewrite!.abort();
  // What lies below the start need not be whole.
  log.setStartOffset(to);
  const donation = await world.drive(log.donate());
  expect(donation!.ranges[0]).toMatchObject({ baseOffset: to });
  donation!.release();
});

/** What a lender gives of its first two segments, chunk by chunk. */
async function lent(world: World, { log }: Replica, to: number): Promise<number> {
  const donations = new Donations(() => world.nowMs);
  const { donationId, totalBytes } = await world.drive(donations.lend(log, 0, to, () => true));
  try {
    let position = 0;
    while (position < totalBytes) {
      position += (await world.drive(donations.chunk(donationId, position))).length;
    }
    return position;
  } finally {
    donations.release(donationId);
  }
}

test.each(['rot', 'a length that is none', 'a sector', 'a cut file'] as const)(
  'who gives a segment away finds it damaged itself, and says so: %s',
  async (what) => {
    const world = new World();
    const donor = await replica(world, 120);
    const { disk, log } = donor;
    const [, second, third] = segmentsOf(disk);
    const to = baseOf(third!);
    expect(await lent(world, donor, to)).toBeGreaterThan(1_000 * to);
    const place = disk.contents(second!).length >> 1;
    if (what === 'rot') disk.flipBit(second!, place, 4);
    if (what === 'a length that is none') disk.overwrite(second!, 64 + 8, Uint8Array.of(0x7f));
    if (what === 'a sector') {
      disk.onCall = (call, path) => (call === 'read' && path === second ? 'EIO' : undefined);
    }
    if (what === 'a cut file') disk.open(second!, { mode: 'write' }).truncate(place);
    await expect(lent(world, donor, to)).rejects.toThrow();
    expect(log.damagedSegments).toBe(1);
    expect(donor.store.counters.damagedSegments).toBe(1);
    await world.advance(1);
    expect(donor.damaged).toEqual([log]);
    expect(log.read(baseOf(second!), 1_000, 120).kind).toBe('damaged');
    expect(log.read(0, 1_000, 120).kind).toBe('file');
  },
);

function compacted(world: World, log: StoredLog) {
  const work = compactionWork({ crc32c });
  const plan = {
    endOffset: Number.POSITIVE_INFINITY,
    nowMs: 1_000_000,
    deleteRetentionMs: 1_000,
    mapBytesMax: 1 << 20,
    segmentBytesMax: 64 * 1024,
    seed: 9,
  };
  const port = {
    run: async (task: Parameters<typeof work>[0]) => work(task) as never,
    paced: async () => undefined,
  };
  return world.drive(compactLog(log, plan, port));
}

test('a compaction does what lies before a damaged segment, and the rest when it is repaired', async () => {
  const world = new World();
  const healthy = await replica(world, 120);
  const { log, store, from } = await damaged(world, 1);
  await world.drive(store.checkpoint());
  expect(await compacted(world, log)).toMatchObject({ outcome: 'done', doneOffset: from });
  expect(log.sealedSegments().filter(({ isDone }) => isDone)).toMatchObject([
    { baseOffset: 0, endOffset: from },
  ]);
  expect(await compacted(world, log)).toMatchObject({ outcome: 'done', rounds: 0 });
  expect(await fill(world, healthy.log, log)).toBe('done');
  const end = log.sealedSegments().at(-1)!.endOffset;
  expect(await compacted(world, log)).toMatchObject({ outcome: 'done', doneOffset: end });
  expect(log.sealedSegments().every(({ isDone }) => isDone)).toBe(true);
});

test.each(['a reader', 'the scrub'] as const)(
  'a sealed segment that ends between two batches, and too early, is no shorter one: %s finds it',
  async (who) => {
    const world = new World();
    const healthy = await replica(world, 120);
    const before = await replica(world, 120);
    await world.drive(before.store.close());
    const { disk } = before;
    const path = segmentsOf(disk)[1]!;
    const bytes = disk.contents(path);
    const ends: number[] = [];
    forEachBatch(bytes, 64, bytes.length, (at, size) => ends.push(at + size));
    disk.open(path, { mode: 'write' }).truncate(ends.at(-3)!);
    const { store } = await openOn(world, disk, SCRUBBED);
    const log = store.log(LOG)!;
    const lost = baseOf(segmentsOf(disk)[2]!) - 1;
    if (who === 'a reader') expect(log.read(lost, 1_000, 120).kind).toBe('damaged');
    else await world.advance(62_000);
    expect(store.counters.damagedSegments).toBe(1);
    expect(await fill(world, healthy.log, log)).toBe('done');
    expect(readAll(log)).toEqual(readAll(healthy.log));
  },
);

test('an index of an earlier life of a segment, which was longer, makes no damage of it', async () => {
  const world = new World();
  const options = { ...SCRUBBED, checkpointMs: 1_000_000, checkpointBytes: 1 << 30 };
  const first = await replica(world, 20, options);
  let { disk, store, log } = first;
  const append = async (count: number): Promise<void> => {
    for (let i = 0; i < count; i += 1) {
      appendBatch(log, 1_000);
      store.startGroup();
      await world.advance(2);
      log.setCommitted(log.endSeq);
    }
    await world.advance(20_000);
  };
  const path = segmentsOf(disk).at(-1)!;
  // It grows, is sealed, and its index reaches the device; no checkpoint knows of that.
  await append(2);
  log.limitSegments(1_000, 1);
  await append(3);
  const index = path.replace(/seg$/, 'idx');
  const file = disk.open(index, { mode: 'write' });
  await world.drive(new Promise<void>((resolve) => file.sync(() => resolve())));
  disk.syncDirectory(path.replace(/\/[^/]*$/, ''));
  const long = disk.contents(path).length;
  disk = killed(world, disk);
  ({ store } = await openOn(world, disk, options));
  log = store.log(LOG)!;
  log.limitSegments(1_000, 1);
  await append(3);
  await world.drive(store.checkpoint());
  expect(disk.contents(path).length).toBeLessThan(long);
  const all = readAll(log);
  store.abandon();
  world.clear();
  disk = disk.powerCut({ below: () => 0 }, (ms, fire) => world.at(world.nowMs + ms, fire));
  ({ store } = await openOn(world, disk, options));
  log = store.log(LOG)!;
  expect(readAll(log)).toEqual(all);
  await world.advance(62_000);
  expect(store.counters).toMatchObject({ damagedSegments: 0 });
  expect(store.counters.scrubPasses).toBeGreaterThan(0);
});
